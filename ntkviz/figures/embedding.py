"""Maps of the kernel's space: dots by class, error or any column, the selected point and its true neighbours as edges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ntkviz.embed.result import Quality
from ntkviz.figures import marks, palette
from ntkviz.figures.marks import Selection

#: Dots that one figure draws one by one; above it, see :func:`ntkviz.figures.density.density_map`.
MAX_POINTS = 20_000

#: Maps side by side; they share one figure because a browser gives a page few drawing contexts.
MAX_PANELS = 4

#: Two states of a column (right/wrong, agrees/differs, ...): colour and symbol each; more states use class styles.
STATES = ((palette.POSITIVE, "circle"), (palette.NEGATIVE, "x"))


@dataclass(frozen=True)
class MapPoints:
    """Points of one split.

    Attributes:
        xy: ``[n, 2]``, finite.
        labels: int ``[n]``, 0..C-1.
        split: "train" or "test"; test points are drawn open.
        ids: n stable ids; by default ``"train:0"``, ``"train:1"``, ... They come back as ``customdata[0]`` of a click.
        hover: n lines of plain text for the tooltip, or None.
        shown: bool ``[n]``, which of them a filter leaves; the others are drawn as small grey dots that nobody can click. None for all.
    """

    xy: np.ndarray
    labels: np.ndarray
    split: Literal["train", "test"] = "train"
    ids: Sequence[object] | None = None
    hover: Sequence[str] | None = None
    shown: np.ndarray | None = None

    def names(self) -> list[object]:
        """The ids, given or by default."""
        return (
            [f"{self.split}:{i}" for i in range(len(self.xy))]
            if self.ids is None
            else [row[0] for row in palette.id_column(self.ids, len(self.xy))]
        )


@dataclass(frozen=True)
class Column:
    """What dots are coloured by instead of their class.

    Attributes:
        title: of the legend or the colour bar, with its unit.
        train: ``[N]`` numbers, or N texts (states such as "right", "wrong").
        test: ``[M]``, likewise, or None when test points have no such value.
        low: lower end of the colour scale; by default the smallest value.
        high: upper end; by default the largest value.
    """

    title: str
    train: np.ndarray | Sequence[str]
    test: np.ndarray | Sequence[str] | None = None
    low: float | None = None
    high: float | None = None

    @property
    def numeric(self) -> bool:
        """Whether it is numbers rather than states."""
        return np.asarray(self.train).dtype.kind in "fiu"


def map_scatter(
    train: MapPoints,
    test: MapPoints | None = None,
    *,
    class_names: Sequence[str],
    method: str = "UMAP",
    column: Column | None = None,
    selection: Selection | None = None,
    units: bool = False,
) -> go.Figure:
    """One map. Reads: who stands near whom; edges lead to the true neighbours, however far the map puts them.

    Args:
        train: training points.
        test: test points, drawn open, or None.
        class_names: C names.
        method: for the axis titles.
        column: colours by this instead of by class.
        selection: the chosen point and its neighbours, drawn on top with edges.
        units: whether axes have a scale that can be read (kernel PCA); other maps show no numbers.

    Raises:
        ValueError: when lengths differ, a coordinate is not finite, or there are more than 20,000 points.
    """
    return map_panels(
        {method: (train, test)}, class_names=class_names, column=column, selection=selection, units={method} if units else ()
    )


def map_panels(
    maps: Mapping[str, tuple[MapPoints, MapPoints | None]],
    *,
    class_names: Sequence[str],
    column: Column | None = None,
    selection: Selection | Mapping[str, Selection] | None = None,
    marked: Sequence[object] = (),
    units: Sequence[str] | set[str] = (),
) -> go.Figure:
    """Several maps of the same points in one figure. Reads: an island that is on one map only may be an artefact.

    Args:
        maps: method -> training points and test points; the same ids on every map.
        class_names: C names.
        column: colours by this instead of by class.
        selection: the chosen point and its neighbours, on every map; by method where they differ from map to map.
        marked: ids of points that are chosen together, on every map.
        units: methods whose axes have a scale that can be read.

    Raises:
        ValueError: when there are no or more than four maps, lengths differ, a coordinate is not finite, or there are
            more than 20,000 points.
    """
    if not 1 <= len(maps) <= MAX_PANELS:
        raise ValueError(f"One figure takes 1 to {MAX_PANELS} maps, got {len(maps)}. Choose fewer.")
    columns = 2 if len(maps) == MAX_PANELS else len(maps)
    n_rows = -(-len(maps) // columns)
    height = 560 if len(maps) == 1 else 110 + 400 * n_rows
    fig = make_subplots(rows=n_rows, cols=columns, horizontal_spacing=0.05, vertical_spacing=70 / height)
    for index, (method, (train, test)) in enumerate(maps.items()):
        place: dict[str, Any] = {"row": index // columns + 1, "col": index % columns + 1}
        present = [points for points in (train, test) if points is not None]
        for points in present:
            _check(points, class_names, column)
            _dots(fig, points, class_names, column, place)
        marks.frames(fig, _where(present, marked), marked, place)
        chosen = selection.get(method) if isinstance(selection, Mapping) else selection
        if chosen is not None:
            marks.neighbours(fig, _where(present, [chosen.id, *chosen.neighbours]), chosen, place)
        shown = method in units
        note = "" if shown else " (no unit)"
        square: dict[str, Any] = {"showticklabels": shown, "showgrid": shown, "zeroline": False, **place}
        fig.update_xaxes(title_text=f"{palette.short(method, 24)} axis 1{note}", constrain="domain", **square)
        fig.update_yaxes(
            title_text=f"{palette.short(method, 24)} axis 2{note}", scaleanchor=f"x{index + 1}" if index else "x", **square
        )
    _legend(fig, column, maps)
    fig = palette.theme(fig, height=height, legend="top" if len(maps) == 1 else "bottom")
    return palette.panel_titles(fig, list(maps)) if len(maps) > 1 else fig


def map_marks(
    maps: Mapping[str, tuple[MapPoints, MapPoints | None]],
    *,
    selection: Selection | None = None,
    marked: Sequence[object] = (),
) -> go.Figure:
    """What changes with every click on :func:`map_panels`, alone: traces that name its axes, for :class:`~ntkviz.figures.layered.Layered`.

    Args:
        maps: as there.
        selection: the chosen point and its neighbours.
        marked: ids of points that are chosen together.
    """
    fig = go.Figure()
    for index, splits in enumerate(maps.values()):
        present, panel, number = [points for points in splits if points is not None], go.Figure(), index + 1 if index else ""
        marks.frames(panel, _where(present, marked), marked, {})
        if selection is not None:
            marks.neighbours(panel, _where(present, [selection.id, *selection.neighbours]), selection, {})
        panel.update_traces(xaxis=f"x{number}", yaxis=f"y{number}")
        if index:  # each name once in the legend
            panel.update_traces(showlegend=False)
        fig.add_traces(panel.data)
    return fig


def reading_map(
    train: MapPoints,
    test: MapPoints | None = None,
    *,
    method: str = "UMAP",
    quality: Quality | None = None,
    explained: tuple[float, float] | None = None,
    column: Column | None = None,
) -> str:
    """How many points stand on the map, and how far its neighbourhoods can be believed.

    Args:
        train: training points.
        test: test points or None.
        method: name of the method.
        quality: as measured when the map was made.
        explained: share of variance along each axis (kernel PCA).
        column: what colours the dots, or None for class.
    """
    dots = f"{len(train.xy):,} training points" + (
        f" and {len(test.xy):,} test points (open symbols)" if test is not None else ""
    )
    text = f"{method} map of {dots}, coloured by {'class' if column is None else column.title}"
    if explained is not None:
        text += f"; the two axes hold {palette.percent(explained[0])} and {palette.percent(explained[1])} of the variance"
    if quality is None:
        return f"{text}."
    kept = float(quality.preserved.mean())
    k = quality.n_neighbours
    return (
        f"{text}. Of a point's {k} nearest in the kernel's space, {palette.percent(kept, 0)} are also among its {k} nearest on the map "
        f"(trustworthiness {quality.trustworthiness:.2f}, continuity {quality.continuity:.2f}): believe the edges to the true neighbours before the gaps."
    )


def _check(points: MapPoints, class_names: Sequence[str], column: Column | None) -> None:
    """Refuse points that cannot be drawn.

    Raises:
        ValueError: when lengths differ, a coordinate is not finite, or there are too many.
    """
    n = len(points.xy)
    palette.finite(points.xy, f"{points.split} coordinates", (None, 2))
    palette.class_of(points.labels, class_names, n)
    if n > MAX_POINTS:
        raise ValueError(f"A map draws up to {MAX_POINTS:,} points one by one, got {n:,}. Use density_map, or a subset.")
    values = _values(points, column)
    for name, given in (("hover text", points.hover), (column.title if column else "", values)):
        if given is not None and len(given) != n:
            raise ValueError(f"Expected one {name} a {points.split} point, {n}, got {len(given)}.")


def _values(points: MapPoints, column: Column | None) -> np.ndarray | None:
    """The column's values of these points, or None."""
    given = None if column is None else column.train if points.split == "train" else column.test
    return None if given is None else np.asarray(given)


