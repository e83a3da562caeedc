"""Mixes of logits that stand for a statement about a prediction. No torch."""

import numpy as np


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
