"""The page Compare: two to six kernels, surrogates or models in one view."""

import numpy as np
import streamlit as st

from ntkviz.figures import spectrum
from ntkviz.studies.study import Study
from ntkviz.ui import compare_choice, gates, kernel_facts, layout
from ntkviz.ui.compare_choice import FEWEST, Side, same_points, shown
from ntkviz.ui.point_picker import named_table


def enough(found: list[Side]) -> bool:
    """Whether there are two studies to compare; without, the page says how to get or choose them."""
    if len(found) >= FEWEST:
        compare_choice.comparability(found)
        return True
    with st.container(border=True, key="compare_empty"):
        finished = gates.finished()
        if len(finished) >= FEWEST:
            st.markdown(
                "**Choose a second study.** A comparison needs two at least; there are more finished ones in the list above."
            )
        else:
            st.markdown(
                "**There is one finished study.** Comparing needs a second: the same points under another kernel, with another surrogate or form, or "
                "another network on the same data."
            )
        with st.container(horizontal=True):
            st.page_link(gates.STUDIES_PAGE, label="Run another study", icon=":material/add:")
            st.page_link("pages/kernels.py", label="Baselines in one click, on Kernels", icon=":material/grid_on:")
    return False


@st.fragment
@gates.guarded()
def matrices(study: Study, found: list[Side]) -> None:
    """Matrices, spectra and CKA of the different kernels of the same points.

    Args:
        study: the study on show; the selection speaks of its points.
        found: the studies compared.
    """
    fits = same_points(found)
    if len(fits) < len(found):
        _left_out(found, fits)
    kernels = shown(fits)
    base = fits[0].study
    kernel_facts.panels(kernels, base, key="compare_panels", own=base.spec.subject_id == study.spec.subject_id)
    with st.spinner("Eigenvalues of the kernels …", show_time=True):
        facts = kernel_facts.facts(kernels)
    kernel_facts.spectra(facts)
    if len(kernels) < FEWEST:
        return
    titles, similarity = [kernel.title for kernel in kernels], kernel_facts.cka(kernels)
    left, right = st.columns([5, 4], gap="medium")
    with left:
        table = named_table("kernel", titles, similarity, titles)
        layout.figure(
            spectrum.cka_heatmap(titles, similarity), spectrum.reading_cka(titles, similarity), table, key="compare_cka"
        )
    with right:
        alignments = {title: fact.alignment for title, fact in facts.items()}
        layout.figure(spectrum.alignment_bars(alignments), spectrum.reading_alignment(alignments), key="compare_alignment")


def _left_out(found: list[Side], fits: list[Side]) -> None:
    """Say which studies add no matrix of their own."""
    others = int(np.sum([not side.shared.kernels for side in found]))
    twins = len(found) - others - len(fits)
    parts = [f"{twins} share a kernel with another" * bool(twins), f"{others} are of other training points" * bool(others)]
    st.caption(
        f"{len(fits)} different kernels of these points; of the other studies {' and '.join(part for part in parts if part)}."
    )
