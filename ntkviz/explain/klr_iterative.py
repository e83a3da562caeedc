"""The influence of :mod:`ntkviz.explain.klr_influence` by conjugate gradients, for more points than can be factored.

The derivative of a mixed score of x by the pulls on the training points is ``z = k_x (x) g / lam + K a + b`` with

    lam a + W (K a + b) = -W (k_x (x) g) / lam,        sum_i W_i (K a + b)_i = g - sum_i W_i (k_x (x) g)_i / lam.

The system is self-adjoint in the inner product ``a^T K a + b^T b`` (that of the feature space, with the free intercept beside it), so
conjugate gradients apply: one product of K with an [N, C] matrix an iteration. The kernel is centred on both sides, which moves only b.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ntkviz.surrogates.logistic import leading_subspace
from ntkviz.types import ProgressFn, silent

#: Leading directions of the kernel in which the curvature is inverted beforehand.
_RANK = 300
#: Where an iteration ends: its residual as a share of the right-hand side.
_ENOUGH = 3e-4
_MOST = 300
_POINTS_AT_ONCE = 8


class _Vector(NamedTuple):
    """Coefficients a, their image K a, both ``[N, m, C]``, and the intercept b ``[m, C]``, for m test points at once."""

    coef: np.ndarray
    image: np.ndarray
    offset: np.ndarray

    def plus(self, step: np.ndarray, other: "_Vector") -> "_Vector":
        """This and ``step`` (a number for each test point, ``[m, 1]``) times another."""
        return _Vector(self.coef + step * other.coef, self.image + step * other.image, self.offset + step * other.offset)

    def dot(self, other: "_Vector") -> np.ndarray:
        """Inner product of each test point, ``[m, 1]``."""
        inside = np.einsum("nmc,nmc->m", self.coef, other.image, optimize=True)
        return (inside + (self.offset * other.offset).sum(axis=1))[:, None]


@dataclass(frozen=True, eq=False)
class KlrIterative:
    """The system with what its iterations read.

    Attributes:
        kernel: float32 ``[N, N]`` of mean diagonal 1, centred.
        mean: ``[N]``, the column means that were taken off.
        chances: float32 ``[N, C]``, the surrogate's probabilities.
        residuals: ``[N, C]``, one-hot labels minus chances.
        lam: the penalty.
        basis: float32 ``[N, r]``, orthonormal in the feature space.
        image: float32 ``[N, r]``, the kernel times the basis.
        inside: float32 ``[C, r, r]``, inverse curvature there, less that of the penalty alone.
    """

    kernel: np.ndarray
    mean: np.ndarray
    chances: np.ndarray
    residuals: np.ndarray
    lam: float
    basis: np.ndarray
    image: np.ndarray
    inside: np.ndarray

    @classmethod
    def factor(
        cls, kernel: np.ndarray, chances: np.ndarray, residuals: np.ndarray, lam: float, *, on_progress: ProgressFn = silent
    ) -> "KlrIterative":
        """Find the leading directions once.

        Args:
            kernel: ``[N, N]`` of mean diagonal 1.
            chances: ``[N, C]``; ``[N, 1]`` the sigmoid's.
            residuals: ``[N, C]``.
            lam: the penalty of the fit.
            on_progress: called as ``on_progress("effects", fraction)``; may raise JobCancelled.
        """
        mean = kernel.mean(axis=0)
        centred = kernel - mean - mean[:, None] + mean.mean()
        on_progress("effects", 0.1)
        basis, image = (part.astype(np.float32) for part in leading_subspace(centred, min(_RANK, len(kernel)), 0))
        on_progress("effects", 0.7)
        heights = (chances * (1 - chances)).astype(np.float32)
        unit = np.eye(basis.shape[1])
        inside = [np.linalg.inv(lam * unit + (image * h[:, None]).T @ image) - unit / lam for h in heights.T]
        on_progress("effects", 1.0)
        narrow = centred.astype(np.float32), chances.astype(np.float32), np.stack(inside).astype(np.float32)
        return cls(narrow[0], mean, narrow[1], residuals, lam, basis, image, narrow[2])

    def effects(self, rows: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """How much the mixed score of each test point falls without each training point, float64 ``[M, N]``.

        Args:
            rows: ``[M, N]`` at mean diagonal 1.
            heads: ``[M, C]``.
        """
        out = np.empty(rows.shape)
        if heads.shape[1] > 1:  # pulls sum to 0 over the classes, so a shift of all scores answers to none
            heads = heads - heads.mean(axis=1, keepdims=True)
        for start in range(0, len(rows), _POINTS_AT_ONCE):
            part = slice(start, start + _POINTS_AT_ONCE)
            centred = rows[part] - rows[part].mean(axis=1, keepdims=True) - self.mean + self.mean.mean()
            responses = self._responses(centred.astype(np.float32), heads[part].astype(np.float32))
            out[part] = np.einsum("nmc,nc->mn", responses, self.residuals)
        return out

    def _responses(self, rows: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """The z of a few test points, ``[N, m, C]``."""
        direct = rows.T[:, :, None] * heads[None] / np.float32(self.lam)
        pushed = -self._curved(direct)
        residual = _Vector(pushed, self._product(pushed), heads + pushed.sum(axis=0))
        found = _Vector(np.zeros_like(direct), np.zeros_like(direct), np.zeros_like(heads))
        enough = _ENOUGH**2 * residual.dot(residual)
        ahead = self._precondition(residual)
        energy = ahead.dot(residual)
        for _ in range(_MOST):
            pushed = self._curved(ahead.image + ahead.offset)
            lam = np.float32(self.lam)
            bent = _Vector(lam * ahead.coef + pushed, lam * ahead.image + self._product(pushed), pushed.sum(axis=0))
            length = _share(energy, ahead.dot(bent))
            found, residual = found.plus(length, ahead), residual.plus(-length, bent)
            if (residual.dot(residual) <= enough).all():
                break
            solved = self._precondition(residual)
            last, energy = energy, solved.dot(residual)
            ahead = solved.plus(_share(energy, last), ahead)
        return direct + found.image + found.offset

    def _product(self, values: np.ndarray) -> np.ndarray:
        """The kernel times values ``[N, m, C]``."""
        return (self.kernel @ values.reshape(len(values), -1)).reshape(values.shape)

    def _curved(self, values: np.ndarray) -> np.ndarray:
        """W times values ``[N, m, C]``."""
        p = self.chances[:, None]
        if p.shape[-1] == 1:
            return p * (1 - p) * values
        pushed = p * values
        return pushed - p * pushed.sum(axis=-1, keepdims=True)

    def _precondition(self, vector: _Vector) -> _Vector:
        """Inverse curvature: class by class in the leading directions, that of the penalty beside them; steps sum to 0 over classes."""
        coupled = self.chances.shape[1] > 1
        along = np.einsum("nr,nmc->crm", self.basis, vector.image, optimize=True)
        correction = np.moveaxis(self.inside @ along, 0, 2)
        of_offset = vector.offset / np.maximum((self.chances * (1 - self.chances)).sum(axis=0), 1e-6)
        if coupled:
            correction = correction - correction.mean(axis=2, keepdims=True)
            of_offset = of_offset - of_offset.mean(axis=1, keepdims=True)
        flat = np.ascontiguousarray(correction).reshape(len(correction), -1)
        lam, shape = np.float32(self.lam), vector.coef.shape
        return _Vector(
            vector.coef / lam + (self.basis @ flat).reshape(shape),
            vector.image / lam + (self.image @ flat).reshape(shape),
            of_offset,
        )


def _share(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Quotient, 0 where rounding has taken over."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
