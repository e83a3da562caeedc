"""The page Map: true neighbours over a map, from a click or from the keyboard; maps are kept."""

import numpy as np
import pytest

from ntkviz.embed.distance import kernel_distance
from ntkviz.embed.embed import embed
from ntkviz.studies.store import Store
from ntkviz.ui import maps
from tests.pages.charts import alt, chart, numbers, table
from tests.pages.conftest import texts


def dots(spec: dict) -> dict[str, tuple[float, float]]:
    """The points of the map by id, without the overlay."""
    found = {}
    for trace in spec["data"]:
        if trace["type"] == "scattergl" and "customdata" in trace:
            for row, x, y in zip(trace["customdata"], numbers(trace["x"]), numbers(trace["y"]), strict=True):
                found[row[0]] = (float(x), float(y))
    return found


def overlay(spec: dict) -> tuple[list[str], list[str]]:
    """Ids of the chosen point and of its neighbours, as drawn."""
    by_name = {trace.get("name"): [row[0] for row in trace.get("customdata", [])] for trace in spec["data"]}
    return by_name.get("selected point", []), by_name.get("its nearest in the kernel's space", [])


@pytest.mark.parametrize("kind", ["digits", "table", "text"])
def test_every_point_stands_where_the_map_has_it(made, open_page, kind):
    app = open_page("map", study=made.keys[kind])
    study = Store(made.home).load_study(made.keys[kind])
    found = embed(study.kernel, study.rows, np.ones(study.n_test), kind="kernel_pca")
    drawn = dots(chart(app, "map_chart"))
    assert len(drawn) == study.n_train + study.n_test
    at = np.array([drawn[f"train:{i}"] for i in study.train_index])
    np.testing.assert_allclose(at, found.points, atol=1e-5)
    assert found.test_points is not None
    np.testing.assert_allclose(np.array([drawn[f"test:{i}"] for i in study.test_index]), found.test_points, atol=1e-5)


def test_quality_is_stated(made, open_page):
    app = open_page("map", study=made.keys["digits"])
    study = Store(made.home).load_study(made.keys["digits"])
    found = embed(study.kernel, study.rows, np.ones(study.n_test), kind="kernel_pca").quality
    shown = {metric.label: metric.value for metric in app.metric}
    assert float(shown["Trustworthiness"]) == pytest.approx(found.trustworthiness, abs=5e-4)
    assert float(shown["Continuity"]) == pytest.approx(found.continuity, abs=5e-4)
    assert f"trustworthiness {found.trustworthiness:.2f}" in alt(app, "map_chart")


def test_edges_lead_to_the_true_neighbours_of_a_training_point(made, open_page):
    app = open_page("map", study=made.keys["digits"])
    study = Store(made.home).load_study(made.keys["digits"])
    app.text_input(key="find_point").set_value(f"train {study.train_index[5]}").run()
    away = kernel_distance(study.kernel)[5].astype(float)
    away[5] = np.inf
    wanted = {f"train:{i}" for i in study.train_index[np.argsort(away, kind="stable")[:8]]}
    chosen, near = overlay(chart(app, "map_chart"))
    assert chosen == [f"train:{study.train_index[5]}"]
    assert set(near) == wanted


def test_edges_lead_to_the_true_neighbours_of_a_test_point(made, open_page):
    app = open_page("map", study=made.keys["text"])
    study = Store(made.home).load_study(made.keys["text"])
    app.session_state["point"] = int(study.test_index[3])  # what the click's callback does
    app.run()
    wanted = study.train_index[np.argsort(-study.rows[3], kind="stable")[:8]]
    chosen, near = overlay(chart(app, "map_chart"))
    assert chosen == [f"test:{study.test_index[3]}"]
    assert near == [f"train:{i}" for i in wanted]
    assert list(table(app, "distance", "label")["id"]) == wanted.tolist()
    app.button(key="close_point").click().run()
    assert overlay(chart(app, "map_chart")) == ([], [])


