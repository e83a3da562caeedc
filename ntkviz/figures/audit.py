"""What audits of the training set found: rankings with their cut, precision and recall down a ranking, typicality by class."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from ntkviz.figures import palette

#: Points drawn of one curve, and points drawn as dots that can be clicked.
MAX_CURVE, MAX_DOTS = 600, 300
#: Lines and their dashes: colour never stands alone.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def suspicion_curve(
    scores: np.ndarray,
    *,
    labels: np.ndarray,
    class_names: Sequence[str],
    cut: int | None = None,
    cut_name: str = "flagged",
    planted: np.ndarray | None = None,
    ids: Sequence[object] | None = None,
    selected: object | None = None,
    unit: str = "suspicion",
) -> go.Figure:
    """Training points by rank, most suspicious first. Reads: left of the dashed line stands what is flagged; diamonds are really wrong.

    Args:
        scores: ``[N]``, high is suspicious.
        labels: ``[N]``.
        class_names: C names.
        cut: how many from the front are flagged; None for no line.
        cut_name: what the line says of those.
        planted: bool ``[N]``, what is known to be wrong; None when nobody knows.
        ids: N stable ids; by default 0..N-1. They come back as ``customdata[0]`` of a click.
        selected: the id that is ringed.
        unit: what a score is, for the axis.

    Raises:
        ValueError: when lengths differ or a score is not finite.
    """
    values, order, wrong = _ranked(scores, planted)
    named = palette.class_of(labels, class_names, len(values))
    custom = palette.id_column(ids, len(values))
    ranks = palette.thinned(len(values), MAX_CURVE)
    line = {"color": palette.NEUTRAL, "width": 1.5}
    curve = go.Scatter(x=ranks, y=values[order[ranks - 1]], mode="lines", name="all training points", line=line, hoverinfo="skip")
    fig = go.Figure(curve)
    kinds = [("first in the ranking", ~wrong, palette.POSITIVE, "circle")]
    if planted is not None:
        kinds = [("planted", wrong, palette.NEGATIVE, "diamond"), ("not planted", ~wrong, palette.POSITIVE, "circle")]
    for name, chosen, colour, symbol in kinds:
        places = np.flatnonzero(chosen[order])[:MAX_DOTS]
        if not len(places):
            continue
        points = order[places].tolist()
        marker = {"size": 7, "color": colour, "symbol": symbol}
        fig.add_trace(
            _dots(name, places + 1, values[points], marker, [[*custom[i], named[i]] for i in points], "rank %{x:,}<br>", "y")
        )
    _ring(fig, values, order, custom, selected)
    if cut:
        _cut_line(fig, cut, f"{cut:,} {palette.short(cut_name, 40)}", [float(values.min()), float(values.max())])
    fig.update_xaxes(title_text="rank (log scale)", type="log", dtick=1, tickformat=",d")
    fig.update_yaxes(title_text=palette.safe(unit))
    return palette.theme(fig, height=360, legend="bottom")


def reading_suspicion(
    scores: np.ndarray, *, cut: int | None = None, cut_name: str = "flagged", planted: np.ndarray | None = None
) -> str:
    """How many stand before the cut, and how many of those are known to be wrong.

    Args:
        scores: ``[N]``.
        cut: how many from the front are flagged.
        cut_name: what they are called.
        planted: bool ``[N]``, or None.

    Raises:
        ValueError: when lengths differ or a score is not finite.
    """
    values, order, wrong = _ranked(scores, planted)
    text = (
        f"Of {len(values):,} training points the first scores {values[order[0]]:.3g} and half score below {np.median(values):.3g}"
    )
    if cut is not None:
        text += f"; {cut:,} are {cut_name}"
    if planted is None:
        return f"{text}. Whether they are wrong is for a person to see."
    if not cut:
        return f"{text}. {int(wrong.sum()):,} are known to be wrong."
    hit = int(wrong[order[:cut]].sum())
    return f"{text}, of which {hit:,} are among the {int(wrong.sum()):,} that are known to be wrong."


def precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], n_planted: int) -> go.Figure:
    """Precision and recall after looking at the first k, for several scores. Reads: the higher the line, the less is looked at in vain.

    Args:
        curves: score's name -> precision and recall, both ``[N]``, after 1, 2, ..., N points.
        n_planted: how many are really wrong; marked on the axis.

    Raises:
        ValueError: when there is no curve, or precision and recall differ in length.
    """
    if not curves:
        raise ValueError("There is no score to draw. Score at least one ranking first.")
    fig = go.Figure()
    for index, (name, (precision, recall)) in enumerate(curves.items()):
        held = palette.finite(precision, "precision", (None,))
        found = palette.finite(recall, "recall", (len(held),))
        ranks = palette.thinned(len(held), MAX_CURVE)
        line = {"color": palette.colour(index), "width": 2.2, "dash": DASHES[index % len(DASHES)]}
        fig.add_trace(
            go.Scatter(
                x=100 * found[ranks - 1],
                y=100 * held[ranks - 1],
                mode="lines",
                name=palette.short(name, 40),
                line=line,
                customdata=ranks,
                hovertemplate="first %{customdata:,}<br>%{x:.1f} % of the wrong ones found<br>%{y:.1f} % of the first are wrong<extra></extra>",
            )
        )
    fig.update_xaxes(title_text=f"recall: share of the {n_planted:,} planted points found (%)", range=[0, 102])
    fig.update_yaxes(title_text="precision: share of the first that are planted (%)", range=[0, 104])
    return palette.theme(fig, height=380, legend="bottom")


def reading_precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], n_planted: int) -> str:
    """Which score finds most, when as many are looked at as are wrong.

    Args:
        curves: score's name -> precision and recall.
        n_planted: how many are really wrong.

    Raises:
        ValueError: when there is no curve.
    """
    if not curves:
        raise ValueError("There is no score to read. Score at least one ranking first.")
    at = {name: float(precision[n_planted - 1]) for name, (precision, _) in curves.items()}
    listed = ", ".join(f"{name} {palette.percent(value, 0)}" for name, value in sorted(at.items(), key=lambda pair: -pair[1]))
    return f"Of the {n_planted:,} first of each ranking, as many as are planted, so many are planted: {listed}."


def class_density(
    density: np.ndarray,
    *,
    labels: np.ndarray,
    class_names: Sequence[str],
    outliers: np.ndarray,
    prototypes: np.ndarray,
    ids: Sequence[object] | None = None,
    selected: object | None = None,
) -> go.Figure:
    """Mean similarity to the own class, a row a class. Reads: far left stand the outliers; squares are the prototypes.

    Args:
        density: ``[N]``, mean cosine to the other points of the class.
        labels: ``[N]``.
        class_names: C names.
        outliers: positions of the outliers.
        prototypes: positions of the prototypes.
        ids: N stable ids; by default 0..N-1.
        selected: the id that is ringed.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    values = palette.finite(density, "density", (None,))
    named = palette.class_of(labels, class_names, len(values))
    classes, custom = np.asarray(labels), palette.id_column(ids, len(values))
    present = np.unique(classes).tolist()
    rows = {label: place for place, label in enumerate(present)}
    quartiles = np.array([np.percentile(values[classes == label], [5, 25, 50, 75, 95]) for label in present])
    fig = go.Figure(
        go.Box(
            y=list(range(len(present))),
            lowerfence=quartiles[:, 0],
            q1=quartiles[:, 1],
            median=quartiles[:, 2],
            q3=quartiles[:, 3],
            upperfence=quartiles[:, 4],
            orientation="h",
            name="class: 5, 25, 50, 75, 95 %",
            line={"color": palette.NEUTRAL, "width": 1.5},
            fillcolor=palette.GRID,
        )
    )
    kinds = (
        ("outlier", outliers, palette.NEGATIVE, "diamond", MAX_DOTS),
        ("prototype", prototypes, palette.POSITIVE, "square", None),
    )
    for name, points, colour, symbol, limit in kinds:
        chosen = np.asarray(points, dtype=np.int64)[:limit].tolist()
        marker, places = {"size": 9, "color": colour, "symbol": symbol}, [rows[classes[i]] for i in chosen]
        fig.add_trace(_dots(name, values[chosen], places, marker, [[*custom[i], named[i]] for i in chosen], "", "x"))
    found = [i for i in range(len(values)) if selected is not None and custom[i][0] == selected]
    if found:
        _circle(fig, [float(values[found[0]])], [rows[classes[found[0]]]])
    fig.update_xaxes(title_text="mean similarity (cosine) to the other points of the class")
    fig.update_yaxes(title_text="class", **palette.named_rows([class_names[label] for label in present], 16))
    return palette.theme(fig, height=150 + 30 * len(present))


