"""What stands before the pages that ask what would be said without some training examples: a surrogate that can tell."""

import streamlit as st

from ntkviz.studies.study import Study
from ntkviz.ui import what_if_state as tried


def need_answers(study: Study) -> None:
    """Say whose answers the page shows. Without a surrogate that has any the page says why, and stops."""
    found = tried.answering(study)
    if found.model is None:
        st.info(found.problem, icon=":material/info:")
        st.stop()
    st.caption(tried.told(study, found))
