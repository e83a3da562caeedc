"""Do predicted changes come true? A line through predicted and measured changes, with intervals over edits.

Slope 1 and intercept 0: the prediction is right on average and in size. A slope below 1: it promises too much. Correlation says how much
of the differences between changes was foreseen.
"""

from dataclasses import dataclass

import numpy as np

#: Coverage that the intervals aim at.
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number with its interval (NaN ends when it has none).

    Attributes:
        value: the number.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float


def estimate(value: float, draws: np.ndarray) -> Estimate:
    """A number with the percentile interval of its draws; NaN ends when fewer than half of the draws have a value.

    Args:
        value: the number.
        draws: ``[B]``.
    """
    known = draws[np.isfinite(draws)]
    if 2 * len(known) < len(draws) or not len(known):
        return Estimate(value, float("nan"), float("nan"))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    return Estimate(value, float(low), float(high))


@dataclass(frozen=True)
class Calibration:
    """How predicted changes compare with measured ones.

    Attributes:
        slope: of the least-squares line of measured on predicted changes.
        intercept: of that line.
        correlation: Pearson's, of predicted and measured.
        error: root mean square of measured minus predicted.
        spread: root mean square of the measured changes themselves: what predicting no change would miss by.
        n_changes: pairs compared.
        n_groups: groups that the bootstrap draws from: changes of one edit stand or fall together.
        notes: what to know before reading it.
    """

    slope: Estimate
    intercept: Estimate
    correlation: Estimate
    error: float
    spread: float
    n_changes: int
    n_groups: int
    notes: tuple[str, ...] = ()


def calibrate(
    predicted: np.ndarray, measured: np.ndarray, *, groups: np.ndarray | None = None, n_bootstrap: int = 1000, seed: int = 0
) -> Calibration:
    """Compare predicted with measured changes.

    Args:
        predicted: ``[n]``, such as changes of margin from :class:`ntkviz.explain.what_if.WhatIf`.
        measured: ``[n]``, the same changes after retraining, in the same units.
        groups: ``[n]``, which edit (or retraining) each change comes from; the bootstrap draws whole groups, since one retraining's
            noise is in all of its changes. None: each change is its own group.
        n_bootstrap: resamples.
        seed: of the draws.

    Raises:
        ValueError: when shapes differ, a value is not finite, or there are fewer than two changes.
    """
    x, y = np.asarray(predicted, dtype=np.float64).ravel(), np.asarray(measured, dtype=np.float64).ravel()
    if x.shape != y.shape or len(x) < 2:
        raise ValueError(f"Expected as many predicted as measured changes, two at least; got {len(x)} and {len(y)}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("Predicted and measured changes must be finite; leave out those of retrainings that failed, and say so.")
    if groups is not None and np.size(groups) != len(x):
        raise ValueError(f"groups names {np.size(groups)} changes; expected {len(x)}.")
    codes = np.arange(len(x)) if groups is None else np.unique(np.asarray(groups).ravel(), return_inverse=True)[1]
    n_groups = int(codes.max()) + 1
    moments = np.stack([np.bincount(codes, w, n_groups) for w in (np.ones_like(x), x, y, x * x, y * y, x * y)])  # [6, G]
    values = _line(moments.sum(axis=1, keepdims=True))
    notes: list[str] = []
    if n_groups > 1:
        drawn = np.random.default_rng(seed).multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_bootstrap)
        resampled = _line(moments @ drawn.T)
    else:
        resampled = np.full((3, 1), np.nan)
        notes.append("All changes come from one retraining, so there is no interval.")
    if 1 < n_groups < 10:
        notes.append(f"There are {n_groups} independent retrainings only; the intervals are rough.")
    if not np.isfinite(values[2, 0]):
        notes.append("Predicted or measured changes do not vary, so there is no line through them.")
    slope, intercept, correlation = (estimate(float(value[0]), sample) for value, sample in zip(values, resampled, strict=True))
    return Calibration(
        slope=slope,
        intercept=intercept,
        correlation=correlation,
        error=float(np.sqrt(np.mean((y - x) ** 2))),
        spread=float(np.sqrt(np.mean(y**2))),
        n_changes=len(x),
        n_groups=n_groups,
        notes=tuple(notes),
    )


def calibrate_seeds(predicted: np.ndarray, measured: np.ndarray, *, n_bootstrap: int = 1000, seed: int = 0) -> Calibration:
    """Compare the changes of many test points by one list of edits, retrained from several seeds: means over seeds.

    The bootstrap draws seeds and test points, since another seed would give other networks and other test points other changes. A draw holds
    fewer different seeds than there are, so its means are noisier: the lower end of the correlation is on the safe side.

    Args:
        predicted: ``[R, M]``, the changes predicted for the training set of each seed; the same rows where all seeds share it.
        measured: ``[R, M]``, the change after retraining from that seed.
        n_bootstrap: resamples.
        seed: of the draws.

    Raises:
        ValueError: when shapes differ, a value is not finite, or there are fewer than two test points.
    """
    x, y = np.asarray(predicted, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 2 or not len(x):
        raise ValueError(f"Expected predicted and measured changes [R, M] alike; got shapes {x.shape} and {y.shape}.")
    whole = calibrate(x.mean(axis=0), y.mean(axis=0), n_bootstrap=1)
    n_seeds, n = x.shape
    notes = [note for note in whole.notes if "line" in note]
    resampled = np.full((3, 1), np.nan)
    if n_seeds > 1:
        rng = np.random.default_rng(seed)
        seeds = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n_bootstrap) / n_seeds  # [B, R]
        points = rng.multinomial(n, np.full(n, 1 / n), size=n_bootstrap)  # [B, M]
        mean_x, mean_y = seeds @ x, seeds @ y
        parts = (np.ones_like(mean_x), mean_x, mean_y, mean_x**2, mean_y**2, mean_x * mean_y)
        resampled = _line(np.stack([(points * part).sum(axis=1) for part in parts]))
    else:
        notes.append("There is one seed only, so there is no interval.")
    if 1 < n_seeds < 10:
        notes.append(f"There are {n_seeds} seeds only; the intervals are rough.")
    values = (whole.slope, whole.intercept, whole.correlation)
    slope, intercept, correlation = (estimate(one.value, sample) for one, sample in zip(values, resampled, strict=True))
    return Calibration(slope, intercept, correlation, whole.error, whole.spread, n, n_seeds, tuple(notes))


def _line(moments: np.ndarray) -> np.ndarray:
    """Slope, intercept and correlation from sums of 1, x, y, xx, yy, xy: ``[6, B]`` -> ``[3, B]``; NaN where x or y does not vary."""
    n, x, y, xx, yy, xy = moments
    mean_x, mean_y = x / n, y / n
    var_x, var_y, together = xx / n - mean_x**2, yy / n - mean_y**2, xy / n - mean_x * mean_y
    varies_x, varies_y = var_x > 1e-12 * np.maximum(xx / n, 1e-300), var_y > 1e-12 * np.maximum(yy / n, 1e-300)
    nan = np.full_like(n, np.nan)
    slope = np.divide(together, var_x, out=nan.copy(), where=varies_x)
    size = np.sqrt(np.maximum(var_x * var_y, 0.0))
    correlation = np.divide(together, size, out=nan.copy(), where=varies_x & varies_y)
    return np.stack([slope, mean_y - slope * mean_x, np.clip(correlation, -1.0, 1.0)])
