"""Removal effects: factor a surrogate once, then ask for any test point what it would say without each training point."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ntkviz.explain.given import check_labels
from ntkviz.explain.klr_influence import KlrInfluence, influence_bytes
from ntkviz.explain.klr_refit import KlrRefit
from ntkviz.explain.ridge_removal import RidgeRemoval
from ntkviz.scores import log_odds_heads
from ntkviz.surrogates.logistic import one_hot
from ntkviz.surrogates.surrogate import RidgeSurrogate, Surrogate, check_rows, probabilities
from ntkviz.types import ProgressFn, silent

#: Factors are made while they fit in this many bytes; above, each test point is solved by iteration.
DIRECT_BYTES = 3 * 10**9


class Removal(Protocol):
    """A factored surrogate, for kernels of mean diagonal 1."""

    def effects(self, rows: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """Fall of the mixed score of M points without each of N points, ``[M, N]``; rows ``[M, N]``, heads ``[M, C]``."""
        ...


@dataclass(frozen=True, eq=False)
class RemovalEffects:
    """What a surrogate would say without each of its training points, by its own equations.

    Attributes:
        surrogate: the kernel machine, of kind ``klr``, ``ridge`` or ``ridge_logits``.
        system: its equations, factored.
        method: one sentence on how effects are computed, approximations included.
    """

    surrogate: Surrogate
    system: Removal
    method: str

    @classmethod
    def of_surrogate(
        cls,
        surrogate: Surrogate,
        kernel: np.ndarray,
        labels: np.ndarray,
        *,
        leave_one_out: bool = False,
        few: bool = False,
        on_progress: ProgressFn = silent,
    ) -> "RemovalEffects":
        """Factor the equations of a surrogate.

        Args:
            surrogate: of kind ``klr``, ``ridge`` or ``ridge_logits``.
            kernel: ``[N, N]``, the kernel of the fit.
            labels: int ``[N]``, the labels of the fit (not used by ridges, which keep their targets).
            leave_one_out: for ``klr``, a full Newton step without the point in place of the first-order influence. Ridges are exact.
            few: for ``klr``, whether a few test points will be asked about one by one: then nothing of size N³ is done beforehand, and each
                point is solved by iteration.
            on_progress: called as ``on_progress("effects", fraction)``; may raise JobCancelled.

        Raises:
            ValueError: when the surrogate is of another kind, or kernel or labels do not fit it.
        """
        n = surrogate.n_train
        if np.shape(kernel) != (n, n):
            raise ValueError(f"kernel must be [{n}, {n}], the kernel of the fit; got shape {np.shape(kernel)}.")
        if isinstance(surrogate, RidgeSurrogate):
            return cls(
                surrogate, RidgeRemoval.factor(surrogate, kernel), "Exact: the ridge refitted without the point, in closed form."
            )
        if surrogate.kind != "klr":
            raise ValueError(
                f"Removal effects are known for the surrogates klr, ridge and ridge_logits; got {surrogate.kind!r}. "
                "Fit one on the same kernel: fit_surrogate(kernel, labels, kind='klr')."
            )
        system, method = _of_klr(surrogate, kernel, labels, leave_one_out, few, on_progress)
        return cls(surrogate, system, method)

    def of(self, rows: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """How much a mix of scores of each test point would fall without each training point, float64 ``[M, N]``.

        Args:
            rows: ``[M, N]``, the kernel between the test points and the training points, scaled as the kernel of the fit was.
            heads: ``[M, C]``, the mix of scores, e.g. a row of the identity for one class.

        Raises:
            ValueError: when shapes do not fit.
        """
        checked = np.asarray(check_rows(rows, self.surrogate.n_train), dtype=np.float64) / self.surrogate.scale
        mixes = np.asarray(heads, dtype=np.float64)
        if mixes.shape != (len(checked), self.surrogate.n_classes):
            raise ValueError(f"heads must be [{len(checked)}, {self.surrogate.n_classes}]; got shape {mixes.shape}.")
        return self.system.effects(checked, mixes)

    def on_log_odds(self, rows: np.ndarray, logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """The same for the log-odds of a class against the others at each test point, float64 ``[M, N]``.

        Args:
            rows: ``[M, N]``.
            logits: ``[M, C]``, the network's. Which classes are the rivals, the surrogate's own scores say where they are
                log-odds (retraining confirms that by .01 more of LDS); a ridge on labels asks the network's.
            classes: int ``[M]``.
        """
        return self.of(rows, self.log_odds_heads(rows, logits, classes))

    def log_odds_heads(self, rows: np.ndarray, logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """The mixes of scores that :meth:`on_log_odds` asks for, float64 ``[M, C]``."""
        rivals = logits if self.surrogate.kind == "ridge" else self.surrogate.decision_function(rows)
        return log_odds_heads(rivals, classes)


@dataclass(frozen=True, eq=False)
class _ByIteration:
    """A logistic fit that is solved for each test point by conjugate gradients.

    Attributes:
        fit: prepared.
        scale: mean diagonal of the kernel as passed.
        leave_one_out: a whole step instead of the derivative.
    """

    fit: KlrRefit
    scale: float
    leave_one_out: bool

    def effects(self, rows: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """See :class:`Removal`."""
        solve = self.fit.effects if self.leave_one_out else self.fit.first_order
        return solve(rows * self.scale, heads, self.fit.base)


def _of_klr(
    surrogate: Surrogate, kernel: np.ndarray, labels: np.ndarray, leave_one_out: bool, few: bool, on_progress: ProgressFn
) -> tuple[Removal, str]:
    """The equations of a logistic fit, factored or prepared for iteration, and how effects are computed, in a sentence."""
    n, n_scores = surrogate.n_train, surrogate.n_classes
    classes = check_labels(labels, n, n_scores, "removal_klr")
    what = (
        "One Newton step of the fit without the point"
        if leave_one_out
        else "Influence, the first-order effect of a point's weight"
    )
    if few or influence_bytes(n, n_scores) > DIRECT_BYTES:
        fit = KlrRefit(surrogate, kernel, classes)
        held = (
            ""
            if fit.exact_leverage or not leave_one_out
            else "; a point's hold on its own score from the kernel's leading directions"
        )
        return _ByIteration(fit, surrogate.scale, leave_one_out), f"{what}, with the exact curvature, solved by iteration{held}."
    scaled = np.asarray(kernel, dtype=np.float64) / surrogate.scale
    chances = probabilities(scaled @ (surrogate.weights.T * surrogate.scale) + surrogate.intercept)
    targets = one_hot(classes, n_scores)
    lam = float(surrogate.options["lam"])  # type: ignore[arg-type]
    system = KlrInfluence.factor(scaled, chances, targets - chances, lam, on_progress=on_progress)
    return (system.without_points() if leave_one_out else system), f"{what}, with the exact curvature."
