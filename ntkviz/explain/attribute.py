"""``attribute``: test points in terms of training points, by any kind of the registry."""

from collections.abc import Callable

import numpy as np

from ntkviz.explain.registry import attributions
from ntkviz.explain.share import shares
from ntkviz.explain.similarity import similarities
from ntkviz.surrogates.surrogate import Surrogate

_KINDS: dict[str, Callable[[Surrogate, np.ndarray], np.ndarray]] = {"share": shares, "kernel": similarities}


def attribute(surrogate: Surrogate, rows: np.ndarray, *, kind: str = "share", **options: object) -> np.ndarray:
    """What each training point has to do with each score of each test point, float64 ``[M, C, N]``.

    ``share``: weight times kernel; summed over the N training points, plus the intercept, it is the decision function. It is not what
    happens when a point is removed. ``kernel``: the similarity alone, the same for every class.

    Args:
        surrogate: the kernel machine.
        rows: ``[M, N]``, the kernel between the test points and the training points, scaled as the kernel of the fit was.
        kind: key of :func:`ntkviz.explain.registry.attributions`.
        options: options of the kind; ``share`` and ``kernel`` have none.

    Returns:
        float64 ``[M, C, N]``: M C N 8 bytes. For one test point of many, ``share_of`` needs M times less.

    Raises:
        ValueError: when the kind or an option is not known, or the rows do not fit the surrogate.
    """
    known = attributions()
    if kind not in known:
        raise ValueError(f"There is no attribution {kind!r}; choose one of: {', '.join(known)}.")
    if options:
        raise ValueError(f"The attribution {kind!r} has no option {sorted(options)[0]!r}; it has none.")
    return _KINDS[kind](surrogate, rows)
