"""What the store holds, what it takes, and how to be rid of it; the jobs with their logs."""

from contextlib import suppress
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from ntkviz.errors import NtkvizError
from ntkviz.kernels.registry import kernels
from ntkviz.studies import jobs
from ntkviz.studies.janitor import quota_mb
from ntkviz.studies.job import Job, log_path
from ntkviz.studies.store import StudyEntry
from ntkviz.studies.subjects import Subject, subjects
from ntkviz.studies.uploads import delete_upload
from ntkviz.ui import cached, finished, layout, state
from ntkviz.ui.results import subject_title, title_of
from ntkviz.ui.text import ago, escape, megabytes, span

_LOG_BYTES = 8000
_STATES = {"queued": "gray", "running": "blue", "done": "green", "failed": "red", "cancelled": "orange"}
_SHOWN_JOBS = 20


def kernels_table(entries: list[StudyEntry]) -> pd.DataFrame:
    """The stored kernels, the largest first: what they are of, their size, how many studies use each.

    Args:
        entries: of the store.
    """
    rows: dict[str, dict] = {}
    for entry in entries:
        if entry.spec is None:
            continue
        n, m = entry.summary["n_train"], entry.summary["n_test"]
        row = rows.setdefault(
            entry.kernel_key,
            {
                "kernel": kernels()[entry.spec.kernel].title,
                "model and data": entry.summary["subject"],
                "N": n,
                "M": m,
                "MB": round(4 * (n * n + m * n) / 2**20, 2),
                "studies": 0,
                "key": entry.kernel_key[:12],
            },
        )
        row["studies"] += 1
    return pd.DataFrame(sorted(rows.values(), key=lambda row: -row["MB"]))


def show_storage() -> None:
    """Kernels, studies and uploads with what they take."""
    entries = cached.store().list_studies()
    table = kernels_table(entries)
    st.markdown("**Kernels** go when the last study on them is deleted.")
    if len(table):
        st.dataframe(table, hide_index=True, width="stretch", height=min(38 + 35 * len(table), 300))
        layout.download_csv(table, key="kernels_stored")
    else:
        st.caption("None.")
    _delete_unused(entries)
    _pin_studies(entries)
    _delete_studies(entries)
    brought = [subject for subject in subjects(cached.store()) if subject.source == "upload"]
    st.markdown("**Uploads**")
    if not brought:
        st.caption("None.")
    for subject in brought:
        _upload(subject)


def unused_kernels(entries: list[StudyEntry]) -> list[Path]:
    """Folders of kernels that no study uses: those of jobs that ended between kernel and surrogate. None while a job runs.

    Args:
        entries: of the store.
    """
    folder = cached.store().home / "kernels"
    if not folder.is_dir() or any(entry.problem for entry in entries) or any(not job.ended for job in jobs.list_jobs()):
        return []
    used = {entry.kernel_key for entry in entries}
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in used and not path.name.startswith("."))


def _delete_unused(entries: list[StudyEntry]) -> None:
    unused = unused_kernels(entries)
    if unused:
        size = sum(path.stat().st_size for folder in unused for path in folder.iterdir()) / 2**20
        many = "1 kernel is" if len(unused) == 1 else f"{len(unused)} kernels are"
        st.button(
            f"Delete what no study uses ({megabytes(size)})",
            key="delete_unused",
            icon=":material/cleaning_services:",
            help=f"{many} of jobs that ended before their study was made. A new run would take up where they stopped.",
            on_click=_discard,
            args=(unused,),
        )


