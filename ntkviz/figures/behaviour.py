"""Which groups of training points carry a behaviour, beside what they do to comparable test points."""

import numpy as np
import plotly.graph_objects as go

from ntkviz.explain.behaviour import Carriers
from ntkviz.explain.regions import Regions
from ntkviz.figures import palette

#: Groups with a row of their own.
MAX_GROUPS = 16
#: Adjusted p-value from which on a group is said to differ.
CLEAR = 0.05


def carrier_rows(found: Carriers, *, limit: int = MAX_GROUPS) -> list[int]:
    """The groups that are drawn: those that differ most from comparable points, in that order.

    Args:
        found: the totals.
        limit: how many at most.
    """
    return found.order[:limit].tolist()


def carrier_bars(found: Carriers, *, target: str) -> go.Figure:
    """Total effect of each group, with the interval of random sets of comparable points. Reads: bars beyond their interval are particular.

    Args:
        found: the totals.
        target: what positive effects support, in words.

    Raises:
        ValueError: when a total is not finite.
    """
    rows = carrier_rows(found)
    totals = palette.finite(found.totals[rows], "totals", (None,))
    low, high = palette.finite(found.low[rows], "low"), palette.finite(found.high[rows], "high")
    typical = palette.finite(found.typical[rows], "typical")
    names = [palette.safe(found.names[r]) for r in rows]
    custom = [[name, int(found.sizes[r])] for name, r in zip(names, rows, strict=True)]
    places = list(range(len(rows)))
    fig = go.Figure(
        go.Bar(
            x=totals,
            y=places,
            orientation="h",
            name="this behaviour",
            marker={"color": [palette.POSITIVE if v >= 0 else palette.NEGATIVE for v in totals], "opacity": 0.85},
            customdata=custom,
            hovertemplate="%{customdata[0]}<br>%{customdata[1]:,} training points<br>total %{x:+.3g}<extra></extra>",
        )
    )
    fig.add_trace(
        go.Scatter(
            x=typical,
            y=places,
            mode="markers",
            name="comparable test points: mean and 95 % of random sets",
            marker={
                "symbol": "line-ns-open",
                "size": 14,
                "color": palette.NEUTRAL,
                "line": {"width": 2.5, "color": palette.NEUTRAL},
            },
            error_x={
                "type": "data",
                "array": high - typical,
                "arrayminus": typical - low,
                "color": palette.NEUTRAL,
                "thickness": 2,
            },
            customdata=custom,
            hovertemplate="%{customdata[0]}<br>typical %{x:+.3g}<extra></extra>",
        )
    )
    fig.update_xaxes(title_text=f"effect on the log-odds of {palette.short(target, 30)}, mean over the test points")
    fig.update_yaxes(title_text="training points", **palette.named_rows([found.names[r] for r in rows], 30))
    return palette.theme(fig, height=130 + 30 * len(rows))


def reading_carriers(found: Carriers, *, target: str) -> str:
    """Which group is most particular to the behaviour, in which direction, and how sure that is.

    Args:
        found: the totals.
        target: what positive effects support, in words.
    """
    points = "one test point" if found.n_points == 1 else f"{found.n_points:,} test points"
    if not len(found.order):
        return f"There is no group of training points to explain {points} by."
    clear = [g for g in found.order.tolist() if found.p_values[g] <= CLEAR]
    first = clear[0] if clear else int(found.order[0])
    how = "higher" if found.excess[first] > 0 else "lower"
    text = (
        f"On these {points} the {int(found.sizes[first]):,} training points of {found.names[first]} move the log-odds of {target} by "
        f"{found.totals[first]:+.3g}, where comparable test points have {found.typical[first]:+.3g}"
    )
    if np.isnan(found.p_values[first]):
        return text + "; there is nothing to test this against."
    if not clear:
        return f"No group stands out from random sets of comparable test points. The largest difference: {_lower(text)} (p = {found.p_values[first]:.2g})."
    others = f"; {len(clear) - 1} more of {len(found.names)} groups differ as clearly" if len(clear) > 1 else ""
    return (
        f"{text}: {how} than chance explains (p = {found.p_values[first]:.2g}, adjusted for {len(found.names)} groups){others}."
    )


def region_bars(found: Regions) -> go.Figure:
    """Where the behaviour's test points lie. Reads: long blue bars beside short grey ones are regions particular to it.

    Args:
        found: the regions.
    """
    rows = region_rows(found)
    names, places = [found.names[r] for r in rows], list(range(len(rows)))
    custom = [[palette.safe(found.names[r]), int(found.n_train[r]), int(found.n_own[r]), int(found.n_low[r])] for r in rows]
    rest = np.nan_to_num(found.share_rest)
    fig = go.Figure()
    for label, values, colour, pattern in (
        ("this behaviour", found.share, palette.POSITIVE, ""),
        ("others of the same classes", rest, palette.NEUTRAL, "/"),
    ):
        fig.add_trace(
            go.Bar(
                x=100 * values[rows],
                y=places,
                orientation="h",
                name=label,
                marker={"color": colour, "pattern": {"shape": pattern, "size": 5, "solidity": 0.15}},
                customdata=custom,
                hovertemplate="%{customdata[0]}<br>%{customdata[1]:,} training points, %{customdata[2]:,} of these classes<br>"
                "%{customdata[3]} under-represented here<br>" + label + " %{x:.1f} %<extra></extra>",
            )
        )
    fig.update_xaxes(title_text="share of the test points (%)", rangemode="tozero")
    fig.update_yaxes(title_text="region of the training set", **palette.named_rows(names, 34))
    return palette.theme(fig, height=max(230, 130 + 34 * len(rows)))


def region_rows(found: Regions, *, limit: int = MAX_GROUPS) -> list[int]:
    """The regions that hold a test point of the behaviour, the fullest first.

    Args:
        found: the regions.
        limit: how many at most.
    """
    order = np.argsort(-found.n_points, kind="stable")
    return [int(g) for g in order[:limit] if found.n_points[g]]


def reading_regions(found: Regions) -> str:
    """How many of the points lie where their own class is thin, and in which region most are.

    Args:
        found: the regions.
    """
    n, low = int(found.n_points.sum()), int(found.n_low.sum())
    rest = (
        ""
        if np.isnan(found.low_share_rest)
        else f", against {palette.percent(found.low_share_rest, 0)} of the others of the same classes"
    )
    text = f"{low} of {n} test points ({palette.percent(found.low_share, 0)}) have little of their own class near by{rest}"
    top = region_rows(found, limit=1)[0]
    own = int(found.n_own[top])
    return (
        f"{text}. Most of them ({int(found.n_points[top])}) lie in {found.names[top]}, which has {own:,} training points of their classes "
        f"among {int(found.n_train[top]):,}."
    )


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
