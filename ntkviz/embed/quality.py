"""How far the neighbourhoods of a map are those of the kernel's space."""

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist

from ntkviz.embed.result import Quality

#: Rows worked on at once; keeps the comparison cube ``[rows, N, k]`` within a few megabytes.
BLOCK = 64


def largest_neighbourhood(n: int) -> int:
    """The largest k for which trustworthiness is defined (k < N / 2), at least 1."""
    return max(1, (n - 1) // 2)


def quality(
    distances: np.ndarray,
    points: np.ndarray,
    *,
    n_neighbours: int = 15,
    row_distances: np.ndarray | None = None,
    test_points: np.ndarray | None = None,
    on_block: Callable[[float], None] = lambda fraction: None,
) -> Quality:
    """Trustworthiness, continuity and preserved neighbours of a map.

    Args:
        distances: ``[N, N]`` in the kernel's space.
        points: ``[N, 2]`` on the map.
        n_neighbours: k; cut to the largest k below N / 2.
        row_distances: ``[M, N]`` from test points to training points, or None.
        test_points: ``[M, 2]`` on the map, or None.
        on_block: called with the fraction done; may raise to stop.

    Returns:
        The quality. A rank is one plus the number of points strictly closer, so ties never count against a map.

    Raises:
        ValueError: when there are fewer than 3 points or ``n_neighbours`` is below 1.

    Source: Venna and Kaski 2001 (both measures); equal to ``sklearn.manifold.trustworthiness``, which has no
    continuity and needs all N x N ranks at once.
    """
    n = len(points)
    if n < 3 or n_neighbours < 1:
        raise ValueError(f"Neighbourhoods need at least 3 points and k of at least 1, got {n} points and k = {n_neighbours}.")
    k = min(n_neighbours, largest_neighbourhood(n))
    false_neighbours = torn_neighbours = 0.0
    preserved = np.empty(n)
    for start in range(0, n, BLOCK):
        on_block(start / n)
        rows = np.arange(start, min(start + BLOCK, n))
        space = np.array(distances[rows], dtype=np.float64)
        plane = cdist(points[rows], points)
        space[np.arange(len(rows)), rows] = plane[np.arange(len(rows)), rows] = np.inf
        near_space, near_plane = nearest(space, k), nearest(plane, k)
        false_neighbours += _excess_rank(space, near_plane, k)
        torn_neighbours += _excess_rank(plane, near_space, k)
        preserved[rows] = _overlap(near_space, near_plane)
    worst = n * k * (2 * n - 3 * k - 1) / 2
    preserved_test = None
    if row_distances is not None and test_points is not None:
        preserved_test = _overlap(nearest(row_distances, k), nearest(cdist(test_points, points), k))
    return Quality(
        trustworthiness=1.0 - false_neighbours / worst,
        continuity=1.0 - torn_neighbours / worst,
        n_neighbours=k,
        preserved=preserved,
        preserved_test=preserved_test,
    )


def nearest(distances: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k smallest entries of each row, ``[rows, k]``, in no particular order."""
    if k >= distances.shape[1]:
        return np.tile(np.arange(distances.shape[1]), (len(distances), 1))
    return np.argpartition(distances, k - 1, axis=1)[:, :k]


def _excess_rank(distances: np.ndarray, neighbours: np.ndarray, k: int) -> float:
    """By how much the neighbours' ranks under ``distances [rows, N]`` pass k, summed."""
    reached = np.take_along_axis(distances, neighbours, axis=1)  # (rows, k)
    ranks = 1 + (distances[:, None, :] < reached[:, :, None]).sum(axis=2)
    return float(np.maximum(ranks - k, 0).sum())


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Share of common indices in each row of two ``[rows, k]`` index sets."""
    return (first[:, :, None] == second[:, None, :]).any(axis=2).mean(axis=1)
