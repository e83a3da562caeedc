"""``removal_klr``: by how much the score of a kernel logistic regression falls without the point. The default answer to "which examples matter?"."""

import numpy as np

from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.given import check_kernel, check_labels
from ntkviz.explain.removal_ridge import of_each_class
from ntkviz.explain.share import need_room
from ntkviz.surrogates.surrogate import Surrogate
from ntkviz.types import AttributionInfo

INFO = AttributionInfo(
    key="removal_klr",
    title="Removal effect",
    formula=r"A_c(x, x_i) = e_c^\top (\lambda I + K W)^{-1}\big|_{x, i}\,(y_i - p_i),\quad W_i = \mathrm{diag}(p_i) - p_i p_i^\top",
    question="Which examples matter: what would change if this one had not been there?",
    cost="C + 1 Cholesky factors of size N; then 3 M C N² multiplications. Above 3 GB by iteration: tens of products of K with [N, C] a test point.",
    source="Influence functions (Cook and Weisberg, 1982; Koh and Liang, ICML 2017) of kernel logistic regression, with the exact curvature of the "
    "softmax by the C + 1 factors of Rasmussen and Williams (2006, section 3.5); the surrogate's residuals, never the saturated network's.",
    caveat="A forecast of retraining, to first order; leave_one_out=True takes one whole Newton step without the point. It does not add up to the score. "
    "It understates groups that taught the network a shortcut: the kernel keeps what was learned from them. "
    "Choose lam by held-out likelihood (fit_surrogate(..., lam='auto')).",
    needs=("kernel", "labels"),
    options={"leave_one_out": (False, "one whole Newton step of the fit without the point, instead of the first-order effect")},
    measured="LDS .69 on mnist-mlp-1k and .60 on fashion-cnn-1k, where exact TRAK reached .52 and .33 and shares .30 and .27; on the table cancer-mlp .38, no more than TRAK (.36) or shares (.48) within their intervals; on sentences-transformer .27, where TRAK reached .32 and word counts alone .67.",
)


def removal_klr(
    surrogate: Surrogate,
    rows: np.ndarray,
    *,
    kernel: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    leave_one_out: bool = False,
) -> np.ndarray:
    """Float64 ``[M, C, N]``, in log-odds: positive where the point supports the class.

    Args:
        surrogate: of kind ``klr``.
        rows: ``[M, N]``.
        kernel: ``[N, N]``, the kernel of the fit.
        labels: int ``[N]``, the labels of the fit.
        leave_one_out: one whole Newton step instead of the first-order effect.

    Raises:
        ValueError: when the surrogate is of another kind, or kernel or labels are missing or do not fit.
        BudgetExceeded: when the array would be too large.
    """
    if surrogate.kind != "klr":
        raise ValueError(
            f"removal_klr takes the surrogate klr; got {surrogate.kind!r}. Fit one on the same kernel: "
            "fit_surrogate(kernel, labels, kind='klr', lam='auto')."
        )
    need_room(len(rows), *surrogate.weights.shape)
    known = check_kernel(kernel, surrogate.n_train, INFO.key)
    classes = check_labels(labels, surrogate.n_train, surrogate.n_classes, INFO.key)
    return of_each_class(RemovalEffects.of_surrogate(surrogate, known, classes, leave_one_out=leave_one_out), rows)
