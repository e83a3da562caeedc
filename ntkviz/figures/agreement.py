"""How far explanations under several kernels agree: overlap of each pair, and over all test points."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ntkviz.figures import palette


def overlap_heatmaps(titles: Sequence[str], here: np.ndarray, everywhere: np.ndarray, *, k: int, n_test: int) -> go.Figure:
    """Overlap@k of each pair of kernels, at the test point and on average. Reads: 1 names the same k examples, 0 no common one.

    Args:
        titles: K names.
        here: ``[K, K]``, at the test point that is explained; NaN stays empty.
        everywhere: ``[K, K]``, mean over all test points.
        k: how many strongest examples.
        n_test: over how many test points.

    Raises:
        ValueError: when a matrix is not ``[K, K]``.
    """
    panels = [_square(values, len(titles)) for values in (here, everywhere)]
    names = [palette.short(title, 20) for title in titles]
    long = [palette.short(title, 60) for title in titles]
    fig = make_subplots(rows=1, cols=2, horizontal_spacing=0.06)
    for column, values in enumerate(panels, start=1):
        fig.add_trace(
            go.Heatmap(
                z=[[None if np.isnan(v) else float(v) for v in row] for row in values],
                zmin=0,
                zmax=1,
                colorscale=palette.SEQUENTIAL,
                customdata=[[[a, b] for b in long] for a in long],
                hovertemplate=f"%{{customdata[0]}} and %{{customdata[1]}}<br>overlap@{k} %{{z:.3f}}<extra></extra>",
                texttemplate="%{z:.2f}",
                showscale=column == 1,
                colorbar={"title": {"text": f"overlap@{k}"}, "thickness": 10, "outlinewidth": 0},
                xgap=1,
                ygap=1,
            ),
            row=1,
            col=column,
        )
    ticks: dict[str, Any] = {"tickvals": list(range(len(titles))), "showgrid": False, "zeroline": False}
    fig.update_xaxes(ticktext=names, tickangle=30 if len(titles) > 2 else 0, **ticks)
    fig.update_yaxes(autorange="reversed", ticktext=names, **ticks)
    fig.update_yaxes(showticklabels=False, row=1, col=2)
    palette.panel_titles(fig, ["At this test point", f"Mean of {n_test:,} test points"])
    return palette.theme(fig, height=170 + 42 * len(titles), legend="none")


def reading_overlap(titles: Sequence[str], here: np.ndarray, everywhere: np.ndarray, *, k: int) -> str:
    """Which two kernels name most and fewest common examples here, and what is usual.

    Args:
        titles: K names.
        here: ``[K, K]``.
        everywhere: ``[K, K]``.
        k: how many strongest examples.

    Raises:
        ValueError: when a matrix is not ``[K, K]``.
    """
    own, usual = (_square(values, len(titles)) for values in (here, everywhere))
    pairs = [
        (float(own[i, j]), f"{titles[j]} and {titles[i]}", float(usual[i, j]))
        for i in range(len(titles))
        for j in range(i)
        if np.isfinite(own[i, j])
    ]
    if not pairs:
        return "No two of these name any training example here, so there is nothing to compare."
    most, least = max(pairs), min(pairs)
    text = f"Of their {k} strongest training examples {most[1]} share {palette.percent(most[0], 0)} (on average over all test points {palette.percent(most[2], 0)})"
    if len(pairs) == 1:
        return text + "."
    return f"{text}, no other two share more; {least[1]} share least, {palette.percent(least[0], 0)} (on average {palette.percent(least[2], 0)})."


def overlap_histogram(overlap: np.ndarray, *, k: int, reference: str, mark: float | None = None) -> go.Figure:
    """How many test points have which overlap. Reads: far left, the explanation depends on the kernel.

    Args:
        overlap: ``[M]``, in [0, 1]; NaN is left out.
        k: of how many strongest examples.
        reference: what is compared with, a kernel's name.
        mark: overlap of the point that is explained; None for no line.

    Raises:
        ValueError: when no overlap is a number.
    """
    values = palette.finite(_known(overlap), "overlap", (None,))
    counts, edges = np.histogram(values, bins=_bins(k), range=(0.0, 1.0))
    middles, width = (edges[:-1] + edges[1:]) / 2, float(edges[1] - edges[0])
    bars = go.Bar(
        x=middles,
        y=counts,
        width=width * 0.92,
        marker={"color": palette.POSITIVE},
        customdata=[[a, b] for a, b in pairwise(edges.tolist())],
        hovertemplate="overlap %{customdata[0]:.2f} to %{customdata[1]:.2f}<br>%{y:,} test points<extra></extra>",
        showlegend=False,
    )
    fig = go.Figure(bars)
    if mark is not None and np.isfinite(mark):
        look = {"color": palette.NEGATIVE, "width": 2, "dash": "dash"}
        fig.add_shape(type="line", x0=mark, x1=mark, y0=0, y1=1, yref="y domain", line=look)
        side = "left" if mark < 0.6 else "right"
        fig.add_annotation(
            x=mark,
            y=1,
            yref="y domain",
            text="this test point",
            showarrow=False,
            xanchor=side,
            yanchor="bottom",
            font={"size": 12},
        )
    fig.update_xaxes(title_text=f"overlap@{k} with {palette.short(reference, 40)}", range=[-0.02, 1.02])
    fig.update_yaxes(title_text="test points", rangemode="tozero")
    return palette.theme(fig, height=330, legend="none")


def reading_histogram(overlap: np.ndarray, *, k: int, mark: float | None = None) -> str:
    """The middle of the distribution, how many points share less than half, and where the point explained stands.

    Args:
        overlap: ``[M]``.
        k: of how many strongest examples.
        mark: overlap of the point that is explained.

    Raises:
        ValueError: when no overlap is a number.
    """
    values = palette.finite(_known(overlap), "overlap", (None,))
    text = (
        f"At half of the {len(values):,} test points at least {palette.percent(float(np.median(values)), 0)} of the {k} strongest examples stay the "
        f"same under another kernel; at {int((values < 0.5).sum()):,} of them fewer than half do."
    )
    if mark is None or not np.isfinite(mark):
        return text
    return f"{text} Here {palette.percent(float(mark), 0)} do, less than at {palette.percent(float((values > mark).mean()), 0)} of the test points."


def _bins(k: int) -> int:
    """A bar for each number of common examples, while there are few."""
    return min(max(k, 5), 20)


def _known(values: np.ndarray) -> np.ndarray:
    found = np.asarray(values, dtype=np.float64)
    return found[np.isfinite(found)]


def _square(values: np.ndarray, n: int) -> np.ndarray:
    """The matrix as float64.

    Raises:
        ValueError: when it is not ``[n, n]``.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (n, n):
        raise ValueError(f"Expected overlaps [{n}, {n}] of {n} kernels, got shape {found.shape}.")
    return found
