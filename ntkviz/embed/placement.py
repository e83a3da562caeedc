"""Places for new points on a map that cannot be recomputed: the fuzzy-weighted mean of their nearest neighbours."""

import numpy as np

from ntkviz.embed.quality import nearest


def place_by_neighbours(row_distances: np.ndarray, points: np.ndarray, *, n_neighbours: int) -> np.ndarray:
    """Put each test point at the weighted mean of its nearest training points.

    The weight of a neighbour at distance d is ``exp(-(d - d_nearest) / s)`` with s such that the weights add up to
    ``log2(k)``: UMAP's fuzzy membership.

    Args:
        row_distances: ``[M, N]`` from test points to training points.
        points: ``[N, 2]``, the training points on the map.
        n_neighbours: k, at least 1; cut to N.

    Returns:
        float64 ``[M, 2]``, inside the convex hull of each point's neighbours.

    Source: McInnes, Healy and Melville 2018 (arXiv 1802.03426), algorithm 3.
    """
    k = min(n_neighbours, len(points))
    chosen = nearest(row_distances, k)
    reached = np.take_along_axis(np.asarray(row_distances, dtype=np.float64), chosen, axis=1)
    weights = fuzzy_weights(reached)
    return (weights[:, :, None] * points[chosen]).sum(axis=1) / weights.sum(axis=1, keepdims=True)


def fuzzy_weights(distances: np.ndarray) -> np.ndarray:
    """UMAP's memberships of the k neighbours at ``distances [M, k]``: in (0, 1], the nearest has 1."""
    beyond = distances - distances.min(axis=1, keepdims=True)
    target = max(np.log2(max(distances.shape[1], 1)), 1.0)
    spread = beyond.mean(axis=1, keepdims=True)
    low, high = np.zeros_like(spread), np.maximum(spread, 1e-12) * 64
    for _ in range(48):  # bisection; 48 halvings reach double precision of the bracket
        middle = (low + high) / 2
        too_wide = np.exp(-beyond / np.maximum(middle, 1e-300)).sum(axis=1, keepdims=True) > target
        low, high = np.where(too_wide, low, middle), np.where(too_wide, middle, high)
    return np.exp(-beyond / np.maximum(high, 1e-12))
