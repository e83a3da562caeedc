"""Calibration of one list of edits over seeds: a known line is found, and its interval holds both kinds of chance."""

import numpy as np
import pytest

from ntkviz.explain.calibration import calibrate, calibrate_seeds


def changes(n_seeds: int, n: int, *, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Predicted changes, and measured ones on a line of slope 2 with noise of their own for each seed and point."""
    rng = np.random.default_rng(seed)
    predicted = rng.normal(size=n)
    measured = 2 * predicted + 0.5 + noise * rng.normal(size=(n_seeds, n))
    return np.tile(predicted, (n_seeds, 1)), measured


def test_means_over_seeds_are_what_is_compared():
    x, y = changes(5, 200, noise=1.0)
    found, plain = calibrate_seeds(x, y), calibrate(x[0], y.mean(axis=0))
    for name in ("slope", "intercept", "correlation"):
        assert getattr(found, name).value == pytest.approx(getattr(plain, name).value)
    assert (found.error, found.spread, found.n_changes, found.n_groups) == (plain.error, plain.spread, 200, 5)
    assert found.slope.low < 2 < found.slope.high
    assert any("5 seeds only" in note for note in found.notes)


def test_exact_changes_leave_no_doubt_and_noise_widens_the_interval():
    exact = calibrate_seeds(*changes(4, 50, noise=0.0))
    assert exact.slope.low == pytest.approx(2)
    assert exact.slope.high == pytest.approx(2)
    assert exact.correlation.low == pytest.approx(1)
    widths = [(found := calibrate_seeds(*changes(4, 50, noise=noise))).slope.high - found.slope.low for noise in (0.5, 5.0)]
    assert widths[1] > 3 * widths[0]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(60):
        found = calibrate_seeds(*changes(12, 60, noise=2.0, seed=seed), n_bootstrap=300)
        hits += found.slope.low <= 2 <= found.slope.high
    assert hits >= 51  # 95 % of 60 is 57; fewer than 51 has a chance of a hundredth


def test_one_seed_has_no_interval_and_what_does_not_fit_is_refused():
    x, y = changes(1, 20, noise=1.0)
    found = calibrate_seeds(x, y)
    assert np.isnan(found.slope.low)
    assert any("one seed only" in note for note in found.notes)
    with pytest.raises(ValueError, match="alike"):
        calibrate_seeds(x, y[:, :5])
    with pytest.raises(ValueError, match="finite"):
        calibrate_seeds(x, np.full_like(y, np.nan))
