"""Imitation against truth: every kernel, surrogate and attribution of a model as a point, and its controls."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ntkviz.figures import palette
from ntkviz.studies.faithfulness import Measured

#: Controls have a symbol of their own, and grey.
CONTROL_SYMBOL = "x"
_SMALLEST, _LARGEST = 9.0, 24.0
#: Where attributions without a surrogate stand: they imitate nothing.
_APART = 0.14


def imitation_truth(rows: Sequence[Measured], titles: dict[str, str], *, selected: str | None = None) -> go.Figure:
    """The plane. Reads: right is better imitation, up is what retraining confirms; the dashed line is the most that can be had.

    Rows without an LDS are left out (the table has them); the larger a dot, the longer it took. Controls, which know no network
    or no single point, are grey crosses.

    Args:
        rows: measured attributions.
        titles: attribution -> title.
        selected: key of the row to ring.

    Raises:
        ValueError: when no row has an LDS.
    """
    known = _known(rows)
    left = min(
        [0.0, *(row.tau_low for row in known if np.isfinite(row.tau_low)), *(row.tau for row in known if np.isfinite(row.tau))]
    )
    apart = left - _APART
    sizes = _sizes([row.seconds for row in known])
    fig = go.Figure()
    for index, (name, group) in enumerate(_groups(known).items()):
        fig.add_trace(_cloud(group, sizes, apart, palette.safe(titles.get(name, name), limit=40), index))
    ring = [row for row in known if row.key == selected]
    if ring:
        fig.add_trace(
            go.Scatter(
                x=[_x(ring[0], apart)],
                y=[ring[0].lds],
                mode="markers",
                name="selected",
                marker={"symbol": "circle-open", "size": _LARGEST + 8, "color": palette.NEUTRAL, "line": {"width": 3}},
                customdata=[[ring[0].key]],
                hoverinfo="skip",
                showlegend=False,
            )
        )
    _lines(fig, known, left, apart)
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
    fig.update_xaxes(
        title_text="imitation: Kendall's tau of the log-odds, network against surrogate",
        range=[apart - 0.07, 1.04],
        tickvals=[apart, *ticks],
        ticktext=["no surrogate", *(f"{tick:g}" for tick in ticks)],
    )
    low = min([0.0, *(row.truth.low for row in known if np.isfinite(row.truth.low)), *(row.lds for row in known)])
    fig.update_yaxes(title_text="truth: LDS against retraining", range=[low - 0.05, 1.04])
    return palette.theme(fig, height=520, legend="bottom")


def reading_plane(rows: Sequence[Measured]) -> str:
    """The best in truth, the best in imitation and the best control, with their figures.

    Args:
        rows: measured attributions.

    Raises:
        ValueError: when no row has an LDS.
    """
    known = _known(rows)
    ours, controls = [r for r in known if not r.is_control], [r for r in known if r.is_control]
    parts = []
    for word, group in (("Highest", ours), ("Best control", controls)):
        if group:
            top = max(group, key=lambda row: row.lds)
            parts.append(f"{word}: {top.title}, LDS {top.lds:.2f}, tau {palette.number(top.tau)}")
    imitators = [row for row in ours if np.isfinite(row.tau)]
    if imitators:
        right = max(imitators, key=lambda row: row.tau)
        parts.append(f"Furthest right: {right.title}, tau {right.tau:.2f}, LDS {right.lds:.2f}")
    ceiling = known[0].truth.ceiling
    if np.isfinite(ceiling):
        parts.append(f"The ceiling is {ceiling:.2f}")
    return ". ".join(parts) + "."


def _cloud(group: list[Measured], sizes: dict[float, float], apart: float, name: str, index: int) -> go.Scatter:
    """One attribution's rows."""
    control = group[0].is_control
    colour = palette.NEUTRAL if control else palette.colour(index)
    symbol = (
        CONTROL_SYMBOL if control else [s for s in palette.SYMBOLS if s != CONTROL_SYMBOL][index % (len(palette.SYMBOLS) - 1)]
    )
    return go.Scatter(
        x=[_x(row, apart) for row in group],
        y=[row.lds for row in group],
        mode="markers",
        name=name,
        marker={
            "size": [sizes[row.seconds] for row in group],
            "color": colour,
            "symbol": symbol,
            "opacity": 0.85,
            "line": {"width": 1, "color": palette.LINE},
        },
        error_x=error_bars([(row.tau, row.tau_low, row.tau_high) for row in group], colour),
        error_y=error_bars([(row.lds, row.truth.low, row.truth.high) for row in group], colour),
        customdata=[[row.key, palette.safe(row.title), _told(row)] for row in group],
        hovertemplate="%{customdata[1]}<br>%{customdata[2]}<extra></extra>",
    )


