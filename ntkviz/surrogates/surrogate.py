"""The result of a fit: a score per class that is linear in the rows of a kernel.

    decision[m, c] = sum_i weights[c, i] * rows[m, i] + intercept[c]

Letters: N training points, M test points, C classes. One logit (C = 1) means two classes and a sigmoid.
"""

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field, replace

import numpy as np
from scipy.linalg import cho_solve, get_lapack_funcs
from scipy.special import expit, softmax

#: Intercept of a class that no training point has. Its probability is about e^-100: never chosen, and still finite.
EMPTY_CLASS_INTERCEPT = -100.0
#: Rows that are brought to float64 at once, so that a float32 [M, N] block is never copied whole.
ROWS_AT_ONCE = 2048


@dataclass(frozen=True)
class Convergence:
    """How a fit ended.

    Attributes:
        converged: whether the stopping rule of the kind was met; True for closed forms.
        n_iterations: iterations of the solver (epochs for ``kglm_sgd``); 0 for closed forms.
        residual: how far the optimality conditions are from holding, >= 0; the message says which ones.
        message: one sentence.
    """

    converged: bool
    n_iterations: int
    residual: float
    message: str


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A kernel machine that stands for a network.

    Attributes:
        weights: float64 ``[C, N]``, for the kernel as it was passed to ``fit_surrogate``.
        intercept: float64 ``[C]``.
        kind: key of the surrogate registry.
        options: the options of the fit, all of them, with the values that were used.
        scale: mean diagonal of the kernel as passed; inside, the kernel was divided by it.
        convergence: how the fit ended.
        notes: sentences on whatever was repaired, chosen or left out.
    """

    weights: np.ndarray
    intercept: np.ndarray
    kind: str
    options: dict[str, object]
    scale: float
    convergence: Convergence
    notes: tuple[str, ...] = ()

    @property
    def n_classes(self) -> int:
        """C, the number of scores (1 for a network with one logit)."""
        return self.weights.shape[0]

    @property
    def n_train(self) -> int:
        """N, the number of training points."""
        return self.weights.shape[1]

    def decision_function(self, rows: np.ndarray) -> np.ndarray:
        """The scores, float64 ``[M, C]``, in units of the kind: log-odds for the logistic kinds, logits for ``ridge_logits``.

        Args:
            rows: ``[M, N]``, the kernel between M points and the N training points, scaled as the kernel of the fit was.

        Raises:
            ValueError: when the rows are no ``[M, N]`` matrix of finite numbers.
        """
        checked = check_rows(rows, self.n_train)
        scores = np.empty((len(checked), self.n_classes))
        for start in range(0, len(checked), ROWS_AT_ONCE):
            block = np.asarray(checked[start : start + ROWS_AT_ONCE], dtype=np.float64)
            scores[start : start + ROWS_AT_ONCE] = block @ self.weights.T
        return scores + self.intercept

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        """Softmax of the scores, float64 ``[M, C]``; for C = 1 the sigmoid, ``[M, 1]``: the probability of class 1.

        The probabilities of ``kglm``, ``klr`` and ``ridge_logits`` mean what they say. ``ridge`` and ``svm`` have scores that are
        no log-odds: only the order of their probabilities means something. ``kglm_sgd`` fits each class against the rest, so its
        softmax lies in between: fine for ranks, not calibrated.

        Args:
            rows: ``[M, N]``, as in :meth:`decision_function`.
        """
        return probabilities(self.decision_function(rows))


@dataclass(frozen=True, eq=False)
class DistilledSurrogate(Surrogate):
    """A logistic fit whose targets were labels and the network's answers (``klr`` with ``distillation``).

    At the optimum ``lam W = (t - p) + correction``: what the labels pull, and what the network's answers pull beside them. It is the fit to labels
    alone, with the same lam, that has a fixed function added to its scores, the kernel's answer to the correction; so what it
    says without a label, say, is known as for any other.

    Attributes:
        correction: float64 ``[N, C]``; its rows sum to 0 for two classes and more.
        temperature: by which the network's logits were divided.
    """

    correction: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    temperature: float = 1.0


@dataclass(frozen=True, eq=False)
class RidgeSurrogate(Surrogate):
    """A ridge fit, which knows in closed form what it would say without some of its training points.

    "Without" keeps the penalty as a number (``lam`` times the mean diagonal of *all* points) and recomputes the intercept, the
    column means of the targets. The N x N Cholesky factor that this needs is not stored with a study: after loading one, call
    :meth:`with_kernel`.

    Attributes:
        targets: float64 ``[N, C]`` that was regressed on: one-hot labels (-1 and 1 for C = 1), or centred logits.
        factor: float64 ``[N, N]``, lower Cholesky factor of ``K / scale + lam I``, or None.
    """

    targets: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    factor: InitVar[np.ndarray | None] = None

    def __post_init__(self, factor: np.ndarray | None) -> None:
        """Keep the factor out of the fields, hence out of the store."""
        object.__setattr__(self, "_factor", factor)

    def with_kernel(self, kernel: np.ndarray) -> "RidgeSurrogate":
        """The same surrogate, able to leave points out (again).

        Args:
            kernel: ``[N, N]``, the very kernel of the fit.

        Raises:
            ValueError: when the weights do not solve the ridge equations of this kernel, so it is another one.
        """
        if np.shape(kernel) != (self.n_train, self.n_train):
            raise ValueError(
                f"The kernel has shape {np.shape(kernel)}; expected {(self.n_train, self.n_train)}, the kernel of the fit."
            )
        system = ridge_system(kernel, self.scale, self._lam)
        centred = self.targets - self.targets.mean(axis=0)
        error = np.abs(system @ (self.weights.T * self.scale) - centred).max()
        if error > 1e-3 * max(1.0, np.abs(centred).max()):
            raise ValueError(
                f"This is not the kernel of the fit: its ridge equations miss by {error:.2g}. Pass the kernel given to fit_surrogate."
            )
        return replace(self, factor=ridge_factor(system))

    def leave_one_out(self) -> np.ndarray:
        """The scores of each training point by the surrogate without it, float64 ``[N, C]``.

        Exact: row i is what a fit to the other N - 1 points says of point i (same penalty, their own intercept).

        Raises:
            ValueError: when the factor is missing (see :meth:`with_kernel`) or N is 1.
        """
        factor = self._need_factor("leave_one_out()")
        n = self.n_train
        if n < 2:
            raise ValueError("Leaving one out needs at least two training points; got 1.")
        diagonal = _inverse_diagonal(factor)[:, None]
        mean = self.targets.mean(axis=0)
        ones = cho_solve((factor, True), np.ones(n), check_finite=False)[:, None]
        plain = self.weights.T * self.scale + ones * mean
        mean_without = (n * mean - self.targets) / (n - 1)
        scores = self.targets - plain / diagonal + mean_without * ones / diagonal
        if self.kind == "ridge" and self.n_classes > 1:
            alone = np.flatnonzero(self.targets.sum(axis=0) == 1)
            members = self.targets[:, alone].argmax(axis=0)
            scores[members, alone] = EMPTY_CLASS_INTERCEPT
            scores[:, self.targets.sum(axis=0) == 0] = EMPTY_CLASS_INTERCEPT
        return scores

    def without(self, indices: Sequence[int] | np.ndarray) -> Surrogate:
        """The surrogate fitted to all points but these, by a closed form (no refit), float64.

        It still takes rows of N columns: the weights of the points left out are zero. It says what *this surrogate* would do; a
        network that is trained again without the points may do something else.

        Args:
            indices: training points to leave out, each once, in 0..N-1.

        Raises:
            ValueError: when the factor is missing, an index is out of range or repeated, or no point would be left.
        """
        factor = self._need_factor("without()")
        out = self._check_indices(indices)
        kept = np.setdiff1d(np.arange(self.n_train), out)
        inverse = cho_solve((factor, True), np.eye(self.n_train)[:, out], check_finite=False)
        ones = cho_solve((factor, True), np.ones(self.n_train), check_finite=False)[:, None]
        solved = np.hstack([self.weights.T * self.scale + ones * self.targets.mean(axis=0), ones])
        if len(out):
            solved = solved - inverse @ np.linalg.solve(inverse[out], solved[out])
        mean = self.targets[kept].mean(axis=0)
        weights = (solved[:, :-1] - solved[:, -1:] * mean).T / self.scale
        weights[:, out] = 0.0
        intercept = mean.copy()
        if self.kind == "ridge" and self.n_classes > 1:
            empty = self.targets[kept].sum(axis=0) == 0
            weights[empty], intercept[empty] = 0.0, EMPTY_CLASS_INTERCEPT
        return Surrogate(
            weights=weights,
            intercept=intercept,
            kind=self.kind,
            options=self.options,
            scale=self.scale,
            convergence=replace(
                self.convergence, message=f"closed form; {len(out)} points removed from the fit of {self.n_train}"
            ),
            notes=(*self.notes, f"{len(out)} of {self.n_train} training points were left out; their weights are zero."),
        )

    @property
    def _lam(self) -> float:
        return float(self.options["lam"])  # type: ignore[arg-type]

    def _need_factor(self, what: str) -> np.ndarray:
        factor = getattr(self, "_factor", None)
        if factor is None:
            raise ValueError(f"{what} needs the factored kernel, which is not stored. Call with_kernel(kernel) first.")
        return factor

    def _check_indices(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        out = np.asarray(indices)
        if out.ndim != 1 or (out.size and out.dtype.kind not in "iu"):
            raise ValueError(f"indices must be a list of whole numbers; got shape {out.shape} of {out.dtype}.")
        out = out.astype(np.int64)
        if len(np.unique(out)) < len(out):
            raise ValueError("indices name a training point twice; give each point once.")
        if out.size and not (0 <= out.min() and out.max() < self.n_train):
            raise ValueError(f"indices run from {out.min()} to {out.max()}; expected 0 to {self.n_train - 1}.")
        if len(out) == self.n_train:
            raise ValueError(f"indices name all {self.n_train} training points; at least one must be left.")
        return out


def probabilities(scores: np.ndarray) -> np.ndarray:
    """Softmax over the last axis of ``[..., C]``, float64; the sigmoid when C is 1."""
    values = np.asarray(scores, dtype=np.float64)
    return expit(values) if values.shape[-1] == 1 else softmax(values, axis=-1)


def check_rows(rows: np.ndarray, n_train: int) -> np.ndarray:
    """The rows of a kernel, as they came, after a look at their shape.

    Args:
        rows: ``[M, N]``.
        n_train: N.

    Raises:
        ValueError: when they are no ``[M, N]`` matrix of finite numbers.
    """
    values = np.asarray(rows)
    if values.ndim != 2 or values.shape[1] != n_train:
        hint = " They look transposed." if values.ndim == 2 and values.shape[0] == n_train else ""
        raise ValueError(
            f"Kernel rows must be [M, {n_train}], test points against the {n_train} training points; got shape {values.shape}.{hint}"
        )
    if values.dtype.kind not in "fiub":
        raise ValueError(f"Kernel rows must be numbers; got {values.dtype}.")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} kernel entries are not finite; compute the rows again.")
    return values


def ridge_system(kernel: np.ndarray, scale: float, lam: float) -> np.ndarray:
    """``K / scale + lam I``, float64 ``[N, N]``, a new array."""
    system = np.array(kernel, dtype=np.float64) / scale
    system[np.diag_indices_from(system)] += lam
    return system


def ridge_factor(system: np.ndarray) -> np.ndarray:
    """The lower Cholesky factor of ``[N, N]``.

    Raises:
        ValueError: when the matrix is not positive definite; the message gives the smallest eigenvalue.
    """
    (potrf,) = get_lapack_funcs(("potrf",), (system,))
    factor, info = potrf(system, lower=1, clean=1)
    if info != 0:
        smallest = float(np.linalg.eigvalsh(system)[0])
        raise ValueError(
            "The kernel is not positive semi-definite: kernel plus lam on the diagonal (in units of the mean diagonal) has an "
            f"eigenvalue of {smallest:.3g}. Raise lam by more than {max(0.0, -smallest):.3g}, or check how the kernel was computed."
        )
    return factor


def _inverse_diagonal(factor: np.ndarray) -> np.ndarray:
    """The diagonal of ``(L L^T)^-1``, ``[N]``."""
    (potri,) = get_lapack_funcs(("potri",), (factor,))
    inverse, _ = potri(factor, lower=1)
    return np.diagonal(inverse).copy()
