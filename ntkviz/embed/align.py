"""Two maps of the same points, laid over each other: orthogonal Procrustes with scale.

Most maps have no orientation: turned, mirrored, moved or enlarged they say the same. Only these four are used here, the same for all
points, so what still differs afterwards differs between the maps.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import orthogonal_procrustes


@dataclass(frozen=True, eq=False)
class AlignedMap:
    """A map brought to the frame of another.

    Attributes:
        points: float64 ``[N, 2]``, in the units of the other map.
        test_points: float64 ``[M, 2]``, or None; moved as the training points were.
        residual: root mean square distance to the other map over its root mean square radius: 0 when the maps are the same up to
            rotation, reflection, place and size, 1 when aligning them explains nothing.
        moved: float64 ``[N]``, distance of each training point from its place on the other map, over the other map's radius.
        scale: factor by which it was enlarged.
        degrees: angle by which it was turned, after the mirroring.
        mirrored: whether it was mirrored.
    """

    points: np.ndarray
    test_points: np.ndarray | None
    residual: float
    moved: np.ndarray
    scale: float
    degrees: float
    mirrored: bool


def align(points: np.ndarray, reference: np.ndarray, test_points: np.ndarray | None = None) -> AlignedMap:
    """Lay a map over another of the same training points by rotation, reflection, translation and scale, in least squares.

    Args:
        points: ``[N, 2]``, the map.
        reference: ``[N, 2]``, the other map, the same points in the same order.
        test_points: ``[M, 2]`` of the map, moved along, or None.

    Raises:
        ValueError: when shapes differ, a coordinate is not finite, or all points of a map coincide.

    Source: Schoenemann 1966; Gower 1975.
    """
    mine, other = _checked(points, "map"), _checked(reference, "other map")
    if mine.shape != other.shape:
        raise ValueError(f"Expected two maps of the same points, got {len(mine)} and {len(other)}.")
    centre, target = mine.mean(axis=0), other.mean(axis=0)
    moved_mine, moved_other = mine - centre, other - target
    size, radius = float(np.linalg.norm(moved_mine)), float(np.linalg.norm(moved_other))
    if size == 0 or radius == 0:
        raise ValueError("All points of a map coincide, so it has no shape to align. Choose another kernel or method.")
    turn, fit = orthogonal_procrustes(moved_mine, moved_other)
    scale = float(fit) / size**2

    def placed(xy: np.ndarray) -> np.ndarray:
        return scale * (xy - centre) @ turn + target

    found = placed(mine)
    off = np.linalg.norm(found - other, axis=1)
    mirrored = bool(np.linalg.det(turn) < 0)
    # Rows are points, so a turn by t is [[cos, sin], [-sin, cos]]; a mirroring of the second axis comes first.
    pure = np.diag([1.0, -1.0]) @ turn if mirrored else turn
    return AlignedMap(
        points=found,
        test_points=None if test_points is None else placed(_checked(test_points, "test points")),
        residual=float(np.linalg.norm(off) / radius),
        moved=off / (radius / np.sqrt(len(other))),
        scale=scale,
        degrees=float(np.degrees(np.arctan2(pure[0, 1], pure[0, 0]))),
        mirrored=mirrored,
    )


def _checked(xy: np.ndarray, name: str) -> np.ndarray:
    """The coordinates as float64 ``[n, 2]``.

    Raises:
        ValueError: when they are not, or not finite.
    """
    values = np.asarray(xy, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != 2 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"The {name} must be finite coordinates [n, 2]; got shape {values.shape}. Make the map again.")
    return values
