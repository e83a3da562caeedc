"""Figures of the first lesson: gradients as arrows, a network on the plane, shares beside what retraining shows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ntkviz.figures import palette


def gradient_arrows(gradients: np.ndarray, names: Sequence[str], query: np.ndarray, *, chosen: int) -> go.Figure:
    """Gradients of a two-parameter network as arrows. Reads: the smaller the angle to the bold arrow, the larger the kernel.

    Args:
        gradients: ``[n, 2]``, one a training example.
        names: n names.
        query: ``[2]``, the gradient at the point asked about.
        chosen: which example takes a step.

    Raises:
        ValueError: when a value is not finite or the lengths differ.
    """
    arrows = palette.finite(gradients, "gradients", (len(names), 2))
    asked = palette.finite(query, "the query's gradient", (2,))
    fig = go.Figure()
    for index, (arrow, name) in enumerate(zip(arrows, names, strict=True)):
        supports = float(arrow @ asked) >= 0
        colour = palette.POSITIVE if supports else palette.NEGATIVE
        _arrow(fig, arrow, name, colour, width=3.5 if index == chosen else 1.8, dash="solid" if supports else "dash")
    _arrow(fig, asked, "asked about", palette.NEUTRAL, width=5, dash="solid", tip="x")
    reach = 1.15 * max(0.3, float(np.abs(np.vstack([arrows, asked])).max()))
    fig.update_xaxes(title_text="df/da", range=[-reach, reach], zeroline=True)
    fig.update_yaxes(title_text="df/db", range=[-reach, reach], scaleanchor="x", zeroline=True)
    return palette.theme(fig, height=400, legend="none")


def reading_gradient_arrows(kernel: np.ndarray, names: Sequence[str]) -> str:
    """Which example's gradient lies along the query's, and which against it.

    Args:
        kernel: ``[n]``, the inner products.
        names: n names.

    Raises:
        ValueError: when a value is not finite or the lengths differ.
    """
    values = palette.finite(kernel, "the kernel", (len(names),))
    high, low = int(values.argmax()), int(values.argmin())
    text = f"The gradient of {names[high]} has the largest inner product with that of the point asked about (K = {palette.number(float(values[high]))})"
    if values[low] < 0:
        return f"{text}; that of {names[low]} points the other way (K = {palette.number(float(values[low]))}): what raises the output there lowers it here."
    return f"{text}; none points the other way."


def plane_map(
    grid: tuple[np.ndarray, np.ndarray, np.ndarray],
    points: np.ndarray,
    labels: np.ndarray,
    query: np.ndarray,
    *,
    letters: dict[int, str],
    shares: np.ndarray | None = None,
) -> go.Figure:
    """A network on the plane and its training points. Reads: blue ground is class B; with shares, a large dot weighs much.

    Args:
        grid: x ``[w]``, y ``[h]`` and the network's logits ``[h, w]``.
        points: ``[N, 2]``.
        labels: ``[N]``, 0 or 1.
        query: ``[2]``, where the prediction is.
        letters: point -> letter of the candidates.
        shares: ``[N]``, drawn as sizes and signs once they are revealed, or None.

    Raises:
        ValueError: when a value is not finite or the lengths differ.
    """
    at = palette.finite(points, "points", (None, 2))
    fig = go.Figure(_ground(*grid))
    sizes = np.full(len(at), 11.0)
    if shares is not None:
        weight = np.abs(palette.finite(shares, "shares", (len(at),)))
        sizes = 6 + 26 * np.sqrt(weight / max(weight.max(), 1e-12))
    for label, name in enumerate(("class A", "class B")):
        mine = np.flatnonzero(np.asarray(labels) == label)
        signed = None if shares is None else np.asarray(shares)[mine]
        fill = palette.colour(1 - label) if signed is None else [palette.POSITIVE if v >= 0 else palette.NEGATIVE for v in signed]
        fig.add_trace(
            go.Scatter(
                x=at[mine, 0],
                y=at[mine, 1],
                mode="markers",
                name=name,
                marker={
                    "size": sizes[mine],
                    "symbol": palette.symbol(label),
                    "color": fill,
                    "line": {"width": 1.2, "color": "#FFFFFF"},
                    "opacity": 0.95,
                },
                customdata=[[int(i), "" if shares is None else f"<br>share {shares[i]:+.3f}"] for i in mine],
                hovertemplate="training point %{customdata[0]}%{customdata[1]}",
            )
        )
    star = {"size": 18, "symbol": "star", "color": palette.CATEGORICAL[7], "line": {"width": 1.5, "color": "#31333F"}}
    fig.add_trace(go.Scatter(x=[query[0]], y=[query[1]], mode="markers", name="asked about", marker=star, hoverinfo="skip"))
    _name_candidates(fig, at, letters)
    fig.update_xaxes(title_text="first input", zeroline=False, showgrid=False)
    fig.update_yaxes(title_text="second input", zeroline=False, showgrid=False, scaleanchor="x")
    return palette.theme(fig, height=440)


def _ground(x: np.ndarray, y: np.ndarray, logits: np.ndarray) -> go.Contour:
    """The network's logits ``[h, w]`` as coloured ground."""
    logits = palette.finite(logits, "logits", (len(y), len(x)))
    reach = float(np.percentile(np.abs(logits), 95))
    return go.Contour(
        x=x,
        y=y,
        z=logits,
        colorscale=palette.DIVERGING,
        zmin=-reach,
        zmax=reach,
        opacity=0.45,
        contours={"showlines": False},
        line={"width": 0},
        ncontours=24,
        colorbar={"title": {"text": "logit of<br>class B"}, "thickness": 10, "outlinewidth": 0},
        hoverinfo="skip",
    )


