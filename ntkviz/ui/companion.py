"""The surrogate that answers "what without this example?": the study's own where it can, else a logistic regression on the same kernel."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from ntkviz.explain.effects import RemovalEffects
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.surrogate import Surrogate
from ntkviz.ui import cached

#: Kinds whose removal effects are about labels. A ridge on the network's logits has them too, and retraining hardly confirms them (LDS .06 to .26).
ANSWERS = ("klr", "ridge")


@dataclass(frozen=True, eq=False)
class Companion:
    """A surrogate whose removal effects are known.

    Attributes:
        surrogate: the fit; None when there is none.
        own: whether it is the study's own.
        problem: why there is none, a sentence; empty when there is one.
    """

    surrogate: Surrogate | None
    own: bool
    problem: str = ""


def companion(study: Study) -> Companion:
    """The surrogate of removal questions, fitted once."""
    return _companion(str(ntkviz_home()), study.key)


def removal_effects(study: Study) -> RemovalEffects:
    """Its equations, factored once.

    Raises:
        ValueError: when there is no such surrogate; ask :func:`companion` first.
    """
    return _effects(str(ntkviz_home()), study.key)


def effects_of(study: Study, m: int, heads: np.ndarray) -> np.ndarray:
    """How much a mix of scores of a test point would fall without each training point, ``[N]``.

    Args:
        study: the study.
        m: position of the test point in it.
        heads: ``[C]``, the mix.
    """
    return _of(str(ntkviz_home()), study.key, m, tuple(float(h) for h in heads))


@st.cache_resource(max_entries=6, show_spinner="Fitting the surrogate of removal effects …")
def _companion(home: str, key: str) -> Companion:
    study = cached.study(key)
    if study.spec.surrogate in ANSWERS:
        return Companion(study.surrogate, True)
    if len(np.unique(study.y_train)) < 2:
        return Companion(None, False, "All training points of this study have one class, so leaving one out changes no answer.")
    fitted = fit_surrogate(
        study.kernel,
        study.y_train,
        kind="klr",
        seed=study.spec.seed,
        n_classes=study.logits_train.shape[1],
        validation=(study.rows, study.y_test),
        lam="auto",
    )
    return Companion(fitted, False)


@st.cache_resource(max_entries=2, show_spinner="Preparing removal effects …")
def _effects(home: str, key: str) -> RemovalEffects:
    study, found = cached.study(key), companion(cached.study(key))
    if found.surrogate is None:
        raise ValueError(found.problem)
    return RemovalEffects.of_surrogate(found.surrogate, study.kernel, study.y_train, leave_one_out=True, few=True)


@st.cache_data(max_entries=200, show_spinner="Computing removal effects …")
def _of(home: str, key: str, m: int, heads: tuple[float, ...]) -> np.ndarray:
    study = cached.study(key)
    return _effects(home, key).of(study.rows[m : m + 1], np.array([heads]))[0]
