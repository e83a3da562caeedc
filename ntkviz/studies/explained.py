"""One prediction as a sum over training points: the numbers behind the page Explain and its report. NumPy only."""

from dataclasses import dataclass

import numpy as np

from ntkviz.explain.share import contrast, share_of
from ntkviz.studies.study import Study


@dataclass(frozen=True)
class Explanation:
    """The score of one class (or of one class against another) of one test point, split over the training points.

    Attributes:
        target: what is explained, in words: "7", or "7 rather than 1".
        label: the class that is explained.
        against: the class that it is compared with, or None.
        shares: float64 ``[N]``; they and the intercept add up to ``score``.
        intercept: the surrogate's.
        score: the surrogate's score, from its own decision function and not from the shares.
        network: the network's logit, minus the mean over the classes (softmax does not see it); for two classes compared
            the difference of their logits; for a network with one logit that logit.
        similarity: float ``[N]``, the kernel between the test point and each training point.
        weight: float64 ``[N]``, the surrogate's.
    """

    target: str
    label: int
    against: int | None
    shares: np.ndarray
    intercept: float
    score: float
    network: float
    similarity: np.ndarray
    weight: np.ndarray

    @property
    def gap(self) -> float:
        """Sum of the shares plus the intercept minus the score: rounding, or something is wrong."""
        return float(self.shares.sum()) + self.intercept - self.score


def explanation(study: Study, m: int, label: int, against: int | None = None) -> Explanation:
    """Split one score of one test point over the training points.

    Args:
        study: the study.
        m: position of the test point in the study.
        label: the class to explain.
        against: a class to compare it with, or None. A network with one logit already compares its two classes.

    Raises:
        ValueError: when both classes are the same.
    """
    if label == against:
        raise ValueError(f"A class cannot be compared with itself; got {label} twice. Choose another class to compare with.")
    names, row = study.class_names, np.asarray(study.rows[m])
    fit = study.surrogate
    logits, scores = np.asarray(study.logits_test[m], dtype=np.float64), fit.decision_function(row[None])[0]
    if fit.n_classes == 1:
        # One logit speaks for class 1; turned round it speaks for class 0.
        sign = 1.0 if label == 1 else -1.0
        parts = (sign * fit.weights[0], sign * fit.intercept[0], sign * scores[0], sign * logits[0])
        shares, against = sign * share_of(fit, row)[0], None
    elif against is None:
        parts = (fit.weights[label], fit.intercept[label], scores[label], logits[label] - logits.mean())
        shares = share_of(fit, row, [label])[0]
    else:
        parts = tuple(values[label] - values[against] for values in (fit.weights, fit.intercept, scores, logits))
        shares = contrast(share_of(fit, row), label, against)
    weight, intercept, score, network = parts
    versus = "" if against is None else f" rather than {names[against]}"
    return Explanation(
        target=f"{names[label]}{versus}",
        label=label,
        against=against,
        shares=shares,
        intercept=float(intercept),
        score=float(score),
        network=float(network),
        similarity=row,
        weight=weight,
    )


def runner_up(study: Study, m: int, label: int) -> int | None:
    """The class that the network finds likeliest beside ``label``; None for a network with one logit."""
    logits = np.array(study.logits_test[m], dtype=np.float64)
    if len(logits) < 2:
        return None
    logits[label] = -np.inf
    return int(logits.argmax())
