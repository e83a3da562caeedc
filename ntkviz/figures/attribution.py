"""What training points contribute to one prediction: the strongest, all of them, class by class, weight by similarity."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ntkviz.figures import palette
from ntkviz.figures.waterfall import strongest

#: Points drawn of one curve.
MAX_CURVE = 600

#: Shares of the summed absolute contribution that are marked on the cumulative curve.
LEVELS = (0.5, 0.8, 0.95)


def strongest_bars(
    attribution: np.ndarray,
    *,
    labels: np.ndarray,
    class_names: Sequence[str],
    target: str,
    ids: Sequence[object] | None = None,
    k: int = 10,
    unit: str = "contribution to the logit",
) -> go.Figure:
    """Strongest supporters and opponents. Reads: blue bars speak for the class, orange ones against it.

    Args:
        attribution: ``[N]`` of one test point and one class.
        labels: ``[N]``, classes of the training points.
        class_names: C names.
        target: name of the class that is explained.
        ids: N stable ids; by default 0..N-1. They come back as ``customdata[0]`` of a click.
        k: bars on each side.
        unit: what a contribution is, for the axis.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    values, _, named = _points(attribution, labels, class_names)
    custom = palette.id_column(ids, len(values))
    order = np.argsort(-values, kind="stable")
    up = [i for i in order[:k].tolist() if values[i] > 0]
    down = [i for i in order[::-1][:k].tolist() if values[i] < 0][::-1]
    names = [f"#{custom[i][0]} {named[i]}" for i in up + down]
    fig = go.Figure()
    for name, chosen, first, colour in (("supports", up, 0, palette.POSITIVE), ("opposes", down, len(up), palette.NEGATIVE)):
        fig.add_trace(
            go.Bar(
                x=values[chosen],
                y=[first + j for j in range(len(chosen))],
                orientation="h",
                name=f"{name} {palette.short(target, 24)}",
                marker={"color": colour},
                text=[f"{values[i]:+.3g}" for i in chosen],
                textposition="outside",
                cliponaxis=False,
                customdata=[[*custom[i], palette.short(named[i], 40)] for i in chosen],
                hovertemplate="training point %{customdata[0]}<br>class %{customdata[1]}<br>%{x:+.4g}<extra></extra>",
            )
        )
    reach = 1.22 * max(float(np.abs(values).max()), 1e-12)
    low = -reach if down else 0.0
    fig.update_xaxes(title_text=f"{palette.safe(unit)} of {palette.short(target, 30)}", range=[low, reach if up else 0.0])
    fig.update_yaxes(**palette.named_rows(names, 26))
    return palette.theme(fig, height=110 + 23 * max(4, len(names)))


