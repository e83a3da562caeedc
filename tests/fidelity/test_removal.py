"""Removal experiments summed up: drops, paired differences and flips with their intervals."""

import numpy as np
import pytest

from ntkviz.fidelity.removal import removals


def test_drops_differences_and_flips_are_those_of_the_margins() -> None:
    before = np.array([2.0, 4.0, 1.0])
    found = removals(before, {"strong": before - [3, 3, 3], "weak": before - [1, 1, 0]}, k=5, n_draws=200)
    strong, weak = found.rows
    assert strong.drops.tolist() == [3, 3, 3]
    assert (strong.value, strong.low, strong.high) == (3, 3, 3)
    assert strong.flipped == pytest.approx(2 / 3)
    assert weak.flipped == 0
    assert weak.value == pytest.approx(2 / 3)
    pair = found.difference("strong", "weak")
    assert pair.value == pytest.approx(3 - 2 / 3)
    assert pair.ratio == pytest.approx(4.5)
    assert pair.low <= pair.value <= pair.high
    turned = found.difference("weak", "strong")
    assert (turned.value, turned.low, turned.high) == (-pair.value, -pair.high, -pair.low)
    assert turned.ratio == pytest.approx(1 / 4.5)
    assert (found.k, found.n_points, found.n_seeds) == (5, 3, 1)


def test_pairing_removes_what_both_share() -> None:
    draw = np.random.default_rng(0)
    before = draw.normal(8, 5, size=(40, 3))
    shared = draw.normal(3, 4, size=(40, 3))
    found = removals(before, {"a": before - shared - 1, "b": before - shared}, k=10)
    pair = found.difference("a", "b")
    assert (pair.value, pair.low, pair.high) == pytest.approx((1, 1, 1))
    assert found.rows[0].high - found.rows[0].low > 1


def test_a_point_that_was_wrong_before_cannot_flip() -> None:
    found = removals(np.array([-1.0, -2.0]), {"a": np.array([-5.0, -5.0])}, k=1, n_draws=10)
    assert np.isnan(found.rows[0].flipped)
    assert found.rows[0].value == 3.5


def test_other_seeds_before_enter_by_their_mean_and_missing_points_are_told() -> None:
    after = np.array([[0.0, 1.0], [np.nan, 1.0], [2.0, 2.0]])
    found = removals(np.array([[1.0, 2.0, 3.0]] * 3), {"a": after}, k=1, n_draws=10)
    assert found.rows[0].drops.tolist() == [1.5, 0.0]
    assert "1 of 3 test points are left out" in found.notes[0]
    assert found.n_seeds == 2


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (np.ones(3), {}, "at least one attribution"),
        (np.ones(3), {"a": np.ones(2)}, "the same test points"),
        (np.ones(3), {"a": np.ones(3), "b": np.ones((3, 2))}, "the same test points"),
        (np.ones(3), {"a": np.ones((3, 2, 2))}, "must be"),
        (np.ones(3), {"a": np.full(3, np.nan)}, "No test point"),
    ],
)
def test_what_cannot_be_summed_up_is_refused(before, after, words) -> None:
    with pytest.raises(ValueError, match=words):
        removals(before, after, k=1)


def test_an_unknown_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="expected two of: a"):
        removals(np.ones(3), {"a": np.ones(3)}, k=1, n_draws=5).difference("a", "b")
