"""Following a job: progress by stage, time left, cancel; found again after a refresh.

Only a fragment polls, and only while a job runs; the work itself is in a process of its own (:mod:`ntkviz.studies.jobs`).
"""

import streamlit as st

from ntkviz.errors import StoreCorrupted
from ntkviz.studies import jobs, preview
from ntkviz.studies.job import Job
from ntkviz.studies.pipeline import STAGES
from ntkviz.studies.server import server
from ntkviz.studies.spec import StudySpec
from ntkviz.ui import person, results, state
from ntkviz.ui.text import escape, span

_POLL_SECONDS, _SIDEBAR_SECONDS = 0.7, 2.0
_STUDIES = "pages/studies.py"
STAGE_TITLES = {
    "start": "Start the worker process",
    "load": "Load the network and the data",
    "probe": "Check the network",
    "logits": "Ask the network",
    "self-check": "Compare with the float64 reference",
    "kernel": "Compute the kernel",
    "surrogate": "Fit the surrogate",
    "fidelity": "Measure the fidelity",
    "save": "Save",
    "truth": "Retrain the network",
    "sweep": "Project and compare",
}


def followed() -> Job | None:
    """The job that the page follows: the one in the address, otherwise one that is under way."""
    chosen = state.get("job")
    if chosen:
        try:
            return jobs.status(chosen)
        except (KeyError, StoreCorrupted):
            state.forget("job")
    running = next((job for job in jobs.list_jobs()[::-1] if not job.ended), None)
    if running is not None:
        state.put("job", running.id)
    return running


def panel() -> bool:
    """The job that the page follows, with its progress while it runs and its outcome afterwards.

    Returns:
        Whether there is one.
    """
    job = followed()
    if job is None:
        return False
    if job.ended:
        if state.get("watched") == job.id:
            state.forget("watched")
            results.open_made(job)
        results.outcome(job)
        return True
    state.put("watched", job.id)
    follow(job)
    return True


def follow(job: Job) -> None:
    """A job that is under way, on any page: it is drawn anew until it has ended, then the whole page is."""
    st.fragment(_poll, run_every=_POLL_SECONDS)(job.id)


def in_sidebar() -> None:
    """One line about the job that runs, for every page but Studies, which shows it in full."""
    job_id = state.get("watched")
    if job_id:
        st.fragment(_line, run_every=_SIDEBAR_SECONDS)(job_id)


def _line(job_id: str) -> None:
    try:
        job = jobs.status(job_id)
    except (KeyError, StoreCorrupted, person.NotSignedIn):
        state.forget("watched")
        return
    if job.ended:
        icons = {"done": ":material/check_circle:", "failed": ":material/error:"}
        st.page_link(_STUDIES, label=f"The job is {job.state}", icon=icons.get(job.state, ":material/stop_circle:"))
    else:
        st.page_link(_STUDIES, label=f"A job runs: {job.fraction:.0%}", icon=":material/progress_activity:")


def _poll(job_id: str) -> None:
    """Draw the job as it stands; when it has ended, draw the whole page anew, which stops the polling."""
    try:
        job = jobs.status(job_id)
    except (KeyError, StoreCorrupted, person.NotSignedIn):
        st.rerun()
    if job.ended:
        st.rerun()
    with st.container(border=True, key="job"):
        _head(job)
        st.progress(min(1.0, job.fraction), text=_words(job))
        if job.state == "running" and isinstance(job.specs[job.current], StudySpec):
            _stages(job)
        _first_look(job)


def _head(job: Job) -> None:
    left, right = st.columns([6, 1], vertical_alignment="center")
    spec = job.specs[min(job.current, len(job.specs) - 1)]
    several = f"Study {job.current + 1} of {len(job.specs)} · " if len(job.specs) > 1 else ""
    first = f", a first look with {preview.TRAIN:,} points" if preview.is_preview(job.specs, job.current) else ""
    left.markdown(f"**{several}{results.title_of(spec)}** on {escape(results.subject_title(spec))}{first}")
    if right.button("Cancel", key="cancel_job", icon=":material/stop_circle:", width="stretch", help="Ends within two seconds."):
        jobs.cancel(job.id)
        st.rerun()


def _first_look(job: Job) -> None:
    """Where to see what was found on some of the points, while the whole is being made."""
    ready = [key for position, key in enumerate(job.results) if key and preview.is_preview(job.specs, position)]
    if not ready:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"A first look with {preview.TRAIN:,} points is ready:", width="content")
        for page, label, icon in (("fidelity", "Can I trust it?", "verified"), ("map", "Map", "scatter_plot")):
            st.page_link(f"pages/{page}.py", label=label, icon=f":material/{icon}:", query_params={"study": ready[-1]})


def _words(job: Job) -> str:
    """The state in words, beside the bar."""
    if job.state == "queued":
        before = job.queue_position - 1
        if server().has_people:  # others' jobs come in between, and are not for this person to see
            return "Waits for its turn" + (f": {before} of yours before it" if before > 0 else "")
        return "Waits for its turn" + (f": {before} before it" if before > 0 else ", next to run")
    left = "" if job.eta_seconds is None else f" · about {span(job.eta_seconds)} left"
    again = " · its worker died; another one goes on where it stopped" if job.tries else ""
    return f"{job.fraction:.0%} · {STAGE_TITLES.get(job.stage, job.stage)}{left}{again}"


def _stages(job: Job) -> None:
    """The stages in their order: done, under way, to come."""
    at = STAGES.index(job.stage) if job.stage in STAGES else -1
    parts = []
    for position, stage in enumerate(STAGES):
        if position < at:
            parts.append(f":green[:material/check:]\u202f{stage}")
        elif position == at:
            parts.append(f":blue[**{stage} {job.stage_fraction:.0%}**]")
        else:
            parts.append(f":gray[{stage}]")
    st.caption("&emsp;".join(parts), help=" → ".join(STAGE_TITLES[stage] for stage in STAGES))
