"""The finished studies: open, compare at a glance, delete."""

from functools import partial

import pandas as pd
import streamlit as st

from ntkviz.kernels.registry import kernels
from ntkviz.studies.store import StudyEntry
from ntkviz.surrogates.registry import surrogates
from ntkviz.ui import cached, layout, person, state
from ntkviz.ui.text import ago, escape, fixed, percent

_PAGE_ROWS = 8
_WIDTHS = [2.4, 2.9, 1.5, 1.0, 1.2, 1.3, 1.4, 0.9]
_HEADS = {
    "Model and data": None,
    "Kernel and surrogate": None,
    "Points": "Training and test points.",
    "τ": "Kendall's τ between the log-odds of network and surrogate: 1 is perfect imitation.",
    "Agree": "Share of test points to which both give the same class.",
    "Made": None,
    "": None,
    " ": None,
}


def finished_studies() -> None:
    """The table, newest first, with buttons to open and to delete."""
    entries = cached.store().list_studies()
    if not entries:
        st.caption("None yet. What you run is kept here until you delete it.")
        return
    pages = -(-len(entries) // _PAGE_ROWS)
    number_of_page = min(st.session_state.get("_finished_page", 1), pages)
    for cell, (head, help_text) in zip(st.columns(_WIDTHS), _HEADS.items(), strict=True):
        cell.caption(head or "&nbsp;", help=help_text)
    for entry in entries[(number_of_page - 1) * _PAGE_ROWS : number_of_page * _PAGE_ROWS]:
        _row(entry)
    with st.container(horizontal=True, vertical_alignment="center"):
        if pages > 1:
            st.pagination(pages, key="_finished_page")
        layout.download_csv(table(entries), key="studies", label="Download the list as CSV")


def _row(entry: StudyEntry) -> None:
    cells = st.columns(_WIDTHS, vertical_alignment="center")
    if entry.spec is None:
        cells[0].markdown(f"Damaged ({entry.key[:8]})")
        with cells[1]:
            st.badge("Cannot be opened", color="red", help=escape(entry.problem, limit=600))
        _delete(cells[7], entry)
        return
    facts = facts_of(entry)
    shown = entry.key == state.get("study")
    title = escape(facts["model and data"], limit=60)
    cells[0].markdown(f"**{title}**" if shown else title)
    cells[1].markdown(f"{facts['kernel']}, {facts['form']}  \n:small[{facts['surrogate']}]")
    cells[2].markdown(f"{facts['N']:,} + {facts['M']:,}")
    cells[3].markdown(fixed(facts["kendall_tau"]))
    cells[4].markdown(percent(facts["agreement"]))
    cells[5].caption(ago(entry.created))
    label, press = ("Shown", None) if shown else ("Open", partial(_open, entry.key))
    cells[6].button(label, key=f"open_{entry.key[:12]}", disabled=shown, on_click=press)
    _delete(cells[7], entry)


def _delete(cell: object, entry: StudyEntry) -> None:
    if not person.may_change():
        return
    short = entry.key[:12]
    with cell.popover("", icon=":material/delete:", help="Delete this study", type="tertiary", key=f"ask_{short}"):  # type: ignore[attr-defined]
        st.markdown("Delete this study? Its kernel goes too when no other study uses it.")
        st.button("Delete", key=f"delete_{short}", type="primary", on_click=partial(remove, entry.key))


def _open(key: str) -> None:
    state.put("study", key)
    state.forget("point")
    state.put("flash", "This study is shown on all pages now.")


def remove(key: str) -> None:
    """Delete a study, and forget it when it is on show."""
    cached.store().delete(key)
    if state.get("study") == key:
        state.forget("study", "point")
    state.put("flash", "The study was deleted.")


def facts_of(entry: StudyEntry) -> dict:
    """A study's row, for a table or a file."""
    summary, spec = entry.summary, entry.spec
    if spec is None:
        return {"study": entry.key, "problem": entry.problem}
    return {
        "model and data": summary["subject"],
        "kernel": kernels()[spec.kernel].title,
        "form": "cosine" if spec.normalize else "raw",
        "surrogate": surrogates()[spec.surrogate].title,
        "N": summary["n_train"],
        "M": summary["n_test"],
        "seed": spec.seed,
        "kendall_tau": summary["fidelity"].get("kendall_tau"),
        "agreement": summary["fidelity"].get("agreement"),
        "tad": summary["fidelity"].get("tad"),
        "seconds": sum(summary["seconds"].values()),
        "peak_mb": summary["peak_mb"],
        "made": entry.created,
        "study": entry.key,
    }


def table(entries: list[StudyEntry]) -> pd.DataFrame:
    """All studies, a row each."""
    return pd.DataFrame([facts_of(entry) for entry in entries])
