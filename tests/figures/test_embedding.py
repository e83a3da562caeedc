from typing import Any

import numpy as np
import pytest

from ntkviz.figures import density, embedding
from ntkviz.figures.embedding import Column, MapPoints, Selection
from tests.figures.cases import CONFIDENCE, LABELS, NAMES, QUALITY, SELECTION, STATE, TEST, TEST_LABELS, TRAIN, M, N

ABC = ["a", "b", "c", "d"]


def dots(figure: Any) -> list[Any]:
    return [trace for trace in figure.data if trace.type == "scattergl"]


def where(figure: Any) -> dict[str, tuple[float, float]]:
    return {row[0]: (x, y) for trace in dots(figure) for x, y, row in zip(trace.x, trace.y, trace.customdata, strict=True)}


@pytest.mark.parametrize("column", [None, CONFIDENCE, STATE])
def test_every_point_is_drawn_once_at_its_place_under_its_id(column: Column | None) -> None:
    figure = embedding.map_scatter(TRAIN, TEST, class_names=NAMES, column=column)
    assert sum(len(trace.x) for trace in dots(figure)) == N + M
    places = where(figure)
    for points in (TRAIN, TEST):
        for key, xy in zip(points.names(), points.xy, strict=True):
            np.testing.assert_allclose(places[str(key)], xy, rtol=1e-6)


def test_points_chosen_together_are_framed_on_every_map() -> None:
    some = [TEST.names()[1], TEST.names()[4], "test:nobody"]
    figure: Any = embedding.map_panels({"UMAP": (TRAIN, TEST), "t-SNE": (TRAIN, TEST)}, class_names=NAMES, marked=some)
    frames = [trace for trace in figure.data if trace.name == "chosen together"]
    assert [[row[0] for row in trace.customdata] for trace in frames] == [some[:2]] * 2
    np.testing.assert_allclose(np.column_stack([frames[0].x, frames[0].y]), TEST.xy[[1, 4]], rtol=1e-6)
    plain: Any = embedding.map_scatter(TRAIN, TEST, class_names=NAMES)
    assert not [trace for trace in plain.data if trace.name == "chosen together"]


def test_one_trace_a_class_and_open_symbols_for_test_points() -> None:
    figure = embedding.map_scatter(TRAIN, TEST, class_names=ABC)
    assert len(dots(figure)) == 2 * 4
    for trace in dots(figure)[4:]:
        assert trace.marker.symbol.endswith("-open")
    assert len({trace.marker.symbol for trace in dots(figure)[:4]}) == 4


def test_each_name_occurs_once_in_the_legend() -> None:
    for column in (None, CONFIDENCE, STATE):
        figure: Any = embedding.map_panels({"UMAP": (TRAIN, TEST), "t-SNE": (TRAIN, TEST)}, class_names=ABC, column=column)
        shown = [trace.name for trace in figure.data if trace.showlegend is not False]
        assert len(shown) == len(set(shown))
        assert "test points (open)" in shown


def test_two_classes_of_one_name_are_two_entries() -> None:
    figure: Any = embedding.map_scatter(TRAIN, TEST, class_names=["dog", "dog", "cat", "fox"])
    assert [trace.name for trace in figure.data if trace.showlegend is not False].count("dog") == 2


def test_numbers_share_one_colour_axis_and_points_without_one_step_back() -> None:
    figure: Any = embedding.map_scatter(TRAIN, TEST, class_names=ABC, column=CONFIDENCE)
    known = np.concatenate([np.asarray(CONFIDENCE.train), np.asarray(CONFIDENCE.test)])
    assert figure.layout.coloraxis.cmin == pytest.approx(np.nanmin(known))
    assert figure.layout.coloraxis.cmax == pytest.approx(np.nanmax(known))
    missing = [trace for trace in dots(figure) if trace.name == "no value"]
    assert [row[0] for trace in missing for row in trace.customdata] == ["train:3"]


def test_a_column_of_both_signs_is_drawn_around_zero() -> None:
    figure: Any = embedding.map_scatter(TRAIN, class_names=ABC, column=Column("margin", np.linspace(-1, 3, N)))
    assert figure.layout.coloraxis.cmin == -3
    assert figure.layout.coloraxis.cmax == 3


def test_states_have_a_colour_and_a_symbol_each() -> None:
    column = Column("network", np.where(LABELS == 0, "wrong", "right"), np.where(TEST_LABELS == 0, "wrong", "right"))
    figure = embedding.map_scatter(TRAIN, TEST, class_names=ABC, column=column)
    looks = {trace.name: (trace.marker.color, trace.marker.symbol.removesuffix("-open")) for trace in dots(figure)}
    assert set(looks) == {"right", "wrong"}
    assert looks["right"][0] != looks["wrong"][0]
    assert looks["right"][1] != looks["wrong"][1]


def test_edges_lead_from_the_selected_point_to_its_neighbours() -> None:
    figure: Any = embedding.map_scatter(TRAIN, TEST, class_names=ABC, selection=SELECTION)
    by_name = {trace.name: trace for trace in figure.data}
    assert [row[0] for row in by_name["selected point"].customdata] == ["test-3"]
    np.testing.assert_allclose([by_name["selected point"].x[0], by_name["selected point"].y[0]], TEST.xy[3])
    assert [row[0] for row in by_name["its nearest in the kernel's space"].customdata] == ["train:1", "train:2"]
    edges = by_name["edges to neighbours"]
    assert len(edges.x) == 3 * 2
    assert edges.x[2] is None
    np.testing.assert_allclose([edges.x[0], edges.x[1]], [TEST.xy[3, 0], TRAIN.xy[1, 0]])


