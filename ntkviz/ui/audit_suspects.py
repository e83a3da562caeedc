"""Which test points the audit for a backdoor asks about: every class in turn, one confusion, those that the data mark, or anybody's choice."""

import numpy as np
import streamlit as st

from ntkviz.audit.backdoor import Carriers
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import audited, behaved, selection, state, together
from ntkviz.ui.text import escape

BLIND, MARKED = "every class: what is wrongly predicted as it", "test points that the data mark as triggered"
PAIR, CHOSEN = "one confusion: a label and what is predicted instead", "test points of your choice"


def suspected(study: Study, data: Dataset) -> list[Carriers]:
    """The training points that carry what is asked about; of "every class" one result each, most separate first.

    Returns:
        The results; empty when there is nothing to ask about, and the page has said why.
    """
    marked = audited.planted(study, data, audited.TRIGGERED, "test")
    ways = [BLIND, PAIR, CHOSEN] + [MARKED] * (marked is not None)
    way = state.sticky(st.radio, "Suspects", key="audit_suspects", default=BLIND, options=ways, horizontal=True)
    if way == BLIND:
        with _tracing(study):
            every = list(audited.backdoors(study))
        if not every:
            _none("The network is right on every test point of this study, so there is no behaviour to trace.")
        return every
    if way == MARKED and marked is not None:
        return _carriers(study, np.flatnonzero(marked))
    return _carriers(study, _pair(study) if way == PAIR else together.picker(study))


def _pair(study: Study) -> np.ndarray:
    """Positions of the test points in a cell of the confusion matrix, the fullest by default."""
    found, names = behaved.cells(study), study.class_names
    if not found:
        return np.array([], dtype=np.int64)
    cell = state.sticky(
        st.selectbox,
        "Confusion",
        key="audit_cell",
        default=next(iter(found)),
        options=list(found),
        format_func=lambda cell: (
            f"labelled {names[found[cell][0]]}, predicted as {names[found[cell][1]]}: {selection.count(len(found[cell][2]))}"
        ),
    )
    return found[cell][2]


def _carriers(study: Study, points: np.ndarray) -> list[Carriers]:
    """The carriers of some test points, and how many of these are suspects."""
    if not len(points):
        _none("There is no test point to ask about. Choose some, or another way to name suspects.")
        return []
    try:
        with _tracing(study):
            found = audited.carriers_of(study, tuple(points.tolist()))
    except ValueError as error:  # the network is right on all of them
        _none(str(error))
        return []
    if len(found.suspects) < len(points):
        st.caption(
            f"Suspects are {len(found.suspects)} of these {selection.count(len(points))}: those wrongly predicted as "
            f"{escape(study.class_names[found.target])}, which most of the wrong ones are. The others do not count."
        )
    return [found]


def _none(words: str) -> None:
    st.info(escape(words), icon=":material/info:")


def _tracing(study: Study):
    return st.spinner(f"Tracing predictions back: {audited.estimate(study.n_train, 2)}", show_time=True)
