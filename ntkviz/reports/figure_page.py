"""One figure in a file of its own: title, what it says, where it comes from, and its rows."""

from typing import TYPE_CHECKING

from ntkviz.reports.document import Chart, Section, Table, render

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


def figure_page(fig: "go.Figure", reading: str, *, name: str, origin: str = "", table: "pd.DataFrame | None" = None) -> str:
    """The figure as an interactive HTML file that opens offline.

    Args:
        fig: the figure.
        reading: what it says.
        name: of the figure; its words are the title.
        origin: where it comes from, a sentence.
        table: what it is drawn from.
    """
    rows = None if table is None else Table.of(list(map(str, table.columns)), table.to_numpy(dtype=object).tolist())
    sections = [Section(chart=Chart.of(fig, reading, name))]
    if rows is not None:
        sections.append(Section("The rows behind it", table=rows))
    return render(name.replace("_", " ").capitalize(), origin, sections)
