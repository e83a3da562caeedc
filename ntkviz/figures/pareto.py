"""Fidelity against cost: every study as a point, and the front of those that nothing beats in both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ntkviz.fidelity.front import dominated_by
from ntkviz.figures import palette
from ntkviz.figures.plane import CONTROL_SYMBOL, error_bars


@dataclass(frozen=True)
class Priced:
    """A study on the plane of fidelity and cost.

    Attributes:
        key: names it.
        title: for legends; text of people allowed.
        cost: in the unit of the axis, above 0.
        value: the measure; NaN when it is not defined.
        low: lower end of its interval, or NaN.
        high: upper end, or NaN.
        control: whether its kernel knows no network.
        told: further figures for the pointer, plain text.
    """

    key: str
    title: str
    cost: float
    value: float
    low: float = float("nan")
    high: float = float("nan")
    control: bool = False
    told: str = ""


def pareto(rows: Sequence[Priced], *, cost: str, value: str) -> go.Figure:
    """The plane. Reads: up is more faithful, left is cheaper; what lies below and right of the line is beaten in both.

    Rows without a value are left out. Controls are grey crosses.

    Args:
        rows: the studies.
        cost: title of the cost axis, with its unit.
        value: title of the measure.

    Raises:
        ValueError: when no row has a value.
    """
    known = _known(rows)
    front = _front(known)
    fig = go.Figure()
    steps = sorted(front, key=lambda row: row.cost)
    if len(steps) > 1:
        fig.add_trace(
            go.Scatter(
                x=[row.cost for row in steps],
                y=[row.value for row in steps],
                mode="lines",
                line={"color": palette.LINE, "width": 2, "dash": "dash", "shape": "hv"},
                name="Pareto front: nothing here is both cheaper and better",
                hoverinfo="skip",
            )
        )
    symbols = [symbol for symbol in palette.SYMBOLS if symbol != CONTROL_SYMBOL]
    for index, row in enumerate(known):
        look = (palette.NEUTRAL, CONTROL_SYMBOL) if row.control else (palette.colour(index), symbols[index % len(symbols)])
        told = [
            f"{value} {palette.number(row.value)}" + (f" ({row.low:.3f} to {row.high:.3f})" if np.isfinite(row.low) else ""),
            f"{cost}: {palette.number(row.cost)}",
            "on the front" if row in front else "dominated",
            *(["control: knows no network"] if row.control else []),
            *([palette.safe(row.told)] if row.told else []),
        ]
        fig.add_trace(
            go.Scatter(
                x=[row.cost],
                y=[row.value],
                mode="markers",
                name=palette.short(row.title, 40) + (" (control)" if row.control else ""),
                marker={"size": 15, "color": look[0], "symbol": look[1], "line": {"width": 1, "color": palette.LINE}},
                error_y=error_bars([(row.value, row.low, row.high)], look[0]),
                customdata=[[row.key, palette.safe(row.title), "<br>".join(told)]],
                hovertemplate="%{customdata[1]}<br>%{customdata[2]}<extra></extra>",
            )
        )
    fig.update_xaxes(title_text=f"{palette.safe(cost)} (log scale)", type="log", dtick="D2")
    fig.update_yaxes(title_text=palette.safe(value))
    return palette.theme(fig, height=460, legend="bottom")


def reading_pareto(rows: Sequence[Priced], *, cost: str, value: str) -> str:
    """Who is on the front and who is beaten, and by whom.

    Args:
        rows: the studies.
        cost: title of the cost axis.
        value: title of the measure.

    Raises:
        ValueError: when no row has a value.
    """
    known = _known(rows)
    by = dominated_by(np.array([row.cost for row in known]), np.array([row.value for row in known]))
    front = sorted((row for row, other in zip(known, by, strict=True) if other < 0), key=lambda row: row.cost)
    words = [f"{row.title} ({palette.number(row.value)} at {palette.number(row.cost)})" for row in front]
    text = f"{value} against {cost}. On the front, from cheap to dear: {', '.join(words)}"
    beaten = [f"{row.title} (by {known[other].title})" for row, other in zip(known, by, strict=True) if other >= 0]
    text += f". Dominated, cheaper and no worse is to be had: {', '.join(beaten)}." if beaten else ". None is dominated."
    lost = len(rows) - len(known)
    return text + (f" {lost} without a value are not drawn." if lost else "")


def _front(known: Sequence[Priced]) -> list[Priced]:
    by = dominated_by(np.array([row.cost for row in known]), np.array([row.value for row in known]))
    return [row for row, other in zip(known, by, strict=True) if other < 0]


def _known(rows: Sequence[Priced]) -> list[Priced]:
    """The rows with a value and a cost.

    Raises:
        ValueError: when there is none.
    """
    known = [row for row in rows if np.isfinite(row.value) and row.cost > 0]
    if not known:
        raise ValueError("Expected at least one study with a value and a cost, got none. Choose another measure.")
    return known
