"""What the attributions trak, tracin and grad_cos are computed from: gradients of the log-odds of a class, at each test point for every class."""

from dataclasses import dataclass

import numpy as np
from torch import nn

from ntkviz.kernels.matrix import Array, kernel_blocks
from ntkviz.types import ProgressFn, silent


@dataclass(frozen=True, eq=False)
class MarginBlocks:
    """The margin kernel between training points at their labels, and of test points at every class against them.

    Attributes:
        train: float32 ``[N, N]``.
        rows: float32 ``[M, C, N]``; for one logit ``[M, 1, N]``, the log-odds of class 1.
        rows_diagonal: float64 ``[M, C]``, each test point and class with itself.
    """

    train: np.ndarray
    rows: np.ndarray
    rows_diagonal: np.ndarray


def margin_blocks(
    model: nn.Module,
    x_train: Array,
    y_train: Array,
    x_test: Array,
    *,
    n_classes: int,
    memory_mb: int = 4096,
    on_progress: ProgressFn = silent,
) -> MarginBlocks:
    """The kernel ``margin``, with each test point taken once for every class.

    Args:
        model: any classifier.
        x_train: ``[N, ...]``.
        y_train: int ``[N]``.
        x_test: ``[M, ...]``.
        n_classes: C, the number of logits.
        memory_mb: bound on what grows with N, in MiB.
        on_progress: may raise ``JobCancelled``.

    Raises:
        ValueError: see :func:`ntkviz.kernels.matrix.kernel_blocks`.
        UnsupportedModel: see there.
        BudgetExceeded: see there.
    """
    points = np.asarray(x_test)
    classes = np.arange(n_classes) if n_classes > 1 else np.array([1])
    blocks = kernel_blocks(
        model,
        x_train,
        points.repeat(len(classes), axis=0),
        kind="margin",
        y_train=y_train,
        y_test=np.tile(classes, len(points)),
        memory_mb=memory_mb,
        on_progress=on_progress,
    )
    shape = (len(points), len(classes))
    return MarginBlocks(blocks.train, blocks.rows.reshape(*shape, -1), blocks.rows_diagonal.reshape(shape))
