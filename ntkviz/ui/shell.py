"""The table of pages, and what stands around every page: the name, what it is for, and the job that runs."""

import gc

import streamlit as st

from ntkviz.studies.people import name_of
from ntkviz.ui import person, progress, state

#: Three training points and the prediction that they carry; on light and dark.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><g stroke="#2A7FBA" stroke-width="2.2" fill="none">'
    '<path d="M7 7 L23 16 M7 16 L23 16 M7 25 L23 16"/></g><g fill="#2A7FBA"><circle cx="7" cy="7" r="4"/>'
    '<circle cx="7" cy="25" r="2.6"/></g><circle cx="7" cy="16" r="3.2" fill="#E69F00"/>'
    '<circle cx="24" cy="16" r="5.4" fill="#2A7FBA"/></svg>'
)
_NAME = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 32">'
    + ICON.partition(">")[2].removesuffix("</svg>")
    + '<text x="38" y="22.5" font-family="Helvetica, Arial, sans-serif" font-size="21" font-weight="650" '
    'fill="#2A7FBA">ntkviz</text></svg>'
)


#: Titles of the pages that were drawn in this process.
_spared: set[str] = set()


def pages() -> dict[str, list]:
    """Section -> its pages. The address of a page is the name of its file; the first answers at "/" only."""
    return {
        "Study": [
            st.Page("pages/studies.py", title="Studies", icon=":material/science:", default=True),
            st.Page("pages/kernels.py", title="Kernels", icon=":material/grid_on:", url_path="kernels"),
        ],
        "Trust": [
            st.Page("pages/fidelity.py", title="Can I trust it?", icon=":material/verified:", url_path="fidelity"),
            st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:", url_path="compare"),
        ],
        "Explain": [
            st.Page("pages/explain.py", title="Explain a prediction", icon=":material/account_tree:", url_path="explain"),
            st.Page("pages/what_if.py", title="What if?", icon=":material/edit_note:", url_path="what_if"),
            st.Page("pages/behaviour.py", title="Behaviours", icon=":material/groups:", url_path="behaviour"),
            st.Page("pages/map.py", title="Map", icon=":material/scatter_plot:", url_path="map"),
        ],
        "Audit": [st.Page("pages/audit.py", title="Audit the training set", icon=":material/fact_check:", url_path="audit")],
        "More": [
            st.Page("pages/learn.py", title="Learn", icon=":material/school:", url_path="learn"),
            st.Page("pages/server.py", title="Server", icon=":material/dns:", url_path="server"),
        ],
    }


def run() -> None:
    """Draw the app: the frame, and in it the page of the address."""
    st.set_page_config(page_title="ntkviz", page_icon=ICON, layout="wide", initial_sidebar_state=248)
    page = st.navigation(pages())
    frame(page.title, page.url_path)
    page.run()
    _spare_the_collector(page.title)


def _spare_the_collector(page: str) -> None:
    """Leave out of later collections what a page brought in when it was first drawn: modules, mostly, which stay for good.

    Streamlit collects garbage after every run, which takes longer than drawing a page once pandas and plotly are loaded.
    """
    if page not in _spared:
        _spared.add(page)
        gc.collect()
        gc.freeze()


def frame(page: str, address: str = "") -> None:
    """Draw the frame and bring the address and the session's memory together; once at the start of every run.

    Whoever is not let in sees nothing below it: the run ends here.

    Args:
        page: title of the page that follows.
        address: of it; empty for the first.
    """
    state.sync_address(address)
    st.logo(_NAME, size="large", icon_image=ICON)
    person.welcome_or_stop()
    with st.sidebar:
        if page != "Studies":
            progress.in_sidebar()
        st.caption("Which training examples made a network say this, and can that answer be trusted?")
        person.in_sidebar()
    shared = person.looking_at()
    if shared is not None:
        person.banner(shared, name_of(shared.owner))
    flash = state.get("flash")
    if flash:
        state.forget("flash")
        st.toast(flash, icon=":material/check_circle:")
