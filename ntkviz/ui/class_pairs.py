"""The training points of two classes that a kernel finds most alike, on the page Kernels: what is behind a cell of class against class."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import kernel_facts, selection, state
from ntkviz.ui.address import SHORT_KEY
from ntkviz.ui.clicks import chosen_row, clicked
from ntkviz.ui.kernel_facts import Shown
from ntkviz.ui.point_picker import picture, picture_column

#: Pairs that are listed.
MOST = 12


def choose_classes(study: Study, similarity: np.ndarray) -> tuple[int, int]:
    """Two boxes for the classes.

    Args:
        study: the study.
        similarity: ``[C, C]`` of its kernel; the two different classes most alike stand there at first.
    """
    apart = np.where(np.eye(len(similarity), dtype=bool) | np.isnan(similarity), -np.inf, similarity)
    a, b = divmod(int(apart.argmax()), len(apart))
    left, right = st.columns(2)
    with left:
        first = _class_box("Points of", "pair_first", a, study)
    with right:
        second = _class_box("most alike to points of", "pair_second", b, study)
    return first, second


def most_alike(kernel: Shown, study: Study, data: Dataset, classes: tuple[int, int]) -> None:
    """The pairs of two classes; a row chooses its two points on all pages.

    Args:
        kernel: whose entries count.
        study: the study.
        data: the subject's whole data.
        classes: of one point, and of the other.
    """
    pairs, values = kernel_facts.closest_pairs(kernel, study.y_train, *classes, MOST)
    if not len(pairs):
        st.caption("These classes have no two different training points.")
        return
    ids = study.train_index[pairs]
    columns: dict = {}
    wide = {} if data.kind == "image" else {"width": 300}
    config: dict = {"similarity": st.column_config.NumberColumn(format="%.3f", width=66)}
    for side, (shown, number) in enumerate((("first", "id"), ("second", "its id"))):
        columns[shown] = [picture(data, "train", int(i)) for i in ids[:, side]]
        columns[number] = ids[:, side]
        config[shown] = picture_column(data) | wide
        config[number] = st.column_config.NumberColumn(format="%d", width=50)
    table = pd.DataFrame({**columns, "similarity": values})
    key = f"class_pairs_{kernel.key[:SHORT_KEY]}_{classes[0]}_{classes[1]}"  # rows mean other points under other classes
    st.dataframe(
        table,
        key=key,
        on_select=partial(_choose_pair, key, ids),
        selection_mode="single-row",
        hide_index=True,
        row_height=44 if data.kind == "image" else None,
        height=330,
        column_config=config,
        alt="Pairs of training points by their similarity, most alike first: choose a row to look at its points.",
    )
    points = np.unique(ids)
    st.button(
        f"Choose all {len(points)} points",
        key="choose_pairs",
        icon=":material/select_all:",
        on_click=_choose_all,
        args=(points,),
        help="They are chosen on all pages: on the map, and for what-if questions.",
    )


def follow_cell(chart: str) -> None:
    """Show the pairs of the classes of the cell that was clicked, for ``on_select``.

    Args:
        chart: key of the heat map.
    """
    cell = clicked(chart)
    if cell is not None:
        first, second = map(int, cell.split(":"))
        state.put("pair_first", first)
        state.put("pair_second", second)
        selection.redraw()


def _class_box(label: str, key: str, default: int, study: Study) -> int:
    options = range(len(study.class_names))
    return int(
        state.sticky(st.selectbox, label, key=key, default=default, options=options, format_func=lambda c: study.class_names[c])
    )


def _choose_pair(table: str, ids: np.ndarray) -> None:
    row = chosen_row(table)
    if row is not None:
        selection.choose("train", ids[row])
        selection.walk(f"train:{ids[row, 0]}")


def _choose_all(points: np.ndarray) -> None:
    selection.choose("train", points)
    selection.redraw()
