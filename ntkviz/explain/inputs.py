"""``inputs``: removal effects of a kernel of the inputs. The model-free control: what can be said without any network."""

import numpy as np

from ntkviz.explain.given import check_kernel, check_labels
from ntkviz.explain.removal_klr import removal_klr
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.surrogate import Surrogate, check_rows
from ntkviz.types import AttributionInfo

INFO = AttributionInfo(
    key="inputs",
    title="Inputs alone (control)",
    formula=r"A_c(x, x_i):\ \text{removal effect of kernel logistic regression on } \kappa_\text{inputs}",
    question="What would one say who sees the data and no network?",
    cost="A fit and the removal effects of klr.",
    source="ntkviz; the model-free control of its measurements.",
    caveat="On easy images it foretells retraining as well as any tangent kernel: then the removal effect is about the data, which any network "
    "trained on them shares. It cannot tell two networks apart.",
    measured="LDS .71 on mnist-mlp-1k, .59 on fashion-cnn-1k (lam = 0.1) and .63 on cancer-mlp: as much as the trace NTK, or more; .67 on sentences-transformer, far more.",
    needs=("input_kernel", "input_rows", "labels"),
    options={"lam": (0.1, "penalty of the logistic regression")},
    control=True,
)


def inputs(
    surrogate: Surrogate,
    rows: np.ndarray,
    *,
    input_kernel: np.ndarray | None = None,
    input_rows: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    lam: float = 0.1,
) -> np.ndarray:
    """Float64 ``[M, C, N]``, in log-odds of a logistic regression on the inputs.

    Args:
        surrogate: gives C and N.
        rows: ``[M, N]``, for M alone.
        input_kernel: ``[N, N]``, a kernel without a network, such as ``rbf``.
        input_rows: ``[M, N]``, its rows.
        labels: int ``[N]``.
        lam: the penalty.

    Raises:
        ValueError: when something is missing or does not fit.
        BudgetExceeded: when the array would be too large.
    """
    n = surrogate.n_train
    kernel = check_kernel(input_kernel, n, INFO.key)
    classes = check_labels(labels, n, surrogate.n_classes, INFO.key)
    checked = check_rows(np.empty((0, n)) if input_rows is None else input_rows, n)
    if len(checked) != len(rows):
        raise ValueError(
            f"The attribution 'inputs' needs input_rows [{len(rows)}, {n}], a row a test point; got {len(checked)} rows."
        )
    control = fit_surrogate(kernel, classes, kind="klr", lam=lam, n_classes=surrogate.n_classes)
    return removal_klr(control, checked, kernel=kernel, labels=classes)
