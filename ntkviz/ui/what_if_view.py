"""The page What if: remove, relabel or duplicate training examples, and see at once what the surrogate would say."""

import zlib

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ntkviz.explain.what_if import Edit, WhatIf, duplicate, edited, relabel, remove
from ntkviz.figures import what_if as figures
from ntkviz.scores import scores_of
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import layout, media, selection, state, stretched
from ntkviz.ui import what_if_state as tried
from ntkviz.ui.point_picker import TRUE_LABEL, example_rows, meta_columns, picture, picture_column, tiles, true_class
from ntkviz.ui.points import Outcomes
from ntkviz.ui.text import escape, number, percent

#: Examples shown on each side of the list of candidates.
CANDIDATES = 12
#: Copies that one click may add.
MOST_COPIES = 50
#: Rows of the table of test points that change.
MAX_CHANGED = 200


def answer_of(study: Study, data: Dataset, points: Outcomes, m: int, found: WhatIf) -> None:
    """The point, and what the surrogate says of it before and after the edits."""
    names, label = study.class_names, int(points.labels[m])
    caption = f"Test point {points.ids[m]}, labelled **{escape(names[label])}**; the network says **{escape(names[points.network[m]])}**"
    if data.kind == "image":
        left, right = st.columns([2, 5], vertical_alignment="center")
        with left:
            media.show_point(data, "test", int(points.ids[m]), width="stretch", caption=caption)
    else:
        right = st.container()
        media.show_point(data, "test", int(points.ids[m]), caption=caption)
    was, now = int(found.predicted_before[m]), int(found.predicted_after[m])
    before, after = (
        np.exp(scores_of(found.scores_before[m : m + 1]).log_probability[0]),
        np.exp(scores_of(found.scores_after[m : m + 1]).log_probability[0]),
    )
    with right:
        size = stretched.applied(study)
        cells = st.columns(3) if size is None else [*st.columns(2), *st.columns(2)]
        cells[0].metric("Class", escape(names[now]), delta=None if was == now else f"was {escape(names[was])}", delta_color="off")
        odds = float(found.margin_after[m]), float(found.margin_after[m] - found.margin_before[m])
        cells[1].metric(f"Log-odds of {escape(names[was])}", number(odds[0]), delta=f"{odds[1]:+.3g}" if found.n_points else None)
        if size is not None:
            stretched.metric(cells[2], study, size, m, was, odds[1] if found.n_points else None)
        change = float(after[was] - before[was])
        cells[-1].metric(
            f"Probability of {escape(names[was])}", f"{after[was]:.3f}", delta=f"{change:+.3f}" if found.n_points else None
        )
        if found.predicted_before[m] != points.network[m]:
            st.warning(
                "Before any edit this surrogate answers otherwise than the network, so its changes here are no guide to the network's.",
                icon=":material/warning:",
            )
    margins = float(found.margin_before[m]), float(found.margin_after[m])
    fig = figures.before_after(before, after, names, true_class=label)
    reading = figures.reading_before_after(before, after, names, margins=margins)
    layout.figure(fig, reading, _logits(names, found, m), key="before_after")
    for note in found.notes:
        st.caption(f":material/info: {escape(note, limit=400)}")


def edit_box(study: Study, data: Dataset, points: Outcomes, m: int, found: WhatIf) -> None:
    """The candidates, the buttons, and the edits that were made."""
    done = tried.edits(study)
    label = int(found.predicted_before[m])
    values = tried.effects(study, m, label, done)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.subheader("Choose training examples", anchor=False)
        st.caption(
            f"The effect of an example: by how much the surrogate's log-odds of **{escape(study.class_names[label])}** would fall without it. "
            "Positive: it supports the class."
        )
        _choose(study, data, m, values, done)
        _buttons(study, m)
    with right:
        st.subheader("Edits", anchor=False)
        _list(study, data, done)
        others(study, points, m, found)


def others(study: Study, points: Outcomes, m: int, found: WhatIf) -> None:
    """The other test points that change."""
    names = study.class_names
    changed = found.changed[found.changed != m]
    right_before, right_after = found.predicted_before == points.labels, found.predicted_after == points.labels
    accuracy = f"its accuracy goes from {percent(float(right_before.mean()))} to {percent(float(right_after.mean()))}"
    if not found.n_points:
        return
    if not len(changed):
        st.markdown(f"**No other test point changes its class** among {len(points.ids):,}; {accuracy}.")
        return
    better = int((right_after & ~right_before)[changed].sum())
    worse = int((right_before & ~right_after)[changed].sum())
    st.markdown(
        f"**{len(changed):,} other test point{'s change' if len(changed) > 1 else ' changes'} class**: {better} to the label, {worse} away from it; {accuracy}."
    )
    shown = changed[:MAX_CHANGED]
    table = pd.DataFrame(
        {
            "test point": points.ids[shown],
            "label": [names[c] for c in points.labels[shown]],
            "before": [names[c] for c in found.predicted_before[shown]],
            "after": [names[c] for c in found.predicted_after[shown]],
            "network": [names[c] for c in points.network[shown]],
            **stretched.columns(
                "change of log-odds", (found.margin_after - found.margin_before)[shown], stretched.applied(study)
            ),
        }
    )
    layout.data_table(table, key="changed_points", label="Test points that change")


