"""Neighbours, concentration and the ends of an attribution."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ntkviz.explain.concentration import concentration, cumulative_share, top_contributors
from ntkviz.explain.neighbours import neighbours

#: Few distinct values, so that ties occur.
tied_rows = st.tuples(st.integers(1, 4), st.integers(1, 20)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.integers(-3, 3))
)
vectors = arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e3, 1e3, allow_subnormal=False))


@given(rows=tied_rows, k=st.integers(1, 30))
def test_neighbours_are_the_largest_in_order_with_the_lower_index_first(rows: np.ndarray, k: int):
    found = neighbours(rows, k)
    n = rows.shape[1]
    assert found.indices.shape == found.similarities.shape == (len(rows), min(k, n))
    assert found.similarities.dtype == rows.dtype
    for row, indices, similarities in zip(rows, found.indices, found.similarities, strict=True):
        assert indices.tolist() == sorted(range(n), key=lambda i: (-row[i], i))[:k]
        assert (row[indices] == similarities).all()


@given(rows=tied_rows)
def test_fewer_neighbours_are_the_first_of_more(rows: np.ndarray):
    assert (neighbours(rows, 2).indices == neighbours(rows, 5).indices[:, :2]).all()


def test_neighbours_of_whole_numbers_and_booleans_are_the_largest():
    assert neighbours(np.array([[1, 9, 0]], dtype=np.uint8), 2).indices.tolist() == [[1, 0]]
    assert neighbours(np.array([[False, True, True]]), 2).indices.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("rows", "k", "told"),
    [
        (np.zeros(3), 1, "M, N"),
        (np.zeros((3, 0)), 1, "M, N"),
        (np.zeros((2, 3)), 0, "k must"),
        (np.zeros((2, 3)), 1.5, "k must"),
        (np.full((2, 3), np.nan), 1, "6 kernel entries"),
    ],
)
def test_neighbours_refuse_in_words(rows: np.ndarray, k: int, told: str):
    with pytest.raises(ValueError, match=told):
        neighbours(rows, k)


@given(a=vectors)
def test_concentration_keeps_its_ranges(a: np.ndarray):
    found = concentration(a, top=3)
    n = len(a)
    assert found.n_points == n
    assert found.n50 <= found.n80 <= found.n95 <= n
    if found.mass == 0:
        assert found.n95 == 0
        assert all(math.isnan(v) for v in (found.participation_ratio, found.gini, found.cancellation, found.top_share))
        return
    assert 1 - 1e-9 <= found.participation_ratio <= n + 1e-9
    assert 0 <= found.gini <= 1 - 1 / n + 1e-9
    assert 0 <= found.cancellation <= 1
    assert 0 < found.top_share <= 1
    reached = cumulative_share(a)
    assert reached[-1] == pytest.approx(1)
    assert (np.diff(reached) >= -1e-12).all()
    assert reached[found.n80 - 1] >= 0.8 - 1e-9
    assert found.n80 == 1 or reached[found.n80 - 2] < 0.8
    assert found.top_share == pytest.approx(reached[min(3, n) - 1])


@given(a=vectors.filter(lambda a: np.abs(a).max() > 1e-3), power=st.integers(-6, 6), seed=st.integers(0, 100))
def test_concentration_ignores_scale_sign_and_order(a: np.ndarray, power: int, seed: int):
    one = concentration(a)
    two = concentration(-(2.0**power) * np.random.default_rng(seed).permutation(a))
    for name in ("participation_ratio", "gini", "n50", "n80", "n95", "cancellation", "top_share"):
        assert getattr(two, name) == pytest.approx(getattr(one, name), abs=1e-9)


def test_concentration_at_its_two_ends():
    even, one = concentration(np.ones(100)), concentration(np.eye(100)[7])
    assert (even.participation_ratio, even.gini, even.n50, even.n80, even.n95, even.cancellation) == pytest.approx(
        (100, 0, 50, 80, 95, 0)
    )
    assert (one.participation_ratio, one.gini, one.n50, one.n95, one.top_share) == pytest.approx((1, 0.99, 1, 1, 1))
    assert concentration(np.array([1.0, -1.0])).cancellation == 1
    assert concentration(np.array([3.0, -1.0])).cancellation == pytest.approx(0.5)


def test_concentration_survives_tiny_and_huge_values():
    for size in (1e-200, 1e200):
        assert concentration(size * np.array([1.0, 1.0])).participation_ratio == pytest.approx(2)


@given(a=vectors, k=st.integers(1, 50))
def test_top_contributors_are_the_two_ends(a: np.ndarray, k: int):
    found = top_contributors(a, k)
    assert len(found.supporters) == min(k, (a > 0).sum())
    assert len(found.opponents) == min(k, (a < 0).sum())
    assert found.supporters.tolist() == sorted(np.flatnonzero(a > 0), key=lambda i: (-a[i], i))[:k]
    assert found.opponents.tolist() == sorted(np.flatnonzero(a < 0), key=lambda i: (a[i], i))[:k]
    assert (found.supporter_values == a[found.supporters]).all()
    assert (found.opponent_values == a[found.opponents]).all()


def test_nothing_but_zeros_has_no_share_and_no_ends():
    assert np.isnan(cumulative_share(np.zeros(3))).all()
    found = top_contributors(np.zeros(3))
    assert not len(found.supporters)
    assert not len(found.opponents)


def test_unusable_attributions_are_refused_in_words():
    for call, told in (
        (lambda: concentration(np.zeros((2, 3))), "one score of one test point"),
        (lambda: concentration(np.empty(0)), r"\[N\]"),
        (lambda: concentration(np.array([np.nan])), "not finite"),
        (lambda: concentration(np.ones(3), top=0), "top must"),
        (lambda: top_contributors(np.ones(3), 0), "k must"),
        (lambda: cumulative_share(np.array(["a"])), "numbers"),
    ):
        with pytest.raises(ValueError, match=told):
            call()
