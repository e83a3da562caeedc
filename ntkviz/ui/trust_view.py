"""The trust badge: beside a point on the page Explain, and its reliability on the page "Can I trust it?"."""

from pathlib import Path
from typing import Literal

import pandas as pd
import streamlit as st

from ntkviz.fidelity.evidence import PARTS
from ntkviz.fidelity.trust import AVOID, TRUST, VERDICTS, Trust
from ntkviz.figures.trust import reading_reliability, reliability_bars
from ntkviz.studies.perturbed import perturbed_in_child
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.studies.trusted import Badges, badges, foretells
from ntkviz.ui import cached, gates, layout
from ntkviz.ui.companion import companion
from ntkviz.ui.plane_view import ask, asked, available, stamp
from ntkviz.ui.text import escape, number

#: Changed copies of each test point that are looked at.
COPIES = 8
#: Training points up to which retrainings and removal effects are taken in without being asked for.
AT_ONCE_UP_TO = 500
_LOOK: dict[str, tuple[str, Literal["blue", "gray", "orange"]]] = {
    TRUST: (":material/verified:", "blue"),
    "caution": (":material/warning:", "gray"),
    AVOID: (":material/block:", "orange"),
}
_QUESTIONS = {
    "imitation": "Does the surrogate speak for the network here?",
    "removal": "Can removal effects be believed here?",
}


def trust_badge(study: Study, m: int) -> None:
    """The badges of one test point with their reasons.

    Args:
        study: the study.
        m: position of the test point in the study.
    """
    found = study_badges(study)
    for name, judged in (("imitation", found.imitation), ("removal", found.removal)):
        if judged is None:
            continue
        verdict = str(judged.verdict[m])
        icon, colour = _LOOK[verdict]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(_title(verdict, judged), icon=icon, color=colour)
            st.markdown(f"{_QUESTIONS[name]} {escape(' '.join(judged.reasons[m]), limit=600)}", width="content")
    st.caption(_weight(found.imitation))


def study_badges(study: Study) -> Badges:
    """The badges of all test points of a study, computed once."""
    made = stamp(study.spec.subject_id)
    return _badges(str(ntkviz_home()), study.key, _with_retraining(study), "changes" in asked(study), made)


@st.fragment
@gates.guarded()
def reliability(study: Study) -> None:
    """How far the badge can be relied on: what was measured at points of each verdict, on points that did not calibrate it."""
    found = study_badges(study)
    counts = {name: int((found.imitation.verdict == name).sum()) for name in VERDICTS}
    told = ", ".join(f"**{count:,}** {name}" for name, count in counts.items())
    st.markdown(
        f"Of {study.n_test:,} test points: {told}. The badge is made of measured quantities and never of the point's label; it was calibrated on one "
        "half of the points and judged on the other, both ways round."
    )
    left, right = st.columns(2, gap="medium")
    with left:
        _panel("imitation", found.imitation)
        _offer_changes(study)
    with right:
        if found.removal is None:
            st.markdown(f"**{_QUESTIONS['removal']}**")
            st.info(escape(found.why_none, limit=900), icon=":material/model_training:")
            _offer_retraining(study)
        else:
            _panel("removal", found.removal)
    layout.data_table(trust_table(study, found), key="trust", label="All test points with badge and evidence")
    with st.expander("What the badge is made of", icon=":material/checklist:"):
        st.dataframe(
            evidence_table(found), hide_index=True, height="content", alt="The parts of the evidence with their weights."
        )
        for note in dict.fromkeys((*found.imitation.notes, *(found.removal.notes if found.removal else ()))):
            st.caption(escape(note, limit=600))


def trust_table(study: Study, found: Badges) -> pd.DataFrame:
    """All test points with their badges, the reasons, and the evidence."""
    columns = {"id": study.test_index, "badge": found.imitation.verdict, "expected gap": found.imitation.score}
    if found.removal is not None:
        columns |= {"removal badge": found.removal.verdict, "expected removal error": found.removal.score}
    reasons = [" ".join(reasons) for reasons in found.imitation.reasons]
    return pd.DataFrame({**columns, **found.imitation.parts, "reasons": reasons})


def evidence_table(found: Badges) -> pd.DataFrame:
    """The parts of the evidence, what each means, and how much it weighs in each badge."""
    weights = {"weight": found.imitation.weights}
    if found.removal is not None:
        weights["weight for removal"] = found.removal.weights
    names = [name for name in PARTS if any(name in given for given in weights.values())]
    told = {"evidence": [name.replace("_", " ") for name in names], "what it is": [PARTS[name] for name in names]}
    return pd.DataFrame({**told, **{title: [given.get(name) for name in names] for title, given in weights.items()}})


def _panel(name: str, judged: Trust) -> None:
    """The reliability of one badge."""
    st.markdown(f"**{_QUESTIONS[name]}**")
    if not judged.calibrated:
        st.info(escape(judged.notes[0], limit=600), icon=":material/info:")
    if not any(row.n_points for row in judged.reliability):
        return
    ratio = (judged.ratio, judged.ratio_low, judged.ratio_high)
    table = pd.DataFrame([vars(row) for row in judged.reliability])
    layout.figure(
        reliability_bars(judged.reliability, judged.error_name),
        reading_reliability(judged.reliability, ratio, judged.error_name),
        table,
        key=f"reliability_{name}",
    )


def _offer_changes(study: Study) -> None:
    """Look at small changes of the inputs too."""
    if "changes" in asked(study):
        return
    if st.button(
        f"Look at {COPIES} small changes of each input too",
        key="measure_changes",
        icon=":material/blur_on:",
        help="Runs the network on slightly changed copies of the test points and computes their kernel rows; as much work as "
        f"{COPIES} times the test points of this study.",
    ):
        ask(study, "changes")
        st.rerun()


def _offer_retraining(study: Study) -> None:
    """Take the retrainings in."""
    possible = available(study)[0] is not None and foretells(study) and not _with_retraining(study)
    if possible and st.button("Judge removal effects by the retrainings", key="measure_removal", icon=":material/play_arrow:"):
        ask(study, "plane")
        st.rerun()


def _title(verdict: str, judged: Trust) -> str:
    """What stands on the badge; nobody is told to trust what was not calibrated."""
    if verdict == AVOID:
        return "Do not use"
    return verdict.capitalize() if judged.calibrated else "Not calibrated"


def _weight(judged: Trust) -> str:
    """What the badge is worth, in a sentence."""
    if judged.ratio != judged.ratio:
        return "The badge could not be calibrated on this study, so it warns and does not vouch."
    return (
        f"Measured on points that did not calibrate it: the error at points called “do not use” is {number(judged.ratio, 2)} times "
        f"({number(judged.ratio_low, 2)} to {number(judged.ratio_high, 2)}) that at points called “trust”."
    )


def _with_retraining(study: Study) -> bool:
    """Whether retrainings are taken in: at once when that is quick, else when asked for."""
    return study.n_train <= AT_ONCE_UP_TO or "plane" in asked(study)


@st.cache_resource(max_entries=8, show_spinner="Judging the test points …")
def _badges(home: str, study_key: str, with_retraining: bool, with_changes: bool, made: str) -> Badges:
    study = cached.study(study_key)
    there, reason = available(study)
    truth = there if with_retraining else None
    changed = perturbed_in_child(study, home=Path(home), copies=COPIES) if with_changes else None
    found = badges(study, truth, changed, answering=companion(study) if truth is not None and foretells(study) else None)
    if found.removal is None and not found.why_none:
        return found
    if truth is None:
        return Badges(found.imitation, None, reason or "The retrainings of this network have not been taken in yet.")
    return found
