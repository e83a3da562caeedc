"""Cells of a heat map that hear clicks."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go


def clickable_cells(
    down: np.ndarray, across: np.ndarray, said: Sequence[Sequence[object]], hover: str, *, size: float
) -> go.Scatter:
    """Invisible squares over cells: Streamlit hears of clicks on points, and not of those on a heat map.

    Args:
        down: int ``[n]``, rows of the cells.
        across: int ``[n]``, their columns.
        said: n rows of ``customdata``, what ``hover`` has from 1 on; 0 is what a click gives, ``"row:column"``.
        hover: template of what the pointer shows.
        size: of a square, in pixels.
    """
    return go.Scatter(
        x=across,
        y=down,
        mode="markers",
        marker={"symbol": "square", "size": size, "opacity": 0},
        customdata=[[f"{a}:{b}", *row] for a, b, row in zip(down, across, said, strict=True)],
        hovertemplate=hover + "<extra></extra>",
        name="cells",
    )
