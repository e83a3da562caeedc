"""``tracin``: the gradient of a test point's log-odds times that of a training point's loss, at the last checkpoint."""

import numpy as np

from ntkviz.explain.given import check_margin_rows
from ntkviz.explain.share import need_room
from ntkviz.explain.trak import check_chances
from ntkviz.surrogates.surrogate import Surrogate
from ntkviz.types import AttributionInfo

INFO = AttributionInfo(
    key="tracin",
    title="TracIn, last checkpoint (comparator)",
    formula=r"A_y(x, x_i) = -\langle \nabla_\theta m_y(x), \nabla_\theta \mathrm{CE}(x_i, y_i) \rangle = (1 - p_i)\,\langle \nabla_\theta m_y(x), \nabla_\theta m_{y_i}(x_i) \rangle",
    question="Which examples would push this prediction now, by one more step of training?",
    cost="The margin kernel; then M C N multiplications.",
    source="Pruthi et al., NeurIPS 2020 (arXiv 2002.08484), with the last checkpoint alone.",
    caveat="It speaks of the next step of training, not of the whole of it.",
    measured="LDS .25 on mnist-mlp-1k, .19 on fashion-cnn-1k, .48 on cancer-mlp.",
    unit="log_odds",
    needs=("chances",),
)


def tracin(surrogate: Surrogate, rows: np.ndarray, *, chances: np.ndarray | None = None) -> np.ndarray:
    """Float64 ``[M, C, N]``, in log-odds a unit of learning rate.

    Args:
        surrogate: gives C and N; its weights are not used.
        rows: ``[M, C, N]`` of the kernel ``margin``.
        chances: ``[N]``, the network's probability of each training point's label.

    Raises:
        ValueError: when something is missing or does not fit.
        BudgetExceeded: when the array would be too large.
    """
    n_scores, n = surrogate.weights.shape
    values = check_margin_rows(rows, n, n_scores, INFO.key)
    need_room(len(values), n_scores, n)
    return values * (1 - check_chances(chances, n, INFO.key))
