"""Laws of agreement between attributions, and each measure against a slow count by its definition."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import spearmanr

from ntkviz.explain.agreement import (
    Named,
    agreement,
    block_rows,
    moved,
    named,
    overlap_at_k,
    rank_biased_overlap,
    spearman,
    strongest,
)

MEASURES = ("overlap", "rbo", "sign_disagreement")
#: Few distinct values, so that ties and zeros are common.
VALUES = st.integers(-4, 4).map(float)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 12)))
    first, second = (draw(arrays.arrays(np.float64, shape, elements=VALUES)) for _ in range(2))
    return first, second, draw(st.integers(1, 14))


def slow_top(row: np.ndarray, k: int, signed: bool) -> list[int]:
    ranked = sorted(range(len(row)), key=lambda i: (-(abs(row[i]) if signed else row[i]), i))[:k]
    return [i for i in ranked if row[i] != 0 or not signed]


def slow(a: np.ndarray, b: np.ndarray, k: int, p: float, signed: bool) -> tuple[float, float, float]:
    """Overlap, rank-biased overlap and sign disagreement of one test point, word for word."""
    first, second = slow_top(a, k, signed), slow_top(b, k, signed)
    if not first and not second:
        return np.nan, np.nan, np.nan
    overlap = len(set(first) & set(second)) / max(len(first), len(second))
    union = set(first) | set(second)
    signs = sum(a[i] * b[i] < 0 for i in union) / len(union) if signed else np.nan
    depth = min(len(first), len(second))
    if not depth:
        return overlap, 0.0, signs
    shares = [len(set(first[:d]) & set(second[:d])) / d for d in range(1, depth + 1)]
    rbo = (1 - p) / p * sum(p**d * share for d, share in enumerate(shares, start=1)) + shares[-1] * p**depth
    return overlap, rbo, signs


@given(pair=pairs(), signed=st.booleans(), p=st.sampled_from([0.5, 0.9]))
def test_each_measure_is_what_its_definition_says(pair, signed, p):
    first, second, k = pair
    found = agreement([first, second], k, signed=signed, p=p)
    wanted = np.array([slow(a, b, k, p, signed) for a, b in zip(first, second, strict=True)])
    for name, column in zip(MEASURES, wanted.T, strict=True):
        np.testing.assert_allclose(getattr(found, name)[0, 1], column, atol=1e-12)


@given(pair=pairs(), signed=st.booleans())
def test_the_order_of_the_two_does_not_matter(pair, signed):
    first, second, k = pair
    one, other = agreement([first, second], k, signed=signed), agreement([second, first], k, signed=signed)
    for name in MEASURES:
        np.testing.assert_array_equal(getattr(one, name)[0, 1], getattr(one, name)[1, 0])
        np.testing.assert_array_equal(getattr(one, name)[0, 1], getattr(other, name)[0, 1])
    np.testing.assert_array_equal(spearman(first, second), spearman(second, first))


@given(pair=pairs(), signed=st.booleans(), power=st.integers(-20, 20))
def test_a_positive_scale_changes_nothing(pair, signed, power):
    first, second, k = pair
    one, other = agreement([first, second], k, signed=signed), agreement([first, second * 2.0**power], k, signed=signed)
    for name in MEASURES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(spearman(first, second), spearman(first, second * 2.0**power))


@given(pair=pairs(), signed=st.booleans())
def test_everything_agrees_with_itself(pair, signed):
    first, _, k = pair
    found = agreement([first], k, signed=signed)
    empty = (first == 0).all(axis=1) & signed
    for name, wanted in (("overlap", 1.0), ("rbo", 1.0), ("sign_disagreement", 0.0 if signed else np.nan)):
        np.testing.assert_allclose(getattr(found, name)[0, 0], np.where(empty, np.nan, wanted), atol=1e-12)
    constant = (first == first[:, :1]).all(axis=1)
    np.testing.assert_allclose(spearman(first, first), np.where(constant, np.nan, 1.0))


@given(k=st.integers(1, 6), seed=st.integers(0, 99))
def test_lists_without_a_common_member_agree_in_nothing(k, seed):
    rng = np.random.default_rng(seed)
    first, second = (rng.uniform(0.1, 0.2, (3, 12)) for _ in range(2))
    first[:, :6] += 1
    second[:, 6:] += 1
    found = agreement([first, second], k)
    assert (found.overlap[0, 1] == 0).all()
    assert (found.rbo[0, 1] == 0).all()
    assert (found.sign_disagreement[0, 1] == 0).all()
    assert (agreement([first, -first], k).sign_disagreement[0, 1] == 1).all()
    assert (agreement([first, -first], k).overlap[0, 1] == 1).all()


def test_agreement_at_the_top_counts_more_by_rank_but_not_by_overlap():
    first = np.array([[6.0, 5, 4, 3, 0.1, 0.2]])
    top, bottom = np.array([[6.0, 5, 0.1, 0.2, 4, 3]]), np.array([[0.1, 0.2, 4, 3, 6, 5.0]])
    found = agreement([first, top, bottom], 4)
    assert found.overlap[0, 1] == found.overlap[0, 2] == 0.5
    assert found.rbo[0, 1] > found.rbo[0, 2]


def test_what_follows_the_lists_is_taken_to_agree_as_their_whole_length_does():
    """Lists of two that share their first: the half at depth 2 goes on for ever."""
    first, second = np.array([[0, 1]]), np.array([[0, 2]])
    p = 0.9
    for_ever = (1 - p) * (1 + sum(0.5 * p**d for d in range(1, 2000)))
    np.testing.assert_allclose(rank_biased_overlap(first, second, p), for_ever)


@given(pair=pairs())
def test_spearman_is_scipys(pair):
    first, second, _ = pair
    for a, b, found in zip(first, second, spearman(first, second), strict=True):
        if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
            assert np.isnan(found)
        else:
            assert found == pytest.approx(spearmanr(a, b)[0], abs=1e-12)


@given(pair=pairs(), signed=st.booleans())
def test_the_strongest_are_those_of_a_sort_ties_by_index(pair, signed):
    first, _, k = pair
    found = strongest(first, k, signed=signed)
    assert found.shape == (len(first), min(k, first.shape[1]))
    for row, chosen in zip(first, found, strict=True):
        wanted = slow_top(row, k, signed)
        assert chosen.tolist() == wanted + [-1] * (len(chosen) - len(wanted))


@given(pair=pairs(), signed=st.booleans(), more=st.integers(0, 5))
def test_blocks_of_test_points_join_to_the_whole_and_can_be_compared_at_any_depth(pair, signed, more):
    first, second, k = pair
    parts = [named([first[i : i + 1], second[i : i + 1]], k + more, signed=signed) for i in range(len(first))]
    whole, joined = agreement([first, second], k, signed=signed), Named.joined(parts).agreement(k)
    assert whole.k == joined.k == min(k, first.shape[1])
    for name in MEASURES:
        np.testing.assert_array_equal(getattr(whole, name), getattr(joined, name))


@given(pair=pairs(), signed=st.booleans())
def test_what_moved_is_the_union_with_true_ranks(pair, signed):
    first, second, k = pair
    values = np.stack([first[0], second[0]])
    found = moved(values, k, signed=signed)
    tops = [slow_top(row, k, signed) for row in values]
    assert set(found.indices.tolist()) == set(tops[0]) | set(tops[1])
    for row, top, ranks, inside in zip(values, tops, found.ranks, found.named, strict=True):
        whole = sorted(range(len(row)), key=lambda i: (-(abs(row[i]) if signed else row[i]), i))
        assert [whole.index(i) + 1 for i in found.indices] == ranks.tolist()
        assert set(found.indices[inside].tolist()) == set(top)
    np.testing.assert_array_equal(found.values, values[:, found.indices])
    assert (np.diff(found.ranks.min(axis=0)) >= 0).all()


def test_a_point_of_no_effect_is_never_named():
    few, none = np.array([[0.0, 3.0, 0.0, -2.0]]), np.zeros((1, 4))
    assert strongest(few, 3).tolist() == [[1, 3, -1]]
    assert agreement([few, few], 3).overlap[0, 1] == 1
    assert agreement([few, none], 3).overlap[0, 1] == 0
    assert agreement([few, none], 3).rbo[0, 1] == 0
    assert np.isnan(overlap_at_k(strongest(none, 2), strongest(none, 2))).all()


def test_blocks_keep_the_working_memory_small():
    assert block_rows(6, 10_000) * 6 * 10_000 * 8 <= 32_000_000
    assert block_rows(6, 10**9) == 1


@pytest.mark.parametrize(
    ("given_values", "k", "p", "words"),
    [
        ([np.ones((2, 3)), np.ones((2, 4))], 1, 0.9, "one shape"),
        ([], 1, 0.9, "one shape"),
        ([np.ones(3)], 1, 0.9, "[M, N]"),
        ([np.array([[np.nan, 1.0]])], 1, 0.9, "not finite"),
        ([np.ones((1, 3))], 0, 0.9, "above 0"),
        ([np.ones((1, 3))], True, 0.9, "above 0"),
        ([np.ones((1, 3))], 1, 1.0, "between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(given_values, k, p, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        agreement(given_values, k, p=p)
    with pytest.raises(ValueError, match="one shape"):
        spearman(np.ones((1, 2)), np.ones((1, 3)))
    with pytest.raises(ValueError, match="part"):
        Named.joined([])
