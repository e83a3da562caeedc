"""Attributions summed by the class of the training point: which training classes push which score."""

import numpy as np


def class_totals(attribution: np.ndarray, y_train: np.ndarray, n_classes: int) -> np.ndarray:
    """Sum of the attributions over the training points of each class, float64 ``[C, K]``.

    Entry [c, k] is what the training points of class k together do to score c. For shares, a row plus the intercept of its score is
    the decision: the intercept belongs to no class and is left out, or large classes would look influential.

    Args:
        attribution: ``[C, N]``, one test point.
        y_train: int ``[N]``, classes of the training points in 0..K-1.
        n_classes: K, the number of classes (2 for a surrogate with one score).

    Raises:
        ValueError: when shapes do not fit or a label is out of range.
    """
    values, labels = np.asarray(attribution), np.asarray(y_train)
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise ValueError(f"attribution must be numbers [C, N], one test point; got shape {values.shape} of {values.dtype}.")
    if labels.shape != (values.shape[1],) or labels.dtype.kind not in "iub":
        raise ValueError(f"y_train must be {values.shape[1]} whole numbers; got shape {labels.shape} of {labels.dtype}.")
    if isinstance(n_classes, bool) or not isinstance(n_classes, int | np.integer) or n_classes < 1:
        raise ValueError(f"n_classes must be a whole number above 0; got {n_classes!r}.")
    if labels.size and not (0 <= labels.min() and labels.max() < n_classes):
        raise ValueError(f"Labels run from {labels.min()} to {labels.max()}; expected 0 to {n_classes - 1}.")
    return values.astype(np.float64) @ np.eye(int(n_classes))[labels.astype(np.int64)]
