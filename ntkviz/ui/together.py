"""Test points that are looked at together: from an area of the map, from rows of its table, or by their ids."""

import re
from collections.abc import Iterable

import numpy as np
import streamlit as st

from ntkviz.studies.study import Study
from ntkviz.ui import state
from ntkviz.ui.keys import address_text
from ntkviz.ui.text import escape

#: The kind of behaviour that is made of these points, on the page Behaviours.
KIND = "chosen points"
#: An id in a text that somebody pasted; longer numbers are ids of nothing.
_ID = re.compile(r"(?<!\d)\d{1,9}(?!\d)")


def positions(study: Study) -> np.ndarray:
    """Positions in the study of the points that are chosen, int64, ascending; those of another subject are let go."""
    if state.get("behaviour_for", study.spec.subject_id) != study.spec.subject_id:
        state.forget("behaviour_points")
    state.put("behaviour_for", study.spec.subject_id)
    return np.flatnonzero(np.isin(study.test_index, np.array(_ids(), dtype=np.int64)))


def choose(ids: Iterable[int]) -> None:
    """Choose these test points and no others.

    Args:
        ids: positions in the subject's whole test split.
    """
    state.put("behaviour_points", sorted(set(map(int, ids))))


def clear() -> None:
    """Choose none."""
    state.forget("behaviour_points")


def of_keys(keys: Iterable[str]) -> list[int]:
    """The ids of the test points among points named "split:id"."""
    return [int(key.removeprefix("test:")) for key in keys if key.startswith("test:")]


def picker(study: Study) -> np.ndarray:
    """The ids to choose from, and a box to paste some: the way without a mouse.

    Returns:
        Positions in the study, ascending.
    """
    positions(study)
    labels = dict(zip(study.test_index.tolist(), study.y_test.tolist(), strict=True))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.sticky(
            st.multiselect,
            "Test points",
            key="behaviour_points",
            default=[],
            options=list(labels),
            format_func=lambda i: f"{i}: {study.class_names[labels[i]]}",
            placeholder="Type or choose ids",
            help="Ids are positions in the whole test split. On the page Map they are chosen by a lasso, a box, or rows of its table.",
        )
        with st.popover("Paste", icon=":material/content_paste:", width="content"):
            _paste(set(labels))
    found, wanted = positions(study), len(set(_ids()))
    if len(found) < wanted:
        st.caption(f"{wanted - len(found)} of the {wanted} chosen test points are not among those of this study.")
    return found


def summary(study: Study, chosen: np.ndarray) -> str:
    """How many points are chosen and of which classes, the most frequent first (Markdown)."""
    labels, counts = np.unique(study.y_test[chosen], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    named = [f"{escape(study.class_names[labels[i]])} ({counts[i]})" for i in order[:4]]
    rest = f", {len(order) - 4} more classes" if len(order) > 4 else ""
    return f"**{count(len(chosen))} chosen**, by label: {', '.join(named)}{rest}."


def count(n: int) -> str:
    """How many test points, in words."""
    return "1 test point" if n == 1 else f"{n:,} test points"


def box(study: Study, chosen: np.ndarray) -> None:
    """What is chosen, the way to its explanation, and the way back to nothing."""
    if not len(chosen):
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(summary(study, chosen), width="content")
        ids = address_text(state.get("behaviour_points"))
        st.page_link(
            "pages/behaviour.py",
            label=f"**Explain {'this test point' if len(chosen) == 1 else f'these {count(len(chosen))} together'}**",
            icon=":material/groups:",
            query_params={"study": study.key, "behaviour_kind": KIND} | ({"behaviour_points": ids} if ids else {}),
        )
        st.button("Clear", key="clear_together", type="tertiary", icon=":material/close:", on_click=clear)


def _ids() -> list[int]:
    """The ids that are remembered, of this study or not."""
    return list(state.get("behaviour_points") or [])


def _paste(known: set[int]) -> None:
    """Ids from a text; it is said which of them the study does not have."""

    def take() -> None:
        ids = {int(word) for word in _ID.findall(st.session_state["paste_points"])}
        if ids & known:
            choose(ids & known)

    text = st.text_area("Ids of test points", key="paste_points", placeholder="12, 57, 301", help="With anything between them.")
    st.button("Choose these", key="paste_choose", on_click=take)
    unknown = sorted({int(word) for word in _ID.findall(text)} - known)
    if unknown:
        shown = ", ".join(map(str, unknown[:8])) + (" …" if len(unknown) > 8 else "")
        st.caption(f"No test points of this study: {shown}.")
