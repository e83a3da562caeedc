import streamlit as st

from ntkviz.ui import gates, health, layout, person, sharing, storage

layout.page("Server", "Is everything in order, what takes up room, and what ran?")

with gates.guarded():
    st.subheader("Health", anchor="health")
    health.show_health()

if person.may_change():
    with gates.guarded():
        sharing.show_people()

    with gates.guarded():
        st.subheader("Jobs", anchor="jobs")
        storage.show_jobs()

    with gates.guarded():
        st.subheader("Storage", anchor="storage")
        storage.show_storage()

with gates.guarded():
    left, right = st.columns([5, 2], gap="medium")
    with left:
        st.subheader("Limits", anchor="limits")
        health.show_limits()
    with right:
        st.subheader("Versions", anchor="versions")
        health.show_versions()
