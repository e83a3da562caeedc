"""The audits that there are: what pickers, help texts, the docs table and the tests read."""

from ntkviz.audit import backdoor, duplicates, mislabels, prototypes
from ntkviz.types import AuditInfo

_ROWS = (*mislabels.INFOS, backdoor.INFO, duplicates.INFO, *prototypes.INFOS)


def audits() -> dict[str, AuditInfo]:
    """The registry of audits: key -> row, in the order of the page."""
    return {info.key: info for info in _ROWS}
