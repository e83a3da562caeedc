"""Laws of areas on a map: what lies within, against the winding of each point and against shapes whose inside is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkviz.embed.area import within_box, within_lasso


def naive(point, x, y) -> bool:
    """A single ray, edge by edge."""
    odd, n = False, len(x)
    for i in range(n):
        j = (i + 1) % n
        if (y[i] > point[1]) != (y[j] > point[1]):
            odd ^= bool(point[0] < x[i] + (point[1] - y[i]) * (x[j] - x[i]) / (y[j] - y[i]))
    return odd


@given(st.integers(0, 10_000), st.integers(3, 40))
def test_a_lasso_is_what_single_rays_say(seed, corners):
    rng = np.random.default_rng(seed)
    xy, x, y = rng.normal(size=(60, 2)), rng.normal(size=corners), rng.normal(size=corners)
    assert within_lasso(xy, x, y).tolist() == [naive(point, x, y) for point in xy]


def test_a_circle_holds_the_points_nearer_than_its_radius():
    rng = np.random.default_rng(0)
    xy, turn = rng.uniform(-1.5, 1.5, size=(4000, 2)), np.linspace(0, 2 * np.pi, 400, endpoint=False)
    radius = np.linalg.norm(xy, axis=1)
    sure = np.abs(radius - 1) > 1e-4  # the lasso is a polygon within the circle
    assert np.array_equal(within_lasso(xy, np.cos(turn), np.sin(turn))[sure], (radius < 1)[sure])


def test_the_direction_and_the_first_corner_do_not_matter():
    rng = np.random.default_rng(1)
    xy, x, y = rng.normal(size=(500, 2)), rng.normal(size=9), rng.normal(size=9)
    found = within_lasso(xy, x, y)
    assert np.array_equal(found, within_lasso(xy, x[::-1], y[::-1]))
    assert np.array_equal(found, within_lasso(xy, np.roll(x, 4), np.roll(y, 4)))


def test_a_box_is_its_four_corners_as_a_lasso():
    rng = np.random.default_rng(2)
    xy = rng.normal(size=(2000, 2))
    assert np.array_equal(within_box(xy, (0.7, -0.2), (-1.0, 0.4)), within_lasso(xy, [-0.2, 0.7, 0.7, -0.2], [-1, -1, 0.4, 0.4]))


def test_two_corners_are_no_lasso():
    with pytest.raises(ValueError, match="three corners"):
        within_lasso(np.zeros((2, 2)), [0.0, 1.0], [0.0, 1.0])
