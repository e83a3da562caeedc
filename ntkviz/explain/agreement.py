"""How far several attributions agree on which training points matter: the same test points asked under K kernels, or by K surrogates.

Each attribution ranks the N training points by strength, which is the absolute value for signed ones (shares, removal effects) and the
value itself for similarities. Four measures of a pair of rankings, each symmetric and blind to a positive scale:

    overlap@k           |A_k & B_k| / k, A_k and B_k the k strongest: who is named
    rank-biased overlap (1-p)/p sum_d p^d |A_d & B_d| / d: who is named, the top counting most
    sign disagreement   of A_k | B_k the share that supports under one and opposes under the other: whether they say the same of them
    Spearman            of the values of all N: the bulk as well as the top

Sources: overlap and signs as in Krishna et al., TMLR 2024 (arXiv 2202.01602), who divide the common ones with one sign by k; here the union
is the base, so that a point that only one of the two names counts too. Rank-biased overlap: Webber, Moffat and Zobel, ACM TOIS 28(4),
2010; the lists end at depth k, and what follows is extrapolated with the agreement at k (their RBO_EXT).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

#: p of the rank-biased overlap: the ten first ranks carry 86 % of its weight.
PERSISTENCE = 0.9
#: Numbers of one block's working array.
_WORK = 4_000_000


@dataclass(frozen=True, eq=False)
class Agreement:
    """K attributions of M test points, compared in pairs.

    Attributes:
        k: how many strongest training points were compared.
        overlap: float64 ``[K, K, M]`` in [0, 1].
        rbo: float64 ``[K, K, M]`` in [0, 1].
        sign_disagreement: float64 ``[K, K, M]`` in [0, 1]; NaN throughout when the attributions have no sign.

    A measure is NaN where both attributions of a test point are 0 throughout, so that none of its training points is named.
    """

    k: int
    overlap: np.ndarray
    rbo: np.ndarray
    sign_disagreement: np.ndarray


@dataclass(frozen=True, eq=False)
class Named:
    """The strongest training points of K attributions of M test points, and what every attribution has for each of them.

    All that comparisons need, and much smaller than the attributions.

    Attributes:
        tops: int64 ``[K, M, k]``, strongest first; -1 where fewer than k have any strength.
        values: float64 ``[K, K, M, k]``: ``values[i, j]`` is attribution j at the points that i names; 0 where it names none.
        signed: whether the sign says "for" or "against".
    """

    tops: np.ndarray
    values: np.ndarray
    signed: bool

    @classmethod
    def joined(cls, parts: Sequence["Named"]) -> "Named":
        """The same attributions on several blocks of test points, one after the other.

        Raises:
            ValueError: when there is no part.
        """
        if not parts:
            raise ValueError("Expected at least one part to join, got none.")
        tops, values = (np.concatenate([getattr(part, name) for part in parts], axis=-2) for name in ("tops", "values"))
        return cls(tops, values, parts[0].signed)

    def agreement(self, k: int, *, p: float = PERSISTENCE) -> Agreement:
        """Compare all pairs by their k strongest.

        Args:
            k: how many; as many as there are when these are fewer.
            p: persistence of the rank-biased overlap, between 0 and 1.

        Raises:
            ValueError: when k is below 1 or p not between 0 and 1.
        """
        if not 0 < p < 1:
            raise ValueError(f"p must lie between 0 and 1; got {p!r}.")
        tops, values = self.tops[..., : _count(k)], self.values[..., : _count(k)]
        n, m = tops.shape[:2]
        overlaps, biased, signs = np.empty((n, n, m)), np.empty((n, n, m)), np.full((n, n, m), np.nan)
        opposed = values * values[np.arange(n), np.arange(n)][:, None] < 0  # [i, j]: the points of i with another sign under j
        for i in range(n):
            for j in range(i, n):
                overlaps[i, j] = overlaps[j, i] = overlap_at_k(tops[i], tops[j])
                biased[i, j] = biased[j, i] = rank_biased_overlap(tops[i], tops[j], p)
                if self.signed:
                    signs[i, j] = signs[j, i] = _sign_disagreement(tops[i], tops[j], opposed[i, j], opposed[j, i])
        return Agreement(tops.shape[2], overlaps, biased, signs)


@dataclass(frozen=True, eq=False)
class Moved:
    """The training points that at least one of K attributions of a test point names, and where they stand in each.

    Attributes:
        k: how many of each attribution are named.
        indices: int64 ``[n]``, those points; by their best rank, of equals the lower index first.
        ranks: int64 ``[K, n]``, 1 for the strongest; in the ranking of all N.
        values: float64 ``[K, n]``, their attributions.
        named: bool ``[K, n]``, whether a point is among the k strongest.
    """

    k: int
    indices: np.ndarray
    ranks: np.ndarray
    values: np.ndarray
    named: np.ndarray


def block_rows(n_attributions: int, n_train: int) -> int:
    """Test points to compare at once, so that the working memory stays small.

    Args:
        n_attributions: K.
        n_train: N.
    """
    return max(1, _WORK // (n_attributions * n_train))


def agreement(attributions: Sequence[np.ndarray], k: int, *, signed: bool = True, p: float = PERSISTENCE) -> Agreement:
    """Compare K attributions of the same M test points, all pairs at once.

    Args:
        attributions: K arrays ``[M, N]``.
        k: how many strongest training points are compared; N when there are fewer.
        signed: whether the sign says "for" or "against". Then points are ranked by absolute value, and one of exactly 0 is never named.
        p: persistence of the rank-biased overlap, between 0 and 1.

    Raises:
        ValueError: when there is no attribution, shapes differ, a value is not finite, k is below 1 or p not between 0 and 1.
    """
    return named(attributions, k, signed=signed).agreement(k, p=p)


def named(attributions: Sequence[np.ndarray], k: int, *, signed: bool = True) -> Named:
    """What K attributions name, to be compared at any depth up to k. For many test points ask block by block (:func:`block_rows`) and join.

    Args:
        attributions: K arrays ``[M, N]``.
        k: how many strongest training points are kept; N when there are fewer.
        signed: as in :func:`agreement`.

    Raises:
        ValueError: when there is no attribution, shapes differ, a value is not finite or k is below 1.
    """
    values = [_checked(one) for one in attributions]
    if not values or len({one.shape for one in values}) > 1:
        raise ValueError(f"Expected attributions of one shape [M, N]; got {[one.shape for one in values]}.")
    tops = np.stack([strongest(one, k, signed=signed) for one in values])
    places = np.maximum(tops, 0)
    looked_up = np.stack([[np.take_along_axis(one, top, axis=1) for one in values] for top in places])
    return Named(tops, np.where(tops[:, None] >= 0, looked_up, 0.0), signed)


def strongest(values: np.ndarray, k: int, *, signed: bool = True) -> np.ndarray:
    """The k strongest training points of each test point, int64 ``[M, k]``, strongest first; of equals the lower index first.

    Args:
        values: ``[M, N]``.
        k: how many; N when there are fewer.
        signed: by absolute value, and -1 in place of points that are exactly 0; otherwise by value.

    Raises:
        ValueError: when the values are no finite ``[M, N]``, or k is below 1.
    """
    found = _checked(values)
    strength = np.abs(found) if signed else found
    m, n = strength.shape
    k = min(_count(k), n)
    least = np.partition(strength, n - k, axis=1)[:, n - k, None]
    above, level = strength > least, strength == least
    # Of the points level with the k-th those of the lowest index: a partition alone would take any of them.
    chosen = above | (level & (np.cumsum(level, axis=1) <= k - above.sum(axis=1, keepdims=True)))
    indices = np.nonzero(chosen)[1].reshape(m, k)
    sizes = np.take_along_axis(strength, indices, axis=1)
    order = np.argsort(-sizes, axis=1, kind="stable")
    ranked = np.take_along_axis(indices, order, axis=1).astype(np.int64)
    return np.where(np.take_along_axis(sizes, order, axis=1) > 0, ranked, -1) if signed else ranked


def overlap_at_k(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Common members over the length of the longer list, float64 ``[M]``; NaN where both are empty.

    Args:
        first: ``[M, k]`` of :func:`strongest`.
        second: likewise.
    """
    common = _matches(first, second).sum(axis=(1, 2))
    return _over(common, np.maximum(_lengths(first), _lengths(second)))


