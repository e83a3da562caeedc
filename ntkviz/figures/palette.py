"""Colours, symbols, safe text and the look that all figures share.

Every figure has a transparent background and sets no text colour, so it takes that of the page, light or dark. What it
draws itself (lines, bars, dots) is legible on both. Colour never stands alone: classes differ by symbol too, signs by
the side of zero, states by symbol.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

#: Okabe and Ito's colours, told apart by the colour-blind; black gives way to grey, which shows on a dark page too.
CATEGORICAL = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#8C8C8C", "#F0E442")

#: Seven symbols beside eight colours: the pair repeats only after 56 classes.
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")

#: Signs: blue supports, orange opposes. Both have a contrast of at least 3 on white and on a near-black page.
POSITIVE, NEGATIVE = "#2A7FBA", "#CC6A14"

#: Agreement of network and surrogate: the same pair, so blue always reads as "yes".
AGREES, DIFFERS = POSITIVE, NEGATIVE

#: Greys that show on light and dark pages: lines of reference, grids, points that step back.
NEUTRAL, LINE, GRID, FADED = "#8A8F98", "rgba(128,132,140,0.85)", "rgba(128,132,140,0.22)", "rgba(140,144,152,0.45)"

#: Colour scales. Orange is below zero and blue above, as for signs.
DIVERGING = [[0.0, "#9A4A00"], [0.25, "#E89B4C"], [0.5, "#F4F3F1"], [0.75, "#6DA9D4"], [1.0, "#0B4F86"]]
SEQUENTIAL = "Cividis"
#: For dots and lines, which have the page behind them: no end vanishes on white or on near-black, as Cividis' would.
SEQUENTIAL_MARKS = [[0.0, "#3F74B5"], [0.35, "#74879C"], [0.7, "#B5993F"], [1.0, "#EBB000"]]
BLUES = [[0.0, "#DCE9F4"], [1.0, "#0B4F86"]]
ORANGES = [[0.0, "#F8DFC3"], [1.0, "#9A4A00"]]

#: Constant, so that zoom and hidden traces survive a redraw.
UIREVISION = "ntkviz"
_AXIS = re.compile(r"[xy]axis\d*")

#: Text of people is cut here; a longer one would push the plot out of its own figure.
MAX_TEXT = 200

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def safe(text: object, *, limit: int = MAX_TEXT) -> str:
    """Text of people, made fit for a figure.

    Plotly reads its strings as a small HTML (links included) and ``%{...}`` in templates as a variable. So <, > and &
    are escaped, ``%{`` is broken up, control and direction-changing characters are dropped, and the length is cut.

    Args:
        text: anything; ``str`` of it is used.
        limit: characters kept.

    Returns:
        Text without markup; equal to the input for ordinary words.
    """
    cleaned = _CONTROL.sub(" ", unicodedata.normalize("NFC", str(text))).strip()
    if len(cleaned) > limit:
        cleaned = cleaned[: limit - 1] + "…"
    escaped = cleaned.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("%{", "%\u2009{")


def short(text: object, limit: int = 16) -> str:
    """Text of people for an axis tick or a legend: escaped and cut to ``limit`` characters."""
    return safe(text, limit=limit)


def number(value: float, digits: int = 3) -> str:
    """A number for a sentence: thousands with a comma, else ``digits`` significant digits; "n/a" for NaN."""
    if value is None or np.isnan(value):
        return "n/a"
    if abs(value) >= 1000 or float(value).is_integer():
        return f"{value:,.0f}" if np.isfinite(value) else "infinite"
    return f"{value:.{digits}g}"


def percent(share: float, digits: int = 1) -> str:
    """A fraction for a sentence: 0.1234 -> "12.3 %"; "n/a" for NaN."""
    return "n/a" if np.isnan(share) else f"{100 * share:.{digits}f} %"


def colour(index: int) -> str:
    """The colour of the index-th class."""
    return CATEGORICAL[index % len(CATEGORICAL)]


def symbol(index: int) -> str:
    """The symbol of the index-th class."""
    return SYMBOLS[index % len(SYMBOLS)]


def id_column(ids: Sequence[object] | np.ndarray | None, n: int) -> list[list[object]]:
    """``customdata`` of n points: one stable id each, so that a click means the same after any redraw.

    Args:
        ids: n ids (numbers or text), or None for 0..n-1.
        n: number of points.

    Raises:
        ValueError: when the number of ids is not n.
    """
    values = range(n) if ids is None else ids
    if len(values) != n:
        raise ValueError(f"Expected one id a point, {n}, got {len(values)}.")
    return [[value.item() if isinstance(value, np.generic) else value] for value in values]


def thinned(n: int, limit: int) -> np.ndarray:
    """Ranks 1..n, thinned to at most ``limit`` on a logarithmic axis; both ends stay."""
    return np.arange(1, n + 1) if n <= limit else np.unique(np.geomspace(1, n, limit).round().astype(np.int64))


def class_of(labels: np.ndarray, class_names: Sequence[str], n: int) -> list[str]:
    """Name of each point's class, as people wrote it.

    Args:
        labels: ``[n]``, 0..C-1.
        class_names: C names.
        n: number of points.

    Raises:
        ValueError: when there are not n labels or one has no name.
    """
    values = np.asarray(labels)
    if values.shape != (n,):
        raise ValueError(f"Expected one label a point, {n}, got shape {values.shape}.")
    if n and not 0 <= int(values.min()) <= int(values.max()) < len(class_names):
        raise ValueError(
            f"Labels must lie in 0..{len(class_names) - 1}, as many as there are class names, got {values.min()}..{values.max()}."
        )
    return [str(class_names[label]) for label in values.tolist()]


def finite(values: np.ndarray, name: str, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """The values as float64, after a look at shape and finiteness: a NaN draws as a hole that nobody sees.

    Args:
        values: any array.
        name: what the message calls it.
        shape: expected shape, None for a free length.

    Raises:
        ValueError: when the shape differs, a value is not finite, or there is none.
    """
    array = np.asarray(values, dtype=np.float64)
    if shape is not None and (
        array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=False))
    ):
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}.")
    if not array.size:
        raise ValueError(f"{name} holds no value, so there is nothing to draw. Choose points first.")
    n_bad = int(np.count_nonzero(~np.isfinite(array)))
    if n_bad:
        raise ValueError(
            f"{name} must be finite to be drawn, got {n_bad} NaN or infinite values. Leave those points out and say so."
        )
    return array


_LOOK: dict[str, Any] = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "margin": {"l": 8, "r": 12, "t": 30, "b": 8},
    "font": {"size": 13},
    "uirevision": UIREVISION,
    "dragmode": "pan",
    "hovermode": "closest",
    "hoverlabel": {"align": "left", "namelength": -1},
    "bargap": 0.25,
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#8A8F98", "activecolor": "#2A7FBA"},  # its own ground hides legends
    "legend": {"font": {"size": 12}, "itemsizing": "constant", "title": {"text": ""}},
}
_SMALL_COLORBAR = {"colorbar": {"title": {"font": {"size": 12}}}}
_AXES = {"gridcolor": GRID, "zerolinecolor": LINE, "zerolinewidth": 1, "linecolor": GRID, "automargin": True}


def theme(fig: go.Figure, *, height: int = 380, legend: str = "top") -> go.Figure:
    """The figure with the common look.

    Written into the figure's dictionary, all at once: plotly's own update methods check every property on its own, which takes longer than
    everything else that a page does.

    Args:
        fig: the figure.
        height: in pixels; the width is the page's.
        legend: ``"top"``, ``"bottom"`` or ``"none"``.

    Returns:
        A new figure.
    """
    data: Any = fig.data
    layout, traces = fig.layout.to_plotly_json(), [trace.to_plotly_json() for trace in data]
    below = {"orientation": "h", "y": -56 / height, "yanchor": "top", "x": 0, "xanchor": "left"}
    above = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"}
    _merge(layout, _LOOK)
    _merge(layout, {"height": height, "showlegend": legend != "none", "legend": below if legend == "bottom" else above})
    for trace in traces:
        if trace["type"] == "heatmap":
            _merge(trace, _SMALL_COLORBAR)
        elif trace["type"] == "bar":
            _merge(trace, {"marker": {"line": {"width": 0}}})  # templates draw it in the colour of their page
    for name in [name for name in layout if name.startswith("coloraxis")]:
        _merge(layout[name], _SMALL_COLORBAR)
    for axis in {"xaxis", "yaxis"} | {name for name in layout if _AXIS.fullmatch(name)}:
        found = layout.setdefault(axis, {})
        # Said outright where a figure has not: a page's template may hide grid and zero lines.
        shown = {"showgrid": found.get("showgrid", True), "zeroline": found.get("zeroline", True) and found.get("type") != "log"}
        _merge(found, _AXES | shown | {"title": {"standoff": 8 if axis[0] == "x" else 6, "font": {"size": 13}}})
    return go.Figure({"data": traces, "layout": layout}, _validate=False)


def _merge(into: dict[str, Any], look: dict[str, Any]) -> None:
    """Set properties, and those of properties, in place."""
    for name, value in look.items():
        if isinstance(value, dict):
            _merge(into.setdefault(name, {}), value)
        else:
            into[name] = value


def named_rows(names: Sequence[object], limit: int = 24) -> dict[str, Any]:
    """Properties of a y axis with one named row at 0, 1, 2, ... from the top; two rows may have the same name.

    Args:
        names: text of people allowed.
        limit: characters kept of each.
    """
    ticks = {"tickvals": list(range(len(names))), "ticktext": [short(name, limit) for name in names]}
    return {**ticks, "range": [max(1, len(names)) - 0.5, -0.5], "showgrid": False, "zeroline": False}


def panel_titles(fig: go.Figure, titles: Sequence[str]) -> go.Figure:
    """Write a title over each panel of a grid, in place; it stays with a panel that is narrowed to keep its shape.

    Args:
        fig: a figure made by ``make_subplots``, panels numbered row by row.
        titles: one a panel, text of people allowed.

    Returns:
        The same figure.
    """
    for index, title in enumerate(titles):
        suffix = str(index + 1) if index else ""
        fig.add_annotation(
            text=f"<b>{short(title, 36)}</b>",
            xref=f"x{suffix} domain",
            yref=f"y{suffix} domain",
            x=0,
            y=1,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 13},
        )
    return fig


def standalone(fig: go.Figure, *, dark: bool = False) -> go.Figure:
    """A copy with its own background and text colour, for an exported page that has no theme."""
    result = go.Figure(fig)
    ink, paper = ("#E6E8EB", "#0E1117") if dark else ("#31333F", "#FFFFFF")
    return result.update_layout(font={"color": ink}, paper_bgcolor=paper, template={"layout": {"font": {"color": ink}}})


def alt(kind: str, reading: str) -> str:
    """Alternative text of a figure: what kind of chart it is and what it shows.

    Args:
        kind: e.g. "scatter plot".
        reading: the figure's own sentence, plain text: names of classes stand in it as people wrote them, so a page
            that renders markdown escapes it first.
    """
    return f"Chart ({kind}). {reading}"
