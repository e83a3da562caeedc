"""``trust``: per test point, whether an explanation by the surrogate may be used, with the reliability of that badge measured.

The badge comes from measured quantities only (:data:`ntkviz.fidelity.evidence.PARTS`) and never from the point's label, so a person's new
point can have one. It is calibrated against an error on one half of the test points and judged on the other half, both ways round:
each point's verdict is made by a calibration that has not seen its error.

1. Each part is turned into its rank among the calibrating points. 2. The error is regressed on the ranks with weights that are not
negative: evidence can only raise suspicion. The fitted error is the score. 3. Two thresholds on the score make three verdicts: as
many points as possible are trusted while the error of "do not use" is :data:`TARGET` times that of "trust" among the calibrating points. A
point at which surrogate and network name different classes is "do not use" whatever its score: it would explain an answer that
the network did not give.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from ntkviz.fidelity.bootstrap import interval, resample_counts
from ntkviz.fidelity.evidence import Observed, evidence, fit_link, held_out_gap

#: The verdicts, from best to worst.
VERDICTS = ("trust", "caution", "do not use")
TRUST, CAUTION, AVOID = VERDICTS
#: Error of "do not use" over error of "trust" that the thresholds aim at, a little more than the 3 that is asked of them.
TARGET = 3.5
#: Fewer test points than this are not split and calibrated: halves of them say too little.
MIN_POINTS = 40
#: Quantiles of the score tried as thresholds: trusted below the first, not to be used above the second.
_TRUSTED, _AVOIDED = (0.7, 0.6, 0.5, 0.4, 0.3, 0.2), (0.85, 0.9, 0.95)
#: A part is named as a reason when it is among this share of the largest.
_REMARKABLE = 0.9


@dataclass(frozen=True)
class Reliability:
    """How large the error was at the points of one verdict.

    Attributes:
        verdict: one of :data:`VERDICTS`.
        n_points: test points.
        error: mean error; NaN when there is no point.
        low: lower end of its 95 % interval over test points.
        high: upper end.
    """

    verdict: str
    n_points: int
    error: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Trust:
    """The badges of M test points.

    Attributes:
        verdict: text ``[M]``, each one of :data:`VERDICTS`.
        score: ``[M]``, the error that is expected, in units of the error; ranks from 0 to 1 when there was no calibration.
        parts: name -> ``[M]``, the evidence, each point's by the calibration that judged it.
        reasons: a list of short sentences for each point.
        thresholds: the two thresholds on the score, of each half's calibration.
        weights: part -> its weight, mean of both calibrations.
        reliability: one row a verdict.
        error_name: what the error is.
        ratio: error of "do not use" over error of "trust"; NaN when one of them has no point.
        ratio_low: lower end of its 95 % interval.
        ratio_high: upper end.
        calibrated: False when there were too few points.
        notes: what was left out or approximated.
    """

    verdict: np.ndarray
    score: np.ndarray
    parts: dict[str, np.ndarray]
    reasons: tuple[tuple[str, ...], ...]
    thresholds: tuple[tuple[float, float], ...]
    weights: dict[str, float]
    reliability: tuple[Reliability, ...]
    error_name: str
    ratio: float
    ratio_low: float
    ratio_high: float
    calibrated: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was learnt from one half of the points, enough to judge others.

    Attributes:
        names: the parts, in order.
        sorted_parts: ``[n, parts]``, each column ascending: the calibrating points' evidence.
        weights: ``[parts]``, >= 0.
        base: error expected of a point with nothing against it.
        trusted: score up to which a point is trusted.
        avoided: score above which it is not to be used.
    """

    names: tuple[str, ...]
    sorted_parts: np.ndarray
    weights: np.ndarray
    base: float
    trusted: float
    avoided: float

    def ranks(self, parts: dict[str, np.ndarray]) -> np.ndarray:
        """Share of the calibrating points with less of each part (equals count half), ``[M, parts]``."""
        columns = []
        for j, name in enumerate(self.names):
            known = self.sorted_parts[:, j]
            places = np.searchsorted(known, parts[name], "left") + np.searchsorted(known, parts[name], "right")
            columns.append(places / (2 * len(known)))
        return np.column_stack(columns)

    def score(self, parts: dict[str, np.ndarray]) -> np.ndarray:
        """The error expected of each point, ``[M]``."""
        return self.base + self.ranks(parts) @ self.weights

    def verdict(self, score: np.ndarray, agrees: np.ndarray) -> np.ndarray:
        """The verdict of each point, text ``[M]``."""
        found = np.where(score <= self.trusted, TRUST, np.where(score > self.avoided, AVOID, CAUTION))
        return np.where(agrees, found, AVOID).astype("<U10")