def rank_biased_overlap(first: np.ndarray, second: np.ndarray, p: float = PERSISTENCE) -> np.ndarray:
    """Extrapolated rank-biased overlap, float64 ``[M]``; lists of unlike length are compared to the depth of the shorter.

    NaN where both lists are empty, 0 where one is.

    Args:
        first: ``[M, k]`` of :func:`strongest`.
        second: likewise.
        p: persistence.
    """
    k = first.shape[1]
    depth = np.minimum(_lengths(first), _lengths(second))
    # A point that is i-th here and j-th there is common from depth max(i, j) on.
    common_from = np.maximum(np.arange(k)[:, None], np.arange(k)).ravel()
    at_depth = _matches(first, second).reshape(len(first), k * k).astype(np.float64) @ (common_from[:, None] == np.arange(k))
    depths = np.arange(1, k + 1)
    share = np.cumsum(at_depth, axis=1) / depths  # |A_d & B_d| / d
    seen = (1 - p) / p * (share * p**depths * (depths <= depth[:, None])).sum(axis=1)
    last = np.take_along_axis(share, np.maximum(depth - 1, 0)[:, None], axis=1)[:, 0]
    found = np.where(depth > 0, np.minimum(seen + last * p**depth, 1.0), 0.0)
    return np.where(np.maximum(_lengths(first), _lengths(second)) > 0, found, np.nan)


def spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlation of the values of all N training points, float64 ``[M]``; NaN where one is constant.

    Args:
        first: ``[M, N]``.
        second: ``[M, N]``.

    Raises:
        ValueError: when shapes differ or a value is not finite.
    """
    values = _checked(first), _checked(second)
    if values[0].shape != values[1].shape:
        raise ValueError(f"Expected two attributions of one shape [M, N]; got {values[0].shape} and {values[1].shape}.")
    ranks = [rankdata(one, axis=1) - (one.shape[1] + 1) / 2 for one in values]  # centred; ties share their mean rank
    room = np.sqrt((ranks[0] ** 2).sum(axis=1) * (ranks[1] ** 2).sum(axis=1))
    return np.clip(_over((ranks[0] * ranks[1]).sum(axis=1), room), -1.0, 1.0)


def moved(attributions: np.ndarray, k: int, *, signed: bool = True) -> Moved:
    """Where the training points that any of K attributions of one test point names stand in each of them.

    Args:
        attributions: ``[K, N]``.
        k: how many each names; N when there are fewer.
        signed: as in :func:`strongest`.

    Raises:
        ValueError: when the attributions are no finite ``[K, N]``, or k is below 1.
    """
    values = _checked(attributions)
    tops = strongest(values, k, signed=signed)
    union = np.unique(tops[tops >= 0])
    order = np.argsort(-(np.abs(values) if signed else values), axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, values.shape[1] + 1)[None, :], axis=1)
    ranks = ranks[:, union]
    if len(union):
        best = np.argsort(ranks.min(axis=0), kind="stable")
        union, ranks = union[best], ranks[:, best]
    named = (tops[:, :, None] == union).any(axis=1)
    return Moved(tops.shape[1], union.astype(np.int64), ranks.astype(np.int64), values[:, union], named)


def _sign_disagreement(first: np.ndarray, second: np.ndarray, opposed: np.ndarray, opposed_second: np.ndarray) -> np.ndarray:
    """Share of the union of both lists whose values have opposite signs, ``[M]``; of each list it is given which have, ``[M, k]``."""
    match = _matches(first, second)
    only_second = ~match.any(axis=1)
    count = opposed.sum(axis=1) + (opposed_second & only_second).sum(axis=1)
    return _over(count, _lengths(first) + _lengths(second) - match.sum(axis=(1, 2)))


def _matches(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which member of the first list is which of the second, bool ``[M, k, k]``."""
    return (first[:, :, None] == second[:, None, :]) & (first[:, :, None] >= 0)


def _count(k: int) -> int:
    """The number of strongest points asked for.

    Raises:
        ValueError: when it is none above 0.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k must be a whole number above 0; got {k!r}.")
    return int(k)


def _lengths(top: np.ndarray) -> np.ndarray:
    return (top >= 0).sum(axis=1)


def _over(count: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(count, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _checked(values: np.ndarray) -> np.ndarray:
    """Float64 ``[M, N]``.

    Raises:
        ValueError: when they are not, or not finite.
    """
    found = np.asarray(values)
    if found.ndim != 2 or not found.shape[1] or found.dtype.kind not in "fiub":
        raise ValueError(f"An attribution must be numbers [M, N] with N >= 1; got shape {found.shape} of {found.dtype}.")
    if not np.isfinite(found).all():
        raise ValueError(f"{int((~np.isfinite(found)).sum())} entries of an attribution are not finite.")
    return found.astype(np.float64, copy=False)
