"""What a kernel logistic regression would say without a training point: influence with the exact curvature of the softmax.

At the optimum of ``sum_i CE_i + lam/2 tr(W K W^T)`` a training point's weight s_i = 1 pulls the scores; the derivative of the score
g^T f(x) by -s_i is

    a_i(x) = z_i^T r_i,      z = (lam I + K W)^-1 (k_x (x) g)  in R^(N x C),      r_i = y_i - p_i in R^C,

with the curvature W_i = diag(p_i) - p_i p_i^T of each point. W is no diagonal, but the system falls apart into C + 1 Cholesky factors of
size N (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 3.5): with K' = K / lam, D_c = diag(p_c),
E_c = D_c^1/2 (I + D_c^1/2 K' D_c^1/2)^-1 D_c^1/2,

    z_c = g_c k' + ((v - g_c k') E_c) K',       v = (sum_c g_c k' E_c) (sum_c E_c)^-1.

The intercept is left free by a constant of ``_FREE`` in the kernel (mean diagonal 1), whose penalty is then negligible.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from ntkviz.types import ProgressFn, silent

_FREE = 100.0
#: Above this the C matrices E_c are kept in float32 (bytes of float64).
_DOUBLE_BYTES = 5 * 10**8
_ROWS_AT_ONCE = 256


def influence_bytes(n: int, n_scores: int) -> int:
    """Memory of the direct solution, bytes.

    Args:
        n: N.
        n_scores: C.
    """
    kept = 8 * n_scores * n * n
    return (kept if kept <= _DOUBLE_BYTES else kept // 2) + 4 * 8 * n * n


@dataclass(frozen=True, eq=False)
class KlrInfluence:
    """The factored system; answers any number of test points.

    Attributes:
        inner: K' with the constant, ``[N, N]``.
        parts: E_c, ``[C, N, N]``.
        joint: Cholesky factor of ``sum_c E_c``, or None for one logit, where nothing couples.
        residuals: ``[N, C]``, y - p; what pulls at each score.
        chances: ``[N, C]``, p.
        lam: the penalty.
    """

    inner: np.ndarray
    parts: np.ndarray
    joint: tuple[np.ndarray, bool] | None
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
        inner = (np.asarray(kernel, dtype=np.float64) + _FREE) / lam
        curvature = chances * (1 - chances) if n_scores == 1 else chances
        small = 8 * n_scores * n * n <= _DOUBLE_BYTES
        parts = np.empty((n_scores, n, n), np.float64 if small else np.float32)
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
        on_progress("effects", 1.0)
        return cls(inner, parts, joint, residuals, chances, lam)

    def responses(self, rows: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """The z of each test point, float64 ``[M, C, N]``: how a pull on score c of training point i moves the mixed score of the test point.

        Args:
            rows: ``[M, N]`` at mean diagonal 1.
            heads: ``[M, C]``, the mix g of each test point's scores.
        """
        k = (rows + _FREE) / self.lam
        with_parts = np.zeros_like(k)
        if self.joint is not None:
            for c, part in enumerate(self.parts):
                with_parts += heads[:, c, None] * (k @ part)
            with_parts = cho_solve(self.joint, with_parts.T, check_finite=False).T
        out = np.empty((len(k), len(self.parts), k.shape[1]))
        for c, part in enumerate(self.parts):
            own = heads[:, c, None] * k
            out[:, c] = own + ((with_parts - own) @ part) @ self.inner
        return out

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

        ``A_ii`` is the C x C block of the inverse curvature at point i: a point that holds its own score in place has more
        effect than its residual says.
        """
        n, n_scores = self.residuals.shape
        curvature = self._curvature()
        pulls = np.empty((n, n_scores))
        for start in range(0, n, _ROWS_AT_ONCE):
            part = slice(start, min(n, start + _ROWS_AT_ONCE))
            here = np.arange(n)[part]
            blocks = np.zeros((len(here), n_scores, n_scores))
            seen = np.empty((n_scores, len(here), n))
            for c in range(n_scores):
                seen[c] = self.inner[part] @ self.parts[c]
                blocks[:, c, c] = self.inner[here, here] - np.einsum("in,in->i", seen[c], self.inner[part])
            if self.joint is not None:
                for c in range(n_scores):
                    seen[c] = solve_triangular(self.joint[0], seen[c].T, lower=True, check_finite=False).T
                blocks += np.einsum("cin,din->icd", seen, seen, optimize=True)
            system = np.eye(n_scores) - curvature[part] @ blocks
            pulls[part] = np.linalg.solve(system, self.residuals[part, :, None])[..., 0]
        return replace(self, residuals=pulls)

    def _curvature(self) -> np.ndarray:
        """W, ``[N, C, C]``."""
        p = self.chances
        if p.shape[1] == 1:
            return (p * (1 - p))[:, :, None]
        return p[:, :, None] * np.eye(p.shape[1]) - p[:, :, None] * p[:, None, :]
