"""The page What if: what it shows after edits is what a new fit of the surrogate says."""

import numpy as np
import pytest

from ntkviz.audit.fix_list import Fix
from ntkviz.explain.what_if import WhatIfModel, duplicate, relabel, remove
from ntkviz.scores import scores_of
from ntkviz.studies.store import Store
from ntkviz.surrogates.fit import fit_surrogate
from tests.pages.charts import chart, table
from tests.pages.conftest import texts

KINDS = ["digits", "digits_ck", "table", "text"]


def surrogate_of(study):
    """The surrogate that answers on the page: the study's own, or klr where that has no quick answer."""
    if study.spec.surrogate in {"klr", "ridge"}:
        return study.surrogate
    return fit_surrogate(
        study.kernel,
        study.y_train,
        kind="klr",
        lam="auto",
        n_classes=study.logits_train.shape[1],
        validation=(study.rows, study.y_test),
    )


@pytest.fixture
def opened(made, open_page):
    def go(kind: str, m: int = 0, **memory: object):
        study = Store(made.home).load_study(made.keys[kind])
        app = open_page("what_if", study=study.key, point=int(study.test_index[m]))
        for name, value in memory.items():
            app.session_state[name] = value
        return app.run(), study

    return go


def scores(app) -> np.ndarray:
    return table(app, "class", "score before", "score after")["score after"].to_numpy()


def expected(study, m: int, edits: tuple) -> np.ndarray:
    model = WhatIfModel(surrogate_of(study), study.kernel, study.y_train)
    found = model.apply(study.rows[m : m + 1], edits).scores_after[0]
    return np.array([0.0, found[0]]) if len(found) == 1 else found


def choose(app, study, *points: int):
    """Choose training points by position."""
    return app.multiselect(key="_train_set").set_value([int(study.train_index[i]) for i in points]).run()


@pytest.mark.parametrize("kind", KINDS)
def test_remove_relabel_and_duplicate_answer_as_the_surrogate_does(opened, kind):
    app, study = opened(kind, 2)
    np.testing.assert_allclose(scores(app), expected(study, 2, ()), atol=1e-9)
    label = int((study.y_train[4] + 1) % len(study.class_names))
    choose(app, study, 3, 8).button(key="edit_remove").click().run()
    np.testing.assert_allclose(scores(app), expected(study, 2, (remove(3), remove(8))), atol=1e-9)
    app.selectbox(key="_edit_label").set_value(label).run()
    choose(app, study, 4).button(key="edit_relabel").click().run()
    app.number_input(key="_edit_times").set_value(3).run()
    choose(app, study, 5).button(key="edit_duplicate").click().run()
    assert not app.exception
    edits = (remove(3), remove(8), relabel(4, label), duplicate(5, 3))
    assert app.session_state["edits"][study.key] == edits
    np.testing.assert_allclose(scores(app), expected(study, 2, edits), atol=1e-9)
    listed = table(app, "#", "edit")["edit"].tolist()
    assert listed[0] == f"remove {study.train_index[3]} ({study.class_names[study.y_train[3]]})"
    assert listed[-1].endswith("3 copies")


def test_undo_goes_back_one_edit_and_reset_all(opened):
    app, study = opened("table")
    edits = (remove(3), duplicate(7, 2))
    app.session_state["edits"] = {study.key: edits}
    app.run()
    np.testing.assert_allclose(scores(app), expected(study, 0, edits), atol=1e-9)
    app.button(key="undo_edit").click().run()
    np.testing.assert_allclose(scores(app), expected(study, 0, edits[:1]), atol=1e-9)
    app.button(key="reset_edits").click().run()
    np.testing.assert_allclose(scores(app), expected(study, 0, ()), atol=1e-9)
    assert "None yet" in texts(app)


def test_edits_survive_leaving_the_page_and_another_point(opened):
    app, study = opened("digits", 1)
    choose(app, study, 3).button(key="edit_remove").click().run()
    app.switch_page("pages/map.py").run()
    app.switch_page("pages/what_if.py").run()
    assert app.session_state["edits"][study.key] == (remove(3),)
    np.testing.assert_allclose(scores(app), expected(study, 1, (remove(3),)), atol=1e-9)
    app.selectbox(key="_point").set_value(int(study.test_index[5])).run()
    np.testing.assert_allclose(scores(app), expected(study, 5, (remove(3),)), atol=1e-9)


def test_edits_of_one_study_are_not_those_of_another(opened, made):
    app, study = opened("digits")
    choose(app, study, 3).button(key="edit_remove").click().run()
    app.query_params["study"] = made.keys["digits_ck"]
    app.run()
    assert app.session_state["study"] == made.keys["digits_ck"]
    assert "None yet" in texts(app)
    assert study.key in app.session_state["edits"]


@pytest.mark.parametrize("kind", ["digits", "text"])
def test_candidates_are_the_examples_with_the_largest_effects(opened, kind):
    app, study = opened(kind, 1)
    model = WhatIfModel(surrogate_of(study), study.kernel, study.y_train)
    named = scores_of(model.surrogate.decision_function(study.rows[1:2])).predicted
    effects = model.effects(study.rows[1:2], named)[0]
    shown = table(app, "picture", "id", "effect", "similarity")
    order = np.argsort(-effects, kind="stable")
    ends = [*order[:12], *order[::-1][:12]]
    assert shown["id"].tolist() == study.train_index[ends].tolist()
    np.testing.assert_allclose(shown["effect"], effects[ends], atol=1e-9)
    np.testing.assert_allclose(shown["similarity"], study.rows[1][ends])
    every = table(app, "training point", "effect")
    assert len(every) == study.n_train


