"""The one selection of all pages: a test point, a training example, and a set of each; whatever page they were chosen on.

Points are named by their ids, so the selection outlives a change of kernel, surrogate or number of points. Each change can be taken back.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import streamlit as st

from ntkviz.studies.study import Study
from ntkviz.ui import state
from ntkviz.ui.clicks import chosen_row, clicked
from ntkviz.ui.text import escape

Split = Literal["train", "test"]
#: What makes the selection up, by name in the pages' memory.
NAMES = ("point", "example", "test_set", "train_set")
#: The kind of behaviour that is made of the test points that are chosen together, on the page Behaviours.
KIND = "chosen points"
#: Key of the fragment that shows it on top of every page.
BAR = "selection_bar"
#: Key of the fragment with the answers on the page Explain.
EXPLAIN = "explain"
#: Changes that can be taken back.
MOST_UNDONE = 50
_PAST, _LAST = "_selection_past", "_selection_last"


def belongs_to(study: Study) -> None:
    """Let go of what was chosen among the points of another subject: its ids mean other points here."""
    subject = study.spec.subject_id
    if state.get("selection_for", subject) != subject:
        state.forget(*NAMES)
        st.session_state[_PAST], st.session_state[_LAST] = [], _now()
    state.put("selection_for", subject)


def look_at(key: str) -> None:
    """Look at one point. A test point starts anew; a training example is looked at on the way from the test point.

    Args:
        key: "test:ID" or "train:ID".
    """
    split, _, number = key.partition(":")
    if split == "test":
        state.put("point", int(number))
        state.forget("example")
    else:
        state.put("example", int(number))


def walk(key: str, *fragments: str) -> None:
    """Look at a point, for callbacks: what shows it is drawn anew.

    Args:
        key: "test:ID" or "train:ID".
        *fragments: keys of the fragments that show it; none draws the whole page.
    """
    look_at(key)
    redraw(*fragments)


def follow_click(chart: str, split: Split | None, *fragments: str) -> None:
    """Look at the point that was clicked on a chart, for ``on_select``.

    Args:
        chart: its key.
        split: that its dots' ids are of; None where they are "test:ID" and "train:ID".
        *fragments: as in :func:`walk`.
    """
    point = clicked(chart)
    if point is not None:
        walk(point if split is None else f"{split}:{point}", *fragments)


def follow_row(table: str, points: np.ndarray, split: Split, *fragments: str) -> None:
    """Look at the point of the row that was chosen in a table, for ``on_select``.

    Args:
        table: its key.
        points: ids, one a row.
        split: of the ids.
        *fragments: as in :func:`walk`.
    """
    row = chosen_row(table)
    if row is not None:
        walk(f"{split}:{points[row]}", *fragments)


def redraw(*fragments: str) -> None:
    """Draw these fragments and the bar, nothing else; without any the whole page. For callbacks only."""
    st.rerun([*fragments, BAR] if fragments else "app")


def focus(study: Study) -> tuple[Split, int] | None:
    """Split and position in the study of the point that is looked at: the training example if there is one, else the test point."""
    found = position(study, "train", state.get("example"))
    if found is not None:
        return "train", found
    found = position(study, "test", state.get("point"))
    return None if found is None else ("test", found)


def position(study: Study, split: Split, point: int | None) -> int | None:
    """Where a point stands in a study; None when it is not in it."""
    index = study.train_index if split == "train" else study.test_index
    found = np.flatnonzero(index == point) if point is not None else []
    return int(found[0]) if len(found) else None


def members(study: Study, split: Split) -> np.ndarray:
    """Positions in the study of the points that are chosen together, int64, ascending.

    Args:
        study: points that it does not have are left out.
        split: "train" or "test".
    """
    belongs_to(study)
    index = study.train_index if split == "train" else study.test_index
    return np.flatnonzero(np.isin(index, np.array(state.get(f"{split}_set") or [], dtype=np.int64)))


def choose(split: Split, ids: Iterable[int]) -> None:
    """Choose these points together, and no others of their split."""
    state.put(f"{split}_set", sorted(set(map(int, ids))) or None)


def choose_keys(keys: Iterable[str]) -> None:
    """Choose the points within an area or of some rows, of both splits.

    Args:
        keys: "test:ID" and "train:ID", mixed.
    """
    found: dict[str, list[int]] = {"test": [], "train": []}
    for key in keys:
        split, _, number = key.partition(":")
        found[split].append(int(number))
    choose("test", found["test"])
    choose("train", found["train"])


def count(n: int, split: Split = "test") -> str:
    """How many points, in words."""
    name = "test point" if split == "test" else "training point"
    return f"1 {name}" if n == 1 else f"{n:,} {name}s"


def summary(study: Study, split: Split, chosen: np.ndarray) -> str:
    """How many points are chosen and of which classes, the most frequent first (Markdown)."""
    y = study.y_test if split == "test" else study.y_train
    labels, counts = np.unique(y[chosen], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    named = [f"{escape(study.class_names[labels[i]])} ({counts[i]})" for i in order[:4]]
    rest = f", {len(order) - 4} more classes" if len(order) > 4 else ""
    return f"**{count(len(chosen), split)} chosen**, by label: {', '.join(named)}{rest}."


def record() -> None:
    """Note a change since the last time, so that it can be taken back; wherever it was made. The bar calls it."""
    past, last = st.session_state.setdefault(_PAST, []), st.session_state.get(_LAST)
    now = _now()
    if last is not None and now != last:
        past.append(last)
        del past[:-MOST_UNDONE]
    st.session_state[_LAST] = now


def can_undo() -> bool:
    """Whether there is a change to take back."""
    return bool(st.session_state.get(_PAST))


def undo() -> None:
    """Take the last change back; for callbacks."""
    past = st.session_state.get(_PAST)
    if not past:
        return
    before = past.pop()
    for name, value in zip(NAMES, before, strict=True):
        state.put(name, list(value) if isinstance(value, tuple) else value)
    st.session_state[_LAST] = before
    redraw()


def let_go(name: str) -> None:
    """Let go of one of :data:`NAMES`, for callbacks of fragments: all pages have to know, so the whole page is drawn anew."""
    state.forget(name)
    redraw()


def toggle(i: int) -> None:
    """Put a training point among those chosen together, or take it out; for callbacks.

    Args:
        i: its id.
    """
    choose("train", set(state.get("train_set") or []) ^ {i})
    redraw()


def _now() -> tuple:
    values = [state.get(name) for name in NAMES]
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)