def _name_candidates(fig: go.Figure, at: np.ndarray, letters: dict[int, str]) -> None:
    """Letters beside the points that a person may guess."""
    for index, letter in letters.items():
        fig.add_annotation(
            x=at[index, 0],
            y=at[index, 1],
            text=f"<b>{palette.short(letter)}</b>",
            showarrow=True,
            arrowhead=0,
            arrowwidth=1,
            ax=18,
            ay=-22,
            font={"size": 14, "color": "#1B1B1B"},
            bgcolor="rgba(255,255,255,0.85)",
            bordercolor=palette.NEUTRAL,
        )


def reading_plane_map(logit: float, score: float, shares: np.ndarray | None = None) -> str:
    """What network and surrogate say at the star, and how the shares are spread.

    Args:
        logit: of the network.
        score: of the surrogate.
        shares: ``[N]`` once revealed, or None.
    """
    name = "B" if logit > 0 else "A"
    same = "the same class" if (logit > 0) == (score > 0) else "the other class"
    text = f"At the star the network says class {name} (logit {logit:+.2f}); the surrogate says {same} ({score:+.2f})."
    if shares is None:
        return text
    size = np.sort(np.abs(shares))[::-1]
    n50 = int(np.searchsorted(np.cumsum(size), 0.5 * size.sum()) + 1)
    return f"{text} {n50} of {len(size)} points hold half of all |shares|; the largest alone holds {palette.percent(float(size[0] / size.sum()))}."


def share_and_truth(shares: np.ndarray, truth: np.ndarray, labels: np.ndarray, *, letters: dict[int, str]) -> go.Figure:
    """Each point's share against what happens without it. Reads: if shares were effects, the points would lie on a line.

    Args:
        shares: ``[N]``.
        truth: ``[N]``, the network's logit minus that of the network trained without the point.
        labels: ``[N]``, 0 or 1.
        letters: point -> letter of the candidates.

    Raises:
        ValueError: when a value is not finite or the lengths differ.
    """
    x = palette.finite(shares, "shares", (None,))
    y = palette.finite(truth, "retrained differences", (len(x),))
    fig = go.Figure()
    for label, name in enumerate(("class A", "class B")):
        mine = np.flatnonzero(np.asarray(labels) == label)
        style: dict[str, Any] = {"size": 10, "symbol": palette.symbol(label), "color": palette.colour(1 - label)}
        fig.add_trace(
            go.Scatter(
                x=x[mine],
                y=y[mine],
                mode="markers+text",
                name=name,
                marker=style,
                text=[letters.get(int(i), "") for i in mine],
                textposition="top right",
                textfont={"size": 14},
                customdata=[[int(i)] for i in mine],
                hovertemplate="training point %{customdata[0]}<br>share %{x:+.3f}<br>without it the logit changes by %{y:+.3f}",
            )
        )
    fig.update_xaxes(title_text="share in the surrogate's score", zeroline=True)
    fig.update_yaxes(title_text="logit lost by training without the point", zeroline=True)
    return palette.theme(fig, height=400)


def reading_share_and_truth(correlation: float, top_share: int, top_truth: int) -> str:
    """How far shares and effects agree here.

    Args:
        correlation: Spearman's, over the points; NaN when one of the two does not vary.
        top_share: the point with the largest |share|.
        top_truth: the point whose removal changes the prediction most.
    """
    same = (
        "the same point leads both lists"
        if top_share == top_truth
        else (f"point {top_share} has the largest share, but point {top_truth} matters most when it is really left out")
    )
    return f"Rank correlation of share and effect over the points: {palette.number(correlation, 2)}; {same}."


def _arrow(fig: go.Figure, arrow: np.ndarray, name: str, colour: str, *, width: float, dash: str, tip: str = "") -> None:
    """A line from the origin with its head; beyond the head stands ``tip``, or the name's first words."""
    style = {"color": colour, "width": width, "dash": dash}
    fig.add_trace(
        go.Scatter(
            x=[0, arrow[0]],
            y=[0, arrow[1]],
            mode="lines+markers",
            line=style,
            marker={"symbol": ["circle", "arrow"], "size": [1, 14], "angleref": "previous", "color": colour},
            name=palette.short(name, 24),
            hovertemplate="df/da %{x:.3f}<br>df/db %{y:.3f}<extra></extra>",
        )
    )
    away = arrow / max(float(np.linalg.norm(arrow)), 1e-12)
    fig.add_annotation(
        x=arrow[0],
        y=arrow[1],
        text=f"<b>{palette.short(tip or name.partition(' (')[0], 24)}</b>",
        showarrow=False,
        xshift=(18 if tip else 36) * away[0],
        yshift=18 * away[1] if tip else 16 * np.sign(away[1]),
        font={"size": 13},
    )