def test_a_selection_that_is_not_on_the_map_draws_nothing() -> None:
    figure: Any = embedding.map_scatter(TRAIN, class_names=ABC, selection=Selection("gone", ["train:1"]))
    assert not [trace for trace in figure.data if trace.name == "selected point"]


def test_axes_without_a_unit_say_so_and_show_no_numbers() -> None:
    figure: Any = embedding.map_panels(
        {"UMAP": (TRAIN, None), "Kernel PCA": (TRAIN, None)}, class_names=ABC, units={"Kernel PCA"}
    )
    assert "no unit" in figure.layout.xaxis.title.text
    assert figure.layout.xaxis.showticklabels is False
    assert figure.layout.xaxis2.showticklabels is True
    assert figure.layout.yaxis.scaleanchor == "x"
    assert figure.layout.yaxis2.scaleanchor == "x2"


def test_twenty_thousand_points_stay_below_five_megabytes() -> None:
    n = embedding.MAX_POINTS
    points = MapPoints(np.random.default_rng(0).normal(size=(n, 2)), np.arange(n) % 4)
    figure = embedding.map_scatter(points, class_names=ABC, column=Column("confidence", np.linspace(0, 1, n)))
    assert len(figure.to_json() or "") < 5_000_000
    with pytest.raises(ValueError, match="up to 20,000"):
        embedding.map_scatter(MapPoints(np.zeros((n + 1, 2)), np.zeros(n + 1, int)), class_names=ABC)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (MapPoints(np.full((2, 2), np.nan), np.zeros(2, int)), "finite"),
        (MapPoints(np.zeros((2, 3)), np.zeros(2, int)), "shape"),
        (MapPoints(np.zeros((2, 2)), np.zeros(3, int)), "one label a point"),
        (MapPoints(np.zeros((2, 2)), np.array([0, 9])), "Labels must lie"),
        (MapPoints(np.zeros((2, 2)), np.zeros(2, int), ids=["a"]), "one id a point"),
        (MapPoints(np.zeros((2, 2)), np.zeros(2, int), hover=["a"]), "hover text"),
    ],
)
def test_points_that_do_not_fit_are_refused(points: MapPoints, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        embedding.map_scatter(points, class_names=ABC)


def test_columns_and_numbers_of_maps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="confidence"):
        embedding.map_scatter(TRAIN, class_names=ABC, column=Column("confidence", np.zeros(N + 1)))
    for maps in ({}, {str(i): (TRAIN, None) for i in range(5)}):
        with pytest.raises(ValueError, match="1 to 4 maps"):
            embedding.map_panels(maps, class_names=ABC)


def test_the_reading_says_how_far_the_map_can_be_believed() -> None:
    reading = embedding.reading_map(TRAIN, TEST, quality=QUALITY, explained=(0.4, 0.1), column=CONFIDENCE)
    for part in (
        f"{N} training points",
        f"{M} test points",
        "25 %",
        "15 nearest",
        "trustworthiness 0.91",
        "continuity 0.87",
        "40.0 % and 10.0 %",
    ):
        assert part in reading
    assert embedding.reading_map(TRAIN).endswith("coloured by class.")


def test_density_counts_every_point_and_draws_a_fair_sample() -> None:
    n = 30_000
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [n - 1010, 1000, 10])
    figure: Any = density.density_map(rng.normal(size=(n, 2)), labels, ["a", "b", "rare"], n_sample=1000)
    counts = sum(round(10**v) for row in figure.data[0].z for v in row if v is not None)
    assert counts == n
    assert [len(trace.x) for trace in figure.data[1:]] == [966, 33, 1]
    assert len(figure.to_json() or "") < 5_000_000
    assert "30,000 points" in density.reading_density(labels, n_sample=1000)


def test_a_sample_is_the_same_for_the_same_seed_and_whole_when_small() -> None:
    labels = np.arange(500) % 3
    np.testing.assert_array_equal(density.stratified(labels, 90, seed=1), density.stratified(labels, 90, seed=1))
    np.testing.assert_array_equal(density.stratified(labels, 500, seed=1), np.arange(500))
    assert len(set(density.stratified(labels, 90, seed=1).tolist())) == 90


def test_what_a_filter_leaves_out_is_grey_and_cannot_be_clicked() -> None:
    shown = np.arange(N) % 3 == 0
    kept = MapPoints(TRAIN.xy, TRAIN.labels, "train", TRAIN.names(), shown=shown)
    figure: Any = embedding.map_scatter(kept, class_names=NAMES)
    grey = [trace for trace in figure.data if trace.name == "left out by the filter"]
    assert sum(len(trace.x) for trace in grey) == int((~shown).sum())
    assert all(trace.customdata is None and trace.hoverinfo == "skip" for trace in grey)
    clickable = {row[0] for trace in dots(figure) if trace.customdata is not None for row in trace.customdata}
    assert clickable == {key for key, stays in zip(kept.names(), shown, strict=True) if stays}


def test_a_density_names_its_marks_by_the_ids_of_its_points() -> None:
    rng = np.random.default_rng(0)
    xy, ids = rng.normal(size=(300, 2)), [f"train:{i + 7}" for i in range(300)]
    chosen = Selection(ids[5], [ids[8], ids[2]])
    figure: Any = density.density_map(xy, np.zeros(300, int), ["a"], ids=ids, n_sample=50, selection=chosen, marked=ids[11:13])
    by_name = {trace.name: trace for trace in figure.data}
    assert [row[0] for row in by_name["selected point"].customdata] == ["train:12"]
    assert [row[0] for row in by_name["its nearest in the kernel's space"].customdata] == ["train:15", "train:9"]
    assert [row[0] for row in by_name["chosen together"].customdata] == ["train:18", "train:19"]
    np.testing.assert_allclose([by_name["selected point"].x[0], by_name["selected point"].y[0]], xy[5])
