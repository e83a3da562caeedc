import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA

from ntkviz.embed.embed import embed
from ntkviz.embed.kernel_pca import LANCZOS_FROM, kernel_pca
from ntkviz.embed.registry import embeddings
from ntkviz.embed.result import Embedding, Layout
from ntkviz.embed.tsne import tsne_map
from ntkviz.embed.umap_map import TRANSFORM_LIMIT, _place, umap_map
from ntkviz.errors import JobCancelled

KINDS = list(embeddings())


def blobs(n: int, seed: int = 0, width: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Unit features around three centres, and which centre."""
    centres = np.random.default_rng(99).normal(size=(3, width)) * 2
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    x = centres[labels] + rng.normal(size=(n, width))
    return x / np.linalg.norm(x, axis=1, keepdims=True), labels


def placed_points(found: Embedding | Layout) -> np.ndarray:
    assert found.test_points is not None
    return found.test_points


@pytest.mark.parametrize("kind", KINDS)
def test_every_embedding_separates_groups_and_places_test_points_with_them(kind: str) -> None:
    x, labels = blobs(150)
    z, z_labels = blobs(30, seed=5)
    found = embed(x @ x.T, z @ x.T, kind=kind)
    assert found.points.shape == (150, 2)
    assert placed_points(found).shape == (30, 2)
    assert found.quality.trustworthiness > 0.8
    centres = np.stack([found.points[labels == c].mean(axis=0) for c in range(3)])
    nearest_centre = np.linalg.norm(placed_points(found)[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest_centre == z_labels).mean() > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_map(kind: str) -> None:
    x, _ = blobs(60)
    first, second = (embed(x @ x.T, x[:5] @ x.T, kind=kind, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(placed_points(first), placed_points(second))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [3, 4, 5, 7, 15])
def test_few_points_give_a_finite_map_that_says_what_was_cut(kind: str, n: int) -> None:
    x, _ = blobs(n)
    found = embed(x @ x.T, x[:1] @ x.T, kind=kind)
    assert np.isfinite(found.points).all()
    assert np.isfinite(placed_points(found)).all()
    assert any("instead of 15 neighbours" in note for note in found.notes)
    if kind == "umap":
        assert found.options["n_neighbors"] == n - 1
        assert any("n_neighbors was cut" in note for note in found.notes) == (n <= 15)


@pytest.mark.parametrize("kind", KINDS)
def test_two_points_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="at least 3"):
        embed(np.eye(2), kind=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_duplicates_and_no_test_points_are_no_trouble(kind: str) -> None:
    x = blobs(30)[0].repeat(2, axis=0)
    found = embed(x @ x.T, np.empty((0, 60)), kind=kind)
    assert found.test_points is None
    assert found.quality.preserved_test is None
    assert np.isfinite(found.points).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "isomap"}, "kind must be one of umap"),
        ({"kind": "umap", "perplexity": 3.0}, "takes the options"),
        ({"kind": "umap", "n_neighbors": "15"}, "of type int"),
        ({"kind": "umap", "n_neighbors": True}, "of type int"),
        ({"kind": "umap", "n_neighbors": 1}, "n_neighbors must lie"),
        ({"kind": "umap", "min_dist": 2.0}, "min_dist must lie"),
        ({"kind": "umap", "init": "random"}, "init must be"),
        ({"kind": "tsne", "perplexity": 0.5}, "perplexity must lie"),
        ({"kind": "umap", "seed": -1}, "seed must be"),
    ],
)
def test_unknown_or_impossible_options_are_refused(arguments: dict, message: str) -> None:
    x, _ = blobs(12)
    with pytest.raises(ValueError, match=message):
        embed(x @ x.T, **arguments)


def test_umap_starts_from_kernel_pca_when_asked() -> None:
    x, _ = blobs(40)
    spectral, linear = (embed(x @ x.T, kind="umap", init=init) for init in ("spectral", "kernel_pca"))
    assert not np.allclose(spectral.points, linear.points)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancellation_leaves_the_map_at_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ntkviz.embed.umap_map.REPORT_EVERY", 0.0)
    x, _ = blobs(40)
    stages: list[str] = []

    def stop(stage: str, fraction: float) -> None:
        stages.append(stage)
        if (stage == "map" and 0 < fraction < 0.5) or kind != "umap":
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        embed(x @ x.T, kind=kind, on_progress=stop)
    assert "quality" not in stages


def test_umap_reports_its_epochs_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ntkviz.embed.umap_map.REPORT_EVERY", 0.0)
    x, _ = blobs(60)
    seen: list[float] = []
    embed(x @ x.T, x[:2] @ x.T, on_progress=lambda stage, fraction: seen.append(fraction) if stage == "map" else None)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) > 100


def test_beyond_umaps_limit_test_points_stand_among_their_neighbours_and_the_notes_say_so() -> None:
    points = np.random.default_rng(0).normal(size=(TRANSFORM_LIMIT, 2))
    towards = np.linalg.norm(points[None, :] - points[:3, None] - 1e-4, axis=2)
    placed, notes = _place(None, points, towards, 5)
    assert placed is not None
    assert np.linalg.norm(placed - points[:3], axis=1).max() < 0.5
    assert "fuzzy-weighted mean of its 5 nearest" in notes[0]


def test_umap_still_refuses_to_transform_precomputed_distances_beyond_the_limit() -> None:
    """When this fails, umap-learn has learnt it and TRANSFORM_LIMIT can go."""
    import umap

    n = 64
    distances = np.abs(np.subtract.outer(np.arange(n), np.arange(n))).astype(np.float32)
    model = umap.UMAP(metric="precomputed", n_neighbors=5, random_state=0, n_jobs=1, force_approximation_algorithm=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(distances)  # the same branch as N >= 4096
    with pytest.raises(NotImplementedError, match="search index"):
        model.transform(distances[:2])


def test_kernel_pca_is_pca_of_the_features() -> None:
    x, _ = blobs(50)
    z, _ = blobs(8, seed=3)
    reference = PCA(n_components=2, svd_solver="full").fit(x)
    found = kernel_pca(x @ x.T, z @ x.T)
    expected, expected_test = reference.transform(x), reference.transform(z)
    signs = np.sign((expected * found.points).sum(axis=0))
    np.testing.assert_allclose(found.points, expected * signs, atol=1e-9)
    np.testing.assert_allclose(placed_points(found), expected_test * signs, atol=1e-9)
    np.testing.assert_allclose(np.array(found.explained), reference.explained_variance_ratio_, atol=1e-10)


def test_kernel_pca_by_lanczos_is_kernel_pca_by_the_dense_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = blobs(200)
    dense = kernel_pca(x @ x.T)
    monkeypatch.setattr("ntkviz.embed.kernel_pca.LANCZOS_FROM", 10)
    np.testing.assert_allclose(kernel_pca(x @ x.T).points, dense.points, atol=1e-9)
    assert LANCZOS_FROM > 200


def test_a_training_point_as_test_point_falls_on_itself_under_kernel_pca() -> None:
    x, _ = blobs(20)
    found = kernel_pca(x @ x.T, x @ x.T)
    np.testing.assert_allclose(placed_points(found), found.points, atol=1e-9)


def test_an_axis_without_variance_is_zero_and_told() -> None:
    line = np.arange(6.0)[:, None]
    found = kernel_pca(line @ line.T, (line + 0.5) @ line.T)
    np.testing.assert_array_equal(found.points[:, 1], 0)
    np.testing.assert_array_equal(placed_points(found)[:, 1], 0)
    assert "1 direction" in found.notes[0]
    np.testing.assert_allclose(np.array(found.explained), (1, 0), atol=1e-12)


def test_maps_can_be_called_without_test_points() -> None:
    distances = np.abs(np.subtract.outer(np.arange(20.0), np.arange(20.0))).astype(np.float32)
    start = np.column_stack([np.arange(20.0), np.zeros(20)])
    assert umap_map(distances, seed=0, n_neighbors=4).test_points is None
    assert tsne_map(distances, start=start, seed=0, perplexity=4).test_points is None


def test_every_registry_row_is_complete() -> None:
    for key, row in embeddings().items():
        assert row.key == key
        for text in (row.title, row.summary, row.axes, row.cost, row.source, row.use_when, row.caveat, row.out_of_sample):
            assert len(text) > 3
        assert all(help_text for _, help_text in row.options.values())
