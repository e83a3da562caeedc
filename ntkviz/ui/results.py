"""What came of a job: open the study it made, or say why there is none."""

import streamlit as st

from ntkviz.errors import NtkvizError
from ntkviz.kernels.registry import kernels
from ntkviz.studies.job import Job
from ntkviz.studies.retraining import Retraining
from ntkviz.studies.study import Study
from ntkviz.studies.subjects import find_subject
from ntkviz.studies.sweep import Sweep
from ntkviz.studies.task import Task
from ntkviz.surrogates.registry import surrogates
from ntkviz.ui import cached, state
from ntkviz.ui.measures import measure
from ntkviz.ui.text import escape, number, percent, span


def subject_title(spec: Task) -> str:
    """The title of a study's subject, also when the subject is gone; plain text."""
    try:
        return find_subject(spec.subject_id).title
    except NtkvizError:
        return spec.subject_id


def open_made(job: Job) -> None:
    """Show the last study that a job made on all pages from now on."""
    made = job.studies_made
    if made:
        state.put("study", made[-1])
        state.forget("point")


def outcome(job: Job) -> None:
    """A box with what came of a job that has ended, and where to go from here."""
    made = job.studies_made
    with st.container(border=True, key="job"):
        if job.state == "cancelled":
            st.warning(f"Cancelled. {_kept(job)}", icon=":material/stop_circle:")
        for spec, error in zip(job.specs, job.errors, strict=False):
            if error:
                st.error(f"**{title_of(spec)}:** {escape(error, limit=1200)}", icon=":material/error:")
        if job.state == "failed" and not any(job.errors):
            st.error(escape(job.error, limit=1200), icon=":material/error:")
        shown = _made(made) if made else None
        others = [spec for spec, key in zip(job.specs, job.results, strict=False) if key and isinstance(spec, Retraining | Sweep)]
        with st.container(horizontal=True):
            if shown is not None:
                _onwards(shown)
            for spec in others:
                _to_result(spec)
            st.button(
                "Dismiss", key="dismiss_job", type="tertiary", icon=":material/close:", on_click=state.forget, args=("job",)
            )


def title_of(spec: Task) -> str:
    """Kernel and surrogate of a study in words, or what a retraining or a sweep does."""
    if isinstance(spec, Sweep):
        return f"{kernels()[spec.kind].title} of {len(spec.dims)} sizes, {spec.dims[0]:,} to {spec.dims[-1]:,}, from {spec.n_seeds} seeds"
    if isinstance(spec, Retraining):
        if spec.kind == "truth":
            return f"Retraining on {spec.n_subsets} random halves from {spec.n_seeds} seeds"
        if spec.kind == "removal":
            sizes = " and ".join(str(k) for k in spec.sizes)
            return f"Retraining without {sizes} points for each of {spec.n_points} test points, from {spec.n_seeds} seeds"
        return f"Retraining with {len(spec.edits)} edit{'' if len(spec.edits) == 1 else 's'} from {spec.n_seeds} seeds"
    return f"{kernels()[spec.kernel].title} · {surrogates()[spec.surrogate].title}"


def _kept(job: Job) -> str:
    count = len(job.studies_made)
    if count:
        return f"{count} finished before that and can be opened below."
    if any(isinstance(spec, Retraining) and spec.kind != "verify" for spec in job.specs):
        return "Networks that were finished are kept: ask for the same again, and it goes on from there."
    return "Nothing was kept."


def _to_result(spec: Retraining | Sweep) -> None:
    """What was retrained or swept, and the page that shows what came of it."""
    if isinstance(spec, Sweep):
        page, words = "compare", "Compare"
    else:
        page, words = ("what_if", "Predicted against retrained") if spec.kind == "verify" else ("fidelity", "Can I trust it?")
    st.success(f"Finished: **{title_of(spec)}** of {escape(subject_title(spec))}.", icon=":material/check_circle:")
    if st.button(words, key=f"go_{page}", icon=":material/model_training:", type="primary"):
        st.switch_page(f"pages/{page}.py", query_params={"study": spec.study} if spec.study else None)


def _made(keys: list[str]) -> Study | None:
    try:
        study = cached.study(keys[-1])
    except (NtkvizError, KeyError):
        st.info("The study has been deleted since.", icon=":material/delete:")
        return None
    others = f" The other {len(keys) - 1} are in the list below." if len(keys) > 1 else ""
    seconds = span(sum(study.seconds.values()))
    st.success(
        f"Finished in {seconds}: **{title_of(study.spec)}** on {escape(study.name)}.{others}", icon=":material/check_circle:"
    )
    headline(study)
    st.caption(escape(study.fidelity.reading(), limit=600))
    return study


def _onwards(study: Study) -> None:
    """The two questions that come next."""
    for label, page, icon in (
        ("Can I trust it?", "pages/fidelity.py", ":material/verified:"),
        ("Explain a prediction", "pages/explain.py", ":material/account_tree:"),
    ):
        if st.button(label, key=f"go_{page[6:-3]}", icon=icon, type="primary"):
            st.switch_page(page, query_params={"study": study.key})


def headline(study: Study) -> None:
    """The figures of a study that matter first."""
    tau, agreement, tad = (measure(study.fidelity, name) for name in ("kendall_tau", "agreement", "tad"))
    cells = st.columns(4)
    cells[0].metric(
        "Kendall's τ",
        number(tau.value),
        help="Do network and surrogate rank the test points alike, by the log-odds of the true class? 1 is perfect imitation, "
        "0 is none.",
    )
    cells[1].metric("Agreement", percent(agreement.value), help="Test points to which both give the same class.")
    cells[2].metric(
        "Accuracy difference",
        f"{100 * tad.value:+.1f} points".replace("-", "−"),
        help="Test accuracy of the surrogate minus that of the network. Near zero is good, but says nothing of single predictions.",
    )
    error = study.self_check.get("max_relative_error")
    cells[3].metric(
        "Kernel check",
        "–" if error is None else f"{error:.0e}",
        help="Largest relative difference of the kernel from a slow float64 reference on three points.",
    )
