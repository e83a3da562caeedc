"""Layers add up: of a similarity, a share and a removal effect. And who is near by norm alone is told from who is near by angle."""

import numpy as np
import pytest

from ntkviz.explain import effects as effects_file
from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.layers import (
    LayerShares,
    cosine_rows,
    merged,
    norm_against_angle,
    removal_layers,
    share_layers,
    similarity_layers,
)
from ntkviz.explain.share import share_of
from ntkviz.scores import log_odds_heads
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.surrogate import RidgeSurrogate

N, LAYERS = 50, ("first", "second", "third", "readout")


def problem(c: int = 3, *, cosine: bool = True) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """A kernel that is a sum over layers ``[N, N]``, labels, and the layers of one further point's row; cosine or raw."""
    rng = np.random.default_rng(c)
    features = [rng.normal(size=(N + 1, 4)) * (1 + j) for j in range(len(LAYERS))]
    y = (features[1][:N] @ rng.normal(size=(4, max(c, 2)))).argmax(1)
    whole = np.sum([f @ f.T for f in features], axis=0)
    rows = {name: f[N] @ f[:N].T for name, f in zip(LAYERS, features, strict=True)}
    if not cosine:
        return whole[:N, :N], y, rows
    length = np.sqrt(np.diagonal(whole))
    return (whole / np.outer(length, length))[:N, :N], y, cosine_rows(rows, whole[N, N], np.diagonal(whole)[:N])


def whole_row(rows: dict[str, np.ndarray]) -> np.ndarray:
    return np.sum(list(rows.values()), axis=0)


def adds_up(found: LayerShares) -> None:
    assert found.gap <= 1e-8 * max(1.0, np.abs(found.total).max())
    np.testing.assert_allclose(found.sums.sum() + found.rest.sum(), found.total.sum(), atol=1e-8 * np.abs(found.total).sum())
    assert found.parts.shape == (len(found.layers), N)


def test_the_layers_of_a_cosine_add_up_to_the_cosine_of_the_whole():
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(N + 1, 5)) for _ in LAYERS]
    joined = np.hstack(features)
    cosine = joined[:N] @ joined[N] / (np.linalg.norm(joined[:N], axis=1) * np.linalg.norm(joined[N]))
    rows = {name: f[N] @ f[:N].T for name, f in zip(LAYERS, features, strict=True)}
    parts = cosine_rows(rows, float(joined[N] @ joined[N]), (joined[:N] ** 2).sum(1))
    found = similarity_layers(parts, cosine)
    adds_up(found)
    assert (found.rest == 0).all()
    # A layer's part is not that layer's own cosine, which would not add up.
    own = features[0][:N] @ features[0][N] / (np.linalg.norm(features[0][:N], axis=1) * np.linalg.norm(features[0][N]))
    assert np.abs(found.parts[0] - own).max() > 0.1


def test_a_point_without_gradient_has_no_similarity():
    rows = {"a": np.array([1.0, 0.0]), "b": np.array([1.0, 0.0])}
    parts = cosine_rows(rows, 4.0, np.array([1.0, 0.0]))
    np.testing.assert_array_equal(whole_row(parts), [1.0, 0.0])


@pytest.mark.parametrize("cosine", [True, False])
def test_the_layers_of_a_share_add_up_to_the_share_and_with_the_intercept_to_the_score(cosine: bool):
    kernel, y, rows = problem(cosine=cosine)
    fit = fit_surrogate(kernel, y, kind="kglm")
    row = whole_row(rows)
    found = share_layers(rows, row, fit.weights[1])
    adds_up(found)
    np.testing.assert_allclose(found.total, share_of(fit, row, [1])[0])
    np.testing.assert_allclose(found.sums.sum() + fit.intercept[1], fit.decision_function(row[None])[0, 1])
    # Two classes contrasted are the difference of their layers.
    other = share_layers(rows, row, fit.weights[2])
    both = share_layers(rows, row, fit.weights[1] - fit.weights[2])
    np.testing.assert_allclose(both.parts, found.parts - other.parts)


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize("kind", ["klr", "ridge"])
def test_the_layers_of_a_removal_effect_add_up_with_what_the_intercept_does(kind: str, c: int, cosine: bool):
    kernel, y, rows = problem(c, cosine=cosine)
    fit = fit_surrogate(kernel, y, kind=kind, lam=0.1, n_classes=c)
    effects = RemovalEffects.of_surrogate(fit, kernel, y)
    row = whole_row(rows)
    heads = log_odds_heads(fit.decision_function(row[None]), np.array([1]))
    found = removal_layers(effects, rows, row, heads[0])
    adds_up(found)
    np.testing.assert_allclose(found.total, effects.of(row[None], heads)[0], atol=1e-9)
    np.testing.assert_allclose(found.rest, effects.of(np.zeros((1, N)), heads)[0], atol=1e-9)
    # Linear parts: a layer twice as strong has twice the part.
    doubled = removal_layers(effects, rows | {"first": 2 * rows["first"]}, row + rows["first"], heads[0])
    adds_up(doubled)
    np.testing.assert_allclose(doubled.parts[0], 2 * found.parts[0], atol=1e-7 * np.abs(found.parts).max())
    np.testing.assert_allclose(doubled.parts[1:], found.parts[1:], atol=1e-7 * np.abs(found.parts).max())