def flipping(study: Study, data: Dataset, points: Outcomes, m: int) -> None:
    """The smallest set that flips this prediction, on demand."""
    st.subheader("What would it take to change its mind?", anchor=False)
    most = min(50, study.n_train - 1)
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        size = int(
            state.sticky(
                st.slider,
                "Remove at most",
                key="flip_size",
                default=min(30, most),
                min_value=1,
                max_value=max(2, most),
                help="Training examples that may be removed. The search starts from the training set without edits.",
            )
        )
    mine = f"{study.key}:{points.ids[m]}:{size}"
    with right:
        st.button(
            "Find a small set of training examples without which the class changes",
            key="find_flip",
            icon=":material/flip:",
            on_click=lambda: state.put("flip_for", mine),
        )
    if state.get("flip_for") != mine:
        return
    found, names = tried.flip(study, m, size), study.class_names
    label, after, kept = names[found.class_before], names[found.class_after], len(found.indices)
    fig = figures.flip_path(found.sizes, found.gaps, label=label, n_kept=kept, flipped=found.flipped)
    reading = figures.reading_flip(found.sizes, found.gaps, label=label, after=after, n_kept=kept, flipped=found.flipped)
    table = pd.DataFrame(
        {"training point": study.train_index[found.indices], "label": [names[c] for c in study.y_train[found.indices]]}
    )
    layout.figure(fig, reading, table, key="flip_path")
    for note in found.notes:
        st.caption(escape(note, limit=400))
    if kept:
        _gallery(study, data, found.indices[:24], [escape(names[study.y_train[i]]) for i in found.indices[:24]])
        st.button(
            f"Try it: remove these {kept}" if kept > 1 else "Try it: remove this one",
            key="take_flip",
            icon=":material/playlist_add:",
            on_click=lambda: tried.put_edits(study, [remove(i) for i in found.indices.tolist()]),
            help="Replaces the edits above.",
        )


def describe_edit(study: Study, edit: Edit) -> str:
    """An edit in words, plain text."""
    point, label = study.train_index[edit.index], study.class_names[study.y_train[edit.index]]
    if edit.kind == "remove":
        return f"remove {point} ({label})"
    if edit.kind == "relabel":
        return f"relabel {point} from {label} to {study.class_names[edit.label]}"
    return f"duplicate {point} ({label}), {edit.times} cop{'y' if edit.times == 1 else 'ies'}"


