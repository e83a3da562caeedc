"""What to do about the training set: a list of actions that a person decided on, to export or to try out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

import numpy as np
import pandas as pd

from ntkviz.audit.duplicates import Group

Action = Literal["remove", "relabel", "inspect"]
#: When audits ask for different things of one point the first of these is done.
PRECEDENCE: tuple[Action, ...] = ("remove", "relabel", "inspect")


class Actions(TypedDict):
    """What to change in the training set, by position.

    Attributes:
        relabel: position -> new label.
        remove: positions.
    """

    relabel: dict[int, int]
    remove: list[int]


@dataclass(frozen=True)
class Fix:
    """One action on one training point.

    Attributes:
        point: its position among the N training points.
        action: what to do.
        label: the new label, for "relabel" only.
        reason: why, in words.
        score: what the audit gave it.
        audit: key of the audit.
    """

    point: int
    action: Action
    reason: str
    score: float
    audit: str
    label: int | None = None

    def __post_init__(self) -> None:
        """Check that the action is complete.

        Raises:
            ValueError: when the action is not known, or a label is missing or too much.
        """
        if self.action not in PRECEDENCE:
            raise ValueError(f"There is no action {self.action!r}; choose one of: {', '.join(PRECEDENCE)}.")
        if (self.action == "relabel") != (self.label is not None):
            raise ValueError(f"A label belongs to 'relabel' and to nothing else; got {self.action!r} with {self.label!r}.")


def merged(fixes: Iterable[Fix]) -> tuple[Fix, ...]:
    """One fix a point, by position: the action that comes first in :data:`PRECEDENCE`, the reasons of all.

    Of two relabellings of one point the later one counts.

    Args:
        fixes: in the order in which they were decided.
    """
    found: dict[int, Fix] = {}
    for fix in fixes:
        known = found.get(fix.point)
        if known is None:
            found[fix.point] = fix
            continue
        first = known if PRECEDENCE.index(known.action) < PRECEDENCE.index(fix.action) else fix
        reasons = known.reason if fix.reason in known.reason else f"{known.reason}; {fix.reason}"
        found[fix.point] = replace(first, reason=reasons)
    return tuple(found[point] for point in sorted(found))


def actions(fixes: Iterable[Fix]) -> Actions:
    """What to change, for a what-if: ``{"relabel": {position: label}, "remove": [positions]}``. Points to inspect are left alone.

    Args:
        fixes: any, several a point allowed.
    """
    decided = merged(fixes)
    return {
        "relabel": {fix.point: fix.label for fix in decided if fix.label is not None},
        "remove": [fix.point for fix in decided if fix.action == "remove"],
    }


def table(
    fixes: Iterable[Fix], *, ids: Sequence[int] | np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> pd.DataFrame:
    """The list as a table, a row a training point, by id.

    Args:
        fixes: any, several a point allowed.
        ids: ``[N]``, ids of the training points in the full data set.
        labels: ``[N]``.
        class_names: C names.

    Raises:
        ValueError: when a point or a new label is not among those there are.
    """
    rows = []
    for fix in merged(fixes):
        if not 0 <= fix.point < len(ids):
            raise ValueError(f"There is no training point at position {fix.point}; expected 0 to {len(ids) - 1}.")
        if fix.label is not None and not 0 <= fix.label < len(class_names):
            raise ValueError(f"There is no class {fix.label} to relabel to; expected 0 to {len(class_names) - 1}.")
        rows.append(
            {
                "training point": int(ids[fix.point]),
                "action": fix.action,
                "label": class_names[int(labels[fix.point])],
                "new label": "" if fix.label is None else class_names[fix.label],
                "reason": fix.reason,
                "score": fix.score,
                "audit": fix.audit,
            }
        )
    columns = ["training point", "action", "label", "new label", "reason", "score", "audit"]
    return pd.DataFrame(rows, columns=columns).sort_values("training point", ignore_index=True)


def copies(group: Group) -> tuple[int, ...]:
    """The points of a group of duplicates that could go: all but the first, or none when their labels differ.

    Which label is right cannot be read off the kernel, so a conflict is for a person to settle.

    Args:
        group: of :func:`ntkviz.audit.duplicates.near_duplicates`.
    """
    return () if group.conflicting else group.points[1:]
