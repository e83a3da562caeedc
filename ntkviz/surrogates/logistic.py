"""Logistic regression in a feature space that is known only by its Gram matrix, solved to the end.

    minimise  sum_i s_i CE(t_i, link(G a + b)_i) + lam / 2 tr(a^T G a)      over a [N, R] and b [R], b unpenalised

CE is the cross entropy; the link is the softmax over R classes, or the sigmoid when R is 1. ``klr`` uses it with G = K, ``kglm`` with
G = K K^T, because a ridge penalty on weights of kernel rows is the norm of the feature space of K K^T.

Method: Newton steps, each solved by conjugate gradients *in the inner product of the feature space*: every iteration costs one
product of G with an [N, R] matrix, and G is never inverted, so no jitter is needed. The steps are preconditioned by the curvature
in the span of the leading eigenvectors of G, where it is large.

Certificate: with the best offset for each weights, the objective is lam-strongly convex in the feature space, so the weights there are
within |gradient| / lam of the optimum. The stopping rule bounds this by ``tol`` of the norm of the weights (or the gradient has
fallen by ten digits, which ends problems whose optimum is zero weights).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logsumexp, softmax

from ntkviz.errors import SurrogateDiverged
from ntkviz.types import ProgressFn

#: Directions in which the curvature is inverted exactly. Measured on NTK and RBF kernels of MNIST at N = 1,000 to 5,000: 60 of them
#: cut the number of products by 2 (klr) to 7 (kglm); 200 save no more products and cost more than they save.
PRECONDITIONER_RANK = 60
#: Products with G in one Newton step; more than about 150 were never needed above the tolerance.
_STEP_PRODUCTS = 500
#: How far a Newton system is solved, as a fraction of the gradient; tightened to sqrt(gradient) for a quadratic end.
_FORCING = 0.1
_PROGRESS_EVERY = 5
#: Gradient, per unit of sample weight, that float64 cannot tell from zero.
_ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class DualSolution:
    """Where the solver ended.

    Attributes:
        coefficients: ``a``, float64 ``[N, R]``; any part in the null space of G is arbitrary.
        representer: ``s (t - p) / lam``, float64 ``[N, R]``, what ``a`` is at the optimum. The two differ by no more than ``error_bound``
            in the norm of the feature space, and this one settles the part in the null space.
        offset: ``b``, float64 ``[R]``.
        converged: whether the weights are within ``tol`` of the optimum, relative to their norm in the feature space.
        n_iterations: Newton steps.
        n_products: products with the Gram matrix.
        error_bound: the bound of the certificate, relative to the norm of the weights.
    """

    coefficients: np.ndarray
    representer: np.ndarray
    offset: np.ndarray
    converged: bool
    n_iterations: int
    n_products: int
    error_bound: float


class _Vector(NamedTuple):
    """A pair (weights, offset); the weights by their dual coefficients and the image of these under G."""

    coef: np.ndarray  # [N, R]
    image: np.ndarray  # [N, R], G @ coef
    offset: np.ndarray  # [R]

    def plus(self, step: float, other: "_Vector") -> "_Vector":
        return _Vector(self.coef + step * other.coef, self.image + step * other.image, self.offset + step * other.offset)

    def dot(self, other: "_Vector") -> float:
        return float(np.vdot(self.coef, other.image) + self.offset @ other.offset)


@dataclass(frozen=True, eq=False)
class _Loss:
    """The loss at the scores F [N, R]: values, residuals and curvature."""

    targets: np.ndarray  # [N, R], t_i: chances, 0 or 1 where a label is all that is asked
    weights: np.ndarray  # [N], s_i

    @property
    def n_rows(self) -> int:
        return self.targets.shape[1]

    def value(self, scores: np.ndarray) -> float:
        if self.n_rows == 1:
            there, here = np.logaddexp(0.0, -scores[:, 0]), np.logaddexp(0.0, scores[:, 0])
            return float(self.weights @ (self.targets[:, 0] * there + (1 - self.targets[:, 0]) * here))
        behind = np.asarray(logsumexp(scores, axis=1, keepdims=True)) - scores
        return float(self.weights @ (self.targets * behind).sum(axis=1))

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        return expit(scores) if self.n_rows == 1 else softmax(scores, axis=1)

    def residuals(self, chances: np.ndarray) -> np.ndarray:
        """``s_i (t_i - p_i)``, [N, R]."""
        return self.weights[:, None] * (self.targets - chances)

    def curvature(self, chances: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Second derivative at the scores, times a change of the scores, [N, R]."""
        if self.n_rows == 1:
            return self.weights[:, None] * chances * (1 - chances) * direction
        pushed = self.weights[:, None] * chances * direction
        return pushed - chances * pushed.sum(axis=1, keepdims=True)

    def diagonal(self, chances: np.ndarray) -> np.ndarray:
        """Its diagonal over classes, [N, R]."""
        return self.weights[:, None] * chances * (1 - chances)


