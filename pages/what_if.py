import streamlit as st

from ntkviz.ui import answers, cached, gates, layout, point_picker, points, stretched, verify_view
from ntkviz.ui import what_if_state as tried
from ntkviz.ui import what_if_view as view

study = gates.need_study()
layout.page("What if?", "What would be said if some training examples had not been there, or had other labels?", study)

with gates.guarded():
    data = cached.dataset(study.spec.subject_id)
    listed = points.outcomes(study)
    answers.need_answers(study)
    stretched.sizes(study)
    above = st.container()
    left, right = st.columns([2, 3], gap="medium")
    with above:
        m = point_picker.pick_point(study, listed, data, beside=left)
    answer = tried.answer(study, tried.edits(study))
    with right:
        view.answer_of(study, data, listed, m, answer)
    view.edit_box(study, data, listed, m, answer)
    view.flipping(study, data, listed, m)
    verify_view.verify(study)
    st.caption(
        "It is the surrogate that is edited, by its own equations; a network that is trained again may move otherwise. How far such "
        "forecasts come true is a measured question: retrain to verify."
    )
