import streamlit as st

from ntkviz.ui import behaved, cached, gates, layout, points
from ntkviz.ui import behaviour_view as view
from ntkviz.ui import what_if_state as tried

study = gates.need_study()
layout.page("Behaviours", "Which groups of training examples carry a kind of answer, such as the errors from 4 to 9?", study)

with gates.guarded():
    data = cached.dataset(study.spec.subject_id)
    listed = points.outcomes(study)
    found = tried.answering(study)
    if found.model is None:
        st.info(found.problem, icon=":material/info:")
        st.stop()
    st.caption(tried.told(study, found))
    chosen = view.choose(study, listed)
    if chosen is None:
        st.stop()
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
