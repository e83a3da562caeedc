"""Attributions of one statement: the log-odds of a class against the others."""

import numpy as np

from ntkviz.explain.registry import attributions
from ntkviz.scores import log_odds_heads


def contrast_log_odds(attribution: np.ndarray, logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """``a^y - sum_{c != y} q_c a^c`` for the class y of each test point, float64 ``[M, N]``; q is the softmax of the other classes' logits.

    Args:
        attribution: ``[M, C, N]``, of each class's score.
        logits: ``[M, C]``, the network's.
        classes: int ``[M]``, y.

    Raises:
        ValueError: when shapes do not fit.
    """
    values, scores = np.asarray(attribution), np.asarray(logits)
    if values.ndim != 3 or scores.shape != values.shape[:2] or np.shape(classes) != (len(values),):
        raise ValueError(
            f"Expected attribution [M, C, N], logits [M, C] and classes [M]; got {values.shape}, {scores.shape} and {np.shape(classes)}."
        )
    return np.einsum("mc,mcn->mn", log_odds_heads(scores, classes), values)


def on_log_odds(attribution: np.ndarray, kind: str, logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """What an attribution of any kind says of the log-odds of a class, float64 ``[M, N]``.

    Args:
        attribution: ``[M, C, N]``.
        kind: key of the registry; kinds that speak of log-odds already are read at the class.
        logits: ``[M, C]``, the network's.
        classes: int ``[M]``.

    Raises:
        ValueError: when shapes do not fit.
    """
    values = np.asarray(attribution)
    if attributions()[kind].unit == "score":
        return contrast_log_odds(values, logits, classes)
    labels = np.asarray(classes)
    if values.shape[1] == 1:
        return (2.0 * labels[:, None] - 1.0) * values[:, 0]
    return values[np.arange(len(values)), labels]
