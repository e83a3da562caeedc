"""What the check of an upload found, for a person: verdict, probes, mismatches, what was done to the data."""

import json

import pandas as pd
import streamlit as st

from ntkviz.models.guess import guess_text
from ntkviz.models.report import ProbeRow
from ntkviz.models.upload_report import UploadReport
from ntkviz.ui import state
from ntkviz.ui.text import escape, megabytes, percent

_NAMES = {
    "mode": "In evaluation mode",
    "output": "Gives logits",
    "finite": "Outputs are finite",
    "deterministic": "The same twice",
    "batch": "Independent of the batch",
    "responds": "Depends on its input",
    "logits": "Logits, no probabilities",
    "coverage": "All parameters are used",
    "accuracy": "Better than guessing",
    "labels": "Order of the classes",
    "normalisation": "Normalisation of the inputs",
}


def show_report(report: UploadReport) -> None:
    """Draw a report."""
    st.divider()
    if report.guess is not None:
        _guess(report.guess)
    elif not report.ok:
        st.error(escape(report.message, limit=1200), icon=":material/error:")
        _mismatches(report)
    else:
        st.success(f"{escape(report.name)} can be studied. It is chosen below.", icon=":material/check_circle:")
        _figures(report)
    _probes(report)
    _notes(report)


def _figures(report: UploadReport) -> None:
    data = report.dataset or {}
    classes = max(2, report.n_classes or 2)
    cells = st.columns(5)
    cells[0].metric(
        "Right on test points", percent(report.accuracy_test), help=f"Guessing among {classes} classes gets {1 / classes:.1%}."
    )
    cells[1].metric("Right on training points", percent(report.accuracy_train))
    cells[2].metric("Points", f"{data.get('n_train', 0):,} + {data.get('n_test', 0):,}", help="Training and test points.")
    cells[3].metric("Classes", str(len(data.get("class_names", ()))))
    cells[4].metric("Parameters", f"{report.n_parameters or 0:,}")


def _probes(report: UploadReport) -> None:
    if not report.rows:
        return
    st.markdown("**What was tried**")
    for row in report.rows:
        mark, name, text = st.columns([1, 2.4, 6.6], vertical_alignment="center")
        with mark:
            _badge(row)
        name.markdown(_NAMES.get(row.name, row.name))
        text.caption(escape(row.message, limit=700))
        if row.normalise is not None and st.session_state.get("_upload_normalise") in {"none", "given"}:
            text.button("Normalise so", key="use_scale", icon=":material/tune:", on_click=_normalise, args=(row.normalise,))


def _badge(row: ProbeRow) -> None:
    if row.passed:
        st.badge("pass", color="green", icon=":material/check:")
    elif row.severity == "error":
        st.badge("fail", color="red", icon=":material/close:")
    else:
        st.badge("warn" if row.severity == "warning" else "note", color="orange", icon=":material/priority_high:")


def _mismatches(report: UploadReport) -> None:
    if report.table:
        st.markdown("**Where weights and architecture differ**")
        rows = pd.DataFrame([(row.name, row.expected or "–", row.found or "–") for row in report.table])
        rows.columns = ["name", "the architecture expects", "the file has"]
        st.dataframe(rows, hide_index=True, width="stretch", height=min(38 + 35 * len(rows), 320))


def _guess(guess: dict) -> None:
    """Layers that fit the weights: what nobody can read from them is for a person to say."""
    st.info(
        f"**These layers fit the weights**: {escape(guess_text(guess), limit=600)}. Activations and pooling leave no trace in weights and are guesses. "
        "Take the specification over, correct what is not yours, say how inputs are normalised, and check again: the accuracy on your data shows "
        "whether it is right.",
        icon=":material/lightbulb:",
    )
    text = json.dumps(guess, indent=1)
    st.button("Take it over", key="use_guess", type="primary", icon=":material/edit_note:", on_click=_use, args=(text,))
    with st.expander("The specification", icon=":material/data_object:"):
        st.code(text[:4000], language="json")


def _use(text: str) -> None:
    state.put("upload_architecture", "json")
    st.session_state["_upload_json"] = text


def _normalise(scale: dict[str, list[float]]) -> None:
    """Fill these numbers in; the check is for a person to press."""
    st.session_state["_upload_normalise"] = "given"
    for name, key in (("mean", "_upload_mean"), ("std", "_upload_std")):
        st.session_state[key] = ", ".join(f"{value:.6g}" for value in scale[name])


def _notes(report: UploadReport) -> None:
    sentence = (report.duplicates or {}).get("sentence")
    notes = ([sentence] if sentence else []) + list(report.notes)
    if notes:
        st.markdown("**Notes**")
        st.markdown("\n".join(f"- {escape(note, limit=700)}" for note in notes))
    took = f"Checked in {report.seconds:.1f} s" + (
        "" if report.peak_mb is None else f" with {megabytes(report.peak_mb)} of memory"
    )
    lacking = f" This system cannot limit: {', '.join(report.missing_limits)}." if report.missing_limits else ""
    around = f" Read inside of: {', '.join(report.layers)}." if report.layers else ""
    if report.seconds:
        st.caption(escape(f"{took}; sha256 {report.sha256[:16]}.{around}{lacking}"))
