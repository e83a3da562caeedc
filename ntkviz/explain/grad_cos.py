"""``grad_cos``: the cosine between gradients of log-odds, which forgets their lengths."""

import numpy as np

from ntkviz.explain.given import check_kernel, check_margin_rows, check_rows_diagonal
from ntkviz.explain.share import need_room
from ntkviz.surrogates.surrogate import Surrogate
from ntkviz.types import AttributionInfo

INFO = AttributionInfo(
    key="grad_cos",
    title="Gradient cosine (comparator)",
    formula=r"A_y(x, x_i) = \cos\big(\nabla_\theta m_y(x), \nabla_\theta m_{y_i}(x_i)\big)",
    question="Which examples pull the parameters the same way?",
    cost="The margin kernel; then M C N multiplications.",
    source="Charpiat et al., NeurIPS 2019; Hanawa et al., ICLR 2021 (arXiv 2006.04528).",
    caveat="A similarity, without a unit. It knows the training label, but not how much the point was needed.",
    measured="LDS .25 on mnist-mlp-1k, .23 on fashion-cnn-1k, .13 on cancer-mlp.",
    unit="log_odds",
    needs=("kernel", "rows_diagonal"),
)


def grad_cos(
    surrogate: Surrogate, rows: np.ndarray, *, kernel: np.ndarray | None = None, rows_diagonal: np.ndarray | None = None
) -> np.ndarray:
    """Float64 ``[M, C, N]`` in [-1, 1]; 0 where a gradient is 0.

    Args:
        surrogate: gives C and N; its weights are not used.
        rows: ``[M, C, N]`` of the kernel ``margin``.
        kernel: ``[N, N]``, the margin kernel of the training points; its diagonal is used.
        rows_diagonal: ``[M, C]``, each test point and class with itself.

    Raises:
        ValueError: when something is missing or does not fit.
        BudgetExceeded: when the array would be too large.
    """
    n_scores, n = surrogate.weights.shape
    values = check_margin_rows(rows, n, n_scores, INFO.key)
    need_room(len(values), n_scores, n)
    diagonal = np.diagonal(check_kernel(kernel, n, INFO.key)).astype(np.float64)
    own = check_rows_diagonal(rows_diagonal, values.shape[:2], INFO.key)
    lengths = np.sqrt(own[:, :, None] * diagonal)
    return np.clip(np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0), -1.0, 1.0)