def _dots(fig: go.Figure, points: MapPoints, class_names: Sequence[str], column: Column | None, place: dict[str, Any]) -> None:
    """One trace a class (colour by class or by number) or a state."""
    values = _values(points, column)
    labels = np.asarray(points.labels)
    keys, named = points.names(), palette.class_of(labels, class_names, len(labels))
    hover = [palette.safe(text) for text in points.hover] if points.hover is not None else [""] * len(labels)
    custom = [[key, palette.short(name, 40), line] for key, name, line in zip(keys, named, hover, strict=True)]
    tail = "<br>%{customdata[2]}" if points.hover is not None else ""
    if points.shown is not None and not points.shown.all():
        _faded(fig, points.xy[~points.shown], place)
    for group, name, inside, style in _groups(labels, class_names, column, values):
        inside = inside if points.shown is None else inside[points.shown[inside]]
        if not len(inside):
            continue
        chosen = inside.tolist()
        extra = ""
        if column is not None and values is not None and "coloraxis" in style:
            style = style | {"color": values[inside].astype(np.float32)}
            extra = f"<br>{palette.safe(column.title, limit=40)}: %{{marker.color:.4g}}"
        fig.add_trace(
            go.Scattergl(
                x=points.xy[inside, 0].astype(np.float32),
                y=points.xy[inside, 1].astype(np.float32),
                mode="markers",
                name=palette.short(name, 20),
                legendgroup=group,
                marker=_marker(style, points.split, len(labels)),
                customdata=[custom[i] for i in chosen],
                showlegend="coloraxis" not in style,
                hovertemplate=f"{points.split} point %{{customdata[0]}}<br>class %{{customdata[1]}}{extra}{tail}<extra></extra>",
            ),
            **place,
        )


