import streamlit as st

from ntkviz.ui import audit_view as view
from ntkviz.ui import audited, cached, fixes, gates, layout

study = gates.need_study()
layout.page("Audit the training set", "Which training examples are wrong, planted, copied, or unlike their class?", study)

with gates.guarded():
    data = cached.dataset(study.spec.subject_id)
    problem = audited.obstacle(study.n_train)
    if problem:
        st.info(problem, icon=":material/info:")
        st.stop()
    view.scope(study, data)
    view.audits(study, data)
    view.chosen_point(study, data)
    fixes.show(study)
