"""The dashboard: ``streamlit run app.py``. The table of pages and nothing else."""

import streamlit as st

from ntkviz.ui import shell

st.set_page_config(page_title="ntkviz", page_icon=shell.ICON, layout="wide", initial_sidebar_state=248)
PAGES = {
    "Study": [
        st.Page("pages/studies.py", title="Studies", icon=":material/science:", default=True),
        st.Page("pages/kernels.py", title="Kernels", icon=":material/grid_on:", url_path="kernels"),
    ],
    "Trust": [st.Page("pages/fidelity.py", title="Can I trust it?", icon=":material/verified:", url_path="fidelity")],
    "Explain": [
        st.Page("pages/explain.py", title="Explain a prediction", icon=":material/account_tree:", url_path="explain"),
        st.Page("pages/map.py", title="Map", icon=":material/scatter_plot:", url_path="map"),
    ],
    "More": [
        st.Page("pages/learn.py", title="Learn", icon=":material/school:", url_path="learn"),
        st.Page("pages/server.py", title="Server", icon=":material/dns:", url_path="server"),
    ],
}
page = st.navigation(PAGES)
shell.frame(page.title)
page.run()
