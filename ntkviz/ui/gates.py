"""What stands between a page and its content: a finished study, and errors as sentences."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import streamlit as st

from ntkviz.errors import NtkvizError, StoreCorrupted
from ntkviz.studies.store import StudyEntry
from ntkviz.studies.study import Study
from ntkviz.ui import cached, links, quick, state
from ntkviz.ui.entry import through_app
from ntkviz.ui.text import escape

STUDIES_PAGE = "pages/studies.py"


@contextmanager
def guarded() -> Iterator[None]:
    """Show what ntkviz refuses as a sentence, and go on below; any other error is a bug and escapes.

    Also a decorator: ``@guarded()``.

    Yields:
        Nothing.
    """
    try:
        yield
    except NtkvizError as error:
        st.error(escape(error, limit=1200), icon=":material/error:")


def finished() -> list[StudyEntry]:
    """The finished studies that can be opened, newest first."""
    return [entry for entry in cached.store().list_studies() if not entry.problem]


def need_study() -> Study:
    """The study on show: the one chosen, else the newest. Without any the page says how to get one, and stops.

    Returns:
        The study; ``state.get("study")`` is its key afterwards.
    """
    through_app()
    entries = finished()
    chosen = str(state.get("study") or "")
    if not entries:
        _empty(chosen)
    match = [entry.key for entry in entries if chosen and entry.key.startswith(chosen)]
    if chosen and len(match) != 1:
        _unknown(chosen)
    key = match[0] if match else entries[0].key
    if key != chosen:
        state.put("study", key)
    try:
        return cached.study(key)
    except (StoreCorrupted, KeyError) as error:
        st.error(escape(error.args[0] if error.args else error, limit=1200), icon=":material/error:")
        st.page_link(STUDIES_PAGE, label="Go to Studies to delete it or run it again", icon=":material/arrow_back:")
        st.stop()


def _unknown(chosen: str) -> NoReturn:
    """The address names a study that is not here (any more)."""
    st.warning(
        f"There is no study {escape(chosen[:12])} on this machine. It was deleted, or made elsewhere.",
        icon=":material/search_off:",
    )
    main = "secondary" if links.offer(chosen) else "primary"
    st.button("Open the newest study instead", key="open_newest", type=main, on_click=state.forget, args=("study", "point"))
    st.page_link(STUDIES_PAGE, label="All studies", icon=":material/arrow_back:")
    st.stop()


def _empty(chosen: str) -> NoReturn:
    """No study on this machine."""
    with st.container(border=True):
        st.subheader("No study yet", anchor=False)
        if chosen:
            st.write(f"The link names the study {escape(chosen[:12])}, which is not on this machine.")
            links.offer(chosen)
        st.write(
            "This page shows a finished study: a network, a kernel made of its gradients, and a kernel machine that stands for "
            "it. Run a bundled sample to have one in a moment, or bring your own model."
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            quick.start_button(key="open_sample")
            st.page_link(STUDIES_PAGE, label="Choose on the Studies page", icon=":material/tune:")
    st.stop()
