"""How many nearest training points kernels share, pair by pair."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ntkviz.figures.spectrum import cka_heatmap


def overlap_heatmap(titles: Sequence[str], overlap: np.ndarray, k: int) -> go.Figure:
    """Mean overlap@k of every pair of kernels. Reads: 1 means the same neighbours, the chance level that of unrelated kernels.

    Args:
        titles: n names.
        overlap: ``[n, n]``, means over test points.
        k: neighbours compared.

    Raises:
        ValueError: when the matrix is not ``[n, n]``.
    """
    return cka_heatmap(titles, overlap, measure=f"overlap@{k}")


def reading_overlap(titles: Sequence[str], overlap: np.ndarray, k: int, n_train: int) -> str:
    """Which kernels name the same neighbours most and least, and what chance would give.

    Args:
        titles: n names.
        overlap: ``[n, n]``.
        k: neighbours compared.
        n_train: N.
    """
    pairs = [(float(overlap[i, j]), f"{titles[i]} and {titles[j]}") for i in range(len(titles)) for j in range(i)]
    if not pairs:
        return "There is no pair of kernels to compare."
    (low, least), (high, most) = min(pairs), max(pairs)
    text = f"Of the {k} nearest training points of a test point, {most} share {high:.0%}"
    text += f" on average, {least} {low:.0%}" if len(pairs) > 1 else " on average"
    return f"{text}. Chance, unrelated kernels: {k / n_train:.1%} (k / N = {k} / {n_train:,})."
