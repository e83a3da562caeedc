"""Which training points carry a suspected behaviour, such as a trigger that turns every image into one class?

The suspects are test points with a behaviour in common: all predicted as class t though labelled otherwise. The prediction of a ridge on
one-hot labels is a sum over training points, and what a point puts in follows retraining (unlike weight times kernel):

    g_t(x) - mean = sum_i a_i(x),    a_i(x) = [k(x) (K + lam I)^-1]_i (1[y_i = t] - mean)
    score_i = mean of a_i over the suspects - mean of a_i over the clean predictions of t

A training point with a high score carries the suspects and not what class t is otherwise made of. Only points labelled t are ranked: no
other teaches t. Poison stands apart from the rest of its class, so the ranking is split in two where the variance within both parts is
least, and how far apart the two means are, in units of the spread of the rest, says whether there is a group at all. Last, the ridge is
solved again without the group: a backdoor is gone then, and clean predictions stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import cho_solve

from ntkviz.audit.checks import audited, penalty, positions, spread
from ntkviz.kernels.diagnostics import checked_labels
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.surrogate import RidgeSurrogate, check_rows, ridge_factor, ridge_system
from ntkviz.types import AuditInfo

#: Difference of the means over the spread of the rest from which on a group is called separate. Measured (benchmarks/audits.py): planted
#: groups 8.7 to 30.1 (300 to 5,000 training points, 5 to 161 suspects, three kernels, cosine and raw); classes with five suspects or more
#: of networks without a backdoor at most 4.2. The value was set between the two after looking at both.
SEPARATE_FROM = 6.0
#: Fewer suspects than this share their nearest training points by chance.
MIN_SUSPECTS = 5

Verdict = Literal["separate group", "no separate group", "too few suspects"]

INFO = AuditInfo(
    key="backdoor",
    task="backdoor",
    title="Carriers of a behaviour",
    question="Which training points carry these predictions, and not the clean ones of the same class?",
    formula=r"\operatorname*{mean}_{x \in S} a_i(x) - \operatorname*{mean}_{x \in R} a_i(x),\qquad "
    r"a_i(x) = [k(x)^\top (K + \lambda I)^{-1}]_i\,(1[y_i = t] - \bar t)",
    cost="Two Cholesky factorisations, N^3/3 each, then N^2 a point of the group; about 7 core-seconds at N = 5,000 for ten classes.",
    source="The question is the forensics of Engel et al., ICLR 2024 (arXiv 2305.14585); the statistic and the check without the "
    "group are ours, the cut is Otsu's threshold (1979).",
    caveat="It needs test points that show the behaviour: a trigger that no test point carries stays unseen. With few suspects "
    "some poison may be missed. It finds poison that is labelled as the target; a separate group can also be an honest one, such as a rare "
    "way to write a digit: look at it.",
)


@dataclass(frozen=True, eq=False)
class Carriers:
    """The training points of a class by how strongly they carry the suspects.

    Attributes:
        target: t, the class that the suspects are predicted as.
        suspects: int64 ``[S]``, positions of test points with the behaviour.
        clean: int64 ``[R]``, positions of the test points that are rightly predicted as t.
        points: int64 ``[n]``, the training points labelled t, strongest first.
        scores: float64 ``[n]``, in units of the one-hot target.
        size: how many of them, from the front, are the group.
        separation: mean score of the group minus that of the rest, in units of the spread (scaled median absolute deviation) of the
            rest.
        suspects_before: share of the suspects that the ridge predicts as t.
        suspects_after: the same of the ridge without the group.
        clean_before: share of the clean predictions that the ridge gives too; NaN when there are none.
        clean_after: the same without the group.
        notes: what a person should know.
    """

    target: int
    suspects: np.ndarray
    clean: np.ndarray
    points: np.ndarray
    scores: np.ndarray
    size: int
    separation: float
    suspects_before: float
    suspects_after: float
    clean_before: float
    clean_after: float
    notes: tuple[str, ...] = ()

    @property
    def group(self) -> np.ndarray:
        """int64 ``[size]``, the training points before the cut, strongest first."""
        return self.points[: self.size]

    @property
    def verdict(self) -> Verdict:
        """Whether the group stands apart."""
        if len(self.suspects) < MIN_SUSPECTS:
            return "too few suspects"
        return "separate group" if self.separation >= SEPARATE_FROM else "no separate group"


class BackdoorAudit:
    """One factorisation for any number of suspicions. The scale of the kernel does not matter.

    Args:
        kernel: ``[N, N]`` of the training points.
        labels: ``[N]``.
        n_classes: C; None for as many as the labels name.
        lam: ridge penalty, in units of the mean diagonal.

    Raises:
        ValueError: when the kernel, the labels or the penalty cannot be used.
    """

    def __init__(self, kernel: np.ndarray, labels: np.ndarray, *, n_classes: int | None = None, lam: float = 1.0) -> None:
        values, self.labels, self.n_classes = audited(kernel, labels, n_classes)
        fitted = fit_surrogate(values, self.labels, kind="ridge", lam=penalty(lam), n_classes=self.n_classes)
        if not isinstance(fitted, RidgeSurrogate):
            raise TypeError(f"A ridge was fitted and a {type(fitted).__name__} came back; it cannot leave points out.")
        self._ridge = fitted
        self._factor = ridge_factor(ridge_system(values, fitted.scale, lam))

    def of(self, rows: np.ndarray, suspects: np.ndarray, clean: np.ndarray, target: int) -> Carriers:
        """The training points that carry some predictions of one class.

        Args:
            rows: ``[M, N]``, test points against the training points, scaled as the kernel.
            suspects: positions of the test points with the behaviour, at least one.
            clean: positions of test points to compare with, rightly predicted as the target; may be empty.
            target: the class that the suspects are predicted as.

        Raises:
            ValueError: when positions overlap or are out of range, there is no suspect, or no training point has the class.
        """
        block = check_rows(rows, len(self.labels))
        odd, usual = positions(suspects, len(block), "suspects"), positions(clean, len(block), "clean test points")
        if not len(odd):
            raise ValueError("There is no suspect. Name at least one test point that shows the behaviour.")
        if len(np.intersect1d(odd, usual)):
            raise ValueError("A test point is both a suspect and clean; give it once.")
        members = np.flatnonzero(self.labels == target)
        if not len(members):
            raise ValueError(f"No training point is labelled {target}, so none can carry predictions of that class.")
        notes = (
            ()
            if len(usual)
            else ("No test point is rightly predicted as this class, so there is nothing to compare the suspects with.",)
        )
        contrast = block[odd].mean(axis=0, dtype=np.float64)
        if len(usual):
            contrast = contrast - block[usual].mean(axis=0, dtype=np.float64)
        solved = cho_solve((self._factor, True), contrast / self._ridge.scale, check_finite=False)
        scores = solved[members] * (1 - len(members) / len(self.labels))
        order = np.argsort(-scores, kind="stable")
        size, separation = _cut(scores[order])
        group = members[order[:size]]
        before, after = self._ridge, self._ridge.without(group)
        kept = [_share(block[some], surrogate, target) for some in (odd, usual) for surrogate in (before, after)]  # type: ignore[arg-type]
        return Carriers(int(target), odd, usual, members[order], scores[order], size, separation, *kept, notes=notes)

    def every_class(self, rows: np.ndarray, test_labels: np.ndarray, predicted: np.ndarray) -> tuple[Carriers, ...]:
        """Blind: for each class the test points that are wrongly predicted as it are the suspects.

        Args:
            rows: ``[M, N]``.
            test_labels: ``[M]``.
            predicted: ``[M]``, the classes that the network names.

        Returns:
            One result a class with a suspect and a training point, most separate first; classes with too few suspects last.

        Raises:
            ValueError: when labels or predictions do not fit the rows.
        """
        truth, _ = checked_labels(test_labels, len(rows), self.n_classes)
        said, _ = checked_labels(predicted, len(rows), self.n_classes)
        found = []
        for target in np.unique(said[said != truth]).tolist():
            if (self.labels == target).any():
                here = said == target
                found.append(
                    self.of(rows, np.flatnonzero(here & (truth != target)), np.flatnonzero(here & (truth == target)), target)
                )
        return tuple(sorted(found, key=lambda one: (one.verdict == "too few suspects", -one.separation)))


def suspects_among(
    points: Sequence[int] | np.ndarray, test_labels: np.ndarray, predicted: np.ndarray
) -> tuple[int, np.ndarray, np.ndarray]:
    """Of test points with something in common: the class that most are wrongly predicted as, those that are, and clean ones.

    Args:
        points: positions of the test points, for instance those with a trigger.
        test_labels: ``[M]``.
        predicted: ``[M]``, the classes that the network names.

    Returns:
        The class, the suspects, and the other test points rightly predicted as that class, for :meth:`BackdoorAudit.of`.

    Raises:
        ValueError: when none of the points is wrongly predicted.
    """
    truth, said = np.asarray(test_labels), np.asarray(predicted)
    chosen = positions(np.asarray(points), len(truth), "test points")
    wrong = chosen[said[chosen] != truth[chosen]]
    if not len(wrong):
        raise ValueError(f"The network is right on all {len(chosen)} test points, so they show no misbehaviour to explain.")
    classes, counts = np.unique(said[wrong], return_counts=True)
    target = int(classes[counts.argmax()])
    clean = np.setdiff1d(np.flatnonzero((said == target) & (truth == target)), chosen)
    return target, wrong[said[wrong] == target], clean


def _cut(scores: np.ndarray) -> tuple[int, float]:
    """Size of the group at the front of the descending scores, and how far it stands apart.

    The split into two parts with the least variance within them (Otsu's threshold, two-means on a line). The group is at most half of
    the class: beyond that it would be what the class is made of.
    """
    n = len(scores)
    if n < 2:
        return n, 0.0
    sizes = np.arange(1, n)
    front = np.cumsum(scores)[:-1]
    apart = front / sizes - (scores.sum() - front) / (n - sizes)  # difference of the means at each split
    between = (sizes * (n - sizes) * apart**2)[: max(1, n // 2)]
    size = int(between.argmax()) + 1
    width = spread(scores[size:])
    if width > 0:
        return size, float(apart[size - 1]) / width
    return size, float("inf") if n - size > 1 and apart[size - 1] > 0 else 0.0


def _share(rows: np.ndarray, surrogate: RidgeSurrogate, target: int) -> float:
    """Share of test points that a ridge predicts as the target; NaN without points."""
    return float((surrogate.decision_function(rows).argmax(axis=1) == target).mean()) if len(rows) else float("nan")
