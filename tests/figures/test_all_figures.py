"""Laws that every figure keeps."""

import functools
import json
import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from ntkviz.figures import palette
from tests.figures.cases import FIGURES, HOSTILE

MEGABYTE = 1_000_000


@functools.cache
def drawn(name: str) -> go.Figure:
    return FIGURES[name]()


@pytest.fixture(params=FIGURES)
def figure(request: pytest.FixtureRequest) -> go.Figure:
    return drawn(request.param)


def leaves(value: Any) -> list[Any]:
    """Every number and text inside a figure, arrays included."""
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list | tuple):
        return [leaf for inner in value for leaf in leaves(inner)]
    if isinstance(value, np.ndarray):
        return leaves(value.tolist())
    return [value]


def content(figure: go.Figure) -> dict[str, Any]:
    """Traces and layout without Plotly's own template."""
    plain = {**figure.to_dict()}
    layout = {key: value for key, value in figure.layout.to_plotly_json().items() if key != "template"}  # pyright: ignore[reportAttributeAccessIssue]
    traces: list[Any] = list(figure.select_traces())
    return plain | {"data": [trace.to_plotly_json() for trace in traces], "layout": layout}


def test_no_value_is_nan_or_infinite(figure: go.Figure) -> None:
    assert not [leaf for leaf in leaves(content(figure)) if isinstance(leaf, float) and not math.isfinite(leaf)]


def test_text_of_people_cannot_become_markup_a_link_or_a_variable(figure: go.Figure) -> None:
    texts = [leaf for leaf in leaves(content(figure)) if isinstance(leaf, str)]
    for text in texts:
        assert "<img" not in text
        assert "<a " not in text
        assert "\u202e" not in text
        assert "\x00" not in text
        assert "&%{x}" not in text


def test_names_that_people_gave_are_shown_and_only_one_figure_has_none() -> None:
    shows = {name: any("&lt;img" in str(leaf) for leaf in leaves(content(drawn(name)))) for name in FIGURES}
    assert [name for name, shown in shows.items() if not shown] == ["cumulative"]
    assert "&lt;img" in palette.safe(HOSTILE)


def test_every_axis_in_use_has_a_title_or_named_ticks(figure: go.Figure) -> None:
    for axes in (figure.select_xaxes(), figure.select_yaxes()):
        kind: list[Any] = list(axes)
        assert kind[0].title.text or kind[0].ticktext or kind[0].matches
        assert any(axis.title.text or axis.ticktext for axis in kind), "small multiples may name the outer axes only"


def test_the_look_is_that_of_the_house(figure: go.Figure) -> None:
    layout: Any = figure.layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert layout.uirevision == palette.UIREVISION
    assert layout.dragmode == "pan"
    assert layout.font.color is None, "text takes the colour of the page"


def test_small_figures_are_small(figure: go.Figure) -> None:
    assert len(figure.to_json() or "") < MEGABYTE


@pytest.mark.parametrize("name", ["kernel panels", "log-odds, several", "metrics", "distribution", "waterfall", "maps"])
def test_the_same_data_give_the_same_figure(name: str) -> None:
    assert json.loads(FIGURES[name]().to_json() or "") == json.loads(drawn(name).to_json() or "")


@pytest.mark.parametrize("dark", [True, False])
def test_standalone_sets_page_and_text_colours_on_a_copy(dark: bool) -> None:
    figure = FIGURES["strongest"]()
    before = figure.to_json()
    layout: Any = palette.standalone(figure, dark=dark).layout
    assert layout.paper_bgcolor == ("#0E1117" if dark else "#FFFFFF")
    assert layout.font.color
    assert figure.to_json() == before
