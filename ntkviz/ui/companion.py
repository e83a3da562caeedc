"""Removal effects of a study, factored once for all pages."""

import numpy as np
import streamlit as st

from ntkviz.explain.effects import RemovalEffects
from ntkviz.studies.companion import Companion, companion_of
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.ui import cached


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
    return companion_of(cached.study(key))


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
