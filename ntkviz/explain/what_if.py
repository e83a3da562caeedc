"""What if the training set were another one? Remove, relabel or duplicate points and see the surrogate's answers at once.

Ridge answers by a closed form that equals a new fit, klr by a Newton step from its optimum (more where one does not suffice). It is the *surrogate* that is edited: how
well it foretells a network that is trained again is a measured question (:mod:`ntkviz.explain.calibration`).

    model = WhatIfModel(surrogate, kernel, y)                # factors once
    model.apply(rows, (remove(12), relabel(40, 3), duplicate(7)))

A list of edits is a tuple; to undo, drop its last entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ntkviz.explain.klr_refit import KlrRefit, counted
from ntkviz.explain.refit import Editable, Refit
from ntkviz.explain.ridge_refit import RidgeRefit
from ntkviz.scores import log_odds_heads, log_odds_of, scores_of
from ntkviz.surrogates.surrogate import Surrogate, check_rows

#: Kinds of surrogates that answer edits.
KINDS = ("klr", "ridge", "ridge_logits")


@dataclass(frozen=True)
class Edit:
    """One change of the training set; made by :func:`remove`, :func:`relabel` and :func:`duplicate`.

    Attributes:
        kind: what is done.
        index: the training point, in 0..N-1.
        label: its new class, for ``relabel``.
        times: copies added, for ``duplicate``.
    """

    kind: Literal["remove", "relabel", "duplicate"]
    index: int
    label: int = -1
    times: int = 1


def remove(index: int) -> Edit:
    """Take a training point out, with any copies of it."""
    return Edit("remove", int(index))


def relabel(index: int, label: int) -> Edit:
    """Give a training point, and any copies of it, another class."""
    return Edit("relabel", int(index), label=int(label))


def duplicate(index: int, times: int = 1) -> Edit:
    """Add ``times`` copies of a training point."""
    return Edit("duplicate", int(index), times=int(times))


@dataclass(frozen=True, eq=False)
class WhatIf:
    """The surrogate's answers before and after edits of its training set.

    Attributes:
        scores_before: float64 ``[M, C]``.
        scores_after: float64 ``[M, C]``.
        predicted_before: int64 ``[M]``.
        predicted_after: int64 ``[M]``.
        margin_before: float64 ``[M]``, log-odds of the class named *before*.
        margin_after: float64 ``[M]``, log-odds of that same class after the edits.
        n_edits: entries of the list of edits.
        n_points: training points that differ from the start.
        method: ``"closed form"``, ``"one Newton step"``, ``"2 Newton steps"``, ...
        condition: condition number of the small system of the edits (ridge; 1 for klr).
        left: share of the gradient that the Newton steps left (klr; 0 for ridge).
        notes: what to know before trusting it.
    """

    scores_before: np.ndarray
    scores_after: np.ndarray
    predicted_before: np.ndarray
    predicted_after: np.ndarray
    margin_before: np.ndarray
    margin_after: np.ndarray
    n_edits: int
    n_points: int
    method: str
    condition: float
    left: float
    notes: tuple[str, ...]

    @property
    def changed(self) -> np.ndarray:
        """The rows whose class changes, int64."""
        return np.flatnonzero(self.predicted_before != self.predicted_after)

    def margins(self, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-odds of given classes before and after, float64 ``[M]`` each.

        Args:
            classes: int ``[M]``, such as the true labels.
        """
        return log_odds_of(self.scores_before, classes), log_odds_of(self.scores_after, classes)


