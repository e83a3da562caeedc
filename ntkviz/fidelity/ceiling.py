"""How high any attribution could score against retrainings that differ from seed to seed."""

from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np

from ntkviz.fidelity.ranks import rank_correlations

#: Ways to split the seeds into two halves that are averaged over, at most.
MAX_SPLITS = 30


@dataclass(frozen=True)
class Ceiling:
    """What the spread of the seeds allows.

    Attributes:
        value: correlation of the mean over R seeds with the mean over all seeds that there could be; NaN for R = 1.
        seed_to_seed: mean rank correlation of two seeds over subsets.
        notes: why there is no value.
    """

    value: float
    seed_to_seed: float
    notes: tuple[str, ...] = ()


def noise_ceiling(margins: np.ndarray) -> Ceiling:
    """The ceiling by half-splits of the seeds and the formula of Spearman and Brown.

    Two disjoint halves of h = floor(R / 2) seeds correlate by r_h over subsets (rank correlation, mean over test points and splits). One
    seed then has the reliability ``r_1 = r_h / (h - (h - 1) r_h)``, the mean of R seeds ``r_R = R r_1 / (1 + (R - 1) r_1)``, and its correlation
    with what it estimates is ``sqrt(r_R)``. That is for the mean of R seeds: a score against one seed has the lower ceiling ``sqrt(r_1)``.

    Args:
        margins: ``[S, R, M]``.
    """
    n_seeds = margins.shape[1]
    if n_seeds < 2:
        return Ceiling(
            float("nan"), float("nan"), ("One seed only: the noise ceiling needs retrainings from two seeds or more.",)
        )
    singles = _mean(
        [_agreement(margins[:, [a]], margins[:, [b]]) for a, b in islice(combinations(range(n_seeds), 2), MAX_SPLITS)]
    )
    half = n_seeds // 2
    r_half = _mean([_agreement(margins[:, list(a)], margins[:, list(b)]) for a, b in _splits(n_seeds, half)])
    if not np.isfinite(r_half):
        return Ceiling(r_half, singles, ("The retrained margins do not vary over subsets, so there is no noise ceiling.",))
    r_half = max(r_half, 0.0)
    one = r_half / (half - (half - 1) * r_half)
    return Ceiling(float(np.sqrt(n_seeds * one / (1 + (n_seeds - 1) * one))), singles)


def _splits(n_seeds: int, half: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Pairs of disjoint halves, spread evenly over all that there are."""
    found = [
        (first, second)
        for first in islice(combinations(range(n_seeds), half), 5000)
        for second in islice(combinations([s for s in range(n_seeds) if s not in first], half), 20)
        if first[0] < second[0]
    ]
    return found[:: max(1, len(found) // MAX_SPLITS)][:MAX_SPLITS]


def _agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Mean over test points of the rank correlation of two means over seeds."""
    plain = np.ones((1, len(first)))
    return _mean(rank_correlations([first.mean(axis=1)], second.mean(axis=1), plain)[0, 0])


def _mean(values: np.ndarray | list[float]) -> float:
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")