def test_a_link_brings_its_chosen_point(made, open_page):
    study = Store(made.home).load_study(made.keys["digits"])
    app = open_page("map", study=study.key, point=str(study.test_index[4]))
    spec = chart(app, "map_chart")
    assert overlay(spec)[0] == [f"test:{study.test_index[4]}"]
    assert set(study.class_names) >= {trace["name"] for trace in spec["data"] if "customdata" in trace} - {
        "selected point",
        "its nearest in the kernel's space",
    }, "colours are classes still"


def test_the_number_of_edges_can_be_set(made, open_page):
    app = open_page("map", study=made.keys["digits"])
    study = Store(made.home).load_study(made.keys["digits"])
    app.session_state["point"] = int(study.test_index[0])
    app.slider(key="_map_edges").set_value(3).run()
    assert len(overlay(chart(app, "map_chart"))[1]) == 3


@pytest.mark.parametrize(("name", "wrong"), [("point", "nobody"), ("point", "999999"), ("example", "-1"), ("example", "3.5")])
def test_a_point_that_is_not_there_selects_nothing(made, open_page, name, wrong):
    app = open_page("map", study=made.keys["digits"], **{name: wrong})
    assert not app.exception
    assert overlay(chart(app, "map_chart")) == ([], [])


def test_raw_kernels_measure_distance_and_not_the_product(made):
    study = Store(made.home).load_study(made.keys["digits"])
    run = Store(made.home).load_kernel(study.kernel_key)
    from dataclasses import replace

    raw = replace(study, spec=replace(study.spec, normalize=False), kernel=run.blocks.train, rows=run.blocks.rows)
    near, away = maps.nearest_training(raw, "test", 2, 5)
    squared = run.blocks.rows_diagonal[2] + run.blocks.train_diagonal - 2 * run.blocks.rows[2].astype(np.float64)
    np.testing.assert_allclose(away**2, np.sort(squared)[:5], rtol=1e-4)
    assert near.tolist() == np.argsort(squared, kind="stable")[:5].tolist()


def test_every_colour_draws_every_point(made, open_page):
    app = open_page("map", study=made.keys["digits"])
    box = app.selectbox(key="_map_colour")
    assert {"class", "network right or wrong", "network's log-odds of its class", "neighbours kept on the map"} <= set(
        box.options
    )
    for name in box.options:
        app.selectbox(key="_map_colour").set_value(name).run()
        assert not app.exception, name
        assert len(dots(chart(app, "map_chart"))) == 90, name


def test_maps_stand_side_by_side_with_the_same_ids(made, open_page):
    app = open_page("map", study=made.keys["digits"])
    app.button_group(key="_map_method").set_value(["kernel_pca", "tsne"]).run()
    assert not app.exception
    axes = {trace.get("xaxis", "x") for trace in chart(app, "map_chart")["data"] if trace["type"] == "scattergl"}
    assert axes == {"x", "x2"}
    assert len(dots(chart(app, "map_chart"))) == 90


def test_test_points_can_be_left_out(made, open_page):
    app = open_page("map", study=made.keys["digits"])
    app.toggle(key="_map_test").set_value(False).run()
    assert {key.partition(":")[0] for key in dots(chart(app, "map_chart"))} == {"train"}


def test_a_map_is_made_once_and_kept(made, open_page, monkeypatch):
    open_page("map", study=made.keys["digits"])
    assert len(list((made.home / "maps").iterdir())) == 1
    maps._make.clear()
    monkeypatch.setattr(maps, "embed", lambda *_, **__: pytest.fail("made again"))
    app = open_page("map", study=made.keys["digits"])
    assert not app.exception
    assert len(dots(chart(app, "map_chart"))) == 90


def test_a_damaged_map_is_made_again(made, open_page):
    open_page("map", study=made.keys["digits"])
    folder = next((made.home / "maps").iterdir())
    next(folder.glob("*.npy")).write_bytes(b"nothing")
    maps._make.clear()
    app = open_page("map", study=made.keys["digits"])
    assert not app.exception
    assert not app.error
    assert len(dots(chart(app, "map_chart"))) == 90


def test_too_many_training_points_are_refused_in_words(made, open_page, monkeypatch):
    monkeypatch.setattr(maps, "MAP_UP_TO", 10)
    app = open_page("map", study=made.keys["digits"])
    assert "Maps are made of up to 10 training points" in texts(app)


