"""Test points chosen together: on the map or by their ids, explained on Behaviours, kept over pages and a refresh, let go."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from ntkviz.studies.store import Store
from tests.pages.charts import chart, table
from tests.pages.conftest import texts
from tests.pages.test_behaviour import mean_effects


def link(app: AppTest) -> dict[str, str]:
    """Where the link to the explanation leads."""
    from urllib.parse import parse_qsl

    found = [one.proto for one in app.get("page_link") if "Explain th" in one.proto.label]
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


def taken(points: list[str], **drawn: list) -> AppTest:
    """What the callback of the map leaves of a selection in the browser."""

    def script():
        from ntkviz.ui import map_view

        map_view._taken()

    app = AppTest.from_function(script, default_timeout=60)
    found = [{"customdata": [key]} for key in points]
    app.session_state["map_chart"] = {"selection": {"points": found, "box": [], "lasso": [], **drawn}}
    return app.run()


@pytest.fixture
def study(made):
    return Store(made.home).load_study(made.keys["digits"])


def test_an_area_of_the_map_chooses_the_test_points_within(study):
    area = {"lasso": [{"x": [0, 1, 1], "y": [0, 0, 1]}]}
    app = taken(["test:9", "train:4", "test:2"], **area)
    assert app.session_state["behaviour_points"] == [2, 9]
    assert "map_selected" not in app.session_state
    none = taken(["train:4"], **area)
    assert "behaviour_points" not in none.session_state
    assert "no test point" in none.toast[0].value
    click = taken(["test:9"])
    assert click.session_state["map_selected"] == "test:9"
    assert "behaviour_points" not in click.session_state


def test_the_mouse_is_for_clicks_until_somebody_wants_an_area(study, open_page):
    app = open_page("map", study=study.key)
    assert chart(app, "map_chart")["layout"]["dragmode"] == "pan"
    for way, drag in (("lasso", "lasso"), ("box", "select")):
        app.button_group(key="_map_mouse").set_value(way).run()
        assert chart(app, "map_chart")["layout"]["dragmode"] == drag
        assert "Draw around test points" in texts(app)


def test_points_chosen_on_the_map_are_marked_counted_and_explained_together(study, open_page):
    members = np.array([1, 4, 6, 7])
    app = open_page("map", study=study.key)
    app.session_state["behaviour_points"] = study.test_index[members].tolist()  # what the lasso's callback does
    app.run()
    framed = next(trace for trace in chart(app, "map_chart")["data"] if trace.get("name") == "chosen together")
    assert [row[0] for row in framed["customdata"]] == [f"test:{i}" for i in study.test_index[members]]
    assert "4 test points chosen" in texts(app)
    labels = study.y_test[members].tolist()
    assert all(f"{study.class_names[c]} ({labels.count(c)})" in texts(app) for c in labels)
    explained(open_page("behaviour", **link(app)), study, members)  # in a new session: what a refresh is


def test_they_survive_other_pages_and_are_let_go_by_a_button(study, open_page):
    members = np.array([0, 5])
    app = open_page("map", study=study.key)
    app.session_state["behaviour_points"] = study.test_index[members].tolist()
    app.run().switch_page("pages/kernels.py").run()
    app.switch_page("pages/behaviour.py").run()
    app.button_group(key="_behaviour_kind").set_value("chosen points").run()
    explained(app, study, members)
    address = {name: app.query_params[name] for name in ("study", "behaviour_kind", "behaviour_points")}
    explained(open_page("behaviour", **address), study, members)
    app.switch_page("pages/map.py").run()
    app.button(key="clear_together").click().run()
    assert "chosen together" not in {trace.get("name") for trace in chart(app, "map_chart")["data"]}
    assert "behaviour_points" not in app.query_params
    app.switch_page("pages/behaviour.py").run()
    assert "Choose some test points" in texts(app)


def test_ids_are_chosen_on_the_page_itself(study, open_page):
    app = open_page("behaviour", study=study.key, behaviour_kind="chosen points")
    ids = study.test_index[[2, 3, 8]].tolist()
    app.multiselect(key="_behaviour_points").set_value(ids).run()
    explained(app, study, np.array([2, 3, 8]))
    assert app.query_params["behaviour_points"] == ".".join(map(str, ids))
    app.multiselect(key="_behaviour_points").set_value([]).run()
    assert "Choose some test points" in texts(app)
    assert "behaviour_points" not in app.query_params


def test_ids_are_pasted_and_those_that_are_no_test_points_are_named(study, open_page):
    app = open_page("behaviour", study=study.key, behaviour_kind="chosen points")
    a, b = study.test_index[[9, 1]]
    app.text_area(key="paste_points").set_value(f"test:{a}\n{b}; {b}, 999999").run()
    app.button(key="paste_choose").click().run()
    explained(app, study, np.array([1, 9]))
    assert "No test points of this study: 999999." in texts(app)


def test_points_that_a_study_lacks_are_counted(study, open_page):
    ids = f"{study.test_index[3]}.999998.999999"
    app = open_page("behaviour", study=study.key, behaviour_kind="chosen points", behaviour_points=ids)
    explained(app, study, np.array([3]))
    assert "2 of the 3 chosen test points are not among those of this study" in texts(app)


def test_the_points_of_one_model_are_not_those_of_another(made, study, open_page):
    app = open_page("map", study=study.key)
    app.session_state["behaviour_points"] = study.test_index[:3].tolist()
    app.run()
    app.query_params["study"] = made.keys["digits_ck"]
    assert "3 test points chosen" in texts(app.run()), "another kernel of the same model"
    app.query_params["study"] = made.keys["table"]
    assert "chosen, by label" not in texts(app.run())
