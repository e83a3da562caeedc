"""Spearman's correlation of many pairs of columns, on all rows and on many resamples of the rows, ranked anew each time.

The centred midrank of row s among rows drawn w_t times is half of ``sum_t w_t sign(x_s - x_t)``, so all resamples of a column share one
matrix of signs and cost one matrix product: S^2 operations a column and resample, ties exact. Sorting each resample costs more.
"""

from collections.abc import Sequence

import numpy as np

#: Numbers of one block's working array, about 16 MB of float32 each.
_WORK = 4_000_000


def rank_correlations(firsts: Sequence[np.ndarray], second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each column of each first with the same column of the second, float64 ``[K, B, M]``.

    Every resample is ranked anew (midranks for ties); NaN where a column does not vary among the rows drawn.

    Args:
        firsts: K arrays ``[S, M]``.
        second: ``[S, M]``.
        weights: ``[B, S]``, how often each row is in each resample; a row of ones is the plain correlation.
    """
    counts = np.asarray(weights, dtype=np.float32)
    n_rows, n_columns = second.shape
    found = np.empty((len(firsts), len(counts), n_columns))
    step = max(1, _WORK // max(1, len(counts) * n_rows))
    for start in range(0, n_columns, step):
        block = slice(start, start + step)
        ranks, size = _weighted_ranks(second[:, block], counts)
        for k, first in enumerate(firsts):
            others, other_size = _weighted_ranks(first[:, block], counts)
            together = np.einsum("bsm,bsm->bm", others, ranks, dtype=np.float64)
            room = np.sqrt(size * other_size)
            found[k, :, block] = np.divide(together, room, out=np.full(room.shape, np.nan), where=room > 0)
    return np.clip(found, -1.0, 1.0)


def levelled(values: np.ndarray, size: np.ndarray, tolerance: float = 1e-10) -> np.ndarray:
    """Equal values for what differs by rounding only: columns of sums, each step of a column within ``tolerance * size`` closed.

    Sums of the same numbers in another order differ in their last digits, and ranks would make an order of that.

    Args:
        values: ``[S, M]``.
        size: ``[M]``, the magnitude that the sums were made from.
        tolerance: relative.
    """
    order = np.argsort(values, axis=0, kind="stable")
    rising = np.take_along_axis(values, order, axis=0)
    steps = np.diff(rising, axis=0, prepend=rising[:1]) > tolerance * size
    result = np.empty(values.shape)
    np.put_along_axis(result, order, np.cumsum(steps, axis=0).astype(np.float64), axis=0)
    return result


def _weighted_ranks(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Twice the centred midranks times the root of the counts, float32 ``[B, S, m]``, and their squared length ``[B, m]``."""
    n, m = values.shape
    signs = np.sign(values[None, :, :] - values[:, None, :]).astype(np.float32)  # [t, s, m]: where s stands to t
    ranks = (counts @ signs.reshape(n, n * m)).reshape(len(counts), n, m)
    ranks *= np.sqrt(counts)[:, :, None]
    return ranks, np.einsum("bsm,bsm->bm", ranks, ranks, dtype=np.float64)
