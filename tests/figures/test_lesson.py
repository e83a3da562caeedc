"""The lesson's figures: what is hidden before the reveal, and what is drawn after it."""

from typing import Any

import numpy as np
import pytest

from ntkviz.figures import lesson

X, Y = np.linspace(-1, 1, 5), np.linspace(-1, 1, 4)
GRID = (X, Y, np.add.outer(Y, X))
POINTS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
LABELS = np.array([0, 1, 1])


def dots(fig: Any, name: str) -> Any:
    return next(trace for trace in fig.data if trace.name == name)


def test_before_the_reveal_all_dots_are_alike():
    fig = lesson.plane_map(GRID, POINTS, LABELS, np.zeros(2), letters={0: "A"})
    assert set(np.ravel(dots(fig, "class B").marker.size)) == {11.0}
    assert "share" not in str(dots(fig, "class B").customdata)


def test_after_it_size_grows_with_the_share_and_colour_has_its_sign():
    fig = lesson.plane_map(GRID, POINTS, LABELS, np.zeros(2), letters={}, shares=np.array([0.1, -0.9, 0.4]))
    sizes, colours = dots(fig, "class B").marker.size, dots(fig, "class B").marker.color
    assert sizes[0] > sizes[1]
    assert colours[0] != colours[1]


def test_the_readings_have_the_figures():
    text = lesson.reading_plane_map(1.25, -0.5, np.array([3.0, -1.0, 0.0, 0.0]))
    assert "+1.25" in text
    assert "the other class" in text
    assert "1 of 4 points hold half" in text
    assert "75.0 %" in text
    assert "0.24" in lesson.reading_share_and_truth(0.24, 3, 5)
    assert "point 3" in lesson.reading_share_and_truth(0.24, 3, 5)
    assert "leads both" in lesson.reading_share_and_truth(0.24, 3, 3)


def test_arrows_end_at_the_gradients():
    gradients = np.array([[1.0, 0.5], [-0.5, 0.2]])
    fig: Any = lesson.gradient_arrows(gradients, ["one (x = 1)", "two (x = 2)"], np.array([0.3, 0.3]), chosen=1)
    assert [(t.x[1], t.y[1]) for t in fig.data] == [(1.0, 0.5), (-0.5, 0.2), (0.3, 0.3)]
    assert "two (x = 2) points the other way" in lesson.reading_gradient_arrows(
        gradients @ np.array([0.3, 0.3]), ["one (x = 1)", "two (x = 2)"]
    )


def test_truth_is_drawn_against_the_share():
    fig = lesson.share_and_truth(np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0]), LABELS, letters={2: "B"})
    assert list(dots(fig, "class B").x) == [0.2, 0.3]
    assert list(dots(fig, "class B").text) == ["", "B"]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="finite"):
        lesson.gradient_arrows(np.array([[np.nan, 0.0]]), ["one"], np.zeros(2), chosen=0)
