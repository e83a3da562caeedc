"""Log-odds of the true class, surrogate against network, for one surrogate or several side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ntkviz.figures import palette

#: Surrogates that one scatter figure shows side by side.
MAX_PANELS = 6

#: Points above this are drawn by the graphics card.
MAX_SVG_POINTS = 2000

#: (surrogate agrees, network right) -> legend, colour, symbol. Colour says agreement, symbol whether the network errs.
GROUPS = {
    (True, True): ("same class, network right", palette.AGREES, "circle"),
    (True, False): ("same class, network wrong", palette.AGREES, "x"),
    (False, True): ("other class, network right", palette.DIFFERS, "circle"),
    (False, False): ("other class, network wrong", palette.DIFFERS, "x"),
}


@dataclass(frozen=True)
class Imitation:
    """What the scatter shows of one surrogate.

    Attributes:
        title: for the panel.
        log_odds: ``[M]``, the surrogate's log-odds of each point's true class.
        agrees: bool ``[M]``, whether the surrogate names the network's class.
        tau: Kendall's tau of the two log-odds when it is known, for the reading.
    """

    title: str
    log_odds: np.ndarray
    agrees: np.ndarray
    tau: float | None = None


def log_odds_scatter(
    network: np.ndarray,
    surrogates: Sequence[Imitation],
    *,
    network_right: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    ids: Sequence[object] | None = None,
    selected: object = None,
) -> go.Figure:
    """Log-odds of the true class, surrogate against network. Reads: the tighter the cloud, the better the imitation.

    Args:
        network: ``[M]``, the network's log-odds of each test point's true class.
        surrogates: one to six, side by side in one figure.
        network_right: bool ``[M]``.
        labels: ``[M]``, for hovering.
        class_names: C names.
        ids: M stable ids of the test points; by default 0..M-1. They come back as ``customdata[0]`` of a click.
        selected: the id of a point to ring.

    Raises:
        ValueError: when lengths differ, a value is not finite, or there are no or more than six surrogates.
    """
    x = palette.finite(network, "the network's log-odds", (None,))
    _check_panels(len(x), surrogates)
    columns = min(3, len(surrogates))
    n_rows = -(-len(surrogates) // columns)
    height = 100 + 330 * n_rows
    fig = make_subplots(rows=n_rows, cols=columns, horizontal_spacing=0.08, vertical_spacing=90 / height)
    custom = palette.id_column(ids, len(x))
    named = palette.class_of(labels, class_names, len(x))
    hover = [[*row, palette.short(name, 40)] for row, name in zip(custom, named, strict=True)]
    for index, surrogate in enumerate(surrogates):
        place: dict[str, Any] = {"row": index // columns + 1, "col": index % columns + 1}
        y = palette.finite(surrogate.log_odds, f"log-odds of {surrogate.title}", (len(x),))
        _clouds(fig, x, y, (np.asarray(surrogate.agrees, bool), np.asarray(network_right, bool)), hover, place)
        _lines(fig, x, y, place)
        found = [i for i, row in enumerate(custom) if row[0] == selected] if selected is not None else []
        for i in found:
            ring = {"size": 16, "color": "rgba(0,0,0,0)", "line": {"width": 3, "color": palette.NEUTRAL}}
            fig.add_trace(
                go.Scatter(
                    x=[x[i]],
                    y=[y[i]],
                    mode="markers",
                    marker=ring,
                    customdata=[hover[i]],
                    name="selected",
                    hoverinfo="skip",
                    showlegend=False,
                ),
                **place,
            )
        fig.update_xaxes(title_text="network: log-odds of the true class", **place)
        fig.update_yaxes(title_text="surrogate: log-odds of the true class" if place["col"] == 1 else None, **place)
    _one_legend_entry_each(fig)
    fig = palette.theme(fig, height=height, legend="bottom" if len(surrogates) > 1 else "top")
    return palette.panel_titles(fig, [s.title for s in surrogates]) if len(surrogates) > 1 else fig


def reading_log_odds(network: np.ndarray, surrogates: Sequence[Imitation], *, network_right: np.ndarray) -> str:
    """What the scatter shows: agreement, shared errors, rank agreement, slope.

    Args:
        network: ``[M]``.
        surrogates: one to six.
        network_right: bool ``[M]``.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    x = palette.finite(network, "the network's log-odds", (None,))
    _check_panels(len(x), surrogates)
    wrong = ~np.asarray(network_right, bool)
    parts = []
    for surrogate in surrogates:
        agrees = np.asarray(surrogate.agrees, bool)
        text = f"{surrogate.title} names the network's class for {int(agrees.sum()):,} of {len(x):,} test points ({palette.percent(float(agrees.mean()))})"
        if wrong.any():
            text += f", and for {int((agrees & wrong).sum())} of the network's {int(wrong.sum())} errors"
        if surrogate.tau is not None:
            text += f"; rank agreement (Kendall's tau) is {surrogate.tau:.2f}"
        line = fit_line(x, palette.finite(surrogate.log_odds, surrogate.title, (len(x),)))
        parts.append(text if line is None else f"{text}; the fitted line has slope {palette.number(line[0])}")
    return ". ".join(parts) + ". On the dashed line the two are equally sure; only the order of the points counts for tau."


