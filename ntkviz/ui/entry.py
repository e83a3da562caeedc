"""A page is always drawn through app.py, also when a fresh server is first asked for a page's own address."""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager


def through_app() -> None:
    """Start over through app.py when Streamlit runs a file of ``pages/`` by itself.

    Until app.py has called ``st.navigation`` once in the life of a server, Streamlit takes the folder for its older kind of
    multipage app and runs a page without it: no navigation of ours, no theme of the page, no address read. Seen in 1.67.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
