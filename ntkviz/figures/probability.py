"""What the network and the surrogate say of one point: probabilities side by side."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ntkviz.figures import palette

#: Classes with a pair of bars of their own; the others share one.
MAX_CLASSES = 10


def probability_bars(
    network: np.ndarray, surrogate: np.ndarray, class_names: Sequence[str], *, true_class: int | None = None
) -> go.Figure:
    """Probabilities of one point by network and surrogate. Reads: pairs of unlike length are where they part.

    Args:
        network: ``[C]``, or ``[1]`` of a network with one logit: the probability of the second of two classes.
        surrogate: likewise.
        class_names: C names (two for one logit).
        true_class: its name gets a check mark; None when it is not known.

    Raises:
        ValueError: when shapes differ or a value lies outside [0, 1].
    """
    rows = _rows(network, surrogate, class_names, true_class)
    names = [name for name, _, _ in rows]
    fig = go.Figure()
    for index, (label, colour, pattern) in enumerate((("network", palette.NEUTRAL, ""), ("surrogate", palette.POSITIVE, "/"))):
        values = [row[index + 1] for row in rows]
        fig.add_trace(
            go.Bar(
                x=values,
                y=list(range(len(rows))),
                orientation="h",
                name=label,
                marker={"color": colour, "pattern": {"shape": pattern, "size": 5, "solidity": 0.15}},
                text=[f"{v:.3f}" for v in values],
                textposition="outside",
                cliponaxis=False,
                customdata=[[palette.safe(name)] for name in names],
                hovertemplate="%{customdata[0]}<br>" + label + " %{x:.4f}<extra></extra>",
            )
        )
    fig.update_xaxes(title_text="probability", range=[0, 1.12], tickvals=[0, 0.25, 0.5, 0.75, 1])
    fig.update_yaxes(title_text="class", **palette.named_rows(names, 20))
    return palette.theme(fig, height=110 + 40 * len(rows))


def reading_probability(
    network: np.ndarray, surrogate: np.ndarray, class_names: Sequence[str], *, true_class: int | None = None
) -> str:
    """What each says, and how far apart they are.

    Args:
        network: ``[C]`` or ``[1]``.
        surrogate: likewise.
        class_names: C names.
        true_class: index of the true class, or None.

    Raises:
        ValueError: when shapes differ or a value lies outside [0, 1].
    """
    first, second = _pair(network, surrogate, class_names)
    a, b = int(first.argmax()), int(second.argmax())
    gap = 0.5 * float(np.abs(first - second).sum())
    said = (
        f"Both say {class_names[a]}"
        if a == b
        else f"They differ: the network says {class_names[a]}, the surrogate {class_names[b]}"
    )
    text = (
        f"{said} (network {first[a]:.3f}, surrogate {second[b]:.3f}); their probabilities differ by {gap:.3f} (total variation)"
    )
    return f"{text}." if true_class is None else f"{text}. The true class is {class_names[true_class]}."


def _pair(network: np.ndarray, surrogate: np.ndarray, class_names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Both as ``[C]``; one logit gives two classes.

    Raises:
        ValueError: when shapes differ or a value lies outside [0, 1].
    """
    n = len(class_names)
    parts = []
    for name, given in (("network", network), ("surrogate", surrogate)):
        values = palette.finite(given, f"{name}'s probabilities", (None,))
        if len(values) == 1 and n == 2:
            values = np.array([1 - values[0], values[0]])
        if len(values) != n or values.min() < -1e-6 or values.max() > 1 + 1e-6:
            raise ValueError(
                f"The {name}'s probabilities must be {n} numbers in [0, 1], got {len(values)} from {values.min():.3g} to {values.max():.3g}."
            )
        parts.append(values)
    return parts[0], parts[1]


def _rows(
    network: np.ndarray, surrogate: np.ndarray, class_names: Sequence[str], true_class: int | None
) -> list[tuple[str, float, float]]:
    """(name, network, surrogate), the likeliest first when there are more classes than bars; the others in one row."""
    first, second = _pair(network, surrogate, class_names)
    order = list(range(len(class_names)))
    if len(order) > MAX_CLASSES:
        weight = np.maximum(first, second) + (np.arange(len(order)) == (-1 if true_class is None else true_class))
        order = np.argsort(-weight, kind="stable")[: MAX_CLASSES - 1].tolist()
    rows = [(f"{class_names[i]} ✓" if i == true_class else str(class_names[i]), float(first[i]), float(second[i])) for i in order]
    left = len(class_names) - len(order)
    if left:
        rows.append((f"{left} other classes", float(np.delete(first, order).sum()), float(np.delete(second, order).sum())))
    return rows
