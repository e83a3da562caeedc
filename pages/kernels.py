import streamlit as st

from ntkviz.ui import coverage_view, gates, kernel_facts, layout
from ntkviz.ui import kernels_view as view

study = gates.need_study()
layout.page("Kernels", "What does each kernel see in the same training points?", study)

with gates.guarded():
    found = view.finished_kernels(study)
    view.offer_baselines(found, study)
    chosen, cosine = view.choose(found, study)

    st.subheader("The matrices, sorted by class", anchor="matrices")
    view.panels(chosen, study, cosine=cosine)

    st.subheader("Compared", anchor="compared")
    facts = view.comparison(chosen, study, cosine=cosine)
    coverage_view.notes(chosen)

    st.subheader("Eigenvalues: how many directions a kernel uses", anchor="eigenvalues")
    kernel_facts.spectra(facts)

    st.subheader("What the labels and the other kernels have in common with it", anchor="alignment")
    view.alignments(chosen, facts, cosine=cosine)

    st.subheader("Classes and cost", anchor="classes")
    view.classes(chosen, facts, study, cosine=cosine)

    st.subheader("How the gradients were computed", anchor="coverage")
    coverage_view.coverage(study)

    st.subheader("What the kernels are", anchor="registry")
    view.registry_text(chosen)
