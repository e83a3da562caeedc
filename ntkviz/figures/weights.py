"""Why a training point counts: its similarity to the test point against its weight in the surrogate."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ntkviz.figures import palette
from ntkviz.figures.waterfall import strongest

#: Points above this are drawn by the graphics card.
MAX_SVG_POINTS = 2000


def similarity_weight_scatter(
    similarity: np.ndarray,
    weight: np.ndarray,
    *,
    labels: np.ndarray,
    class_names: Sequence[str],
    target: str,
    ids: Sequence[object] | None = None,
    k: int = 10,
    x_title: str = "similarity to the test point (kernel)",
) -> go.Figure:
    """Weight against similarity; their product is the contribution. Reads: a point is strong far right, far up, or both.

    Args:
        similarity: ``[N]``, the test point's kernel row (or the norm of each training point: say so in ``x_title``).
        weight: ``[N]``, the surrogate's weights for one class.
        labels: ``[N]``, classes of the training points.
        class_names: C names.
        target: name of the class that is explained.
        ids: N stable ids; by default 0..N-1. They come back as ``customdata[0]`` of a click.
        k: strongest products, ringed; the dashed curves pass through the weakest of them.
        x_title: what the horizontal axis is.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    x, y, top = _parts(similarity, weight, k)
    classes = np.asarray(labels)
    palette.class_of(labels, class_names, len(x))  # refuses labels that do not fit
    custom = palette.id_column(ids, len(x))
    products = x * y
    kind = go.Scattergl if len(x) > MAX_SVG_POINTS else go.Scatter
    fig = go.Figure()
    for c in np.unique(classes).tolist():
        inside = np.flatnonzero(classes == c).tolist()
        fig.add_trace(
            kind(
                x=x[inside],
                y=y[inside],
                mode="markers",
                name=palette.short(class_names[c], 20),
                marker={"size": 6, "color": palette.colour(c), "symbol": palette.symbol(c), "opacity": 0.7},
                customdata=[[*custom[i], float(products[i])] for i in inside],
                hovertemplate="training point %{customdata[0]}<br>similarity %{x:.4g}<br>weight %{y:+.4g}<br>product %{customdata[1]:+.4g}",
            )
        )
    _rings(fig, x[top], y[top], [[*custom[i], float(products[i])] for i in top])
    _curves(fig, x, y, products, top)
    fig.update_xaxes(title_text=palette.safe(x_title))
    fig.update_yaxes(title_text=f"weight for the logit of {palette.short(target, 24)}")
    return palette.theme(fig, height=430)


def reading_similarity_weight(similarity: np.ndarray, weight: np.ndarray, *, k: int = 10) -> str:
    """Whether the strongest points are strong by similarity or by weight.

    Args:
        similarity: ``[N]``.
        weight: ``[N]``.
        k: strongest products.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    x, y, top = _parts(similarity, weight, k)
    near, heavy = set(strongest(x, len(top))), set(strongest(y, len(top)))
    both, chosen = near & heavy, set(top)
    return (
        f"Of the {len(top)} training points with the strongest product, {len(chosen & near)} are also among the {len(top)} most similar, "
        f"{len(chosen & heavy)} among the {len(top)} with the largest weight, {len(chosen & both)} in both."
    )


def _rings(fig: go.Figure, x: np.ndarray, y: np.ndarray, custom: Sequence[list[object]]) -> None:
    """Rings around the strongest points."""
    fig.add_trace(
        go.Scatter(
            x=x,
            y=y,
            mode="markers",
            name=f"{len(x)} strongest",
            marker={"size": 14, "symbol": "circle-open", "color": palette.NEUTRAL, "line": {"width": 2}},
            customdata=custom,
            hovertemplate="training point %{customdata[0]}<br>product %{customdata[1]:+.4g}",
        )
    )


def _curves(fig: go.Figure, x: np.ndarray, y: np.ndarray, products: np.ndarray, top: list[int]) -> None:
    """Curves of equal product through the weakest of the strongest points."""
    level = float(np.abs(products[top[-1]])) if top else 0.0
    limit = float(np.abs(y).max())
    if level <= 0 or limit <= 0:
        return
    for side, end in ((1.0, float(x.max())), (-1.0, float(x.min()))):
        start = level / limit
        if side * end <= start:
            continue
        along = side * np.geomspace(start, side * end, 80)
        for sign in (1.0, -1.0):
            height = sign * level / np.abs(along)
            fig.add_trace(
                go.Scatter(
                    x=along,
                    y=height,
                    mode="lines",
                    line={"color": palette.LINE, "width": 1.3, "dash": "dash"},
                    hoverinfo="skip",
                    showlegend=False,
                    name="equal product",
                )
            )


def _parts(similarity: np.ndarray, weight: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Similarity, weight and the indices of the strongest products.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    x = palette.finite(similarity, "similarity", (None,))
    y = palette.finite(weight, "weight", (len(x),))
    return x, y, strongest(x * y, k)
