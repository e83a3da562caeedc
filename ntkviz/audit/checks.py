"""What every audit asks of its input: a kernel, labels that fit it, cosines where angles count."""

import numpy as np
from scipy.stats import median_abs_deviation

from ntkviz.kernels import diagnostics


def audited(kernel: np.ndarray, labels: np.ndarray, n_classes: int | None = None) -> tuple[np.ndarray, np.ndarray, int]:
    """The kernel, the labels and the number of classes, after a look at them.

    Args:
        kernel: ``[N, N]``, symmetric and finite, with a positive mean diagonal.
        labels: whole numbers ``[N]`` from 0.
        n_classes: C; None for as many as the labels name. One logit means two classes.

    Returns:
        The kernel as float64, the labels as int64, and C, at least 2.

    Raises:
        ValueError: when the kernel is no such matrix, or a label does not fit.
    """
    values = diagnostics.checked_kernel(kernel)
    if not np.diagonal(values).mean() > 0:
        raise ValueError(
            f"The kernel's mean diagonal is {np.diagonal(values).mean():.3g}; expected it above 0. Check how the kernel was computed."
        )
    if np.asarray(labels).dtype.kind not in "iu":
        raise ValueError(f"Labels must be whole numbers from 0; got {np.asarray(labels).dtype}.")
    classes, count = diagnostics.checked_labels(labels, len(values), None if n_classes is None else max(2, n_classes))
    return values, classes, max(2, count)


def positions(points: np.ndarray, n: int, what: str) -> np.ndarray:
    """Positions as int64, each once, in the order given.

    Args:
        points: whole numbers in 0..n-1.
        n: how many points there are.
        what: the points, for the message.

    Raises:
        ValueError: when one is out of range or stands twice.
    """
    values = np.asarray(points)
    values = values.astype(np.int64) if not values.size else values
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise ValueError(f"Expected positions of {what} as a list of whole numbers; got shape {values.shape} of {values.dtype}.")
    if values.size and not 0 <= values.min() <= values.max() < n:
        raise ValueError(f"Positions of {what} run from {values.min()} to {values.max()}; expected 0 to {n - 1}.")
    if len(np.unique(values)) < len(values):
        raise ValueError(f"A position of {what} stands twice; give each once.")
    return values.astype(np.int64)


def penalty(lam: float) -> float:
    """A ridge penalty.

    Raises:
        ValueError: when it is no finite number above 0.
    """
    if isinstance(lam, bool) or not isinstance(lam, int | float | np.number) or not (np.isfinite(lam) and lam > 0):
        raise ValueError(f"lam must be a finite number above 0, in units of the kernel's mean diagonal; got {lam!r}.")
    return float(lam)


def counted(name: str, value: int, low: int = 1) -> int:
    """A whole number from ``low`` on.

    Raises:
        ValueError: when it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ValueError(f"{name} must be a whole number from {low} on; got {value!r}.")
    return int(value)


def cosine(kernel: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """The kernel as cosines in [-1, 1], float64 ``[N, N]``, a new array.

    A point whose diagonal entry is not positive has no direction: its similarities are 0, and a note says so.

    Args:
        kernel: ``[N, N]``.

    Returns:
        The cosines and the notes.
    """
    diagonal = np.diagonal(kernel).astype(np.float64)
    usable = diagonal > 0
    scale = inverse_root(diagonal)
    result = np.clip(kernel * scale[:, None] * scale, -1.0, 1.0)
    np.fill_diagonal(result, usable.astype(np.float64))
    lost = int((~usable).sum())
    return result, ((f"{lost} points have no gradient, so no angle; their similarities count as 0.",) if lost else ())


def inverse_root(diagonal: np.ndarray) -> np.ndarray:
    """1 / sqrt(d), and 0 where d is not positive."""
    values = np.asarray(diagonal, dtype=np.float64)
    usable = values > 0
    return np.divide(1.0, np.sqrt(np.where(usable, values, 1.0)), out=np.zeros(len(values)), where=usable)


def one_hot(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """float64 ``[N, C]``, 1 in the column of each point's class."""
    return (labels[:, None] == np.arange(n_classes)).astype(np.float64)


def spread(values: np.ndarray) -> float:
    """Median absolute deviation of ``[n]``, scaled so that it is the standard deviation of normal values."""
    return float(median_abs_deviation(values)) * 1.4826
