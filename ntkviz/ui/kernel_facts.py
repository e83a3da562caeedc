"""What is computed of a stored kernel once, for the pages that lay kernels side by side."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.figures import matrix, spectrum
from ntkviz.kernels import diagnostics
from ntkviz.studies.derived import folder_of, kept
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.ui import cached, layout, selection
from ntkviz.ui.clicks import drawn, steady

if TYPE_CHECKING:
    import plotly.graph_objects as go


#: Raised when facts come out otherwise than before, so that old ones are left alone.
FACTS_VERSION = 1


@dataclass(frozen=True)
class Shown:
    """A stored kernel in one form.

    Attributes:
        key: names its file.
        title: for headings; differs from that of every other kernel beside it.
        cosine: whether it is shown as cosines, and not as it was computed.
    """

    key: str
    title: str
    cosine: bool


@dataclass(frozen=True)
class Facts:
    """What is computed of one kernel once.

    Attributes:
        spectrum: its eigenvalues.
        alignment: with the labels.
        similarity: ``[C, C]``, mean similarity between classes.
        contrast: within and between classes.
    """

    spectrum: diagnostics.Spectrum
    alignment: diagnostics.Alignment
    similarity: np.ndarray
    contrast: diagnostics.ClassContrast


_PARTS = (Facts, diagnostics.Spectrum, diagnostics.Alignment, diagnostics.ClassContrast)


def facts(kernels: list[Shown]) -> dict[str, Facts]:
    """The facts of some kernels, by title."""
    return {kernel.title: _facts(str(ntkviz_home()), kernel.key, kernel.cosine) for kernel in kernels}


def cka(kernels: list[Shown]) -> np.ndarray:
    """CKA of each pair, ``[K, K]``."""
    return _cka(str(ntkviz_home()), tuple(kernels))


def panels(kernels: list[Shown], study: Study, *, key: str, own: bool = True) -> None:
    """The matrices as pictures; a box drawn on one chooses its training points.

    Args:
        kernels: one to six, of the points of the study.
        study: whose labels sort the points.
        key: names the chart; unique on the page.
        own: whether its points are those of the study on show, of which the selection speaks.
    """
    with st.spinner("Drawing the kernels …"):
        fig, reading = _panels(str(ntkviz_home()), tuple(kernels), study.key, boxed=own)
    if not own:
        layout.figure(fig, reading, key=key)
        return
    layout.figure(fig, reading, key=key, on_select=partial(_choose_box, key, study), selection_mode="box")
    st.caption("Draw a box with the mouse: the training points of its rows and columns are chosen on all pages.")


def closest_pairs(kernel: Shown, labels: np.ndarray, first: int, second: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """:func:`ntkviz.kernels.diagnostics.closest_pairs` of a stored kernel."""
    return diagnostics.closest_pairs(_values(str(ntkviz_home()), kernel.key, kernel.cosine), labels, first, second, k=k)


def spectra(facts: dict[str, Facts]) -> None:
    """Eigenvalues and effective rank, side by side."""
    found = {title: fact.spectrum for title, fact in facts.items()}
    left, right = st.columns([3, 2])
    with left:
        table = pd.DataFrame(
            [
                {"kernel": title, "rank": rank + 1, "eigenvalue": value}
                for title, one in found.items()
                for rank, value in enumerate(one.eigenvalues[:100].tolist())
            ]
        )
        layout.figure(
            spectrum.eigenvalue_decay(found), spectrum.reading_eigenvalue_decay(found), table, key="eigenvalues_first_100"
        )
    with right:
        table = pd.DataFrame(
            [
                {
                    "kernel": title,
                    "effective rank": one.effective_rank,
                    "participation ratio": one.participation_ratio,
                    "numerical rank": one.n_numerical_rank,
                    "condition number": one.condition_number,
                }
                for title, one in found.items()
            ]
        )
        layout.figure(spectrum.effective_rank_bars(found), spectrum.reading_effective_rank(found), table, key="effective_rank")


def _choose_box(chart: str, study: Study) -> None:
    """Choose the training points of the rows and columns within the box that was drawn."""
    box = drawn(chart)
    if box is not None:
        points = matrix.points_within(matrix.blocks(study.y_train), box.x, box.y)
        selection.choose("train", study.train_index[points])
        selection.redraw()


@st.cache_resource(max_entries=8, show_spinner=False)
def _values(home: str, kernel_key: str, cosine: bool) -> np.ndarray:
    """The matrix ``[N, N]`` in one form; shared, never to be changed."""
    blocks = cached.kernel_blocks(kernel_key).blocks
    return blocks.normalised().train if cosine else blocks.train


@st.cache_resource(max_entries=32, show_spinner=False)
def _facts(home: str, kernel_key: str, cosine: bool) -> Facts:
    """Kept on the disk: at 10,000 points the eigenvalues take a minute."""

    def make() -> Facts:
        values, run = _values(home, kernel_key, cosine), cached.kernel_blocks(kernel_key)
        n_classes = len(run.class_names)
        return Facts(
            spectrum=diagnostics.spectrum(values),
            alignment=diagnostics.alignment(values, run.y_train),
            similarity=diagnostics.class_similarity(values, run.y_train, n_classes=n_classes),
            contrast=diagnostics.class_contrast(values, run.y_train, n_classes=n_classes),
        )

    folder = folder_of(Path(home), "facts", {"what": "facts", "version": FACTS_VERSION, "kernel": kernel_key, "cosine": cosine})
    return kept(folder, make, kind="facts", kernel_key=kernel_key, classes=_PARTS)


@st.cache_resource(max_entries=16, show_spinner=False)
def _cka(home: str, kernels: tuple[Shown, ...]) -> np.ndarray:
    return diagnostics.cka_matrix({kernel.title: _values(home, kernel.key, kernel.cosine) for kernel in kernels})


@st.cache_resource(max_entries=6, show_spinner=False)
def _panels(home: str, kernels: tuple[Shown, ...], study_key: str, *, boxed: bool) -> tuple["go.Figure", str]:
    study = cached.study(study_key)
    values = {kernel.title: _values(home, kernel.key, kernel.cosine) for kernel in kernels}
    names = study.class_names
    columns = {1: 1, 2: 2, 4: 2}.get(len(values), 3)
    fig = matrix.kernel_panels(values, study.y_train, names, columns=columns)
    fig.update_layout(
        height=70 + {1: 430, 2: 350, 3: 255}[columns] * -(-len(values) // columns)
    )  # squares on a page of 1,280 pixels
    if boxed:
        fig.update_layout(dragmode="select")
    return steady(fig), matrix.reading_kernel_panels(values, study.y_train, names)
