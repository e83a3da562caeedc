"""Choosing what to study: a card for each bundled sample and each upload."""

from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.errors import NtkvizError
from ntkviz.studies.store import Store
from ntkviz.studies.subjects import Subject, subject_data, subjects
from ntkviz.types import Dataset
from ntkviz.ui import cached, media, state
from ntkviz.ui.text import escape, percent

_COLUMNS = 4
N_EXAMPLES = 8
_KINDS = {"image": "Images", "text": "Texts", "tabular": "Table"}
_PLANTED = {"label_flips": "Wrong labels planted", "patch_trigger": "Backdoor planted"}
#: Columns of ``meta`` that mark what was planted.
_MARKS = ("flipped", "triggered")


def choose_subject(source: Literal["sample", "upload"]) -> Subject | None:
    """Draw the cards of the samples or of the uploads.

    Args:
        source: which.

    Returns:
        The subject chosen, the first while nothing was chosen; ``None`` when there is none.

    Raises:
        StoreCorrupted: when the card of a sample is damaged.
    """
    found = [subject for subject in subjects(cached.store()) if subject.source == source]
    if not found:
        if source == "sample":
            st.warning(
                "No samples are bundled here: run ntkviz from a checkout of the project that has the folder sample_models."
            )
        return None
    by_id = {subject.id: subject for subject in found}
    chosen = by_id.get(state.get("subject"), found[0])
    for start in range(0, len(found), _COLUMNS):
        for cell, subject in zip(st.columns(_COLUMNS), found[start : start + _COLUMNS], strict=False):
            with cell.container(border=True, height="stretch", gap="small"):
                _card(subject, chosen=subject.id == chosen.id)
    _about(chosen)
    return chosen


def _card(subject: Subject, *, chosen: bool) -> None:
    st.markdown(f"**{escape(subject.title)}**")
    right = "" if subject.accuracy_test is None else f"  \n**{percent(subject.accuracy_test)}** of test points right"
    kind = _KINDS.get(subject.kind, subject.kind)
    st.caption(f"{kind} · {subject.n_classes} classes  \n{subject.n_train:,} training points{right}")
    try:
        _examples(subject)
    except NtkvizError as error:
        st.error(escape(error))
    with st.container(horizontal=True, vertical_alignment="center"):
        if chosen:
            st.badge("Chosen", icon=":material/check:", color="blue")
        else:
            st.button("Choose", key=f"choose_{subject.id}", on_click=partial(_choose, subject.id))
        if subject.planted:
            title = _PLANTED.get(subject.planted.get("kind", ""), "Planted fault")
            st.badge(title, color="orange", help="Put into the data on purpose, and listed: a test of what explanations find.")


def _choose(subject_id: str) -> None:
    state.put("subject", subject_id)
    state.forget("n_train", "n_test")


def _about(subject: Subject) -> None:
    """The card of a subject in words, and its examples at full length."""
    about = st.expander(
        f"About {escape(subject.title)}: data, training, limits", icon=":material/info:", on_change="rerun", key="about"
    )
    if not about.open:
        return
    with about:
        st.caption(f"{subject.n_train:,} training and {subject.n_test:,} test points; {subject.n_parameters:,} parameters.")
        # Cards of samples are ours; those of uploads quote what people wrote as code.
        st.markdown(
            "\n".join(line for line in subject.card.splitlines() if not line.startswith("# ")).replace("\n## ", "\n##### ")
        )
        if subject.kind != "image":
            data = cached.dataset(subject.id)
            st.markdown("##### Examples")
            split, ids = examples(data)
            shown = data.display.train
            if isinstance(shown, pd.DataFrame):
                table = shown.iloc[ids].copy()
                table.insert(0, "label", [data.class_names[label] for label in data.y_train[ids]])
                st.dataframe(table, hide_index=True)
            else:
                media.grid(data, split, ids, [escape(data.class_names[label]) for label in data.y_train[ids]])


def _examples(subject: Subject) -> None:
    shown = _strip(str(cached.store().home), subject.id, subject.content_sha256())
    if isinstance(shown, bytes):
        st.image(shown, width="stretch", alt=f"{N_EXAMPLES} training images of {subject.title}")
    else:
        st.caption("  \n".join(escape(line) for line in shown.splitlines()))


@st.cache_data(max_entries=64, max_size="32 MB", show_spinner="Reading the samples …")
def _strip(home: str, subject_id: str, content: str) -> bytes | str:
    """Eight images in two rows, or two texts or table rows, one a line."""
    data = subject_data(subject_id, home=Store(home).home)
    split, ids = examples(data)
    if data.kind == "image":
        return media.strip(data, split, ids, columns=N_EXAMPLES // 2)
    return "\n".join(f"{_name(data, index)}: {media.describe(data, split, index, limit=46)}" for index in ids[:2])


def _name(data: Dataset, index: int) -> str:
    return data.class_names[int(data.y_train[index])][:12]


def examples(data: Dataset, n: int = N_EXAMPLES) -> tuple[media.Split, list[int]]:
    """A few training points: class after class, every other one with the planted fault where there is one.

    Args:
        data: the whole data.
        n: how many.

    Returns:
        The split and the ids.
    """
    labels = data.y_train
    marked = _marked(data)
    order: list[int] = []
    for turn in range(n):
        label = turn % data.n_classes
        wanted = marked if turn % 2 and marked.any() else ~marked
        pool = np.flatnonzero((labels == label) & wanted)
        pool = pool if len(pool) else np.flatnonzero(wanted)
        free = [int(index) for index in pool if int(index) not in order]
        if free:
            order.append(free[0])
    return "train", order


def _marked(data: Dataset) -> np.ndarray:
    """Which training points have a planted fault, ``[N]``."""
    names = [name for name in _MARKS if data.meta is not None and name in data.meta]
    if not names or data.meta is None:
        return np.zeros(len(data.y_train), dtype=bool)
    return data.meta[names[0]].to_numpy(dtype=bool)[: len(data.y_train)]
