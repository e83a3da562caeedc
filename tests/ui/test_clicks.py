"""What a click leaves: the id, or nothing when the figure changed under it."""

from typing import Any

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from ntkviz.ui.clicks import steady


def _page() -> None:
    import streamlit as st

    from ntkviz.ui.clicks import chosen_row, chosen_rows, clicked, drawn

    st.text(str(clicked("chart")))
    st.text(str(chosen_row("table")))
    st.text(str(drawn("chart")))
    st.text(str(chosen_rows("table")))


def said(points: list, rows: list, **drawn: list) -> list[str]:
    app = AppTest.from_function(_page)
    app.session_state["chart"] = {"selection": {"points": points, "box": [], "lasso": [], **drawn}}
    app.session_state["table"] = {"selection": {"rows": rows}}
    return [text.value for text in app.run().text]


def test_the_first_clicked_point_counts():
    assert said([{"customdata": ["train:7", "x"]}, {"customdata": ["train:8"]}], [4])[:2] == ["train:7", "4"]


def test_lines_without_ids_are_passed_over():
    assert said([{"x": 1}, {"customdata": [12]}], [])[:2] == ["12", "None"]


def test_an_empty_selection_is_no_wish():
    assert said([], []) == ["None", "None", "None", "[]"]


@pytest.mark.parametrize("tool", ["box", "lasso"])
def test_an_area_is_the_last_that_was_drawn_in_the_units_of_its_panel(tool):
    shapes = [{"xref": "x", "x": [9, 9, 9], "y": [9, 9, 9]}, {"xref": "x2", "yref": "y2", "x": [0, 1, 1], "y": [0, 1, 0]}]
    found = said([], [3, 5], **{tool: shapes})
    assert found[2:] == [f"Area(kind='{tool}', x=(0.0, 1.0, 1.0), y=(0.0, 1.0, 0.0), panel=1)", "[3, 5]"]


def test_a_click_dims_nothing():
    fig: Any = go.Figure(
        [go.Scatter(x=[0], y=[0], mode="markers", marker={"opacity": 0.4}), go.Scatter(x=[0], y=[0], mode="lines")]
    )
    steady(fig)
    assert fig.data[0].unselected.marker.opacity == fig.data[0].selected.marker.opacity == 0.4
    assert fig.data[1].unselected.marker.opacity is None
