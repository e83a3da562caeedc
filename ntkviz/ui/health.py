"""Is this server in order? The doctor in a process of its own (it loads torch), and what can be said without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import streamlit as st

from ntkviz.data.options import Limits
from ntkviz.errors import NtkvizError
from ntkviz.models.limits import limits_of
from ntkviz.studies.artefact import versions
from ntkviz.studies.machine import available_memory_mb, memory_limit_mb, n_threads
from ntkviz.studies.server import VARIABLES, server
from ntkviz.ui import cached, state
from ntkviz.ui.text import escape, megabytes, number

_MODES = {
    "local": "One person on one machine.",
    "team": "Several people, each with a folder of their own.",
    "teaching": "A class: each with a folder of their own, small limits.",
}
_SECONDS = 120
_ROOT = Path(__file__).resolve().parents[2]


def examine() -> list[dict]:
    """Run ``python -m ntkviz doctor``; its findings.

    Raises:
        NtkvizError: when it gives no answer.
    """
    environment = {**os.environ, "NTKVIZ_HOME": str(cached.store().home)}
    try:
        run = subprocess.run(
            [sys.executable, "-m", "ntkviz", "doctor", "--json"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            cwd=_ROOT,
            env=environment,
            check=False,
        )
        return json.loads(run.stdout)["findings"]
    except subprocess.TimeoutExpired as error:
        raise NtkvizError(f"The examination took more than {_SECONDS} s. Run `python -m ntkviz doctor` in a terminal.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NtkvizError(f"The examination gave no answer ({error}). Run `python -m ntkviz doctor` in a terminal.") from error


def show_health() -> None:
    """The figures at a glance, and the doctor's findings when asked for.

    Raises:
        NtkvizError: when a figure cannot be had.
    """
    usage = cached.store().usage()
    cells = st.columns(5)
    cells[0].metric(
        "Mode", server().mode, help=f"{_MODES[server().mode]} It is set by the server's configuration, never by the browser."
    )
    cells[1].metric("Free memory", megabytes(available_memory_mb()), help=f"A study may take {megabytes(memory_limit_mb())}.")
    cells[2].metric("Free disk", megabytes(usage.free_bytes / 2**20))
    cells[3].metric("Store", megabytes(usage.n_bytes / 2**20), help=f"{usage.n_studies} studies on {usage.n_kernels} kernels.")
    cells[4].metric("Threads", str(n_threads()), help="For numeric work; OMP_NUM_THREADS sets it.")
    if server().has_people:  # where things lie, and a minute of this machine's work, are for whoever runs the server
        st.caption("Whoever runs this server examines it with `python -m ntkviz doctor`.")
        return
    if st.button(
        "Examine everything",
        key="examine",
        icon=":material/health_and_safety:",
        help="Loads torch and every sample, and reads every stored file again: some seconds.",
    ):
        with st.spinner("Loading torch and the samples, reading the store …", show_time=True):
            state.put("health", examine())
    st.caption(f"The store is the folder {escape(cached.store().home)} (NTKVIZ_HOME).")
    for finding in state.get("health") or ():
        _finding(finding)


def _finding(finding: dict) -> None:
    mark, name, text = st.columns([0.8, 1.6, 7], vertical_alignment="center")
    with mark:
        st.badge("ok" if finding["ok"] else "broken", color="green" if finding["ok"] else "red")
    name.markdown(escape(finding["name"]))
    text.caption(
        escape(finding["found"], limit=800) + (f" **{escape(finding['next_step'], limit=400)}**" if finding["next_step"] else "")
    )


def show_limits() -> None:
    """What may be brought and what a study may take."""
    mode = server().mode
    models, data = limits_of(mode), Limits.for_mode(mode)
    rows = [
        ("A file through the browser", f"{st.get_option('server.maxUploadSize')} MB", "server.maxUploadSize"),
        ("Parameters of a network", f"{models.n_parameters:,}", "mode"),
        ("Memory of the process that reads uploads", megabytes(models.memory_mb), "mode"),
        ("Seconds of that process", str(models.seconds), "mode"),
        ("Points of a data set", f"{data.rows:,}", "mode"),
        ("Columns of a table", f"{data.features:,}", "mode"),
        ("Pixels of an image", f"{data.pixels:,}", "mode"),
        ("Classes", f"{data.classes:,}", "mode"),
        ("Memory of a study", megabytes(memory_limit_mb()), "NTKVIZ_MEMORY_MB"),
        *_granted(),
    ]
    st.dataframe(pd.DataFrame(rows, columns=["what", "limit", "set by"]), hide_index=True, width="stretch")


def _granted() -> list[tuple[str, str, str]]:
    """What a person is granted; limits that do not exist are left out."""
    granted = server()
    rows = [
        ("Jobs of a person at a time", granted.most_jobs, "", VARIABLES["most_jobs"]),
        ("Training and test points of a study", granted.most_points, "", VARIABLES["most_points"]),
        ("Minutes of a job", granted.most_minutes, "", VARIABLES["most_minutes"]),
        ("A person's folder", granted.quota_mb, " MB", VARIABLES["quota_mb"]),
        ("Days that an unused folder is kept", granted.expiry_days, "", VARIABLES["expiry_days"]),
    ]
    return [(what, f"{limit:,.0f}{unit}", name) for what, limit, unit, name in rows if limit is not None]


def show_versions() -> None:
    """The versions that results depend on."""
    rows = [(name, version) for name, version in {**versions(), "streamlit": st.__version__}.items()]
    st.dataframe(pd.DataFrame(rows, columns=["package", "version"]), hide_index=True, width="content")


def seconds_words(seconds: float | None) -> str:
    """Seconds in a table."""
    return "–" if seconds is None else f"{number(seconds)} s"