def _discard(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(ValueError):  # gone meanwhile
            cached.store().discard(folder)


def _pin_studies(entries: list[StudyEntry]) -> None:
    """Where there is a quota, which studies stay whatever it says."""
    limit = quota_mb()
    if limit is None or not entries:
        return
    store = cached.store()
    titles = {entry.key: _title(entry) for entry in entries}
    st.markdown(
        f"**Quota.** Above {megabytes(limit)} the longest unused studies are deleted, the newest and those pinned here excepted."
    )
    st.multiselect(
        "Pinned studies",
        list(titles),
        default=sorted(store.pinned() & set(titles)),
        format_func=lambda key: titles[key],
        key="_pinned",
        placeholder="None",
        on_change=lambda: _pin(tuple(titles)),
    )


def _pin(keys: tuple[str, ...]) -> None:
    store, chosen = cached.store(), set(st.session_state["_pinned"])
    for key in keys:
        store.pin(key, pinned=key in chosen)


def _delete_studies(entries: list[StudyEntry]) -> None:
    st.markdown("**Studies**")
    if not entries:
        st.caption("None.")
        return
    titles = {entry.key: _title(entry) for entry in entries}
    chosen = st.multiselect(
        "Studies to delete",
        list(titles),
        format_func=lambda key: titles[key],
        key="_doomed",
        placeholder="Choose studies to delete",
    )
    label = "Delete" if not chosen else f"Delete {len(chosen)} {'study' if len(chosen) == 1 else 'studies'}"
    with st.popover(label, icon=":material/delete:", disabled=not chosen, key="ask_doomed"):
        st.markdown("They cannot be brought back, only run again.")
        st.button("Delete", key="delete_doomed", type="primary", on_click=partial(_remove, tuple(chosen)))


def _title(entry: StudyEntry) -> str:
    if entry.spec is None:
        return f"damaged, {entry.key[:8]}"
    return f"{entry.summary['subject']} · {layout.title_of(entry)}"


def _remove(keys: tuple[str, ...]) -> None:
    for key in keys:
        finished.remove(key)
    st.session_state["_doomed"] = []
    state.put("flash", f"{len(keys)} {'study was' if len(keys) == 1 else 'studies were'} deleted.")


def _upload(subject: Subject) -> None:
    size = sum(path.stat().st_size for path in subject.files if path.is_file()) / 2**20
    name, facts, gone = st.columns([3, 5, 1], vertical_alignment="center")
    name.markdown(escape(subject.title))
    facts.caption(f"{subject.id} · {megabytes(size)} · {subject.n_train:,} + {subject.n_test:,} points")
    with gone.popover("", icon=":material/delete:", help="Delete this upload", key=f"ask_{subject.id}"):
        st.markdown("Delete the network and its data? Studies of it stay and can be shown, but examples can no longer be.")
        st.button(
            "Delete", key=f"delete_{subject.id}", type="primary", on_click=partial(delete_upload, cached.store().home, subject.id)
        )


def show_jobs() -> None:
    """The jobs, newest first, with what their processes printed."""
    found = jobs.list_jobs()
    if not found:
        st.caption("None.")
        return
    for job in found[:_SHOWN_JOBS]:
        _job(job)
    if len(found) > _SHOWN_JOBS:
        st.caption(f"And {len(found) - _SHOWN_JOBS} older ones.")


def _job(job: Job) -> None:
    mark, what, when, log, gone = st.columns([1, 5, 2.2, 1, 1], vertical_alignment="center")
    with mark:
        st.badge(job.state, color=_STATES[job.state])  # type: ignore[arg-type]
    spec = job.specs[0]
    more = f" and {len(job.specs) - 1} more" if len(job.specs) > 1 else ""
    what.markdown(f"{escape(subject_title(spec), limit=60)}: {title_of(spec)}{more}")
    if job.error:
        what.caption(escape(job.error, limit=400))
    left = f", {span(job.eta_seconds)} left" if job.eta_seconds is not None else ""
    when.caption(f"{ago(job.created)}" if job.ended else f"{job.fraction:.0%}{left}")
    with log.popover("Log", key=f"log_{job.id}", on_change="rerun") as box:
        if box.open:
            st.text(read_log(job) or "It printed nothing.")
    if job.ended:
        gone.button(
            "",
            icon=":material/delete:",
            key=f"forget_{job.id}",
            help="Forget this job; its studies stay",
            on_click=partial(_forget, job.id),
        )
    else:
        gone.button("", icon=":material/stop_circle:", key=f"stop_{job.id}", help="Cancel", on_click=partial(_cancel, job.id))


def _cancel(job_id: str) -> None:
    jobs.cancel(job_id)


def _forget(job_id: str) -> None:
    try:
        jobs.delete_job(job_id)
    except (NtkvizError, KeyError, ValueError):
        state.put("flash", "The job is gone already, or runs again.")
    if state.get("job") == job_id:
        state.forget("job")


def read_log(job: Job) -> str:
    """The end of what a job's process printed."""
    try:
        with log_path(cached.store().home, job.id).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LOG_BYTES))
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""
