"""Which layers a number of training points comes from, and who is near by norm and who by angle."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ntkviz.explain.layers import LayerShares, NormAngle, merged
from ntkviz.figures import palette
from ntkviz.figures.waterfall import strongest
from ntkviz.figures.weights import MAX_SVG_POINTS

#: Layers with a colour of their own, the others in one.
MAX_LAYERS = 8
#: Beside the colours, so that layers are told apart without them.
_PATTERNS = ("", "/", "\\", "x", "-", "|", "+", ".")
_STRIPES = "rgba(255,255,255,0.75)"


def layer_bars(
    found: LayerShares,
    *,
    labels: np.ndarray,
    class_names: Sequence[str],
    target: str,
    unit: str,
    ids: Sequence[object] | None = None,
    k: int = 10,
) -> go.Figure:
    """Parts of each layer, of all training points together and of the strongest. Reads: bars of a row add up to its diamond.

    Args:
        found: parts of N training points.
        labels: ``[N]``, their classes.
        class_names: C names.
        target: what is explained, in words.
        unit: what a number is, e.g. "share in the score".
        ids: N stable ids; by default 0..N-1. They come back as ``customdata[0]`` of a click.
        k: strongest training points, by absolute total.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    few, total, named = _checked(found, labels, class_names)
    custom, top = palette.id_column(ids, len(total)), strongest(total, k)
    height = 218 + 25 * len(top)
    fig = make_subplots(rows=2, cols=1, row_heights=[34, 25 * len(top) + 10], vertical_spacing=74 / height)
    one = [[f"all {len(total):,}", "all classes"]]
    several = [[*custom[i], palette.short(named[i], 40)] for i in top]
    for j, (name, values) in enumerate(_rows(few)):
        marker = {
            "color": palette.NEUTRAL if j >= len(few.layers) else palette.colour(j),
            "pattern": {"shape": _PATTERNS[j % len(_PATTERNS)], "fillmode": "overlay", "fgcolor": _STRIPES, "solidity": 0.2},
        }
        for row, x, custom_row in ((1, [float(values.sum())], one), (2, values[top], several)):
            bar = go.Bar(
                x=x,
                y=list(range(len(x))),
                orientation="h",
                name=palette.short(name, 30),
                legendgroup=str(j),
                showlegend=row == 1,
                marker=marker,
                customdata=[[*entry, palette.short(name, 60)] for entry in custom_row],
                hovertemplate="%{customdata[2]}: %{x:+.4g}<br>training point %{customdata[0]}, %{customdata[1]}<extra></extra>",
            )
            fig.add_trace(bar, row=row, col=1)
    for row, x in ((1, [float(total.sum())]), (2, total[top])):
        fig.add_trace(_totals(x, row), row=row, col=1)
    fig.update_yaxes(**palette.named_rows([f"all {len(total):,}"], 26), row=1, col=1)
    fig.update_yaxes(**palette.named_rows([f"#{custom[i][0]} {named[i]}" for i in top], 26), row=2, col=1)
    fig.update_xaxes(title_text="added up over all training points", row=1, col=1)
    fig.update_xaxes(title_text=f"{palette.safe(unit)} of {palette.short(target, 30)}, the strongest", row=2, col=1)
    return palette.theme(fig, height=height).update_layout(barmode="relative")


def reading_layers(found: LayerShares, *, target: str, unit: str, ids: Sequence[object] | None = None) -> str:
    """Which layers carry the sum, and which the strongest training point.

    Args:
        found: parts of N training points.
        target: what is explained, in words.
        unit: what a number is.
        ids: N stable ids.

    Raises:
        ValueError: when a value is not finite.
    """
    total = palette.finite(found.total, "total", (None,))
    sums, mass = found.sums, found.mass
    if np.isnan(mass).all():
        return f"No layer has a part: every {unit} of {target} is 0."
    order = np.argsort(-np.abs(sums), kind="stable")[:3]
    parts = ", ".join(f"{found.layers[j]} {sums[j]:+.3g}" for j in order)
    rest = f", the intercept {found.rest.sum():+.3g}" if found.rest.any() else ""
    heavy, best = int(mass.argmax()), strongest(total, 1)[0]
    own = found.parts[:, best]
    most = int(np.abs(own).argmax())
    return (
        f"Added up over {len(total):,} training points the {unit} of {target} is {total.sum():+.3g}: {parts}{rest}. By absolute parts "
        f"{found.layers[heavy]} holds most of all layers ({palette.percent(mass[heavy])}). Of the strongest training point "
        f"({palette.id_column(ids, len(total))[best][0]}, {total[best]:+.3g}) the largest part is that of {found.layers[most]} ({own[most]:+.3g})."
    )


