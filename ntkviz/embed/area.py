"""Which points of a map lie within an area that somebody drew; exact, also for a million points."""

from collections.abc import Sequence

import numpy as np


def within_lasso(xy: np.ndarray, x: Sequence[float], y: Sequence[float]) -> np.ndarray:
    """Points within a closed line, by the number of its edges that a ray to the right crosses (even-odd rule).

    Args:
        xy: ``[n, 2]``.
        x: of the corners, in the order in which they were drawn; the last is joined to the first.
        y: likewise.

    Returns:
        bool ``[n]``. A point on an edge may count either way.

    Raises:
        ValueError: when there are fewer than three corners, or x and y differ in length.
    """
    if len(x) != len(y) or len(x) < 3:
        raise ValueError(f"A lasso has three corners or more, each with x and y; got {len(x)} and {len(y)}. Draw it again.")
    corners = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)], axis=1)
    found = np.zeros(len(xy), dtype=bool)
    near = np.flatnonzero(within_box(xy, (corners[:, 0].min(), corners[:, 0].max()), (corners[:, 1].min(), corners[:, 1].max())))
    # By height each edge concerns one run of points only: on a lasso of many short edges that is few.
    near = near[np.argsort(xy[near, 1], kind="stable")]
    px, py = np.asarray(xy[near, 0], dtype=np.float64), np.asarray(xy[near, 1], dtype=np.float64)
    odd = np.zeros(len(near), dtype=bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        first, last = np.searchsorted(py, [min(y1, y2), max(y1, y2)], side="left")
        crossing = x1 + (py[first:last] - y1) * ((x2 - x1) / (y2 - y1))
        odd[first:last] ^= px[first:last] < crossing
    found[near] = odd
    return found


def within_box(xy: np.ndarray, x: Sequence[float], y: Sequence[float]) -> np.ndarray:
    """Points within a rectangle, its edges among it.

    Args:
        xy: ``[n, 2]``.
        x: two ends in any order.
        y: likewise.

    Returns:
        bool ``[n]``.
    """
    inside = (xy[:, 0] >= min(x)) & (xy[:, 0] <= max(x))
    return inside & (xy[:, 1] >= min(y)) & (xy[:, 1] <= max(y))