def trust(
    observed: Observed,
    error: np.ndarray | None = None,
    error_name: str = "",
    *,
    seed: int = 0,
    n_draws: int = 1000,
) -> Trust:
    """Judge test points, and measure how reliable the judgement is.

    Args:
        observed: what :func:`ntkviz.fidelity.evidence.observe` collected; it holds no label.
        error: ``[M]``, >= 0, what went wrong at each point, measured independently of the evidence: one minus the point's LDS where there are
            retrainings, say. NaN where it was not measured: such a point is judged and does not count. None: the gap of network and surrogate
            at neighbours or perturbed copies that were kept out of the evidence.
        error_name: what the error is, in words.
        seed: splits the points.
        n_draws: resamples behind the intervals.

    Raises:
        ValueError: when there is not one error a point, or one is negative or infinite.
    """
    if error is None:
        error_name, measured = held_out_gap(observed)
    else:
        measured = _errors(error, observed.n_points)
    if np.isfinite(measured).sum() < MIN_POINTS:
        return _uncalibrated(observed, measured, error_name)
    order = np.random.default_rng(seed).permutation(observed.n_points)
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    verdict, score, parts = np.empty(observed.n_points, dtype="<U10"), np.empty(observed.n_points), {}
    reasons: list[tuple[str, ...]] = [()] * observed.n_points
    calibrations = []
    for teach, judge in (halves, halves[::-1]):
        made, found = calibrate(observed, measured, teach)
        calibrations.append(made)
        scores = made.score(found)
        score[judge], verdict[judge] = scores[judge], made.verdict(scores, observed.agrees)[judge]
        for m, told in zip(judge.tolist(), why(made, found, observed.agrees, judge), strict=True):
            reasons[m] = told
        for name, values in found.items():
            parts.setdefault(name, np.empty(observed.n_points))[judge] = values[judge]
    rows, ratio, low, high = reliability(verdict, measured, seed=seed, n_draws=n_draws)
    weights = np.mean([made.weights for made in calibrations], axis=0).tolist()
    return Trust(
        verdict=verdict,
        score=score,
        parts=parts,
        reasons=tuple(reasons),
        thresholds=tuple((c.trusted, c.avoided) for c in calibrations),
        weights=dict(zip(calibrations[0].names, weights, strict=True)),
        reliability=rows,
        error_name=error_name,
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        calibrated=True,
        notes=(*_unmeasured(measured), *observed.notes),
    )


def calibrate(observed: Observed, error: np.ndarray, points: np.ndarray) -> tuple[Calibration, dict[str, np.ndarray]]:
    """Learn from some points what makes errors likely.

    Args:
        observed: all points.
        error: ``[M]``, NaN where it was not measured.
        points: those that teach.

    Returns:
        The calibration, and the evidence of all points in its units.
    """
    parts = evidence(observed, fit_link(observed, points))
    taught = points[np.isfinite(error[points])]
    names, values = tuple(parts), np.column_stack([parts[name] for name in parts])
    blank = Calibration(names, np.sort(values[points], axis=0), np.zeros(len(names)), 0.0, 0.0, 0.0)
    ranks, wanted = blank.ranks(parts)[taught], error[taught]
    weights, _ = nnls(np.column_stack([np.ones(len(ranks)), ranks]), wanted)
    scores = weights[0] + ranks @ weights[1:]
    trusted, avoided = _thresholds(scores, wanted, observed.agrees[taught])
    return Calibration(names, blank.sorted_parts, weights[1:], float(weights[0]), trusted, avoided), parts


def reliability(
    verdict: np.ndarray, error: np.ndarray, *, seed: int = 0, n_draws: int = 1000
) -> tuple[tuple[Reliability, ...], float, float, float]:
    """The mean error of each verdict, and the ratio of the worst to the best, with intervals over test points.

    Args:
        verdict: text ``[M]``.
        error: ``[M]``, NaN where it was not measured.
        seed: of the resamples.
        n_draws: how many.

    Returns:
        One row a verdict; the ratio, its lower and its upper end.
    """
    known = np.isfinite(error)
    verdict, error = verdict[known], error[known]
    weights = np.vstack([np.ones((1, len(error))), resample_counts(len(error), n_draws, seed)])
    rows, means = [], {}
    for name in VERDICTS:
        inside = (verdict == name).astype(np.float64)
        total, count = weights @ (inside * error), weights @ inside
        means[name] = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
        rows.append(Reliability(name, int(inside.sum()), float(means[name][0]), *interval(means[name][1:])))
    worst, best = means[AVOID], means[TRUST]
    ratios = np.divide(worst, best, out=np.full(len(worst), np.nan), where=best > 0)
    return (tuple(rows), float(ratios[0]), *interval(ratios[1:]))


