"""``attribute``: test points in terms of training points, by any kind of the registry."""

import inspect
from collections.abc import Callable

import numpy as np

from ntkviz.explain.additive_removal import additive_removal
from ntkviz.explain.grad_cos import grad_cos
from ntkviz.explain.inputs import inputs
from ntkviz.explain.registry import attributions
from ntkviz.explain.removal_klr import removal_klr
from ntkviz.explain.removal_ridge import removal_ridge
from ntkviz.explain.same_class import same_class
from ntkviz.explain.share import shares
from ntkviz.explain.similarity import similarities
from ntkviz.explain.tracin import tracin
from ntkviz.explain.trak import trak
from ntkviz.surrogates.surrogate import Surrogate

_KINDS: dict[str, Callable[..., np.ndarray]] = {
    "removal_klr": removal_klr,
    "removal_ridge": removal_ridge,
    "additive_removal": additive_removal,
    "share": shares,
    "kernel": similarities,
    "trak": trak,
    "tracin": tracin,
    "grad_cos": grad_cos,
    "same_class": same_class,
    "inputs": inputs,
}


def attribute(surrogate: Surrogate, rows: np.ndarray, *, kind: str = "share", **options: object) -> np.ndarray:
    """What each training point has to do with each score of each test point, float64 ``[M, C, N]``.

    ``share``: weight times kernel; summed over the N training points, plus the intercept, it is the decision function. It is not what
    happens when a point is removed: that is what ``removal_klr`` and ``removal_ridge`` foretell. Everywhere a positive entry [m, c, i]
    means that training point i supports class c at test point m.

    Args:
        surrogate: the kernel machine.
        rows: ``[M, N]``, the kernel between the test points and the training points, scaled as the kernel of the fit was; for
            ``trak``, ``tracin`` and ``grad_cos`` ``[M, C, N]`` of the kernel ``margin``.
        kind: key of :func:`ntkviz.explain.registry.attributions`.
        options: what the kind needs (``attributions()[kind].needs``: the kernel ``[N, N]`` of the fit, the labels ``[N]``) and its options.

    Returns:
        float64 ``[M, C, N]``: M C N 8 bytes. For one statement a test point :class:`ntkviz.explain.effects.RemovalEffects` needs C
        times less, for the shares of one test point ``share_of``.

    Raises:
        ValueError: when the kind or an option is not known, something that it needs is missing, or the rows do not fit the surrogate.
        BudgetExceeded: when the array would be too large.
    """
    known = attributions()
    if kind not in known:
        raise ValueError(f"There is no attribution {kind!r}; choose one of: {', '.join(known)}.")
    taken = [p.name for p in inspect.signature(_KINDS[kind]).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for name in options:
        if name not in taken:
            raise ValueError(f"The attribution {kind!r} has no option {name!r}; it takes {', '.join(taken) or 'none'}.")
    return _KINDS[kind](surrogate, rows, **options)
