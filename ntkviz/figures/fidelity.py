"""Does the surrogate speak for the network? Measures with intervals, class by class, and where the two differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ntkviz.figures import palette
from ntkviz.figures.clickable import clickable_cells


@dataclass(frozen=True)
class Metric:
    """One row of the metric chart.

    Attributes:
        title: of the row, the same for every surrogate compared.
        value: the measure.
        low: lower end of its interval, NaN when there is none.
        high: upper end.
        ideal: the value of a perfect surrogate.
        series: name of the surrogate; one colour and symbol each.
    """

    title: str
    value: float
    low: float
    high: float
    ideal: float = 1.0
    series: str = ""


def metric_intervals(metrics: Sequence[Metric]) -> go.Figure:
    """Each measure as a dot with its interval. Reads: a good surrogate's dots sit on the open diamonds, the ideal.

    Args:
        metrics: rows; the same title under several series stands on one row. Values outside [-1, 1] are drawn at the
            edge, their number beside them.

    Raises:
        ValueError: when there is none.
    """
    titles, series = _metric_rows(metrics)
    fig = go.Figure()
    ideals = {m.title: m.ideal for m in metrics}
    fig.add_trace(
        go.Scatter(
            x=[ideals[title] for title in titles],
            y=list(range(len(titles))),
            mode="markers",
            name="ideal",
            marker={"symbol": "diamond-open", "size": 13, "color": palette.NEUTRAL, "line": {"width": 2}},
            hovertemplate="ideal: %{x}<extra></extra>",
        )
    )
    step = 0.5 / max(1, len(series))
    for index, name in enumerate(series):
        own = [m for m in metrics if m.series == name and np.isfinite(m.value)]
        shown = np.clip([m.value for m in own], -1, 1)
        high = [max(0.0, min(m.high, 1) - v) if np.isfinite(m.high) else 0.0 for m, v in zip(own, shown, strict=True)]
        low = [max(0.0, v - max(m.low, -1)) if np.isfinite(m.low) else 0.0 for m, v in zip(own, shown, strict=True)]
        fig.add_trace(
            go.Scatter(
                x=shown,
                y=[titles.index(m.title) + (index - (len(series) - 1) / 2) * step for m in own],
                mode="markers+text",
                name=palette.short(name or "surrogate", 28),
                marker={"size": 10, "color": palette.colour(index), "symbol": palette.symbol(index)},
                error_x={"type": "data", "symmetric": False, "array": high, "arrayminus": low, "thickness": 2, "width": 4},
                text=[f"{m.value:.3f}" if len(series) == 1 or abs(m.value) > 1 else "" for m in own],
                textposition="top center",
                textfont={"size": 12},
                customdata=[[_interval(m)] for m in own],
                hovertemplate="%{customdata[0]}",
            )
        )
    below = min([0.0, *(m.low for m in metrics if np.isfinite(m.low)), *(m.value for m in metrics if np.isfinite(m.value))])
    fig.update_xaxes(title_text="value (a fraction; 1 = 100 %)", range=[max(-1.05, below - 0.06), 1.06])
    fig.update_yaxes(**palette.named_rows(titles, 40))
    return palette.theme(fig, height=100 + max(46, 22 * len(series)) * len(titles))


def reading_metrics(metrics: Sequence[Metric]) -> str:
    """Every measure with its interval, in words.

    Args:
        metrics: as for the figure.

    Raises:
        ValueError: when there is none.
    """
    titles, series = _metric_rows(metrics)
    parts = []
    for name in series:
        own = {m.title: m for m in metrics if m.series == name}
        text = ", ".join(_interval(own[title]) for title in titles if title in own)
        parts.append(f"{name}: {text}" if name else text)
    return "; ".join(parts) + "."


def per_class_tau(
    class_names: Sequence[str],
    tau: np.ndarray,
    n: np.ndarray,
    *,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> go.Figure:
    """Kendall's tau inside each class. Reads: classes far left are those for which the surrogate does not speak.

    Args:
        class_names: C names.
        tau: ``[C]`` in [-1, 1]; NaN where there were too few points: the class has no dot.
        n: ``[C]``, test points of each class.
        low: ``[C]``, lower ends of intervals, or None.
        high: ``[C]``, upper ends, or None.

    Raises:
        ValueError: when lengths differ.
    """
    values, counts = _per_class(class_names, tau, n)
    known = np.flatnonzero(np.isfinite(values))
    error: dict[str, Any] = {"visible": False}
    if low is not None and high is not None:
        plus, minus = np.asarray(high, float)[known] - values[known], values[known] - np.asarray(low, float)[known]
        error = {
            "type": "data",
            "symmetric": False,
            "array": np.nan_to_num(plus),
            "arrayminus": np.nan_to_num(minus),
            "thickness": 2,
            "width": 4,
        }
    fig = go.Figure(
        go.Scatter(
            x=values[known],
            y=known,
            mode="markers",
            marker={"size": 10, "color": palette.POSITIVE},
            error_x=error,
            customdata=[[palette.short(class_names[i], 40), int(counts[i])] for i in known.tolist()],
            hovertemplate="%{customdata[0]}<br>tau %{x:.3f}<br>%{customdata[1]} test points<extra></extra>",
        )
    )
    lowest = float(values[known].min()) if len(known) else 0.0
    if low is not None and len(known):
        lowest = min(lowest, float(np.nanmin(np.asarray(low, float)[known])))
    names = [f"{palette.short(name, 18)} ({int(count)})" for name, count in zip(class_names, counts, strict=True)]
    fig.update_xaxes(
        title_text="Kendall's tau of the log-odds, inside the class", range=[max(-1.05, min(0.0, lowest) - 0.05), 1.03]
    )
    rows: dict[str, Any] = palette.named_rows(class_names) | {"ticktext": names}
    fig.update_yaxes(title_text="class (test points)", **rows)
    return palette.theme(fig, height=90 + 28 * len(class_names), legend="none")


def reading_per_class_tau(class_names: Sequence[str], tau: np.ndarray, n: np.ndarray) -> str:
    """The best and the worst imitated class.

    Args:
        class_names: C names.
        tau: ``[C]``.
        n: ``[C]``.

    Raises:
        ValueError: when lengths differ.
    """
    values, counts = _per_class(class_names, tau, n)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return "No class has enough test points for a rank agreement."
    best, worst = int(known[np.argmax(values[known])]), int(known[np.argmin(values[known])])
    text = f"The order of points is imitated best inside class {class_names[best]} (tau {values[best]:.2f}, {int(counts[best])} points)"
    if best != worst:
        text += f" and worst inside {class_names[worst]} (tau {values[worst]:.2f}, {int(counts[worst])} points)"
    missing = len(values) - len(known)
    return f"{text}; {missing} classes have too few points." if missing else f"{text}."


def confusion_heatmap(
    counts: np.ndarray, class_names: Sequence[str], *, rows: str = "network's class", columns: str = "surrogate's class"
) -> go.Figure:
    """Two ways to class the test points against each other. Reads: blue is agreement, orange cells are where they part.

    A click on a cell gives ``"row:column"``.

    Args:
        counts: int ``[C, C]``; row: by the first, such as the network's class, column: by the second.
        class_names: C names.
        rows: what the first is.
        columns: what the second is.

    Raises:
        ValueError: when it is not ``[C, C]`` or has negative entries.
    """
    values = _counts(counts, len(class_names))
    n = len(values)
    same = np.eye(n, dtype=bool)
    fig = go.Figure()
    for mask, scale, name in ((same, palette.BLUES, "same class"), (~same, palette.ORANGES, "other class")):
        inside = values[mask]
        fig.add_trace(
            go.Heatmap(
                z=[
                    [float(v) if m and v > 0 else None for v, m in zip(row, chosen, strict=True)]
                    for row, chosen in zip(values, mask, strict=True)
                ],
                zmin=0,
                zmax=max(1.0, float(inside.max()) if len(inside) else 1.0),
                colorscale=scale,
                showscale=False,
                name=name,
                hoverinfo="skip",
                texttemplate="%{z:,}" if n <= 20 else None,
                xgap=1,
                ygap=1,
            )
        )
    side = max(180, min(320, 40 * n))  # of the plane, in pixels
    down, across = np.nonzero(values)
    long = [palette.short(name, 40) for name in class_names]
    said = [[long[a], long[b], int(values[a, b])] for a, b in zip(down, across, strict=True)]
    hover = f"{palette.safe(rows)}: %{{customdata[1]}}<br>{palette.safe(columns)}: %{{customdata[2]}}<br>%{{customdata[3]:,}} test points"
    fig.add_trace(clickable_cells(down, across, said, hover, size=0.8 * side / max(1, n)))
    ticks = palette.named_rows(class_names, 14)
    sides: dict[str, Any] = ticks | {"range": [-0.5, n - 0.5]}
    fig.update_xaxes(title_text=columns, constrain="domain", **sides)
    fig.update_yaxes(title_text=rows, scaleanchor="x", constrain="domain", **ticks)
    return palette.theme(fig, height=120 + side, legend="none")


def reading_confusion(counts: np.ndarray, class_names: Sequence[str]) -> str:
    """How often the two agree, and the difference that is most frequent.

    Args:
        counts: int ``[C, C]``.
        class_names: C names.

    Raises:
        ValueError: when it is not ``[C, C]`` or has negative entries.
    """
    values = _counts(counts, len(class_names))
    total, same = values.sum(), np.trace(values)
    if not total:
        return "There is no test point to compare."
    text = f"Network and surrogate name the same class for {int(same):,} of {int(total):,} test points ({palette.percent(same / total)})"
    other = np.where(np.eye(len(values), dtype=bool), 0, values)
    if not other.any():
        return text + "; they never differ."
    a, b = divmod(int(other.argmax()), len(other))
    return f"{text}; most often they part where the network says {class_names[a]} and the surrogate {class_names[b]} ({int(other[a, b])} points)."


def _interval(metric: Metric) -> str:
    """A measure with its interval, in words."""
    value = "n/a" if np.isnan(metric.value) else f"{metric.value:.3f}"
    ends = f" ({metric.low:.3f} to {metric.high:.3f})" if np.isfinite(metric.low) and np.isfinite(metric.high) else ""
    return f"{palette.safe(metric.title)} {value}{ends}"


def _metric_rows(metrics: Sequence[Metric]) -> tuple[list[str], list[str]]:
    """Titles and series in order of appearance.

    Raises:
        ValueError: when there is no metric.
    """
    if not metrics:
        raise ValueError("Expected at least one metric to draw, got none. Compute the fidelity first.")
    return list(dict.fromkeys(m.title for m in metrics)), list(dict.fromkeys(m.series for m in metrics))


def _per_class(class_names: Sequence[str], tau: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tau and counts as arrays.

    Raises:
        ValueError: when lengths differ.
    """
    values, counts = np.asarray(tau, dtype=np.float64), np.asarray(n)
    if values.shape != (len(class_names),) or counts.shape != values.shape:
        raise ValueError(
            f"Expected one tau and one count for {len(class_names)} classes, got shapes {values.shape} and {counts.shape}."
        )
    return values, counts


def _counts(counts: np.ndarray, n: int) -> np.ndarray:
    """The table of counts.

    Raises:
        ValueError: when it is not ``[C, C]`` or has negative entries.
    """
    values = palette.finite(counts, "counts", (n, n))
    if (values < 0).any():
        raise ValueError(f"Counts must not be negative, got {values.min():.0f}.")
    return values
