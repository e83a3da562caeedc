"""What if the training set were another one: before and after, the way to a flip, and predicted against retrained changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ntkviz.explain.calibration import Calibration, Estimate
from ntkviz.figures import palette

#: Classes with a row of their own; the least probable ones beyond are left out, and the reading says so.
MAX_CLASSES = 12


@dataclass(frozen=True, eq=False)
class Changes:
    """Predicted and measured changes of one kind of edits, for the calibration plot.

    Attributes:
        title: for the legend, such as "chosen points removed" or "random points removed".
        predicted: ``[n]``.
        measured: ``[n]``, after retraining.
        baseline: whether it is what the others are compared with.
        calibration: of these changes, for the reading.
    """

    title: str
    predicted: np.ndarray
    measured: np.ndarray
    calibration: Calibration
    baseline: bool = False


def before_after(
    before: np.ndarray, after: np.ndarray, class_names: Sequence[str], *, true_class: int | None = None
) -> go.Figure:
    """Probabilities of one point before and after edits, a row a class. Reads: how far, and past whom, each class moves.

    Args:
        before: ``[K]``, in [0, 1].
        after: likewise.
        class_names: K names.
        true_class: its name gets a check mark; None when it is not known.

    Raises:
        ValueError: when lengths differ or a value lies outside [0, 1].
    """
    first, second = _chances(before, after, class_names)
    shown = _shown(first, second)
    rows = list(range(len(shown)))
    names = [f"✓ {class_names[c]}" if c == true_class else str(class_names[c]) for c in shown]
    fig = go.Figure()
    for row, c in zip(rows, shown, strict=True):
        rises = second[c] >= first[c]
        fig.add_trace(
            go.Scatter(
                x=[first[c], second[c]],
                y=[row, row],
                mode="lines",
                line={"width": 4, "color": palette.POSITIVE if rises else palette.NEGATIVE},
                hoverinfo="skip",
                showlegend=False,
                name="change",
            )
        )
    for values, label, symbol, colour, size in (
        (first, "before", "circle-open", palette.NEUTRAL, 11),
        (second, "after", "diamond", palette.POSITIVE, 11),
    ):
        fig.add_trace(
            go.Scatter(
                x=values[shown],
                y=rows,
                mode="markers",
                name=label,
                marker={"size": size, "symbol": symbol, "color": colour, "line": {"width": 2, "color": colour}},
                customdata=[[palette.safe(name)] for name in names],
                hovertemplate="%{customdata[0]}<br>" + label + " %{x:.4f}<extra></extra>",
            )
        )
    fig.update_xaxes(title_text="probability by the surrogate", range=[-0.02, 1.02], tickvals=[0, 0.25, 0.5, 0.75, 1])
    fig.update_yaxes(title_text="class", **palette.named_rows(names, 20))
    return palette.theme(fig, height=120 + 30 * len(rows))


def reading_before_after(
    before: np.ndarray, after: np.ndarray, class_names: Sequence[str], *, margins: tuple[float, float] | None = None
) -> str:
    """Which class is named before and after, with its probability.

    Args:
        before: ``[K]``.
        after: ``[K]``.
        class_names: K names.
        margins: log-odds of the class named before, before and after, when known.

    Raises:
        ValueError: when lengths differ or a value lies outside [0, 1].
    """
    first, second = _chances(before, after, class_names)
    was, now = int(first.argmax()), int(second.argmax())
    text = f"The surrogate says {class_names[was]} with probability {first[was]:.3f}"
    if np.array_equal(first, second):
        text += "; nothing changes"
    elif was == now:
        text += f", and after the edits still, with {second[now]:.3f}"
    else:
        text += f"; after the edits it says {class_names[now]} with {second[now]:.3f}, and {class_names[was]} falls to {second[was]:.3f}"
    if margins is not None:
        text += f". Its log-odds of {class_names[was]} go from {palette.number(margins[0])} to {palette.number(margins[1])}"
    hidden = len(first) - len(_shown(first, second))
    return text + (f". The {hidden} least probable classes are not drawn." if hidden else ".")


def flip_path(sizes: np.ndarray, gaps: np.ndarray, *, label: str, n_kept: int, flipped: bool) -> go.Figure:
    """The gap to the best other class as points are removed. Reads: where the line crosses zero, the class changes.

    Args:
        sizes: ``[s]``, points removed.
        gaps: ``[s]``, the score of the class minus the best other one.
        label: name of the class.
        n_kept: size of the set after points were put back.
        flipped: whether it changes the class.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    y = palette.finite(gaps, "gaps", (None,))
    x = palette.finite(sizes, "sizes", (len(y),))
    fig = go.Figure(
        go.Scatter(
            x=x,
            y=y,
            mode="lines+markers",
            line={"color": palette.POSITIVE, "width": 2},
            marker={"size": 7, "color": [palette.POSITIVE if v > 0 else palette.NEGATIVE for v in y], "symbol": "circle"},
            name="gap",
            hovertemplate="%{x} removed<br>gap %{y:.3g}<extra></extra>",
        )
    )
    fig.add_hline(y=0, line={"color": palette.LINE, "dash": "dash", "width": 1.5})
    if flipped:
        fig.add_vline(x=n_kept, line={"color": palette.NEGATIVE, "dash": "dot", "width": 1.5})
    fig.update_xaxes(title_text="training points removed", rangemode="tozero")
    fig.update_yaxes(title_text=f"score of {palette.short(label, 20)} minus the best other")
    return palette.theme(fig, height=300, legend="none")


