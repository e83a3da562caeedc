"""Choosing a test point (filters, order, a box to search by id, a table with pictures), and points in tables and tiles."""

import base64
import zlib
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import media, selection, state
from ntkviz.ui.points import ORDERS, SHOWN, Outcomes, select_points

#: Rows of the table; more pictures than this make the page slow, and the box finds every id.
MAX_LISTED = 250
_TURN = "_points_turn"
#: Column of the meta table with the class that a point really has, in the samples with planted faults.
TRUE_LABEL = "true_label"
_SAID = ["label", "network", "surrogate", "log-odds"]
_ORDER = {
    "image": ["picture", "id", *_SAID],
    "text": ["picture", *_SAID, "id"],
    "tabular": ["id", *_SAID, "picture"],
}


def pick_point(study: Study, points: Outcomes, data: Dataset, *, beside: DeltaGenerator) -> int:
    """Draw the filters and the search box here, and the table into ``beside``.

    Args:
        study: the study.
        points: its test points.
        data: the subject's whole data.
        beside: where the table stands.

    Returns:
        Position in the study of the test point chosen; the first of the list while nobody chose.
    """
    cells = st.columns([5, 2, 2], vertical_alignment="bottom")
    listed = _filters(study, points, cells)
    m = _current(points, listed)
    options = points.ids[listed].tolist()
    if int(points.ids[m]) not in options:
        options = [int(points.ids[m]), *options]
    names = study.class_names
    chosen = state.sticky(
        st.selectbox,
        "Test point",
        key="point",
        default=int(points.ids[m]),
        options=options,
        format_func=lambda key: _line(points, names, key),
        help="Type an id to find it. Ids are positions in the whole test split. The address names the point: a link restores it.",
        on_change=_turn,
    )
    with beside:
        if len(listed):
            _table(points, listed[:MAX_LISTED], names, data, chosen)
        else:
            st.info("No test point fits these filters. The one above stays open.", icon=":material/filter_alt_off:")
        if len(listed) > MAX_LISTED:
            st.caption(f"The first {MAX_LISTED} of {len(listed):,}; filter, reorder, or search above for the others.")
    return points.position(int(chosen)) or 0


def picture(data: Dataset, split: media.Split, index: int, *, size: int = 40) -> str:
    """A point for a table's cell: the address of a picture, or a line of text."""
    if data.kind == "image":
        shown = media.thumbnail(data, split, index, size=size)
        return "data:image/png;base64," + base64.b64encode(shown if isinstance(shown, bytes) else b"").decode()
    return media.describe(data, split, index, limit=110)


def picture_column(data: Dataset) -> Any:
    """How a table shows what :func:`picture` returned."""
    if data.kind == "image":
        return st.column_config.ImageColumn("picture", width=58)
    return st.column_config.TextColumn("text" if data.kind == "text" else "values", width=185)


def meta_columns(data: Dataset, split: media.Split, indices: np.ndarray) -> dict[str, list]:
    """What else is known of some points: the columns of the data's meta table."""
    if data.meta is None:
        return {}
    rows = data.meta.iloc[np.asarray(indices) + (0 if split == "train" else len(data.x_train))]
    found = {str(name): rows[name].tolist() for name in rows.columns if name not in {"split", "label", "class"}}
    if TRUE_LABEL in found:
        found[TRUE_LABEL] = [true_class(data, split, int(i)) for i in indices]
    return found


def true_class(data: Dataset, split: media.Split, index: int) -> str:
    """The class that a point really has where the data says so (a planted wrong label); its label otherwise."""
    labels = data.y_train if split == "train" else data.y_test
    known = None
    if data.meta is not None and TRUE_LABEL in data.meta:
        known = data.meta[TRUE_LABEL].iloc[index + (0 if split == "train" else len(data.x_train))]
    is_class = isinstance(known, int | np.integer) and 0 <= int(known) < len(data.class_names)
    return data.class_names[int(known) if is_class else int(labels[index])]  # type: ignore[arg-type]


def example_rows(
    data: Dataset,
    split: media.Split,
    indices: np.ndarray,
    numbers: dict[str, object],
    *,
    formats: dict[str, str],
    walk: tuple[str, ...] = (),
) -> None:
    """Texts or table rows one below the other, their numbers first; a table's own columns follow as columns.

    Args:
        data: text or tabular data.
        split: "train" or "test".
        indices: ids of the points.
        numbers: name -> column, in the order shown.
        formats: name -> printf format of a number.
        walk: a name of the list that is unique on the page, and the fragments that are drawn anew when somebody walks on to one of its
            points by choosing its row; empty for a list that leads nowhere.
    """
    table = pd.DataFrame(numbers)
    config: dict[str, Any] = {name: st.column_config.NumberColumn(format=form, width=66) for name, form in formats.items()}
    shown = data.display.train if split == "train" else data.display.test
    if isinstance(shown, pd.DataFrame):
        values = shown.iloc[np.asarray(indices)].reset_index(drop=True)
        taken = {name: f"{name} (value)" for name in values.columns if name in table}
        table = pd.concat([table, values.rename(columns=taken)], axis=1)
    else:
        table["text"] = [media.describe(data, split, int(i), limit=400) for i in indices]
        config["text"] = st.column_config.TextColumn(width="large")
    table["id"] = ids = np.asarray(indices)
    alt = f"Points of the {split} split with their numbers."
    if not walk:
        st.dataframe(table, hide_index=True, column_config=config, alt=alt)
        return
    key = f"{walk[0]}_{zlib.crc32(ids.tobytes())}"  # rows mean other points in another list

    st.dataframe(
        table,
        hide_index=True,
        column_config=config,
        alt=f"{alt} Choose a row to look at the point.",
        key=key,
        on_select=partial(selection.follow_row, key, ids, split, *walk[1:]),
        selection_mode="single-row",
    )


