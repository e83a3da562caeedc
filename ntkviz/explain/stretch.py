"""By what factor do retrained networks move more than a surrogate says? One number, taken from training sets that were really tried.

A kernel surrogate puts changes of the training set in the right order and makes them too small: its scores are flatter than the network's
and its fit is damped. Where networks were retrained on random halves of the training set, the surrogate is fitted to the same halves, and
the slope of what the networks' margins do on what the surrogate's do is the *stretch*: a prediction times the stretch is in the network's
units. It is measured on random removals of half of the points; that it holds for a few chosen ones, for other labels or for copies is an
assumption, which *Retrain to verify* tests.

Letters: S subsets, R seeds, M test points, N training points, B draws.
"""

from dataclasses import dataclass

import numpy as np

from ntkviz.explain.calibration import Estimate, estimate
from ntkviz.explain.what_if import WhatIfModel
from ntkviz.scores import log_odds_of

#: Share of the gradient that a refit may leave before its predictions are no longer those of a fit.
_LEFT = 0.05


@dataclass(frozen=True)
class Stretch:
    """How much larger the changes of retrained networks are than those that the surrogate predicts.

    Attributes:
        factor: the slope through each test point's mean; its 95 % interval draws subsets and test points together.
        correlation: of predicted and retrained changes, each about its test point's mean.
        n_subsets: S.
        n_points: M.
        n_seeds: R.
        notes: what to know before using it.
    """

    factor: Estimate
    correlation: Estimate
    n_subsets: int
    n_points: int
    n_seeds: int
    notes: tuple[str, ...] = ()

    @property
    def applies(self) -> bool:
        """Whether predictions may be multiplied by it: the whole interval is above 0."""
        return bool(np.isfinite(self.factor.low) and self.factor.low > 0)


def stretch(predicted: np.ndarray, measured: np.ndarray, *, n_bootstrap: int = 1000, seed: int = 0) -> Stretch:
    """Compare what a surrogate and retrained networks say of test points after training on the same subsets.

    Each test point is compared with itself: its mean over subsets is taken away, so that a constant gap between surrogate and network does
    not count. Subsets and points are drawn together, since another set of either would give another factor.

    Args:
        predicted: ``[S, M]``, log-odds of the true class by the surrogate fitted to each subset.
        measured: ``[S, R, M]``, the same by the networks trained on each subset.
        n_bootstrap: B.
        seed: of the draws.

    Raises:
        ValueError: when shapes differ, a value is not finite, there are fewer than three subsets, or the predictions do not vary.
    """
    x, every = np.asarray(predicted, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    if x.ndim != 2 or every.ndim != 3 or (len(every), every.shape[2]) != x.shape or not every.size:
        raise ValueError(f"Expected predicted [S, M] and measured [S, R, M]; got shapes {x.shape} and {every.shape}.")
    if len(x) < 3:
        raise ValueError(f"A slope over subsets needs three of them at least; got {len(x)}. Retrain on more subsets.")
    if not (np.isfinite(x).all() and np.isfinite(every).all()):
        raise ValueError("Predicted and retrained margins must be finite; leave out subsets whose training failed, and say so.")
    x, y = x - x.mean(axis=0), every.mean(axis=1) - every.mean(axis=(0, 1))
    if not (x**2).sum() > 0:
        raise ValueError("The surrogate predicts the same for all subsets, so there is no factor. Check its penalty.")
    rng, (n_subsets, n_points) = np.random.default_rng(seed), x.shape
    subsets = rng.multinomial(n_subsets, np.full(n_subsets, 1 / n_subsets), size=n_bootstrap)
    points = rng.multinomial(n_points, np.full(n_points, 1 / n_points), size=n_bootstrap)
    drawn = _slopes(x, y, subsets, points)
    whole = _slopes(x, y, np.ones((1, n_subsets)), np.ones((1, n_points)))
    factor, correlation = (estimate(float(value[0]), draws) for value, draws in zip(whole, drawn, strict=True))
    rough = (f"Only {n_subsets} subsets were compared; the interval is rough.",) if n_subsets < 10 else ()
    return Stretch(factor, correlation, n_subsets, n_points, every.shape[1], rough)


def subset_margins(
    model: WhatIfModel, rows: np.ndarray, classes: np.ndarray, masks: np.ndarray, *, steps: int | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Log-odds of a class by the surrogate refitted to subsets of its training points, float64 ``[S, M]``, and what to know about them.

    Args:
        model: the surrogate, ready for edits.
        rows: ``[M, N]``.
        classes: int ``[M]``.
        masks: bool ``[S, N]``, True for points that a subset keeps.
        steps: Newton steps of klr. None, the default, goes on until the fit is done (less than 1 % of the gradient is left), as
            :meth:`WhatIfModel.apply` does: a factor and the predictions that it stretches must be made alike, and a single step from the
            whole set to a half of it stops far from the fit.

    Raises:
        ValueError: when a mask leaves fewer than two classes.
    """
    fits = [model.fit_counts(mask.astype(np.float64), model.labels, steps=steps) for mask in masks]
    unfinished = sum(fit.left > _LEFT for fit in fits)
    notes = (f"{unfinished} of {len(fits)} refits were stopped before they were done.",) if unfinished else ()
    return np.stack([log_odds_of(fit.scores(rows), classes) for fit in fits]), notes


def _slopes(x: np.ndarray, y: np.ndarray, subsets: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Slope of y on x and their correlation, both about each test point's mean in the draw, ``[2, B]``; NaN where x or y does not vary.

    Args:
        x: ``[S, M]``, mean 0 over S.
        y: ``[S, M]``, likewise.
        subsets: how often each subset counts, ``[B, S]``.
        points: how often each test point counts, ``[B, M]``.
    """
    weights = subsets / subsets.sum(axis=1, keepdims=True)
    mean_x, mean_y = weights @ x, weights @ y
    xx, yy, xy = weights @ (x * x) - mean_x**2, weights @ (y * y) - mean_y**2, weights @ (x * y) - mean_x * mean_y
    xx, yy, xy = ((points * part).sum(axis=1) for part in (xx, yy, xy))
    nan = np.full(len(xx), np.nan)
    slope = np.divide(xy, xx, out=nan.copy(), where=xx > 0)
    size = np.sqrt(np.maximum(xx * yy, 0.0))
    return np.stack([slope, np.divide(xy, size, out=nan.copy(), where=size > 0)])
