"""What all pages have in common: the head with its question, the bar that says which study is on show, a chart's frame."""

import streamlit as st

from ntkviz.kernels.registry import kernels
from ntkviz.studies.store import StudyEntry
from ntkviz.studies.study import Study
from ntkviz.surrogates.registry import surrogates
from ntkviz.ui import gates, links, state, take_away
from ntkviz.ui.chart import csv_text, data_table, download_csv, download_table, figure, origin_is
from ntkviz.ui.entry import through_app
from ntkviz.ui.measures import measure
from ntkviz.ui.selection_bar import selection_bar
from ntkviz.ui.text import escape, percent

__all__ = ["csv_text", "data_table", "download_csv", "download_table", "figure", "page", "study_bar", "title_of"]


def page(title: str, question: str, study: Study | None = None) -> None:
    """The head of a page: title, the question it answers, and the bar of the study on show.

    Args:
        title: of the page, as in the navigation.
        question: that the page answers, a sentence.
        study: the study on show; ``None`` for pages that show none.
    """
    through_app()
    st.title(title, anchor=False)
    st.caption(question)
    origin_is(study)
    if study is not None:
        study_bar(study)
        selection_bar(study)


def study_bar(study: Study) -> None:
    """Which study is on show, in a line, with a switch among the finished studies of the same subject."""
    tau, agreement = measure(study.fidelity, "kendall_tau"), measure(study.fidelity, "agreement")
    kernel = kernels()[study.spec.kernel].title + (", cosine" if study.spec.normalize else ", raw")
    facts = [
        ("Model and data", escape(study.name), "The network whose predictions are explained, and the data it was trained on."),
        ("Kernel", kernel, "How alike two points are to the network. Cosine: every point has length one."),
        ("Surrogate", surrogates()[study.spec.surrogate].title, "The kernel machine that stands for the network."),
        ("Points", f"{study.n_train:,} + {study.n_test:,}", "Training points that explain, and test points that are explained."),
        (
            "τ",
            tau.words(),
            "Kendall's τ of the log-odds of the true class, network against surrogate: 1 is perfect imitation.",
        ),
        ("Agreement", percent(agreement.value), "Share of test points to which network and surrogate give the same class."),
    ]
    with st.container(border=True, key="study_bar"):
        for cell, (label, value, help_text) in zip(st.columns([1.8, 1.6, 1.7, 1.2, 1.8, 1.3], gap="small"), facts, strict=True):
            with cell.container(gap=None):
                st.caption(label, help=help_text)
                st.markdown(f"**{value}**")
        left, link, report = st.columns([5.6, 1.2, 1], vertical_alignment="center", gap="small")
        with left:
            _switcher(study)
            links.check(study)
        with link:
            links.copy_link(study)
        with report:
            take_away.study_menu(study)


def title_of(entry: StudyEntry) -> str:
    """A study in a line, for pickers; plain text."""
    if entry.spec is None:
        return entry.key[:8]
    spec, summary = entry.spec, entry.summary
    form = "cosine" if spec.normalize else "raw"
    return (
        f"{kernels()[spec.kernel].title} ({form}) · {surrogates()[spec.surrogate].title} · N {summary['n_train']:,} · "
        f"M {summary['n_test']:,} · seed {spec.seed} · {entry.key[:6]}"
    )


def _switcher(study: Study) -> None:
    same = [e for e in gates.finished() if e.spec is not None and e.spec.subject_id == study.spec.subject_id]
    if len(same) < 2:
        return
    titles = {entry.key: title_of(entry) for entry in same}
    state.sticky(
        st.selectbox,
        "Switch to another study of this model",
        key="study",
        default=study.key,
        options=list(titles),
        format_func=lambda key: titles.get(key, key),
        help="Finished studies of the same model and data. The selected test point stays the same.",
        label_visibility="collapsed",
    )
