from typing import Any

import numpy as np
import pytest

from ntkviz.explain.layers import LayerShares, norm_against_angle
from ntkviz.figures import layers, palette
from tests.figures.cases import IDS, LABELS, LAYERS, NAMES, NEAR, POINTS, N


def bars(figure: Any, axis: str) -> dict[str, np.ndarray]:
    return {trace.name: np.asarray(trace.x) for trace in figure.data if trace.type == "bar" and trace.xaxis == axis}


def draw(found: LayerShares, k: int = 6) -> Any:
    return layers.layer_bars(found, unit="share", ids=IDS, k=k, **POINTS)


def test_the_bars_of_every_row_add_up_to_its_diamond() -> None:
    figure = draw(LAYERS)
    for axis in ("x", "x2"):
        total = next(trace for trace in figure.data if trace.name == "total" and trace.xaxis == axis)
        np.testing.assert_allclose(np.sum(list(bars(figure, axis).values()), axis=0), total.x)
    assert figure.layout.barmode == "relative"
    np.testing.assert_allclose(bars(figure, "x")["intercept"], LAYERS.rest.sum())


def test_the_strongest_are_drawn_and_come_back_by_their_id() -> None:
    figure = draw(LAYERS)
    top = np.argsort(-np.abs(LAYERS.total), kind="stable")[:6]
    below = next(trace for trace in figure.data if trace.type == "bar" and trace.xaxis == "x2")
    assert [entry[0] for entry in below.customdata] == [IDS[i] for i in top]
    np.testing.assert_allclose(bars(figure, "x2")["conv"], LAYERS.parts[0, top])
    assert figure.layout.yaxis2.ticktext[0].startswith(f"#{IDS[top[0]]} ")


def test_layers_beyond_the_colours_share_one_and_no_two_look_alike() -> None:
    figure = draw(LAYERS)
    names = list(bars(figure, "x"))
    assert names[-2:] == ["4 other layers", "intercept"]
    assert len(names) == layers.MAX_LAYERS + 1
    looks = [(t.marker.color, t.marker.pattern.shape) for t in figure.data if t.type == "bar" and t.xaxis == "x"]
    assert len(set(looks)) == len(looks)
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert sorted(shown) == sorted({*names, "total"})


def test_without_a_rest_there_is_no_intercept() -> None:
    found = LayerShares(LAYERS.layers, LAYERS.parts, np.zeros(N), LAYERS.parts.sum(axis=0))
    assert "intercept" not in bars(draw(found), "x")
    assert "intercept" not in layers.reading_layers(found, target="cat", unit="share")


def test_the_reading_has_the_figures() -> None:
    parts = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 0.25]])
    rest = np.array([0.0, 0.0, 1.0])
    found = LayerShares(("deep", "readout"), parts, rest, parts.sum(axis=0) + rest)
    told = layers.reading_layers(found, target="cat", unit="effect", ids=["a", "b", "c"])
    assert "is +3.75: deep +2, readout +0.75, the intercept +1." in told
    assert f"deep holds most of all layers ({palette.percent(4 / 5.75)})" in told
    assert "strongest training point (b, +2) the largest part is that of deep (+2)" in told
    nothing = LayerShares(("deep",), np.zeros((1, 3)), np.zeros(3), np.zeros(3))
    assert "No layer has a part" in layers.reading_layers(nothing, target="cat", unit="effect")


def test_every_training_point_is_drawn_once_and_the_marks_are_those_of_the_ranks() -> None:
    figure: Any = layers.norm_angle_scatter(NEAR, labels=LABELS, class_names=NAMES, ids=IDS)
    dots = {trace.name: {entry[0] for entry in trace.customdata} for trace in figure.data if trace.mode == "markers"}
    assert sorted(i for group in dots.values() for i in group) == sorted(IDS)
    assert dots["of the 8 nearest: by angle"] == {IDS[i] for i in NEAR.top[NEAR.by_angle]}
    assert dots["of the 8 nearest: by norm"] == {IDS[i] for i in NEAR.top[~NEAR.by_angle]}
    assert dots["among the 8 nearest by cosine alone"] == {IDS[i] for i in set(NEAR.top_cosine) - set(NEAR.top)}
    assert dots["of the 8 nearest: by norm"]


def test_the_nearest_lie_on_or_above_the_curve_of_equal_kernel() -> None:
    figure: Any = layers.norm_angle_scatter(NEAR, labels=LABELS, class_names=NAMES)
    curve = next(trace for trace in figure.data if trace.name == "equal kernel")
    level = np.asarray(curve.x) * np.asarray(curve.y)
    np.testing.assert_allclose(level, level[0])
    above = np.flatnonzero(NEAR.norms * NEAR.cosines >= level[0] * (1 - 1e-12))
    assert set(above) == set(NEAR.top)


def test_the_reading_counts_who_is_there_by_norm() -> None:
    n = int((~NEAR.by_angle).sum())
    told = layers.reading_norm_angle(NEAR)
    assert f"{8 - n} are among the 8 nearest by cosine too; {n} " in told
    assert f"{NEAR.cosine_ranks[~NEAR.by_angle].max()} of {N}" in told
    equal = norm_against_angle(np.linspace(1, 0, 9), 1.0, np.ones(9), k=3)
    assert "the angle alone decides" in layers.reading_norm_angle(equal)


def test_a_value_that_is_not_finite_is_refused() -> None:
    broken = LayerShares(("a",), np.full((1, N), np.nan), np.zeros(N), np.zeros(N))
    with pytest.raises(ValueError, match="parts must be finite"):
        draw(broken)
