"""LDS: what a perfect, a useless and a class-only attribution score, with honest intervals and the ceiling of the seeds."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from ntkviz.fidelity.ceiling import noise_ceiling
from ntkviz.fidelity.lds import compare, lds, paired_difference, specificity
from ntkviz.fidelity.ranks import levelled, rank_correlations

N, M, S, R, C = 80, 30, 60, 4, 4
CLASSES = np.arange(N) % C


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    found: Any = spearmanr(x, y)
    return float(found.statistic)


def masks(n_subsets: int = S, seed: int = 1) -> np.ndarray:
    """Random half subsets."""
    drawn = rng(seed).random((n_subsets, N)).argsort(axis=1)
    return drawn < N // 2


def made(noise: float = 0.0, *, n_points: int = M, seed: int = 2) -> dict[str, Any]:
    """True effects and the margins that retraining would show, with noise of the seeds."""
    draw = rng(seed)
    effects = draw.normal(size=(n_points, N))
    kept = masks()
    sums = kept @ effects.T
    margins = sums[:, None, :] + noise * sums.std() * draw.normal(size=(S, R, n_points))
    return {"effects": effects, "masks": kept, "margins": margins}


def test_true_effects_score_one_without_noise() -> None:
    found = lds(**made())
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))
    assert found.ceiling == pytest.approx(1)
    assert found.seed_to_seed == pytest.approx(1)
    assert (found.n_points, found.n_subsets, found.n_seeds, found.n_dropped) == (M, S, R, 0)


def test_per_point_is_spearman_of_sums_and_mean_margins() -> None:
    given = made(1.0)
    found = lds(**given, n_draws=50)
    sums, mean = given["masks"] @ given["effects"].T, given["margins"].mean(axis=1)
    expected = [spearman(sums[:, m], mean[:, m]) for m in range(M)]
    np.testing.assert_allclose(found.per_point, expected, atol=1e-6)
    assert found.value == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("seed", range(5))
def test_noise_scores_about_nothing_and_its_interval_says_so(seed: int) -> None:
    given = dict(made(0.5), effects=rng(100 + seed).normal(size=(M, N)))
    found = lds(**given, n_draws=400)
    assert abs(found.value) < 0.15
    assert found.low < 0 < found.high


def test_the_interval_covers_the_score_of_many_subsets_as_often_as_it_says() -> None:
    effects = rng(3).normal(size=(M, N))
    # All test points see the same part, so subsets matter more than points: an interval over points alone is too narrow.
    common, covered, covered_points, truth = rng(4).normal(size=N), 0, 0, []
    for trial in range(60):
        kept = masks(seed=1000 + trial)
        sums = kept @ effects.T
        margins = (sums + 6 * (kept @ common)[:, None])[:, None, :]
        truth.append((kept, margins))
    target = np.mean([lds(effects, *pair, n_draws=0).value for pair in truth])
    for pair in truth:
        found = lds(effects, *pair, n_draws=200)
        covered += found.low <= target <= found.high
        covered_points += found.low_points <= target <= found.high_points
    assert covered >= 54  # 57 of 60 expected
    assert covered_points < covered


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_the_interval_holds_the_value_and_that_over_points_alone_is_inside(noise: float) -> None:
    found = lds(**made(noise))
    assert found.low <= found.value <= found.high
    assert found.low_points <= found.value <= found.high_points
    assert found.high - found.low >= found.high_points - found.low_points


def test_more_test_points_give_a_narrower_interval() -> None:
    few, many = (lds(**made(2.0, n_points=n)) for n in (8, 200))
    assert many.high - many.low < 0.7 * (few.high - few.low)


def test_scale_and_order_do_not_matter_and_signs_do() -> None:
    given = made(1.0)
    found = lds(**given, n_draws=0).value
    order = rng(9).permutation(N)
    moved = {"effects": given["effects"][:, order], "masks": given["masks"][:, order], "margins": given["margins"]}
    assert lds(**moved, n_draws=0).value == pytest.approx(found, abs=1e-6)
    points, subsets = rng(8).permutation(M), rng(7).permutation(S)
    mixed = {
        "effects": given["effects"][points],
        "masks": given["masks"][subsets],
        "margins": given["margins"][subsets][:, :, points],
    }
    assert lds(**mixed, n_draws=0).value == pytest.approx(found, abs=1e-6)
    grown = given | {"effects": 1e6 * given["effects"] * np.arange(1, M + 1)[:, None]}
    assert lds(**grown, n_draws=0).value == pytest.approx(found)
    turned = given | {"effects": -given["effects"]}
    assert lds(**turned, n_draws=0).value == pytest.approx(-found)


def test_other_points_labels_give_nothing() -> None:
    given = made()
    shuffled = given | {"effects": given["effects"][:, rng(5).permutation(N)]}
    assert abs(lds(**shuffled, n_draws=0).value) < 0.1


def test_an_attribution_that_knows_only_classes_has_nothing_within() -> None:
    given = made(0.2)
    own = rng(6).integers(0, C, size=M)
    by_class = np.where(CLASSES == own[:, None], 1.0, -0.3)
    given["margins"] = given["margins"] + 5 * (given["masks"] @ by_class.T)[:, None, :]
    constant = lds(**dict(given, effects=by_class), classes=CLASSES, n_draws=100)
    assert constant.value > 0.5
    assert (constant.within, constant.within_low, constant.within_high) == (0, 0, 0)
    informed = lds(**given, classes=CLASSES, n_draws=100)
    assert informed.within > 0.9 * informed.ceiling
    assert informed.within_low <= informed.within <= informed.within_high


def test_points_without_variation_are_left_out_and_counted() -> None:
    given = made(1.0)
    # Equal effects sum to the same for all halves, up to rounding: no order may be read into the last digits.
    given["effects"][0] = 0.1
    given["margins"][:, :, 1] = 2.5
    found = lds(**given, n_draws=100)
    assert found.n_dropped == 2
    assert found.n_points == M - 2
    assert np.isnan(found.per_point[:2]).all()
    assert "2 of 30 test points are left out" in found.notes[0]
    assert found.value == pytest.approx(np.nanmean(found.per_point))


def test_nothing_at_all_is_not_a_number() -> None:
    found = lds(**dict(made(), effects=np.zeros((M, N))), n_draws=20)
    assert np.isnan([found.value, found.low, found.high]).all()
    assert found.n_points == 0


def test_the_ceiling_is_what_the_truth_scores_against_noisy_seeds() -> None:
    for noise in (0.5, 1.5):
        found = lds(**made(noise, n_points=300))
        assert found.value == pytest.approx(found.ceiling, abs=0.02)
        assert 0 < found.seed_to_seed < found.ceiling


@pytest.mark.parametrize("n_seeds", [2, 3, 5, 6])
def test_the_ceiling_is_that_of_the_reliability_for_any_number_of_seeds(n_seeds: int) -> None:
    draw = rng(11)
    truth = draw.normal(size=(150, 1, 150))
    margins = truth + draw.normal(size=(150, n_seeds, 150))
    assert noise_ceiling(margins).value == pytest.approx(np.sqrt(n_seeds / (n_seeds + 1)), abs=0.03)


def test_one_seed_has_no_ceiling_and_unrelated_seeds_have_none_above_zero() -> None:
    given = made(1.0)
    single = lds(**given | {"margins": given["margins"][:, :1]}, n_draws=0)
    assert np.isnan(single.ceiling)
    assert "One seed only" in single.notes[-1]
    assert noise_ceiling(rng(12).normal(size=(200, 4, 50))).value < 0.25


def test_a_paired_difference_is_narrower_than_the_intervals_apart() -> None:
    given = made(1.0)
    worse = given["effects"] + 0.7 * rng(13).normal(size=(M, N))
    both = compare([given["effects"], worse], given["masks"], given["margins"]).found
    found = paired_difference(given["effects"], worse, given["masks"], given["margins"])
    assert found.value == pytest.approx(both[0].value - both[1].value)
    assert 0 < found.low < found.value < found.high
    assert found.high - found.low < (both[0].high - both[0].low) + (both[1].high - both[1].low)
    assert found.share_better > 0.8
    same = paired_difference(given["effects"], given["effects"], given["masks"], given["margins"])
    assert (same.value, same.low, same.high, same.share_better) == (0, 0, 0, 0)


@pytest.mark.parametrize("seed", range(21, 24))
def test_a_small_consistent_difference_is_told_apart_though_the_intervals_overlap(seed: int) -> None:
    given = made(1.5)
    draw = rng(seed)
    shared = given["effects"] + 0.5 * draw.normal(size=(M, N))
    several = [shared, shared + 0.5 * draw.normal(size=(M, N)), shared]
    found = compare(several, given["masks"], given["margins"])
    first, second, _ = found.found
    assert first.value > second.value
    assert second.high > first.low, "their own intervals overlap"
    assert found.difference(0, 1).clear
    assert found.difference(1, 0).clear
    assert found.difference(0, 1) == paired_difference(several[0], several[1], given["masks"], given["margins"])
    assert not found.difference(0, 2).clear


@pytest.mark.parametrize("seed", range(3))
def test_two_that_are_equally_far_off_are_not_told_apart(seed: int) -> None:
    given = made(1.0)
    off = rng(30 + seed).normal(size=(2, M, N))
    found = compare([given["effects"] + one for one in off], given["masks"], given["margins"])
    assert not found.difference(0, 1).clear


def test_without_draws_nothing_is_told_apart() -> None:
    given = made()
    assert not paired_difference(given["effects"], -given["effects"], given["masks"], given["margins"], n_draws=0).clear


def test_specificity_is_positive_for_the_own_seed_only() -> None:
    draw = rng(14)
    shared, own = draw.normal(size=(M, N)), draw.normal(size=(M, N))
    kept = masks()
    margins = np.stack([kept @ shared.T + (r == 0) * (kept @ own.T) for r in range(R)], axis=1)
    assert specificity(shared + own, kept, margins, n_draws=200).low > 0
    assert specificity(shared + own, kept, margins, own=2, n_draws=200).high < 0


def test_resamples_are_ranked_anew_with_ties() -> None:
    draw = rng(15)
    x = draw.integers(0, 8, size=(40, 5)).astype(float)
    y = x + draw.integers(0, 6, size=(40, 5))
    weights = draw.multinomial(40, np.full(40, 1 / 40), size=3)
    found = rank_correlations([x], y, weights)[0]
    for b in range(3):
        rows = np.repeat(np.arange(40), weights[b])
        expected = [spearman(x[rows, m], y[rows, m]) for m in range(5)]
        np.testing.assert_allclose(found[b], expected, atol=1e-6)


def test_levels_keep_the_order_and_close_rounding_steps() -> None:
    values = np.array([[3.0, 0.3], [1.0, 0.1 + 0.2], [2.0, 0.5]])
    assert levelled(values, np.array([3.0, 1.0])).tolist() == [[2, 0], [0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"effects": np.zeros((M, N + 1))}, "effects must be numbers"),
        ({"effects": np.full((M, N), np.nan)}, "effects are not finite"),
        ({"masks": masks()[:5]}, "the same S subsets"),
        ({"masks": masks()[:2], "margins": np.zeros((2, R, M))}, "at least three"),
        ({"margins": np.full((S, R, M), np.inf)}, "margins are not finite"),
        ({"n_draws": -1}, "n_draws"),
        ({"classes": CLASSES[:-1]}, "classes must be the labels"),
    ],
)
def test_what_cannot_be_scored_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        lds(**made() | change)


def test_one_seed_has_no_specificity() -> None:
    given = made()
    with pytest.raises(ValueError, match="Retrain from two seeds"):
        specificity(given["effects"], given["masks"], given["margins"][:, :1])


def test_the_same_seed_gives_the_same_result() -> None:
    first, second = (dataclasses.asdict(lds(**made(1.0), seed=3, n_draws=100)) for _ in range(2))
    np.testing.assert_equal(first, second)