def reading_strongest(
    attribution: np.ndarray, *, labels: np.ndarray, class_names: Sequence[str], target: str, k: int = 10
) -> str:
    """How the strongest compare with all the others: the top k never stand without the rest.

    Args:
        attribution: ``[N]``.
        labels: ``[N]``.
        class_names: C names.
        target: name of the class that is explained.
        k: bars on each side.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    values, _, named = _points(attribution, labels, class_names)
    total = float(np.abs(values).sum())
    order = np.argsort(-values, kind="stable")
    up, down = order[:k][values[order[:k]] > 0], order[::-1][:k][values[order[::-1][:k]] < 0]
    share = float(np.abs(values[np.concatenate([up, down])]).sum()) / total if total else 0.0
    text = f"The {len(up)} strongest supporters and {len(down)} strongest opponents of {target} hold {palette.percent(share)} of all absolute contribution"
    if len(up):
        same = sum(named[i] == target for i in up.tolist())
        text += f"; {same} of the {len(up)} supporters are of class {target}"
    return f"{text}. The other {len(values) - len(up) - len(down):,} training points hold the rest."


def distribution(
    attribution: np.ndarray,
    *,
    labels: np.ndarray,
    class_names: Sequence[str],
    target: str,
    ids: Sequence[object] | None = None,
    k: int = 10,
    unit: str = "contribution to the logit",
) -> go.Figure:
    """All contributions: a histogram, and by training class a box with its mean. Reads: where the top k stand among all.

    Args:
        attribution: ``[N]`` of one test point and one class.
        labels: ``[N]``.
        class_names: C names.
        target: name of the class that is explained.
        ids: N stable ids; by default 0..N-1.
        k: strongest points, by absolute value, that are marked.
        unit: what a contribution is, for the axis.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    values, classes, named = _points(attribution, labels, class_names)
    present = np.unique(classes).tolist()
    height = 250 + 27 * len(present)
    fig = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[130, 27 * len(present) + 30], vertical_spacing=16 / height
    )
    _histogram(fig, values)
    _class_boxes(fig, [values[classes == c] for c in present])
    top = strongest(values, k)
    custom = [[*key, palette.short(name, 40)] for key, name in zip(palette.id_column(ids, len(values)), named, strict=True)]
    _diamonds(fig, values[top], [present.index(classes[i]) for i in top], [custom[i] for i in top])
    fig.update_yaxes(title_text="points (log)", type="log", dtick=1, exponentformat="none", row=1, col=1)
    fig.update_yaxes(title_text="training class", **palette.named_rows([class_names[c] for c in present], 16), row=2, col=1)
    fig.update_xaxes(title_text=f"{palette.safe(unit)} of {palette.short(target, 30)}", row=2, col=1)
    return palette.theme(fig, height=height).update_layout(bargap=0.04)


def _class_boxes(fig: go.Figure, groups: Sequence[np.ndarray]) -> None:
    """A box for the contributions of each class, from the top down."""
    quartiles = np.array([np.percentile(group, [5, 25, 50, 75, 95]) for group in groups])
    fig.add_trace(
        go.Box(
            y=list(range(len(groups))),
            lowerfence=quartiles[:, 0],
            q1=quartiles[:, 1],
            median=quartiles[:, 2],
            q3=quartiles[:, 3],
            upperfence=quartiles[:, 4],
            mean=[float(group.mean()) for group in groups],
            boxmean=True,
            orientation="h",
            name="class: 5, 25, 50, 75, 95 % and mean (dashed)",
            line={"color": palette.NEUTRAL, "width": 1.5},
            fillcolor=palette.GRID,
        ),
        row=2,
        col=1,
    )


def _diamonds(fig: go.Figure, values: np.ndarray, rows: Sequence[int], custom: Sequence[list[object]]) -> None:
    """The strongest points, each on the row of its class."""
    fig.add_trace(
        go.Scatter(
            x=values,
            y=rows,
            mode="markers",
            name=f"{len(values)} strongest",
            marker={
                "size": 9,
                "symbol": "diamond",
                "color": [palette.POSITIVE if value >= 0 else palette.NEGATIVE for value in values],
                "line": {"width": 1, "color": "white"},
            },
            customdata=custom,
            hovertemplate="training point %{customdata[0]}<br>class %{customdata[1]}<br>%{x:+.4g}<extra></extra>",
        ),
        row=2,
        col=1,
    )