def reading_density(density: np.ndarray, *, labels: np.ndarray, class_names: Sequence[str], outliers: np.ndarray) -> str:
    """Which class is the tightest, which the loosest, and how many outliers there are.

    Args:
        density: ``[N]``.
        labels: ``[N]``.
        class_names: C names.
        outliers: positions of the outliers.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    values = palette.finite(density, "density", (None,))
    palette.class_of(labels, class_names, len(values))
    classes = np.asarray(labels)
    middle = {label: float(np.median(values[classes == label])) for label in np.unique(classes).tolist()}
    tight, loose = max(middle, key=lambda label: middle[label]), min(middle, key=lambda label: middle[label])
    return (
        f"Points of class {class_names[tight]} are most alike (median similarity {middle[tight]:.2f}), those of {class_names[loose]} least "
        f"({middle[loose]:.2f}); {len(outliers):,} of {len(values):,} training points are outliers of their class."
    )


def _ranked(scores: np.ndarray, planted: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, their order (largest first) and which are planted.

    Raises:
        ValueError: when lengths differ or a score is not finite.
    """
    values = palette.finite(scores, "scores", (None,))
    wrong = np.zeros(len(values), dtype=bool) if planted is None else np.asarray(planted, dtype=bool)
    if wrong.shape != values.shape:
        raise ValueError(f"Expected a True or False a point, {len(values)}, as planted; got shape {wrong.shape}.")
    return values, np.argsort(-values, kind="stable"), wrong


