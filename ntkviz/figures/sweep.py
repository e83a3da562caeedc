"""The error of a random projection by its size, beside what theory says of it."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ntkviz.figures import palette
from ntkviz.figures.plane import error_bars
from ntkviz.studies.sweep import Swept, spread


def sweep_panels(found: Swept) -> go.Figure:
    """Error, overlap of neighbours and imitation by the size of the projection. Reads: where a curve is flat, more size buys nothing.

    Points are means over seeds with 95 % intervals. The dashed line of the first panel is theory, 1/sqrt(size), at a fitted height;
    those of the others are the exact kernel.

    Args:
        found: the sweep.

    Raises:
        ValueError: when there are fewer than two seeds.
    """
    fig = make_subplots(rows=1, cols=3, horizontal_spacing=0.085)
    panels = [
        ("relative error (log scale)", found.error),
        (f"overlap@{found.n_neighbours} with the exact kernel", found.overlap),
        ("imitation: Kendall's tau", found.tau),
    ]
    exact = [None, 1.0, found.exact_tau]
    for column, ((title, values), level) in enumerate(zip(panels, exact, strict=True), start=1):
        _line(fig, found, column, level)
        _points(fig, found.dims, values, title, column)
        ticks = {"tickvals": found.dims.tolist(), "ticktext": [f"{dim:,}" for dim in found.dims.tolist()]}
        fig.update_xaxes(title_text="size of the projection (log scale)", type="log", row=1, col=column, **ticks)
        fig.update_yaxes(title_text=title, row=1, col=column)
    fig.update_yaxes(type="log", row=1, col=1)
    return palette.theme(fig, height=400, legend="bottom")


def reading_sweep(found: Swept) -> str:
    """What the largest size leaves, how the error falls, and whether more size changes the answers.

    Args:
        found: the sweep.

    Raises:
        ValueError: when there are fewer than two seeds.
    """
    error, overlap, tau = (spread(values) for values in (found.error, found.overlap, found.tau))
    n_seeds = found.error.shape[1]
    parts = [
        f"At size {found.dims[-1]:,} the error is {palette.percent(float(error.mean[-1]))} ({palette.percent(float(error.low[-1]))} to "
        f"{palette.percent(float(error.high[-1]))}, {n_seeds} seeds) and {palette.percent(float(overlap.mean[-1]), 0)} of the "
        f"{found.n_neighbours} nearest are the exact kernel's"
    ]
    if len(found.dims) > 1:
        parts.append(f"the error falls as size to the power {slope(found):.2f} (theory: -0.50)")
    parts.append(
        f"tau {tau.mean[-1]:.3f} ({tau.low[-1]:.3f} to {tau.high[-1]:.3f}) against {found.exact_tau:.3f} with the exact kernel"
    )
    return "; ".join(parts) + "."


def slope(found: Swept) -> float:
    """The power of the size by which the mean error falls, by least squares on logarithms; -0.5 in theory.

    Args:
        found: the sweep, of two sizes or more.
    """
    return float(np.polyfit(np.log(found.dims), np.log(spread(found.error).mean), 1)[0])


def _points(fig: go.Figure, dims: np.ndarray, values: np.ndarray, title: str, column: int) -> None:
    """Means with their intervals."""
    found = spread(values)
    rows = list(zip(found.mean.tolist(), found.low.tolist(), found.high.tolist(), strict=True))
    colour = palette.colour(0)
    fig.add_trace(
        go.Scatter(
            x=dims.tolist(),
            y=found.mean.tolist(),
            mode="lines+markers",
            name="projected: mean over seeds, 95 % interval",
            legendgroup="projected",
            showlegend=column == 1,
            line={"color": colour, "width": 2},
            marker={"size": 9, "color": colour},
            error_y=error_bars(rows, colour),
            customdata=[[f"{low:.4g} to {high:.4g}"] for _, low, high in rows],
            hovertemplate=f"size %{{x:,}}<br>{title} %{{y:.4g}}<br>95 %: %{{customdata[0]}}<extra></extra>",
        ),
        row=1,
        col=column,
    )


def _line(fig: go.Figure, found: Swept, column: int, level: float | None) -> None:
    """The exact kernel, or theory."""
    look: dict[str, Any] = {"mode": "lines", "hoverinfo": "skip"}
    dims = found.dims.astype(np.float64)
    if level is None:
        mean = spread(found.error).mean
        height = float(np.exp(np.mean(np.log(mean) + 0.5 * np.log(dims))))
        theory = go.Scatter(
            x=dims.tolist(),
            y=(height / np.sqrt(dims)).tolist(),
            name="theory: 1/sqrt(size), height fitted",
            line={"color": palette.NEGATIVE, "width": 2, "dash": "dash"},
            **look,
        )
        fig.add_trace(theory, row=1, col=column)
    elif np.isfinite(level):
        exact = go.Scatter(
            x=[dims[0], dims[-1]],
            y=[level, level],
            name="exact kernel",
            legendgroup="exact",
            showlegend=column == 2,
            line={"color": palette.LINE, "width": 2, "dash": "dot"},
            **look,
        )
        fig.add_trace(exact, row=1, col=column)