class WhatIfModel:
    """A surrogate that answers edits of its training set. Factors once; each list of edits then takes a fraction of a second.

    Attributes:
        surrogate: the surrogate without edits.
        labels: int64 ``[N]``, its labels.
    """

    def __init__(self, surrogate: Surrogate, kernel: np.ndarray, y: np.ndarray) -> None:
        """Prepare for edits.

        Args:
            surrogate: of a kind in :data:`KINDS`.
            kernel: ``[N, N]``, the very kernel of the fit.
            y: int ``[N]``, the labels of the fit.

        Raises:
            ValueError: when the kind has no closed form or Newton step, or kernel and labels are not those of the fit.
        """
        if surrogate.kind not in KINDS:
            raise ValueError(
                f"A surrogate of kind {surrogate.kind!r} has no quick answer to edits; fit one of: {', '.join(KINDS)}."
            )
        n, labels = surrogate.n_train, np.asarray(y)
        if np.shape(kernel) != (n, n):
            raise ValueError(f"The kernel has shape {np.shape(kernel)}; expected {(n, n)}, the kernel of the fit.")
        if labels.shape != (n,) or labels.dtype.kind not in "iub":
            raise ValueError(f"y must be {n} whole numbers; got shape {labels.shape} of {labels.dtype}.")
        self.surrogate, self.labels = surrogate, labels.astype(np.int64)
        self.n_classes = max(surrogate.n_classes, 2)
        if self.labels.min() < 0 or self.labels.max() >= self.n_classes:
            raise ValueError(f"Labels run from {labels.min()} to {labels.max()}; expected 0 to {self.n_classes - 1}.")
        build = KlrRefit if surrogate.kind == "klr" else RidgeRefit
        self._fit: Editable = build(surrogate, kernel, self.labels)

    def apply(self, rows: np.ndarray, edits: Sequence[Edit], *, steps: int | None = None) -> WhatIf:
        """The answers at some points before and after edits.

        Args:
            rows: ``[M, N]``, the kernel between the points and the training points, scaled as that of the fit.
            edits: in the order in which they are made.
            steps: Newton steps of klr; by default one, and more while they are needed.

        Raises:
            ValueError: when rows or edits do not fit the training set.
        """
        values = check_rows(rows, self.surrogate.n_train)
        refit = self.fit(edits, steps=steps)
        before, after = self.surrogate.decision_function(values), refit.scores(values)
        named = scores_of(before).predicted
        return WhatIf(
            scores_before=before,
            scores_after=after,
            predicted_before=named,
            predicted_after=scores_of(after).predicted,
            margin_before=log_odds_of(before, named),
            margin_after=log_odds_of(after, named),
            n_edits=len(edits),
            n_points=int(((refit.counts != 1) | (refit.labels != self.labels)).sum()),
            method=counted(refit.steps) if self.surrogate.kind == "klr" else "closed form",
            condition=refit.condition,
            left=refit.left,
            notes=(*self._warnings(), *refit.notes),
        )

    def fit(self, edits: Sequence[Edit], *, steps: int | None = None, start: Refit | None = None) -> Refit:
        """The surrogate after edits.

        Args:
            edits: in the order in which they are made.
            steps: Newton steps of klr; by default one, and more while they are needed.
            start: where klr starts; the fit without edits by default.

        Raises:
            ValueError: when the edits do not fit the training set.
        """
        counts, labels = edited(self.labels, edits, self.n_classes)
        if self.surrogate.kind == "ridge_logits" and (labels != self.labels).any():
            raise ValueError(
                "'ridge_logits' imitates the network's logits and never sees a label, so relabelling has no effect; use 'klr' or 'ridge'."
            )
        return self.fit_counts(counts.astype(np.float64), labels, steps=steps, start=start)

    def fit_counts(
        self, counts: np.ndarray, labels: np.ndarray, *, steps: int | None = None, start: Refit | None = None
    ) -> Refit:
        """The surrogate with these counts and labels; counts need not be whole.

        Args:
            counts: float64 ``[N]``, not negative.
            labels: int64 ``[N]``.
            steps: Newton steps of klr; by default one, and more while they are needed.
            start: where klr starts; the fit without edits by default.
        """
        if (counts == 1).all() and (labels == self.labels).all():
            return self._fit.base
        return self._fit.refit(counts, labels, steps=steps, start=start)

    def effects(self, rows: np.ndarray, classes: np.ndarray, *, at: Refit | None = None) -> np.ndarray:
        """By how much the log-odds of a class fall when a training point is removed, float64 ``[M, N]``; positive: it supports the class.

        Exact in the scores for ridge, a Newton step without the point for klr; the log-odds are linearised at the present scores.

        Args:
            rows: ``[M, N]``.
            classes: int ``[M]``, the class of each row that is asked about.
            at: the fit from which points are removed; that without edits by default.
        """
        begin = self._fit.base if at is None else at
        values = check_rows(rows, self.surrogate.n_train)
        return self._fit.effects(values, log_odds_heads(begin.scores(values), classes), begin)

    def score_effects(self, rows: np.ndarray, directions: np.ndarray, *, at: Refit | None = None) -> np.ndarray:
        """By how much ``directions . scores`` falls when a training point is removed, float64 ``[M, N]``.

        Args:
            rows: ``[M, N]``.
            directions: ``[M, C]``, such as 1 for a class and -1 for another.
            at: the fit from which points are removed; that without edits by default.
        """
        return self._fit.effects(check_rows(rows, self.surrogate.n_train), directions, self._fit.base if at is None else at)

    def largest_drops(self, row: np.ndarray, directions: np.ndarray, max_size: int = 200) -> np.ndarray | None:
        """By how much ``directions . scores`` of a row can fall at most when 1, 2, ... points are removed, proven; None for klr.

        Args:
            row: ``[N]``.
            directions: ``[D, C]``.
            max_size: largest number of points, cut to N - 1.

        Returns:
            float64 ``[D, max_size]``.
        """
        if not isinstance(self._fit, RidgeRefit):
            return None
        return self._fit.largest_drops(row, directions, max(1, min(max_size, len(self.labels) - 1)))

    def _warnings(self) -> tuple[str, ...]:
        if self.surrogate.convergence.converged:
            return ()
        return ("The surrogate's fit had not converged, so part of the change is the rest of its way.",)


