"""One prediction as a sum: bias, strongest training points, the rest of each class, the surrogate's logit, the gap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from ntkviz.figures import palette

StepKind = Literal["bias", "point", "rest", "surrogate", "residual", "network"]

#: Names of the bars in the legend, in its order.
GROUPS = ("supports", "opposes", "total", "not explained")

#: Classes whose rest has a bar of its own; the others share one.
MAX_REST = 10


@dataclass(frozen=True)
class Step:
    """One bar. ``start + value == end``; totals start at 0.

    Attributes:
        kind: what it stands for; "surrogate" and "network" are totals.
        label: plain text for tables; escaped when drawn.
        value: length of the bar, signed.
        start: where it begins.
        end: where it ends.
        id: id of the training point of a "point" bar, else None.
    """

    kind: StepKind
    label: str
    value: float
    start: float
    end: float
    id: object = None


def waterfall_steps(
    attribution: np.ndarray,
    *,
    intercept: float,
    labels: np.ndarray,
    class_names: Sequence[str],
    network_logit: float | None = None,
    ids: Sequence[object] | None = None,
    k: int = 8,
) -> tuple[Step, ...]:
    """The bars of the waterfall; the table and the export of the page read the same rows.

    Args:
        attribution: ``[N]``, shares in one logit of one test point: they and the intercept add up to the surrogate's.
        intercept: the surrogate's intercept of that logit.
        labels: ``[N]``, classes of the training points.
        class_names: C names.
        network_logit: the network's logit; the last two bars are left out when it is None.
        ids: N stable ids of training points; by default 0..N-1.
        k: strongest points, by absolute share, that get a bar of their own.

    Returns:
        The steps in drawing order; every one starts where the one before ended, totals aside.

    Raises:
        ValueError: when lengths differ or a value is not finite.
    """
    values = palette.finite(attribution, "attribution", (None,))
    classes, named = np.asarray(labels), palette.class_of(labels, class_names, len(values))
    names = palette.id_column(ids, len(values))
    parts: list[tuple[StepKind, str, float, object]] = [("bias", "bias", float(intercept), None)]
    top = strongest(values, k)
    points: list[tuple[StepKind, str, float, object]] = [
        ("point", f"#{names[i][0]} {named[i]}", float(values[i]), names[i][0]) for i in top
    ]
    parts += points + _rest(np.delete(values, top), np.delete(classes, top), class_names)
    steps, at = [], 0.0
    for kind, label, value, key in parts:
        steps.append(Step(kind, label, value, at, at + value, key))
        at += value
    steps.append(Step("surrogate", "surrogate's logit", at, 0.0, at))
    if network_logit is not None:
        gap = float(network_logit) - at
        steps.append(Step("residual", "not explained", gap, at, at + gap))
        steps.append(Step("network", "network's logit", float(network_logit), 0.0, float(network_logit)))
    return tuple(steps)


def strongest(values: np.ndarray, k: int) -> list[int]:
    """Indices of the k largest absolute values, strongest first; ties keep their order."""
    return np.argsort(-np.abs(values), kind="stable")[: max(0, k)].tolist()


def waterfall(steps: Sequence[Step], *, target: str) -> go.Figure:
    """The bars, from the bias down to the network's logit. Reads: every bar starts where the one above ended.

    Args:
        steps: of :func:`waterfall_steps`.
        target: name of the class whose logit is explained.

    Raises:
        ValueError: when there is no step.
    """
    if not steps:
        raise ValueError("Expected the steps of waterfall_steps, got none.")
    fig = go.Figure()
    for group in GROUPS:
        chosen = [i for i, step in enumerate(steps) if _group(step) == group]
        if chosen:
            fig.add_trace(_bars(steps, chosen, group))
    fig.add_trace(_joins(steps))
    low, high = min(0.0, *(min(s.start, s.end) for s in steps)), max(0.0, *(max(s.start, s.end) for s in steps))
    margin = 0.14 * max(high - low, 1e-12)
    fig.update_xaxes(title_text=f"logit of {palette.short(target, 30)}", range=[low - margin, high + margin])
    fig.update_yaxes(**palette.named_rows([s.label for s in steps], 26))
    fig = palette.theme(fig, height=110 + 25 * len(steps)).update_layout(barmode="overlay")
    outline = {"width": 1.5, "color": palette.NEUTRAL}
    return fig.update_traces(marker_line=outline, selector={"name": "not explained"})


def _group(step: Step) -> str:
    """Which of :data:`GROUPS` a bar belongs to."""
    if step.kind in ("surrogate", "network"):
        return "total"
    if step.kind == "residual":
        return "not explained"
    return "supports" if step.value >= 0 else "opposes"


def _bars(steps: Sequence[Step], chosen: Sequence[int], group: str) -> go.Bar:
    """The bars of one group."""
    colour = {"supports": palette.POSITIVE, "opposes": palette.NEGATIVE}.get(group, palette.NEUTRAL)
    pattern = "/" if group == "not explained" else ""
    return go.Bar(
        y=list(chosen),
        x=[steps[i].value for i in chosen],
        base=[steps[i].start for i in chosen],
        orientation="h",
        name=group,
        marker={"color": colour, "pattern": {"shape": pattern, "fgcolor": palette.NEUTRAL, "bgcolor": "rgba(0,0,0,0)"}},
        opacity=1.0,
        width=0.72,
        text=[f"{steps[i].value:.3g}" if group == "total" else f"{steps[i].value:+.3g}" for i in chosen],
        textposition="outside",
        cliponaxis=False,
        customdata=[[steps[i].id, palette.safe(steps[i].label), steps[i].end] for i in chosen],
        hovertemplate="%{customdata[1]}<br>%{x:+.4g}, running sum %{customdata[2]:.4g}",
    )


def _joins(steps: Sequence[Step]) -> go.Scatter:
    """Dotted lines from the end of each bar to the next."""
    ends = [(step.end, i) for i, step in enumerate(steps[:-1])]
    return go.Scatter(
        x=[v for end, _ in ends for v in (end, end, None)],
        y=[v for _, i in ends for v in (i, i + 1, None)],
        mode="lines",
        line={"color": palette.LINE, "width": 1, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )


def reading_waterfall(steps: Sequence[Step], *, target: str) -> str:
    """The sum in words: what single points carry, what the many carry, and what is left over.

    Args:
        steps: of :func:`waterfall_steps`.
        target: name of the class whose logit is explained.

    Raises:
        ValueError: when there is no step.
    """
    if not steps:
        raise ValueError("Expected the steps of waterfall_steps, got none.")
    sums = {kind: sum(s.value for s in steps if s.kind == kind) for kind in ("bias", "point", "rest", "surrogate", "residual")}
    n_points = sum(s.kind == "point" for s in steps)
    text = (
        f"The surrogate's logit of {target} is {sums['surrogate']:.3g}: bias {sums['bias']:+.3g}, the {n_points} strongest training points "
        f"{sums['point']:+.3g}, all other training points {sums['rest']:+.3g}"
    )
    network = [s.value for s in steps if s.kind == "network"]
    return (
        f"{text}. The network's logit is {network[0]:.3g}: {sums['residual']:+.3g} is not explained." if network else f"{text}."
    )


def _rest(values: np.ndarray, classes: np.ndarray, class_names: Sequence[str]) -> list[tuple[StepKind, str, float, object]]:
    """Summed shares of the points without a bar of their own, by class; the smallest sums share one bar."""
    present = np.unique(classes).tolist()
    sums = {c: (float(values[classes == c].sum()), int((classes == c).sum())) for c in present}
    own = sorted(sorted(present, key=lambda c: -abs(sums[c][0]))[: MAX_REST if len(present) <= MAX_REST else MAX_REST - 1])
    parts: list[tuple[StepKind, str, float, object]] = [
        ("rest", f"{class_names[c]}: {sums[c][1]:,} others", sums[c][0], None) for c in own
    ]
    left = [c for c in present if c not in own]
    if left:
        parts.append(("rest", f"{len(left)} more classes", sum(sums[c][0] for c in left), None))
    return parts
