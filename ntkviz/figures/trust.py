"""Is the trust badge to be trusted? The error that was measured at the points of each verdict."""

import re
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ntkviz.fidelity.trust import AVOID, TRUST, Reliability
from ntkviz.figures import palette

#: The colours of the verdicts; their names stand on the axis, so colour says nothing alone.
COLOURS = {TRUST: palette.POSITIVE, "caution": palette.NEUTRAL, AVOID: palette.NEGATIVE}


def reliability_bars(rows: Sequence[Reliability], error_name: str) -> go.Figure:
    """Mean error of each verdict with its interval. Reads: a badge is worth something when the bars rise clearly from left to right.

    Args:
        rows: one a verdict; those without a point are left out.
        error_name: what the error is.

    Raises:
        ValueError: when no verdict has a point.
    """
    known = _known(rows)
    high = [max(0.0, row.high - row.error) if np.isfinite(row.high) else 0.0 for row in known]
    low = [max(0.0, row.error - row.low) if np.isfinite(row.low) else 0.0 for row in known]
    fig = go.Figure(
        go.Bar(
            x=list(range(len(known))),
            y=[row.error for row in known],
            marker={"color": [COLOURS[row.verdict] for row in known]},
            error_y={"type": "data", "symmetric": False, "array": high, "arrayminus": low, "thickness": 2, "width": 6},
            text=[f"{palette.number(row.error)}" for row in known],
            textposition="inside",
            insidetextanchor="start",
            customdata=[[row.verdict, row.n_points, _span(row)] for row in known],
            hovertemplate="%{customdata[0]}: %{y:.3g}%{customdata[2]}<br>%{customdata[1]:,} test points<extra></extra>",
        )
    )
    fig.update_xaxes(
        tickvals=list(range(len(known))), ticktext=[f"{row.verdict}<br>{row.n_points:,} points" for row in known], showgrid=False
    )
    axis = re.split(r":| at ", error_name or "mean error")[0]  # where and of what, the reading says
    fig.update_yaxes(title_text=palette.short(axis, 46), rangemode="tozero")
    return palette.theme(fig, height=330, legend="none")


def reading_reliability(rows: Sequence[Reliability], ratio: tuple[float, float, float], error_name: str) -> str:
    """The error of each verdict, and the ratio of the worst to the best.

    Args:
        rows: one a verdict.
        ratio: value, lower and upper end.
        error_name: what the error is.

    Raises:
        ValueError: when no verdict has a point.
    """
    known = _known(rows)
    told = ", ".join(f"{row.verdict} {palette.number(row.error)} ({row.n_points:,} points)" for row in known)
    text = f"Mean error by verdict: {told}"
    value, low, high = ratio
    if np.isfinite(value):
        span = f" ({low:.1f} to {high:.1f})" if np.isfinite([low, high]).all() else ""
        text += f"; where the badge says do not use it is {value:.1f} times{span} that of trust"
    return f"{text}. The error: {error_name}." if error_name else f"{text}."


def _span(row: Reliability) -> str:
    return f" ({row.low:.3g} to {row.high:.3g})" if np.isfinite([row.low, row.high]).all() else ""


def _known(rows: Sequence[Reliability]) -> list[Reliability]:
    """The verdicts that some point has.

    Raises:
        ValueError: when there is none.
    """
    known = [row for row in rows if row.n_points and np.isfinite(row.error)]
    if not known:
        raise ValueError("Expected at least one verdict with a measured error, got none. Judge points first.")
    return known
