"""``lds``: does retraining confirm an attribution? The linear datamodelling score, with intervals and its ceiling.

For subsets s of the training set (masks), the attribution foretells ``sum_{i in s} a_i(x)`` for a test point x, and retraining on s shows
what the network then says of x (its margin, the log-odds of the correct class, as a mean over R seeds). LDS is Spearman's correlation of
the two over the subsets, as a mean over test points: 1 when the attribution puts the subsets in the right order, 0 when it knows nothing.

Intervals resample test points and subsets together (the draws are independent, every resample is ranked anew, exactly); such a product
bootstrap is slightly too wide rather than too narrow. S^2 M operations a draw: 100 subsets, 500 points and 1,000 draws take a few seconds.

Letters: N training points, M test points, S subsets, R seeds, B draws. Sign: ``a[m, i] > 0`` means that removing i lowers the margin of m.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ntkviz.fidelity.bootstrap import interval, resample_counts
from ntkviz.fidelity.ceiling import Ceiling, noise_ceiling
from ntkviz.fidelity.ranks import levelled, rank_correlations

_NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Lds:
    """How well an attribution foretells retraining. NaN where ``notes`` say why.

    Attributes:
        value: mean over test points of Spearman's correlation over subsets, in [-1, 1].
        low: lower end of the 95 % interval, over test points and subsets.
        high: upper end.
        low_points: lower end over test points alone, the subsets as they are: what is often reported, and narrower.
        high_points: upper end.
        per_point: ``[M]``, the correlation of each test point; NaN for those that are left out.
        ceiling: the LDS that knowing the exact mean margin of each subset would have, from the spread of the R seeds; NaN for R = 1.
        seed_to_seed: mean rank correlation of two seeds over subsets.
        within: the same as ``value`` after the class counts of each subset are regressed out of sums and margins: what is
            foretold beyond "points of the same class help". NaN when the labels were not given.
        within_low: lower end of its interval.
        within_high: upper end.
        n_points: test points that count.
        n_subsets: S.
        n_seeds: R.
        n_dropped: test points left out because sums or margins are the same for all subsets.
        n_draws: B.
        notes: what was left out, and why there is no figure.
    """

    value: float
    low: float
    high: float
    low_points: float
    high_points: float
    per_point: np.ndarray
    ceiling: float
    seed_to_seed: float
    within: float = _NAN
    within_low: float = _NAN
    within_high: float = _NAN
    n_points: int = 0
    n_subsets: int = 0
    n_seeds: int = 0
    n_dropped: int = 0
    n_draws: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """One LDS minus another, on the same test points and subsets.

    Attributes:
        value: the difference.
        low: lower end of the 95 % interval over test points and subsets, drawn alike for both.
        high: upper end.
        share_better: share of test points at which the first is the larger.
        n_points: test points for which both are defined.
    """

    value: float
    low: float
    high: float
    share_better: float
    n_points: int

    @property
    def clear(self) -> bool:
        """Whether the two are told apart: the interval does not hold 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, eq=False)
