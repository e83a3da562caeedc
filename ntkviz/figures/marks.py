"""What is drawn over a map: the selected point with edges to its neighbours, and frames around points chosen together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from ntkviz.figures import palette

#: Coordinates by id.
Where = Mapping[object, tuple[float, float]]


@dataclass(frozen=True)
class Selection:
    """The point that somebody chose, and its neighbours in the kernel's space.

    Attributes:
        id: of the point.
        neighbours: ids of its neighbours, strongest first.
    """

    id: object
    neighbours: Sequence[object] = field(default=())


def frames(fig: go.Figure, where: Where, marked: Sequence[object], place: dict[str, Any]) -> None:
    """Squares around the points that are chosen together.

    Args:
        fig: changed in place.
        where: coordinates by id; a marked point that is not on the map is left out.
        marked: ids.
        place: row and column of the panel; empty for a figure without panels.
    """
    known = [(key, where[key]) for key in marked if key in where]
    if not known:
        return
    fig.add_trace(
        go.Scattergl(
            x=[xy[0] for _, xy in known],
            y=[xy[1] for _, xy in known],
            mode="markers",
            marker={"size": 15, "symbol": "square-open", "color": palette.NEUTRAL, "line": {"width": 1.6}},
            name="chosen together",
            legendgroup="marked",
            customdata=[[key] for key, _ in known],
            hovertemplate="chosen: %{customdata[0]}<extra></extra>",
        ),
        **place,
    )


def neighbours(fig: go.Figure, where: Where, selection: Selection, place: dict[str, Any]) -> None:
    """Edges from the chosen point to its neighbours, rings around these, and a star on the point itself.

    Args:
        fig: changed in place.
        where: coordinates by id; nothing is drawn when the point is not on the map.
        selection: the point and its neighbours.
        place: row and column of the panel; empty for a figure without panels.
    """
    if selection.id not in where:
        return
    at = where[selection.id]
    near = [(key, where[key]) for key in selection.neighbours if key in where]
    line = {"color": palette.LINE, "width": 1.4}
    ring = {"size": 13, "symbol": "circle-open", "color": palette.NEUTRAL, "line": {"width": 2.2}}
    # White in black: no class has these colours, and one of the two shows on any page.
    star = {"size": 20, "symbol": "star", "color": "#FFFFFF", "line": {"width": 2, "color": "#1B1B1B"}}
    fig.add_trace(
        go.Scatter(
            x=[v for _, xy in near for v in (at[0], xy[0], None)],
            y=[v for _, xy in near for v in (at[1], xy[1], None)],
            mode="lines",
            line=line,
            name="edges to neighbours",
            hoverinfo="skip",
            showlegend=False,
        ),
        **place,
    )
    fig.add_trace(
        go.Scatter(
            x=[xy[0] for _, xy in near],
            y=[xy[1] for _, xy in near],
            mode="markers",
            marker=ring,
            name="its nearest in the kernel's space",
            legendgroup="neighbours",
            customdata=[[key] for key, _ in near],
            hovertemplate="neighbour %{customdata[0]}<extra></extra>",
        ),
        **place,
    )
    fig.add_trace(
        go.Scatter(
            x=[at[0]],
            y=[at[1]],
            mode="markers",
            marker=star,
            name="selected point",
            legendgroup="selected",
            customdata=[[selection.id]],
            hovertemplate="selected: %{customdata[0]}<extra></extra>",
        ),
        **place,
    )
