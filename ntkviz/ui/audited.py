"""Audits of a study's training set, made once a session of the server; and what the data know to be wrong."""

import numpy as np
import streamlit as st

from ntkviz.audit.backdoor import BackdoorAudit, Carriers, suspects_among
from ntkviz.audit.duplicates import Duplicates, near_duplicates
from ntkviz.audit.mislabels import Mislabels, mislabels
from ntkviz.audit.prototypes import Typicality, typicality
from ntkviz.scores import scores_of
from ntkviz.studies.machine import available_memory_mb
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import cached
from ntkviz.ui.text import megabytes

#: Training points above this need more memory and time than a page should take.
AUDIT_UP_TO = 10_000
#: N x N matrices of float64 that an audit has in memory at its peak.
_MATRICES = 4
#: Columns of the meta table that say which points are wrong on purpose.
FLIPPED, TRIGGERED = "flipped", "triggered"


def obstacle(n_train: int) -> str:
    """Why a study of so many training points cannot be audited here, in a sentence with what to do; empty when it can."""
    if n_train > AUDIT_UP_TO:
        return (
            f"Audits are made of up to {AUDIT_UP_TO:,} training points; this study has {n_train:,}. Run a study with fewer points: "
            "the smaller ones are among the larger."
        )
    needed, free = _MATRICES * 8 * n_train**2 / 2**20, available_memory_mb()
    if needed > free:
        return (
            f"An audit of {n_train:,} training points takes {megabytes(needed)} of memory, and {megabytes(free)} are free. Close what else "
            "takes memory, or run a study with fewer points: the smaller ones are among the larger."
        )
    return ""


def wrong_labels(study: Study, method: str) -> Mislabels:
    """The training labels by how suspicious they are.

    Args:
        study: the study; its surrogate does not matter.
        method: key of a score of :mod:`ntkviz.audit.mislabels`.

    Raises:
        ValueError: when all training points have one label.
    """
    return _mislabels(str(ntkviz_home()), study.key, method)


def backdoors(study: Study) -> tuple[Carriers, ...]:
    """For each class, the training points that carry the test points wrongly predicted as it; most separate first."""
    return _backdoors(str(ntkviz_home()), study.key)


def carriers_of(study: Study, points: tuple[int, ...]) -> Carriers:
    """The training points that carry some test points, by positions in the study.

    Raises:
        ValueError: when the network is right on all of them.
    """
    return _carriers(str(ntkviz_home()), study.key, points)


def duplicates(study: Study, threshold: float) -> Duplicates:
    """Training points that are nearly the same to the network, and test points that are nearly training points."""
    return _duplicates(str(ntkviz_home()), study.key, threshold)


def prototypes(study: Study, n: int) -> Typicality:
    """Prototypes and outliers of each class."""
    return _typicality(str(ntkviz_home()), study.key, n)


def estimate(n_train: int, factorisations: int) -> str:
    """How long an audit takes, for the spinner: solving with the kernel grows with the cube of N."""
    seconds = max(1, round(factorisations * 3 * (n_train / 5000) ** 3))
    return f"about {seconds} s for {n_train:,} training points, once; then it is kept while the server runs."


def planted(study: Study, data: Dataset, column: str, split: str = "train") -> np.ndarray | None:
    """Which points the data know to be wrong on purpose, bool ``[N]`` (or ``[M]``); None when the data do not say.

    Args:
        study: the study.
        data: the subject's whole data.
        column: :data:`FLIPPED` or :data:`TRIGGERED`.
        split: "train" or "test".
    """
    if data.meta is None or column not in data.meta:
        return None
    rows = study.train_index if split == "train" else len(data.x_train) + study.test_index
    found = data.meta[column].to_numpy()[rows]
    # A person's own column of that name may hold anything: only True and False are a list of what is wrong.
    return found.astype(bool) if found.dtype == bool and found.any() and not found.all() else None


@st.cache_resource(max_entries=12, show_spinner=False)
def _mislabels(home: str, key: str, method: str) -> Mislabels:
    study = cached.study(key)
    return mislabels(study.kernel, study.y_train, method=method, n_classes=len(study.class_names), logits=study.logits_train)


@st.cache_resource(max_entries=1, show_spinner=False)
def _solved(home: str, key: str) -> BackdoorAudit:
    """The factors, N^2 numbers each: of one study at a time."""
    study = cached.study(key)
    return BackdoorAudit(study.kernel, study.y_train, n_classes=len(study.class_names))


@st.cache_resource(max_entries=6, show_spinner=False)
def _backdoors(home: str, key: str) -> tuple[Carriers, ...]:
    study = cached.study(key)
    said = scores_of(study.logits_test).predicted
    return _solved(home, key).every_class(study.rows, study.y_test, said)


@st.cache_resource(max_entries=6, show_spinner=False)
def _carriers(home: str, key: str, points: tuple[int, ...]) -> Carriers:
    study = cached.study(key)
    target, suspects, clean = suspects_among(np.array(points), study.y_test, scores_of(study.logits_test).predicted)
    return _solved(home, key).of(study.rows, suspects, clean, target)


@st.cache_resource(max_entries=8, show_spinner=False)
def _duplicates(home: str, key: str, threshold: float) -> Duplicates:
    study = cached.study(key)
    raw = cached.kernel_blocks(study.kernel_key).blocks.rows_diagonal
    diagonal = (raw > 0).astype(np.float64) if study.spec.normalize else raw
    return near_duplicates(study.kernel, study.y_train, threshold=threshold, rows=study.rows, rows_diagonal=diagonal)


@st.cache_resource(max_entries=8, show_spinner=False)
def _typicality(home: str, key: str, n: int) -> Typicality:
    study = cached.study(key)
    return typicality(study.kernel, study.y_train, n_prototypes=n)
