"""What a surrogate becomes when some of its training points count otherwise or have another label."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ntkviz.surrogates.surrogate import ROWS_AT_ONCE, DistilledSurrogate, Surrogate


@dataclass(frozen=True, eq=False)
class Refit:
    """A surrogate after edits of its training set.

    Attributes:
        weights: float64 ``[C, N]``, for the kernel as it was passed; 0 for points that were removed, but for what a distilled fit keeps of the
            network's answers.
        intercept: float64 ``[C]``.
        counts: float64 ``[N]``, how often each training point counts.
        labels: int64 ``[N]``, the labels it was fitted to.
        condition: condition number of the small system that the edits brought in; 1 where there is none.
        left: share of the gradient that is left after the Newton steps, 0 for closed forms: how far the result may be from a full fit.
        steps: Newton steps made; 0 for closed forms.
        notes: what to know before trusting it.
    """

    weights: np.ndarray
    intercept: np.ndarray
    counts: np.ndarray
    labels: np.ndarray
    condition: float = 1.0
    left: float = 0.0
    steps: int = 0
    notes: tuple[str, ...] = ()

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """The scores, float64 ``[M, C]``.

        Args:
            rows: ``[M, N]``, scaled as the kernel of the fit was.
        """
        found = np.empty((len(rows), len(self.intercept)))
        for start in range(0, len(rows), ROWS_AT_ONCE):
            block = np.asarray(rows[start : start + ROWS_AT_ONCE], dtype=np.float64)
            found[start : start + ROWS_AT_ONCE] = block @ self.weights.T
        return found + self.intercept


class Editable(Protocol):
    """A fit that answers edits of its training set without being fitted anew."""

    base: Refit

    def refit(self, counts: np.ndarray, labels: np.ndarray, *, steps: int | None = None, start: Refit | None = None) -> Refit:
        """The fit with these counts and labels."""
        ...

    def effects(self, rows: np.ndarray, directions: np.ndarray, at: Refit) -> np.ndarray:
        """By how much each direction of each row's scores falls when a training point is removed, ``[M, N]``."""
        ...


def one_hot(labels: np.ndarray, columns: np.ndarray, n_scores: int) -> np.ndarray:
    """Labels as targets of a fit, float64 ``[N, R]``: one-hot over the classes in ``columns``; for one logit the label itself.

    Args:
        labels: ``[N]``.
        columns: classes, ``[R]``.
        n_scores: C of the surrogate.
    """
    if n_scores == 1:
        return np.asarray(labels, dtype=np.float64)[:, None]
    return (np.asarray(labels)[:, None] == columns).astype(np.float64)


def network_pull(surrogate: Surrogate, columns: np.ndarray) -> np.ndarray:
    """What pulls at the scores of a logistic fit beside the labels, float64 ``[N, R]``: the correction of a distilled one, else zeros.

    Args:
        surrogate: of kind ``klr``.
        columns: classes that still have a training point, ``[R]``.
    """
    if not isinstance(surrogate, DistilledSurrogate):
        return np.zeros((surrogate.n_train, len(columns)))
    correction = surrogate.correction[:, columns]
    if len(columns) < surrogate.n_classes:  # without a class that is gone the rows need not sum to 0, and softmax asks for it
        correction = correction - correction.mean(axis=1, keepdims=True)
    return correction
