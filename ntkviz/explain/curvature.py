"""Second derivatives of the logistic loss by the scores: ``diag p - p p^T`` at each point, ``p (1 - p)`` of one logit."""

import numpy as np


def curvatures(chances: np.ndarray) -> np.ndarray:
    """At each point, ``[N, C, C]``.

    Args:
        chances: ``[N, C]``, the model's probabilities; ``[N, 1]`` those of one logit.
    """
    if chances.shape[1] == 1:
        return (chances * (1 - chances))[:, :, None]
    return chances[:, :, None] * (np.eye(chances.shape[1]) - chances[:, None, :])


def curved(chances: np.ndarray, counts: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The same times changes of the scores, ``[N, D, C]``, without the C x C blocks.

    Args:
        chances: ``[N, C]``.
        counts: ``[N]``, weights of the points.
        direction: ``[N, D, C]``.
    """
    p, s = chances[:, None, :], counts[:, None, None]
    if chances.shape[1] == 1:
        return s * p * (1 - p) * direction
    pushed = s * p * direction
    return pushed - p * pushed.sum(axis=2, keepdims=True)
