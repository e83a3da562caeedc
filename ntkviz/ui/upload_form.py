"""Bring your own: weights with an architecture or an exported program, data, and a check in a child process before anything is taken in.

The files are written to a private folder once and read by the child only; this process never opens them.
"""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from ntkviz.data.options import Limits, ReadOptions
from ntkviz.data.readers import ACCEPTED
from ntkviz.data.sample import sample_card, samples
from ntkviz.data.text import Vocabulary
from ntkviz.errors import NtkvizError, UploadRejected
from ntkviz.models.limits import limits_of
from ntkviz.models.sandbox import scratch_folder
from ntkviz.models.upload import check_upload
from ntkviz.models.upload_report import UploadReport
from ntkviz.studies.server import server
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.uploads import take_in, upload_target
from ntkviz.ui import state, upload_examples
from ntkviz.ui.upload_architecture import GUESS, choose_architecture, choose_normalisation, specification
from ntkviz.ui.upload_report_view import show_report

_WEIGHTS = ["pt2", "safetensors", "pt", "pth"]
#: A browser's file lies in this process's memory until its session ends.
_BROWSER_MB = 64
_DATA = sorted({ending.rsplit(".", 1)[-1] for ending in ACCEPTED})


@dataclass(frozen=True)
class Request:
    """What somebody brought, before any of it was read.

    Attributes:
        weights: the weights file, or an exported program.
        architecture: a specification, or JSON as typed; empty for an exported program, which carries its own.
        normalise: how inputs are normalised, with mean and standard deviation as typed.
        data: the data file, or ``None`` with ``sample``.
        sample: name of a bundled sample whose data to take.
        options: how to read the data.
        drop_duplicates: leave repeated points out.
        title: what to call it.
    """

    weights: UploadedFile | None
    architecture: dict[str, Any] | str | None
    normalise: tuple[str | None, str, str]
    data: UploadedFile | None
    sample: str | None
    options: dict[str, Any] = field(default_factory=dict)
    drop_duplicates: bool = False
    title: str = ""

    @property
    def guesses(self) -> bool:
        """Whether the architecture is to be guessed; nothing but the weights is needed for that."""
        return self.architecture == GUESS and not exported(self.weights)

    def missing(self) -> list[str]:
        """What has to be given still."""
        if self.guesses:
            return [] if self.weights is not None else ["the weights"]
        parts = {
            "the weights": self.weights is not None,
            "the architecture": self.architecture is not None,
            "the normalisation": self.normalise[0] is not None,
            "the data": self.data is not None or self.sample is not None,
        }
        return [what for what, given in parts.items() if not given]


def upload_form() -> None:
    """Draw the form, check what was brought when asked to, and show what the check found.

    Raises:
        NtkvizError: when the list of architectures cannot be had.
    """
    with st.container(border=True, key="upload"):
        left, right = st.columns(2, gap="large")
        with left:
            st.markdown("**The network**")
            weights = st.file_uploader(
                "Weights, or an exported program",
                type=_WEIGHTS,
                key="_upload_weights",
                max_upload_size=_mb(),
                help=f"An exported program as .pt2, or a state dict as .safetensors or .pt, at most {_mb()} MB. Whole pickled modules are "
                "refused: opening one runs its code.",
            )
            architecture, normalise = _architecture(weights)
        with right:
            st.markdown("**The data that it was trained on**")
            data, sample = _data()
            options, drop = _reading()
            title = st.text_input(
                "Name", key="_upload_title", placeholder="My network", max_chars=80, help="For headings and lists."
            )
            _examples()
        request = Request(weights, architecture, normalise, data, sample, options, drop, title)
        _check_button(request)
        report = state.get("upload_report")
        if report is not None:
            show_report(UploadReport.from_dict(report))


def _mb() -> int:
    """MB of a file that a browser may send."""
    return min(_BROWSER_MB, int(limits_of(server().mode).file_mb))


def exported(weights: UploadedFile | None) -> bool:
    """Whether a file is an exported program, by its name; what it holds, the check finds out."""
    return weights is not None and weights.name.lower().endswith(".pt2")


def _architecture(weights: UploadedFile | None) -> tuple[dict[str, Any] | str | None, tuple[str | None, str, str]]:
    """Draw what has to be said of the layers and of the normalisation."""
    if exported(weights):
        st.caption("An exported program carries its architecture. Only operations of an allow-list run, and no code.")
        return {}, choose_normalisation(from_json=False)
    architecture = choose_architecture()
    if architecture == GUESS:
        return architecture, (None, "", "")
    return architecture, choose_normalisation(from_json=not isinstance(architecture, dict))


