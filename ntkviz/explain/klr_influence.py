"""What a kernel logistic regression would say without a training point: influence with the exact curvature of the softmax.

At the optimum of ``sum_i CE_i + lam/2 tr(W K W^T)`` a training point's weight s_i = 1 pulls the scores; the derivative of the score
g^T f(x) by -s_i is

    a_i(x) = z_i^T r_i,      z = (lam I + K W)^-1 (k_x (x) g)  in R^(N x C),      r_i = y_i - p_i in R^C,

with the curvature W_i = diag(p_i) - p_i p_i^T of each point. W is no diagonal, but the system falls apart into C + 1 Cholesky factors of
size N (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 3.5): with K' = K / lam, D_c = diag(p_c),
E_c = D_c^1/2 (I + D_c^1/2 K' D_c^1/2)^-1 D_c^1/2,

    z_c = g_c k' + ((v - g_c k') E_c) K',       v = (sum_c g_c k' E_c) (sum_c E_c)^-1.

The intercept is free, without a penalty, as the explicit basis functions of section 2.7 there: with A the inverse of K' + W^-1 (which is
E_c minus E_c (sum E)^-1 E_d between classes), H the constants of the C classes and

    Q = H - K' A H,      S = H^T A H,

the answers K' - K' A K' become K' - K' A K' + Q S^+ Q^T. A shift of all classes changes no softmax: S lacks that direction.

All is float64: in float32 the differences of large matrices were off by half of the largest effect.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from ntkviz.explain.curvature import curvatures
from ntkviz.types import ProgressFn, silent

_ROWS_AT_ONCE = 256
#: Below this share of the largest, a direction of S is the shift of all classes.
_NO_SHIFT = 1e-12


def influence_bytes(n: int, n_scores: int) -> int:
    """Memory of the direct solution, bytes.

    Args:
        n: N.
        n_scores: C.
    """
    return 8 * (n_scores + 4) * n * n


@dataclass(frozen=True, eq=False)
class KlrInfluence:
    """The factored system; answers any number of test points.

    Attributes:
        inner: K', ``[N, N]``.
        parts: E_c, ``[C, N, N]``.
        joint: Cholesky factor of ``sum_c E_c``, or None for one logit, where nothing couples.
        constants: A H, ``[C, C, N]``: of the constant of the first class, what the second sees.
        shifts: S^+ Q^T, ``[C, C, N]``, in the same order.
        residuals: ``[N, C]``, y - p; what pulls at each score.
        chances: ``[N, C]``, p.
        lam: the penalty.
    """

    inner: np.ndarray
    parts: np.ndarray
    joint: tuple[np.ndarray, bool] | None
    constants: np.ndarray
    shifts: np.ndarray
    residuals: np.ndarray
    chances: np.ndarray
    lam: float

    @classmethod
    def factor(
        cls, kernel: np.ndarray, chances: np.ndarray, residuals: np.ndarray, lam: float, *, on_progress: ProgressFn = silent
    ) -> "KlrInfluence":
        """Factor once: C + 1 Cholesky factors.

        Args:
            kernel: ``[N, N]`` of mean diagonal 1.
            chances: ``[N, C]``, the surrogate's probabilities of its training points; ``[N, 1]`` the sigmoid's.
            residuals: ``[N, C]``, one-hot labels minus chances.
            lam: the penalty of the fit.
            on_progress: called as ``on_progress("effects", fraction)``; may raise JobCancelled.
        """
        n, n_scores = chances.shape
        inner = np.asarray(kernel, dtype=np.float64) / lam
        curvature = chances * (1 - chances) if n_scores == 1 else chances
        parts = np.empty((n_scores, n, n))
        total = np.zeros((n, n))
        for c in range(n_scores):
            on_progress("effects", c / (n_scores + 1))
            root = np.sqrt(curvature[:, c])
            system = inner * root[:, None]
            system *= root
            system[np.diag_indices(n)] += 1.0
            part = cho_solve(
                cho_factor(system, lower=True, overwrite_a=True, check_finite=False), np.diag(root), overwrite_b=True
            )
            part *= root[:, None]
            total += part
            parts[c] = part
        joint = None
        if n_scores > 1:
            joint = cho_factor((total + total.T) / 2, lower=True, overwrite_a=True, check_finite=False)
        constants = _seen(parts, joint, np.eye(n_scores)[:, :, None] * np.ones(n))
        moved = np.eye(n_scores)[:, :, None] - constants @ inner
        shifts = np.tensordot(np.linalg.pinv(constants.sum(axis=2), rcond=_NO_SHIFT, hermitian=True), moved, axes=1)
        on_progress("effects", 1.0)
        return cls(inner, parts, joint, constants, shifts, residuals, chances, lam)

    def responses(self, rows: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """The z of each test point, float64 ``[M, C, N]``: how a pull on score c of training point i moves the mixed score of the test point.

        Args:
            rows: ``[M, N]`` at mean diagonal 1.
            heads: ``[M, C]``, the mix g of each test point's scores.
        """
        own = heads[:, :, None] * (rows / self.lam)[:, None, :]
        answers = own - _seen(self.parts, self.joint, own) @ self.inner
        free = heads - np.einsum("mcn,dcn->md", own, self.constants)
        return answers + np.tensordot(free, self.shifts, axes=1)

    def effects(self, rows: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """How much the mixed score of each test point falls without each training point, float64 ``[M, N]``.

        Args:
            rows: ``[M, N]`` at mean diagonal 1.
            heads: ``[M, C]``.
        """
        out = np.empty((len(rows), len(self.residuals)))
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            out[part] = np.einsum("mcn,nc->mn", self.responses(rows[part], heads[part]), self.residuals)
        return out

    def without_points(self) -> "KlrInfluence":
        """The same with residuals that make the effect one Newton step of the fit without the point: ``(I - W_i A_ii)^-1 r_i``.

        A point that holds its own score in place has more effect than its residual says.
        """
        system = np.eye(self.residuals.shape[1]) - curvatures(self.chances) @ self.own_covariance()
        return replace(self, residuals=np.linalg.solve(system, self.residuals[..., None])[..., 0])

    def own_covariance(self) -> np.ndarray:
        """``A_ii``, the block of the inverse curvature at each training point, ``[N, C, C]``: how a pull at the point moves its own scores."""
        n, n_scores = self.residuals.shape
        found = np.empty((n, n_scores, n_scores))
        moved = np.eye(n_scores)[:, :, None] - self.constants @ self.inner
        for start in range(0, n, _ROWS_AT_ONCE):
            part = slice(start, min(n, start + _ROWS_AT_ONCE))
            here = np.arange(n)[part]
            blocks = np.einsum("dci,dbi->icb", moved[:, :, part], self.shifts[:, :, part])
            seen = np.empty((n_scores, len(here), n))
            for c in range(n_scores):
                seen[c] = self.inner[part] @ self.parts[c]
                blocks[:, c, c] += self.inner[here, here] - np.einsum("in,in->i", seen[c], self.inner[part])
            if self.joint is not None:
                for c in range(n_scores):
                    seen[c] = solve_triangular(self.joint[0], seen[c].T, lower=True, check_finite=False).T
                blocks += np.einsum("cin,din->icd", seen, seen, optimize=True)
            found[part] = blocks
        return found


def _seen(parts: np.ndarray, joint: tuple[np.ndarray, bool] | None, values: np.ndarray) -> np.ndarray:
    """A times functions of the training points and classes, ``[M, C, N]``."""
    out = np.stack([values[:, c] @ part for c, part in enumerate(parts)], axis=1)
    if joint is not None:
        common = cho_solve(joint, out.sum(axis=1).T, check_finite=False).T
        for c, part in enumerate(parts):
            out[:, c] -= common @ part
    return out
