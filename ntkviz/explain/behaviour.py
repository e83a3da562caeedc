"""A behaviour, many test points at once, explained by groups of training points: which classes, columns of the data or clusters carry it.

    effects [M, N]  ->  mean over the test points of the behaviour  ->  sum over each group of training points

A total alone says little, since large groups have large totals for any test points. So each is compared with random sets of test points of
the same true classes and the same size: a permutation within classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import false_discovery_control

#: Share of random sets that the reference interval covers.
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Carriers:
    """What groups of training points do to a behaviour, beside what they do to comparable test points.

    Attributes:
        names: G names of the groups.
        sizes: int64 ``[G]``, training points in each.
        totals: float64 ``[G]``, mean over the behaviour's test points of the summed effects of the group.
        typical: float64 ``[G]``, the same, mean over random sets of as many test points of the same true classes.
        low: float64 ``[G]``, lower end of what 95 % of these sets have.
        high: float64 ``[G]``, its upper end.
        p_values: float64 ``[G]``, share of random sets as far from typical, two-sided, adjusted for the number of groups
            (Benjamini and Hochberg); NaN when no other set could be drawn.
        n_points: test points of the behaviour.
        n_reference: test points that could be drawn.
        notes: what to know before reading it.
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    totals: np.ndarray
    typical: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_values: np.ndarray
    n_points: int
    n_reference: int
    notes: tuple[str, ...] = ()

    @property
    def excess(self) -> np.ndarray:
        """Total minus typical, ``[G]``: what is particular to this behaviour."""
        return self.totals - self.typical

    @property
    def order(self) -> np.ndarray:
        """The groups, those with the largest excess in absolute value first."""
        return np.argsort(-np.abs(self.excess), kind="stable")


@dataclass(frozen=True, eq=False)
class TopCarriers:
    """Training points that carry a behaviour.

    Attributes:
        indices: int64 ``[k]``, training points with the largest mean effect, or the most negative one, strongest first.
        effects: float64 ``[k]``, mean effect on the behaviour's test points.
        typical: float64 ``[k]``, mean effect on comparable test points (all that could be drawn).
        reached: int64 ``[k]``, on how many of the behaviour's points the effect has that sign.
    """

    indices: np.ndarray
    effects: np.ndarray
    typical: np.ndarray
    reached: np.ndarray


def carriers(
    effects: np.ndarray,
    members: np.ndarray,
    strata: np.ndarray,
    groups: np.ndarray,
    names: Sequence[str],
    *,
    n_draws: int = 2000,
    seed: int = 0,
) -> Carriers:
    """Totals of groups of training points for a behaviour, tested against random sets of test points.

    Args:
        effects: ``[M, N]``, effect of each training point on each test point, positive: it supports.
        members: bool ``[M]``, the behaviour's test points.
        strata: ``[M]``, true class of each test point; random sets have as many of each class as the behaviour.
        groups: int ``[N]``, group of each training point in 0..G-1; -1 for none.
        names: G names.
        n_draws: random sets.
        seed: of the draws.

    Raises:
        ValueError: when shapes do not fit, no test point is a member, or a group has no name.
    """
    values, inside, classes = _checked(effects, members, strata)
    codes = np.asarray(groups)
    if codes.shape != (values.shape[1],) or codes.dtype.kind not in "iu":
        raise ValueError(f"groups must be {values.shape[1]} whole numbers; got shape {codes.shape} of {codes.dtype}.")
    if codes.max() >= len(names) or codes.min() < -1:
        raise ValueError(f"Groups run from {codes.min()} to {codes.max()}; expected -1 (none) to {len(names) - 1}.")
    belongs = codes[:, None] == np.arange(len(names))
    per_point = values @ belongs.astype(np.float64)  # [M, G]
    totals, notes = per_point[inside].mean(axis=0), []
    counts, free = _random_sets(inside, classes, n_draws, seed)
    drawn = counts @ per_point / inside.sum()
    typical = drawn.mean(axis=0)
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail], axis=0)
    if free:
        scale = np.abs(drawn).max(axis=0) + np.abs(totals)
        further = np.abs(drawn - typical) >= np.abs(totals - typical) - 1e-12 * scale
        plain = (1 + further.sum(axis=0)) / (n_draws + 1)
        p_values = np.asarray(false_discovery_control(np.clip(plain, 0, 1)))
    else:
        p_values = np.full(len(names), np.nan)
        notes.append("The behaviour has all test points of its classes, so there is no other set to compare with.")
    if inside.sum() < 5:
        notes.append("So few test points are single cases: what sets them apart need not hold for the next ones of their kind.")
    return Carriers(
        names=tuple(names),
        sizes=belongs.sum(axis=0),
        totals=totals,
        typical=typical,
        low=low,
        high=high,
        p_values=p_values,
        n_points=int(inside.sum()),
        n_reference=int(np.isin(classes, classes[inside]).sum()),
        notes=tuple(notes),
    )


def top_carriers(
    effects: np.ndarray, members: np.ndarray, strata: np.ndarray, *, k: int = 10, opposing: bool = False
) -> TopCarriers:
    """The training points with the largest mean effect on a behaviour.

    Args:
        effects: ``[M, N]``.
        members: bool ``[M]``.
        strata: ``[M]``, true class of each test point.
        k: how many at most; points without an effect of the sign asked for are left out.
        opposing: the most negative instead.

    Raises:
        ValueError: when shapes do not fit, no test point is a member, or k is below 1.
    """
    values, inside, classes = _checked(effects, members, strata)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k must be a whole number above 0; got {k!r}.")
    sign = -1.0 if opposing else 1.0
    mean = values[inside].mean(axis=0)
    order = np.argsort(-sign * mean, kind="stable")
    chosen = order[: min(int(k), int((sign * mean > 0).sum()))]
    typical = np.zeros(len(chosen))
    for label in np.unique(classes[inside]):
        share = float((classes[inside] == label).mean())
        typical += share * values[classes == label][:, chosen].mean(axis=0)
    reached = (sign * values[inside][:, chosen] > 0).sum(axis=0)
    return TopCarriers(chosen, mean[chosen], typical, reached)


def _random_sets(inside: np.ndarray, classes: np.ndarray, n_draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """Random sets with as many points of each class, as 0 and 1 ``[draws, M]``; whether there is any choice."""
    rng, free = np.random.default_rng(seed), False
    counts = np.zeros((n_draws, len(inside)), dtype=np.float32)
    for label in np.unique(classes[inside]):
        pool = np.flatnonzero(classes == label)
        wanted = int(inside[pool].sum())
        free |= wanted < len(pool)
        places = rng.random((n_draws, len(pool))).argpartition(wanted - 1, axis=1)[:, :wanted]
        np.put_along_axis(counts, pool[places], 1.0, axis=1)
    return counts, free


def _checked(effects: np.ndarray, members: np.ndarray, strata: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values, inside, classes = np.asarray(effects), np.asarray(members), np.asarray(strata)
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise ValueError(f"effects must be numbers [M, N]; got shape {values.shape} of {values.dtype}.")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} effects are not finite.")
    if inside.shape != (len(values),) or inside.dtype != bool or classes.shape != (len(values),):
        raise ValueError(
            f"members must be {len(values)} truth values and strata {len(values)} classes; got {inside.shape} of {inside.dtype} and {classes.shape}."
        )
    if not inside.any():
        raise ValueError("No test point belongs to the behaviour; choose some.")
    return values.astype(np.float64), inside, classes
