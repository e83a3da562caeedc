import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.manifold import trustworthiness

from ntkviz.embed.placement import fuzzy_weights, place_by_neighbours
from ntkviz.embed.quality import largest_neighbourhood, nearest, quality


@settings(max_examples=25, deadline=None)
@given(n=st.integers(5, 90), k=st.integers(1, 20), seed=st.integers(0, 9999))
def test_trustworthiness_is_that_of_scikit_learn_and_continuity_is_its_mirror(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    space, plane = rng.normal(size=(n, 6)), rng.normal(size=(n, 2))
    distances = cdist(space, space)
    found = quality(distances, plane, n_neighbours=k)
    assert found.n_neighbours == min(k, largest_neighbourhood(n))
    expected = trustworthiness(distances, plane, n_neighbors=found.n_neighbours, metric="precomputed")
    mirror = trustworthiness(cdist(plane, plane), space, n_neighbors=found.n_neighbours, metric="precomputed")
    assert found.trustworthiness == pytest.approx(expected, abs=1e-12)
    assert found.continuity == pytest.approx(mirror, abs=1e-12)


def test_a_perfect_map_is_perfect_and_a_shuffled_one_is_not() -> None:
    plane = np.random.default_rng(0).normal(size=(80, 2))
    distances = cdist(plane, plane)
    perfect = quality(distances, plane * 3 + 1, n_neighbours=8)
    assert perfect.trustworthiness == perfect.continuity == 1
    np.testing.assert_array_equal(perfect.preserved, 1)
    shuffled = quality(distances, plane[::-1], n_neighbours=8)
    assert shuffled.trustworthiness < 0.7
    assert shuffled.preserved.mean() < 0.4


def test_a_torn_map_loses_continuity_and_a_folded_map_loses_trust() -> None:
    line = np.linspace(0, 1, 60)[:, None]
    distances = cdist(line, line)
    torn = np.column_stack([np.where(line[:, 0] < 0.5, line[:, 0], line[:, 0] + 0.5), np.where(np.arange(60) % 2, 3.0, 0.0)])
    folded = np.column_stack([np.abs(line[:, 0] - 0.5), np.zeros(60)])
    assert quality(distances, torn, n_neighbours=4).continuity < 1
    found = quality(distances, folded, n_neighbours=4)
    assert found.trustworthiness < found.continuity


def test_duplicates_never_count_against_a_map() -> None:
    points = np.repeat(np.arange(10.0), 4)[:, None] * [1.0, 0.0]
    found = quality(cdist(points, points), points, n_neighbours=3)
    assert found.trustworthiness == found.continuity == 1


def test_test_points_are_compared_on_their_training_neighbours() -> None:
    rng = np.random.default_rng(1)
    plane, queries = rng.normal(size=(50, 2)), rng.normal(size=(7, 2))
    found = quality(cdist(plane, plane), plane, n_neighbours=5, row_distances=cdist(queries, plane), test_points=queries)
    np.testing.assert_array_equal(found.preserved_test, np.ones(7))


@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 0)])
def test_too_few_points_or_neighbours_are_refused(n: int, k: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        quality(np.zeros((n, n)), np.zeros((n, 2)), n_neighbours=k)


def test_blocks_report_progress_and_let_a_stop_through() -> None:
    points = np.random.default_rng(0).normal(size=(200, 2))
    seen: list[float] = []
    quality(cdist(points, points), points, on_block=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 1

    def stop(fraction: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        quality(cdist(points, points), points, on_block=stop)


@settings(max_examples=30, deadline=None)
@given(k=st.integers(3, 20), seed=st.integers(0, 9999))
def test_fuzzy_weights_add_up_to_log2_k(k: int, seed: int) -> None:
    distances = np.random.default_rng(seed).uniform(0.1, 5, size=(4, k))
    weights = fuzzy_weights(distances)
    np.testing.assert_allclose(weights.sum(axis=1), np.log2(k), rtol=1e-6)
    np.testing.assert_array_equal(weights.argmax(axis=1), distances.argmin(axis=1))
    assert (np.argsort(weights, axis=1) == np.argsort(-distances, axis=1)).all()


def test_equal_distances_get_equal_weights() -> None:
    np.testing.assert_allclose(fuzzy_weights(np.full((2, 5), 0.3)), 1)


def test_a_placed_point_lies_among_its_nearest_neighbours() -> None:
    rng = np.random.default_rng(2)
    plane = rng.normal(size=(60, 2))
    towards = cdist(rng.normal(size=(9, 2)), plane)
    placed = place_by_neighbours(towards, plane, n_neighbours=6)
    chosen = plane[nearest(towards, 6)]
    assert (placed >= chosen.min(axis=1)).all()
    assert (placed <= chosen.max(axis=1)).all()
    np.testing.assert_allclose(place_by_neighbours(towards, plane, n_neighbours=1), plane[towards.argmin(axis=1)])
    assert np.isfinite(place_by_neighbours(towards, plane, n_neighbours=500)).all()
