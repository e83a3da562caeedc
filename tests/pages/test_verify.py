"""Retrain to verify on the page What if, and retraining of one's own network on the page "Can I trust it?": real jobs on tiny networks."""

from dataclasses import replace

import numpy as np
import pytest

from ntkviz.explain.what_if import WhatIfModel, relabel, remove
from ntkviz.studies import jobs
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.retraining import Retraining, known_recipe, verifications
from ntkviz.studies.retraining_run import run_retraining
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.subjects import find_subject
from ntkviz.studies.uploads import register_upload
from ntkviz.truth.recipe import Training
from ntkviz.truth.truth import Truth
from ntkviz.ui import plane_view, recipe_form, truth_job, verify_view
from tests.pages.charts import chart, numbers, table
from tests.pages.conftest import texts
from tests.studies.conftest import write_files

QUICK = Training(epochs=2, optimiser="adamw", learning_rate=0.02, weight_decay=1e-3, batch_size=40, seed=5)


@pytest.fixture(autouse=True)
def _nothing_left_running():
    yield
    for job in jobs.list_jobs():
        jobs.cancel(job.id)


@pytest.fixture
def quick(monkeypatch):
    """Samples are trained for two epochs."""
    monkeypatch.setattr(recipe_form, "known_recipe", lambda subject: QUICK if subject.source == "sample" else None)


@pytest.fixture
def study(made):
    return Store(made.home).load_study(made.keys["table"])


@pytest.fixture
def own(home, tmp_path):
    """A study of all training points of somebody's own network."""
    files = write_files(tmp_path, n_train=60)
    subject = register_upload(files["model"], files["data"], architecture=files["architecture"], home=home, title="Mine")
    return run_study(StudySpec(upload=subject.id, kernel="ck", surrogate="klr"), store=Store(home))


def some_edits(study) -> tuple:
    members = np.flatnonzero(study.y_train == 0)[:8].tolist()
    return (*(remove(i) for i in members), relabel(int(np.flatnonzero(study.y_train == 1)[0]), 0))


def words(app) -> str:
    return texts(app).replace("\\", "")


def test_without_edits_there_is_nothing_to_verify(made, open_page):
    app = open_page("what_if", study=made.keys["table"])
    assert "Make an edit above" in words(app)
    assert "plan_verify" not in [button.key for button in app.button]


def test_edits_are_quoted_retrained_and_compared(made, study, open_page, quick):
    app = open_page("what_if", study=study.key)
    edits = some_edits(study)
    app.session_state["edits"] = {study.key: edits}
    app.run().button(key="plan_verify").click().run()
    app.slider(key="_verify_seeds").set_value(2).run()
    assert "2 networks without the edits, 2 with them, 2 with as many random points removed (9)" in words(app)
    assert "About " in words(app)
    app.button(key="run_verify").click().run()
    assert not app.exception
    job = jobs.list_jobs()[0]
    asked = job.specs[0]
    assert isinstance(asked, Retraining)
    assert (asked.edits, asked.n_seeds, asked.study) == (edits, 2, study.key)
    assert app.query_params["job"] == job.id
    assert jobs.wait(job.id, seconds=120).state == "done"
    app.run()
    assert not app.exception
    shown = verify_view.compared(study, verifications(made.home, study.key)[0])
    rows = table(app, "test point", "predicted change", "retrained change")
    assert sorted(rows["test point"]) == sorted(study.test_index)
    model = WhatIfModel(study.surrogate, study.kernel, study.y_train)
    order = [study.test_index.tolist().index(point) for point in rows["test point"]]
    before, after = model.apply(study.rows[order], edits).margins(study.y_test[order])
    np.testing.assert_allclose(rows["predicted change"], after - before, atol=1e-9)
    np.testing.assert_allclose(rows["retrained change"], (shown.found.after - shown.found.before).mean(axis=0), atol=1e-9)
    places = [study.train_index.tolist().index(point) for point in shown.found.removed[0]]
    before, after = model.apply(study.rows[order], [remove(i) for i in places]).margins(study.y_test[order])
    np.testing.assert_allclose(shown.random[0], after - before, atol=1e-9)
    drawn = [trace for trace in chart(app, "verified")["data"] if trace["mode"] == "markers"]
    assert [trace["name"] for trace in drawn] == ["with the edits", "9 random removed"]
    np.testing.assert_allclose(numbers(drawn[0]["y"]), rows["retrained change"], atol=1e-9)
    assert verify_view.reading(shown) in words(app)
    assert "40 of the 400 training points" in words(app)