def why(calibration: Calibration, parts: dict[str, np.ndarray], agrees: np.ndarray, points: np.ndarray) -> list[tuple[str, ...]]:
    """Short sentences for each point: what is unusual about it among the calibrating points.

    Args:
        calibration: knows what is usual.
        parts: the evidence.
        agrees: ``[M]``.
        points: whose reasons are asked for, positions in 0..M-1.
    """
    ranks = calibration.ranks(parts)
    reasons = []
    for m in points.tolist():
        said = [] if agrees[m] else ["The surrogate names another class than the network."]
        for j in np.argsort(-ranks[m], kind="stable"):
            if ranks[m, j] >= _REMARKABLE:
                said.append(_sentence(calibration.names[j], float(parts[calibration.names[j]][m])))
        reasons.append(tuple(said or ["Nothing unusual: all evidence is within the usual nine tenths."]))
    return reasons


def _sentence(name: str, value: float) -> str:
    return {
        "gap": f"Network and surrogate are {value:.1f} spreads apart in log-odds of the class.",
        "neighbour_gap": f"At near test points they are {value:.1f} spreads apart.",
        "neighbour_disagreement": f"At {value:.0%} of near test points they name different classes.",
        "perturbed_gap": f"At small changes of the input they are {value:.1f} spreads apart.",
        "perturbed_disagreement": f"At {value:.0%} of small changes of the input they name different classes.",
        "below_noise": f"{value:.0%} of its kernel row lies in directions below the noise floor.",
        "few_points": f"Effectively {1 / max(value, 1e-12):.0f} training points carry the surrogate's answer.",
        "weak_effects": f"Removing half of the training points is foretold to change its log-odds by only {1 / value:.2g}.",
        "spread_effects": f"The foretold effects are spread thinly, over effectively {value:.0f} training points.",
    }[name]


def _thresholds(scores: np.ndarray, error: np.ndarray, agrees: np.ndarray) -> tuple[float, float]:
    """Two thresholds: most points trusted with the ratio aimed at; when no pair has it, those with the largest ratio."""
    best, found = -np.inf, (float(np.quantile(scores, 0.5)), float(np.quantile(scores, 0.9)))
    for share in _TRUSTED:
        for top in _AVOIDED:
            low, high = (float(q) for q in np.quantile(scores, [share, top]))
            trusted, avoided = agrees & (scores <= low), ~agrees | (scores > high)
            if trusted.sum() < 5 or avoided.sum() < 3:
                continue
            ratio = error[avoided].mean() / max(float(error[trusted].mean()), 1e-12)
            if ratio >= TARGET:
                return low, high
            if ratio > best:
                best, found = ratio, (low, high)
    return found


def _uncalibrated(observed: Observed, error: np.ndarray, error_name: str) -> Trust:
    """Verdicts without calibration: too few points to learn from. Nobody is trusted."""
    parts = evidence(observed, fit_link(observed, np.arange(observed.n_points)))
    names, values = tuple(parts), np.column_stack(list(parts.values()))
    made = Calibration(names, np.sort(values, axis=0), np.full(len(names), 1 / len(names)), 0.0, -np.inf, 0.9)
    score = made.score(parts)
    verdict = made.verdict(score, observed.agrees)
    rows, *_ = reliability(verdict, error, n_draws=0)
    note = (
        f"Only {int(np.isfinite(error).sum())} test points with a measured error; {MIN_POINTS} are needed to calibrate the badge, so no point is called "
        "trusted. Run the study with more test points."
    )
    return Trust(
        verdict=verdict,
        score=score,
        parts=parts,
        reasons=tuple(why(made, parts, observed.agrees, np.arange(observed.n_points))),
        thresholds=(),
        weights=dict(zip(names, made.weights.tolist(), strict=True)),
        reliability=rows,
        error_name=error_name,
        ratio=float("nan"),
        ratio_low=float("nan"),
        ratio_high=float("nan"),
        calibrated=False,
        notes=(note, *observed.notes),
    )


def _errors(error: np.ndarray | Sequence[float], n_points: int) -> np.ndarray:
    """The errors, float64 ``[M]``.

    Raises:
        ValueError: when there is not one a point, or one is negative or infinite.
    """
    values = np.asarray(error, dtype=np.float64)
    if values.shape != (n_points,):
        raise ValueError(f"Expected one error a test point, {n_points}; got shape {values.shape}.")
    if np.isinf(values).any() or (values < 0).any():
        raise ValueError("Errors must be finite and not negative, or NaN where nothing was measured.")
    return values


def _unmeasured(error: np.ndarray) -> tuple[str, ...]:
    missing = int((~np.isfinite(error)).sum())
    return (
        (
            f"{missing:,} of {len(error):,} test points have no measured error: they are judged and do not count in the reliability.",
        )
        if missing
        else ()
    )
