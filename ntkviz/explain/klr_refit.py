"""Edits of kernel logistic regression by a Newton step from the present optimum, with the full multinomial Hessian.

    minimise  sum_i s_i CE(t_i, softmax(K A + 1 b^T)_i) - <E, K A + 1 b^T> + lam / 2 tr(A^T K A),        b unpenalised

E is what a distilled fit keeps of the network's answers (ntkviz/surrogates/distillation.py), zero for a fit to labels alone.
The step starts where the fit ended, with the counts s and targets t of the edited set. It is solved by conjugate gradients in the inner
product of the kernel's space (one product of K with an [N, C] matrix an iteration, K never inverted). What is factored once is
the preconditioner: the exact curvature, all classes and the intercept together, in the span of the kernel's leading eigenvectors.

The effect of removing any one of the N points on one score of one row takes a single such solve, because the Hessian is self-adjoint:
solve for the row, then read off all points. Dividing by one minus the leverage makes it the Newton step without that point.
"""

from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import logsumexp

from ntkviz.explain.curvature import curvatures, curved
from ntkviz.explain.klr_influence import KlrInfluence
from ntkviz.explain.klr_parts import Asked, Functions, Place
from ntkviz.explain.refit import Refit, network_pull, one_hot
from ntkviz.kernels.products import KernelProducts
from ntkviz.surrogates.surrogate import EMPTY_CLASS_INTERCEPT, Surrogate, probabilities

#: Unknowns of the leading directions of the kernel in which the curvature is inverted exactly: most, and where leverages rest on them.
_UNKNOWNS, _UNKNOWNS_LARGE = 900, 2100
#: Share of a residual that a round of quick products leaves, and most rounds.
_ROUND, _ROUNDS = 1e-4, 6
#: A step is solved until this share of its right-hand side is left, in the kernel's norm.
STEP_TOLERANCE = 1e-6
#: Fewer digits do where more steps follow while they are needed; not for effects, where 1e-3 left up to half of the largest one open.
LOOSE_TOLERANCE = 1e-3
#: Without a number of steps: most of them, and the share of the gradient that may be left.
_STEPS, _SETTLED = 12, 0.01
_PRODUCTS = 300
#: C N³ up to which leverages are exact: two seconds, once.
EXACT_UP_TO = 2e10
#: Right-hand sides solved together: one product of K serves all.
_TOGETHER = 32
#: By how much lam W may differ from t - p before kernel or labels cannot be those of the fit.
_SAME_KERNEL = 0.05
#: Gradient, relative to the first one, that float64 cannot tell from zero.
_ROUNDING = 1e-10
#: Above this share of the gradient left, one Newton step is not enough.
_TOO_MUCH_LEFT = 0.1


