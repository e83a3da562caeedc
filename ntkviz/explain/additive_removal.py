"""``additive_removal``: how much each target counts in a ridge's prediction. It adds up to the score and foretells removals as well."""

import numpy as np

from ntkviz.explain.given import check_kernel
from ntkviz.explain.ridge_removal import RidgeRemoval
from ntkviz.explain.share import need_room
from ntkviz.surrogates.surrogate import RidgeSurrogate, Surrogate, check_rows
from ntkviz.types import AttributionInfo

INFO = AttributionInfo(
    key="additive_removal",
    title="Weight of each target",
    formula=r"A_c(x, x_i) = \big[\kappa_x (K + \lambda I)^{-1}\big]_i\,(t_{ic} - \bar t_c),\qquad \sum_i A_c(x, x_i) + \bar t_c = g_c(x)",
    question="How is the score composed, when each point counts by what its label adds?",
    cost="One N³ factorisation; then M N² and M N C multiplications.",
    source="The equivalent kernel of ridge regression (Rasmussen and Williams, 2006, section 2.6).",
    caveat="Ridges only. Unlike the share it does not confuse a point's own pull with what its neighbours force on its weight: similar "
    "points share one effect. It is linear in the targets, so it says what a small change of a label does, exactly.",
    measured="LDS .52 on mnist-mlp-1k, .44 on fashion-cnn-1k, .21 on cancer-mlp; the share of the same ridge .29, .26 and .42.",
    needs=("kernel",),
)


def additive_removal(surrogate: Surrogate, rows: np.ndarray, *, kernel: np.ndarray | None = None) -> np.ndarray:
    """Float64 ``[M, C, N]``, in units of the score; with the mean target it adds up to the decision function.

    Args:
        surrogate: a ridge.
        rows: ``[M, N]``.
        kernel: ``[N, N]``, the kernel of the fit.

    Raises:
        ValueError: when the surrogate is no ridge, or the kernel does not fit.
        BudgetExceeded: when the array would be too large.
    """
    if not isinstance(surrogate, RidgeSurrogate):
        raise ValueError(f"additive_removal takes the surrogates ridge and ridge_logits; got {surrogate.kind!r}.")
    checked = np.asarray(check_rows(rows, surrogate.n_train), dtype=np.float64) / surrogate.scale
    need_room(len(checked), *surrogate.weights.shape)
    system = RidgeRemoval.factor(surrogate, check_kernel(kernel, surrogate.n_train, INFO.key))
    centred = surrogate.targets - surrogate.targets.mean(axis=0)
    return system.smoother(checked)[:, None, :] * centred.T[None]
