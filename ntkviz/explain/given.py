"""What attributions need besides a surrogate and rows, checked."""

import numpy as np

from ntkviz.explain.share import need_room
from ntkviz.surrogates.surrogate import RidgeSurrogate, Surrogate


def check_kernel(kernel: object, n: int, kind: str) -> np.ndarray:
    """The kernel ``[N, N]`` of the training points.

    Args:
        kernel: what was given.
        n: N.
        kind: of the attribution, for the message.

    Raises:
        ValueError: when it is missing or does not fit.
    """
    if kernel is None:
        raise ValueError(f"The attribution {kind!r} needs the kernel of the training points: pass kernel [{n}, {n}].")
    values = np.asarray(kernel)
    if values.shape != (n, n) or values.dtype.kind not in "fiub" or not np.isfinite(values).all():
        raise ValueError(f"kernel must be [{n}, {n}] finite numbers; got shape {values.shape} of {values.dtype}.")
    return values


def check_ridge(surrogate: Surrogate, n_test: int, kernel: object, kind: str) -> tuple[RidgeSurrogate, np.ndarray]:
    """A ridge and the kernel ``[N, N]`` of its fit, when there is room for its effects on so many test points.

    Args:
        surrogate: what was given.
        n_test: M.
        kernel: what was given.
        kind: of the attribution, for the message.

    Raises:
        ValueError: when the surrogate is no ridge, or the kernel is missing or does not fit.
        BudgetExceeded: when the array would be too large.
    """
    if not isinstance(surrogate, RidgeSurrogate):
        raise ValueError(f"{kind} takes the surrogates ridge and ridge_logits; got {surrogate.kind!r}. For klr: removal_klr.")
    need_room(n_test, *surrogate.weights.shape)
    return surrogate, check_kernel(kernel, surrogate.n_train, kind)


def check_labels(labels: object, n: int, n_classes: int, kind: str) -> np.ndarray:
    """The labels of the training points, int64 ``[N]``.

    Args:
        labels: what was given.
        n: N.
        n_classes: C; 1 allows 0 and 1.
        kind: of the attribution, for the message.

    Raises:
        ValueError: when they are missing or do not fit.
    """
    if labels is None:
        raise ValueError(f"The attribution {kind!r} needs the labels of the training points: pass labels [{n}].")
    values, top = np.asarray(labels), max(n_classes, 2) - 1
    if values.shape != (n,) or values.dtype.kind not in "iub" or values.min() < 0 or values.max() > top:
        raise ValueError(f"labels must be {n} whole numbers in 0..{top}; got shape {values.shape} of {values.dtype}.")
    return values.astype(np.int64)


def check_margin_rows(rows: np.ndarray, n: int, n_classes: int, kind: str) -> np.ndarray:
    """Rows of the margin kernel for each class, float64 ``[M, C, N]``.

    Args:
        rows: what was given.
        n: N.
        n_classes: C; 1 stands for the two classes of one logit and takes 1 too.
        kind: of the attribution, for the message.

    Raises:
        ValueError: when they do not fit.
    """
    values = np.asarray(rows)
    if values.ndim != 3 or values.shape[1:] != (n_classes, n) or values.dtype.kind not in "fiub" or not np.isfinite(values).all():
        raise ValueError(
            f"The attribution {kind!r} takes rows [M, {n_classes}, {n}] of the kernel 'margin', each test point once for each class; "
            f"got shape {values.shape} of {values.dtype}. ntkviz.kernels.comparators.margin_blocks makes them."
        )
    return values.astype(np.float64)


def check_rows_diagonal(diagonal: object, shape: tuple[int, int], kind: str) -> np.ndarray:
    """Each test point and class with itself, float64 ``[M, C]``.

    Args:
        diagonal: what was given.
        shape: M and C.
        kind: of the attribution, for the message.

    Raises:
        ValueError: when it is missing or does not fit.
    """
    values = None if diagonal is None else np.asarray(diagonal, dtype=np.float64)
    if values is None or values.shape != shape:
        got = "nothing" if values is None else f"shape {values.shape}"
        raise ValueError(
            f"The attribution {kind!r} needs rows_diagonal {list(shape)}, each test point and class with itself; got {got}."
        )
    return values
