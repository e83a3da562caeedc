"""Kernel matrices as pictures: small multiples of points sorted by class, and the similarity between classes.

A matrix of N points is drawn as at most 200 x 200 block means. A block never mixes classes, so the borders between
classes are exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ntkviz.figures import palette
from ntkviz.figures.clickable import clickable_cells
from ntkviz.kernels.diagnostics import class_contrast, order_by_class

#: Cells on a side; six panels of 200 x 200 are 1.3 MB of JSON.
MAX_CELLS = 200

#: Panels that one figure takes: a browser gives a page few drawing contexts, so kernels share one figure.
MAX_PANELS = 6

#: More class names than this on an axis would overlap.
MAX_TICKS = 20


@dataclass(frozen=True)
class Blocks:
    """How sorted points are gathered into cells.

    Attributes:
        order: int ``[N]``, points sorted by class.
        sizes: int ``[B]``, consecutive points in each cell, B at most ``MAX_CELLS``.
        classes: int ``[B]``, the class of each cell; -1 where a cell had to mix classes (more classes than cells).
    """

    order: np.ndarray
    sizes: np.ndarray
    classes: np.ndarray


def blocks(labels: np.ndarray, *, y_pred: np.ndarray | None = None, limit: int = MAX_CELLS) -> Blocks:
    """Gather points, sorted by class, into at most ``limit`` cells of nearly equal size that never mix classes.

    Args:
        labels: ``[N]``.
        y_pred: ``[N]``; sorts points inside a class by prediction.
        limit: most cells.

    Raises:
        ValueError: when ``y_pred`` has another length than ``labels``.
    """
    order = order_by_class(labels, y_pred)
    classes, counts = np.unique(np.asarray(labels), return_counts=True)
    n = len(order)
    if n <= limit:
        return Blocks(order, np.ones(n, dtype=np.int64), np.repeat(classes, counts))
    if len(classes) > limit:
        sizes = np.array([len(part) for part in np.array_split(order, limit)])
        return Blocks(order, sizes, np.full(limit, -1))
    # Every class gets a cell; what is left is shared out by size, the largest cells being split first.
    cells = np.ones(len(classes), dtype=np.int64)
    for _ in range(limit - len(classes)):
        cells[np.argmax(counts / cells)] += 1
    parts = [len(part) for count, k in zip(counts, cells, strict=True) for part in np.array_split(np.arange(count), k)]
    return Blocks(order, np.array(parts), np.repeat(classes, cells))


def points_within(gathered: Blocks, *ranges: Sequence[float]) -> np.ndarray:
    """The points of the cells within a box: of its rows, of its columns, int64, ascending.

    Args:
        gathered: the cells.
        *ranges: two ends of each side of the box, in cells; cell i reaches from i - 0.5 to i + 0.5.
    """
    middle = np.arange(len(gathered.sizes))
    inside = np.zeros(len(middle), dtype=bool)
    for ends in ranges:
        inside |= (middle + 0.5 > min(ends)) & (middle - 0.5 < max(ends))
    return np.sort(gathered.order[np.repeat(inside, gathered.sizes)])


def block_means(kernel: np.ndarray, gathered: Blocks) -> np.ndarray:
    """Mean of the kernel over every pair of cells, ``[B, B]`` float64; exact, the diagonal of the kernel included."""
    starts = np.concatenate([[0], np.cumsum(gathered.sizes)[:-1]])
    # Rows first, one row of cells at a time: the sorted copy of a large kernel is never made.
    result = np.empty((len(starts), len(starts)))
    for i, (start, size) in enumerate(zip(starts, gathered.sizes, strict=True)):
        strip = np.asarray(kernel[gathered.order[start : start + size]], dtype=np.float64).sum(axis=0)[gathered.order]
        result[i] = np.add.reduceat(strip, starts)
    return result / np.outer(gathered.sizes, gathered.sizes)


def kernel_panels(
    kernels: Mapping[str, np.ndarray],
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    y_pred: np.ndarray | None = None,
    scale: Literal["own", "shared"] = "own",
    columns: int = 3,
) -> go.Figure:
    """Kernels side by side, points sorted by class. Reads: bright blocks on the diagonal are classes the kernel sees.

    A box drawn on a panel is in cells, see :func:`points_within`.

    Args:
        kernels: title -> ``[N, N]``, one to six of the same points.
        labels: ``[N]``, 0..C-1.
        class_names: C names.
        y_pred: ``[N]``; sorts points inside a class by prediction.
        scale: ``"own"``: each panel has its colours (1st to 99th percentile of its cells); ``"shared"``: one scale.
        columns: most panels side by side; 3 suit a page of 1,200 pixels, 2 one of 700.

    Raises:
        ValueError: when there are no or more than six kernels, or one does not fit the labels.
    """
    gathered, cells = _gather(kernels, labels, y_pred)
    columns = max(1, min(columns, len(cells)))
    n_rows = -(-len(cells) // columns)
    height = 110 + 330 * n_rows
    fig = make_subplots(rows=n_rows, cols=columns, horizontal_spacing=0.3 / (columns + 0.5), vertical_spacing=60 / height)
    everything = np.concatenate([values.ravel() for values in cells.values()])
    names = _cell_names(gathered, class_names)
    for index, values in enumerate(cells.values()):
        row, column = index // columns + 1, index % columns + 1
        coloured = everything if scale == "shared" else values
        signed = _signed(coloured)
        low, high = _range(coloured, signed)
        fig.add_trace(
            go.Heatmap(
                z=values.astype(np.float32),
                x=names,
                y=names,
                zmin=low,
                zmax=high,
                colorscale=palette.DIVERGING if signed else palette.SEQUENTIAL,
                hovertemplate="%{y}<br>with %{x}<br>mean similarity %{z:.4g}<extra></extra>",
                showscale=scale == "own" or index == 0,
                colorbar=_colourbar(fig, index),
            ),
            row=row,
            col=column,
        )
        _frame(fig, index, gathered, class_names, columns=columns, n_panels=len(cells))
    for index in range(len(cells)):
        fig.add_trace(_diagonal(names), row=index // columns + 1, col=index % columns + 1)
    palette.panel_titles(fig, list(cells))
    return palette.theme(fig, height=height, legend="none")


def reading_kernel_panels(
    kernels: Mapping[str, np.ndarray], labels: np.ndarray, class_names: Sequence[str], *, y_pred: np.ndarray | None = None
) -> str:
    """What the panels show: similarity inside and across classes, kernel by kernel, and any block means taken.

    Args:
        kernels: title -> ``[N, N]``.
        labels: ``[N]``.
        class_names: C names.
        y_pred: ``[N]``; said to sort points inside a class.

    Raises:
        ValueError: when a kernel does not fit the labels.
    """
    parts = []
    for title, kernel in kernels.items():
        contrast = class_contrast(kernel, labels, n_classes=len(class_names))
        parts.append(
            f"{title}: {palette.number(contrast.within)} within a class, {palette.number(contrast.between)} across classes"
        )
    n, n_cells = len(labels), len(blocks(labels).sizes)
    drawn = "each cell is one pair of points" if n_cells == n else f"{n:,} points drawn as {n_cells} x {n_cells} block means"
    order = "by class" if y_pred is None else "by class, then by prediction"
    return f"Mean similarity of two different points: {'; '.join(parts)}. Points are sorted {order}; {drawn}; colours end at the 1st and 99th percentile."


def class_similarity_heatmap(similarity: np.ndarray, class_names: Sequence[str]) -> go.Figure:
    """Mean similarity between classes. Reads: off the diagonal, the brightest cell is the pair the kernel confuses.

    A click on a cell gives ``"row:column"``.

    Args:
        similarity: ``[C, C]``; NaN where a class has too few points: the cell stays empty.
        class_names: C names.

    Raises:
        ValueError: when the matrix is not ``[C, C]`` or holds no number.
    """
    values = _square(similarity, len(class_names))
    known = values[np.isfinite(values)]
    signed = _signed(known)
    low, high = _range(known, signed, tails=0.0)
    n, ticks = len(values), _ticks(class_names)
    fig = go.Figure(
        go.Heatmap(
            z=[[None if np.isnan(v) else float(v) for v in row] for row in values],
            zmin=low,
            zmax=high,
            colorscale=palette.DIVERGING if signed else palette.SEQUENTIAL,
            hoverinfo="skip",
            texttemplate=f"%{{z:.{2 if high - low >= 0.2 else 3}f}}" if n <= 12 else None,
            textfont={"size": 11},
            colorbar={"title": {"text": "mean<br>similarity"}, "thickness": 10, "outlinewidth": 0},
            xgap=1,
            ygap=1,
        )
    )
    down, across = np.nonzero(np.isfinite(values))
    long = [palette.short(name, 40) for name in class_names]
    said = [[long[a], long[b], float(values[a, b])] for a, b in zip(down, across, strict=True)]
    hover = "%{customdata[1]} with %{customdata[2]}<br>mean similarity %{customdata[3]:.4g}"
    fig.add_trace(clickable_cells(down, across, said, hover, size=0.8 * 330 / n))
    plain: dict[str, Any] = {"showgrid": False, "zeroline": False, "constrain": "domain", **ticks}
    fig.update_xaxes(title_text="class of one point", range=[-0.5, n - 0.5], constraintoward="right", **plain)
    fig.update_yaxes(title_text="class of the other", range=[n - 0.5, -0.5], scaleanchor="x", **plain)
    return palette.theme(fig, height=440, legend="none")


def reading_class_similarity(similarity: np.ndarray, class_names: Sequence[str]) -> str:
    """What the heat map shows: the classes that are told apart best and worst.

    Args:
        similarity: ``[C, C]``.
        class_names: C names.

    Raises:
        ValueError: when the matrix is not ``[C, C]`` or holds no number.
    """
    values = _square(similarity, len(class_names))
    own, other = np.diag(values), np.where(np.eye(len(values), dtype=bool), np.nan, values)
    text = (
        f"Two points of the same class have a mean similarity of {palette.number(float(np.nanmean(own)))}"
        if np.isfinite(own).any()
        else "No class has two points"
    )
    if not np.isfinite(other).any():
        return text + "."
    a, b = divmod(int(np.nanargmax(other)), len(other))
    return (
        f"{text}, of different classes {palette.number(float(np.nanmean(other)))} (means over classes); the pair that the kernel "
        f"finds most alike is {class_names[a]} and {class_names[b]} ({palette.number(float(other[a, b]))})."
    )


def _gather(
    kernels: Mapping[str, np.ndarray], labels: np.ndarray, y_pred: np.ndarray | None
) -> tuple[Blocks, dict[str, np.ndarray]]:
    """Cells of every kernel.

    Raises:
        ValueError: when the number of kernels or the shape of one does not fit.
    """
    if not 1 <= len(kernels) <= MAX_PANELS:
        raise ValueError(f"One figure takes 1 to {MAX_PANELS} kernels, got {len(kernels)}. Choose fewer.")
    n = len(labels)
    gathered = blocks(labels, y_pred=y_pred)
    return gathered, {
        title: block_means(palette.finite(values, f"kernel {title}", (n, n)), gathered) for title, values in kernels.items()
    }


def _cell_names(gathered: Blocks, class_names: Sequence[str]) -> list[str]:
    """What hovering says of a cell; unique, because the place in the sorted order is part of it."""
    ends = np.cumsum(gathered.sizes)
    names = []
    for end, size, label in zip(ends, gathered.sizes, gathered.classes, strict=True):
        where = f"sorted point {end}" if size == 1 else f"sorted points {end - size + 1}–{end}"
        names.append(where if label < 0 else f"{palette.short(class_names[label], 40)}, {where}")
    return names


def _diagonal(names: list[str]) -> go.Scatter:
    """Invisible squares along the diagonal: a box can be drawn only where there is something that can be selected."""
    unseen = {"symbol": "square", "size": 2, "opacity": 0}
    return go.Scatter(x=names, y=names, mode="markers", marker=unseen, hoverinfo="skip", name="diagonal")


def _frame(fig: go.Figure, index: int, gathered: Blocks, class_names: Sequence[str], *, columns: int, n_panels: int) -> None:
    """Class borders, class names and square cells for one panel; names only on the outer panels."""
    place = {"row": index // columns + 1, "col": index % columns + 1}
    changes = np.flatnonzero(np.diff(gathered.classes)) + 1
    bounds = np.concatenate([[0], changes, [len(gathered.classes)]])
    few = len(changes) < MAX_TICKS
    for at in changes if few else []:
        line = {"type": "line", "line": {"color": "rgba(255,255,255,0.75)", "width": 0.8}, **place}
        fig.add_shape(x0=at - 0.5, x1=at - 0.5, y0=-0.5, y1=bounds[-1] - 0.5, **line)
        fig.add_shape(y0=at - 0.5, y1=at - 0.5, x0=-0.5, x1=bounds[-1] - 0.5, **line)
    names = [palette.short(class_names[c], 10) if c >= 0 else "" for c in gathered.classes[bounds[:-1]]]
    middles = list((bounds[:-1] + bounds[1:] - 1) / 2)
    plain: dict[str, Any] = {
        "type": "category",
        "showgrid": False,
        "zeroline": False,
        "constrain": "domain",
        "ticks": "",
        **place,
    }
    plain |= {"tickfont": {"size": 11}, "tickvals": middles if few else [], "ticktext": names if few else []}
    title = "training points, by class"
    ends = [-0.5, len(gathered.classes) - 0.5]
    below, left = index + columns >= n_panels, place["col"] == 1
    fig.update_xaxes(showticklabels=below, title_text=title if below else None, constraintoward="right", range=ends, **plain)
    anchor = {"scaleanchor": f"x{index + 1}" if index else "x", "range": ends[::-1]}
    fig.update_yaxes(showticklabels=left, title_text=title if left else None, **anchor, **plain)


def _colourbar(fig: go.Figure, index: int) -> dict[str, Any]:
    """A slim colour bar beside the index-th panel."""
    layout: Any = fig.layout
    suffix = str(index + 1) if index else ""
    (_, right), (bottom, top) = layout["xaxis" + suffix].domain, layout["yaxis" + suffix].domain
    place = {"x": right + 0.004, "xanchor": "left", "y": (bottom + top) / 2, "yanchor": "middle", "len": 200, "lenmode": "pixels"}
    return {**place, "thickness": 9, "outlinewidth": 0, "tickfont": {"size": 11}, "nticks": 4}


def _signed(values: np.ndarray) -> bool:
    """Whether values below zero matter: then orange and blue show the sign."""
    return float(values.min()) < -0.05 * float(np.abs(values).max())


def _range(values: np.ndarray, signed: bool, tails: float = 1.0) -> tuple[float, float]:
    """Ends of the colour scale: percentiles, symmetric about 0 when there are both signs; never empty."""
    low, high = (float(v) for v in np.percentile(values, [tails, 100 - tails]))
    if signed:
        high = max(abs(low), abs(high))
        low = -high
    return (low, high) if high > low else (low - 0.5 * max(abs(low), 1e-12), high + 0.5 * max(abs(high), 1e-12))


def _square(similarity: np.ndarray, n: int) -> np.ndarray:
    """The similarity as float64 ``[C, C]``.

    Raises:
        ValueError: when it is not, or holds no number.
    """
    values = np.asarray(similarity, dtype=np.float64)
    if values.shape != (n, n) or not np.isfinite(values).any():
        raise ValueError(f"Similarity must be [{n}, {n}] with at least one number for {n} class names, got shape {values.shape}.")
    return values


def _ticks(class_names: Sequence[str]) -> dict[str, Any]:
    """Ticks at 0..C-1 named after the classes; a name may occur twice, so places are numbers."""
    shown = range(0, len(class_names), -(-len(class_names) // MAX_TICKS))
    return {"tickvals": list(shown), "ticktext": [palette.short(class_names[i], 12) for i in shown]}
