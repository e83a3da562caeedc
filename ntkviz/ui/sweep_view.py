"""The sweep of the size of a projection on the page Compare: its quote, its job, and what came of it."""

from pathlib import Path

import pandas as pd
import streamlit as st

from ntkviz.errors import NtkvizError, StoreCorrupted
from ntkviz.figures.sweep import reading_sweep, sweep_panels
from ntkviz.kernels.registry import kernels
from ntkviz.studies import jobs
from ntkviz.studies.job import Job
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.studies.sweep import EXACT, Sweep, Swept, load_sweep, spread, sweep_folder, sweeps_of
from ntkviz.studies.sweep_run import quote_sweep, specs_to_quote
from ntkviz.ui import gates, layout, person, progress, recipe_form, state
from ntkviz.ui.quoting import quote_when_known
from ntkviz.ui.text import escape, megabytes, span

SIZES = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
_USUAL = (128, 256, 512, 1024)
_TRAIN, _TEST = 256, 64


@gates.guarded()
def projection_size(study: Study) -> None:
    """The whole section."""
    st.caption(
        "A projected kernel replaces gradients by a number of random combinations of them. How many are enough? Each size is computed from several seeds and "
        "held against the exact kernel of the same points."
    )
    running = _under_way(study)
    if running is not None:
        progress.follow(running)
        recipe_form.follow(running)
    elif person.may_change():
        _plan(study)
    made = sweeps_of(ntkviz_home(), study.spec.subject_id)
    if made:
        _results(made)
    elif running is None:
        st.info("No sweep of this network yet.", icon=":material/ssid_chart:")


def sweep_table(found: Swept) -> pd.DataFrame:
    """One row a size, with means over seeds and their 95 % intervals."""
    table = pd.DataFrame({"size": found.dims})
    for name, values in (("error", found.error), (f"overlap@{found.n_neighbours}", found.overlap), ("τ", found.tau)):
        one = spread(values)
        table[name], table[f"{name}, low"], table[f"{name}, high"] = one.mean, one.low, one.high
    table["seconds, mean"] = found.seconds.mean(axis=1)
    table["seconds, exact"] = found.exact_seconds
    return table


def _plan(study: Study) -> None:
    """What would be computed, how long it takes, and the button."""
    _told(state.get("job"))
    rows = kernels()
    left, middle, right = st.columns([2, 4, 1], vertical_alignment="bottom")
    with left:
        kind = state.sticky(
            st.selectbox,
            "Kernel",
            key="sweep_kind",
            default="proj_trntk",
            options=list(EXACT),
            format_func=lambda key: rows[key].title,
        )
    with middle:
        dims = state.sticky(
            st.pills,
            "Sizes",
            key="sweep_sizes",
            default=list(_USUAL),
            options=list(SIZES),
            format_func=lambda size: f"{size:,}",
            selection_mode="multi",
            help="Time grows with the sum of the sizes.",
        )
    with right:
        seeds = state.sticky(st.number_input, "Seeds", key="sweep_seeds", default=5, min_value=2, max_value=50, step=1)
    if not dims:
        st.caption("Choose at least one size.")
        return
    asked = Sweep(
        study.spec.subject_id,
        study.key,
        kind,
        tuple(sorted(int(size) for size in dims)),
        int(seeds),
        min(_TRAIN, study.n_train),
        min(_TEST, study.n_test),
    )
    if sweep_folder(ntkviz_home(), asked).is_dir():
        st.caption(":material/check: This was computed: see below.")
        return
    _quoted(asked)


def _quoted(asked: Sweep) -> None:
    """The quote and the button."""
    found = quote_when_known(specs_to_quote(asked))
    if found is None:
        st.fragment(_until_known, run_every=1.0)(asked)
        return
    estimate = quote_sweep(asked, found)
    st.markdown(
        f"**About {span(estimate.seconds)}**, {megabytes(estimate.memory_mb)} of memory: {asked.n_seeds * len(asked.dims)} projected kernels and the exact one "
        f"of {asked.n_train:,} training and {asked.n_test:,} test points, a part of the study's drawn by class. The work is done beside the app and can be cancelled."
    )
    if st.button("Sweep", key="run_sweep", type="primary", icon=":material/play_arrow:"):
        try:
            recipe_form.follow(jobs.start_sweep(asked))
        except NtkvizError as error:
            st.error(escape(error, limit=1200), icon=":material/error:")
            return
        st.rerun(scope="app")


def _until_known(asked: Sweep) -> None:
    """Say that the quote is being measured, and draw the page again when it is there."""
    try:
        known = quote_when_known(specs_to_quote(asked)) is not None
    except NtkvizError:  # the page says which, when it asks
        known = True
    if known:
        st.rerun(scope="app")
    st.caption(
        ":material/timer: Measuring what a projection costs on this machine: some seconds, once for each network and kernel."
    )


def _results(made: list[Path]) -> None:
    """The sweep on show, with a choice among all of this network."""
    titles = {path.name: path for path in made}
    chosen = made[0].name
    if len(made) > 1:
        chosen = state.sticky(
            st.selectbox,
            "Sweeps that were computed",
            key="sweep_shown",
            default=chosen,
            options=list(titles),
            format_func=lambda name: _title(titles[name]),
        )
    asked, found = _read(str(ntkviz_home()), str(titles[chosen]), titles[chosen].stat().st_mtime_ns)
    layout.figure(sweep_panels(found), reading_sweep(found), sweep_table(found), key="sweep")
    st.caption(
        f"{kernels()[asked.kind].title} against {kernels()[EXACT[asked.kind]].title}; {asked.n_seeds} seeds a size, means with 95 % intervals (Student's t). Error: "
        f"Frobenius norm, test against training points. {' '.join(escape(note, limit=400) for note in found.notes)}"
    )


def _title(path: Path) -> str:
    try:
        asked, _ = _read(str(ntkviz_home()), str(path), path.stat().st_mtime_ns)
    except (StoreCorrupted, KeyError):
        return f"damaged, {path.name[:8]}"
    sizes = f"{asked.dims[0]:,} to {asked.dims[-1]:,}"
    return f"{kernels()[asked.kind].title}, {sizes}, {asked.n_seeds} seeds, {asked.n_train} + {asked.n_test} points · {path.name[:6]}"


def _under_way(study: Study) -> Job | None:
    """A sweep of this network that waits or runs, whoever asked for it."""
    for job in jobs.list_jobs():
        if not job.ended and any(isinstance(spec, Sweep) and spec.subject_id == study.spec.subject_id for spec in job.specs):
            return job
    return None


def _told(job_id: object) -> None:
    """Why the sweep that this session followed last failed, if it did."""
    try:
        job = jobs.status(str(job_id)) if job_id else None
    except (KeyError, NtkvizError):
        return
    if job is not None and job.state == "failed" and isinstance(job.specs[0], Sweep):
        st.error(escape(job.error, limit=1200), icon=":material/error:")


@st.cache_resource(max_entries=8, show_spinner=False)
def _read(home: str, path: str, stamp: int) -> tuple[Sweep, Swept]:
    return load_sweep(Path(path))