def _data() -> tuple[UploadedFile | None, str | None]:
    names = samples()
    how = st.segmented_control(
        "Data",
        ["file", "sample"],
        default="file",
        required=True,
        key="_upload_data_how",
        label_visibility="collapsed",
        format_func={"file": "A file of mine", "sample": "Data of a sample"}.__getitem__,
    )
    if how == "sample" and names:
        return None, st.selectbox("Sample", names, format_func=lambda name: sample_card(name).title, key="_upload_sample")
    teaching = server().mode == "teaching"
    limit = min(_mb(), int(Limits.for_mode(server().mode).file_mb))
    file = st.file_uploader(
        "Data file",
        type=["csv"] if teaching else _DATA,
        key="_upload_data",
        max_upload_size=limit,
        help=f"{'.csv' if teaching else ', '.join(ACCEPTED)}, at most {limit} MB. Explanations name training examples, so bring those that the network was trained on.",
    )
    return file, None


def _reading() -> tuple[dict[str, Any], bool]:
    """How to read the data; only what differs from the usual."""
    with st.expander("How to read the data", icon=":material/tune:"):
        label = st.text_input("Label column", key="_upload_label", placeholder="label, target, class, or the last one")
        names = st.text_input("Class names, in the order of the logits", key="_upload_classes", placeholder="as found, sorted")
        fraction = st.slider("Share of test points when the data have no split", 0.05, 0.5, 0.2, 0.05, key="_upload_fraction")
        missing = st.radio("Rows with missing values", ["refuse", "drop"], horizontal=True, key="_upload_missing")
        drop = st.toggle("Leave repeated points out", key="_upload_duplicates", help="They are counted in the report either way.")
        vocabulary = st.file_uploader(
            "Vocabulary of a text network",
            type=["json"],
            key="_upload_vocabulary",
            max_upload_size=16,
            help='{"tokens": ["<pad>", "<unk>", ...]}',
        )
    options: dict[str, Any] = {"test_fraction": fraction, "missing": missing}
    if label.strip():
        options["label_column"] = label.strip()
    if names.strip():
        options["class_names"] = tuple(part.strip() for part in names.split(","))
    if vocabulary is not None:
        options["vocabulary"] = vocabulary
    return options, drop


def _examples() -> None:
    with st.expander("How to save a model and data; example files", icon=":material/help:"):
        st.code(upload_examples.save_lines(), language="python")
        for example in upload_examples.EXAMPLES:
            st.download_button(
                example.name,
                example.make,
                file_name=example.name,
                mime=example.mime,
                icon=":material/download:",
                on_click="ignore",
                help=example.about,
                key=f"get_{example.name}",
            )


def _check_button(request: Request) -> None:
    missing = request.missing()
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Check", key="check_upload", type="primary", icon=":material/fact_check:", disabled=bool(missing))
        if missing:
            st.caption(f"Still needed: {', '.join(missing)}.")
        else:
            st.caption("Files are read in a process of their own, with limits on memory and time. No code in them is ever run.")
    if pressed:
        with st.spinner("Reading the files and trying the network out …", show_time=True):
            report = check(request)
        state.put("upload_report", report.as_dict())


def check(request: Request) -> UploadReport:
    """Check what somebody brought and take it in as a subject when it is sound; the subject is chosen then.

    Args:
        request: complete.

    Returns:
        The report; a refusal is one with ``ok`` False.
    """
    weights = request.weights
    name = weights.name if weights is not None else ""
    home = ntkviz_home()
    target = upload_target(home)
    try:
        with scratch_folder() as folder:
            report = _checked(request, folder, target)
        if report.ok:
            subject = take_in(report, home=home, title=request.title)
            state.put("subject", subject.id)
            state.forget("n_train", "n_test")
        return report
    except NtkvizError as error:
        return UploadReport(name=name, message=str(error))
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _checked(request: Request, folder: Path, target: Path) -> UploadReport:
    """Write the files where only the child will read them, and let it.

    Raises:
        UploadRejected: when something is missing or cannot be meant.
        NtkvizError: when the child cannot be started.
    """
    if request.guesses and request.weights is not None:
        return check_upload(_written(request.weights, folder / "weights"), None, mode=server().mode)
    how, mean, std = request.normalise
    if request.weights is None or request.architecture is None or how is None:
        raise UploadRejected(f"Still needed: {', '.join(request.missing())}.")
    options = dict(request.options)
    if options.get("vocabulary") is not None:
        options["vocabulary"] = Vocabulary.from_json(options["vocabulary"].getvalue().decode("utf-8", "replace"))
    try:
        reading = ReadOptions(**options)
    except ValueError as error:
        raise UploadRejected(str(error)) from error
    architecture = specification(request.architecture, how, mean, std)
    return check_upload(
        _written(request.weights, folder / "weights"),
        architecture or None,
        None if request.data is None else _written(request.data, folder / "data"),
        mode=server().mode,
        folder=target,
        sample=request.sample,
        options=reading,
        drop_duplicates=request.drop_duplicates,
    )


def _written(file: UploadedFile, folder: Path) -> Path:
    """The file on disk, under a name that is a plain one whatever the browser said."""
    folder.mkdir()
    path = folder / (re.sub(r"[^\w.\- ]", "_", Path(file.name).name).lstrip(".")[-80:] or "file")
    path.write_bytes(file.getbuffer())
    return path
