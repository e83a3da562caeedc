import streamlit as st

from ntkviz.ui import compare_choice, compare_fidelity, compare_maps, compare_neighbours, gates, layout, state, sweep_view
from ntkviz.ui import compare_view as view

study = gates.need_study()
layout.page("Compare", "Which kernel, surrogate or network is worth its cost, and do they tell the same story?", study)

with gates.guarded():
    found = compare_choice.choose(study)
    several = view.enough(found)
    if several:
        st.subheader("Fidelity against cost", anchor="cost")
        compare_fidelity.fidelity_and_cost(found)
    names = ["What differs", "Matrices and spectra", "Maps", "Neighbours", "Projection size"] if several else ["Projection size"]
    tabs = dict(zip(names, state.tabs(names, key="compare_tab"), strict=True))
    draw = {
        "What differs": lambda: compare_fidelity.differences(found),
        "Matrices and spectra": lambda: view.matrices(study, found),
        "Maps": lambda: compare_maps.aligned_maps(study, found),
        "Neighbours": lambda: compare_neighbours.agreement_of_neighbours(study, found),
        "Projection size": lambda: sweep_view.projection_size(study),
    }
    for name, tab in tabs.items():
        if tab.open:
            with tab:
                draw[name]()
