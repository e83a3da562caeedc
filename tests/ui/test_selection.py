"""What a click leaves: the id, or nothing when the figure changed under it."""

from typing import Any

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from ntkviz.ui.selection import steady


def _page() -> None:
    import streamlit as st

    from ntkviz.ui.selection import chosen_row, chosen_rows, clicked, encircled

    st.text(str(clicked("chart")))
    st.text(str(chosen_row("table")))
    st.text(str(encircled("chart")))
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
def test_an_area_gives_every_point_within_once(tool):
    points = [{"customdata": ["test:7", "x"]}, {"x": 1}, {"customdata": ["train:8"]}, {"customdata": ["test:7"]}]
    found = said(points, [3, 5], **{tool: [{"x": [0, 1], "y": [0, 1]}]})
    assert found[2:] == ["['test:7', 'train:8']", "[3, 5]"]


def test_an_area_without_points_is_no_click():
    assert said([], [], lasso=[{"x": [0], "y": [0]}])[2] == "[]"


def test_a_click_dims_nothing():
    fig: Any = go.Figure(
        [go.Scatter(x=[0], y=[0], mode="markers", marker={"opacity": 0.4}), go.Scatter(x=[0], y=[0], mode="lines")]
    )
    steady(fig)
    assert fig.data[0].unselected.marker.opacity == fig.data[0].selected.marker.opacity == 0.4
    assert fig.data[1].unselected.marker.opacity is None