def _where(splits: Sequence[MapPoints], wanted: Sequence[object]) -> dict[object, tuple[float, float]]:
    """Coordinates of some points by id."""
    keys = set(wanted)
    return {
        key: (float(points.xy[i, 0]), float(points.xy[i, 1]))
        for points in splits
        for i, key in enumerate(points.names())
        if keys and key in keys
    }


def _faded(fig: go.Figure, xy: np.ndarray, place: dict[str, Any]) -> None:
    """Points that a filter leaves out: still there, so that the shape of the whole stays."""
    fig.add_trace(
        go.Scattergl(
            x=xy[:, 0].astype(np.float32),
            y=xy[:, 1].astype(np.float32),
            mode="markers",
            marker={"size": 3, "color": palette.NEUTRAL, "opacity": 0.25},
            name="left out by the filter",
            legendgroup="faded",
            hoverinfo="skip",
        ),
        **place,
    )


def _groups(
    labels: np.ndarray, class_names: Sequence[str], column: Column | None, values: np.ndarray | None
) -> list[tuple[str, str, np.ndarray, dict[str, Any]]]:
    """(legend group, name, indices, colour and symbol) of each trace; two classes of one name are two groups."""
    faded = {"color": palette.NEUTRAL, "symbol": "circle"}
    if column is not None and values is None:
        return [("no value", "no value", np.arange(len(labels)), faded)]
    if column is not None and values is not None and not column.numeric:
        states = list(dict.fromkeys(np.asarray(column.train).astype(str).tolist() + values.astype(str).tolist()))
        styles = STATES if len(states) <= 2 else tuple((palette.colour(i), palette.symbol(i)) for i in range(len(states)))
        texts = values.astype(str)
        looks = [(s, np.flatnonzero(texts == s), {"color": c, "symbol": m}) for s, (c, m) in zip(states, styles, strict=False)]
        return [(f"state {i}", *look) for i, look in enumerate(looks) if len(look[1])]
    known = np.ones(len(labels), bool) if column is None or values is None else np.isfinite(values.astype(np.float64))
    groups: list[tuple[str, str, np.ndarray, dict[str, Any]]] = []
    for c in np.unique(labels).tolist():
        style: dict[str, Any] = {"symbol": palette.symbol(c)} | (
            {"color": palette.colour(c)} if column is None else {"coloraxis": "coloraxis"}
        )
        groups.append((f"class {c}", str(class_names[c]), np.flatnonzero((labels == c) & known), style))
    if not known.all():
        groups.append(("no value", "no value", np.flatnonzero(~known), faded))
    return [group for group in groups if len(group[2])]