def _choose(study: Study, data: Dataset, m: int, values: np.ndarray, done: tuple[Edit, ...]) -> None:
    """The list of candidates, and the box that finds every training point."""
    counts, labels = edited(study.y_train, done, len(study.class_names))
    order = np.argsort(-values, kind="stable")
    order = order[counts[order] > 0]
    half = min(CANDIDATES, len(order) // 2)
    ends = [*order[:half].tolist(), *order[::-1][:half].tolist()]
    _candidate_table(study, data, m, values, labels, np.array(ends, dtype=np.int64))
    ids, names, taken = study.train_index, study.class_names, set(ends)
    place = {int(point): i for i, point in enumerate(ids)}

    def words(i: int) -> str:
        return f"{names[labels[i]]}, effect {values[i]:+.2g}"

    state.sticky(
        st.multiselect,
        "Training examples to edit",
        key="train_set",
        default=[],
        options=[int(ids[i]) for i in (*ends, *(i for i in np.flatnonzero(counts).tolist() if i not in taken))],
        format_func=lambda point: f"{point}: {words(place[point])}",
        placeholder="Choose rows above, or type the id of any training example",
        help="Ids are positions in the whole training split.",
    )
    layout.data_table(_effect_table(study, data, values, labels, order), key="effects", label="All training examples by effect")


def _candidate_table(study: Study, data: Dataset, m: int, values: np.ndarray, labels: np.ndarray, ends: np.ndarray) -> None:
    """The examples with the largest effects for and against, rows to be chosen."""
    table = pd.DataFrame(
        {
            "picture": [picture(data, "train", int(study.train_index[i])) for i in ends],
            "id": study.train_index[ends],
            "label": [study.class_names[c] for c in labels[ends]],
            "effect": values[ends],
            "similarity": np.asarray(study.rows)[m, ends],
        }
    )
    key = f"candidates_{zlib.crc32(ends.tobytes())}"  # rows mean other examples after an edit

    def choose() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        selection.choose("train", study.train_index[ends[rows]])

    st.dataframe(
        table,
        key=key,
        on_select=choose,
        selection_mode="multi-row",
        hide_index=True,
        height=330,
        row_height=40 if data.kind == "image" else None,
        column_config={
            "picture": picture_column(data),
            "id": st.column_config.NumberColumn(format="%d"),
            "effect": st.column_config.NumberColumn(format="%+.3g"),
            "similarity": st.column_config.NumberColumn(format="%.3f"),
        },
        alt="Training examples with the largest effects for and against the class: choose rows to edit them.",
    )


def _effect_table(study: Study, data: Dataset, values: np.ndarray, labels: np.ndarray, order: np.ndarray) -> pd.DataFrame:
    ids = study.train_index[order]
    return pd.DataFrame(
        {
            "training point": ids,
            "label": [study.class_names[c] for c in labels[order]],
            **stretched.columns("effect", values[order], stretched.applied(study)),
            **meta_columns(data, "train", ids),
        }
    )


def _buttons(study: Study, m: int) -> None:
    """Remove, relabel, duplicate; and lists that other pages made."""
    chosen = selection.members(study, "train").tolist()
    names = study.class_names
    left, right = st.columns(2)
    with left:
        label = int(
            state.sticky(
                st.selectbox,
                "New label, for relabelling",
                key="edit_label",
                default=int(study.y_test[m]),
                options=list(range(len(names))),
                format_func=lambda c: names[c],
            )
        )
    with right:
        times = int(
            state.sticky(
                st.number_input,
                "Copies, for duplicating",
                key="edit_times",
                default=1,
                min_value=1,
                max_value=MOST_COPIES,
                step=1,
            )
        )
    cells = st.columns(3)
    _edit_button(study, cells[0], "Remove", ":material/delete:", [remove(i) for i in chosen])
    _edit_button(study, cells[1], "Relabel", ":material/label:", [relabel(i, label) for i in chosen])
    _edit_button(study, cells[2], "Duplicate", ":material/content_copy:", [duplicate(i, times) for i in chosen])
    listed = tried.from_fix_list(study)
    if listed:
        st.button(
            f"Take over the fix list of the page Audit ({len(listed)})",
            key="take_fixes",
            icon=":material/fact_check:",
            on_click=lambda: tried.add(study, listed),
        )
    looked = selection.focus(study)
    if looked and looked[0] == "train" and looked[1] not in chosen:
        own = int(study.train_index[looked[1]])
        st.button(
            f"Choose training example {own}, which is looked at",
            key="take_example",
            icon=":material/add:",
            on_click=lambda: selection.choose("train", [*study.train_index[chosen], own]),
        )


def _edit_button(study: Study, cell: DeltaGenerator, words: str, icon: str, new: list[Edit]) -> None:
    ok = bool(new) and tried.possible(study, (*tried.edits(study), *new))
    why = "Choose training examples first." if not new else "" if ok else "This would leave a single class, or no example at all."
    cell.button(
        f"{words} {len(new)}" if len(new) > 1 else words,
        key=f"edit_{words.lower()}",
        icon=icon,
        disabled=not ok,
        width="stretch",
        help=why or None,
        on_click=lambda: tried.add(study, new),
    )


def _list(study: Study, data: Dataset, done: tuple[Edit, ...]) -> None:
    """The edits made so far, with undo and reset."""
    if not done:
        st.caption("None yet. The training data on this machine are never changed: edits only ask the surrogate.")
        return
    with st.container(horizontal=True):
        st.button("Undo the last", key="undo_edit", icon=":material/undo:", on_click=lambda: tried.undo(study))
        st.button("Reset", key="reset_edits", type="tertiary", icon=":material/close:", on_click=lambda: tried.reset(study))
    table = pd.DataFrame({"#": np.arange(1, len(done) + 1), "edit": [describe_edit(study, edit) for edit in done]})
    if data.meta is not None and TRUE_LABEL in data.meta:
        table["true label"] = [true_class(data, "train", int(study.train_index[edit.index])) for edit in done]
    st.dataframe(
        table, hide_index=True, height=min(38 + 35 * len(table), 220), alt="The edits, in the order in which they were made."
    )


def _gallery(study: Study, data: Dataset, chosen: np.ndarray, captions: list[str]) -> None:
    if data.kind == "image":
        tiles(data, "train", study.train_index[chosen], captions, width=64, walk=("flip",))
        return
    labels: dict[str, object] = {"label": [study.class_names[c] for c in study.y_train[chosen]]}
    example_rows(data, "train", study.train_index[chosen], labels, formats={}, walk=("flip",))


def _logits(names: tuple[str, ...], found: WhatIf, m: int) -> pd.DataFrame:
    """Scores and probabilities of all classes before and after."""
    before, after = found.scores_before[m], found.scores_after[m]
    if len(before) == 1:  # one score stands for two classes
        before, after = np.array([0.0, before[0]]), np.array([0.0, after[0]])
    chances = (
        np.exp(scores_of(found.scores_before[m : m + 1]).log_probability[0]),
        np.exp(scores_of(found.scores_after[m : m + 1]).log_probability[0]),
    )
    return pd.DataFrame(
        {
            "class": list(names),
            "score before": before,
            "score after": after,
            "change": after - before,
            "probability before": chances[0],
            "probability after": chances[1],
        }
    )
