"""A map of more points than a page can draw one by one: how many stand where, and a fair sample of them."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ntkviz.figures import marks, palette
from ntkviz.figures.marks import Selection

#: Cells on a side.
BINS = 200


def density_map(
    xy: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    ids: Sequence[object] | None = None,
    n_sample: int = 2000,
    seed: int = 0,
    method: str = "UMAP",
    selection: Selection | None = None,
    marked: Sequence[object] = (),
) -> go.Figure:
    """Counts in cells, with a sample of dots drawn by class. Reads: brighter cells hold more points.

    Args:
        xy: ``[n, 2]``.
        labels: ``[n]``, 0..C-1.
        class_names: C names.
        ids: n stable ids; by default 0..n-1.
        n_sample: dots drawn; every class keeps its share, at least one.
        seed: of the sample.
        method: for the axis titles.
        selection: a chosen point and its neighbours, drawn on top with edges; ids that are not on the map are left out.
        marked: ids of points that are chosen together; framed, of many a sample.

    Raises:
        ValueError: when lengths differ or a coordinate is not finite.
    """
    points = palette.finite(xy, "coordinates", (None, 2))
    if ids is not None and len(ids) != len(points):
        raise ValueError(f"Expected one id a point, {len(points)}, got {len(ids)}.")
    names = range(len(points)) if ids is None else ids
    fig = go.Figure([_cells(points), *_sample(points, labels, class_names, names, stratified(labels, n_sample, seed=seed))])
    if len(marked) > n_sample:
        marked = [marked[i] for i in np.random.default_rng(seed).permutation(len(marked))[:n_sample]]
    wanted = {*marked, *(() if selection is None else (selection.id, *selection.neighbours))}
    where = {name: (float(x), float(y)) for name, (x, y) in zip(names, points, strict=True) if name in wanted} if wanted else {}
    marks.frames(fig, where, marked, {})
    if selection is not None:
        marks.neighbours(fig, where, selection, {})
    for number, update in enumerate((fig.update_xaxes, fig.update_yaxes), 1):
        title = f"{palette.short(method, 24)} axis {number} (no unit)"
        update(title_text=title, showticklabels=False, showgrid=False, zeroline=False)
    return palette.theme(fig, height=560)


def _cells(points: np.ndarray) -> go.Heatmap:
    """How many points stand in each cell, as powers of ten."""
    counts, x_edges, y_edges = np.histogram2d(points[:, 0], points[:, 1], bins=BINS)
    return go.Heatmap(
        z=[[round(float(np.log10(v)), 3) if v else None for v in row] for row in counts.T],
        x=(x_edges[1:] + x_edges[:-1]) / 2,
        y=(y_edges[1:] + y_edges[:-1]) / 2,
        colorscale=palette.SEQUENTIAL_MARKS,
        hoverinfo="skip",
        colorbar={"title": {"text": "points a cell<br>(log10)"}, "thickness": 10, "outlinewidth": 0},
    )


def _sample(
    points: np.ndarray, labels: np.ndarray, class_names: Sequence[str], names: Sequence[object], chosen: np.ndarray
) -> list[go.Scattergl]:
    """The dots of the sample, a trace a class."""
    palette.class_of(np.asarray(labels)[chosen], class_names, len(chosen))
    traces = []
    for c in np.unique(labels).tolist():
        inside = chosen[np.asarray(labels)[chosen] == c]
        traces.append(
            go.Scattergl(
                x=points[inside, 0].astype(np.float32),
                y=points[inside, 1].astype(np.float32),
                mode="markers",
                name=palette.short(class_names[c], 20),
                marker={"size": 4, "color": palette.colour(c), "symbol": palette.symbol(c), "opacity": 0.6},
                customdata=[[names[i]] for i in inside.tolist()],
                hovertemplate="point %{customdata[0]}",
            )
        )
    return traces


def reading_density(labels: np.ndarray, *, n_sample: int = 2000, method: str = "UMAP") -> str:
    """How many points there are and how many are drawn.

    Args:
        labels: ``[n]``.
        n_sample: dots asked for.
        method: name of the method.
    """
    drawn = len(stratified(labels, n_sample, seed=0))
    return f"{method} map of {len(labels):,} points as counts in {BINS} x {BINS} cells; {drawn:,} of them, drawn at random within each class, are shown as dots."


def stratified(labels: np.ndarray, n_sample: int, *, seed: int) -> np.ndarray:
    """Indices of a sample in which every class keeps its share (at least one point), in ascending order.

    Args:
        labels: ``[n]``.
        n_sample: about how many; never more than n.
        seed: of the draw.
    """
    values = np.asarray(labels)
    if len(values) <= n_sample:
        return np.arange(len(values))
    rng = np.random.default_rng(seed)
    parts = []
    for c in np.unique(values).tolist():
        inside = np.flatnonzero(values == c)
        parts.append(rng.choice(inside, max(1, round(n_sample * len(inside) / len(values))), replace=False))
    return np.sort(np.concatenate(parts))
