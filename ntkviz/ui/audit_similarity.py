"""The audits by similarity alone on the page Audit: near duplicates, prototypes and outliers."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.audit.duplicates import INFO as DUPLICATES
from ntkviz.audit.duplicates import Duplicates, Group
from ntkviz.audit.fix_list import Fix
from ntkviz.audit.fix_list import copies as that_could_go
from ntkviz.audit.prototypes import OUTLIER_FROM, OUTLIERS, PROTOTYPES, Typicality
from ntkviz.figures import audit as figures
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import audited, fixes, layout, selection, state
from ntkviz.ui.clicks import steady
from ntkviz.ui.point_picker import example_rows, tiles
from ntkviz.ui.text import escape, number, percent

CHART = "class_density"
#: Groups drawn at once.
MAX_GROUPS = 8


def copies(study: Study, data: Dataset) -> None:
    """Groups of training points that are nearly the same to the network."""
    st.markdown(f"**{DUPLICATES.question}**")
    st.caption(DUPLICATES.caveat)
    threshold = state.sticky(
        st.slider,
        "Cosine from which on two points are joined",
        key="audit_threshold",
        default=0.99,
        min_value=0.8,
        max_value=1.0,
        step=0.005,
        format="%.3f",
        help="1 joins what the network cannot tell apart; lower values join what is alike to it.",
    )
    with st.spinner("Comparing all pairs …", show_time=True):
        found = audited.duplicates(study, float(threshold))
    st.markdown(reading_duplicates(found))
    left, right = st.columns([1, 2], gap="medium")
    with left:
        ladder = pd.DataFrame({"cosine from": [f"{step:.5g}" for step in found.ladder], "pairs": list(found.ladder.values())})
        st.dataframe(ladder, hide_index=True, alt="How many pairs of training points reach which cosine.")
        st.caption("Pairs of training points at other thresholds: there is no right one.")
    with right:
        if len(found.leaks):
            st.warning(
                f"{len(found.leaks)} test points are (nearly) training points: what explains them is their copy.",
                icon=":material/content_copy:",
            )
            table = pd.DataFrame(
                {"test point": study.test_index[found.leaks[:, 0]], "training point": study.train_index[found.leaks[:, 1]]}
            )
            layout.data_table(table, key="leaks", label="Test points with a copy in training")
        for place, group in enumerate(found.groups[:MAX_GROUPS]):
            _group(study, data, group, place)
        if len(found.groups) > MAX_GROUPS:
            st.caption(f"The first {MAX_GROUPS} of {len(found.groups):,} groups; the table has all.")
    proposed = [fix for group in found.groups for fix in copy_fixes(group)]
    fixes.everything_button(study, proposed, key="all_copies", label=f"Take all {len(proposed):,} copies with agreeing labels")
    if found.groups:
        layout.data_table(group_table(study, found), key="duplicate_groups", label="All groups")


def reading_duplicates(found: Duplicates) -> str:
    """The finding in one sentence."""
    if not found.groups:
        return f"No two training points reach a cosine of {found.threshold:.5g}."
    same = sum(group.same for group in found.groups)
    return (
        f"**{len(found.groups):,} groups** of training points reach a cosine of {found.threshold:.5g}; {found.n_copies:,} points could go while one of each "
        f"stays. {same:,} groups are the same up to rounding, and in **{len(found.conflicting):,}** labels differ."
    )


def copy_fixes(group: Group) -> list[Fix]:
    """All but the first of a group go; where labels differ all are for a person to inspect."""
    if group.conflicting:
        reason = f"nearly the same as {len(group.points) - 1} other points with other labels"
        return [Fix(i, "inspect", reason, group.smallest, DUPLICATES.key) for i in group.points]
    return [Fix(i, "remove", "copy of another training point", group.smallest, DUPLICATES.key) for i in that_could_go(group)]


def group_table(study: Study, found: Duplicates) -> pd.DataFrame:
    """A row a group."""
    return pd.DataFrame(
        [
            {
                "training points": ", ".join(str(i) for i in study.train_index[list(group.points)]),
                "points": len(group.points),
                "labels": ", ".join(study.class_names[c] for c in group.labels),
                "labels differ": group.conflicting,
                "smallest cosine": group.smallest,
            }
            for group in found.groups
        ]
    )


def typical(study: Study, data: Dataset) -> None:
    """Prototypes of a class with what they cover, and the points unlike their class."""
    left, right = st.columns(2, vertical_alignment="bottom")
    with left:
        n = state.sticky(st.slider, "Prototypes of each class", key="audit_prototypes", default=5, min_value=1, max_value=12)
    with st.spinner("Choosing prototypes …", show_time=True):
        found = audited.prototypes(study, int(n))
    by_class = {one.label: one for one in found.classes}
    with right:
        label = state.sticky(
            st.selectbox,
            "Class",
            key="audit_class",
            default=found.classes[0].label,
            options=list(by_class),
            format_func=lambda c: study.class_names[c],
        )
    chosen = by_class[int(label)]
    name = escape(study.class_names[chosen.label])
    st.markdown(f"**Prototypes of {name}: {PROTOTYPES.question}**")
    st.caption(
        f"On average a point of {name} has a cosine of {chosen.coverage:.2f} to its nearest prototype, and for {percent(chosen.own_nearest, 0)} the nearest "
        f"prototype of all classes is one of {name}. {PROTOTYPES.caveat}"
    )
    _examples(study, data, np.array(chosen.prototypes), found.density)
    fig_side, list_side = st.columns([5, 6], gap="medium")
    with fig_side:
        _density(study, found)
    with list_side:
        _outliers(study, data, found, chosen.label)
    layout.data_table(summary_table(study, found), key="prototypes", label="All classes")
    for note in found.notes:
        st.caption(escape(note))


def summary_table(study: Study, found: Typicality) -> pd.DataFrame:
    """A row a class."""
    return pd.DataFrame(
        [
            {
                "class": study.class_names[one.label],
                "training points": one.n_points,
                "prototypes": ", ".join(str(i) for i in study.train_index[list(one.prototypes)]),
                "cosine to the nearest prototype": one.coverage,
                "nearest prototype of the own class": one.own_nearest,
                "distance of the means": one.mmd,
            }
            for one in found.classes
        ]
    )


def outlier_fixes(found: Typicality, points: np.ndarray) -> list[Fix]:
    """Unlike its class is not wrong: outliers are for a person to inspect."""
    return [
        Fix(int(i), "inspect", "unlike the other points of its class", float(found.outlyingness[i]), OUTLIERS.key) for i in points
    ]


def _group(study: Study, data: Dataset, group: Group, place: int) -> None:
    with st.container(border=True):
        names = ", ".join(escape(study.class_names[c]) for c in group.labels)
        words = f"**Labels differ: {names}**" if group.conflicting else f"All labelled {names}"
        st.markdown(f"{len(group.points)} points, smallest cosine {group.smallest:.5f}. {words}")
        proposed = copy_fixes(group)[:12]
        if not group.conflicting:
            kept = int(study.train_index[group.points[0]])
            st.caption(f"Training point {kept} stays; the others are its copies.")
        fixes.checklist(study, data, proposed, key=f"copy_{place}")


def _examples(study: Study, data: Dataset, points: np.ndarray, density: np.ndarray) -> None:
    if data.kind == "image":
        words = [f"{fixes.label_words(study, data, int(i))}, {density[i]:.2f}" for i in points]
        tiles(data, "train", study.train_index[points], words, width=84, walk=("alike",))
        return
    numbers = {"label": [study.class_names[c] for c in study.y_train[points]], "similarity": density[points]}
    example_rows(data, "train", study.train_index[points], numbers, formats={"similarity": "%.3f"}, walk=("alike",))


def _density(study: Study, found: Typicality) -> None:
    every = np.concatenate([np.array(one.prototypes) for one in found.classes])
    fig = figures.class_density(
        found.density,
        labels=study.y_train,
        class_names=study.class_names,
        outliers=found.outliers,
        prototypes=every,
        ids=study.train_index.tolist(),
        selected=state.get("example"),
    )
    reading = figures.reading_density(found.density, labels=study.y_train, class_names=study.class_names, outliers=found.outliers)
    order = np.argsort(-found.outlyingness, kind="stable")
    table = pd.DataFrame(
        {
            "training point": study.train_index[order],
            "label": [study.class_names[c] for c in study.y_train[order]],
            "outlyingness": found.outlyingness[order],
            "similarity to its class": found.density[order],
        }
    )
    layout.figure(
        steady(fig), reading, table, key=CHART, on_select=partial(selection.follow_click, CHART, "train"), selection_mode="points"
    )


def _outliers(study: Study, data: Dataset, found: Typicality, label: int) -> None:
    name = escape(study.class_names[label])
    mine = found.outliers[study.y_train[found.outliers] == label]
    st.markdown(f"**Outliers of {name}: {OUTLIERS.question}**")
    st.caption(f"{len(mine)} lie {number(OUTLIER_FROM)} spreads or more below the median of the class. {OUTLIERS.caveat}")
    proposed = outlier_fixes(found, mine[:12])
    fixes.checklist(study, data, proposed, key=f"outlier_{label}")
