"""``svm``: support vector machines on the kernel, one class against the rest."""

import warnings

import numpy as np

from ntkviz.errors import SurrogateDiverged
from ntkviz.surrogates.options import class_weighting, positive
from ntkviz.surrogates.problem import Problem
from ntkviz.surrogates.surrogate import Convergence, Surrogate
from ntkviz.types import ProgressFn, SurrogateInfo

INFO = SurrogateInfo(
    key="svm",
    title="Kernel SVM",
    formula=r"\min_{w_c, b_c}\ \tfrac{1}{2} w_c K w_c^\top + C\sum_i \max\big(0,\ 1 - \tilde y_{ic}(w_c\kappa_i + b_c)\big)"
    r"\quad\text{for each class } c \text{ against the rest}",
    summary="Re-learns the labels with a margin; only the support vectors have weights, the others exactly none.",
    target="labels",
    cost="C fits by libsvm, between N^2 and N^3 each; below 1 core-second at N = 5,000, C = 10 when the classes separate.",
    source="Engel et al., ICLR 2024 (arXiv 2305.14585) compare with it; solver: libsvm through scikit-learn's SVC(kernel='precomputed').",
    use_when="As the sparse counterpart of the other surrogates: it shows how few points suffice to draw the borders.",
    caveat="Scores are signed margins, no log-odds: only the order of its probabilities means something, and of points beyond the margin "
    "the order means little (tau .1 to .8 over our networks). A weight of zero does not mean that the network made no use of the point. It re-learns the labels.",
    options={
        "C": (1.0, "Price of violating the margin, for a kernel of mean diagonal 1; the largest weight that a point can have."),
        "tol": (1e-3, "Largest violation of the optimality conditions at which libsvm stops."),
        "class_weight": (None, "'balanced' scales C by N / (2 n) on each side; None counts points."),
    },
)


def fit_svm(problem: Problem, *, seed: int, on_progress: ProgressFn, options: dict[str, object]) -> Surrogate:
    """Fit ``W [C, N]`` (signed dual coefficients, zero beside the support vectors) and ``b [C]``.

    One against the rest and not libsvm's pairwise vote, because only then each score is linear in the rows of the kernel. Two
    classes have one machine, split into halves of opposite sign. The residual reported is the largest violation of the
    optimality conditions over points and classes.

    Args:
        problem: the checked kernel and labels.
        seed: not used, nothing is drawn.
        on_progress: told after each class.
        options: all options of the registry's row.
    """
    price, tol, weighting = positive("C", options["C"]), positive("tol", options["tol"]), class_weighting(options["class_weight"])
    codes, n_classes = problem.codes, len(problem.present)
    sides = [codes == 1] if n_classes == 2 else [codes == code for code in range(n_classes)]
    weights, intercept = np.zeros((len(sides), len(codes))), np.zeros(len(sides))
    steps, residual, finished = 0, 0.0, True
    for row, positive_side in enumerate(sides):
        on_progress("surrogate", row / len(sides))
        found = _machine(problem.kernel, positive_side, price=price, tol=tol, weighting=weighting)
        weights[row], intercept[row], n_steps, ended = found
        steps, finished = steps + n_steps, finished and ended
        bounds = _bounds(positive_side, price, weighting)
        residual = max(residual, _violation(problem.kernel, positive_side, weights[row], intercept[row], bounds))
    on_progress("surrogate", 1.0)
    message = f"{'libsvm met its tolerance' if finished else 'libsvm stopped early'} after {steps} steps; largest violation {residual:.1e}"
    support = int((weights != 0).any(axis=0).sum())
    return problem.surrogate(
        "svm",
        weights,
        intercept,
        options=options,
        convergence=Convergence(converged=finished, n_iterations=steps, residual=residual, message=message),
        notes=(f"{support} of {len(codes)} training points are support vectors of some class; all others have weight 0.",),
    )


def _machine(
    kernel: np.ndarray, side: np.ndarray, *, price: float, tol: float, weighting: str | None
) -> tuple[np.ndarray, float, int, bool]:
    """One side against the other: weights ``[N]``, intercept, steps, whether the tolerance was met.

    Raises:
        SurrogateDiverged: when libsvm overflows.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import SVC

    model = SVC(kernel="precomputed", C=price, tol=tol, class_weight=weighting)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told in the result instead
        try:
            model.fit(kernel, side)
        except ValueError as error:  # the data are checked already: what is left is libsvm's report of an overflow
            raise SurrogateDiverged(f"The fit of 'svm' overflowed ({error}). Lower C, or use kind='klr'.") from error
    weights = np.zeros(len(kernel))
    weights[model.support_] = np.asarray(model.dual_coef_)[0]
    return weights, float(model.intercept_[0]), int(np.sum(model.n_iter_)), model.fit_status_ == 0


def _bounds(side: np.ndarray, price: float, weighting: str | None) -> np.ndarray:
    """The largest dual coefficient that each point may have, ``[N]``."""
    if weighting is None:
        return np.full(len(side), price)
    share = side.mean()
    return price * np.where(side, 0.5 / share, 0.5 / (1 - share))


def _violation(kernel: np.ndarray, side: np.ndarray, weights: np.ndarray, intercept: float, bounds: np.ndarray) -> float:
    """How far the margins are from where the dual coefficients say that they are."""
    used = weights != 0
    margins = np.where(side, 1.0, -1.0) * (kernel[:, used] @ weights[used] + intercept)
    coefficients = np.abs(weights)
    inside_wants = np.where(coefficients < bounds, np.maximum(1 - margins, 0), 0.0)  # may still grow: the margin must be >= 1
    used_wants = np.where(coefficients > 0, np.maximum(margins - 1, 0), 0.0)  # may still shrink: the margin must be <= 1
    return float(np.maximum(inside_wants, used_wants).max())
