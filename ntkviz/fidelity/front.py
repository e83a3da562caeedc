"""The Pareto front: what nothing else beats in cost and value at once."""

import numpy as np


def dominated_by(costs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each candidate another one that costs no more, is worth no less, and is strictly better in one of the two.

    Of several the one of the highest value is named (of equals the cheapest, then the first).

    Args:
        costs: ``[K]``, smaller is better.
        values: ``[K]``, larger is better.

    Returns:
        int64 ``[K]``, positions; -1 for candidates on the front. One without a value (NaN) is on no front and dominates nothing: -2.

    Raises:
        ValueError: when the two are not of one length.
    """
    cost, value = np.asarray(costs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if cost.ndim != 1 or cost.shape != value.shape:
        raise ValueError(f"Expected one cost and one value a candidate, got shapes {cost.shape} and {value.shape}.")
    known = np.isfinite(cost) & np.isfinite(value)
    found = np.where(known, -1, -2)
    for k in np.flatnonzero(known):
        no_worse = known & (cost <= cost[k]) & (value >= value[k])
        better = np.flatnonzero(no_worse & ((cost < cost[k]) | (value > value[k])))
        if len(better):
            found[k] = better[np.lexsort((better, cost[better], -value[better]))[0]]
    return found.astype(np.int64)
