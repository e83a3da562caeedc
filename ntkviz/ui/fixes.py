"""The fix list of a session: what a person decided to do about training points, to export and to try out elsewhere."""

import json
from collections import Counter
from collections.abc import Sequence

import streamlit as st

from ntkviz.audit.fix_list import PRECEDENCE, Fix, actions, merged, table
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import layout, media, state
from ntkviz.ui.point_picker import true_class
from ntkviz.ui.text import escape, number


def fixes(study: Study) -> tuple[Fix, ...]:
    """What was decided about the training points of a study, in the order of the decisions; positions are the study's."""
    return tuple((state.get("fix_list") or {}).get(study.key, {}).values())


def decided(study: Study, fix: Fix) -> bool:
    """Whether a fix of that audit for that point is on the list."""
    return (fix.audit, fix.point) in (state.get("fix_list") or {}).get(study.key, {})


def decide(study: Study, chosen: Sequence[Fix], *, wanted: bool = True) -> None:
    """Put fixes on the list, or take them off.

    Args:
        study: whose training points they speak of.
        chosen: the fixes; one a point and audit.
        wanted: False takes them off.
    """
    everything = dict(state.get("fix_list") or {})
    mine = dict(everything.get(study.key, {}))
    for fix in chosen:
        if wanted:
            mine[fix.audit, fix.point] = fix
        else:
            mine.pop((fix.audit, fix.point), None)
    state.put("fix_list", everything | {study.key: mine})


def checklist(study: Study, data: Dataset, proposed: Sequence[Fix], *, key: str) -> None:
    """Training points as tiles or rows with score, label and id, each with a box that puts its fix on the list.

    Args:
        study: the study.
        data: the subject's whole data.
        proposed: one fix a point, in the order shown.
        key: names the boxes; unique on the page.
    """
    with st.container(horizontal=data.kind == "image", gap="small"):
        for fix in proposed:
            with st.container(border=True, width=128 if data.kind == "image" else "stretch", gap="xsmall"):
                _point(study, data, fix)
                _box(study, fix, key)


def everything_button(study: Study, proposed: Sequence[Fix], *, key: str, label: str) -> None:
    """A button that puts all of some fixes on the list, or takes all off when they are there."""
    if not proposed:
        return
    there = all(decided(study, fix) for fix in proposed)
    words, icon = ("Take all of these off the fix list", ":material/remove:") if there else (label, ":material/add:")
    st.button(words, key=key, icon=icon, on_click=lambda: decide(study, proposed, wanted=not there))


def show(study: Study) -> None:
    """The list as a table, with downloads."""
    found = fixes(study)
    st.subheader("Fix list", anchor=False)
    if not found:
        st.caption(
            "Empty. Tick the boxes above: what you decide is gathered here, for export. The data on this machine are not changed."
        )
        return
    rows = table(found, ids=study.train_index, labels=study.y_train, class_names=study.class_names)
    asked = Counter(fix.action for fix in merged(found))
    counts = ", ".join(f"{asked[action]} to {action}" for action in PRECEDENCE)
    conflicts = len(found) - len(rows)
    again = (
        f" {conflicts} were named by several audits: removing counts before relabelling, relabelling before inspecting."
        if conflicts
        else ""
    )
    st.caption(
        f"{len(rows)} training point{'' if len(rows) == 1 else 's'}: {counts}.{again} The data on this machine are not changed."
    )
    st.dataframe(rows, hide_index=True, width="stretch", alt="The fix list: training points with what to do and why.")
    with st.container(horizontal=True):
        layout.download_csv(rows, key="fix_list")
        st.download_button(
            "Download JSON",
            lambda: actions_json(study),
            file_name="fix_list.json",
            mime="application/json",
            key="fix_list_json",
            icon=":material/data_object:",
            on_click="ignore",
        )
        st.button(
            "Clear the list",
            key="clear_fixes",
            type="tertiary",
            icon=":material/close:",
            on_click=lambda: decide(study, found, wanted=False),
        )


def actions_json(study: Study) -> str:
    """The list for a program: ``relabel`` and ``remove`` by id of the training point in the full data set."""
    found = actions(fixes(study))
    ids = study.train_index.tolist()
    relabelled = {str(ids[point]): study.class_names[label] for point, label in found["relabel"].items()}
    return json.dumps({"study": study.key, "relabel": relabelled, "remove": [ids[point] for point in found["remove"]]}, indent=1)


def label_words(study: Study, data: Dataset, position: int) -> str:
    """A training point's label, escaped; one that the data know to be wrong is said to be."""
    name = study.class_names[study.y_train[position]]
    true = true_class(data, "train", int(study.train_index[position]))
    return escape(name) if true == name else f":orange[{escape(name)}, really {escape(true)}]"


def _point(study: Study, data: Dataset, fix: Fix) -> None:
    """A training point with its numbers: below a picture line by line, elsewhere in one line."""
    index = int(study.train_index[fix.point])
    shown = media.thumbnail(data, "train", index, size=168)
    if isinstance(shown, bytes):
        st.image(shown, width=84, alt=media.describe(data, "train", index))
    elif isinstance(shown, str):
        st.text(media.describe(data, "train", index, limit=300))
    else:
        st.dataframe(shown.set_index("feature").T.iloc[:, :24], hide_index=True)
    parts = [f"**{number(fix.score)}**", label_words(study, data, fix.point), f"id {index}"]
    st.caption(("  \n" if data.kind == "image" else ", ").join(parts))


def _box(study: Study, fix: Fix, key: str) -> None:
    """The box of one fix; its value comes from the list, so that both always say the same."""
    name = f"_{key}_{study.train_index[fix.point]}"
    st.session_state[name] = decided(study, fix)
    words = f"relabel to {escape(study.class_names[fix.label])}" if fix.label is not None else fix.action

    def change() -> None:
        decide(study, [fix], wanted=bool(st.session_state[name]))

    st.checkbox(words, key=name, on_change=change)
