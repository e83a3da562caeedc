import streamlit as st

from ntkviz.ui import finished, gates, layout, person, planner, progress, quick

layout.page("Studies", "Which network shall be explained, with which kernel, and what will that take?")

if person.may_change():
    with gates.guarded():
        quick.welcome()
        following = progress.panel()

    planner.planner(folded=following)

with gates.guarded():
    st.subheader("Finished studies", anchor="finished")
    finished.finished_studies()
