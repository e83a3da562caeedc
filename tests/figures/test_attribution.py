import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkviz.figures import attribution, probability, waterfall, weights
from tests.figures.cases import ATTRIBUTION, IDS, LABELS, NAMES, POINTS, STEPS, N

ABC = ["a", "b", "c", "d"]
PLAIN: dict[str, Any] = {"labels": LABELS, "class_names": ABC, "target": "a"}


def test_the_strongest_stand_in_order_with_their_ids() -> None:
    figure: Any = attribution.strongest_bars(ATTRIBUTION, ids=IDS, k=5, **POINTS)
    up, down = figure.data
    order = np.argsort(-ATTRIBUTION)
    assert [row[0] for row in up.customdata] == [IDS[i] for i in order[:5]]
    assert [row[0] for row in down.customdata] == [IDS[i] for i in order[-5:]]
    assert (np.asarray(up.x) > 0).all()
    assert (np.asarray(down.x) < 0).all()
    assert [*up.y, *down.y] == list(range(10))


@pytest.mark.parametrize("values", [np.arange(1.0, N + 1), -np.arange(1.0, N + 1), np.zeros(N)])
def test_one_sided_contributions_are_drawn(values: np.ndarray) -> None:
    figure: Any = attribution.strongest_bars(values, **PLAIN)
    low, high = figure.layout.xaxis.range
    assert low < high or not values.any()
    assert attribution.distribution(values, **PLAIN).to_json()
    assert attribution.reading_strongest(values, **PLAIN)
    assert attribution.reading_distribution(values, **PLAIN)
    assert attribution.reading_cumulative(values)


def test_the_reading_of_the_strongest_says_what_share_they_hold() -> None:
    values = np.zeros(N)
    values[[0, 1, 2]] = [6.0, -2.0, 2.0]
    reading = attribution.reading_strongest(values, k=1, **PLAIN)
    assert "1 strongest supporters and 1 strongest opponents of a hold 80.0 %" in reading
    assert "1 of the 1 supporters are of class a" in reading
    assert f"other {N - 2} training points" in reading


def test_the_distribution_holds_every_point_and_every_class() -> None:
    figure: Any = attribution.distribution(ATTRIBUTION, ids=IDS, k=7, **POINTS)
    bars, boxes, top = figure.data
    assert sum(bars.y) == N
    assert len(boxes.median) == len(set(LABELS))
    np.testing.assert_allclose(boxes.mean, [ATTRIBUTION[LABELS == c].mean() for c in range(4)])
    np.testing.assert_allclose(boxes.median, [np.median(ATTRIBUTION[LABELS == c]) for c in range(4)])
    assert {row[0] for row in top.customdata} == {IDS[i] for i in np.argsort(-np.abs(ATTRIBUTION))[:7]}
    assert figure.layout.xaxis2.title.text


def test_histogram_bars_have_one_sign_each() -> None:
    figure: Any = attribution.distribution(ATTRIBUTION, **PLAIN)
    bars = figure.data[0]
    starts, ends = np.asarray(bars.x) - bars.width / 2, np.asarray(bars.x) + bars.width / 2
    assert ((starts >= -1e-9) | (ends <= 1e-9)).all()


def test_the_cumulative_curve_marks_where_each_level_is_reached() -> None:
    values = np.array([4.0, -3.0, 1.0, 1.0, 1.0])
    figure: Any = attribution.cumulative_curve(values)
    np.testing.assert_allclose(figure.data[1].y, [40, 70, 80, 90, 100])
    assert list(figure.data[2].x) == [2, 3, 5]
    reading = attribution.reading_cumulative(values)
    assert "50 % needs 2; 80 % needs 3; 95 % needs 5" in reading


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60))
def test_the_points_needed_grow_with_the_level_and_suffice(values: list[float]) -> None:
    figure: Any = attribution.cumulative_curve(np.array(values))
    needed = list(figure.data[2].x)
    assert needed == sorted(needed)
    sizes = np.sort(np.abs(values))[::-1]
    if sizes.sum() > 1e-100:
        for level, count in zip(attribution.LEVELS, needed, strict=True):
            assert sizes[:count].sum() >= (level - 1e-9) * sizes.sum()
            assert sizes[: count - 1].sum() <= (level + 1e-9) * sizes.sum()


def test_class_totals_add_up_with_the_bias_apart() -> None:
    totals, bias = np.array([[1.0, -2.0], [0.5, 4.0]]), np.array([0.25, -1.0])
    figure: Any = attribution.class_totals_heatmap(totals, bias, ["a", "b"])
    rows = [list(row) for row in figure.data[0].z]
    assert rows == [[1, -2], [0.5, 4], [None, None], [0.25, -1], [None, None], [1.75, 1]]
    assert figure.data[0].zmin == -figure.data[0].zmax == -4
    reading = attribution.reading_class_totals(totals, bias, ["a", "b"])
    assert "largest logit is a (1.75" in reading
    assert "class a push it up most (+1)" in reading
    with pytest.raises(ValueError, match="shape"):
        attribution.class_totals_heatmap(totals, bias, ["a"])


