"""How large the changes of the page What if really are: the stretch that retrainings ask for, and where there is none, that nobody knows."""

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ntkviz.errors import NtkvizError
from ntkviz.explain.calibration import Estimate
from ntkviz.explain.stretch import Stretch
from ntkviz.scores import log_odds_of
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.stretched import HALVES, study_stretch
from ntkviz.studies.study import Study
from ntkviz.ui import cached, plane_view
from ntkviz.ui import what_if_state as tried
from ntkviz.ui.text import escape, number, span

#: What a person asks for, among what is measured for a study.
ASKED = "stretch"
#: Up to this many training points it is measured without being asked for.
AT_ONCE_UP_TO = 1500


def applied(study: Study) -> Stretch | None:
    """The stretch by which this study's changes are multiplied; None when there is none, or it was not measured yet."""
    if plane_view.available(study)[0] is None or not _wanted(study):
        return None
    found = _measured(str(ntkviz_home()), study.key, plane_view.stamp(study.spec.subject_id))[0]
    return found if found is not None and found.applies else None


def sizes(study: Study) -> None:
    """By how much changes are stretched and whence that is known, or that their size is not known."""
    if plane_view.available(study)[0] is None:
        st.caption(
            ":material/straighten: **How large these changes would be in the network is not known.** No retrainings speak of this study, so there is "
            "no stretch: read the order and the direction of changes, not their size. The page *Can I trust it?* says which retrainings there are."
        )
        return
    if not _wanted(study):
        _offer(study)
        return
    found, problem = _measured(str(ntkviz_home()), study.key, plane_view.stamp(study.spec.subject_id))
    st.caption(f":material/straighten: {_no_size(problem) if found is None else told(found)}")
    for note in () if found is None else found.notes:
        st.caption(f":material/info: {escape(note, limit=400)}")


def told(found: Stretch) -> str:
    """The stretch in words (Markdown)."""
    whence = (
        f"on {found.n_subsets} random halves of the training set ({found.n_points:,} test points, mean of {found.n_seeds} seeds, correlation of both "
        f"{interval(found.correlation)})"
    )
    if not found.applies:
        return _no_size(
            f"Retrained networks do not follow this surrogate {whence}: the factor would be {interval(found.factor)}."
        )
    return (
        f"**Retrained networks moved {interval(found.factor)} times as much as this surrogate says**, {whence}. Changes are shown in the surrogate's own "
        f"units and, multiplied by {number(found.factor.value, 2)}, in the network's. That this factor also holds for a few chosen examples, for other "
        "labels or for copies is an assumption: retrain to verify."
    )


def interval(one: Estimate) -> str:
    """A number with its interval."""
    return f"{number(one.value, 2)} ({number(one.low, 2)} to {number(one.high, 2)})"


def metric(cell: DeltaGenerator, study: Study, found: Stretch, m: int, label: int, change: float | None) -> None:
    """What the network's log-odds of a class would become at a test point.

    Args:
        cell: where to write.
        study: the study.
        found: its stretch.
        m: position of the test point.
        label: the class.
        change: of the surrogate's log-odds; None without edits.
    """
    now = float(log_odds_of(np.asarray(study.logits_test)[m : m + 1], np.array([label]))[0])
    by = 0.0 if change is None else found.factor.value * change
    ends = sorted((found.factor.low * (change or 0.0), found.factor.high * (change or 0.0)))
    cell.metric(
        "In the network",
        number(now + by),
        delta=None if change is None else f"{by:+.3g}",
        help=f"Expected after retraining: the network's own log-odds of the class ({number(now)}), plus the surrogate's change times the stretch {interval(found.factor)}: "
        f"a change of {ends[0]:+.3g} to {ends[1]:+.3g}.",
    )


def columns(name: str, values: np.ndarray, found: Stretch | None) -> dict[str, np.ndarray]:
    """A column of a table in the surrogate's units, and beside it one in the network's where a stretch is known."""
    return {name: values} if found is None else {name: values, f"{name}, stretched": found.factor.value * values}


def _no_size(why: str) -> str:
    return f"**How large these changes would be in the network is not known.** {escape(why, limit=500)} Read their order and direction, not their size."


def _wanted(study: Study) -> bool:
    return study.n_train <= AT_ONCE_UP_TO or ASKED in plane_view.asked(study)


def _offer(study: Study) -> None:
    """What would be measured, how long it takes, and the button."""
    # A refit for each half, by products of K: 0.08 s at N = 1,000 and ten classes.
    seconds = max(1.0, 0.1 * HALVES * (study.n_train / 1000) ** 2 * max(2, study.logits_test.shape[1]) / 10)
    st.caption(
        ":material/straighten: The changes below are in the surrogate's own units. This network was retrained on random halves of its training set, "
        "which tells how much more it moves than the surrogate says."
    )
    st.button(
        f"Measure the size of changes against retraining (about {span(seconds)})",
        key="measure_stretch",
        icon=":material/straighten:",
        on_click=plane_view.ask,
        args=(study, ASKED),
    )


@st.cache_resource(max_entries=8, show_spinner="Fitting the surrogate to the halves that were retrained …", show_time=True)
def _measured(home: str, study_key: str, stamp: str) -> tuple[Stretch | None, str]:
    """The stretch of a study, or why there is none."""
    study = cached.study(study_key)
    truth, reason = plane_view.available(study)
    if truth is None:
        return None, reason
    try:
        return study_stretch(study, truth, tried.model_of(home, study_key)), ""
    except (NtkvizError, ValueError) as error:
        return None, str(error)
