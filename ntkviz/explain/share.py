"""``share``: the part of a score that each training point contributes, weight times kernel. The shares add up to the score.

    a[m, c, i] = weights[c, i] * rows[m, i],        sum_i a[m, c, i] + intercept[c] = decision[m, c]

The intercept belongs to no training point and is kept apart. (The paper's notation spreads it as b_c / N over the points, which makes
large classes look influential.) A share is not what would change without the point: then all other weights would change too.
"""

from collections.abc import Sequence

import numpy as np

from ntkviz.errors import BudgetExceeded
from ntkviz.surrogates.surrogate import Surrogate, check_rows
from ntkviz.types import AttributionInfo

#: Largest array of attributions that is made at once, bytes. One test point at a time needs C N 8 bytes: :func:`share_of`.
MAX_BYTES = 4 * 10**9

INFO = AttributionInfo(
    key="share",
    title="Share of the score",
    formula=r"A_c(x, x_i) = W_{ci}\,\kappa(x, x_i),\qquad \sum_i A_c(x, x_i) + b_c = g_c(x)",
    question="How is the surrogate's score composed of training points?",
    cost="M N C multiplications and as many float64 numbers.",
    source="Engel et al., ICLR 2024 (arXiv 2305.14585), the decomposition of the kGLM; the intercept is kept apart.",
    caveat="It adds up to the logit. It is NOT what happens when the point is removed, which is what removal effects foretell. Show it with its whole distribution: usually hundreds of points carry a score, and large ones cancel.",
    measured="LDS of the paper's kind of surrogate .18 on mnist-mlp-1k and .17 on fashion-cnn-1k, no better than the rule 'same class helps' (.19, .17); of klr .30 and .27, and .48 on cancer-mlp.",
)


def shares(surrogate: Surrogate, rows: np.ndarray) -> np.ndarray:
    """The shares of M test points, float64 ``[M, C, N]``, in units of the score.

    Args:
        surrogate: the kernel machine.
        rows: ``[M, N]``, the kernel between the test points and the training points.

    Raises:
        BudgetExceeded: when the array would take more than :data:`MAX_BYTES`.
    """
    checked = np.asarray(check_rows(rows, surrogate.n_train), dtype=np.float64)
    need_room(len(checked), *surrogate.weights.shape)
    return surrogate.weights[None, :, :] * checked[:, None, :]


def share_of(surrogate: Surrogate, row: np.ndarray, classes: Sequence[int] | None = None) -> np.ndarray:
    """The shares of one test point, float64 ``[C, N]``, or ``[len(classes), N]``.

    Args:
        surrogate: the kernel machine.
        row: ``[N]``, the kernel between the test point and the training points.
        classes: the scores to compose, in the order of the result; None for all.

    Raises:
        ValueError: when the row has not N finite numbers, or a class is not one of the surrogate's.
    """
    values = np.asarray(row)
    if values.ndim != 1:
        raise ValueError(
            f"row must be [{surrogate.n_train}], one test point; got shape {values.shape}. For several use attribute()."
        )
    checked = check_rows(values[None, :], surrogate.n_train)[0].astype(np.float64)
    chosen = range(surrogate.n_classes) if classes is None else [check_class(c, surrogate.n_classes) for c in classes]
    return surrogate.weights[list(chosen)] * checked


def contrast(attribution: np.ndarray, first: int, second: int) -> np.ndarray:
    """Why ``first`` rather than ``second``: the difference of two classes' attributions, ``[..., N]``.

    For shares it adds up, with the difference of the intercepts, to the difference of the two scores.

    Args:
        attribution: ``[..., C, N]``.
        first: the class spoken for.
        second: the class spoken against.

    Raises:
        ValueError: when there is one score only, or a class is not among those there are.
    """
    values = np.asarray(attribution)
    if values.ndim < 2:
        raise ValueError(f"attribution must be [..., C, N]; got shape {values.shape}.")
    n_classes = values.shape[-2]
    if n_classes == 1:
        raise ValueError("The surrogate has one score, which is itself class 1 against class 0; there is nothing to contrast.")
    return values[..., check_class(first, n_classes), :] - values[..., check_class(second, n_classes), :]


def check_class(label: int, n_classes: int) -> int:
    """The class.

    Raises:
        ValueError: when it is no whole number in 0..C-1.
    """
    if isinstance(label, bool) or not isinstance(label, int | np.integer) or not 0 <= label < n_classes:
        raise ValueError(f"There is no class {label!r}; expected 0 to {n_classes - 1}.")
    return int(label)


def need_room(n_test: int, n_classes: int, n_train: int) -> None:
    """Refuse an ``[M, C, N]`` array that is too large.

    Raises:
        BudgetExceeded: when it would take more than :data:`MAX_BYTES`.
    """
    wanted = 8 * n_test * n_classes * n_train
    if wanted > MAX_BYTES:
        most = max(1, MAX_BYTES // (8 * n_classes * n_train))
        raise BudgetExceeded(
            f"Attributions of {n_test:,} test points, {n_classes} classes and {n_train:,} training points take {wanted / 1e9:.1f} GB; "
            f"at most {MAX_BYTES / 1e9:.0f} GB are made at once. Ask for at most {most:,} test points, or for one with share_of()."
        )
