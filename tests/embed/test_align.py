"""Maps laid over each other: what Procrustes may change, and what it may not."""

import numpy as np
import pytest
from scipy.spatial import procrustes

from ntkviz.embed.align import align


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


MAP = rng().normal(size=(40, 2)) * [3.0, 1.0] + [7.0, -2.0]
TEST = rng().normal(size=(9, 2))


def turned(
    xy: np.ndarray, degrees: float, *, mirror: bool = False, scale: float = 1.0, shift: tuple[float, float] = (0, 0)
) -> np.ndarray:
    t = np.radians(degrees)
    flip = np.diag([1.0, -1.0]) if mirror else np.eye(2)
    return scale * xy @ flip @ np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]]) + shift


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("degrees", [0.0, 35.0, 170.0, -90.0])
def test_a_turned_mirrored_moved_and_scaled_map_is_laid_back_exactly(degrees, mirror):
    found = align(
        turned(MAP, degrees, mirror=mirror, scale=0.2, shift=(5, 9)),
        MAP,
        turned(TEST, degrees, mirror=mirror, scale=0.2, shift=(5, 9)),
    )
    assert found.residual == pytest.approx(0, abs=1e-10)
    np.testing.assert_allclose(found.points, MAP, atol=1e-9)
    np.testing.assert_allclose(found.test_points, TEST, atol=1e-9)
    np.testing.assert_allclose(found.moved, 0, atol=1e-9)
    assert found.mirrored == mirror
    assert found.scale == pytest.approx(5.0)


def test_the_angle_is_the_one_that_turns_it_back():
    assert align(turned(MAP, 35.0), MAP).degrees == pytest.approx(-35.0)


def test_the_residual_does_not_depend_on_how_the_map_was_turned_and_is_scipys():
    other = MAP + rng().normal(size=MAP.shape)
    plain = align(other, MAP)
    again = align(turned(other, 77.0, mirror=True, scale=30.0, shift=(1, 1)), MAP)
    assert again.residual == pytest.approx(plain.residual)
    np.testing.assert_allclose(again.moved, plain.moved, atol=1e-9)
    assert plain.residual**2 == pytest.approx(procrustes(MAP, other)[2])
    assert 0 < plain.residual < 1
    assert np.sqrt((plain.moved**2).mean()) == pytest.approx(plain.residual)


def test_no_other_turn_or_size_fits_better():
    other = MAP + rng().normal(size=MAP.shape)
    best = np.linalg.norm(align(other, MAP).points - MAP)
    for degrees in np.linspace(0, 360, 25):
        for scale in (0.5, 0.9, 1.0, 1.2):
            tried = turned(other - other.mean(axis=0), degrees, scale=scale) + MAP.mean(axis=0)
            assert np.linalg.norm(tried - MAP) >= best - 1e-9


@pytest.mark.parametrize(
    ("points", "said"),
    [(MAP[:5], "same points"), (np.full((40, 2), 3.0), "coincide"), (MAP[:, :1], "coordinates"), (MAP * np.nan, "finite")],
)
def test_what_has_no_shape_to_align_is_refused(points, said):
    with pytest.raises(ValueError, match=said):
        align(points, MAP)