def _marker(style: dict[str, Any], split: str, n: int) -> dict[str, Any]:
    """Size and fill: training points solid, test points open and larger; more points, smaller dots."""
    size = 8 if n <= 600 else 6 if n <= 2500 else 4.5
    if split == "train":
        return {**style, "size": size, "opacity": 0.75, "line": {"width": 0}}
    return {**style, "symbol": f"{style['symbol']}-open", "size": size + 3, "opacity": 0.95, "line": {"width": 1.6}}


def _legend(fig: go.Figure, column: Column | None, maps: Mapping[str, tuple[MapPoints, MapPoints | None]]) -> None:
    """Each name once; a colour bar for numbers; one grey entry that explains open symbols."""
    seen: set[str] = set()
    symbols: dict[tuple[str, str], str] = {}
    traces: list[Any] = list(fig.select_traces())
    for trace in traces:
        if trace.marker.coloraxis:  # its own entry would be black; a grey one below stands for the symbol
            symbols[trace.legendgroup, trace.name] = trace.marker.symbol.removesuffix("-open")
            continue
        key = trace.legendgroup or trace.name
        trace.showlegend = trace.showlegend is not False and key not in seen
        seen.add(key)
    for (group, name), symbol in symbols.items():
        look = {"symbol": symbol, "color": palette.NEUTRAL, "size": 9}
        fig.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=look, name=name, legendgroup=group), row=1, col=1)
    if any(test is not None for _, test in maps.values()):
        look = {"symbol": "circle-open", "color": palette.NEUTRAL, "size": 9, "line": {"width": 1.6}}
        fig.add_trace(
            go.Scatter(x=[None], y=[None], mode="markers", marker=look, name="test points (open)", hoverinfo="skip"), row=1, col=1
        )
    if column is None or not column.numeric:
        return
    values = np.concatenate([np.asarray(v, dtype=np.float64) for v in (column.train, column.test) if v is not None])
    values = values[np.isfinite(values)]
    low = column.low if column.low is not None else float(values.min()) if len(values) else 0.0
    high = column.high if column.high is not None else float(values.max()) if len(values) else 1.0
    signed = low < 0 < high
    reach = max(-low, high)
    fig.update_layout(
        coloraxis={
            "colorscale": palette.DIVERGING if signed else palette.SEQUENTIAL_MARKS,
            "cmin": -reach if signed else low,
            "cmax": reach if signed else high,
            "colorbar": {"title": {"text": palette.short(column.title, 28), "side": "right"}, "thickness": 11, "outlinewidth": 0},
        }
    )
