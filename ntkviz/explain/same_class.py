"""``same_class``: the rule that examples of a class support it. A control: it knows neither network nor point."""

import numpy as np

from ntkviz.explain.given import check_labels
from ntkviz.explain.share import need_room
from ntkviz.surrogates.surrogate import Surrogate, check_rows
from ntkviz.types import AttributionInfo

INFO = AttributionInfo(
    key="same_class",
    title="Same class (control)",
    formula=r"A_c(x, x_i) = \mathbf 1[y_i = c]",
    question="What would one say who knows nothing but the labels?",
    cost="None.",
    source="The identical-class test of Hanawa et al., ICLR 2021 (arXiv 2006.04528).",
    caveat="The same for every test point. An attribution that foretells removals no better has found the labels and nothing else.",
    measured="LDS .19 on mnist-mlp-1k, .17 on fashion-cnn-1k, .11 on cancer-mlp.",
    needs=("labels",),
    control=True,
)


def same_class(surrogate: Surrogate, rows: np.ndarray, *, labels: np.ndarray | None = None) -> np.ndarray:
    """1 where the training point has the class, float64 ``[M, C, N]``; for one score -1 and 1.

    Args:
        surrogate: gives C and N.
        rows: ``[M, N]``, for M alone.
        labels: int ``[N]``.

    Raises:
        ValueError: when labels are missing or do not fit.
        BudgetExceeded: when the array would be too large.
    """
    n_scores, n = surrogate.weights.shape
    m = len(check_rows(rows, n))
    need_room(m, n_scores, n)
    classes = check_labels(labels, n, n_scores, INFO.key)
    table = 2.0 * classes[None] - 1.0 if n_scores == 1 else (classes[None] == np.arange(n_scores)[:, None]).astype(np.float64)
    return np.repeat(table[None], m, axis=0)
