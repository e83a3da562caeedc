"""Test points chosen together: on the map or by their ids, explained on Behaviours, kept over pages and a refresh, let go."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from ntkviz.figures.embedding import MapPoints
from ntkviz.studies.store import Store
from ntkviz.ui.clicks import Area
from ntkviz.ui.map_view import within
from tests.pages.charts import chart, table
from tests.pages.conftest import texts
from tests.pages.test_behaviour import mean_effects


def link(app: AppTest) -> dict[str, str]:
    """Where the link to the explanation leads."""
    from urllib.parse import parse_qsl

    found = [one.proto for one in app.get("page_link") if "What do the answers to" in one.proto.label]
    assert len(found) == 1
    assert "behaviour" in found[0].page
    return dict(parse_qsl(found[0].query_string))


def explained(app: AppTest, study, members: np.ndarray) -> None:
    """The page explains these points: its totals by class are theirs."""
    assert not app.exception
    mean = mean_effects(study, members, study.y_test[members])
    rows = table(app, "group", "total effect", "typical").set_index("group")
    for c in np.unique(study.y_train):
        assert rows.loc[study.class_names[c], "total effect"] == pytest.approx(mean[study.y_train == c].sum(), abs=1e-9)


@pytest.fixture
def study(made):
    return Store(made.home).load_study(made.keys["digits"])


def test_the_points_within_an_area_are_those_of_the_map_that_it_was_drawn_on():
    first = MapPoints(np.array([[0.0, 0.0], [5.0, 5.0]]), np.zeros(2, int), "train", ["train:4", "train:7"])
    second = MapPoints(np.array([[5.0, 5.0], [0.0, 0.0]]), np.zeros(2, int), "train", ["train:4", "train:7"])
    open_ones = MapPoints(
        np.array([[0.2, 0.1], [0.1, 0.2], [9.0, 9.0]]), np.zeros(3, int), "test", ["test:2", "test:9", "test:1"]
    )
    panels: list = [(first, open_ones), (second, None)]
    around = ((-1.0, 1.0, 1.0, -1.0), (-1.0, -1.0, 1.0, 1.0))
    assert within(Area("lasso", *around), panels) == ["train:4", "test:2", "test:9"]
    assert within(Area("lasso", *around, panel=1), panels) == ["train:7"]
    assert within(Area("box", (1.0, -1.0), (-1.0, 1.0)), panels) == ["train:4", "test:2", "test:9"]
    assert within(Area("box", (20.0, 21.0), (20.0, 21.0)), panels) == []


def test_points_that_a_filter_leaves_out_are_not_chosen():
    shown = np.array([True, False])
    points = MapPoints(np.zeros((2, 2)), np.zeros(2, int), "train", ["train:4", "train:7"], shown=shown)
    assert within(Area("box", (-1.0, 1.0), (-1.0, 1.0)), [(points, None)]) == ["train:4"]


def test_the_mouse_is_for_clicks_until_somebody_wants_an_area(study, open_page):
    app = open_page("map", study=study.key)
    assert chart(app, "map_chart")["layout"]["dragmode"] == "pan"
    for way, drag in (("lasso", "lasso"), ("box", "select")):
        app.button_group(key="_map_mouse").set_value(way).run()
        assert chart(app, "map_chart")["layout"]["dragmode"] == drag
        assert "Draw around points" in texts(app)


def test_points_chosen_on_the_map_are_marked_counted_and_explained_together(study, open_page):
    members = np.array([1, 4, 6, 7])
    app = open_page("map", study=study.key)
    app.session_state["test_set"] = study.test_index[members].tolist()  # what the lasso's callback does
    app.run()
    framed = next(trace for trace in chart(app, "map_chart")["data"] if trace.get("name") == "chosen together")
    assert [row[0] for row in framed["customdata"]] == [f"test:{i}" for i in study.test_index[members]]
    assert any("4 test points" in one.proto.label for one in app.get("page_link"))
    explained(open_page("behaviour", **link(app)), study, members)  # in a new session: what a refresh is


def test_they_survive_other_pages_and_are_let_go_by_a_button(study, open_page):
    members = np.array([0, 5])
    app = open_page("map", study=study.key)
    app.session_state["test_set"] = study.test_index[members].tolist()
    app.run().switch_page("pages/kernels.py").run()
    app.switch_page("pages/behaviour.py").run()
    app.button_group(key="_behaviour_kind").set_value("chosen points").run()
    explained(app, study, members)
    address = {name: app.query_params[name] for name in ("study", "behaviour_kind", "test_set")}
    explained(open_page("behaviour", **address), study, members)
    app.switch_page("pages/map.py").run()
    app.button(key="close_test_set").click().run()
    assert "chosen together" not in {trace.get("name") for trace in chart(app, "map_chart")["data"]}
    assert "test_set" not in app.query_params
    app.switch_page("pages/behaviour.py").run()
    assert "Choose some test points" in texts(app)


def test_ids_are_chosen_on_the_page_itself(study, open_page):
    app = open_page("behaviour", study=study.key, behaviour_kind="chosen points")
    ids = study.test_index[[2, 3, 8]].tolist()
    app.multiselect(key="_test_set").set_value(ids).run()
    explained(app, study, np.array([2, 3, 8]))
    assert app.query_params["test_set"] == ".".join(map(str, ids))
    app.multiselect(key="_test_set").set_value([]).run()
    assert "Choose some test points" in texts(app)
    assert "test_set" not in app.query_params


def test_ids_are_pasted_and_those_that_are_no_test_points_are_named(study, open_page):
    app = open_page("behaviour", study=study.key, behaviour_kind="chosen points")
    a, b = study.test_index[[9, 1]]
    app.text_area(key="paste_points").set_value(f"test:{a}\n{b}; {b}, 999999").run()
    app.button(key="paste_choose").click().run()
    explained(app, study, np.array([1, 9]))
    assert "No test points of this study: 999999." in texts(app)


def test_points_that_a_study_lacks_are_counted(study, open_page):
    ids = f"{study.test_index[3]}.999998.999999"
    app = open_page("behaviour", study=study.key, behaviour_kind="chosen points", test_set=ids)
    explained(app, study, np.array([3]))
    assert "2 of the 3 chosen test points are not among those of this study" in texts(app)


def test_the_points_of_one_model_are_not_those_of_another(made, study, open_page):
    app = open_page("map", study=study.key)
    app.session_state["test_set"] = study.test_index[:3].tolist()
    app.run()
    app.query_params["study"] = made.keys["digits_ck"]
    assert app.run().session_state["test_set"] == study.test_index[:3].tolist(), "another kernel of the same model"
    app.query_params["study"] = made.keys["table"]
    assert "test_set" not in app.run().session_state
