"""Is a score carried by a few training points or by many? Read it before reading any list of top points."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Concentration:
    """How the mass ``|a_i|`` of an attribution is spread over N training points. Ratios are NaN when all a_i are 0.

    Attributes:
        n_points: N.
        total: ``sum a_i``.
        mass: ``sum |a_i|``.
        participation_ratio: ``(sum |a|)^2 / sum a^2``, the effective number of points, in [1, N].
        gini: of ``|a|``: 0 when all points weigh the same, ``1 - 1/N`` when one carries all.
        n50: the fewest points that hold half of the mass; 0 when there is none.
        n80: likewise 80 %.
        n95: likewise 95 %.
        cancellation: ``1 - |sum a| / sum |a|``: 0 when all push one way, near 1 when supporters and opponents cancel.
        top_share: share of the mass held by the ``top`` largest.
        top: how many points ``top_share`` speaks of.
    """

    n_points: int
    total: float
    mass: float
    participation_ratio: float
    gini: float
    n50: int
    n80: int
    n95: int
    cancellation: float
    top_share: float
    top: int


@dataclass(frozen=True, eq=False)
class Contributors:
    """The ends of an attribution.

    Attributes:
        supporters: int64 ``[<= k]``, points with positive values, largest first.
        supporter_values: float64, their values.
        opponents: int64 ``[<= k]``, points with negative values, most negative first.
        opponent_values: float64, their values.
    """

    supporters: np.ndarray
    supporter_values: np.ndarray
    opponents: np.ndarray
    opponent_values: np.ndarray


def concentration(attribution: np.ndarray, *, top: int = 10) -> Concentration:
    """How an attribution is spread.

    Args:
        attribution: ``[N]``, one score of one test point.
        top: of how many points ``top_share`` speaks; N when there are fewer.

    Raises:
        ValueError: when the attribution is no ``[N]`` of finite numbers, or ``top`` is below 1.
    """
    values = _checked(attribution)
    if isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1:
        raise ValueError(f"top must be a whole number above 0; got {top!r}.")
    n, top = len(values), min(int(top), len(values))
    sizes = np.sort(np.abs(values))[::-1]
    mass, total = float(sizes.sum()), float(values.sum())
    if mass == 0:
        nan = float("nan")
        return Concentration(n, total, mass, nan, nan, 0, 0, 0, nan, nan, top)
    scaled = sizes / sizes[0]  # so that squares neither overflow nor vanish
    reached = np.cumsum(sizes) / mass
    ranks = np.arange(1, n + 1)
    return Concentration(
        n_points=n,
        total=total,
        mass=mass,
        participation_ratio=float(scaled.sum() ** 2 / (scaled**2).sum()),
        gini=float(max(0.0, (n + 1 - 2 * (ranks * sizes).sum() / mass) / n)),
        n50=_points_for(reached, 0.5),
        n80=_points_for(reached, 0.8),
        n95=_points_for(reached, 0.95),
        cancellation=float(np.clip(1 - abs(total) / mass, 0.0, 1.0)),
        top_share=float(min(reached[top - 1], 1.0)),
        top=top,
    )


def cumulative_share(attribution: np.ndarray) -> np.ndarray:
    """Share of the mass ``|a|`` held by the 1, 2, ..., N largest, float64 ``[N]``, rising to 1; NaN when all values are 0.

    Args:
        attribution: ``[N]``.
    """
    sizes = np.sort(np.abs(_checked(attribution)))[::-1]
    mass = sizes.sum()
    return np.minimum(np.cumsum(sizes) / mass, 1.0) if mass > 0 else np.full(len(sizes), np.nan)


def top_contributors(attribution: np.ndarray, k: int = 10) -> Contributors:
    """The k points that speak most for a score and the k that speak most against it; of equals the lower index first.

    Points with a value of exactly 0 are in neither list. Never show the lists without the concentration: the top points often
    hold a small part of the mass.

    Args:
        attribution: ``[N]``.
        k: length of each list at most, at least 1.

    Raises:
        ValueError: when the attribution is no ``[N]`` of finite numbers, or k is below 1.
    """
    values = _checked(attribution)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k must be a whole number above 0; got {k!r}.")
    rising, falling = np.argsort(values, kind="stable"), np.argsort(-values, kind="stable")
    supporters = falling[: min(int(k), int((values > 0).sum()))]
    opponents = rising[: min(int(k), int((values < 0).sum()))]
    return Contributors(supporters, values[supporters], opponents, values[opponents])


def _points_for(reached: np.ndarray, share: float) -> int:
    """The fewest points whose cumulative share is at least ``share``, forgiving the last digits of the sum."""
    return int(np.searchsorted(reached, share - 1e-12) + 1)


def _checked(attribution: np.ndarray) -> np.ndarray:
    values = np.asarray(attribution)
    if values.ndim != 1 or not values.size or values.dtype.kind not in "fiub":
        raise ValueError(
            f"An attribution must be numbers [N], one score of one test point; got shape {values.shape} of {values.dtype}. "
            "Pick one of [M, C, N] as a[m, c]."
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} entries of the attribution are not finite.")
    return values.astype(np.float64)