def test_a_running_retraining_is_found_after_a_refresh_and_can_be_cancelled(made, study, open_page):
    asked = Retraining("verify", "cancer-mlp", replace(QUICK, epochs=5000), study=study.key, edits=some_edits(study))
    job = jobs.start_retraining(asked)
    app = open_page("what_if", study=study.key)  # another session knows nothing of it
    assert not app.exception
    assert "These networks are being trained now" in words(app)
    assert "Retraining with 9 edits from 5 seeds" in words(app)
    app.button(key="cancel_job").click().run()
    assert jobs.status(job.id).state == "cancelled"
    app.run()
    assert "Make an edit above" in words(app)
    assert verifications(made.home, study.key) == []


def test_an_earlier_verification_is_shown_and_its_edits_can_be_taken_up(made, study, open_page):
    edits = some_edits(study)
    run_retraining(Retraining("verify", "cancer-mlp", QUICK, n_seeds=2, study=study.key, edits=edits), home=made.home)
    app = open_page("what_if", study=study.key)
    assert not app.exception
    assert chart(app, "verified")["data"]
    app.button(key="take_verified").click().run()
    assert app.session_state["edits"][study.key] == edits
    assert "take_verified" not in [button.key for button in app.button]


def test_what_seeds_alone_do_is_not_taken_for_an_effect(made, study):
    asked = Retraining("verify", "cancer-mlp", QUICK, n_seeds=2, study=study.key, edits=(remove(0),))
    run_retraining(asked, home=made.home)
    shown = verify_view.compared(study, verifications(made.home, study.key)[0])
    assert "Nothing can be verified" in verify_view.reading(replace(shown, noise=shown.with_edits.spread))
    assert "Nothing can be verified" not in verify_view.reading(replace(shown, noise=0.0))


def test_an_upload_asks_for_its_recipe(own, open_page):
    app = open_page("what_if", study=own.key)
    app.session_state["edits"] = {own.key: (remove(0), remove(5))}
    app.run().button(key="plan_verify").click().run()
    app.number_input(key="_recipe_epochs").set_value(3)
    app.number_input(key="_recipe_rate").set_value(0.05)
    app.selectbox(key="_recipe_optimiser").set_value("sgd")
    app.run()
    assert not app.exception
    app.button(key="run_verify").click().run()
    asked = jobs.list_jobs()[0].specs[0]
    assert isinstance(asked, Retraining)
    assert (asked.training.epochs, asked.training.optimiser, asked.training.learning_rate) == (3, "sgd", 0.05)


def test_a_network_without_an_architecture_says_why_it_cannot_be_retrained(made, own, open_page, monkeypatch):
    bare = replace(find_subject("cancer-mlp"), architecture={})
    for module in (verify_view, truth_job):
        monkeypatch.setattr(module, "find_subject", lambda *_args, **_more: bare)
    app = open_page("what_if", study=made.keys["table"])
    assert "cannot be started from new parameters" in words(app)
    assert "plan_verify" not in [button.key for button in app.button]
    app = open_page("fidelity", study=own.key)  # nobody retrained it, whatever samples ship
    assert "Nobody has retrained this network" in words(app)
    assert "cannot be started from new parameters" in words(app)
    assert "plan_truth" not in [button.key for button in app.button]


def test_the_truth_of_an_own_network_is_made_and_then_shown_on_the_plane(own, home, open_page):
    app = open_page("fidelity", study=own.key)
    assert "Nobody has retrained this network" in words(app)
    app.button(key="plan_truth").click().run()
    app.number_input(key="_recipe_epochs").set_value(2).run()
    app.segmented_control(key="_truth_subsets").set_value(20).run()
    assert "100 networks on 20 random halves of all 60 training points, and 5 on all of them" in words(app)
    app.button(key="run_truth").click().run()
    assert not app.exception
    job = jobs.list_jobs()[0]
    assert jobs.wait(job.id, seconds=120).state == "done"
    app.run()
    assert not app.exception
    truth = plane_view.retrainings(own.spec.subject_id)
    assert isinstance(truth, Truth)
    rows = table(app, "attribution", "LDS", "control")
    assert len(rows) > 3
    assert "What has not been checked" not in words(app)
    app.button(key="delete_truth").click().run()
    assert plane_view.retrainings(own.spec.subject_id) is None
    assert "Nobody has retrained this network" in words(app.run())


def test_a_recipe_that_fails_is_told(own, open_page):
    wild = Training(epochs=20, optimiser="sgd", learning_rate=100.0, weight_decay=50.0, batch_size=8)
    job = jobs.start_retraining(Retraining("verify", own.spec.subject_id, wild, n_seeds=2, study=own.key, edits=(remove(0),)))
    assert jobs.wait(job.id, seconds=120).state == "failed"
    app = open_page("what_if", study=own.key, job=job.id)
    assert "diverged" in words(app)


def test_cards_of_all_retrainable_samples_have_a_recipe(made):
    assert known_recipe(find_subject("cancer-mlp")) is not None
