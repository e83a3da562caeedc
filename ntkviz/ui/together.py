"""Choosing test points to look at together by their ids: the way without a mouse."""

import re

import numpy as np
import streamlit as st

from ntkviz.studies.study import Study
from ntkviz.ui import selection, state

#: An id in a text that somebody pasted; longer numbers are ids of nothing.
_ID = re.compile(r"(?<!\d)\d{1,9}(?!\d)")


def picker(study: Study) -> np.ndarray:
    """The ids to choose from, and a box to paste some: the way without a mouse.

    Returns:
        Positions in the study, ascending.
    """
    selection.belongs_to(study)
    labels = dict(zip(study.test_index.tolist(), study.y_test.tolist(), strict=True))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.sticky(
            st.multiselect,
            "Test points",
            key="test_set",
            default=[],
            options=list(labels),
            format_func=lambda i: f"{i}: {study.class_names[labels[i]]}",
            placeholder="Type or choose ids",
            help="Ids are positions in the whole test split. On the page Map they are chosen by a lasso, a box, or rows of its table.",
        )
        with st.popover("Paste", icon=":material/content_paste:", width="content"):
            _paste(set(labels))
    found, wanted = selection.members(study, "test"), len(state.get("test_set") or [])
    if len(found) < wanted:
        st.caption(f"{wanted - len(found)} of the {wanted} chosen test points are not among those of this study.")
    return found


def _paste(known: set[int]) -> None:
    """Ids from a text; it is said which of them the study does not have."""

    def take() -> None:
        ids = {int(word) for word in _ID.findall(st.session_state["paste_points"])}
        if ids & known:
            selection.choose("test", ids & known)

    text = st.text_area("Ids of test points", key="paste_points", placeholder="12, 57, 301", help="With anything between them.")
    st.button("Choose these", key="paste_choose", on_click=take)
    unknown = sorted({int(word) for word in _ID.findall(text)} - known)
    if unknown:
        shown = ", ".join(map(str, unknown[:8])) + (" …" if len(unknown) > 8 else "")
        st.caption(f"No test points of this study: {shown}.")
