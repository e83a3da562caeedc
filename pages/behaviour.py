import streamlit as st

from ntkviz.ui import answers, behaved, cached, gates, layout, points
from ntkviz.ui import behaviour_view as view

study = gates.need_study()
layout.page("Behaviours", "Which groups of training examples carry a kind of answer, such as the errors from 4 to 9?", study)

with gates.guarded():
    data = cached.dataset(study.spec.subject_id)
    listed = points.outcomes(study)
    answers.need_answers(study)
    chosen = view.choose(study)
    if chosen is None:
        st.stop()
    if view.in_a_confusion(study):
        left, right = st.columns([5, 4], gap="medium")
        with left:
            view.confusions(study)
        with right:
            view.about(study, data, chosen)
    else:
        view.about(study, data, chosen)
    values = behaved.effects(study, chosen)
    groups, examples, regions = st.tabs(["By group", "Strongest examples", "Thin regions"])
    with groups:
        view.by_group(study, data, chosen, values)
    with examples:
        view.strongest(study, data, chosen, values)
    with regions:
        view.thin(study, listed, chosen)
    st.caption(
        "Effects are those of removing single training examples from the surrogate. They forecast what retraining would do; they do not "
        "prove why the network behaves so."
    )
