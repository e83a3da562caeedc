"""Laws of the one selection: what is chosen on a page is chosen on all, ids of one subject mean nothing in another, every change can be taken back."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from ntkviz.studies.store import Store


@pytest.fixture
def study(made):
    return Store(made.home).load_study(made.keys["digits"])


def chosen(app: AppTest) -> dict:
    return {name: app.session_state[name] for name in ("point", "example", "test_set", "train_set") if name in app.session_state}


def test_what_is_looked_at_on_one_page_is_looked_at_on_all(study, open_page):
    app = open_page("map", study=study.key, point=str(study.test_index[3]))
    for page in ("explain", "what_if", "fidelity"):
        app.switch_page(f"pages/{page}.py").run()
        assert app.session_state["point"] == study.test_index[3]
        assert app.query_params["point"] == str(study.test_index[3])
        assert any(f"Test point {study.test_index[3]}, labelled" in one.value for one in app.markdown)


def test_a_neighbour_is_walked_on_to_and_every_step_is_taken_back(study, open_page):
    app = open_page("explain", study=study.key, point=str(study.test_index[3]))
    steps = [chosen(app)]
    for _ in range(3):
        step = next(
            b
            for b in app.button
            if b.key.startswith(("near_train_", "effect_train_")) and b.label != str(steps[-1].get("example"))
        )
        step.click().run()
        assert not app.exception
        steps.append(chosen(app))
        assert steps[-1]["example"] == int(step.label)
        assert steps[-1]["point"] == study.test_index[3]
    for before in reversed(steps[:-1]):
        app.button(key="selection_undo").click().run()
        assert chosen(app) == before
    assert "selection_undo" not in {b.key for b in app.button}


def test_a_training_example_leads_to_the_test_points_that_are_most_like_it(study, open_page):
    app = open_page("map", study=study.key, example=str(study.train_index[5]))
    nearest = np.argsort(-np.asarray(study.rows[:, 5], dtype=np.float64), kind="stable")[0]
    app.button(key=f"reached_test_{study.test_index[nearest]}").click().run()
    assert chosen(app) == {"point": study.test_index[nearest]}


def test_an_example_is_put_among_the_chosen_and_taken_out(study, open_page):
    app = open_page("map", study=study.key, example=str(study.train_index[5]), train_set=str(study.train_index[8]))
    app.button(key="example_member").click().run()
    assert app.session_state["train_set"] == sorted(study.train_index[[5, 8]].tolist())
    app.switch_page("pages/what_if.py").run()
    assert sorted(app.multiselect(key="_train_set").value) == sorted(study.train_index[[5, 8]].tolist())
    app.switch_page("pages/map.py").run()
    app.button(key="example_member").click().run()
    assert app.session_state["train_set"] == [study.train_index[8]]


def test_ids_of_one_subject_mean_nothing_in_another(made, study, open_page):
    app = open_page("map", study=study.key, point=str(study.test_index[3]), train_set=str(study.train_index[8]))
    app.query_params["study"] = made.keys["digits_ck"]
    assert app.run().session_state["point"] == study.test_index[3], "another kernel of the same model"
    app.query_params["study"] = made.keys["table"]
    assert chosen(app.run()) == {}
    assert "selection_undo" not in {b.key for b in app.button}


def test_a_link_restores_all_four(study, open_page):
    given = {
        "point": str(study.test_index[3]),
        "example": str(study.train_index[5]),
        "test_set": f"{study.test_index[1]}.{study.test_index[2]}",
        "train_set": str(study.train_index[8]),
    }
    app = open_page("map", study=study.key, **given)
    assert {name: app.query_params[name] for name in given} == given
    leads = {one.proto.label: one.proto.query_string for one in app.get("page_link") if "point=" in one.proto.query_string}
    assert len(leads) >= 5, "each question that follows carries the whole selection"
    assert all(f"example={given['example']}" in query for query in leads.values())
