"""Kernels compared by figures: eigenvalues, effective rank, CKA, alignment with the labels, cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ntkviz.figures import palette
from ntkviz.kernels.diagnostics import Alignment, Spectrum

#: Points drawn of one curve; on a logarithmic axis more cannot be told apart.
MAX_RANKS = 400

#: Lines differ by dash as well as by colour.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def eigenvalue_decay(spectra: Mapping[str, Spectrum]) -> go.Figure:
    """Eigenvalues as shares of their sum, log-log. Reads: the steeper, the fewer directions the kernel lives in.

    Args:
        spectra: title -> spectrum. Eigenvalues at or below the spectrum's tolerance are rounding and are left out.

    Raises:
        ValueError: when there is no spectrum.
    """
    _some(spectra, "spectrum")
    fig = go.Figure()
    for index, (title, found) in enumerate(spectra.items()):
        shares = _shares(found)
        ranks = palette.thinned(len(shares), MAX_RANKS)
        fig.add_trace(
            go.Scatter(
                x=ranks,
                y=shares[ranks - 1],
                mode="lines+markers" if len(ranks) <= 30 else "lines",
                name=palette.short(title, 28),
                line={"color": palette.colour(index), "width": 2.2, "dash": DASHES[index % len(DASHES)]},
                marker={"symbol": palette.symbol(index), "size": 7},
                hovertemplate="eigenvalue %{x}<br>share of the sum %{y:.3g}",
            )
        )
    decades: dict[str, Any] = {"type": "log", "dtick": 1}
    fig.update_xaxes(title_text="rank of the eigenvalue (log scale)", tickformat=",d", **decades)
    fig.update_yaxes(title_text="share of the sum of eigenvalues (log scale)", exponentformat="power", **decades)
    return palette.theme(fig, height=390)


def reading_eigenvalue_decay(spectra: Mapping[str, Spectrum]) -> str:
    """What the curves show: the share of the first eigenvalue, effective rank, and anything below zero.

    Args:
        spectra: title -> spectrum.

    Raises:
        ValueError: when there is no spectrum.
    """
    _some(spectra, "spectrum")
    parts = [
        f"{title}: the first eigenvalue holds {palette.percent(float(_shares(found)[0]))}, effective rank "
        f"{palette.number(found.effective_rank)} of {len(found.eigenvalues):,}"
        for title, found in spectra.items()
    ]
    negative = [f"{title} has {found.n_negative} below zero" for title, found in spectra.items() if found.n_negative]
    omitted = sum(len(found.eigenvalues) - found.n_numerical_rank for found in spectra.values())
    text = "; ".join(parts) + "."
    if omitted:
        text += f" {omitted:,} eigenvalues are zero up to rounding or negative and are not drawn"
        text += f" ({', '.join(negative)}: no kernel in the strict sense)." if negative else "."
    return text


def effective_rank_bars(spectra: Mapping[str, Spectrum]) -> go.Figure:
    """How many directions each kernel uses. Reads: a bar of r means "as spread as r equal eigenvalues".

    Args:
        spectra: title -> spectrum.

    Raises:
        ValueError: when there is no spectrum.
    """
    _some(spectra, "spectrum")
    series = {
        "effective rank, exp(entropy)": [found.effective_rank for found in spectra.values()],
        "participation ratio": [found.participation_ratio for found in spectra.values()],
    }
    fig = _grouped_bars(list(spectra), series, "number of directions", ".3s")
    return palette.theme(fig, height=90 + 56 * len(spectra))


def reading_effective_rank(spectra: Mapping[str, Spectrum]) -> str:
    """Which kernel spreads over most and fewest directions.

    Args:
        spectra: title -> spectrum.

    Raises:
        ValueError: when there is no spectrum.
    """
    _some(spectra, "spectrum")
    ranked = sorted(spectra.items(), key=lambda item: item[1].effective_rank)
    (low_title, low), (high_title, high) = ranked[0], ranked[-1]
    if len(ranked) == 1:
        return f"{low_title} spreads over {palette.number(low.effective_rank)} effective directions of {len(low.eigenvalues):,}."
    return (
        f"{high_title} spreads over most directions ({palette.number(high.effective_rank)} of {len(high.eigenvalues):,}), "
        f"{low_title} over fewest ({palette.number(low.effective_rank)})."
    )


def cka_heatmap(titles: Sequence[str], similarity: np.ndarray, *, measure: str = "CKA") -> go.Figure:
    """CKA (or another measure from 0 to 1) of every pair of kernels. Reads: 1 means the same geometry up to scale, 0 no relation.

    Args:
        titles: n names.
        similarity: ``[n, n]`` of ``ntkviz.kernels.diagnostics.cka_matrix``; NaN (a constant kernel) stays empty.
        measure: what the colour bar and the pointer call it.

    Raises:
        ValueError: when the matrix is not ``[n, n]``.
    """
    values = _pairs(titles, similarity)
    n = len(titles)
    names = [palette.short(title, 18) for title in titles]
    ticks: dict[str, Any] = {"tickvals": list(range(n)), "ticktext": names, "showgrid": False, "zeroline": False}
    fig = go.Figure(
        go.Heatmap(
            z=[[None if np.isnan(v) else float(v) for v in row] for row in values],
            zmin=0,
            zmax=1,
            colorscale=palette.SEQUENTIAL,
            customdata=[[[a, b] for b in names] for a in names],
            hovertemplate=f"%{{customdata[0]}} and %{{customdata[1]}}<br>{measure} %{{z:.4f}}<extra></extra>",
            texttemplate="%{z:.2f}",
            colorbar={"title": {"text": measure}, "thickness": 10, "outlinewidth": 0},
            xgap=1,
            ygap=1,
        )
    )
    fig.update_xaxes(title_text="kernel", constrain="domain", constraintoward="right", **ticks)
    fig.update_yaxes(title_text="kernel", autorange="reversed", scaleanchor="x", constrain="domain", **ticks)
    return palette.theme(fig, height=400, legend="none")


def reading_cka(titles: Sequence[str], similarity: np.ndarray) -> str:
    """Which two kernels see the points most and least alike.

    Args:
        titles: n names.
        similarity: ``[n, n]``.

    Raises:
        ValueError: when the matrix is not ``[n, n]``.
    """
    values = _pairs(titles, similarity)
    pairs = [
        (float(values[i, j]), f"{titles[i]} and {titles[j]}")
        for i in range(len(titles))
        for j in range(i)
        if np.isfinite(values[i, j])
    ]
    if not pairs:
        return "There is no pair of kernels to compare."
    (low, least), (high, most) = min(pairs), max(pairs)
    if len(pairs) == 1:
        return f"{most} have a CKA of {high:.2f}."
    return f"{most} see the points most alike (CKA {high:.2f}), {least} least ({low:.2f})."


def alignment_bars(alignments: Mapping[str, Alignment]) -> go.Figure:
    """How much each kernel knows of the labels. Reads: trust the centred bar; the plain one rewards a constant kernel.

    Args:
        alignments: title -> alignment.

    Raises:
        ValueError: when there is no alignment.
    """
    _some(alignments, "alignment")
    series = {
        "centred alignment": [found.centred for found in alignments.values()],
        "plain alignment (KTA)": [found.kta for found in alignments.values()],
    }
    fig = _grouped_bars(list(alignments), series, "alignment with the labels (cosine, 1 is perfect)", ".3f")
    values = [v for column in series.values() for v in column if np.isfinite(v)]
    fig.update_xaxes(range=[min([0.0, *values]) * 1.1, 1.05])
    return palette.theme(fig, height=100 + 56 * len(alignments))


def reading_alignment(alignments: Mapping[str, Alignment]) -> str:
    """Which kernel is most aligned with the labels.

    Args:
        alignments: title -> alignment.

    Raises:
        ValueError: when there is no alignment.
    """
    _some(alignments, "alignment")
    ranked = sorted(((found.centred, title) for title, found in alignments.items() if np.isfinite(found.centred)), reverse=True)
    if not ranked:
        return "No centred alignment could be computed: there is one class only, or the kernels are constant."
    (best, title), (worst, other) = ranked[0], ranked[-1]
    text = f"{title} is most aligned with the labels (centred {best:.2f}"
    return f"{text})." if len(ranked) == 1 else f"{text}), {other} least ({worst:.2f})."


def cost_bars(seconds: Mapping[str, float], peak_mb: Mapping[str, float] | None = None) -> go.Figure:
    """What each kernel cost. Reads: bars are on a log scale as soon as they differ more than thirtyfold.

    Args:
        seconds: title -> wall-clock seconds.
        peak_mb: title -> peak memory in MB, for the same titles, or None.

    Raises:
        ValueError: when there is nothing to draw, a value is negative or not finite, or the titles differ.
    """
    _some(seconds, "cost")
    if peak_mb is not None and set(peak_mb) != set(seconds):
        raise ValueError(f"peak_mb must name the same kernels as seconds, {sorted(seconds)}, got {sorted(peak_mb)}.")
    panels = [("wall-clock time (s)", seconds)] + ([("peak memory (MB)", peak_mb)] if peak_mb else [])
    fig = make_subplots(rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.06)
    names = [palette.short(title, 24) for title in seconds]
    for column, (title, values) in enumerate(panels, start=1):
        numbers = palette.finite(np.array([values[key] for key in seconds]), title)
        if (numbers < 0).any():
            raise ValueError(f"{title} must not be negative, got {numbers.min()}.")
        fig.add_trace(
            go.Bar(
                x=numbers,
                y=list(range(len(names))),
                orientation="h",
                marker={"color": palette.POSITIVE if column == 1 else palette.NEUTRAL},
                text=[palette.number(v) for v in numbers],
                textposition="outside",
                cliponaxis=False,
                customdata=[[name] for name in names],
                hovertemplate="%{customdata[0]}<br>" + title + ": %{x:.4g}<extra></extra>",
            ),
            row=1,
            col=column,
        )
        wide = numbers.min() > 0 and numbers.max() / numbers.min() > 30
        axis: dict[str, Any] = (
            {"type": "log", "title_text": title + ", log scale"} if wide else {"title_text": title, "rangemode": "tozero"}
        )
        fig.update_xaxes(**axis, row=1, col=column)
    fig.update_yaxes(**palette.named_rows(list(seconds)))
    fig.update_yaxes(title_text="kernel", col=1)
    return palette.theme(fig, height=90 + 44 * len(names), legend="none").update_layout(margin={"r": 48})


def reading_cost(seconds: Mapping[str, float], peak_mb: Mapping[str, float] | None = None) -> str:
    """The cheapest and the dearest kernel.

    Args:
        seconds: title -> wall-clock seconds.
        peak_mb: title -> peak memory in MB, or None.

    Raises:
        ValueError: when there is nothing to read.
    """
    _some(seconds, "cost")
    fast, slow = min(seconds, key=lambda key: seconds[key]), max(seconds, key=lambda key: seconds[key])
    text = f"{fast} took {palette.number(seconds[fast])} s"
    if fast != slow:
        text = f"{text}, the least; {slow} took {palette.number(seconds[slow])} s, the most"
    if peak_mb:
        large = max(peak_mb, key=lambda key: peak_mb[key])
        text += f"; the most memory was {palette.number(peak_mb[large])} MB, by {large}"
    return text + "."


def _grouped_bars(titles: Sequence[str], series: Mapping[str, Sequence[float]], axis: str, form: str) -> go.Figure:
    """Horizontal bars, one group a title; values that are not finite have no bar and say so."""
    fig = go.Figure()
    names = [palette.short(title, 24) for title in titles]
    for index, (label, values) in enumerate(series.items()):
        known = [i for i, v in enumerate(values) if np.isfinite(v)]
        fig.add_trace(
            go.Bar(
                x=[float(values[i]) for i in known],
                y=known,
                orientation="h",
                name=label,
                marker={"color": (palette.POSITIVE, palette.NEUTRAL)[index % 2]},
                texttemplate="%{x:" + form + "}",
                textposition="outside",
                cliponaxis=False,
                customdata=[[names[i]] for i in known],
                hovertemplate="%{customdata[0]}<br>" + label + " %{x:.4g}<extra></extra>",
            )
        )
    fig.update_xaxes(title_text=axis)
    fig.update_yaxes(title_text="kernel", **palette.named_rows(titles))
    return fig


def _shares(found: Spectrum) -> np.ndarray:
    """Eigenvalues above the tolerance as shares of their sum."""
    kept = found.eigenvalues[found.eigenvalues > found.tolerance]
    return kept / kept.sum()


def _pairs(titles: Sequence[str], similarity: np.ndarray) -> np.ndarray:
    """The matrix as float64.

    Raises:
        ValueError: when it is not ``[n, n]``.
    """
    values = np.asarray(similarity, dtype=np.float64)
    if values.shape != (len(titles), len(titles)) or not len(titles):
        raise ValueError(f"CKA must be [{len(titles)}, {len(titles)}] for {len(titles)} kernels, got shape {values.shape}.")
    return values


def _some(rows: Mapping[str, object], what: str) -> None:
    """Refuse an empty comparison.

    Raises:
        ValueError: when it is empty.
    """
    if not rows:
        raise ValueError(f"Expected at least one {what} to draw, got none. Choose a kernel.")