def test_a_removed_example_is_no_candidate_any_more(opened):
    app, study = opened("digits")
    first = int(table(app, "picture", "id", "effect")["id"].iloc[0])
    position = int(np.flatnonzero(study.train_index == first)[0])
    choose(app, study, position).button(key="edit_remove").click().run()
    assert not any(option.startswith(f"{first}:") for option in app.multiselect(key="_train_set").options)
    assert first not in table(app, "picture", "id", "effect")["id"].tolist()
    assert len(table(app, "training point", "effect")) == study.n_train - 1
    assert app.session_state["_train_set"] == []


def test_the_surrogate_that_answers_is_named(opened):
    app, _ = opened("digits")
    assert "a **Kernel logistic regression** was fitted on the study's kernel" in texts(app)
    app, _ = opened("table")
    assert "Answers are those of the study's surrogate, Kernel logistic regression" in texts(app)


def test_points_that_change_are_counted_and_listed(opened):
    app, study = opened("text", 0)
    model = WhatIfModel(surrogate_of(study), study.kernel, study.y_train)
    members = np.flatnonzero(study.y_train == 0)[:-1]
    edits = tuple(remove(int(i)) for i in members)
    app.session_state["edits"] = {study.key: edits}
    app.run()
    found = model.apply(study.rows, edits)
    changed = found.changed[found.changed != 0]
    assert len(changed)
    listed = table(app, "test point", "before", "after")
    assert listed["test point"].tolist() == study.test_index[changed].tolist()
    better = int(((found.predicted_after == study.y_test) & (found.predicted_before != study.y_test))[changed].sum())
    assert f"{len(changed)} other test point" in texts(app)
    assert f"{better} to the label" in texts(app)


@pytest.mark.parametrize("kind", ["digits", "text"])
def test_the_set_that_flips_does_flip_when_it_is_tried(opened, kind):
    study = opened(kind)[1]
    model = WhatIfModel(surrogate_of(study), study.kernel, study.y_train)
    before = model.surrogate.decision_function(study.rows)
    m = int(scores_of(before).log_odds.max(axis=1).argmin())  # the least sure
    app, _ = opened(kind, m)
    app.button(key="find_flip").click().run()
    assert not app.exception
    assert "the surrogate says" in texts(app)
    path = chart(app, "flip_path")
    assert path["data"]
    app.button(key="take_flip").click().run()
    edits = app.session_state["edits"][study.key]
    assert all(edit.kind == "remove" for edit in edits)
    after = model.apply(study.rows[m : m + 1], edits)
    assert after.predicted_after[0] != after.predicted_before[0]
    assert app.metric[0].value.replace("\\", "") == study.class_names[after.predicted_after[0]]


def test_the_fix_list_is_taken_over(opened, made):
    study = Store(made.home).load_study(made.keys["digits"])
    label = int((study.y_train[6] + 1) % 10)
    mine = {
        ("a", 6): Fix(6, "relabel", "told so", 1.0, "a", label=label),
        ("a", 9): Fix(9, "remove", "told so", 1.0, "a"),
        ("a", 10): Fix(10, "inspect", "told so", 1.0, "a"),
    }
    app, _ = opened("digits", fix_list={study.key: mine})
    app.button(key="take_fixes").click().run()
    assert app.session_state["edits"][study.key] == (relabel(6, label), remove(9))
    assert "take_fixes" not in [button.key for button in app.button]


def test_an_example_that_is_looked_at_can_be_chosen(opened, made):
    study = Store(made.home).load_study(made.keys["digits"])
    app, _ = opened("digits", example=int(study.train_index[11]))
    app.button(key="take_example").click().run()
    assert app.multiselect(key="_train_set").value == [study.train_index[11]]


def test_edits_that_leave_one_class_cannot_be_made(opened):
    app, study = opened("table")
    choose(app, study, *np.flatnonzero(study.y_train == 0).tolist())
    assert app.button(key="edit_remove").disabled
    assert not app.button(key="edit_duplicate").disabled
    choose(app, study)
    assert app.button(key="edit_duplicate").disabled


def test_the_figure_shows_the_probabilities_of_the_table(opened):
    app, study = opened("digits", 3, edits={})
    choose(app, study, 1, 2).button(key="edit_remove").click().run()
    values = table(app, "class", "probability before", "probability after")
    traces = {trace["name"]: trace for trace in chart(app, "before_after")["data"] if trace.get("mode") == "markers"}
    from tests.pages.charts import numbers

    np.testing.assert_allclose(numbers(traces["before"]["x"]), values["probability before"], atol=1e-12)
    np.testing.assert_allclose(numbers(traces["after"]["x"]), values["probability after"], atol=1e-12)
    assert len(study.class_names) == len(values)


@pytest.mark.parametrize("edits", ["r999999", "l3-77", "l3--5", "r3.r3", "r3.l3-1"])
def test_edits_of_a_link_that_do_not_fit_are_let_go_of_and_said(made, open_page, edits):
    key = made.keys["digits"]
    app = open_page("what_if", study=key, edits=f"{key[:12]}:{edits}")
    assert not app.exception
    assert any("do not fit the study" in toast.value for toast in app.toast)
    assert "edits" not in app.query_params
