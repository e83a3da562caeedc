"""The attributions that there are: what pickers, help texts, the docs table and the tests read."""

from ntkviz.explain import share, similarity
from ntkviz.types import AttributionInfo

_ROWS = (share.INFO, similarity.INFO)


def attributions() -> dict[str, AttributionInfo]:
    """The registry of attributions: key -> row. Kinds answer different questions; ``question`` says which."""
    return {info.key: info for info in _ROWS}
