"""Edits of a ridge surrogate in closed form: a block update of the factored kernel, equal to a new fit.

With counts s_i (0 removed, 2 once duplicated) the fit solves, on the points with s_i > 0,

    (K + lam S^-1) A = T - 1 m^T,        m = sum_i s_i t_i / sum_i s_i,        scores(x) = K_x A + m,

since the copies of a point share one coefficient each and their coefficients add up. The diagonal differs from that of the fit at
the edited points only, so with V = (K + lam I)^-1 and e edited points the rest is an e x e system and N x e numbers (Woodbury).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, get_lapack_funcs

from ntkviz.explain.refit import Refit
from ntkviz.surrogates.surrogate import EMPTY_CLASS_INTERCEPT, RidgeSurrogate, Surrogate, ridge_factor, ridge_system

#: Weights that miss the ridge equations of a kernel by more than this are weights of another kernel.
_SAME_KERNEL = 1e-3
#: Above this the small system of the edits has lost half of the digits of float64.
_ILL_CONDITIONED = 1e8


@dataclass(frozen=True, eq=False)
class _Solved:
    """Solves with the system after edits: ``V' b = V b - columns (small (V b)_edited)``."""

    edited: np.ndarray  # [e]
    columns: np.ndarray  # [N, e], V at the edited points
    small: np.ndarray  # [e, e], the inverse of diag(1 / d) + V_ee
    condition: float

    def update(self, plain: np.ndarray) -> np.ndarray:
        """``V' b`` from ``V b [N, ...]``."""
        return plain - self.columns @ (self.small @ plain[self.edited]) if len(self.edited) else plain


