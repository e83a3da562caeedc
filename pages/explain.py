import streamlit as st

from ntkviz.ui import cached, gates, layout, point_picker, points
from ntkviz.ui import explain_view as view

study = gates.need_study()
layout.page("Explain a prediction", "Which training examples is this prediction made of?", study)

with gates.guarded():
    data = cached.dataset(study.spec.subject_id)
    listed = points.outcomes(study)
    above = st.container()
    left, right = st.columns([2, 3], gap="medium")
    with above:
        m = point_picker.pick_point(study, listed, data, beside=left)
    with right:
        view.point_head(study, data, listed, m)

    found, k = view.choose_question(study, listed, m)
    strongest, added, spread, alike = st.tabs(
        ["Strongest examples", "How it adds up", "How many carry it", "Neighbours (kernel alone)"],
        key="explain_tab",
        on_change="rerun",
    )
    if strongest.open:
        with strongest:
            view.strongest(study, data, found, k)
    if added.open:
        with added:
            view.sum_of_shares(study, found, k)
    if spread.open:
        with spread:
            view.concentrated(study, found, k)
    if alike.open:
        with alike:
            view.alike(study, data, found, m, k)
