"""What the chosen studies will take, and the button that runs them."""

from contextlib import nullcontext

import streamlit as st

from ntkviz.errors import BudgetExceeded, NtkvizError
from ntkviz.studies import jobs, preview
from ntkviz.studies.preview import with_previews
from ntkviz.studies.quote import Quote
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import ntkviz_home
from ntkviz.ui import quick, state
from ntkviz.ui.progress import STAGE_TITLES
from ntkviz.ui.quoting import quote_when_known
from ntkviz.ui.text import escape, megabytes, span

#: More studies than these in one job are seldom meant.
_MANY = 24


def run_box(specs: list[StudySpec]) -> None:
    """The quote of some studies, live, and the button; over budget it says the way out instead.

    Raises:
        NtkvizError: when a study is not possible.
    """
    if not specs:
        return
    choosing = any(spec.budget_seconds for spec in specs)
    made = with_previews(specs, home=ntkviz_home())
    with st.spinner("Choosing what fits in the time …") if choosing else nullcontext():
        estimate = quote_when_known(made)
    refusal = _refusal(estimate) if estimate else ""
    with st.container(border=True, key="quote"):
        if estimate:
            _figures(estimate, len(specs), len(made) - len(specs))
        else:
            _until_known(made)
        if refusal:
            st.error(f"{escape(refusal, limit=1200)}", icon=":material/block:")
        elif len(specs) > _MANY:
            st.warning(
                f"These are {len(specs)} studies: every kernel chosen with every surrogate chosen.", icon=":material/stacks:"
            )
        _button(specs, estimate, blocked=bool(refusal))


@st.fragment(run_every=1.0)
def _until_known(specs: list[StudySpec]) -> None:
    """Say that the quote is being measured, and draw the page again when it is there."""
    try:
        known = quote_when_known(specs) is not None
    except NtkvizError:  # the page says which, when it asks
        known = True
    if known:
        st.rerun()
    st.caption(f":material/timer: {quick.MEASURING}. You need not wait for it.")


def _figures(estimate: Quote, count: int, first_looks: int) -> None:
    cells = st.columns([1, 1, 1, 2.6], vertical_alignment="center")
    done = estimate.n_stored == count
    cells[0].metric("Time", "none" if done else f"about {span(estimate.seconds)}", help=_stages(estimate))
    cells[1].metric("Memory", megabytes(estimate.memory_mb), help="Largest memory of the process that works.")
    cells[2].metric("Disk", megabytes(estimate.disk_mb), help="What is kept, in the folder of the store.")
    studies = "1 study" if count == 1 else f"{count} studies"
    stored = f", {estimate.n_stored} of them stored already" if estimate.n_stored else ""
    first = f", after a first look with {preview.TRAIN:,} training points" if first_looks else ""
    cells[3].caption(f"An estimate for {studies}{stored}{first}. {estimate.basis}")
    for choice in estimate.choices:
        st.info(escape(choice), icon=":material/timer:")


def _stages(estimate: Quote) -> str:
    parts = [
        f"{STAGE_TITLES.get(stage, stage)}: {seconds:.1f} s" for stage, seconds in estimate.per_stage.items() if seconds >= 0.05
    ]
    return "  \n".join(parts) or "Everything is stored."


def _refusal(estimate: Quote) -> str:
    try:
        estimate.require_budget(ntkviz_home())
    except BudgetExceeded as error:
        return str(error)
    return ""


def _button(specs: list[StudySpec], estimate: Quote | None, *, blocked: bool) -> None:
    many = f" {len(specs)} studies" if len(specs) > 1 else " the study"
    if estimate and estimate.n_stored == len(specs):
        st.button(f"Open{many}", key="run", type="primary", icon=":material/folder_open:", on_click=_open, args=(specs[-1],))
        return
    waiting = any(not job.ended for job in jobs.list_jobs())
    label, icon = ("Queue", ":material/playlist_add:") if waiting else ("Run", ":material/play_arrow:")
    if st.button(f"{label}{many}", key="run", type="primary", icon=icon, disabled=blocked):
        try:
            quick.launch(specs)
        except NtkvizError as error:
            st.error(escape(error, limit=1200), icon=":material/error:")
            return
        st.rerun()
    if waiting:
        st.caption("Another job runs; this one waits for its turn.")


def _open(spec: StudySpec) -> None:
    state.put("study", spec.key())
    state.forget("point")
    state.put("flash", "This study was made before; it is shown on all pages now.")