def test_one_logit_has_totals_too() -> None:
    figure: Any = attribution.class_totals_heatmap(np.array([[1.0], [2.0]]), np.zeros(1), ["no", "yes"], logit_names=["yes"])
    assert len(figure.data[0].z[0]) == 1


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(1, 80), n_classes=st.integers(1, 30), k=st.integers(0, 12))
def test_the_waterfall_adds_up(seed: int, n: int, n_classes: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    values, labels = rng.normal(size=n), rng.integers(0, n_classes, n)
    names = [f"c{i}" for i in range(n_classes)]
    steps = waterfall.waterfall_steps(values, intercept=0.7, labels=labels, class_names=names, network_logit=1.5, k=k)
    kinds = [step.kind for step in steps]
    assert kinds[0] == "bias"
    assert kinds[-3:] == ["surrogate", "residual", "network"]
    assert kinds.count("point") == min(k, n)
    surrogate, residual, network = steps[-3:]
    assert surrogate.value == pytest.approx(values.sum() + 0.7)
    assert surrogate.value + residual.value == pytest.approx(network.value)
    assert residual.end == pytest.approx(1.5)
    for before, after in itertools.pairwise(steps[:-3]):
        assert after.start == before.end
    for step in steps:
        assert step.start + step.value == pytest.approx(step.end)


def test_waterfall_points_are_the_strongest_and_keep_their_ids() -> None:
    points = [step for step in STEPS if step.kind == "point"]
    order = np.argsort(-np.abs(ATTRIBUTION))[:5]
    assert [step.id for step in points] == [IDS[i] for i in order]
    figure: Any = waterfall.waterfall(STEPS, target="a")
    drawn = [row[0] for trace in figure.data if trace.type == "bar" for row in trace.customdata]
    assert {i for i in drawn if i is not None} == {IDS[i] for i in order}
    assert len(drawn) == len(STEPS)


def test_the_waterfall_without_a_network_ends_at_the_surrogate() -> None:
    steps = waterfall.waterfall_steps(ATTRIBUTION, intercept=0.0, labels=LABELS, class_names=ABC, k=3)
    assert steps[-1].kind == "surrogate"
    assert "not explained" not in waterfall.reading_waterfall(steps, target="a")


def test_the_reading_of_the_waterfall_holds_the_sums() -> None:
    reading = waterfall.reading_waterfall(STEPS, target="dog")
    total = ATTRIBUTION.sum() + 0.3
    assert f"logit of dog is {total:.3g}" in reading
    assert "bias +0.3" in reading
    assert f"{2.5 - total:+.3g} is not explained" in reading
    for call in (waterfall.waterfall, waterfall.reading_waterfall):
        with pytest.raises(ValueError, match="waterfall_steps"):
            call([], target="a")


def test_weights_draw_every_point_by_class_and_ring_the_strongest_products() -> None:
    similarity, weight = np.linspace(0.1, 1, N), ATTRIBUTION
    figure: Any = weights.similarity_weight_scatter(similarity, weight, ids=IDS, k=4, **PLAIN)
    assert sum(len(trace.x) for trace in figure.data[:4]) == N
    ringed = next(trace for trace in figure.data if trace.name == "4 strongest")
    products = similarity * weight
    order = np.argsort(-np.abs(products))[:4]
    assert {row[0] for row in ringed.customdata} == {IDS[i] for i in order}
    curves = [trace for trace in figure.data if trace.name == "equal product"]
    assert curves
    for curve in curves:
        np.testing.assert_allclose(np.abs(np.asarray(curve.x) * np.asarray(curve.y)), abs(products[order[-1]]))


def test_the_reading_of_weights_says_whether_similarity_or_weight_decides() -> None:
    similarity, weight = np.array([1.0, 0.9, 0.1, 0.1]), np.array([0.1, 0.1, 5.0, 4.0])
    reading = weights.reading_similarity_weight(similarity, weight, k=2)
    assert "Of the 2 training points" in reading
    assert "0 are also among the 2 most similar" in reading
    assert "2 among the 2 with the largest weight" in reading


def test_probabilities_stand_in_pairs() -> None:
    figure: Any = probability.probability_bars(np.array([0.7, 0.3]), np.array([0.4, 0.6]), ["no", "yes"], true_class=0)
    assert [list(trace.x) for trace in figure.data] == [[0.7, 0.3], [0.4, 0.6]]
    assert figure.layout.yaxis.ticktext[0] == "no ✓"
    reading = probability.reading_probability(np.array([0.7, 0.3]), np.array([0.4, 0.6]), ["no", "yes"], true_class=0)
    assert "the network says no, the surrogate yes" in reading
    assert "0.300" in reading
    assert "true class is no" in reading


def test_one_logit_gives_two_probabilities() -> None:
    figure: Any = probability.probability_bars(np.array([0.8]), np.array([0.6]), ["no", "yes"])
    np.testing.assert_allclose(figure.data[0].x, [0.2, 0.8])


def test_many_classes_share_a_row_and_the_true_class_never_does() -> None:
    n = 40
    p = np.full(n, 1 / n)
    names = [f"c{i}" for i in range(n)]
    figure: Any = probability.probability_bars(p, p, names, true_class=39)
    assert len(figure.layout.yaxis.ticktext) == probability.MAX_CLASSES
    assert figure.layout.yaxis.ticktext[0] == "c39 ✓"
    assert sum(figure.data[0].x) == pytest.approx(1)


@pytest.mark.parametrize("bad", [np.array([0.5, 0.6, 0.1]), np.array([1.5, -0.5]), np.array([np.nan, 1.0])])
def test_numbers_that_are_no_probabilities_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"probabilities"):
        probability.probability_bars(bad, np.array([0.5, 0.5]), ["no", "yes"])


@pytest.mark.parametrize("draw", [attribution.strongest_bars, attribution.distribution])
def test_labels_of_another_length_are_refused(draw: Any) -> None:
    with pytest.raises(ValueError, match="one label a point"):
        draw(ATTRIBUTION, labels=LABELS[:-1], class_names=NAMES, target="a")