@pytest.mark.parametrize("wrong", ["train 999999", "nobody", "17 18 19", "test -3"])
def test_a_search_for_a_point_that_is_not_there_says_so_and_keeps_what_is_selected(made, open_page, wrong):
    study = Store(made.home).load_study(made.keys["digits"])
    app = open_page("map", study=study.key, point=str(study.test_index[4]))
    app.text_input(key="find_point").set_value(wrong).run()
    assert "This study has no point" in app.toast[0].value
    assert overlay(chart(app, "map_chart"))[0] == [f"test:{study.test_index[4]}"]


def test_a_filter_leaves_points_of_one_class_and_the_neighbours_stay_true(made, open_page):
    study = Store(made.home).load_study(made.keys["digits"])
    app = open_page("map", study=study.key, point=str(study.test_index[4]))
    app.session_state["map_filter"], app.session_state["map_states"] = "class", [study.class_names[int(study.y_train[0])]]
    app.run()
    spec = chart(app, "map_chart")
    wanted = [f"train:{i}" for i in study.train_index[study.y_train == study.y_train[0]]]
    wanted += [f"test:{i}" for i in study.test_index[study.y_test == study.y_train[0]]]
    assert set(dots(spec)) == set(wanted)
    assert overlay(spec)[0] == [f"test:{study.test_index[4]}"]
    assert 0 < len(wanted) < study.n_train + study.n_test


def test_a_range_filters_by_a_number(made, open_page):
    study = Store(made.home).load_study(made.keys["digits"])
    app = open_page("map", study=study.key)
    app.selectbox(key="_map_filter").set_value("network's log-odds of its class").run()
    low, high = app.slider(key="_map_range").value
    app.slider(key="_map_range").set_value(((low + high) / 2, high)).run()
    from ntkviz.scores import scores_of

    every = []
    for logits in (study.logits_train, study.logits_test):
        found = scores_of(logits)
        every.append(found.log_odds[np.arange(len(logits)), found.predicted])
    kept = sum(int((part >= (low + high) / 2).sum()) for part in every)
    assert abs(len(dots(chart(app, "map_chart"))) - kept) <= 1  # the slider has 200 steps


def test_training_points_are_coloured_by_their_share_in_the_explained_prediction(made, open_page):
    from ntkviz.studies.explained import explanation

    study = Store(made.home).load_study(made.keys["digits"])
    app = open_page("map", study=study.key, point=str(study.test_index[4]))
    app.selectbox(key="_map_colour").set_value("share in the explained prediction").run()
    shares = explanation(study, 4, int(np.argmax(study.logits_test[4]))).shares
    found = {}
    for trace in chart(app, "map_chart")["data"]:
        if trace.get("marker", {}).get("coloraxis"):
            found |= {row[0]: v for row, v in zip(trace["customdata"], numbers(trace["marker"]["color"]), strict=True)}
    np.testing.assert_allclose([found[f"train:{i}"] for i in study.train_index], shares, rtol=1e-5, atol=1e-6)
    assert not any(key.startswith("test:") for key in found)


def test_more_points_than_a_browser_can_draw_are_a_density_with_the_same_selection(made, open_page, monkeypatch):
    from ntkviz.figures import embedding

    monkeypatch.setattr(embedding, "MAX_POINTS", 50)
    study = Store(made.home).load_study(made.keys["digits"])
    chosen = [int(i) for i in study.train_index[[2, 9]]]
    app = open_page("map", study=study.key, point=str(study.test_index[4]), train_set=".".join(map(str, chosen)))
    spec = chart(app, "map_chart")
    assert spec["data"][0]["type"] == "heatmap"
    star, near = overlay(spec)
    assert star == [f"test:{study.test_index[4]}"]
    assert near == [f"train:{i}" for i in study.train_index[np.argsort(-study.rows[4], kind="stable")[:8]]]
    framed = next(trace for trace in spec["data"] if trace.get("name") == "chosen together")
    assert {row[0] for row in framed["customdata"]} == {f"train:{i}" for i in chosen}
