"""The bar on top of every page that shows what is selected, takes changes back, and leads to the pages that answer what comes next."""

import numpy as np
import streamlit as st

from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import cached, media, selection, state
from ntkviz.ui.address import address_text
from ntkviz.ui.point_card import title_of
from ntkviz.ui.point_picker import example_rows
from ntkviz.ui.selection import Split

#: Points of a chosen set whose pictures or rows are shown.
_SHOWN = 24


@st.fragment(key=selection.BAR)
def selection_bar(study: Study) -> None:
    """Draw the bar."""
    selection.belongs_to(study)
    selection.record()
    data = cached.dataset(study.spec.subject_id)
    point = selection.position(study, "test", state.get("point"))
    example = selection.position(study, "train", state.get("example"))
    sets: dict[Split, np.ndarray] = {split: selection.members(study, split) for split in ("test", "train")}
    empty = point is None and example is None and not any(len(chosen) for chosen in sets.values())
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="selection_bar"):
        st.caption("Selected", width="content", help="What is chosen on any page is chosen on all of them.")
        if empty:
            st.caption("nothing yet: a click on a dot, a row or a picture selects it on all pages.", width="stretch")
        if point is not None:
            _one(study, data, "test", point)
            _close("point", "Let go of it")
        if example is not None:
            st.caption("›", width="content")
            _one(study, data, "train", example)
            _close("example", "Back to the test point")
        for split, chosen in sets.items():
            if len(chosen):
                _several(study, data, split, chosen)
        if not empty:
            st.space("stretch")
            _next(study, point, example, sets)
        if selection.can_undo():
            st.button(
                "Undo",
                key="selection_undo",
                type="tertiary",
                icon=":material/undo:",
                help="Back to what was selected before.",
                on_click=selection.undo,
            )


def _close(name: str, words: str) -> None:
    st.button(
        "", key=f"close_{name}", type="tertiary", icon=":material/close:", help=words, on_click=selection.let_go, args=(name,)
    )


def _one(study: Study, data: Dataset, split: Split, position: int) -> None:
    """A point: a small picture where there is one, and its name."""
    index = study.train_index if split == "train" else study.test_index
    if data.kind == "image":
        shown = media.thumbnail(data, split, int(index[position]), size=28)
        if isinstance(shown, bytes):
            st.image(shown, width=28, alt=media.describe(data, split, int(index[position])))
    st.markdown(title_of(study, data, split, position), width="content")


def _several(study: Study, data: Dataset, split: Split, chosen: np.ndarray) -> None:
    """A set: how many, and who they are on demand."""
    with st.popover(
        selection.count(len(chosen), split), icon=":material/select_all:", key=f"selected_{split}", on_change="rerun"
    ) as box:
        if box.open:
            st.markdown(selection.summary(study, split, chosen))
            index = study.train_index if split == "train" else study.test_index
            ids = index[chosen[:_SHOWN]]
            if len(chosen) > _SHOWN:
                st.caption(f"The first {_SHOWN}:")
            if data.kind == "image":
                st.image(media.strip(data, split, ids, columns=8, size=44), alt=f"The first {len(ids)} chosen points.")
            else:
                y = study.y_train if split == "train" else study.y_test
                names: dict[str, object] = {"label": [study.class_names[c] for c in y[chosen[:_SHOWN]]]}
                example_rows(data, split, ids, names, formats={})
    _close(f"{split}_set", "Let go of them")


def _next(study: Study, point: int | None, example: int | None, sets: dict[Split, np.ndarray]) -> None:
    """Questions that follow from what is selected, each with the page that answers it."""
    with st.popover("Ask next", icon=":material/arrow_forward:", key="ask_next"):
        if point is not None:
            _lead(study, "explain", "Which training examples matter for this prediction?", ":material/account_tree:")
            _lead(study, "what_if", "What would change it?", ":material/edit_note:")
        if point is not None or example is not None:
            _lead(study, "map", "Where does it lie, and who is really near?", ":material/scatter_plot:")
        if example is not None:
            _lead(study, "audit", "Is this training example sound?", ":material/fact_check:")
        if len(sets["test"]):
            words = f"What do the answers to {selection.count(len(sets['test']))} rest on?"
            _lead(study, "behaviour", words, ":material/groups:", behaviour_kind=selection.KIND)
        if len(sets["train"]):
            words = f"What if {selection.count(len(sets['train']), 'train')} had not been there?"
            _lead(study, "what_if", words, ":material/delete_sweep:")


def _lead(study: Study, page: str, words: str, icon: str, **query: str) -> None:
    kept = {name: address_text(state.get(name)) for name in selection.NAMES}
    st.page_link(
        f"pages/{page}.py",
        label=words,
        icon=icon,
        query_params={"study": study.key, **{name: text for name, text in kept.items() if text}, **query},
    )
