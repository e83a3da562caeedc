"""What happened when the strongest training points were removed and the network was trained again: drops, differences, flips.

The retraining itself is made elsewhere (:mod:`ntkviz.truth`); here its margins are summed up. Letters: A attributions, M test points that
were tried, R seeds, B draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ntkviz.fidelity.bootstrap import interval, resample_counts


@dataclass(frozen=True, eq=False)
class Drop:
    """What removing one attribution's strongest points did.

    Attributes:
        key: name of the attribution.
        drops: ``[M]``, margin before minus margin after, mean over seeds: positive when the removal hurt.
        value: their mean.
        low: lower end of its 95 % interval, over test points.
        high: upper end.
        flipped: share of test points and seeds that had a positive margin before and none after: the class lost its majority.
        flipped_low: lower end of its interval.
        flipped_high: upper end.
    """

    key: str
    drops: np.ndarray
    value: float
    low: float
    high: float
    flipped: float
    flipped_low: float
    flipped_high: float


@dataclass(frozen=True)
class DropDifference:
    """Mean drop of one attribution minus that of another, on the same test points.

    Attributes:
        first: name of the one.
        second: name of the other.
        value: the difference, in nats of log-odds.
        low: lower end of its 95 % interval.
        high: upper end.
        ratio: mean drop of the first over that of the second; NaN when the second is not above 0.
    """

    first: str
    second: str
    value: float
    low: float
    high: float
    ratio: float


@dataclass(frozen=True, eq=False)
class Removals:
    """Removal of the k strongest points, by several attributions.

    Attributes:
        k: training points removed for each test point.
        rows: one an attribution, in the order given.
        differences: each pair once, the earlier minus the later.
        n_points: M.
        n_seeds: R.
        n_draws: B.
        notes: what was left out.
    """

    k: int
    rows: tuple[Drop, ...]
    differences: tuple[DropDifference, ...]
    n_points: int
    n_seeds: int
    n_draws: int
    notes: tuple[str, ...] = ()

    def difference(self, first: str, second: str) -> DropDifference:
        """One attribution minus another.

        Raises:
            ValueError: when one of them was not tried.
        """
        for row in self.differences:
            if (row.first, row.second) == (first, second):
                return row
            if (row.second, row.first) == (first, second):
                drops = {drop.key: drop.value for drop in self.rows}
                return DropDifference(first, second, -row.value, -row.high, -row.low, _ratio(drops[first], drops[second]))
        known = ", ".join(row.key for row in self.rows)
        raise ValueError(f"There is no difference of {first!r} and {second!r}; expected two of: {known}.")


def removals(before: np.ndarray, after: Mapping[str, np.ndarray], *, k: int, seed: int = 0, n_draws: int = 1000) -> Removals:
    """Sum up a removal experiment.

    Args:
        before: ``[M]`` or ``[M, R]``, margin (log-odds of the correct class) of networks trained on all points.
        after: attribution -> ``[M]`` or ``[M, R]``: entry m is the margin of test point m after the k training points that the
            attribution finds strongest *for m* were removed. The same M and R for all. Seeds of ``before`` and ``after`` belong together
            when there are as many; else ``before`` enters by its mean.
        k: points removed.
        seed: of the draws.
        n_draws: draws of test points behind the intervals.

    Raises:
        ValueError: when there is no attribution or shapes differ.
    """
    if not after:
        raise ValueError(
            "Expected the margins of at least one attribution, got none. Retrain without its strongest points first."
        )
    start = _margins(before, "before")
    ends = {key: _margins(values, key) for key, values in after.items()}
    shapes = {values.shape for values in ends.values()}
    if len(shapes) > 1 or len(start) != next(iter(shapes))[0]:
        raise ValueError(
            f"Expected margins of the same test points and seeds, got {start.shape} before and {sorted(shapes)} after the removals."
        )
    n_points, n_seeds = next(iter(shapes))
    if start.shape[1] != n_seeds:
        start = np.repeat(start.mean(axis=1, keepdims=True), n_seeds, axis=1)
    # A point with a margin that was not measured is left out for all attributions: differences stay paired.
    known = np.isfinite(np.hstack([start, *ends.values()])).all(axis=1)
    notes = ()
    if not known.all():
        notes = (f"{int((~known).sum())} of {n_points} test points are left out: not all of their margins are finite.",)
    if not known.any():
        raise ValueError("No test point has finite margins before and after all removals. Retrain them again.")
    start, ends = start[known], {key: values[known] for key, values in ends.items()}
    counts = np.vstack([np.ones((1, len(start))), resample_counts(len(start), n_draws, seed)]) / len(start)
    rows = tuple(_row(key, start, values, counts) for key, values in ends.items())
    pairs = tuple(_pair(first, second, counts) for first, second in combinations(rows, 2))
    return Removals(k, rows, pairs, len(start), n_seeds, n_draws, notes)


def _row(key: str, before: np.ndarray, after: np.ndarray, counts: np.ndarray) -> Drop:
    drops = (before - after).mean(axis=1)
    held = (before > 0).mean(axis=1)
    lost = ((before > 0) & (after <= 0)).mean(axis=1)
    means, top, bottom = counts @ drops, counts @ lost, counts @ held
    share = np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)
    low, high = interval(means[1:])
    flipped_low, flipped_high = interval(share[1:])
    return Drop(key, drops, float(means[0]), low, high, float(share[0]), flipped_low, flipped_high)


def _pair(first: Drop, second: Drop, counts: np.ndarray) -> DropDifference:
    means = counts @ (first.drops - second.drops)
    return DropDifference(first.key, second.key, float(means[0]), *interval(means[1:]), _ratio(first.value, second.value))


def _ratio(first: float, second: float) -> float:
    return first / second if second > 0 else float("nan")


def _margins(values: np.ndarray, name: str) -> np.ndarray:
    """Margins, float64 ``[M, R]``.

    Raises:
        ValueError: when they are no such array.
    """
    found = np.asarray(values, dtype=np.float64)
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or not found.size:
        raise ValueError(f"The margins of {name!r} must be [M] or [M, R]; got shape {np.shape(values)}.")
    return found
