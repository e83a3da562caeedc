"""What a ridge would say without each training point, exactly, intercept included."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ntkviz.surrogates.surrogate import RidgeSurrogate, ridge_system

_ROWS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class RidgeRemoval:
    """``S = K + lam I``, factored.

    With ``t = S^-1 T``, ``o = S^-1 1``, ``d = diag S^-1`` and ``G = k S^-1`` a fit without point i says
    ``k t - G_i t_i / d_i + m_i (1 - k o + G_i o_i / d_i)``, where m_i is the mean of the other targets.

    Attributes:
        inverse: ``S^-1``, ``[N, N]``.
        targets: T, ``[N, C]``.
    """

    inverse: np.ndarray
    targets: np.ndarray

    @classmethod
    def factor(cls, surrogate: RidgeSurrogate, kernel: np.ndarray) -> "RidgeRemoval":
        """Factor the equations of a fit.

        Args:
            surrogate: the fit.
            kernel: ``[N, N]``, its kernel, as passed to it.
        """
        system = ridge_system(kernel, surrogate.scale, float(surrogate.options["lam"]))  # type: ignore[arg-type]
        factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
        return cls(cho_solve(factor, np.eye(surrogate.n_train), overwrite_b=True, check_finite=False), surrogate.targets)

    def smoother(self, rows: np.ndarray) -> np.ndarray:
        """G, ``[M, N]``: how much each target counts in each prediction.

        Args:
            rows: ``[M, N]`` at mean diagonal 1.
        """
        return rows @ self.inverse

    def effects(self, rows: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """How much the mixed score of each test point falls without each training point, float64 ``[M, N]``.

        Args:
            rows: ``[M, N]`` at mean diagonal 1.
            heads: ``[M, C]``.
        """
        out = np.empty(rows.shape)
        n = len(self.targets)
        diagonal, solved, ones = np.diagonal(self.inverse), self.inverse @ self.targets, self.inverse.sum(axis=1)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            g, mixes = self.smoother(rows[part]), heads[part]
            target = mixes @ self.targets.T  # [m, N], each training point's target in the mix
            mean = target.mean(axis=1, keepdims=True)
            without = (n * mean - target) / (n - 1)
            free = 1 - (rows[part] @ ones)[:, None]
            pulled = g / diagonal
            out[part] = pulled * (mixes @ solved.T) + mean * free - without * (free + pulled * ones)
        return out