def test_what_the_intercept_does_is_what_the_ridges_intercept_and_weights_say_of_a_point_like_no_other():
    kernel, y, rows = problem()
    fit = fit_surrogate(kernel, y, kind="ridge", lam=0.1)
    assert isinstance(fit, RidgeSurrogate)
    found = removal_layers(RemovalEffects.of_surrogate(fit, kernel, y), rows, whole_row(rows), np.array([1.0, 0.0, 0.0]))
    for i in (0, 7, 31):
        assert found.rest[i] == pytest.approx(fit.intercept[0] - fit.without([i]).intercept[0], abs=1e-10)


def test_by_iteration_they_add_up_within_what_it_leaves_open(monkeypatch: pytest.MonkeyPatch):
    kernel, y, rows = problem()
    fit = fit_surrogate(kernel, y, kind="klr", lam=0.1)
    row, head = whole_row(rows), np.array([1.0, -1.0, 0.0])
    direct = removal_layers(RemovalEffects.of_surrogate(fit, kernel, y), rows, row, head)
    monkeypatch.setattr(effects_file, "DIRECT_BYTES", 0)
    found = removal_layers(RemovalEffects.of_surrogate(fit, kernel, y), rows, row, head)
    assert found.gap < 1e-4 * np.abs(found.total).max()
    np.testing.assert_allclose(found.parts, direct.parts, atol=1e-3 * np.abs(direct.total).max())


def test_one_layer_is_the_whole():
    kernel, y, rows = problem()
    row = whole_row(rows)
    one = {"all": row}
    fit = fit_surrogate(kernel, y, kind="klr", lam=0.1)
    head = np.array([1.0, -0.5, -0.5])
    effects = RemovalEffects.of_surrogate(fit, kernel, y)
    for found in (similarity_layers(one, row), share_layers(one, row, fit.weights[0])):
        np.testing.assert_allclose(found.parts[0], found.total)
        assert found.mass == pytest.approx([1.0])
    found = removal_layers(effects, one, row, head)
    np.testing.assert_allclose(found.parts[0] + found.rest, effects.of(row[None], head[None])[0], atol=1e-9)


def test_the_gap_tells_of_a_row_that_is_not_the_sum():
    _, _, rows = problem()
    assert similarity_layers(rows, whole_row(rows) + 0.25).gap == pytest.approx(0.25)


def test_layers_of_little_mass_are_added_up_and_nothing_is_lost():
    rng = np.random.default_rng(0)
    sizes = np.array([5.0, 0.1, 3.0, 0.2, 4.0, 0.3])
    rows = {f"l{j}": size * rng.normal(size=N) for j, size in enumerate(sizes)}
    found = similarity_layers(rows, whole_row(rows))
    few = merged(found, 4)
    assert few.layers == ("l0", "l2", "l4", "3 other layers")
    adds_up(few)
    np.testing.assert_allclose(few.parts[:3], found.parts[[0, 2, 4]])
    assert merged(found, 6) is found
    with pytest.raises(ValueError, match="at least 2"):
        merged(found, 1)


def test_a_long_gradient_comes_near_by_norm_and_a_parallel_one_by_angle():
    directions = np.array([[1.0, 0.05], [1.0, -0.1], [0.5, 1.0], [0.0, 1.0], [1.0, 0.3]])
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = np.array([1.0, 1.2, 9.0, 30.0, 2.0])
    gradients, point = unit * lengths[:, None], np.array([3.0, 0.0])
    found = norm_against_angle(gradients @ point, 9.0, (gradients**2).sum(1), k=2)
    np.testing.assert_allclose(found.norms, lengths)
    np.testing.assert_allclose(found.cosines, unit[:, 0], atol=1e-12)
    np.testing.assert_allclose(found.norms * 3.0 * found.cosines, found.raw)
    assert found.top.tolist() == [2, 4]
    assert found.top_cosine.tolist() == [0, 1]
    assert found.cosine_ranks.tolist() == [4, 3]
    assert found.by_angle.tolist() == [False, False]
    np.testing.assert_allclose(found.percentiles, [0.2, 0.4, 0.8, 1.0, 0.6])


def test_with_equal_norms_all_are_near_by_angle():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(N, 4))
    gradients /= np.linalg.norm(gradients, axis=1, keepdims=True)
    found = norm_against_angle(gradients @ np.ones(4), 4.0, np.ones(N), k=8)
    assert found.by_angle.all()
    assert found.cosine_ranks.tolist() == list(range(1, 9))


def test_without_any_gradient_nothing_is_divided_by_zero():
    found = norm_against_angle(np.zeros(4), 0.0, np.array([1.0, 0.0, 2.0, 0.0]), k=9)
    assert (found.cosines == 0).all()
    assert len(found.top) == 4


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: similarity_layers({}, np.ones(3)), "at least one layer"),
        (lambda: similarity_layers({"a": np.ones(3)}, np.ones(4)), r"must be \[3\]"),
        (lambda: share_layers({"a": np.ones(3), "b": np.ones(2)}, np.ones(3), np.ones(3)), "the row of b"),
        (lambda: share_layers({"a": np.ones(3)}, np.ones(3), np.array([1.0, np.nan, 0.0])), "weight must be"),
        (lambda: cosine_rows({"a": np.ones(2)}, 1.0, np.array([1.0, -1.0])), "1 negative"),
        (lambda: norm_against_angle(np.ones(3), 1.0, np.ones(3), k=0), "k must be"),
    ],
)
def test_what_does_not_fit_is_told(call, told: str):
    with pytest.raises(ValueError, match=told):
        call()
