"""Kendall's tau-b of two scores over points, and of many resamples of the points at once.

    tau_b = (concordant - discordant) / sqrt((pairs - ties in x) (pairs - ties in y))

With counts w of a resample and S_ij = sign(x_i - x_j) sign(y_i - y_j) the numerator is w^T S w, so all resamples share one S and cost one
matrix product. A point drawn twice is tied with itself in both scores, as it would be if the resample were written out.
"""

import numpy as np

#: Up to here the resampled numerators are exact, M^2 B operations. Beyond, w^T S w is replaced by its linear part 2 w^T S 1 - 1^T S 1
#: (Hoeffding's projection) and the mean of the rest, M^2 operations.
EXACT_UP_TO = 2000
_BLOCK = 512


def kendall_taus(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> tuple[float, np.ndarray]:
    """tau-b on all points, and on each resample ``[B]``; in [-1, 1], NaN where a score is constant or there is one point.

    Args:
        x: ``[M]``, finite.
        y: ``[M]``, finite.
        counts: ``[B, M]``, how often each point is in each resample; rows may sum to any number.
    """
    first, second = _ranks(x), _ranks(y)
    weights = np.vstack([np.ones((1, len(first)), dtype=np.float32), np.asarray(counts, dtype=np.float32)])
    if len(first) <= EXACT_UP_TO:
        balance = _balances(first, second, weights)
    else:
        sums = _row_sums(first, second)
        balance = 2.0 * (weights.astype(np.float64) @ sums) - sums.sum()
        balance[1:] -= sums.sum() / len(sums)  # the mean of the part left out: a resample pairs some points with themselves
    pairs_x, pairs_y = _untied_pairs(first, weights), _untied_pairs(second, weights)
    room = np.sqrt(pairs_x * pairs_y)
    taus = np.divide(balance, room, out=np.full(len(room), np.nan), where=room > 0)
    taus = np.clip(taus, -1.0, 1.0)
    return float(taus[0]), taus[1:]


def _ranks(values: np.ndarray) -> np.ndarray:
    """Dense ranks, equal for equal values, int32 ``[M]``."""
    return np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)[1].astype(np.int32).reshape(-1)


def _signs(first: np.ndarray, second: np.ndarray, start: int) -> np.ndarray:
    """Rows of S from ``start``, int8 ``[block, M]``."""
    rows = slice(start, start + _BLOCK)
    x = (first[rows, None] > first).view(np.int8) - (first[rows, None] < first).view(np.int8)
    y = (second[rows, None] > second).view(np.int8) - (second[rows, None] < second).view(np.int8)
    return x * y


def _balances(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``w^T S w`` for each row of weights, float64: concordant minus discordant ordered pairs."""
    total = np.zeros(len(weights))
    for start in range(0, len(first), _BLOCK):
        # float32 is exact here: entries are sums of at most 2,000 small whole numbers
        against = weights @ _signs(first, second, start).astype(np.float32).T
        total += np.einsum("bi,bi->b", weights[:, start : start + _BLOCK], against, dtype=np.float64)
    return total


def _row_sums(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``S 1``, float64 ``[M]``."""
    starts = range(0, len(first), _BLOCK)
    return np.concatenate([_signs(first, second, start).sum(axis=1, dtype=np.int64) for start in starts]).astype(np.float64)


def _untied_pairs(ranks: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ordered pairs that differ, weighted: ``(sum w)^2`` minus the squared weight of each group of ties."""
    order = np.argsort(ranks, kind="stable")
    starts = np.flatnonzero(np.diff(ranks[order], prepend=-1))
    groups = np.add.reduceat(weights[:, order].astype(np.float64), starts, axis=1)
    return groups.sum(axis=1) ** 2 - (groups**2).sum(axis=1)