class RidgeRefit:
    """A factored ridge fit.

    Attributes:
        base: the fit without edits.
    """

    def __init__(self, surrogate: Surrogate, kernel: np.ndarray, labels: np.ndarray) -> None:
        """Factor the kernel, N^3 / 3.

        Args:
            surrogate: of kind ``ridge`` or ``ridge_logits``.
            kernel: ``[N, N]``, the very kernel of the fit.
            labels: int64 ``[N]``, the labels of the fit.

        Raises:
            ValueError: when kernel or labels are not those of the fit.
        """
        self._kind, self._scale, self._n_scores = surrogate.kind, surrogate.scale, surrogate.n_classes
        self._lam = float(surrogate.options["lam"])  # type: ignore[arg-type]
        logits = surrogate.targets if isinstance(surrogate, RidgeSurrogate) and surrogate.kind == "ridge_logits" else None
        if surrogate.kind == "ridge_logits" and logits is None:
            raise ValueError("This surrogate has lost the logits that it was fitted to; fit it again by fit_surrogate.")
        self._logits = logits
        system = ridge_system(kernel, self._scale, self._lam)
        system = (system + system.T) / 2
        targets = self._targets(labels)
        centred = targets - targets.mean(axis=0)
        error = float(np.abs(system @ (surrogate.weights.T * self._scale) - centred).max())
        if error > _SAME_KERNEL * max(1.0, float(np.abs(centred).max())):
            raise ValueError(
                f"Kernel or labels are not those of the fit: the ridge equations miss by {error:.2g}. "
                "Pass the kernel and the labels given to fit_surrogate."
            )
        self._diagonal = np.diagonal(system) - self._lam
        self._factor = ridge_factor(system)
        self._plain_targets = self._solve(targets)  # V T
        self._plain_ones = self._solve(np.ones((len(targets), 1)))  # V 1
        self._fitted_targets = targets
        ones = np.ones(len(targets))
        self.base = Refit(surrogate.weights, surrogate.intercept, ones, np.asarray(labels, dtype=np.int64))

    def refit(self, counts: np.ndarray, labels: np.ndarray, *, steps: int | None = None, start: Refit | None = None) -> Refit:
        """The fit with these counts and labels, as a new fit would give it.

        Args:
            counts: ``[N]``, not negative, not all 0.
            labels: int64 ``[N]``.
            steps: not used, the form is closed.
            start: not used.
        """
        solved, targets = self._solved(counts), self._targets(labels)
        relabelled = np.flatnonzero((targets != self._fitted_targets).any(axis=1))
        plain = self._plain_targets
        if len(relabelled):
            plain = plain + self._columns(relabelled) @ (targets - self._fitted_targets)[relabelled]
        mean = counts @ targets / counts.sum()
        coefficients = solved.update(plain - self._plain_ones * mean)
        coefficients[counts == 0] = 0.0
        intercept = mean.copy()
        if self._kind == "ridge" and self._n_scores > 1:
            empty = counts @ targets == 0
            coefficients[:, empty], intercept[empty] = 0.0, EMPTY_CLASS_INTERCEPT
        notes = ()
        if solved.condition > _ILL_CONDITIONED:
            notes = (
                f"The system of the edits is ill-conditioned ({solved.condition:.0e}): some points are nearly copies of each other, and "
                "digits are lost. Raise lam.",
            )
        return Refit(coefficients.T / self._scale, intercept, counts, labels, condition=solved.condition, notes=notes)

    def effects(self, rows: np.ndarray, directions: np.ndarray, at: Refit) -> np.ndarray:
        """By how much ``directions . scores`` of each row falls when one more point is removed with all its copies, float64 ``[M, N]``.

        Exact, except that a class whose last point goes keeps its (tiny) score here; 0 for points that are removed already.

        Args:
            rows: ``[M, N]``.
            directions: ``[M, C]``.
            at: the fit from which a point is removed.
        """
        solved, targets = self._solved(at.counts), self._targets(at.labels)
        kept = at.counts > 0
        inverse = self._inverse_diagonal
        if len(solved.edited):
            inverse = inverse - np.einsum("ie,ef,if->i", solved.columns, solved.small, solved.columns)
        inverse = np.where(kept, inverse, 1.0)
        ones = solved.update(self._plain_ones)[:, 0]
        values = np.asarray(rows, dtype=np.float64) / self._scale
        projected = solved.update(self._solve(values.T)).T  # [M, N], rows V'
        spread = (values * kept) @ ones  # [M]
        rest = at.counts.sum() - at.counts
        mean = at.counts @ targets / at.counts.sum()
        shift = np.divide(
            at.counts[:, None] * (mean - targets), rest[:, None], out=np.zeros_like(targets), where=rest[:, None] > 0
        )
        shifted = directions @ shift.T  # [M, N], by how much the means move
        along = directions @ (at.weights * self._scale)
        drop = (spread[:, None] - 1) * shifted + projected / inverse * (along - ones * shifted)
        return np.where(kept, drop, 0.0)

    def largest_drops(self, row: np.ndarray, directions: np.ndarray, max_size: int) -> np.ndarray:
        """By how much ``directions . scores`` of a row can fall at most when 1, 2, ..., ``max_size`` points are removed, ``[D, max_size]``.

        Proven, and loose. Without the points S the solution is ``x - V_.S (V_SS)^-1 x_S``, and ``(V_SS)^-1`` is at most
        ``lam + K_SS`` in the order of symmetric matrices, whose norm is at most lam plus the k largest diagonal entries. The rest are
        norms of the k largest entries of what the row and the solution have at single points, and how far a mean of targets can move.

        Args:
            row: ``[N]``.
            directions: ``[D, C]``.
            max_size: below N.
        """
        values = np.asarray(row, dtype=np.float64)[None] / self._scale
        held, n = self._solve(values.T)[:, 0], values.shape[1]
        sizes = np.arange(1, max_size + 1)
        mean = self._fitted_targets.mean(axis=0)
        along = (self._plain_targets - self._plain_ones * mean) @ directions.T  # [N, D]
        stretch = self._lam + np.minimum(np.cumsum(np.sort(self._diagonal)[::-1])[:max_size], self._diagonal.sum())
        reach = stretch * _top_norm(held, max_size)
        moved = sizes / (n - sizes) * np.abs((self._fitted_targets - mean) @ directions.T).max(axis=0)[:, None]  # [D, k]
        direct = np.array([_top_norm(column, max_size) for column in along.T])
        by_mean = abs(1 - float(values[0] @ self._plain_ones[:, 0])) + reach * _top_norm(self._plain_ones[:, 0], max_size)
        return reach * direct + moved * by_mean

    def _targets(self, labels: np.ndarray) -> np.ndarray:
        """What is regressed on, ``[N, C]``."""
        if self._logits is not None:
            return self._logits
        if self._n_scores == 1:
            return 2.0 * np.asarray(labels, dtype=np.float64)[:, None] - 1.0
        return np.eye(self._n_scores)[labels]

    def _solve(self, right: np.ndarray) -> np.ndarray:
        return cho_solve((self._factor, True), right, check_finite=False)

    def _columns(self, points: np.ndarray) -> np.ndarray:
        unit = np.zeros((len(self._factor), len(points)))
        unit[points, np.arange(len(points))] = 1.0
        return self._solve(unit)

    def _solved(self, counts: np.ndarray) -> _Solved:
        """The update for the points whose count is not 1."""
        edited = np.flatnonzero(counts != 1)
        if not len(edited):
            return _Solved(edited, np.empty((len(counts), 0)), np.empty((0, 0)), 1.0)
        columns = self._columns(edited)
        # 1 / d for the change of the diagonal d = lam / s - lam; a removed point has d = infinity.
        small = columns[edited] + np.diag(counts[edited] / (self._lam * (1 - counts[edited])))
        size = np.sqrt(np.abs(np.diagonal(small)))  # a common unit for all points: scale alone is no bad condition
        return _Solved(edited, columns, np.linalg.inv(small), float(np.linalg.cond(small / np.outer(size, size))))

    @cached_property
    def _inverse_diagonal(self) -> np.ndarray:
        """The diagonal of V, ``[N]``; 2 N^3 / 3, once."""
        (potri,) = get_lapack_funcs(("potri",), (self._factor,))
        inverse, _ = potri(self._factor, lower=1)
        return np.diagonal(inverse).copy()


def _top_norm(values: np.ndarray, most: int) -> np.ndarray:
    """Euclidean norm of the 1, 2, ..., ``most`` largest entries in absolute value, ``[most]``."""
    return np.sqrt(np.cumsum(np.sort(values**2)[::-1][:most]))
