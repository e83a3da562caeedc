"""What retraining without the points of several lists did: the fall of the margin, list by list."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from ntkviz.fidelity.removal import Drop, Removals
from ntkviz.figures import palette

#: Bars of different numbers of points differ by pattern too.
_PATTERNS = ("", "/", "x", ".")


def removal_bars(several: Sequence[Removals], titles: Mapping[str, str]) -> go.Figure:
    """Mean fall of the margin with its interval, a group of bars a list. Reads: the higher, the more its points were missed.

    Args:
        several: one a number of points taken away, the same lists in each.
        titles: list -> title.

    Raises:
        ValueError: when there is none.
    """
    keys = _keys(several)
    fig = go.Figure()
    for index, found in enumerate(several):
        rows = {row.key: row for row in found.rows}
        drawn = [rows[key] for key in keys]
        fig.add_trace(
            go.Bar(
                x=list(range(len(keys))),
                y=[row.value for row in drawn],
                name=f"{found.k} points removed",
                marker={"color": palette.colour(index), "pattern": {"shape": _PATTERNS[index % len(_PATTERNS)]}},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [_arm(row.high - row.value) for row in drawn],
                    "arrayminus": [_arm(row.value - row.low) for row in drawn],
                    "thickness": 2,
                    "width": 6,
                    "color": palette.NEUTRAL,
                },
                customdata=[
                    [palette.safe(titles.get(row.key, row.key)), _span(row), palette.percent(row.flipped)] for row in drawn
                ],
                hovertemplate="%{customdata[0]}<br>fall %{y:.3g}%{customdata[1]}<br>%{customdata[2]} lose their class<extra></extra>",
            )
        )
    ticks = [palette.short(titles.get(key, key), 34).replace(", ", ",<br>") for key in keys]
    fig.update_xaxes(tickvals=list(range(len(keys))), ticktext=ticks, showgrid=False, zeroline=False)
    fig.update_yaxes(title_text="fall of the margin (log-odds)")
    fig.update_layout(barmode="group")
    return palette.theme(fig, height=400)


def reading_removals(several: Sequence[Removals], titles: Mapping[str, str]) -> str:
    """How far the margin falls without the first list's points, and how the other lists compare.

    Args:
        several: one a number of points taken away; the first list is the one that others are compared with.
        titles: list -> title.

    Raises:
        ValueError: when there is none.
    """
    keys, parts = _keys(several), []
    for found in several:
        own, words = found.rows[0], {"less": [], "more": [], "no different": []}
        for key in keys[1:]:
            one = found.difference(own.key, key)
            ratio = f" ({palette.number(one.ratio, 2)} times)" if np.isfinite(one.ratio) and one.low > 0 else ""
            side = "less" if one.low > 0 else "more" if one.high < 0 else "no different"
            words[side].append(f"“{titles.get(key, key)}”{ratio}")
        text = (
            f"Without the {found.k} training points of “{titles.get(own.key, own.key)}” the margin falls by {palette.number(own.value)}{_span(own)} and "
            f"{palette.percent(own.flipped, 0)} lose their class"
        )
        for side, beginning in (
            ("less", "clearly more than without those of"),
            ("more", "clearly less than without those of"),
            ("no different", "not to be told from"),
        ):
            if words[side]:
                text += f"; {beginning} {', '.join(words[side])}"
        parts.append(text)
    return f"{'. '.join(parts)}. Over {several[0].n_points} test points and {several[0].n_seeds} seeds."


def _keys(several: Sequence[Removals]) -> list[str]:
    """The lists.

    Raises:
        ValueError: when nothing was tried.
    """
    if not several:
        raise ValueError("Expected at least one removal, got none. Retrain without some points first.")
    return [row.key for row in several[0].rows]


def _arm(length: float) -> float:
    """An arm of an interval; 0 where there is none."""
    return max(0.0, length) if np.isfinite(length) else 0.0


def _span(row: Drop) -> str:
    return f" ({row.low:.3g} to {row.high:.3g})" if np.isfinite([row.low, row.high]).all() else ""
