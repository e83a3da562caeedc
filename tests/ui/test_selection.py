"""What a click leaves: the id, or nothing when the figure changed under it."""

from typing import Any

import plotly.graph_objects as go
from streamlit.testing.v1 import AppTest

from ntkviz.ui.selection import steady


def _page() -> None:
    import streamlit as st

    from ntkviz.ui.selection import chosen_row, clicked

    st.text(str(clicked("chart")))
    st.text(str(chosen_row("table")))


def said(points: list, rows: list) -> list[str]:
    app = AppTest.from_function(_page)
    app.session_state["chart"] = {"selection": {"points": points}}
    app.session_state["table"] = {"selection": {"rows": rows}}
    return [text.value for text in app.run().text]


def test_the_first_clicked_point_counts():
    assert said([{"customdata": ["train:7", "x"]}, {"customdata": ["train:8"]}], [4]) == ["train:7", "4"]


def test_lines_without_ids_are_passed_over():
    assert said([{"x": 1}, {"customdata": [12]}], []) == ["12", "None"]


def test_an_empty_selection_is_no_wish():
    assert said([], []) == ["None", "None"]


def test_a_click_dims_nothing():
    fig: Any = go.Figure(
        [go.Scatter(x=[0], y=[0], mode="markers", marker={"opacity": 0.4}), go.Scatter(x=[0], y=[0], mode="lines")]
    )
    steady(fig)
    assert fig.data[0].unselected.marker.opacity == fig.data[0].selected.marker.opacity == 0.4
    assert fig.data[1].unselected.marker.opacity is None
