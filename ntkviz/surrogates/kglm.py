"""``kglm``: the paper's kernel GLM, solved to its optimum. Rows of the kernel are features, the penalty is on the weights."""

import numpy as np

from ntkviz.surrogates.logistic import DualSolution, one_hot, solve_logistic
from ntkviz.surrogates.options import class_weighting, count, positive
from ntkviz.surrogates.problem import Problem
from ntkviz.surrogates.surrogate import Convergence, Surrogate, probabilities
from ntkviz.types import ProgressFn, SurrogateInfo

INFO = SurrogateInfo(
    key="kglm",
    title="Kernel GLM (converged)",
    formula=r"\min_{W, b}\ \frac{1}{N}\sum_i s_{y_i}\,\mathrm{CE}\big(y_i, \mathrm{softmax}(W\kappa_i + b)\big) + \frac{\alpha}{2}\lVert W\rVert_F^2",
    summary="The paper's model, multinomial and solved to its unique optimum: logistic regression on rows of the kernel.",
    target="labels",
    cost="One N x N Gram of rows (N^3), then some hundred products N x N by N x C; about 12 core-seconds at N = 5,000, C = 10.",
    source="Engel et al., ICLR 2024 (arXiv 2305.14585), section on the kGLM; objective as in its code, solver ours.",
    use_when="For the paper's question, how well a linear readout of the kernel re-learns the task, without the noise of its solver.",
    caveat="It re-learns the labels and never sees the network's outputs. The penalty is on the weights, not on the function's norm, so "
    "the weights of near-duplicates are split in no special way. Weight times kernel adds up to the score, but retraining without a "
    "point does not follow it (LDS about .2 in our measurements, against .65 for removal effects).",
    options={
        "alpha": (
            1e-4,
            "Penalty on the squared weights, per training point, for a kernel of mean diagonal 1. The paper: 1e-4, or 1e-2 for BERT.",
        ),
        "class_weight": ("balanced", "'balanced' gives every class the same total weight in the loss; None counts points."),
        "tol": (1e-6, "Stop when the weights are within this relative distance of the optimum."),
        "max_iter": (100, "Newton steps at most; about 12 are usual."),
    },
)


def fit_kglm(problem: Problem, *, seed: int, on_progress: ProgressFn, options: dict[str, object]) -> Surrogate:
    """Fit ``W [C, N]`` and ``b [C]``.

    With s the balanced class weights, C classes: the objective of the registry's formula. Two classes (or one logit) have one row
    of weights, as in scikit-learn and the paper's code, and it is split into halves of opposite sign.

    The intercept makes the mean of each kernel column free, so the columns are centred first: a cosine kernel has a large common
    mean, and its eigenvalue would be the worst of the problem.

    Args:
        problem: the checked kernel and labels.
        seed: draws the start of the preconditioner.
        on_progress: told how far the solver is.
        options: all options of the registry's row.
    """
    alpha, tol = positive("alpha", options["alpha"]), positive("tol", options["tol"])
    max_iter = count("max_iter", options["max_iter"])
    n, codes, n_classes = len(problem.kernel), problem.codes, len(problem.present)
    n_rows = 1 if n_classes == 2 else n_classes
    counts = np.bincount(codes, minlength=n_classes)
    balanced = class_weighting(options["class_weight"]) == "balanced"
    sample_weight = (n / (n_classes * counts))[codes] if balanced else np.ones(n)
    mean = problem.kernel.mean(axis=0)
    centred = problem.kernel - mean
    gram = centred @ centred.T
    found = solve_logistic(
        gram,
        one_hot(codes, n_rows),
        lam=alpha * n,
        sample_weight=sample_weight,
        tol=tol,
        max_iter=max_iter,
        seed=seed,
        on_progress=on_progress,
    )
    weights = found.coefficients.T @ centred
    intercept = found.offset - weights @ mean
    residual = gradient_size(problem.kernel, codes, weights, intercept, alpha=alpha, sample_weight=sample_weight)
    return problem.surrogate("kglm", weights, intercept, options=options, convergence=convergence_of(found, residual, tol))


def gradient_size(
    kernel: np.ndarray, codes: np.ndarray, weights: np.ndarray, intercept: np.ndarray, *, alpha: float, sample_weight: np.ndarray
) -> float:
    """Largest entry of the gradient of the objective in ``W`` and ``b``, at mean diagonal 1.

    Args:
        kernel: ``[N, N]``.
        codes: class of each point, ``[N]``.
        weights: ``[R, N]``; R = 1 for two classes.
        intercept: ``[R]``.
        alpha: the penalty.
        sample_weight: ``[N]``.
    """
    chances = probabilities(kernel @ weights.T + intercept)
    residuals = sample_weight[:, None] * (chances - one_hot(codes, len(weights))) / len(kernel)
    return float(max(np.abs(residuals.T @ kernel + alpha * weights).max(), np.abs(residuals.sum(axis=0)).max()))


def convergence_of(found: DualSolution, residual: float, tol: float) -> Convergence:
    """How the Newton solver ended, in a sentence."""
    verdict = (
        f"within {found.error_bound:.1e} of the optimum"
        if found.converged
        else f"stopped {found.error_bound:.1e} from the optimum"
    )
    return Convergence(
        converged=found.converged,
        n_iterations=found.n_iterations,
        residual=residual,
        message=f"{verdict} (relative, asked {tol:.0e}) after {found.n_iterations} Newton steps and {found.n_products} kernel products; "
        f"largest entry of the gradient {residual:.1e}",
    )