def what_if(
    surrogate: Surrogate, kernel: np.ndarray, y: np.ndarray, rows: np.ndarray, edits: Sequence[Edit], *, steps: int | None = None
) -> WhatIf:
    """The surrogate's answers before and after edits of its training set. For many lists of edits keep a :class:`WhatIfModel`.

    Args:
        surrogate: of a kind in :data:`KINDS`.
        kernel: ``[N, N]``, the very kernel of the fit.
        y: int ``[N]``, the labels of the fit.
        rows: ``[M, N]``.
        edits: in the order in which they are made.
        steps: Newton steps of klr; by default one, and more while they are needed.
    """
    return WhatIfModel(surrogate, kernel, y).apply(rows, edits, steps=steps)


def edited(labels: np.ndarray, edits: Sequence[Edit], n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each training point counts after edits, and its label, int64 ``[N]`` each.

    Args:
        labels: int ``[N]``.
        edits: in the order in which they are made.
        n_classes: labels must lie below.

    Raises:
        ValueError: when an edit names a point or class that is not there, or a point removed before, or no point is left.
    """
    counts, new = np.ones(len(labels), dtype=np.int64), np.array(labels, dtype=np.int64)
    for edit in edits:
        if not 0 <= edit.index < len(counts):
            raise ValueError(f"There is no training point {edit.index}; expected 0 to {len(counts) - 1}.")
        if counts[edit.index] == 0:
            raise ValueError(f"Training point {edit.index} was removed by an earlier edit; undo that first.")
        if edit.kind == "remove":
            counts[edit.index] = 0
        elif edit.kind == "relabel":
            if not 0 <= edit.label < n_classes:
                raise ValueError(f"There is no class {edit.label}; expected 0 to {n_classes - 1}.")
            new[edit.index] = edit.label
        elif edit.kind == "duplicate":
            if edit.times < 1:
                raise ValueError(f"times must be a whole number above 0; got {edit.times}.")
            counts[edit.index] += edit.times
        else:
            raise ValueError(f"There is no edit {edit.kind!r}; expected 'remove', 'relabel' or 'duplicate'.")
    if not counts.any():
        raise ValueError("These edits remove all training points; leave some.")
    return counts, new
