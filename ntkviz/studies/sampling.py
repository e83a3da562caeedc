"""Which points of a data set a study works on: stratified by class, the same for the same seed, nested in size."""

import numpy as np

#: Every class keeps this many points at least, so that a kernel machine has two points to compare in each of them.
POINTS_PER_CLASS = 2


def stratified_index(labels: np.ndarray, n: int, *, seed: int = 0) -> np.ndarray:
    """Ids of ``n`` points in which each class has its share of the whole, ascending.

    Each class is shuffled once; the point at rank r of a class of size s gets the score (r + 1/2) / s, and the n smallest
    scores win. So a class gets its proportional count within one, and the points of a smaller study are among those of
    every larger one with the same seed (what was seen stays there when a study is refined). The first two points of a
    class win before all others: a rare class is never lost.

    Args:
        labels: int ``[N]``, the class of each point.
        n: how many points, from 1 to N.
        seed: draws the order within the classes.

    Returns:
        int64 ``[n]``, positions in ``labels``.

    Raises:
        ValueError: when more points are asked for than there are.
    """
    total = len(labels)
    if not 1 <= n <= total:
        raise ValueError(f"{n} points were asked for; there are {total}. Ask for 1 to {total}.")
    if n == total:
        return np.arange(total, dtype=np.int64)
    rng = np.random.default_rng(seed)
    score = np.empty(total)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank = rng.permutation(len(members))
        score[members] = np.where(rank < POINTS_PER_CLASS, rank - POINTS_PER_CLASS, (rank + 0.5) / len(members))
    return np.sort(np.argsort(score, kind="stable")[:n]).astype(np.int64)