class KlrRefit:
    """A kernel logistic regression that is ready for Newton steps.

    Attributes:
        base: the fit without edits.
    """

    def __init__(self, surrogate: Surrogate, kernel: np.ndarray, labels: np.ndarray) -> None:
        """Prepare: a handful of products of K with 90 vectors, and one Cholesky factor of at most 900 unknowns.

        Args:
            surrogate: of kind ``klr``.
            kernel: ``[N, N]``, the very kernel of the fit.
            labels: int64 ``[N]``, the labels of the fit.

        Raises:
            ValueError: when kernel or labels are not those of the fit, or all points have one class.
        """
        self._surrogate, self._scale, self._n_scores = surrogate, surrogate.scale, surrogate.n_classes
        if len(np.unique(labels)) < 2:
            raise ValueError("All training points have one class: there is nothing to tell apart, and no edit has an effect.")
        self._lam = float(surrogate.options["lam"])  # type: ignore[arg-type]
        self._kernel = KernelProducts.of(kernel, self._scale)
        n, ones = len(kernel), np.ones(len(kernel))
        columns = self._columns(ones, labels)
        coef, offset = surrogate.weights[columns].T * self._scale, surrogate.intercept[columns]
        chances = probabilities(self._kernel.times(coef) + offset)
        pull = one_hot(labels, columns, self._n_scores) - chances + network_pull(surrogate, columns)
        residual = float(np.abs(self._lam * coef - pull).max())
        if residual > _SAME_KERNEL:
            raise ValueError(
                f"Kernel or labels are not those of the fit: lam W differs from the residuals by {residual:.2g}. "
                "Pass the kernel and the labels given to fit_surrogate."
            )
        self.base = Refit(surrogate.weights, surrogate.intercept, ones, np.asarray(labels, dtype=np.int64))
        most = _UNKNOWNS if len(columns) * n**3 <= EXACT_UP_TO else _UNKNOWNS_LARGE
        rank = max(1, min(most // 10, n - 1, most // len(columns) - 1))
        self._basis = self._kernel.leading(rank)
        self._basis_image = self._kernel.times(self._basis)
        self._images = np.hstack([self._basis_image, np.ones((n, 1))])
        self._fitted_chances = chances
        self._fitted = columns, cho_factor(self._inside(curvatures(chances)), lower=True, check_finite=False)[0]

    @property
    def exact_leverage(self) -> bool:
        """Whether :meth:`effects` of the fit without edits are a Newton step to all digits."""
        return len(self._fitted[0]) * len(self.base.counts) ** 3 <= EXACT_UP_TO

    def refit(self, counts: np.ndarray, labels: np.ndarray, *, steps: int | None = None, start: Refit | None = None) -> Refit:
        """The fit with these counts and labels, by Newton steps from another fit.

        Args:
            counts: ``[N]``, not negative; two classes at least must keep a point.
            labels: int64 ``[N]``, classes that the fit knows.
            steps: how many; by default one, and more (each shortened until the objective falls) while more than 1 % of the gradient
                is left. Removals usually need one, a relabelled point some: where the fit was sure, one step goes too far.
            start: where to start; the fit without edits by default.

        Raises:
            ValueError: when fewer than two classes are left, or a label is of a class that no point had.
        """
        columns = self._columns(counts, labels)
        if self._n_scores > 1 and not np.isin(columns, self._fitted[0]).all():
            new = np.setdiff1d(columns, self._fitted[0])
            raise ValueError(f"No training point of the fit has class {new[0]}, so no step leads there; fit a surrogate anew.")
        if len(np.unique(labels[counts > 0])) < 2:
            raise ValueError("After these edits all training points have one class; leave some points of another class.")
        begin = self.base if start is None else start
        asked = Asked(one_hot(labels, columns, self._n_scores), counts, network_pull(self._surrogate, columns))
        coef, offset = begin.weights[columns].T * self._scale, begin.intercept[columns]
        if self._n_scores > 1:  # a shift of all classes changes no softmax; without a class that is gone the sum need not be 0
            coef, offset = coef - coef.mean(axis=1, keepdims=True), offset - offset.mean()
        at = Place(coef, self._kernel.times(coef), offset)
        right = self._downhill(at, asked)
        first, reached, made = _size(right), True, 0
        most, enough, tolerance = (_STEPS, _SETTLED, LOOSE_TOLERANCE) if steps is None else (steps, _ROUNDING, STEP_TOLERANCE)
        while made < most and _size(right) > enough * first and _size(right) > _ROUNDING:
            step, solved = self._newton(right, at.chances, counts, self._factor(at.chances, counts), tolerance)
            at = self._shortened(at, step, asked) if steps is None else self._moved(at, step, 1.0)
            right, reached, made = self._downhill(at, asked), reached and solved, made + 1
        left = _size(right) / first if first > 0 else 0.0
        weights, intercept = np.zeros((self._n_scores, len(coef))), np.full(self._n_scores, EMPTY_CLASS_INTERCEPT)
        weights[columns], intercept[columns] = at.coef.T / self._scale, at.offset
        return Refit(weights, intercept, counts, labels, left=left, steps=made, notes=_notes(left, made, reached))

    def effects(self, rows: np.ndarray, directions: np.ndarray, at: Refit) -> np.ndarray:
        """By how much ``directions . scores`` of each row falls when a point is removed with all its copies, float64 ``[M, N]``.

        A Newton step without the point: its residual over one minus its leverage. For the fit without edits that is exact where
        C N³ is at most :data:`EXACT_UP_TO`. Above, it comes from the kernel's leading span plus a diagonal for the rest, which
        left 2.4 % of the largest effect open in the median (6.8 % at most) on MNIST with the trace NTK at N = 3,000; the order hardly moves.

        Args:
            rows: ``[M, N]``.
            directions: ``[M, C]``; what they have in common over the classes is taken away, since softmax does not see it.
            at: the fit from which a point is removed.
        """
        columns, chances, pull = self._pulls(at)
        pull = self._without_itself(pull, chances, at.counts, unedited=at is self.base)
        return self._answers(rows, directions, pull, chances, at.counts, columns)

    def first_order(self, rows: np.ndarray, directions: np.ndarray, at: Refit) -> np.ndarray:
        """The derivative of ``directions . scores`` by the count of each point, times its count, float64 ``[M, N]``.

        Args:
            rows: ``[M, N]``.
            directions: ``[M, C]``.
            at: the fit at which the derivative is taken.
        """
        columns, chances, pull = self._pulls(at)
        return self._answers(rows, directions, pull, chances, at.counts, columns)

    def _answers(
        self,
        rows: np.ndarray,
        directions: np.ndarray,
        pull: np.ndarray,
        chances: np.ndarray,
        counts: np.ndarray,
        columns: np.ndarray,
    ) -> np.ndarray:
        """How ``directions . scores`` of each row answers a pull ``[N, R]`` at each training point alone, ``[M, N]``."""
        along = np.asarray(directions, dtype=np.float64)[:, columns]
        if self._n_scores > 1:
            along = along - along.mean(axis=1, keepdims=True)
        values, factor = np.asarray(rows, dtype=np.float64) / self._scale, self._factor(chances, counts)
        found = np.empty((len(values), len(counts)))
        for first in range(0, len(values), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            # The row as a further point without weight: its own coefficient is along / lam, and the others answer it.
            alone = values[part].T[:, :, None] * along[part] / self._lam
            pushed = curved(chances, counts, alone)
            right = self._functions(-pushed, along[part] - pushed.sum(axis=0), quick=True)
            solved, _ = self._newton(right, chances, counts, factor, STEP_TOLERANCE)
            found[part] = np.einsum("ndr,nr->dn", alone + solved.image + solved.offset, pull)
        return found

    def _without_itself(self, pull: np.ndarray, chances: np.ndarray, counts: np.ndarray, *, unedited: bool) -> np.ndarray:
        """``(I - H_i G_ii)^-1 pull_i``, with G the covariance of the scores: a point that holds its own score is missed more."""
        bends = counts[:, None, None] * curvatures(chances)
        covariance = self._base_covariance if unedited else self._span_covariance(bends)
        if not unedited and covariance.shape == self._missed.shape:
            covariance = covariance + self._missed  # before the edits, and still
        lever = bends @ covariance
        return np.linalg.solve(np.eye(pull.shape[1]) - lever, pull[:, :, None])[:, :, 0]

    def _pulls(self, at: Refit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The scores that are fitted; what the fit says of each training point, and how it pulls at each score, both ``[N, R]``."""
        columns = self._columns(at.counts, at.labels)
        if at is self.base:
            chances = self._fitted_chances
        else:
            chances = probabilities(self._kernel.times(at.weights[columns].T * self._scale) + at.intercept[columns])
        return columns, chances, at.counts[:, None] * (one_hot(at.labels, columns, self._n_scores) - chances)

    def _columns(self, counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The scores that are fitted: one a class with a training point, or the one logit."""
        return np.array([0]) if self._n_scores == 1 else np.unique(labels[counts > 0])

    def _functions(self, coef: np.ndarray, offset: np.ndarray, *, quick: bool = False) -> Functions:
        times = self._kernel.quick if quick else self._kernel.times
        return Functions(coef, times(coef.reshape(len(coef), -1)).reshape(coef.shape), offset)

    def _moved(self, at: Place, step: Functions, length: float) -> Place:
        coef = at.coef + length * step.coef[:, 0]
        return Place(coef, self._kernel.times(coef), at.offset + length * step.offset[0])

    def _shortened(self, at: Place, step: Functions, asked: Asked) -> Place:
        """The first of 1, 1/2, 1/4, ... of the step that lowers the objective; the shortest when rounding hides that."""
        now, length = self._objective(at, asked), 1.0
        there = self._moved(at, step, length)
        while length > 1e-3 and self._objective(there, asked) > now + 1e-11 * abs(now):
            length /= 2
            there = self._moved(at, step, length)
        return there

    def _objective(self, at: Place, asked: Asked) -> float:
        scores = at.image + at.offset
        total = np.logaddexp(0.0, scores[:, 0]) if scores.shape[1] == 1 else np.asarray(logsumexp(scores, axis=1))
        loss = asked.counts @ (total - (asked.targets * scores).sum(axis=1)) - np.vdot(asked.network, scores)
        return float(loss + self._lam / 2 * np.vdot(at.coef, at.image))

    def _downhill(self, at: Place, asked: Asked) -> Functions:
        """Minus the gradient of the objective."""
        residuals = asked.counts[:, None] * (asked.targets - at.chances) + asked.network
        return self._functions((residuals - self._lam * at.coef)[:, None, :], residuals.sum(axis=0)[None])

    def _newton(
        self, right: Functions, chances: np.ndarray, counts: np.ndarray, factor: np.ndarray, tolerance: float
    ) -> tuple[Functions, bool]:
        """``Hessian^-1 right`` by preconditioned conjugate gradients, and whether the tolerance was reached.

        With a float32 kernel by rounds: quick products until few digits are left of the residual, which is then computed to all.
        """
        enough = tolerance**2 * right.dot(right)
        if not self._kernel.single:
            return self._conjugate(right, chances, counts, factor, enough)
        zeros = np.zeros_like(right.coef)
        step, residual, reached = Functions(zeros, zeros, np.zeros_like(right.offset)), right, True
        for _ in range(_ROUNDS):
            left = residual.dot(residual)
            if not (left > enough).any():
                return step, reached
            more, reached = self._conjugate(residual, chances, counts, factor, np.maximum(enough, _ROUND**2 * left))
            step = self._functions(step.coef + more.coef, step.offset + more.offset)
            pushed = curved(chances, counts, step.image + step.offset)
            coef = right.coef - pushed - self._lam * step.coef
            residual = self._functions(coef, right.offset - pushed.sum(axis=0), quick=True)  # seven digits of what is left
        return step, reached and not (residual.dot(residual) > enough).any()

    def _conjugate(
        self, right: Functions, chances: np.ndarray, counts: np.ndarray, factor: np.ndarray, enough: np.ndarray
    ) -> tuple[Functions, bool]:
        """The same until ``enough`` is left of each squared residual."""
        zeros = np.zeros_like(right.coef)
        step, residual = Functions(zeros, zeros, np.zeros_like(right.offset)), right
        ahead = self._precondition(residual, factor)
        energy = ahead.dot(residual)
        for _ in range(_PRODUCTS):
            active = (residual.dot(residual) > enough) & (energy > 0)
            if not active.any():
                return step, True
            pushed = curved(chances, counts, ahead.image + ahead.offset)
            bent = self._functions(pushed, pushed.sum(axis=0), quick=True)
            bent = Functions(bent.coef + self._lam * ahead.coef, bent.image + self._lam * ahead.image, bent.offset)
            curvature = ahead.dot(bent)
            active &= curvature > 0
            length = np.divide(energy, curvature, out=np.zeros_like(energy), where=active)
            step, residual = step.plus(length, ahead), residual.plus(-length, bent)
            solved = self._precondition(residual, factor)
            last, energy = energy, solved.dot(residual)
            ahead = solved.plus(np.divide(energy, last, out=np.zeros_like(energy), where=active & (last > 0)), ahead)
        return step, False

    def _precondition(self, vector: Functions, factor: np.ndarray) -> Functions:
        """Inverse curvature: exact in the leading span (with the offsets), a multiple of the identity beside it."""
        (n, d, r), rank = vector.coef.shape, self._basis.shape[1]
        along = self._kernel.matmul(self._basis.T, vector.image.reshape(n, -1)).reshape(rank, d, r)
        along = np.concatenate([along, vector.offset[None]])
        flat = along.transpose(0, 2, 1).reshape((rank + 1) * r, d)
        inside = cho_solve((factor, True), flat, check_finite=False).reshape(rank + 1, r, d).transpose(0, 2, 1)
        correction = (inside[:rank] - along[:rank] / self._lam).reshape(rank, -1)
        return Functions(
            self._kernel.matmul(self._basis, correction).reshape(n, d, r) + vector.coef / self._lam,
            self._kernel.matmul(self._basis_image, correction).reshape(n, d, r) + vector.image / self._lam,
            inside[rank],
        )

    def _factor(self, chances: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The preconditioner: that of the fit, unless a class is gone."""
        if chances.shape[1] == len(self._fitted[0]):
            return self._fitted[1]
        return cho_factor(self._inside(counts[:, None, None] * curvatures(chances)), lower=True, check_finite=False)[0]

    def _inside(self, bends: np.ndarray) -> np.ndarray:
        """The Hessian in the leading span and the offsets, ``[(rank + 1) R]`` squared.

        Args:
            bends: of the loss at each point, ``[N, R, R]``.
        """
        images, rank, r = self._images, self._basis.shape[1], bends.shape[1]
        full = np.empty((rank + 1, r, rank + 1, r))
        for c in range(r):
            for d in range(c, r):
                full[:, c, :, d] = full[:, d, :, c] = (images * bends[:, c, d, None]).T @ images
        if r > 1:  # shifting all offsets changes no softmax: without this it would be singular
            full[rank, :, rank, :] += len(images) / r**2
        matrix = full.reshape((rank + 1) * r, (rank + 1) * r)
        matrix[np.diag_indices(rank * r)] += self._lam
        matrix[np.diag_indices_from(matrix)] += 1e-9  # a class that is certain everywhere bends nothing
        return matrix

    @cached_property
    def _missed(self) -> np.ndarray:
        """What the leading span lacks of the exact covariance of the fit, ``[N, R, R]``; zeros where nobody knows."""
        if not self.exact_leverage:
            return np.zeros_like(self._base_covariance)
        return self._base_covariance - self._span_covariance(curvatures(self._fitted_chances))

    @cached_property
    def _base_covariance(self) -> np.ndarray:
        if not self.exact_leverage:
            return self._span_covariance(curvatures(self._fitted_chances))
        nothing = np.zeros_like(self._fitted_chances)
        return KlrInfluence.factor(self._kernel.values, self._fitted_chances, nothing, self._lam).own_covariance()

    def _span_covariance(self, bends: np.ndarray) -> np.ndarray:
        """Diagonal blocks G_ii of the covariance of the training scores, ``[N, R, R]``: leading span, and a diagonal for the rest.

        The rest of the kernel, what the span leaves of each K_ii, is taken as independent from point to point (as in the FITC
        approximation of Gaussian processes, Snelson and Ghahramani 2006); then the blocks are exact and cost no N x N inverse.

        Args:
            bends: of the loss at each point, ``[N, R, R]``.
        """
        r = bends.shape[1]
        rest = np.maximum(self._kernel.diagonal - (self._basis_image**2).sum(axis=1), 0.0) / self._lam
        damped = np.linalg.inv(np.eye(r) + rest[:, None, None] * bends)  # (I + rest H)^-1
        spread, size = np.linalg.inv(self._inside(bends @ damped)), self._basis.shape[1] + 1
        blocks, within = spread.reshape(size, r, size, r), np.empty_like(damped)
        for c in range(r):
            for d in range(c, r):
                within[:, c, d] = within[:, d, c] = ((self._images @ blocks[:, c, :, d]) * self._images).sum(axis=1)
        return rest[:, None, None] * damped + damped @ within @ damped.transpose(0, 2, 1)


def _notes(left: float, steps: int, reached: bool) -> tuple[str, ...]:
    notes: list[str] = []
    if left > _TOO_MUCH_LEFT:
        notes.append(
            f"After {counted(steps)} {100 * left:.0f} % of the gradient is left: the edits are too large for that, and a new fit would differ."
        )
    if not reached:
        notes.append(f"A Newton step was stopped after {_PRODUCTS} products of the kernel, before its tolerance; raise lam.")
    return tuple(notes)


def counted(steps: int) -> str:
    """How many Newton steps, in words."""
    return "one Newton step" if steps == 1 else f"{steps} Newton steps"


def _size(vector: Functions) -> float:
    return float(np.sqrt(max(vector.dot(vector)[0], 0.0)))
