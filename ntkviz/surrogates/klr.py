"""``klr``: kernel logistic regression, the penalty on the norm of the function. Its weights are scaled residuals."""

from dataclasses import replace

import numpy as np
from scipy.special import log_expit, log_softmax

from ntkviz.surrogates.distillation import distilled, network_answers
from ntkviz.surrogates.logistic import DualSolution, one_hot, solve_logistic
from ntkviz.surrogates.options import count, part, positive
from ntkviz.surrogates.problem import Problem
from ntkviz.surrogates.surrogate import Convergence, Surrogate, probabilities, ridge_factor
from ntkviz.types import ProgressFn, SurrogateInfo

#: Penalties that ``lam="auto"`` tries, from stiff to loose, so that a tie goes to the stiffer one.
AUTO_GRID = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
#: Share of each class that ``lam="auto"`` holds out.
_HELD_OUT = 0.2

INFO = SurrogateInfo(
    key="klr",
    title="Kernel logistic regression",
    formula=r"\min_{W, b}\ \sum_i \mathrm{CE}\big(y_i, \mathrm{softmax}(W\kappa_i + b)\big) + \frac{\lambda}{2}\,\mathrm{tr}(W K W^\top)"
    r"\quad\Rightarrow\quad \lambda W_{ci} = t_{ic} - p_{ic}",
    summary="Re-learns the labels with the kernel's own norm as penalty; each weight is what the fit still gets wrong, over lambda.",
    target="labels",
    cost="One Cholesky test (N^3/3), then about a hundred products N x N by N x C; about 5 core-seconds at N = 5,000, C = 10.",
    source="Wahba 1999; Zhu and Hastie 2005. The weights are the representer values of Yeh et al., NeurIPS 2018 (arXiv 1811.09720).",
    use_when="The default when weights are to be read: unique, convergent, and large exactly where the surrogate disagrees with a label.",
    caveat="It re-learns the labels and never sees the network's outputs, unless distillation asks for them. Weight times kernel adds up to the score; what happens without "
    "a point is another question (rank correlation of the two about .06 in our measurements). lam='auto' asks validation points, which "
    "a study takes from its test points; without any it holds out training points, whose labels the network has seen, and leans to small penalties.",
    options={
        "lam": (
            0.1,
            "Penalty on the function's squared norm, for a kernel of mean diagonal 1; or 'auto' to choose by held-out likelihood.",
        ),
        "distillation": (
            0.0,
            "Share of the loss, from 0 up to 1, that asks for the network's calibrated answers instead of the labels: it imitates better, "
            "and its first-order removal effects are hardly worse; do not take points away altogether where lam is small.",
        ),
        "tol": (1e-6, "Stop when the function is within this relative distance of the optimum, in the kernel's norm."),
        "max_iter": (100, "Newton steps at most; about 10 are usual."),
    },
)


def fit_klr(problem: Problem, *, seed: int, on_progress: ProgressFn, options: dict[str, object]) -> Surrogate:
    """Fit ``W [C, N]`` and the unpenalised ``b [C]``.

    With ``distillation`` the targets are labels and network's answers (:mod:`ntkviz.surrogates.distillation`), and t stands for the labels with what these pull beside them.
    The residual reported is the largest ``|lam W_ic - (t_ic - p_ic)|`` (and ``|sum_i t_ic - p_ic| / N``). Two classes keep two rows, with the
    penalty on both; one logit has one row and the sigmoid. No jitter is added: the solver never inverts the kernel.

    Args:
        problem: the checked kernel and labels.
        seed: draws the start of the preconditioner, and the held-out points of ``lam="auto"``.
        on_progress: told how far the solver is.
        options: all options of the registry's row.

    Raises:
        ValueError: when the kernel is not positive semi-definite to within lam, 'auto' has nothing to hold out, or distillation lacks the network.
    """
    tol, max_iter = positive("tol", options["tol"]), count("max_iter", options["max_iter"])
    notes: tuple[str, ...] = ()
    if options["lam"] == "auto":
        lam, notes = choose_lam(problem, tol=tol, max_iter=max_iter, seed=seed, on_progress=on_progress)
    elif isinstance(options["lam"], str):
        raise ValueError(f"lam must be a finite number above 0, or 'auto'; got {options['lam']!r}.")
    else:
        lam = positive("lam", options["lam"])
    kernel, share = problem.kernel, part("distillation", options["distillation"])
    labels = one_hot(problem.codes, _n_rows(problem))
    answers, temperature = network_answers(problem, share) if share else (labels, 1.0)
    mixed, penalty = (1 - share) * labels + share * answers, (1 - share) * lam
    shifted = kernel.copy()
    shifted[np.diag_indices_from(shifted)] += penalty
    ridge_factor(shifted)  # raises when an eigenvalue lies below minus the penalty: the objective would have no minimum
    del shifted
    found = _solve(kernel, mixed, penalty, tol=tol, max_iter=max_iter, seed=seed, on_progress=on_progress)
    weights, intercept = found.coefficients.T, found.offset
    correction = share / (1 - share) * (answers - probabilities(kernel @ weights.T + intercept))
    residual = kkt_residual(kernel, labels + correction, weights, intercept, lam=lam)
    verdict = "within" if found.converged else "stopped at"
    convergence = Convergence(
        converged=found.converged,
        n_iterations=found.n_iterations,
        residual=residual,
        message=f"{verdict} {found.error_bound:.1e} of the optimum (relative, asked {tol:.0e}) after {found.n_iterations} Newton steps and "
        f"{found.n_products} kernel products; largest |lam W - (t - p)| {residual:.1e}",
    )
    fit = problem.surrogate("klr", weights, intercept, options={**options, "lam": lam}, convergence=convergence, notes=notes)
    return distilled(fit, problem, correction, temperature) if share else fit


