"""``ridge`` and ``ridge_logits``: kernel ridge regression on one-hot labels, or on the network's centred logits."""

import numpy as np
from scipy.linalg import cho_solve

from ntkviz.surrogates.options import positive
from ntkviz.surrogates.problem import Problem
from ntkviz.surrogates.surrogate import EMPTY_CLASS_INTERCEPT, Convergence, RidgeSurrogate, ridge_factor
from ntkviz.types import ProgressFn, SurrogateInfo

_FORMULA = r"W = (T - \mathbf{1}\bar t^\top)^\top (K + \lambda I)^{-1},\qquad b = \bar t"
_COST = "One Cholesky factorisation, N^3/3 in float64; about 2 core-seconds at N = 5,000. Leaving one out of N: 2 N^3/3."

INFO_LABELS = SurrogateInfo(
    key="ridge",
    title="Kernel ridge on labels",
    formula=_FORMULA + r",\qquad T \text{ one-hot}",
    summary="Re-learns the one-hot labels by least squares; what it would say without a point is known exactly.",
    target="labels",
    cost=_COST,
    source="Kernel ridge regression; leave-one-out as in Cawley and Talbot 2004, extended to the intercept and to sets of points.",
    use_when="For removal in closed form: leave_one_out() and without(). Its removal effects follow retraining well (LDS about .63 in our measurements).",
    caveat="Scores are regressed one-hot labels, near [0, 1], no log-odds: only the order of its probabilities means something. It imitates "
    "the network less well than ridge_logits does (tau .4 to .75 over our networks, against .8 to .98). Choose lam by another measure than "
    "leave-one-out: the kernel has seen the labels, so that picks the smallest. Weight times kernel adds up to the score and is not the "
    "effect of removing a point.",
    options={"lam": (1.0, "Ridge penalty, for a kernel of mean diagonal 1.")},
)
INFO_LOGITS = SurrogateInfo(
    key="ridge_logits",
    title="Kernel ridge on the network's logits",
    formula=_FORMULA + r",\qquad T_{ic} = f^c(x_i) - \tfrac{1}{C}\sum_k f^k(x_i)",
    summary="Imitates the network: regresses its centred logits. By far the most faithful imitation; it never sees a label.",
    target="logits",
    cost=_COST,
    source="Distillation into a kernel machine, ours; compare Mohamadi et al., ICML 2023 (arXiv 2206.12543) on eNTK regression.",
    use_when="When the question is what the network says and how its kernel composes it, rather than what the labels teach.",
    caveat="It saw the network's outputs, so its fidelity is not comparable with that of a surrogate that re-learns labels, and imitating "
    "well proves nothing about removal: across our surrogates imitation and counterfactual truth were negatively correlated. "
    "Softmax of its scores is comparable with the network's; a shift common to all classes is not imitated.",
    options={
        "lam": (1e-3, "Ridge penalty, for a kernel of mean diagonal 1. Imitation is flat from 1e-6 to 1e-2 and falls above .1.")
    },
)


def fit_ridge(problem: Problem, *, seed: int, on_progress: ProgressFn, options: dict[str, object]) -> RidgeSurrogate:
    """Regress the one-hot labels; for one logit the targets are -1 and 1, the difference of the two one-hot columns.

    Args:
        problem: the checked kernel and labels.
        seed: not used, nothing is drawn.
        on_progress: told when the fit begins and ends.
        options: all options of the registry's row.
    """
    labels = problem.known_labels
    if problem.n_classes == 1:
        return _fit(problem, "ridge", 2.0 * labels[:, None] - 1.0, options, on_progress)
    fitted = _fit(problem, "ridge", np.eye(problem.n_classes)[labels], options, on_progress)
    fitted.intercept[np.setdiff1d(np.arange(problem.n_classes), labels)] = EMPTY_CLASS_INTERCEPT
    return fitted


def fit_ridge_logits(problem: Problem, *, seed: int, on_progress: ProgressFn, options: dict[str, object]) -> RidgeSurrogate:
    """Regress the logits after taking each point's mean over classes away, which no softmax sees; one logit is kept as it is.

    Args:
        problem: the checked kernel and logits.
        seed: not used, nothing is drawn.
        on_progress: told when the fit begins and ends.
        options: all options of the registry's row.

    Raises:
        ValueError: when the problem has labels instead of logits.
    """
    if problem.logits is None:
        raise ValueError("'ridge_logits' imitates the network and needs its logits [N, C]; to re-learn labels use kind='ridge'.")
    logits = problem.logits
    targets = logits - logits.mean(axis=1, keepdims=True) if problem.n_classes > 1 else logits
    return _fit(problem, "ridge_logits", targets, options, on_progress)


def _fit(problem: Problem, kind: str, targets: np.ndarray, options: dict[str, object], on_progress: ProgressFn) -> RidgeSurrogate:
    """``(K + lam I) W^T = T - mean``, by Cholesky in float64."""
    lam = positive("lam", options["lam"])
    on_progress("surrogate", 0.0)
    system = problem.kernel.copy()
    system[np.diag_indices_from(system)] += lam
    factor = ridge_factor(system)
    mean = targets.mean(axis=0)
    solved = cho_solve((factor, True), targets - mean, check_finite=False)
    residual = float(np.abs(system @ solved - (targets - mean)).max())
    on_progress("surrogate", 1.0)
    message = f"closed form; largest error of the linear equations {residual:.1e}"
    return RidgeSurrogate(
        weights=solved.T / problem.scale,
        intercept=mean,
        kind=kind,
        options={**options, "lam": lam},
        scale=problem.scale,
        convergence=Convergence(converged=True, n_iterations=0, residual=residual, message=message),
        notes=problem.notes,
        targets=targets,
        factor=factor,
    )