def reading_flip(sizes: np.ndarray, gaps: np.ndarray, *, label: str, after: str, n_kept: int, flipped: bool) -> str:
    """How many points suffice.

    Args:
        sizes: ``[s]``.
        gaps: ``[s]``.
        label: name of the class before.
        after: name of the class after.
        n_kept: size of the set.
        flipped: whether it changes the class.
    """
    if flipped:
        points = "one training point" if n_kept == 1 else f"{n_kept} training points"
        return f"Without {points} the surrogate says {after} and no longer {label}; the gap of scores was {palette.number(float(gaps[0]))}."
    return (
        f"Removing {int(sizes[-1])} training points lowers the gap of {label} to the next class from {palette.number(float(gaps[0]))} "
        f"to {palette.number(float(gaps[-1]))}; the class stays."
    )


def calibration_plot(
    sets: Sequence[Changes], *, unit: str = "change of the margin (log-odds)", stretch: float = 1.0
) -> go.Figure:
    """Predicted against retrained changes. Reads: on the dashed line what was predicted came true; the fitted line shows by what factor.

    Args:
        sets: kinds of edits, baselines among them.
        unit: of both axes.
        stretch: factor that the predictions were multiplied by already; other than 1, the axis says so.

    Raises:
        ValueError: when there is no set, lengths differ, or a value is not finite.
    """
    pairs = _pairs(sets)
    fig = go.Figure()
    for index, (one, (x, y)) in enumerate(zip(sets, pairs, strict=True)):
        colour = palette.NEUTRAL if one.baseline else palette.colour(index)
        kind: Any = go.Scattergl if len(x) > 2000 else go.Scatter
        fig.add_trace(
            kind(
                x=x,
                y=y,
                mode="markers",
                name=palette.short(one.title, 32),
                legendgroup=str(index),
                marker={
                    "size": 6,
                    "color": colour,
                    "symbol": "x" if one.baseline else palette.symbol(index),
                    "opacity": 0.5 if one.baseline else 0.75,
                },
                hovertemplate="predicted %{x:+.3g}<br>retrained %{y:+.3g}<extra></extra>",
            )
        )
        slope, intercept = one.calibration.slope.value, one.calibration.intercept.value
        if np.isfinite(slope) and np.isfinite(intercept):
            ends = np.array([x.min(), x.max()])
            line = {"color": colour, "width": 2}
            fig.add_trace(
                go.Scatter(
                    x=ends,
                    y=intercept + slope * ends,
                    mode="lines",
                    line=line,
                    legendgroup=str(index),
                    showlegend=False,
                    hoverinfo="skip",
                )
            )
    every = np.concatenate([np.concatenate(pair) for pair in pairs])
    ends = [min(0.0, float(every.min())), max(0.0, float(every.max()))]
    style = {"color": palette.LINE, "width": 1.5, "dash": "dash"}
    fig.add_trace(go.Scatter(x=ends, y=ends, mode="lines", name="as predicted", line=style, hoverinfo="skip"))
    predicted = "predicted" if stretch == 1 else f"predicted, stretched by {palette.number(stretch)}"
    fig.update_xaxes(title_text=f"{predicted}: {palette.safe(unit)}")
    fig.update_yaxes(title_text=f"retrained: {palette.safe(unit)}")
    return palette.theme(fig, height=440)


def reading_calibration(sets: Sequence[Changes]) -> str:
    """Slope and correlation of each kind of edits, with intervals.

    Args:
        sets: kinds of edits, baselines among them.

    Raises:
        ValueError: when there is no set, lengths differ, or a value is not finite.
    """
    _pairs(sets)
    parts = []
    for one in sets:
        found = one.calibration
        parts.append(
            f"{one.title}: slope {_interval(found.slope)}, correlation {_interval(found.correlation)} over {found.n_changes:,} changes of "
            f"{found.n_groups:,} {'retraining' if found.n_groups == 1 else 'retrainings'}; predictions miss by {palette.number(found.error)} "
            f"where no change at all would miss by {palette.number(found.spread)}"
        )
    return ". ".join(parts) + ". Slope 1 on the dashed line: what was predicted came true."


def _pairs(sets: Sequence[Changes]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The points of each set.

    Raises:
        ValueError: when there is no set, lengths differ, or a value is not finite.
    """
    if not sets:
        raise ValueError("Expected at least one set of predicted and measured changes, got none. Retrain some edits first.")
    pairs = []
    for one in sets:
        x = palette.finite(np.ravel(one.predicted), f"predicted changes of {one.title}", (None,))
        pairs.append((x, palette.finite(np.ravel(one.measured), f"measured changes of {one.title}", (len(x),))))
    return pairs


def _interval(estimate: Estimate) -> str:
    ends = f" ({estimate.low:.2f} to {estimate.high:.2f})" if np.isfinite(estimate.low) and np.isfinite(estimate.high) else ""
    return ("n/a" if np.isnan(estimate.value) else f"{estimate.value:.2f}") + ends


def _chances(before: np.ndarray, after: np.ndarray, class_names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Both sets of probabilities.

    Raises:
        ValueError: when lengths differ or a value lies outside [0, 1].
    """
    first = palette.finite(before, "probabilities before", (len(class_names),))
    second = palette.finite(after, "probabilities after", (len(class_names),))
    if min(first.min(), second.min()) < 0 or max(first.max(), second.max()) > 1 + 1e-9:
        raise ValueError("Probabilities must lie in [0, 1]; take the softmax of the scores.")
    return first, second


def _shown(first: np.ndarray, second: np.ndarray) -> list[int]:
    """The classes with a row, in their own order: the most probable before or after."""
    order = np.argsort(-np.maximum(first, second), kind="stable")[:MAX_CLASSES]
    return sorted(order.tolist())
