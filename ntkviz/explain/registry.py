"""The attributions that there are: what pickers, help texts, the docs table and the tests read."""

from ntkviz.explain import (
    additive_removal,
    grad_cos,
    inputs,
    removal_klr,
    removal_ridge,
    same_class,
    share,
    similarity,
    tracin,
    trak,
)
from ntkviz.types import AttributionInfo

_ROWS = (
    removal_klr.INFO,
    removal_ridge.INFO,
    additive_removal.INFO,
    share.INFO,
    similarity.INFO,
    trak.INFO,
    tracin.INFO,
    grad_cos.INFO,
    same_class.INFO,
    inputs.INFO,
)


def attributions() -> dict[str, AttributionInfo]:
    """The registry of attributions: key -> row. Kinds answer different questions; ``question`` says which."""
    return {info.key: info for info in _ROWS}