def kkt_residual(kernel: np.ndarray, targets: np.ndarray, weights: np.ndarray, intercept: np.ndarray, *, lam: float) -> float:
    """Largest ``|lam W_ic - (t_ic - p_ic)|``, or ``|mean_i (t_ic - p_ic)|`` if that is larger, at mean diagonal 1.

    Args:
        kernel: ``[N, N]``.
        targets: t, ``[N, R]``.
        weights: ``[R, N]``; R = 1 for one logit.
        intercept: ``[R]``.
        lam: the penalty.
    """
    chances = probabilities(kernel @ weights.T + intercept)
    residuals = targets - chances
    return float(max(np.abs(lam * weights.T - residuals).max(), np.abs(residuals.mean(axis=0)).max()))


def choose_lam(
    problem: Problem, *, tol: float, max_iter: int, seed: int, on_progress: ProgressFn
) -> tuple[float, tuple[str, ...]]:
    """The penalty of :data:`AUTO_GRID` with the best mean log-likelihood, and the note that says so.

    Judged by the validation points, where there are any, else by a fifth of each class, held out.

    Args:
        problem: the checked kernel and labels.
        tol: of each fit.
        max_iter: of each fit.
        seed: draws the held-out points.
        on_progress: told how far the grid is.

    Raises:
        ValueError: when no class has the five points that holding one out takes.
    """
    n_rows = _n_rows(problem)
    inner, codes, outer, told, whose = _split(problem, seed)
    scored = []
    for place, lam in enumerate(AUTO_GRID):
        on_progress("surrogate", 0.9 * place / len(AUTO_GRID))
        found = _solve(
            inner,
            one_hot(codes, n_rows),
            lam,
            tol=max(tol, 1e-4),
            max_iter=max_iter,
            seed=seed,
            on_progress=_still(on_progress, place),
        )
        scores = outer @ found.coefficients + found.offset
        if n_rows == 1:
            likelihood = log_expit(np.where(told == 1, scores[:, 0], -scores[:, 0]))
        else:
            likelihood = log_softmax(scores, axis=1)[np.arange(len(told)), told]
        scored.append(float(likelihood.mean()))
    best = int(np.argmax(scored))
    grid = ", ".join(f"{lam:g}: {score:.4f}" for lam, score in zip(AUTO_GRID, scored, strict=True))
    edge = " It is the edge of the grid." if best in {0, len(AUTO_GRID) - 1} else ""
    return AUTO_GRID[best], (
        f"lam = {AUTO_GRID[best]:g} was chosen by the mean log-likelihood of {len(told)} {whose} ({grid}).{edge}",
    )


def _split(problem: Problem, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, str]:
    """Kernel and codes to fit, rows and codes to judge by, and whose these are.

    Raises:
        ValueError: when there is no validation set and no class has the five points that holding one out takes.
    """
    codes = problem.codes
    if problem.validation is not None:
        rows, labels = problem.validation
        return problem.kernel, codes, rows, np.searchsorted(problem.present, labels), "points that the network was not trained on"
    rng = np.random.default_rng(seed)
    held = np.zeros(len(codes), dtype=bool)
    for code in range(len(problem.present)):
        members = rng.permutation(np.flatnonzero(codes == code))
        held[members[: int(_HELD_OUT * len(members))]] = True
    if not held.any():
        raise ValueError("lam='auto' holds out a fifth of each class, and no class has five training points; pass a number.")
    kept = problem.kernel[np.ix_(~held, ~held)]
    return kept, codes[~held], problem.kernel[np.ix_(held, ~held)], codes[held], "held-out training points"


def _still(on_progress: ProgressFn, place: int) -> ProgressFn:
    """Keeps a caller informed (and able to cancel) without letting the fraction jump back at each fit of the grid."""
    return lambda stage, fraction: on_progress(stage, 0.9 * (place + fraction) / len(AUTO_GRID))


def _n_rows(problem: Problem) -> int:
    return 1 if problem.n_classes == 1 else len(problem.present)


def _solve(
    kernel: np.ndarray,
    targets: np.ndarray,
    lam: float,
    *,
    tol: float,
    max_iter: int,
    seed: int,
    on_progress: ProgressFn,
) -> DualSolution:
    """Solve with the kernel centred on both sides: at the optimum the weights of a class sum to 0, so only the intercept moves."""
    mean = kernel.mean(axis=0)
    centred = kernel - mean - mean[:, None] + mean.mean()
    found = solve_logistic(centred, targets, lam=lam, tol=tol, max_iter=max_iter, seed=seed, on_progress=on_progress)
    weights = found.representer if found.converged else found.coefficients
    weights = weights - weights.mean(axis=0)
    return replace(found, coefficients=weights, offset=found.offset - mean @ weights)
