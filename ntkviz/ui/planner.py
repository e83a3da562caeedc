"""Planning a study: subject, choices, quote and the button, one below the other."""

import streamlit as st

from ntkviz.ui import gates, state, upload_form
from ntkviz.ui.run_box import run_box
from ntkviz.ui.study_form import choose_specs
from ntkviz.ui.subject_cards import choose_subject

SOURCES = {"sample": "Bundled samples", "upload": "Bring your own"}


def planner(*, folded: bool) -> None:
    """Draw the form.

    Args:
        folded: behind a fold, while a job and what came of it are in the foreground.
    """
    if not folded:
        _form()
        return
    fold = st.expander("Plan another study", icon=":material/add:", on_change="rerun", key="plan")
    if fold.open:
        with fold:
            _form()


def _form() -> None:
    subject = None
    with gates.guarded():
        st.subheader("1 · Model and data", anchor="model")
        source = state.sticky(
            st.segmented_control,
            "Source",
            key="source",
            default="sample",
            options=list(SOURCES),
            required=True,
            format_func=SOURCES.__getitem__,
            label_visibility="collapsed",
        )
        if source == "upload":
            upload_form.upload_form()
        subject = choose_subject(source)
    if subject is None:
        return
    with gates.guarded():
        st.subheader("2 · Kernels, surrogates, points", anchor="choices")
        specs = choose_specs(subject)
        st.subheader("3 · What it will take", anchor="quote")
        run_box(specs)
