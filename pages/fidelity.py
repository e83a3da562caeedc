import streamlit as st

from ntkviz.ui import cached, classes_view, gates, layout, plane_view, points, removal_trial, trust_view
from ntkviz.ui import fidelity_view as view
from ntkviz.ui.compared import compared

study = gates.need_study()
layout.page("Can I trust it?", "Does the surrogate answer as the network does, and where does it not?", study)

with gates.guarded():
    data = cached.dataset(study.spec.subject_id)
    listed = points.outcomes(study)
    view.headline(study)

    st.subheader("Imitation and truth", anchor="truth")
    plane_view.plane(study)

    st.subheader("Remove and retrain", anchor="removal")
    removal_trial.trial(study)

    st.subheader("Which points to trust", anchor="trust")
    trust_view.reliability(study)

    st.subheader("Point by point", anchor="points")
    view.scatter(study, data, listed)

    st.subheader("Where they differ", anchor="differences")
    view.disagreements(study, data, listed)

    st.subheader("All measures", anchor="measures")
    view.all_measures(study)

    st.subheader("Class by class, and on the network's errors", anchor="classes")
    classes_view.by_class(study)

    st.subheader("Other surrogates of the same kernel", anchor="surrogates")
    with st.spinner("Fitting surrogates …", show_time=True):
        rows = compared(study)
    view.side_by_side(study, listed, rows)
