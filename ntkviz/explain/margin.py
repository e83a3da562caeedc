"""How clearly a score matrix names a class: its log-odds, and its gap to the best other class.

One score f (C = 1) stands for two classes with the scores 0 and f. Scores of ``ridge`` are no log-odds; read as such, they still order
the points, which is all that is asked of them here.
"""

import numpy as np
from scipy.special import expit, logsumexp, softmax


def named_class(scores: np.ndarray) -> np.ndarray:
    """The class with the largest score, the first of equals, int64 ``[M]``.

    Args:
        scores: ``[M, C]``.
    """
    return (scores[:, 0] > 0).astype(np.int64) if scores.shape[1] == 1 else scores.argmax(axis=1)


def class_chance(scores: np.ndarray) -> np.ndarray:
    """Softmax of the scores, float64 ``[M, K]``; K is C, or 2 when C is 1.

    Args:
        scores: ``[M, C]``.
    """
    if scores.shape[1] == 1:
        chance = expit(scores)
        return np.hstack([1 - chance, chance])
    return np.asarray(softmax(scores, axis=1))


def class_log_odds(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Log-odds of one class a point against all others together, float64 ``[M]``.

    Args:
        scores: ``[M, C]``.
        classes: int ``[M]``.
    """
    own, others = _own_and_others(scores, classes)
    return own - np.asarray(logsumexp(others, axis=1))


def class_gap(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Score of a class minus the best other score, float64 ``[M]``: the class is named as long as this is positive.

    Args:
        scores: ``[M, C]``.
        classes: int ``[M]``.
    """
    own, others = _own_and_others(scores, classes)
    return own - others.max(axis=1)


def _own_and_others(scores: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The score of the class ``[M]``, and all scores with minus infinity in its place ``[M, K]``."""
    values = np.array(scores, dtype=np.float64)
    if values.shape[1] == 1:
        values = np.hstack([np.zeros_like(values), values])
    each, classes = np.arange(len(values)), np.asarray(classes, dtype=np.int64)
    own = values[each, classes]
    values[each, classes] = -np.inf
    return own, values
