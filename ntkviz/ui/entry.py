"""A page is always drawn through the app's frame, also when a fresh server is first asked for a page's own address."""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager


def through_app() -> None:
    """Draw the whole app, and end this run, when Streamlit runs a file of ``pages/`` by itself.

    Until ``st.navigation`` was called once in the life of a server, Streamlit takes the folder for its older kind of multipage
    app and runs a page without app.py: no navigation of ours, no wide layout, no address read. Seen in 1.67, and in every run of
    AppTest, which begins like a fresh server. Starting over by ``st.rerun`` would lose the click that the run is for.
    """
    if PagesManager.uses_pages_directory:
        from ntkviz.ui.shell import run

        run()
        st.stop()