def named_table(first: str, names: Sequence[str], values: np.ndarray, columns: Sequence[str]) -> pd.DataFrame:
    """A matrix as a table, the names of its rows in front.

    Args:
        first: heading of the names.
        names: of the rows.
        values: ``[rows, columns]``.
        columns: of the columns.
    """
    return pd.concat([pd.DataFrame({first: list(names)}), pd.DataFrame(values, columns=list(columns))], axis=1)


def tiles(
    data: Dataset,
    split: media.Split,
    indices: Sequence[int] | np.ndarray,
    captions: Sequence[str],
    *,
    width: int = 84,
    walk: tuple[str, ...] = (),
) -> None:
    """Pictures side by side, as many a row as there is room for.

    Args:
        data: image data.
        split: "train" or "test".
        indices: ids of the points.
        captions: Markdown below each; :func:`ntkviz.ui.text.escape` what people wrote.
        width: of each, in pixels.
        walk: as in :func:`example_rows`: below each picture is a button that leads to the point.
    """
    with st.container(horizontal=True, gap="small"):
        for index, caption in zip(indices, captions, strict=True):
            shown = media.thumbnail(data, split, int(index), size=2 * width)
            if not isinstance(shown, bytes):
                continue
            with st.container(width=width, gap=None) if walk else nullcontext():
                st.image(shown, width=width, caption=caption, alt=media.describe(data, split, int(index)))
                if walk:
                    st.button(
                        str(index),
                        key=f"{walk[0]}_{split}_{index}",
                        type="tertiary",
                        icon=":material/arrow_forward:",
                        help="Look at this one.",
                        on_click=selection.walk,
                        args=(f"{split}:{index}", *walk[1:]),
                    )


def _filters(study: Study, points: Outcomes, cells: Sequence[DeltaGenerator]) -> np.ndarray:
    """Positions that the filters leave, in order."""
    counts = {key: len(select_points(points, shown=key)) for key in SHOWN}
    names = study.class_names
    with cells[0]:
        shown = state.sticky(
            st.segmented_control,
            "Show",
            key="shown",
            default="all",
            options=list(SHOWN),
            format_func=lambda key: f"{key} ({counts[key]:,})",
            required=True,
            help=". ".join(SHOWN.values()) + ".",
        )
    with cells[1]:
        label = state.sticky(
            st.selectbox,
            "True class",
            key="shown_class",
            default=-1,
            options=[-1, *range(len(names))],
            format_func=lambda c: "all classes" if c < 0 else names[c],
        )
    with cells[2]:
        order = state.sticky(
            st.selectbox,
            "Order",
            key="order",
            default="least sure first",
            options=list(ORDERS),
            help="; ".join(f"{name}: {text}" for name, text in ORDERS.items()) + ".",
        )
    return select_points(points, shown=shown, label=None if label < 0 else label, order=order)


def _current(points: Outcomes, listed: np.ndarray) -> int:
    """Position of the point in memory or in the address; the first listed when there is none."""
    wanted = state.get("point")
    found = points.position(int(wanted)) if wanted is not None else None
    if found is not None:
        return found
    if wanted is not None:
        st.warning(
            f"Test point {wanted} is not in this study of {len(points.ids):,} test points; another one is shown. A study with "
            "more test points may have it.",
            icon=":material/search_off:",
        )
    # A newcomer first sees an explanation that may be used.
    usable = listed[points.agrees[listed]]
    return int(usable[0] if len(usable) else listed[0] if len(listed) else 0)


def _line(points: Outcomes, names: tuple[str, ...], point: int) -> str:
    m = points.position(point) or 0
    mark = "" if points.right[m] else " ✗"
    return f"{point}: label {names[points.labels[m]]}, network {names[points.network[m]]}{mark}"


def _table(points: Outcomes, listed: np.ndarray, names: tuple[str, ...], data: Dataset, chosen: int) -> None:
    """The list, one row to be chosen; its own selection is only ever read in the callback."""
    ids = points.ids[listed]
    table = pd.DataFrame(
        {
            "picture": [picture(data, "test", int(i)) for i in ids],
            "id": ids,
            "label": [names[c] for c in points.labels[listed]],
            "network": [names[c] for c in points.network[listed]],
            "surrogate": [names[c] for c in points.surrogate[listed]],
            "log-odds": points.margin[listed],
        }
    )
    # Rows mean other points under other filters, so these are part of the key.
    key = f"points_{st.session_state.get(_TURN, 0)}_{zlib.crc32(ids.tobytes())}"

    def choose() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        if rows:
            state.put("point", int(ids[rows[0]]))

    at, image = np.flatnonzero(ids == chosen), data.kind == "image"
    st.dataframe(
        table,
        key=key,
        on_select=choose,
        selection_mode="single-row",
        selection_default={"selection": {"rows": at[:1].tolist(), "columns": [], "cells": []}},
        hide_index=True,
        height=510,
        row_height=44 if image else None,
        column_order=_ORDER[data.kind],
        column_config={
            "picture": picture_column(data),
            "id": st.column_config.NumberColumn(format="%d", width=52),
            **{name: st.column_config.TextColumn(width=62 if image else 74) for name in ("label", "network", "surrogate")},
            "log-odds": st.column_config.NumberColumn(
                format="%.2f", help="The network's log-odds of the class it names: how sure it is. 0 is undecided."
            ),
        },
        alt="Test points: choose a row to explain it.",
    )


def _turn() -> None:
    """The point was chosen elsewhere: the table is drawn anew, so that its marked row is that point."""
    st.session_state[_TURN] = st.session_state.get(_TURN, 0) + 1
