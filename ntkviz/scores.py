"""Logits seen as log-odds, predictions and probabilities, float64 throughout.

Why log-odds and not probabilities: a confident network's float32 probabilities are exactly 1 for most points, and a rank statistic of
ties says nothing. Log-odds order the points as probabilities do and do not saturate. One logit f (C = 1) is a network of two classes
with log-odds -f and f; everything below then has two columns.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_expit, log_softmax, logsumexp


@dataclass(frozen=True, eq=False)
class Scores:
    """What a classifier says of M points.

    Attributes:
        log_odds: float64 ``[M, K]``, of each class against all others together; K is C, or 2 when C is 1.
        log_probability: float64 ``[M, K]``.
        predicted: int64 ``[M]``, the class with the largest score, the first of equals.
    """

    log_odds: np.ndarray
    log_probability: np.ndarray
    predicted: np.ndarray


def scores_of(logits: np.ndarray) -> Scores:
    """Read logits (or any scores that are to be read as logits).

    Args:
        logits: ``[M, C]``, finite.
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.shape[1] == 1:
        both = np.hstack([-values, values])
        return Scores(both, log_expit(both), (values[:, 0] > 0).astype(np.int64))
    return Scores(log_odds(values), log_softmax(values, axis=1), values.argmax(axis=1))


def log_odds(logits: np.ndarray) -> np.ndarray:
    """``f^c - logsumexp_{k != c} f^k`` for each point and class, float64 ``[M, C]``, C >= 2; without cancellation.

    Args:
        logits: ``[M, C]``.
    """
    values = np.asarray(logits, dtype=np.float64)
    top = values.argmax(axis=1)[:, None]
    lead = np.take_along_axis(values, top, axis=1)
    shifted = np.exp(values - lead)
    np.put_along_axis(shifted, top, 0.0, axis=1)
    # Beside the top class the rest keeps the top's 1, so nothing cancels; the top's own rest is summed anew.
    others = 1.0 + np.maximum(shifted.sum(axis=1, keepdims=True) - shifted, 0.0)
    result = values - lead - np.log(others)
    rest = values.copy()
    np.put_along_axis(rest, top, -np.inf, axis=1)
    np.put_along_axis(result, top, lead - np.asarray(logsumexp(rest, axis=1, keepdims=True)), axis=1)
    return result


def log_odds_of(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Log-odds of one class a point against all others together, float64 ``[M]``.

    Args:
        logits: ``[M, C]``.
        classes: int ``[M]``; 0 and 1 when C is 1.
    """
    return scores_of(logits).log_odds[np.arange(len(logits)), np.asarray(classes, dtype=np.int64)]


def log_odds_heads(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Derivative of a class's log-odds by the logits, float64 ``[n, C]``: 1 for the class, -q_c for the others, q the softmax of these.

    A sum of logits' changes with these weights is, to first order, the change of ``f_y - log sum_{c != y} exp f_c``. Being linear, it
    contrasts a class with the rivals that it has at this point, the nearest one above all.

    Args:
        logits: ``[n, C]``; for one logit (C = 1) the classes are 0 and 1, with log-odds -f and f.
        classes: int ``[n]``.
    """
    values, labels = np.asarray(logits, dtype=np.float64), np.asarray(classes)
    if values.shape[1] == 1:
        return 2.0 * labels[:, None] - 1.0
    own = np.arange(len(values)), labels
    others = values.copy()
    others[own] = -np.inf
    shares = np.exp(others - others.max(axis=1, keepdims=True))
    heads = -shares / shares.sum(axis=1, keepdims=True)
    heads[own] = 1.0
    return heads


def check_logits(logits: np.ndarray, name: str) -> np.ndarray:
    """The logits, float64 ``[M, C]``.

    Args:
        logits: ``[M, C]``.
        name: whose they are, for the message.

    Raises:
        ValueError: when they are no ``[M, C]`` matrix of finite numbers, or there are none.
    """
    values = np.asarray(logits)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "fiub":
        raise ValueError(f"The {name}'s logits must be numbers [M, C]; got shape {values.shape} of {values.dtype}.")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} of the {name}'s logits are not finite; they cannot be compared.")
    return values.astype(np.float64)


def check_labels(labels: np.ndarray, n_points: int, n_logits: int) -> np.ndarray:
    """The labels, int64 ``[M]``.

    Args:
        labels: ``[M]`` in 0..C-1; 0 and 1 when C is 1.
        n_points: M.
        n_logits: C.

    Raises:
        ValueError: when they are no whole numbers, too many or too few, or out of range.
    """
    values = np.asarray(labels)
    if values.ndim != 1 or values.dtype.kind not in "iub":
        raise ValueError(f"Labels must be whole numbers [M]; got shape {values.shape} of {values.dtype}.")
    if len(values) != n_points:
        raise ValueError(f"There are {len(values)} labels for {n_points} points; expected equal counts.")
    values = values.astype(np.int64)
    top = max(n_logits, 2) - 1
    if values.min() < 0 or values.max() > top:
        raise ValueError(f"Labels run from {values.min()} to {values.max()}; expected 0 to {top} for {n_logits} logits.")
    return values