def fit_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float] | None:
    """Slope and intercept of the least-squares line, or None when x does not vary."""
    if len(x) < 2 or np.ptp(x) == 0:
        return None
    slope, intercept = np.polyfit(x, y, 1)
    return float(slope), float(intercept)


def _check_panels(n: int, surrogates: Sequence[Imitation]) -> None:
    """Refuse an empty or over-full comparison, or lengths that differ.

    Raises:
        ValueError: in these cases.
    """
    if not 1 <= len(surrogates) <= MAX_PANELS:
        raise ValueError(f"One figure takes 1 to {MAX_PANELS} surrogates, got {len(surrogates)}. Choose fewer.")
    for surrogate in surrogates:
        if len(surrogate.agrees) != n or len(surrogate.log_odds) != n:
            raise ValueError(
                f"{surrogate.title} has {len(surrogate.log_odds)} log-odds and {len(surrogate.agrees)} agreements; expected {n}."
            )


def _lines(fig: go.Figure, x: np.ndarray, y: np.ndarray, place: dict[str, Any]) -> None:
    """The identity (dashed) and the fitted line (solid)."""
    ends = np.array([x.min(), x.max()])
    drawn = [("equally sure", ends, "dash")]
    line = fit_line(x, y)
    if line is not None:
        drawn.append(("fitted line", line[0] * ends + line[1], "solid"))
    for name, heights, dash in drawn:
        style = {"color": palette.LINE, "width": 1.5, "dash": dash}
        fig.add_trace(
            go.Scatter(x=ends, y=heights, mode="lines", name=name, legendgroup=name, line=style, hoverinfo="skip"),
            **place,
        )


def _clouds(
    fig: go.Figure,
    x: np.ndarray,
    y: np.ndarray,
    states: tuple[np.ndarray, np.ndarray],
    hover: list[list[object]],
    place: dict[str, Any],
) -> None:
    """One trace a group of agreement and correctness, the frequent ones below."""
    agrees, right = states
    kind = go.Scattergl if len(x) > MAX_SVG_POINTS else go.Scatter
    for (agree, correct), (name, colour, symbol) in GROUPS.items():
        inside = np.flatnonzero((agrees == agree) & (right == correct))
        if not len(inside):
            continue
        usual = agree and correct
        fig.add_trace(
            kind(
                x=x[inside],
                y=y[inside],
                mode="markers",
                name=name,
                legendgroup=name,
                marker={"size": 6 if usual else 9, "color": colour, "symbol": symbol, "opacity": 0.55 if usual else 0.95},
                customdata=[hover[i] for i in inside],
                hovertemplate="test point %{customdata[0]}, %{customdata[1]}<br>network %{x:.3g}<br>surrogate %{y:.3g}",
            ),
            **place,
        )


def _one_legend_entry_each(fig: go.Figure) -> None:
    """Name each group once, whichever panel it first occurs in."""
    seen: set[str] = set()
    traces: list[Any] = list(fig.select_traces())
    for trace in traces:
        trace.showlegend = trace.showlegend is not False and trace.name not in seen
        seen.add(trace.name)
