"""Laws of the stretch: a surrogate that predicts half of what happens is stretched by two, and the interval says how sure that is."""

import numpy as np
import pytest

from ntkviz.explain.stretch import stretch, subset_margins
from ntkviz.explain.what_if import WhatIfModel, remove
from ntkviz.scores import log_odds_of
from ntkviz.surrogates.fit import fit_surrogate


def margins(factor: float, *, noise: float, seed: int = 0, shape: tuple[int, int, int] = (16, 4, 60)):
    """Predictions ``[S, M]`` and margins ``[S, R, M]`` that move ``factor`` times as much about means of their own."""
    rng, (n_subsets, n_seeds, n_points) = np.random.default_rng(seed), shape
    predicted = rng.normal(size=(n_subsets, n_points)) + rng.normal(size=(n_subsets, 1)) + 5 * rng.normal(size=n_points)
    gap = 20 * rng.normal(size=n_points)
    each = noise * rng.normal(size=(n_subsets, n_seeds, n_points))
    return predicted, factor * predicted[:, None] + gap + each


def test_a_surrogate_that_predicts_half_of_what_happens_is_stretched_by_two():
    found = stretch(*margins(2.0, noise=0.0))
    assert found.factor.value == pytest.approx(2)
    assert (found.factor.low, found.factor.high) == (pytest.approx(2), pytest.approx(2))
    assert found.correlation.value == pytest.approx(1)
    assert (found.n_subsets, found.n_seeds, found.n_points) == (16, 4, 60)
    assert found.applies
    assert found.notes == ()


def test_it_is_the_slope_of_the_fit_with_a_mean_for_each_point():
    x, y = margins(3.0, noise=2.0)
    n_subsets, n_points = x.shape
    design = np.column_stack([x.ravel(), np.tile(np.eye(n_points), (n_subsets, 1))])
    slope = np.linalg.lstsq(design, y.mean(axis=1).ravel(), rcond=None)[0][0]
    assert stretch(x, y).factor.value == pytest.approx(slope)


def test_the_interval_covers_the_factor_about_as_often_as_it_says():
    hits = 0
    for seed in range(60):
        one = stretch(*margins(2.0, noise=3.0, seed=seed), n_bootstrap=300).factor
        hits += one.low <= 2 <= one.high
    assert hits >= 51  # 95 % of 60 is 57; fewer than 51 has a chance of a hundredth


def test_noise_that_all_points_of_a_subset_share_widens_the_interval():
    x, y = margins(2.0, noise=0.5)
    shared = 4 * np.random.default_rng(9).normal(size=(len(x), 1, 1))
    plain, wide = stretch(x, y).factor, stretch(x, y + shared).factor
    assert wide.high - wide.low > 5 * (plain.high - plain.low)


def test_what_does_not_follow_the_surrogate_is_not_stretched():
    x, y = margins(0.0, noise=1.0)
    assert not stretch(x, y).applies
    assert not stretch(x, -y - 2 * x[:, None]).applies


def test_few_subsets_are_told_and_what_does_not_fit_is_refused():
    x, y = margins(2.0, noise=1.0)
    assert "Only 5 subsets" in stretch(x[:5], y[:5]).notes[0]
    for predicted, measured, said in (
        (x[:2], y[:2], "three"),
        (x, y[:, 0], "Expected"),
        (x[:, :5], y, "Expected"),
        (x, np.full_like(y, np.nan), "finite"),
        (np.ones_like(x), y, "the same for all"),
    ):
        with pytest.raises(ValueError, match=said):
            stretch(predicted, measured)


@pytest.fixture(params=["klr", "ridge"])
def fitted(request):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = rng.normal(size=(60, 6)) + 2 * np.eye(6)[y]
    kernel = x @ x.T
    options = {"lam": 0.1} if request.param == "klr" else {}
    return WhatIfModel(fit_surrogate(kernel, y, kind=request.param, **options), kernel, y), kernel, y


def test_refits_to_subsets_are_what_the_page_says_after_the_removals(fitted):
    model, kernel, y = fitted
    masks = np.random.default_rng(1).random((3, 60)).argsort(axis=1) < 30
    found, notes = subset_margins(model, kernel[:8], y[:8], masks)
    assert notes == ()
    for mask, margin in zip(masks, found, strict=True):
        after = model.apply(kernel[:8], [remove(i) for i in np.flatnonzero(~mask)]).scores_after
        np.testing.assert_allclose(margin, log_odds_of(after, y[:8]), atol=1e-9)


def test_a_refit_to_the_end_is_a_fit_of_the_half_and_one_step_is_told_not_to_be():
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    x = rng.normal(size=(80, 5)) + 3 * np.eye(5)[y]
    kernel = x @ x.T
    model = WhatIfModel(fit_surrogate(kernel, y, kind="klr", lam=0.01), kernel, y)
    masks = rng.random((2, 80)).argsort(axis=1) < 40
    found, notes = subset_margins(model, kernel[:10], y[:10], masks)
    assert notes == ()
    for mask, margin in zip(masks, found, strict=True):
        half = kernel[np.ix_(mask, mask)]
        # The penalty is per unit of mean diagonal, which the half has another one of.
        lam = 0.01 * np.diag(kernel).mean() / np.diag(half).mean()
        fresh = fit_surrogate(half, y[mask], kind="klr", lam=lam)
        expected = log_odds_of(fresh.decision_function(kernel[:10][:, mask]), y[:10])
        np.testing.assert_allclose(margin, expected, atol=0.1 * np.abs(expected).max())
    _, notes = subset_margins(model, kernel[:10], y[:10], masks, steps=1)
    assert "2 of 2 refits" in notes[0]