def _ring(fig: go.Figure, values: np.ndarray, order: np.ndarray, custom: list[list[object]], selected: object | None) -> None:
    """Ring the selected point, when it is there."""
    found = [rank for rank, i in enumerate(order.tolist()) if selected is not None and custom[i][0] == selected]
    if found:
        _circle(fig, [found[0] + 1], [float(values[order[found[0]]])])


def _circle(fig: go.Figure, x: list, y: list) -> None:
    marker = {"size": 16, "symbol": "circle-open", "color": palette.NEUTRAL, "line": {"width": 2.5}}
    fig.add_trace(go.Scatter(x=x, y=y, mode="markers", name="chosen", marker=marker, hoverinfo="skip"))


def _dots(
    name: str, x: Sequence | np.ndarray, y: Sequence | np.ndarray, marker: dict, points: list[list], before: str, axis: str
) -> go.Scatter:
    """Training points that can be clicked; ``points`` has id and label of each, ``axis`` the value that hovering tells."""
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        name=name,
        marker=marker,
        customdata=[[identity, palette.short(label, 40)] for identity, label in points],
        hovertemplate=f"{before}training point %{{customdata[0]}}<br>label %{{customdata[1]}}<br>%{{{axis}:.4g}}<extra></extra>",
    )


def _cut_line(fig: go.Figure, cut: int, name: str, ends: list[float]) -> None:
    """A dashed line behind the first ``cut`` ranks."""
    dashed = {"color": palette.LINE, "dash": "dash", "width": 1.5}
    fig.add_trace(go.Scatter(x=[cut + 0.5] * 2, y=ends, mode="lines", name=name, line=dashed, hoverinfo="skip"))