def reading_distribution(
    attribution: np.ndarray, *, labels: np.ndarray, class_names: Sequence[str], target: str, k: int = 10
) -> str:
    """Where the strongest stand, and which class weighs most as a whole.

    Args:
        attribution: ``[N]``.
        labels: ``[N]``.
        class_names: C names.
        target: name of the class that is explained.
        k: strongest points.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    values, classes, _ = _points(attribution, labels, class_names)
    total = float(np.abs(values).sum())
    top = strongest(values, k)
    sums = {c: float(values[classes == c].sum()) for c in np.unique(classes).tolist()}
    heavy = max(sums, key=lambda c: abs(sums[c]))
    share = float(np.abs(values[top]).sum()) / total if total else 0.0
    return (
        f"Half of the {len(values):,} training points contribute between {np.percentile(values, 25):.2g} and {np.percentile(values, 75):.2g} to {target}. "
        f"The {len(top)} strongest hold {palette.percent(share)} of all absolute contribution; as a whole, class {class_names[heavy]} weighs most ({sums[heavy]:+.3g})."
    )


def cumulative_curve(attribution: np.ndarray) -> go.Figure:
    """Share of all absolute contribution held by the n strongest. Reads: the later the curve rises, the less a top list says.

    Args:
        attribution: ``[N]`` of one test point and one class.

    Raises:
        ValueError: when a value is not finite.
    """
    values = palette.finite(attribution, "attribution", (None,))
    shares, marks = _cumulative(values)
    n = len(values)
    ranks = palette.thinned(n, MAX_CURVE)
    fig = go.Figure()
    even = {"color": palette.LINE, "width": 1.5, "dash": "dash"}
    fig.add_trace(go.Scatter(x=ranks, y=100 * ranks / n, mode="lines", name="if all were equal", line=even, hoverinfo="skip"))
    curve = {"color": palette.POSITIVE, "width": 2.5}
    fig.add_trace(
        go.Scatter(
            x=ranks,
            y=100 * shares[ranks - 1],
            mode="lines",
            name="this prediction",
            line=curve,
            hovertemplate="%{x:,} strongest points<br>hold %{y:.1f} %<extra></extra>",
        )
    )
    fig.add_trace(
        go.Scatter(
            x=[marks[level] for level in marks],
            y=[100 * level for level in marks],
            mode="markers+text",
            name="points needed for 50, 80, 95 %",
            marker={"size": 11, "symbol": "diamond", "color": palette.NEGATIVE},
            text=[f"{marks[level]:,} points" for level in marks],
            textposition="middle left",
            hovertemplate="%{x:,} points hold %{y:.0f} %<extra></extra>",
        )
    )
    fig.update_xaxes(title_text="strongest training points counted (log scale)", type="log", dtick=1, tickformat=",d")
    fig.update_yaxes(title_text="share of all absolute contribution (%)", range=[0, 103])
    return palette.theme(fig, height=370)


def reading_cumulative(attribution: np.ndarray) -> str:
    """How many training points carry half, 80 % and 95 % of the prediction.

    Args:
        attribution: ``[N]``.

    Raises:
        ValueError: when a value is not finite.
    """
    values = palette.finite(attribution, "attribution", (None,))
    _, marks = _cumulative(values)
    counts = " ".join(f"{100 * level:.0f} % needs {marks[level]:,};" for level in LEVELS).rstrip(";")
    verdict = (
        "a short list says most of it"
        if marks[0.5] <= 0.02 * len(values)
        else "no short list of examples can stand for the prediction"
    )
    return f"Of {len(values):,} training points, by absolute contribution: {counts}. So {verdict}."


def class_totals_heatmap(
    totals: np.ndarray, intercept: np.ndarray, class_names: Sequence[str], *, logit_names: Sequence[str] | None = None
) -> go.Figure:
    """Which training classes push which logit. Reads: a column adds up, bias included, to the logit below it.

    Args:
        totals: ``[training classes, logits]``, summed contributions of each training class.
        intercept: ``[logits]``, the bias, in a row of its own so that large classes do not soak it up.
        class_names: names of the training classes.
        logit_names: names of the logits; by default those of the classes.

    Raises:
        ValueError: when shapes differ or a value is not finite.
    """
    columns = class_names if logit_names is None else logit_names
    values, bias = _totals(totals, intercept, len(class_names), len(columns))
    n = len(class_names)
    # One matrix with empty rows as gaps, so that one colour scale serves all three parts.
    empty = [[None] * len(columns)]
    rows = [*values.tolist(), *empty, bias.tolist(), *empty, (values.sum(axis=0) + bias).tolist()]
    names = [*class_names, "", "bias", "", "surrogate's logit"]
    reach = max(float(np.abs(values).max()), float(np.abs(bias).max()), 1e-12)
    fig = go.Figure(
        go.Heatmap(
            z=rows,
            zmin=-reach,
            zmax=reach,
            colorscale=palette.DIVERGING,
            customdata=[[[palette.short(row, 40), palette.short(column, 40)] for column in columns] for row in names],
            hovertemplate="%{customdata[0]}<br>to the logit of %{customdata[1]}: %{z:+.4g}<extra></extra>",
            hoverongaps=False,
            texttemplate="%{z:+.2f}" if len(columns) <= 12 else None,
            textfont={"size": 11},
            colorbar={"title": {"text": "logit"}, "thickness": 10, "outlinewidth": 0},
            xgap=1,
            ygap=1,
        )
    )
    across: dict[str, Any] = palette.named_rows(columns, 12) | {"range": [-0.5, len(columns) - 0.5]}
    fig.update_xaxes(title_text="logit", **across)
    fig.update_yaxes(title_text="training class", **palette.named_rows(names, 18))
    return palette.theme(fig, height=130 + 27 * (n + 4), legend="none")


def reading_class_totals(
    totals: np.ndarray, intercept: np.ndarray, class_names: Sequence[str], *, logit_names: Sequence[str] | None = None
) -> str:
    """Which logit wins, and which training classes push it up and down.

    Args:
        totals: ``[training classes, logits]``.
        intercept: ``[logits]``.
        class_names: names of the training classes.
        logit_names: names of the logits; by default those of the classes.

    Raises:
        ValueError: when shapes differ or a value is not finite.
    """
    columns = class_names if logit_names is None else logit_names
    values, bias = _totals(totals, intercept, len(class_names), len(columns))
    logits = values.sum(axis=0) + bias
    best = int(logits.argmax())
    up, down = int(values[:, best].argmax()), int(values[:, best].argmin())
    return (
        f"The largest logit is {columns[best]} ({logits[best]:.3g}, of which bias {bias[best]:+.3g}). Training points of class {class_names[up]} push it "
        f"up most ({values[up, best]:+.3g}), those of {class_names[down]} least or down ({values[down, best]:+.3g})."
    )


def _histogram(fig: go.Figure, values: np.ndarray) -> None:
    """Counts in bins that have 0 as an edge, blue above and orange below it."""
    width = max(float(np.ptp(values)), 1e-12) / 60
    edges = width * np.arange(np.floor(min(values.min(), 0.0) / width), np.ceil(max(values.max(), 0.0) / width) + 1)
    counts, edges = np.histogram(values, bins=edges if len(edges) > 1 else 1)
    middles = (edges[1:] + edges[:-1]) / 2
    shown = np.flatnonzero(counts)
    fig.add_trace(
        go.Bar(
            x=middles[shown],
            y=counts[shown],
            width=width,
            name="training points",
            showlegend=False,
            marker={"color": [palette.POSITIVE if m >= 0 else palette.NEGATIVE for m in middles[shown]], "line": {"width": 0}},
            hovertemplate="about %{x:+.3g}<br>%{y:,} training points<extra></extra>",
        ),
        row=1,
        col=1,
    )


def _cumulative(values: np.ndarray) -> tuple[np.ndarray, dict[float, int]]:
    """Cumulative shares, strongest first, and how many points reach each level."""
    sizes = np.sort(np.abs(values))[::-1]
    total = float(sizes.sum())
    shares = np.cumsum(sizes) / total if total else np.arange(1, len(sizes) + 1) / len(sizes)
    # The sum of floats may end a hair below 1; the tolerance keeps a level that is met from needing one more point.
    return shares, {level: min(len(sizes), int(np.searchsorted(shares, level - 1e-12)) + 1) for level in LEVELS}


def _points(attribution: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Contributions, classes and class names of the training points.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    values = palette.finite(attribution, "attribution", (None,))
    return values, np.asarray(labels), palette.class_of(labels, class_names, len(values))


def _totals(totals: np.ndarray, intercept: np.ndarray, n_rows: int, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Totals and bias, their shapes checked.

    Raises:
        ValueError: when shapes differ or a value is not finite.
    """
    return palette.finite(totals, "class totals", (n_rows, n_columns)), palette.finite(intercept, "intercept", (n_columns,))
