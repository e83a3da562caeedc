import streamlit as st

from ntkviz.ui import cached, gates, layout, point_picker, points
from ntkviz.ui import explain_view as view

study = gates.need_study()
layout.page("Explain a prediction", "Which training examples matter for this prediction, and what is it made of?", study)

with gates.guarded():
    data = cached.dataset(study.spec.subject_id)
    listed = points.outcomes(study)
    above = st.container()
    left, right = st.columns([2, 3], gap="medium")
    with above:
        m = point_picker.pick_point(study, listed, data, beside=left)
    with right:
        view.point_head(study, data, listed, m)

    view.explain(study, data, listed, m)