def one_hot(codes: np.ndarray, n_rows: int) -> np.ndarray:
    """Labels as targets, float64 ``[N, R]``.

    Args:
        codes: class of each point, ``[N]`` in 0..R-1, or in {0, 1} when R is 1.
        n_rows: R.
    """
    return (np.asarray(codes)[:, None] == (np.arange(n_rows) if n_rows > 1 else 1)).astype(np.float64)


def solve_logistic(
    gram: np.ndarray,
    targets: np.ndarray,
    *,
    lam: float,
    sample_weight: np.ndarray | None = None,
    tol: float = 1e-6,
    max_iter: int = 100,
    seed: int = 0,
    on_progress: ProgressFn,
) -> DualSolution:
    """Minimise the objective of this module.

    Args:
        gram: G, float64 ``[N, N]``, positive semi-definite. Centring it on both sides changes only ``b`` and helps.
        targets: t, float64 ``[N, R]`` from 0 to 1, rows that sum to 1 when R is above 1: :func:`one_hot` labels, or chances.
        lam: penalty, above 0.
        sample_weight: ``s``, ``[N]``, or None for ones.
        tol: relative distance to the optimum, in the norm of the feature space, at which to stop.
        max_iter: Newton steps at most.
        seed: draws the start of the preconditioner's eigenvectors; the solution does not depend on it beyond ``tol``.
        on_progress: called with the share of the way in digits of the gradient.

    Raises:
        SurrogateDiverged: when a gradient is not finite.
    """
    weights = np.ones(len(gram)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    loss = _Loss(np.asarray(targets, dtype=np.float64), weights)
    return _Newton(gram, loss, lam, tol=tol, max_iter=max_iter, seed=seed, on_progress=on_progress).run()


class _Newton:
    """The iteration, with what all its parts read."""

    def __init__(
        self, gram: np.ndarray, loss: _Loss, lam: float, *, tol: float, max_iter: int, seed: int, on_progress: ProgressFn
    ) -> None:
        self.gram, self.loss, self.lam = gram, loss, lam
        self.tol, self.max_iter, self.on_progress = tol, max_iter, on_progress
        self.n_products, self.done = 0, 0.0
        self.basis, self.image = _leading_subspace(gram, min(PRECONDITIONER_RANK, len(gram)), seed)

    def run(self) -> DualSolution:
        shape = (len(self.gram), self.loss.n_rows)
        at = _Vector(np.zeros(shape), np.zeros(shape), np.zeros(shape[1]))
        value, first, bound, steps = self._objective(at), 0.0, np.inf, 0
        chances = self.loss.probabilities(at.image + at.offset)
        rounding = _ROUNDING * float(self.loss.weights.sum())
        for steps in range(self.max_iter + 1):
            chances = self.loss.probabilities(at.image + at.offset)
            gradient = self._gradient(at, chances)
            size = np.sqrt(max(gradient.dot(gradient), 0.0))
            first = first or size
            goal = self.tol * self.lam * np.sqrt(max(np.vdot(at.coef, at.image), 0.0)) + 1e-10 * first + rounding
            bound = size * self.tol / goal
            if not np.isfinite(bound):
                raise SurrogateDiverged(
                    f"The logistic fit left the range of numbers after {steps} Newton steps; expected finite gradients. Raise the penalty."
                )
            if size <= goal or steps == self.max_iter:
                break
            self._report(np.log(first / size) / np.log(first / goal) if goal < first else 0.0)
            step = self._newton_step(gradient, chances, min(_FORCING, np.sqrt(size / first)))
            moved = self._line_search(at, value, gradient, step)
            if moved is None:
                break
            at, value = moved
        representer = self.loss.residuals(chances) / self.lam
        return DualSolution(at.coef, representer, at.offset, bool(bound <= self.tol), steps, self.n_products, float(bound))

    def _objective(self, at: _Vector) -> float:
        return self.loss.value(at.image + at.offset) + self.lam / 2 * float(np.vdot(at.coef, at.image))

    def _product(self, matrix: np.ndarray) -> np.ndarray:
        self.n_products += 1
        if self.n_products % _PROGRESS_EVERY == 0:
            self._report(0.0)
        return self.gram @ matrix

    def _report(self, fraction: float) -> None:
        self.done = float(np.clip(fraction, self.done, 1.0))
        self.on_progress("surrogate", self.done)

    def _gradient(self, at: _Vector, chances: np.ndarray) -> _Vector:
        residuals = self.loss.residuals(chances)
        image = self.lam * at.image - self._product(residuals)
        return _Vector(self.lam * at.coef - residuals, image, -residuals.sum(axis=0))

    def _newton_step(self, gradient: _Vector, chances: np.ndarray, forcing: float) -> _Vector:
        """Conjugate gradients on ``H step = -gradient`` until the residual is ``forcing`` of the gradient."""
        precondition = self._preconditioner(chances)
        zeros = np.zeros_like(gradient.coef)
        step = _Vector(zeros, zeros, np.zeros_like(gradient.offset))
        residual = step.plus(-1.0, gradient)
        enough = forcing**2 * gradient.dot(gradient)
        ahead = precondition(residual)
        energy = ahead.dot(residual)
        for _ in range(_STEP_PRODUCTS):
            pushed = self.loss.curvature(chances, ahead.image + ahead.offset)
            bent = _Vector(self.lam * ahead.coef + pushed, self.lam * ahead.image + self._product(pushed), pushed.sum(axis=0))
            curvature = ahead.dot(bent)
            if not curvature > 0 or not energy > 0:  # rounding has taken over (or a value is not finite)
                break
            length = energy / curvature
            step, residual = step.plus(length, ahead), residual.plus(-length, bent)
            if residual.dot(residual) <= enough:
                break
            solved = precondition(residual)
            last, energy = energy, solved.dot(residual)
            ahead = solved.plus(energy / last, ahead)
        return step

    def _line_search(self, at: _Vector, value: float, gradient: _Vector, step: _Vector) -> tuple[_Vector, float] | None:
        """The first of 1, 1/2, 1/4, ... of the step that lowers the objective enough; None when none does."""
        slope = gradient.dot(step)
        length = 1.0 if slope < 0 else 0.0
        while length > 1e-8:
            there = at.plus(length, step)
            reached = self._objective(there)
            # Near the optimum the decrease drops below the rounding of the objective itself, and a full step is right.
            if reached <= value + 1e-4 * length * slope + 1e-11 * abs(value):
                return there, reached
            length /= 2
        return None

    def _preconditioner(self, chances: np.ndarray) -> Callable[[_Vector], _Vector]:
        """Inverse curvature: class by class in the leading subspace, a multiple of the identity beside it."""
        diagonal = self.loss.diagonal(chances)
        rank = self.basis.shape[1]
        inside = np.empty((diagonal.shape[1], rank, rank))
        for row, heights in enumerate(diagonal.T):
            inside[row] = np.linalg.inv(self.lam * np.eye(rank) + (self.image * heights[:, None]).T @ self.image)
        of_offset = np.maximum(diagonal.sum(axis=0), 1e-12)

        def zero_sum(matrix: np.ndarray) -> np.ndarray:
            # A shift of all classes changes no softmax: the solution has none, and neither may a step.
            return matrix - matrix.mean(axis=-1, keepdims=True) if self.loss.n_rows > 1 else matrix

        def apply(vector: _Vector) -> _Vector:
            along = self.basis.T @ vector.image
            correction = zero_sum(np.einsum("rkl,lr->kr", inside, along) - along / self.lam)
            return _Vector(
                self.basis @ correction + vector.coef / self.lam,
                self.image @ correction + vector.image / self.lam,
                zero_sum(vector.offset / of_offset),
            )

        return apply


def _leading_subspace(gram: np.ndarray, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvectors by subspace iteration, orthonormal in the feature space: ``Q`` and ``G Q``, both ``[N, rank]``."""
    start = np.random.default_rng(seed).standard_normal((len(gram), min(rank + 10, len(gram))))
    vectors = np.linalg.qr(gram @ start)[0]
    for _ in range(2):
        vectors = np.linalg.qr(gram @ vectors)[0]
    inside = vectors.T @ (gram @ vectors)
    values, turn = np.linalg.eigh((inside + inside.T) / 2)
    keep = values > max(1e-9 * values[-1], 1e-12 * len(gram))  # the kernel has mean diagonal 1: less is rounding
    keep[: max(len(values) - rank, 0)] = False
    basis = (vectors @ turn[:, keep]) / np.sqrt(values[keep])
    return basis, gram @ basis