def norm_angle_scatter(
    found: NormAngle, *, labels: np.ndarray, class_names: Sequence[str], ids: Sequence[object] | None = None
) -> go.Figure:
    """Cosine against gradient norm. Reads: the nearest by the raw kernel lie above the dashed curve; those far right and low are there by norm.

    Args:
        found: norms and cosines of N training points.
        labels: ``[N]``, their classes.
        class_names: C names.
        ids: N stable ids; by default 0..N-1. They come back as ``customdata[0]`` of a click.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    x = palette.finite(found.norms, "norms", (None,))
    y = palette.finite(found.cosines, "cosines", (len(x),))
    named, custom = palette.class_of(labels, class_names, len(x)), palette.id_column(ids, len(x))
    by_norm, by_angle = found.top[~found.by_angle], found.top[found.by_angle]
    left_out = np.setdiff1d(found.top_cosine, found.top)
    others = np.setdiff1d(np.arange(len(x)), np.concatenate([found.top, left_out]))
    k = len(found.top)
    fig = go.Figure()
    looks: list[tuple[str, np.ndarray, dict[str, Any]]] = [
        ("others", others, {"size": 5, "color": palette.FADED}),
        (f"of the {k} nearest: by angle", by_angle, {"size": 10, "color": palette.POSITIVE}),
        (f"of the {k} nearest: by norm", by_norm, {"size": 11, "color": palette.NEGATIVE, "symbol": "diamond"}),
        (
            f"among the {k} nearest by cosine alone",
            left_out,
            {"size": 10, "color": palette.POSITIVE, "symbol": "circle-open", "line": {"width": 2}},
        ),
    ]
    for name, chosen, marker in looks:
        kind = go.Scattergl if len(chosen) > MAX_SVG_POINTS else go.Scatter
        fig.add_trace(
            kind(
                x=x[chosen],
                y=y[chosen],
                mode="markers",
                name=name,
                marker=marker,
                customdata=[[*custom[i], palette.short(named[i], 40), float(found.raw[i])] for i in chosen.tolist()],
                hovertemplate="training point %{customdata[0]}<br>%{customdata[1]}<br>norm %{x:.4g}<br>cosine %{y:.3f}"
                "<br>kernel %{customdata[2]:.4g}<extra></extra>",
            )
        )
    _curve(fig, x, y, found.top)
    fig.update_xaxes(title_text="norm of the training point's gradient (square root of its kernel with itself)")
    fig.update_yaxes(title_text="cosine with the test point")
    return palette.theme(fig, height=400)


def reading_norm_angle(found: NormAngle) -> str:
    """How many of the nearest are there by their angle and how many by their norm.

    Args:
        found: norms and cosines.
    """
    k, n = len(found.top), int((~found.by_angle).sum())
    start = f"Of the {k} training points nearest by the raw kernel, {k - n} are among the {k} nearest by cosine too"
    if not n:
        return f"{start}: here the angle alone decides who is near."
    moved, norms = found.cosine_ranks[~found.by_angle], found.percentiles[found.top[~found.by_angle]]
    verb = "is" if n == 1 else "are"
    return (
        f"{start}; {n} {verb} there by norm: by angle alone their best rank is {moved.min():,} and their worst {moved.max():,} of "
        f"{len(found.norms):,}, and in the middle their gradients are as long as or longer than those of {palette.percent(float(np.median(norms)), 0)} of the training points."
    )


def _rows(found: LayerShares) -> list[tuple[str, np.ndarray]]:
    """Names with values ``[N]``: layers, and the intercept where there is one."""
    rows = list(zip(found.layers, found.parts, strict=True))
    return [*rows, ("intercept", found.rest)] if found.rest.any() else rows


def _totals(x: Sequence[float] | np.ndarray, row: int) -> go.Scatter:
    """The totals of a panel."""
    return go.Scatter(
        x=x,
        y=list(range(len(x))),
        mode="markers",
        name="total",
        legendgroup="total",
        showlegend=row == 1,
        marker={"size": 10, "symbol": "diamond", "color": "white", "line": {"width": 2, "color": palette.NEUTRAL}},
        hovertemplate="total %{x:+.4g}<extra></extra>",
    )


def _curve(fig: go.Figure, x: np.ndarray, y: np.ndarray, top: np.ndarray) -> None:
    """The curve of equal kernel through the last of the nearest."""
    level, high = float(x[top[-1]] * y[top[-1]]), float(y.max())
    if level <= 0 or high <= 0:
        return
    along = np.geomspace(level / high, max(float(x.max()), level / high), 80)
    fig.add_trace(
        go.Scatter(
            x=along,
            y=level / along,
            mode="lines",
            name="equal kernel",
            line={"color": palette.LINE, "width": 1.3, "dash": "dash"},
            hoverinfo="skip",
        )
    )


def _checked(found: LayerShares, labels: np.ndarray, class_names: Sequence[str]) -> tuple[LayerShares, np.ndarray, list[str]]:
    """Few layers, the totals, and the classes' names.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    total = palette.finite(found.total, "total", (None,))
    palette.finite(found.parts, "parts", (len(found.layers), len(total)))
    palette.finite(found.rest, "rest", (len(total),))
    return merged(found, MAX_LAYERS), total, palette.class_of(labels, class_names, len(total))
