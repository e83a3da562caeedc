"""The one frame around all charts and tables: the figure, the sentence that it says, its rows, and a menu to take any of it away."""

import io
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from ntkviz.studies.study import Study
from ntkviz.ui import picture_buttons
from ntkviz.ui.text import csv_cell, escape

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Of the study on show, for the files that leave the page; set by :func:`origin_is`.
_ORIGIN = "_origin"


def origin_is(study: Study | None) -> None:
    """Say where the figures of this page come from; the head of a page calls it."""
    from ntkviz.reports.provenance import in_a_line

    st.session_state[_ORIGIN] = "" if study is None else in_a_line(study)


def figure(
    fig: "go.Figure",
    reading: str,
    table: pd.DataFrame | None = None,
    *,
    key: str,
    **chart: Any,
) -> Any:
    """A chart with the sentence that it says, its figures as a table to read, and a menu to take either away.

    Args:
        fig: the figure.
        reading: one sentence with figures; shown as plain text and given to screen readers.
        table: what the chart is drawn from; ``None`` when a table stands on the page anyway.
        key: names the chart; unique on the page.
        **chart: passed on to ``st.plotly_chart`` (``on_select``, ``selection_mode``, ...).

    Returns:
        What ``st.plotly_chart`` returns.
    """
    picture = {"toImageButtonOptions": {"format": "png", "scale": 2, "filename": key}}
    chart["config"] = {"displaylogo": False, "scrollZoom": False, **chart.get("config", {}), **picture}
    event = st.plotly_chart(fig, key=key, width="stretch", alt=reading, **chart)
    with st.container(horizontal=True, wrap=False, gap="small", key=f"{key}_foot"):
        st.caption(escape(reading, limit=1200), width="stretch")
        _menu(fig, reading, table, key)
    if table is not None:
        _expander(table, "Table")
    return event


def data_table(table: pd.DataFrame, *, key: str, label: str = "Table") -> None:
    """A table in an expander, with downloads.

    Args:
        table: the rows.
        key: names it, and the file.
        label: of the expander.
    """
    with _expander(table, label):
        download_table(table, key=key)


def download_table(table: pd.DataFrame, *, key: str) -> None:
    """Buttons that download a table, side by side: CSV that no spreadsheet runs, and Parquet, which keeps numbers exact and types."""
    with st.container(horizontal=True, key=f"{key}_files"):
        download_csv(table, key=key)
        download_parquet(table, key=key)


def download_csv(table: pd.DataFrame, *, key: str, label: str = "Download CSV", width: Any = "content") -> None:
    """A button that downloads a table as CSV."""
    _button(label, lambda: csv_text(table), f"{key}.csv", "text/csv", key=f"{key}_csv", width=width)


def download_parquet(table: pd.DataFrame, *, key: str, label: str = "Download Parquet", width: Any = "content") -> None:
    """A button that downloads a table as Parquet."""
    _button(
        label, lambda: parquet_bytes(table), f"{key}.parquet", "application/vnd.apache.parquet", key=f"{key}_parquet", width=width
    )


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV (RFC 4180: a carriage return within a cell is quoted too); text that a spreadsheet would take for a formula has an apostrophe before it."""
    return table.map(csv_cell).rename(columns=lambda name: csv_cell(str(name))).to_csv(index=False, lineterminator="\r\n")


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """A table as Parquet. Columns that mix kinds of values become text, as Parquet has one kind a column."""
    plain = table.rename(columns=str)
    mixed = {name: str for name in plain if pd.api.types.infer_dtype(plain[name], skipna=True).startswith("mixed")}
    buffer = io.BytesIO()
    plain.astype(mixed).to_parquet(buffer, index=False)
    return buffer.getvalue()


def _menu(fig: "go.Figure", reading: str, table: pd.DataFrame | None, key: str) -> None:
    """All that can be taken away of a figure. Files are made when somebody asks for them."""
    origin = st.session_state.get(_ORIGIN, "")
    with st.popover("Export", icon=":material/download:", type="tertiary", key=f"{key}_export"):
        picture_buttons.show(key)
        page = partial(_page, fig, reading, key, origin, table)
        _button("Interactive HTML", page, f"{key}.html", "text/html", key=f"{key}_html", width="stretch")
        if table is not None:
            download_csv(table, key=key, label="Table as CSV", width="stretch")
            download_parquet(table, key=key, label="Table as Parquet", width="stretch")


def _page(fig: "go.Figure", reading: str, key: str, origin: str, table: pd.DataFrame | None) -> str:
    from ntkviz.reports.figure_page import figure_page

    return figure_page(fig, reading, name=key, origin=origin, table=table)


def _expander(table: pd.DataFrame, label: str) -> Any:
    """The rows, folded away; what is put into it stands below them."""
    box = st.expander(f"{label} ({len(table):,} rows)", icon=":material/table_rows:")
    box.dataframe(table, hide_index=True, width="stretch")
    return box


def _button(label: str, make: Any, name: str, mime: str, *, key: str, width: Any = "content") -> None:
    st.download_button(
        label, make, file_name=name, mime=mime, key=key, icon=":material/download:", width=width, on_click="ignore"
    )
