"""The audit for a backdoor on the page Audit: which training points carry a common misbehaviour."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.audit.backdoor import INFO, MIN_SUSPECTS, SEPARATE_FROM, Carriers
from ntkviz.audit.fix_list import Fix
from ntkviz.audit.planted import score_found
from ntkviz.figures import audit as figures
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import audited, fixes, layout, selection, state
from ntkviz.ui.audit_suspects import suspected
from ntkviz.ui.clicks import steady
from ntkviz.ui.selection import count
from ntkviz.ui.text import escape, number, percent

CHART = "carriers"


def backdoor(study: Study, data: Dataset) -> None:
    """Suspects, the training points that carry them, and whether those stand apart."""
    st.markdown(f"**{INFO.question}**")
    st.caption(INFO.caveat)
    every = suspected(study, data)
    if not every:
        return
    found = _choose(study, every) if len(every) > 1 else every[0]
    _verdict(study, found)
    truth = audited.planted(study, data, audited.TRIGGERED)
    if truth is not None:
        scored = score_found(found.group, truth)
        st.markdown(
            f"Against the planted list: **precision {percent(scored.precision)}, recall {percent(scored.recall)}** "
            f"({scored.n_both} of the {scored.n_found} named are among the {scored.n_planted} planted)."
        )
    _drawn(study, data, found, truth)
    if len(every) > 1:
        layout.data_table(class_table(study, every), key="backdoor_classes", label="Every class with its suspects")


def class_table(study: Study, every: list[Carriers]) -> pd.DataFrame:
    """Every class that was looked at, most separate first."""
    return pd.DataFrame(
        [
            {
                "class": study.class_names[one.target],
                "suspects": len(one.suspects),
                "group": one.size,
                "separation": one.separation,
                "verdict": one.verdict,
                "suspects kept": one.suspects_before,
                "suspects kept without the group": one.suspects_after,
                "clean kept": one.clean_before,
                "clean kept without the group": one.clean_after,
            }
            for one in every
        ]
    )


def group_fixes(study: Study, found: Carriers) -> list[Fix]:
    """Removal of every training point of the group; inspection when it does not stand apart."""
    reason = f"carries {len(found.suspects)} test points wrongly predicted as {study.class_names[found.target]}"
    return [
        Fix(
            point=int(i),
            action="remove" if found.verdict == "separate group" else "inspect",
            reason=reason,
            score=float(score),
            audit=INFO.key,
        )
        for i, score in zip(found.group, found.scores, strict=False)
    ]


def _choose(study: Study, every: list[Carriers]) -> Carriers:
    by_class = {one.target: one for one in every}
    chosen = state.sticky(
        st.selectbox,
        "Class that test points are wrongly predicted as",
        key="audit_class",
        default=every[0].target,
        options=list(by_class),
        format_func=lambda c: (
            f"{study.class_names[c]}: {len(by_class[c].suspects)} suspects, separation "
            f"{number(by_class[c].separation)}, {by_class[c].verdict}"
        ),
    )
    return by_class[int(chosen)]


def _verdict(study: Study, found: Carriers) -> None:
    """What was found, in a sentence, with what the surrogate does without the group."""
    name = escape(study.class_names[found.target])
    gone = (
        f"Without them the ridge predicts {percent(found.suspects_after, 0)} of the suspects as {name} (with them {percent(found.suspects_before, 0)}), "
        f"and keeps {percent(found.clean_after, 0)} of the clean predictions (with them {percent(found.clean_before, 0)})."
    )
    apart = f"by {number(found.separation)} spreads of the rest; from {number(SEPARATE_FROM)} on a group is called separate"
    if found.verdict == "separate group":
        st.warning(
            f"**{found.size} training points labelled {name} stand apart** from the other {len(found.points) - found.size} ({apart}): they carry "
            f"the {len(found.suspects)} test points wrongly predicted as {name}. {gone}",
            icon=":material/report:",
        )
    elif found.verdict == "no separate group":
        st.success(
            f"**No group of training points stands apart** among those labelled {name} ({apart}): the {len(found.suspects)} suspects look "
            f"like ordinary errors. The strongest {found.size}: {gone}",
            icon=":material/check_circle:",
        )
    else:
        st.info(
            f"**Too few suspects to tell**: {count(len(found.suspects))} wrongly predicted as {name}; {MIN_SUSPECTS} and more are needed, "
            f"since a few points share their nearest training points by chance ({apart}).",
            icon=":material/info:",
        )
    for note in found.notes:
        st.caption(escape(note))


def _drawn(study: Study, data: Dataset, found: Carriers, truth: np.ndarray | None) -> None:
    left, right = st.columns([5, 6], gap="medium")
    with left:
        known = None if truth is None else truth[found.points]
        fig = figures.suspicion_curve(
            found.scores,
            labels=study.y_train[found.points],
            class_names=study.class_names,
            cut=found.size,
            cut_name="before the cut",
            planted=known,
            ids=study.train_index[found.points].tolist(),
            selected=state.get("example"),
            unit="carries the suspects more than clean ones",
        )
        reading = figures.reading_suspicion(found.scores, cut=found.size, cut_name="before the cut", planted=known)
        table = pd.DataFrame(
            {
                "training point": study.train_index[found.points],
                "score": found.scores,
                "group": np.arange(len(found.points)) < found.size,
            }
        )
        layout.figure(
            steady(fig),
            reading,
            table,
            key=CHART,
            on_select=partial(selection.follow_click, CHART, "train"),
            selection_mode="points",
        )
    with right:
        proposed = group_fixes(study, found)
        shown = proposed[:12]
        st.markdown(f"**The {len(shown)} strongest of the {found.size} before the cut**")
        fixes.checklist(study, data, shown, key=f"carrier_{found.target}")
        fixes.everything_button(study, proposed, key="all_carriers", label=f"Take all {found.size} before the cut")
