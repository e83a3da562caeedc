"""The same question under several kernels: where each kernel ranks the training examples that any of them names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ntkviz.explain.agreement import Moved
from ntkviz.figures import palette

#: Where a line that leaves the ranks ends: so far from its kernel, and so far below the last rank.
_REACH, _BELOW = 0.36, 1.1


def moved_neighbours(
    found: Moved,
    titles: Sequence[str],
    *,
    labels: np.ndarray,
    class_names: Sequence[str],
    unit: str,
    ids: Sequence[object] | None = None,
    signed: bool = True,
) -> go.Figure:
    """One column a kernel, lines join the ranks of one training example. Reads: level lines stay, lines from below are new.

    Args:
        found: ranks under K kernels of the n examples that any of them names.
        titles: K names.
        labels: ``[n]``, classes of those examples.
        class_names: C names.
        unit: what is ranked, e.g. "removal effect".
        ids: n stable ids; by default 0..n-1. They come back as ``customdata[0]`` of a click.
        signed: whether a value below 0 speaks against; drawn hollow.

    Raises:
        ValueError: when there is nothing to draw or lengths differ.
    """
    named, custom = _checked(found, titles, labels, class_names, ids)
    fig = go.Figure()
    classes = np.asarray(labels)
    for c in np.unique(classes).tolist():
        members = np.flatnonzero(classes == c).tolist()
        fig.add_trace(_lines(found, members, c))
        fig.add_trace(_markers(found, members, c, titles, named, custom, signed))
    if signed and (found.values[found.named] < 0).any():
        look = {"size": 9, "symbol": "circle-open", "color": palette.NEUTRAL, "line": {"width": 2}}
        fig.add_trace(
            go.Scatter(x=[None], y=[None], mode="markers", name="hollow: speaks against", marker=look, hoverinfo="skip")
        )
    k, last = found.k, len(titles) - 1
    step = 1 if k <= 12 else 2 if k <= 20 else 5
    ranks = [1, *range(step, k + 1, step)] if step > 1 else list(range(1, k + 1))
    fig.update_yaxes(
        title_text=f"rank by {palette.safe(unit)}",
        range=[k + _BELOW + 0.15, 0.4],
        tickvals=[*ranks, k + _BELOW],
        ticktext=[*map(str, ranks), "below"],
        zeroline=False,
    )
    names = [palette.short(title, 24) for title in titles]
    ticks: dict[str, Any] = {"tickvals": list(range(len(titles))), "ticktext": names, "side": "top", "tickangle": 0}
    fig.update_xaxes(range=[-0.45, last + 0.55], zeroline=False, **ticks)
    fig = palette.theme(fig, height=150 + 25 * (k + 1), legend="bottom")
    return fig.update_layout(margin={"t": 34})


def reading_moved(found: Moved, titles: Sequence[str], *, unit: str, ids: Sequence[object] | None = None) -> str:
    """How many examples all kernels name, how many one alone, and which moves furthest.

    Args:
        found: ranks under K kernels.
        titles: K names.
        unit: what is ranked.
        ids: n stable ids.
    """
    if not len(found.indices):
        return f"No training example has any {unit} here under any of these kernels."
    count = found.named.sum(axis=0)
    everywhere, alone = int((count == len(titles)).sum()), int((count == 1).sum())
    spread = found.ranks.max(axis=0) - found.ranks.min(axis=0)
    far = int(spread.argmax())
    best, worst = int(found.ranks[:, far].argmin()), int(found.ranks[:, far].argmax())
    moves = (
        f" The longest way is that of {palette.id_column(ids, len(spread))[far][0]}: rank {found.ranks[best, far]:,} under {titles[best]}, "
        f"{found.ranks[worst, far]:,} under {titles[worst]}."
        if spread[far]
        else ""
    )
    return (
        f"The {len(titles)} columns name {len(found.indices)} training examples among their {found.k} strongest by {unit}: {everywhere} of them "
        f"in every column, {alone} in one alone.{moves}"
    )


def _checked(
    found: Moved, titles: Sequence[str], labels: np.ndarray, class_names: Sequence[str], ids: Sequence[object] | None
) -> tuple[list[str], list[list[object]]]:
    """Class and id of each example.

    Raises:
        ValueError: when there is nothing to draw or lengths differ.
    """
    palette.finite(found.values, "values", (len(titles), None))
    n = len(found.indices)
    return palette.class_of(labels, class_names, n), palette.id_column(ids, n)


def _lines(found: Moved, members: Sequence[int], c: int) -> go.Scatter:
    """Lines between neighbouring columns that both name an example; where one does not, the line leaves downwards."""
    below = found.k + _BELOW
    x: list[float | None] = []
    y: list[float | None] = []
    for i in members:
        for j in range(len(found.ranks) - 1):
            here, there = bool(found.named[j, i]), bool(found.named[j + 1, i])
            if not here and not there:
                continue
            start = (j, float(found.ranks[j, i])) if here else (j + 1 - _REACH, below)
            end = (j + 1, float(found.ranks[j + 1, i])) if there else (j + _REACH, below)
            x += [start[0], end[0], None]
            y += [start[1], end[1], None]
    line = {"color": palette.colour(c), "width": 1.6}
    return go.Scatter(
        x=x, y=y, mode="lines", line=line, opacity=0.55, hoverinfo="skip", showlegend=False, legendgroup=str(c), name="moves"
    )


def _markers(
    found: Moved,
    members: Sequence[int],
    c: int,
    titles: Sequence[str],
    named: Sequence[str],
    custom: Sequence[list[object]],
    signed: bool,
) -> go.Scatter:
    """The examples of a class at their ranks, with their ids."""
    places = [(j, i) for i in members for j in range(len(titles)) if found.named[j, i]]
    against = [signed and bool(found.values[j, i] < 0) for j, i in places]
    symbol = palette.symbol(c)
    return go.Scatter(
        x=[j for j, _ in places],
        y=[int(found.ranks[j, i]) for j, i in places],
        mode="markers+text",
        name=palette.short(named[members[0]], 20),
        legendgroup=str(c),
        text=[f"  {palette.short(custom[i][0], 12)}" for _, i in places],
        textposition="middle right",
        textfont={"size": 11},
        marker={
            "size": 10,
            "color": palette.colour(c),
            "symbol": [f"{symbol}-open" if one else symbol for one in against],
            "line": {"width": 2, "color": palette.colour(c)},
        },
        customdata=[
            [
                *custom[i],
                palette.short(named[i], 40),
                float(found.values[j, i]),
                palette.short(titles[j], 60),
                _elsewhere(found, i),
            ]
            for j, i in places
        ],
        hovertemplate="training example %{customdata[0]}, %{customdata[1]}<br>%{customdata[3]}: rank %{y}, %{customdata[2]:+.4g}"
        "<br>%{customdata[4]}<extra></extra>",
    )


def _elsewhere(found: Moved, i: int) -> str:
    """The ranks of an example in all columns, from the left."""
    return "ranks from the left: " + ", ".join(f"{rank:,}" for rank in found.ranks[:, i].tolist())
