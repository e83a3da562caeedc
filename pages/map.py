import streamlit as st

from ntkviz.ui import cached, gates, layout, map_table, maps, points
from ntkviz.ui import map_view as view

study = gates.need_study()
layout.page("Map", "Who stands near whom in the kernel's space, and how far can a map be believed?", study)

with gates.guarded():
    data = cached.dataset(study.spec.subject_id)
    if study.n_train > maps.MAP_UP_TO:
        st.info(
            f"Maps are made of up to {maps.MAP_UP_TO:,} training points; this study has {study.n_train:,}. "
            "Run a study with fewer points: the smaller ones are among the larger.",
            icon=":material/info:",
        )
        st.stop()
    outcomes = points.outcomes(study)
    made = view.choose(study, data)
    view.draw(study, data, outcomes, made)
    view.quality(study, made)
    map_table.point_list(study, outcomes, made)
