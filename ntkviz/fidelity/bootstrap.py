"""Resampling of test points, as counts: a resample is how often each point was drawn, so statistics become matrix products."""

import numpy as np

#: Coverage that the intervals aim at.
LEVEL = 0.95


def resample_counts(n_points: int, n_bootstrap: int, seed: int) -> np.ndarray:
    """How often each point is drawn in each resample of M points with replacement, float32 ``[B, M]``; each row sums to M.

    Args:
        n_points: M.
        n_bootstrap: B, may be 0.
        seed: of the draws.
    """
    drawn = np.random.default_rng(seed).integers(0, n_points, size=(n_bootstrap, n_points))
    drawn += n_points * np.arange(n_bootstrap)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_bootstrap * n_points).reshape(n_bootstrap, n_points).astype(np.float32)


def interval(samples: np.ndarray) -> tuple[float, float]:
    """The percentile interval of a statistic's resampled values ``[B]``.

    NaN twice when fewer than half of the resamples have a value (few errors, say, so that many resamples have none).
    """
    defined = samples[np.isfinite(samples)]
    if not len(defined) or 2 * len(defined) < len(samples):
        return float("nan"), float("nan")
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def ratio(counts: np.ndarray, numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, np.ndarray]:
    """``sum numerator / sum denominator``, on all points and on each resample; NaN where the denominator is 0.

    Args:
        counts: ``[B, M]``.
        numerator: ``[M]``.
        denominator: ``[M]``, not negative.
    """
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    weights = np.vstack([np.ones(len(top)), counts])
    above, below = weights @ top, weights @ bottom
    values = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return float(values[0]), values[1:]


def correlation(counts: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Pearson's correlation on all points and on each resample; NaN where a variable does not vary.

    Args:
        counts: ``[B, M]``.
        x: ``[M]``.
        y: ``[M]``.
    """
    # Standardised first, so that the second moments below do not cancel.
    first, second = standardised(x), standardised(y)
    weights = np.vstack([np.ones(len(first)), counts])
    totals = weights.sum(axis=1)
    mean_x, mean_y = weights @ first / totals, weights @ second / totals
    var_x, var_y = weights @ first**2 / totals - mean_x**2, weights @ second**2 / totals - mean_y**2
    together = weights @ (first * second) / totals - mean_x * mean_y
    varies = (var_x > 1e-14) & (var_y > 1e-14)
    values = np.divide(together, np.sqrt(np.abs(var_x * var_y)), out=np.full(len(totals), np.nan), where=varies)
    values = np.clip(values, -1.0, 1.0)
    return float(values[0]), values[1:]


def standardised(x: np.ndarray) -> np.ndarray:
    """Mean 0, largest absolute value 1; zeros when all values are equal."""
    centred = x - x.mean()
    size = np.abs(centred).max()
    return np.zeros_like(centred) if size <= 1e-13 * np.abs(x).max() else centred / size
