"""Edits of a study's training set that a person tries out, and the surrogate that answers them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from ntkviz.audit.fix_list import actions
from ntkviz.explain.flip import FlipSet, smallest_flip
from ntkviz.explain.what_if import Edit, WhatIf, WhatIfModel, edited, relabel, remove
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.surrogates.registry import surrogates
from ntkviz.ui import cached, fixes, state
from ntkviz.ui.companion import companion
from ntkviz.ui.text import escape


@dataclass(frozen=True, eq=False)
class Answering:
    """The surrogate that answers edits of a study.

    Attributes:
        model: ready for edits.
        own: whether it is the study's own surrogate.
        problem: why there is none, in words; then ``model`` is None.
    """

    model: WhatIfModel | None
    own: bool
    problem: str = ""


def answering(study: Study) -> Answering:
    """The study's surrogate when it can answer edits, else a kernel logistic regression on the study's kernel; factored once."""
    return _answering(str(ntkviz_home()), study.key)


def told(study: Study, found: Answering) -> str:
    """Who answers, in a sentence (Markdown)."""
    if found.model is None:
        return ""
    kind = found.model.surrogate.kind
    if found.own:
        words = " Its scores are regressed labels, no log-odds: read their order and direction only." if kind == "ridge" else ""
        return f"Answers are those of the study's surrogate, {surrogates()[kind].title}.{words}"
    title, lam = surrogates()[study.spec.surrogate].title, found.model.surrogate.options["lam"]
    return (
        f"The study's surrogate ({escape(title)}) has no quick answer to edits of labels, so a **{surrogates()[kind].title}** was fitted on the study's "
        f"kernel (λ = {lam:g}): all answers here are those of that one."
    )


def edits(study: Study) -> tuple[Edit, ...]:
    """The edits that are tried out, in the order in which they were made; a link names the study by the beginning of its key.

    Those of a link that do not fit the study are let go of, and a sentence says so.
    """
    made = next((made for key, made in _all_edits().items() if study.key.startswith(key)), ())
    if made and not possible(study, made):
        put_edits(study, ())
        st.toast("The edits of this link do not fit the study, so none was made.", icon=":material/error:")
        return ()
    return made


def put_edits(study: Study, new: Sequence[Edit]) -> None:
    """Replace the edits of a study."""
    others = {key: made for key, made in _all_edits().items() if not study.key.startswith(key)}
    state.put("edits", {**others, study.key: tuple(new)})


def _all_edits() -> dict[str, tuple[Edit, ...]]:
    return state.get("edits") or {}


def add(study: Study, new: Sequence[Edit]) -> None:
    """Make further edits, and let go of the points that were chosen for them."""
    put_edits(study, (*edits(study), *new))
    state.forget("train_set")


def undo(study: Study) -> None:
    """Take the last edit back."""
    put_edits(study, edits(study)[:-1])


def reset(study: Study) -> None:
    """Take all edits back."""
    put_edits(study, ())


def from_fix_list(study: Study) -> tuple[Edit, ...]:
    """The fix list of the page Audit as edits, those left out that are made already or speak of removed points."""
    found = actions(fixes.fixes(study))
    counts, labels = edited(study.y_train, edits(study), len(study.class_names))
    return (
        *(relabel(i, label) for i, label in found["relabel"].items() if counts[i] and labels[i] != label),
        *(remove(i) for i in found["remove"] if counts[i]),
    )


def answer(study: Study, tried: tuple[Edit, ...]) -> WhatIf:
    """The answers at all test points of the study.

    Raises:
        ValueError: when the edits leave nothing to tell apart.
    """
    return _answer(str(ntkviz_home()), study.key, repr(tried), tried)


def effects(study: Study, m: int, label: int, tried: tuple[Edit, ...]) -> np.ndarray:
    """By how much the log-odds of a class fall when one more training point is removed, ``[N]``.

    Args:
        study: the study.
        m: position of the test point.
        label: the class.
        tried: edits that are made already.
    """
    return _effects(str(ntkviz_home()), study.key, m, label, repr(tried), tried)


def flip(study: Study, m: int, max_size: int) -> FlipSet:
    """The smallest set of training points (of the unedited training set) found to flip a prediction."""
    return _flip(str(ntkviz_home()), study.key, m, max_size)


def possible(study: Study, tried: tuple[Edit, ...]) -> bool:
    """Whether these edits leave two classes to tell apart."""
    try:
        counts, labels = edited(study.y_train, tried, len(study.class_names))
    except ValueError:
        return False
    return len(np.unique(labels[counts > 0])) > 1


@st.cache_resource(max_entries=2, show_spinner="Preparing the surrogate for edits …")
def _answering(home: str, study_key: str) -> Answering:
    study = cached.study(study_key)
    found = companion(study)
    if found.surrogate is None:
        return Answering(None, False, found.problem)
    return Answering(WhatIfModel(found.surrogate, study.kernel, study.y_train), found.own)


def model_of(home: str, study_key: str) -> WhatIfModel:
    """The prepared surrogate, for what is cached by the key of the study.

    Raises:
        ValueError: when the study has none.
    """
    found = _answering(home, study_key)
    if found.model is None:
        raise ValueError(found.problem)
    return found.model


@st.cache_resource(max_entries=32, show_spinner="Answering …")
def _answer(home: str, study_key: str, signature: str, _tried: tuple[Edit, ...]) -> WhatIf:
    return model_of(home, study_key).apply(cached.study(study_key).rows, _tried)


@st.cache_resource(max_entries=64, show_spinner="Looking for the examples that matter …")
def _effects(home: str, study_key: str, m: int, label: int, signature: str, _tried: tuple[Edit, ...]) -> np.ndarray:
    model, rows = model_of(home, study_key), cached.study(study_key).rows[m : m + 1]
    return model.effects(rows, np.array([label]), at=model.fit(_tried))[0]


@st.cache_resource(max_entries=32, show_spinner="Removing examples until the class changes …", show_time=True)
def _flip(home: str, study_key: str, m: int, max_size: int) -> FlipSet:
    return smallest_flip(model_of(home, study_key), cached.study(study_key).rows[m], max_size=max_size)