class _Truth:
    """The retrainings, checked, with the draws that all comparisons share."""

    masks: np.ndarray  # float64 [S, N]
    margins: np.ndarray  # float64 [S, R, M]
    subsets: np.ndarray  # [1 + B, S], ones first
    points: np.ndarray  # [B, M]

    @property
    def mean(self) -> np.ndarray:
        """``[S, M]``."""
        return self.margins.mean(axis=1)

    def sums(self, effects: np.ndarray) -> np.ndarray:
        """What an attribution foretells for each subset, ``[S, M]``, without its value at the mean subset."""
        return self.masks @ effects.T

    def mean_over_points(self, each: np.ndarray) -> tuple[float, np.ndarray]:
        """The mean of ``[1 + B, M]`` over the points that have a value: on all, and on each draw."""
        known = np.isfinite(each)
        filled = np.where(known, each, 0.0)
        weights = np.vstack([np.ones((1, each.shape[1])), self.points]) * known
        total = weights.sum(axis=1)
        means = np.divide((weights * filled).sum(axis=1), total, out=np.full(len(each), _NAN), where=total > 0)
        return float(means[0]), means[1:]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several attributions on the same retrainings and the same draws.

    Attributes:
        found: the LDS of each.
        truth: the retrainings with the draws.
        each: ``[K, 1 + B, M]``, the correlations of each attribution at each test point, on all subsets and on each draw.
    """

    found: list[Lds]
    truth: _Truth
    each: np.ndarray

    def difference(self, first: int, second: int) -> Difference:
        """The LDS of one of them minus that of another."""
        return _difference(self.truth, self.each[first], self.each[second])


def lds(
    effects: np.ndarray,
    masks: np.ndarray,
    margins: np.ndarray,
    *,
    seed: int = 0,
    n_draws: int = 1000,
    classes: np.ndarray | None = None,
) -> Lds:
    """How well an attribution foretells what retraining on subsets shows.

    Args:
        effects: ``[M, N]``, effect of each training point on the margin of each test point.
        masks: bool ``[S, N]``, True for training points that the subset keeps.
        margins: ``[S, R, M]``, the margin after retraining on subset s from seed r.
        seed: of the draws.
        n_draws: B, draws behind the intervals; 0 for none.
        classes: ``[N]`` labels of the training points, for ``within``.

    Raises:
        ValueError: when shapes do not fit, something is not finite, or there are fewer than three subsets.
    """
    return compare([effects], masks, margins, seed=seed, n_draws=n_draws, classes=classes).found[0]


def compare(
    several: Sequence[np.ndarray],
    masks: np.ndarray,
    margins: np.ndarray,
    *,
    seed: int = 0,
    n_draws: int = 1000,
    classes: np.ndarray | None = None,
) -> Comparison:
    """:func:`lds` of several attributions on the same retrainings; the same draws for all, and the retrainings ranked once.

    Args:
        several: arrays ``[M, N]``.
        masks: bool ``[S, N]``.
        margins: ``[S, R, M]``.
        seed: of the draws.
        n_draws: B.
        classes: ``[N]``, or None.

    Raises:
        ValueError: when shapes do not fit, something is not finite, or there are fewer than three subsets.
    """
    truth = _checked(masks, margins, seed, n_draws)
    values = [_effects(effects, truth) for effects in several]
    target, sums = _levelled_margins(truth.mean), [_levelled_sums(truth, effects) for effects in values]
    each = rank_correlations(sums, target, truth.subsets)
    inside = None if classes is None else _within(truth, values, _one_hot(classes, truth.masks.shape[1]))
    top = noise_ceiling(truth.margins)
    found = [_result(truth, each[k], None if inside is None else inside[k], top) for k in range(len(values))]
    return Comparison(found, truth, each)


def paired_difference(
    first: np.ndarray, second: np.ndarray, masks: np.ndarray, margins: np.ndarray, *, seed: int = 0, n_draws: int = 1000
) -> Difference:
    """The LDS of one attribution minus that of another.

    Args:
        first: ``[M, N]``.
        second: ``[M, N]``.
        masks: bool ``[S, N]``.
        margins: ``[S, R, M]``.
        seed: of the draws.
        n_draws: B.

    Raises:
        ValueError: when shapes do not fit or something is not finite.
    """
    return compare([first, second], masks, margins, seed=seed, n_draws=n_draws).difference(0, 1)


def specificity(
    effects: np.ndarray, masks: np.ndarray, margins: np.ndarray, *, own: int = 0, seed: int = 0, n_draws: int = 1000
) -> Difference:
    """How much better an attribution foretells retrainings from the explained network's own initial parameters than from others.

    The LDS against seed ``own`` alone, minus the mean of the LDS against each other seed alone. An attribution that knows nothing of this
    network can still be above 0 when that seed happens to be easy: look at the figure of a model-free control beside it.

    Args:
        effects: ``[M, N]``.
        masks: bool ``[S, N]``.
        margins: ``[S, R, M]``, R >= 2.
        own: position of the seed from which the explained network was trained.
        seed: of the draws.
        n_draws: B.

    Raises:
        ValueError: when there is no other seed, shapes do not fit or something is not finite.
    """
    truth = _checked(masks, margins, seed, n_draws)
    n_seeds = truth.margins.shape[1]
    if n_seeds < 2 or not 0 <= own < n_seeds:
        raise ValueError(
            f"Specificity compares seed {own} with other seeds; got {n_seeds} seeds. Retrain from two seeds or more."
        )
    sums = _levelled_sums(truth, _effects(effects, truth))
    single = [rank_correlations([sums], _levelled_margins(truth.margins[:, r]), truth.subsets)[0] for r in range(n_seeds)]
    others = np.mean([each for r, each in enumerate(single) if r != own], axis=0)
    return _difference(truth, single[own], others)


def _result(truth: _Truth, each: np.ndarray, inside: np.ndarray | None, top: Ceiling) -> Lds:
    """The figures of one attribution from its correlations ``[1 + B, M]``."""
    value, draws = truth.mean_over_points(each)
    low, high = _interval(value, draws)
    (at_points, of_points) = truth.mean_over_points(np.repeat(each[:1], len(each), axis=0))
    low_points, high_points = _interval(at_points, of_points)
    within = (_NAN, _NAN, _NAN)
    if inside is not None:
        # A point whose sums say nothing beyond the class counts foretells nothing beyond them: 0, and not left out.
        partial, partial_draws = truth.mean_over_points(np.where(np.isfinite(each), np.nan_to_num(inside), _NAN))
        within = (partial, *_interval(partial, partial_draws))
    dropped = int((~np.isfinite(each[0])).sum())
    n_points = each.shape[1] - dropped
    notes = [*top.notes]
    if dropped:
        notes.insert(
            0,
            f"{dropped:,} of {each.shape[1]:,} test points are left out: the attribution's sums or the retrained margins are the same for all subsets.",
        )
    return Lds(
        value=value,
        low=low,
        high=high,
        low_points=low_points,
        high_points=high_points,
        per_point=each[0].copy(),
        ceiling=top.value,
        seed_to_seed=top.seed_to_seed,
        within=within[0],
        within_low=within[1],
        within_high=within[2],
        n_points=n_points,
        n_subsets=truth.masks.shape[0],
        n_seeds=truth.margins.shape[1],
        n_dropped=dropped,
        n_draws=len(truth.points),
        notes=tuple(notes),
    )


def _difference(truth: _Truth, first: np.ndarray, second: np.ndarray) -> Difference:
    """The mean over points of the difference of two arrays ``[1 + B, M]``."""
    value, draws = truth.mean_over_points(first - second)
    low, high = _interval(value, draws, limit=2.0)
    known = np.isfinite(first[0] - second[0])
    better = float((first[0] > second[0])[known].mean()) if known.any() else _NAN
    return Difference(value, low, high, better, int(known.sum()))


def _within(truth: _Truth, several: Sequence[np.ndarray], one_hot: np.ndarray) -> np.ndarray:
    """Correlations after the class counts are regressed out, by least squares on all subsets, ``[K, 1 + B, M]``."""
    counts = np.column_stack([np.ones(len(truth.masks)), truth.masks @ one_hot])
    basis, size, _ = np.linalg.svd(counts, full_matrices=False)
    basis = basis[:, size > 1e-9 * size[0]]

    def rest(values: np.ndarray) -> np.ndarray:
        return values - basis @ (basis.T @ values)

    sums = [levelled(rest(truth.sums(e)), np.abs(e).sum(axis=1)) for e in several]
    margins = truth.mean
    return rank_correlations(sums, levelled(rest(margins), np.abs(margins).max(axis=0)), truth.subsets)


def _levelled_sums(truth: _Truth, effects: np.ndarray) -> np.ndarray:
    return levelled(truth.sums(effects), np.abs(effects).sum(axis=1))


def _levelled_margins(margins: np.ndarray) -> np.ndarray:
    return levelled(margins, np.abs(margins).max(axis=0))


def _interval(value: float, draws: np.ndarray, limit: float = 1.0) -> tuple[float, float]:
    """The percentile interval of the draws about the value.

    A resample holds some subsets twice, and these tell nothing about the order of neighbours: rank correlations of resamples lie nearer to
    zero by about 1 / S. The draws give the spread and not that shift, so they are centred on the value first.
    """
    if not np.isfinite(value) or not np.isfinite(draws).any():
        return _NAN, _NAN
    low, high = interval(draws + (value - np.nanmean(draws)))
    return max(low, -limit), min(high, limit)


def _one_hot(classes: np.ndarray, n: int) -> np.ndarray:
    """``[N, K]``, one column a class.

    Raises:
        ValueError: when there is not one class a training point.
    """
    given = np.asarray(classes)
    if given.shape != (n,):
        raise ValueError(f"classes must be the labels of the {n} training points; got shape {given.shape}.")
    return (given[:, None] == np.unique(given)).astype(np.float64)


def _effects(effects: np.ndarray, truth: _Truth) -> np.ndarray:
    """The attribution, float64 ``[M, N]``.

    Raises:
        ValueError: when it does not fit the retrainings, or is not finite.
    """
    values, wanted = np.asarray(effects), (truth.margins.shape[2], truth.masks.shape[1])
    if values.shape != wanted or values.dtype.kind not in "fiub":
        raise ValueError(
            f"effects must be numbers {list(wanted)}, test points by training points as in the retrainings; got shape {values.shape} of {values.dtype}."
        )
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} effects are not finite; compute the attribution again.")
    return values


def _checked(masks: np.ndarray, margins: np.ndarray, seed: int, n_draws: int) -> _Truth:
    """The retrainings and the draws.

    Raises:
        ValueError: when shapes do not fit, something is not finite, or there are fewer than three subsets.
    """
    kept, found = np.asarray(masks), np.asarray(margins)
    if kept.ndim != 2 or found.ndim != 3 or len(kept) != len(found) or not found.size:
        raise ValueError(
            f"Expected masks [S, N] and margins [S, R, M] of the same S subsets; got shapes {kept.shape} and {found.shape}."
        )
    if len(kept) < 3:
        raise ValueError(
            f"A rank correlation over subsets needs at least three of them; got {len(kept)}. Retrain on more subsets."
        )
    if not np.isfinite(found).all():
        raise ValueError(
            f"{int((~np.isfinite(found)).sum())} retrained margins are not finite. Retrain those subsets, or leave the points out."
        )
    if isinstance(n_draws, bool) or not isinstance(n_draws, int) or n_draws < 0:
        raise ValueError(f"n_draws must be a whole number, 0 or more; got {n_draws!r}.")
    draws = resample_counts(len(kept), n_draws, seed)
    points = resample_counts(found.shape[2], n_draws, seed + 1)
    subsets = np.vstack([np.ones((1, len(kept)), dtype=np.float32), draws])
    return _Truth(kept.astype(np.float64), found.astype(np.float64), subsets, points)