def _told(row: Measured) -> str:
    """The figures of a row, for the pointer."""
    tau = f"tau {row.tau:.3f}" if np.isfinite(row.tau) else "no surrogate"
    span = f" ({row.truth.low:.3f} to {row.truth.high:.3f})" if np.isfinite(row.truth.low) else ""
    within = f"<br>beyond classes {row.truth.within:.3f}" if np.isfinite(row.truth.within) else ""
    control = "<br>control" if row.is_control else ""
    return f"LDS {row.lds:.3f}{span}<br>{tau}{within}<br>{row.seconds:.2g} s{control}"


def _lines(fig: go.Figure, known: list[Measured], left: float, apart: float) -> None:
    """The ceiling, and the line that parts attributions without a surrogate from the others."""
    ceiling = known[0].truth.ceiling
    if np.isfinite(ceiling):
        fig.add_trace(
            go.Scatter(
                x=[apart - 0.07, 1.04],
                y=[ceiling, ceiling],
                mode="lines",
                name="ceiling: retrainings differ from seed to seed",
                line={"color": palette.LINE, "width": 2, "dash": "dash"},
                hovertemplate=f"ceiling {ceiling:.3f}<extra></extra>",
            )
        )
    if any(not np.isfinite(row.tau) for row in known):
        fig.add_vline(x=left - _APART / 2, line={"color": palette.GRID, "width": 2})


def error_bars(values: list[tuple[float, float, float]], colour: str) -> dict[str, Any]:
    """Error bars of (value, low, high); none where an end is not known."""
    high = [max(0.0, h - v) if np.isfinite([v, h]).all() else 0.0 for v, _, h in values]
    low = [max(0.0, v - e) if np.isfinite([v, e]).all() else 0.0 for v, e, _ in values]
    return {"type": "data", "symmetric": False, "array": high, "arrayminus": low, "thickness": 1.5, "width": 3, "color": colour}


def _sizes(seconds: Sequence[float]) -> dict[float, float]:
    """Diameter in pixels by seconds, on a logarithmic scale."""
    logs = np.log(np.maximum(seconds, 1e-3))
    span = float(np.ptp(logs)) or 1.0
    sizes = _SMALLEST + (_LARGEST - _SMALLEST) * (logs - logs.min()) / span
    return dict(zip(seconds, sizes.tolist(), strict=True))


def _x(row: Measured, apart: float) -> float:
    return row.tau if np.isfinite(row.tau) else apart


def _groups(rows: Sequence[Measured]) -> dict[str, list[Measured]]:
    """Rows by attribution and kind, in order of appearance; controls last, so that they are drawn on top."""
    found: dict[str, list[Measured]] = {}
    for row in sorted(rows, key=lambda row: row.is_control):
        found.setdefault(row.attribution, []).append(row)
    return found


def _known(rows: Sequence[Measured]) -> list[Measured]:
    """The rows with an LDS.

    Raises:
        ValueError: when there is none.
    """
    known = [row for row in rows if np.isfinite(row.lds)]
    if not known:
        raise ValueError("Expected at least one attribution with an LDS, got none. Measure against retraining first.")
    return known
