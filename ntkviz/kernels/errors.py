"""How far an approximate kernel is from the exact one, predicted and measured."""

import numpy as np

from ntkviz.gradients.engine import SketchError


def compared(exact: np.ndarray, approximate: np.ndarray, variance: np.ndarray) -> SketchError:
    """Compare on a few points.

    Args:
        exact: raw kernel ``[n, n]``.
        approximate: the same, approximate.
        variance: ``[n, n]``, of the approximate cosine similarities.

    Returns:
        Relative errors of the cosine kernels in the Frobenius norm, off the diagonal; NaN when there is nothing to compare.
    """
    n = len(exact)
    off = ~np.eye(n, dtype=bool)
    scale, own = (np.sqrt(np.outer(np.diag(k), np.diag(k))) for k in (exact.astype(np.float64), approximate.astype(np.float64)))
    if n < 2 or not (scale > 0).all() or not (own > 0).all():
        return SketchError(float("nan"), float("nan"), n)
    cosine = exact / scale
    strength = np.sqrt((cosine[off] ** 2).mean())
    measured = np.sqrt(((approximate / own - cosine)[off] ** 2).mean())
    return SketchError(float(np.sqrt(variance[off].mean()) / strength), float(measured / strength), n)
