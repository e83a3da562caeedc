"""Clicks on charts: what was clicked, and a look that a click does not change."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    import plotly.graph_objects as go


def clicked(key: str) -> str | None:
    """The id of the point that was clicked on a chart, from the first entry of its ``customdata``; for ``on_select``.

    An empty selection is what is left when the figure changed (the ring around the point just clicked), and no wish of
    anybody: it gives ``None``, and the page keeps what it has.

    Args:
        key: of the chart.
    """
    points = st.session_state[key]["selection"]["points"]
    ids = [point["customdata"][0] for point in points if point.get("customdata")]
    return str(ids[0]) if ids else None


@dataclass(frozen=True)
class Area:
    """A lasso or box as it was drawn, in the units of the axes.

    Attributes:
        kind: "lasso" or "box".
        x: of the corners of a lasso, or two ends of a box.
        y: likewise.
        panel: of the chart's panels, from 0, which it was drawn on.
    """

    kind: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    panel: int = 0


def drawn(key: str) -> Area | None:
    """The lasso or box that was drawn on a chart; for ``on_select``. Of several the last.

    Which points lie within is for the page to find out: of a picture of densities the browser does not know.

    Args:
        key: of the chart.

    Returns:
        The area; ``None`` when nothing was drawn: a click, or a selection that went with the figure.
    """
    found = st.session_state[key]["selection"]
    for kind in ("lasso", "box"):
        if found.get(kind):
            shape = found[kind][-1]
            axis = str(shape.get("xref") or "x").removeprefix("x")
            return Area(kind, tuple(map(float, shape["x"])), tuple(map(float, shape["y"])), int(axis or 1) - 1)
    return None


def chosen_rows(key: str) -> list[int]:
    """The rows that are chosen in a table, for ``on_select``.

    Args:
        key: of the table.
    """
    return [int(row) for row in st.session_state[key]["selection"]["rows"]]


def chosen_row(key: str) -> int | None:
    """The row that was chosen in a table, for ``on_select``; ``None`` when it was let go.

    Args:
        key: of the table.
    """
    rows = chosen_rows(key)
    return rows[0] if rows else None


def steady(fig: "go.Figure") -> "go.Figure":
    """The figure, its dots as they are whether something is clicked or not: the page marks the choice itself.

    Args:
        fig: changed in place.
    """
    traces: list[Any] = list(fig.select_traces())
    for trace in traces:
        if trace.type in {"scatter", "scattergl"} and "markers" in (trace.mode or ""):
            look = {"marker": {"opacity": 1.0 if trace.marker.opacity is None else trace.marker.opacity}}
            trace.update(selected=look, unselected=look)
    return fig
