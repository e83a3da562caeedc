"""How well an audit found what was planted, where the truth is known."""

from dataclasses import dataclass

import numpy as np

#: Depths of a ranking that are reported beside the number planted.
DEPTHS = (50, 100, 250)


@dataclass(frozen=True, eq=False)
class Ranking:
    """A ranking of N training points against the truth.

    Attributes:
        n_planted: how many are really wrong.
        auc: area under the ROC curve: how often a planted point stands before another one.
        average_precision: area under the curve of precision over recall.
        precision: float64 ``[N]``, share of planted points among the first 1, 2, ..., N.
        recall: float64 ``[N]``, share of the planted points that are among them.
    """

    n_planted: int
    auc: float
    average_precision: float
    precision: np.ndarray
    recall: np.ndarray

    def precision_at(self, k: int) -> float:
        """Share of planted points among the first k.

        Raises:
            ValueError: when k is not in 1..N.
        """
        if not 1 <= k <= len(self.precision):
            raise ValueError(f"k must lie in 1 to {len(self.precision)}, got {k}.")
        return float(self.precision[k - 1])

    def recall_at(self, k: int) -> float:
        """Share of the planted points among the first k.

        Raises:
            ValueError: when k is not in 1..N.
        """
        if not 1 <= k <= len(self.recall):
            raise ValueError(f"k must lie in 1 to {len(self.recall)}, got {k}.")
        return float(self.recall[k - 1])


@dataclass(frozen=True)
class Found:
    """A set of points against the truth.

    Attributes:
        n_found: how many were named.
        n_planted: how many there are.
        n_both: how many of those named are planted.
    """

    n_found: int
    n_planted: int
    n_both: int

    @property
    def precision(self) -> float:
        """Share of the named that are planted; NaN when none was named."""
        return self.n_both / self.n_found if self.n_found else float("nan")

    @property
    def recall(self) -> float:
        """Share of the planted that were named; NaN when none is planted."""
        return self.n_both / self.n_planted if self.n_planted else float("nan")


def score_ranking(scores: np.ndarray, planted: np.ndarray) -> Ranking:
    """Compare a ranking with what was planted; equal scores are ranked by position for precision and recall.

    Args:
        scores: finite ``[N]``, high is suspicious.
        planted: bool ``[N]``, at least one True and one False.

    Raises:
        ValueError: when lengths differ, a score is not finite, or all points or none are planted.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(planted)
    if values.ndim != 1 or truth.shape != values.shape or truth.dtype != bool:
        raise ValueError(
            f"Expected scores [N] and a True or False a point; got shapes {values.shape} and {truth.shape} of {truth.dtype}."
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} scores are not finite; they cannot be ranked.")
    if truth.all() or not truth.any():
        raise ValueError(f"{int(truth.sum())} of {len(truth)} points are planted; expected some and not all.")
    hits = np.cumsum(truth[np.argsort(-values, kind="stable")])
    return Ranking(
        n_planted=int(truth.sum()),
        auc=float(roc_auc_score(truth, values)),
        average_precision=float(average_precision_score(truth, values)),
        precision=hits / np.arange(1, len(hits) + 1),
        recall=hits / hits[-1],
    )


def score_found(points: np.ndarray, planted: np.ndarray) -> Found:
    """Compare a set of points with what was planted.

    Args:
        points: positions, each once.
        planted: bool ``[N]``.
    """
    truth = np.asarray(planted, dtype=bool)
    named = np.asarray(points, dtype=np.int64)
    return Found(len(named), int(truth.sum()), int(truth[named].sum()))
