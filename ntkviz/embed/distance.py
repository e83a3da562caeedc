"""The distance that a kernel measures: ``d(i, j)^2 = k_ii + k_jj - 2 k_ij``."""

from dataclasses import dataclass

import numpy as np

from ntkviz.kernels.diagnostics import check_kernel, row_blocks

#: Squared distances below zero by at most this share of the mean diagonal are rounding: a float32 Gram matrix is good
#: to about 1e-6 of its diagonal, and the difference of four entries to a few times that.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Distances:
    """Distances and what had to be done to get them.

    Attributes:
        values: float32 ``[M, N]`` (or ``[N, N]``, symmetric with a zero diagonal).
        n_clipped: how many squared distances came out below zero and were set to zero.
        most_negative: the lowest of them, 0 when there is none.
        notes: sentences about it for the person who looks.
    """

    values: np.ndarray
    n_clipped: int
    most_negative: float
    notes: tuple[str, ...] = ()


def kernel_distance(kernel: np.ndarray) -> np.ndarray:
    """Distances between training points in the kernel's space, float32 ``[N, N]``.

    Args:
        kernel: ``[N, N]``. See :func:`training_distances` for the count of values that were clipped.

    Raises:
        ValueError: when the kernel is not a finite symmetric matrix.
    """
    return training_distances(kernel).values


def training_distances(kernel: np.ndarray) -> Distances:
    """Distances between training points, with the count of clipped values.

    Args:
        kernel: ``[N, N]``.

    Raises:
        ValueError: when the kernel is not a finite symmetric matrix.
    """
    values = check_kernel(kernel)
    n, diagonal = len(values), np.diag(values).astype(np.float64)
    found, n_clipped, lowest = np.empty((n, n), dtype=np.float32), 0, 0.0
    for rows in row_blocks(n):  # in float64, and never the whole matrix at once: ten thousand points would take 800 MB a copy
        own = np.arange(n)[rows]
        # k_ij + k_ji instead of 2 k_ij: exactly symmetric even when the Gram matrix is so up to rounding only.
        squared = diagonal[rows, None] + diagonal[None, :] - (values[rows].astype(np.float64) + values[:, rows].T)
        squared[np.arange(len(own)), own] = 0.0
        found[rows], clipped, least = _root(squared)
        n_clipped, lowest = n_clipped + clipped, min(lowest, least)
    return _told(found, n_clipped, lowest, float(np.abs(diagonal).mean()), "training")


def query_distances(rows: np.ndarray, row_diagonal: np.ndarray | None, diagonal: np.ndarray) -> Distances:
    """Distances from test points to training points.

    Args:
        rows: ``[M, N]``, test against train.
        row_diagonal: ``[M]``, the kernel of each test point with itself. None is understood as 1 when the training
            diagonal is 1 (a normalised kernel), which ``notes`` then says.
        diagonal: ``[N]``, the training diagonal.

    Raises:
        ValueError: when shapes disagree, a value is not finite, or the test diagonal is missing and not known to be 1.
    """
    values = np.asarray(rows, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(diagonal):
        raise ValueError(f"Rows must be test against train, [M, {len(diagonal)}], got shape {np.shape(rows)}.")
    notes: tuple[str, ...] = ()
    if row_diagonal is None:
        if float(np.abs(diagonal - 1).max()) > 1e-3:
            raise ValueError(
                "Distances of test points need row_diagonal [M], each test point's kernel with itself: this kernel is not normalised "
                f"(its diagonal runs from {diagonal.min():.3g} to {diagonal.max():.3g}). Pass KernelBlocks.test_diagonal, or normalise."
            )
        row_diagonal = np.ones(len(values))
        notes = ("The test points' self-similarity was taken as 1, as the training diagonal is.",)
    own = np.asarray(row_diagonal, dtype=np.float64)
    if own.shape != (len(values),):
        raise ValueError(f"row_diagonal must hold one number a test point, shape ({len(values)},), got shape {own.shape}.")
    n_bad = int(np.count_nonzero(~np.isfinite(values))) + int(np.count_nonzero(~np.isfinite(own)))
    if n_bad:
        raise ValueError(f"Rows and row_diagonal must be finite, got {n_bad} NaN or infinite entries. Recompute them.")
    result = _told(*_root(own[:, None] + diagonal[None, :] - 2 * values), float(np.abs(diagonal).mean()), "test to training")
    return Distances(result.values, result.n_clipped, result.most_negative, notes + result.notes)


def _root(squared: np.ndarray) -> tuple[np.ndarray, int, float]:
    """Square root, float32, with values below zero set to zero; how many these were, and the lowest (0 when there is none)."""
    n_clipped, lowest = int(np.count_nonzero(squared < 0)), min(0.0, float(squared.min())) if squared.size else 0.0
    return np.sqrt(np.maximum(squared, 0.0)).astype(np.float32), n_clipped, lowest


def _told(values: np.ndarray, n_clipped: int, lowest: float, scale: float, what: str) -> Distances:
    """Distances with a sentence about what was clipped."""
    notes: tuple[str, ...] = ()
    if lowest < -ROUNDING * scale:
        notes = (
            f"{n_clipped} of {values.size} squared {what} distances were below zero, down to {lowest:.3g} at a mean diagonal of "
            f"{scale:.3g}, and were set to 0. That is more than rounding: the kernel is not positive semidefinite.",
        )
    elif n_clipped:
        notes = (
            f"{n_clipped} of {values.size} squared {what} distances were below zero by rounding ({lowest:.1e}) and were set to 0.",
        )
    return Distances(values, n_clipped, lowest, notes)
