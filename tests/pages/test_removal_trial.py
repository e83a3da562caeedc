"""Remove and retrain on the page "Can I trust it?": a real job on a tiny network, and what the page makes of it."""

from dataclasses import replace

import numpy as np
import pytest

from ntkviz.studies import jobs, removal_lists
from ntkviz.studies.removal_lists import LISTS, tried_points
from ntkviz.studies.retraining import Retraining, removals_of
from ntkviz.studies.retraining_run import quote_retraining, run_retraining
from ntkviz.studies.store import Store
from ntkviz.studies.subjects import find_subject
from ntkviz.truth.recipe import Training
from ntkviz.ui import recipe_form, removal_trial
from tests.pages.charts import alt, chart, numbers, table
from tests.pages.conftest import texts

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


def words(app) -> str:
    return texts(app).replace("\\", "")


def buttons(app) -> list[str]:
    return [button.key for button in app.button]


def test_a_removal_is_quoted_run_and_shown(made, study, open_page, quick):
    asked = Retraining("removal", "cancer-mlp", QUICK, study=study.key, sizes=(5,))
    quote_retraining(asked, home=made.home)  # measured by now, so that the page need not wait
    app = open_page("fidelity", study=study.key)
    assert not app.exception
    app.button(key="plan_removal").click().run()
    app.number_input(key="_removal_points").set_value(4)
    app.number_input(key="_removal_seeds").set_value(2)
    app.multiselect(key="_removal_sizes").set_value([5, 10]).run()
    assert "82 networks: for each of 4 test points, 5 lists of 5 and 10 examples and 2 seeds" in words(app)
    assert "About " in words(app)
    app.button(key="run_removal").click().run()
    assert not app.exception
    job = jobs.list_jobs()[0]
    asked = job.specs[0]
    assert isinstance(asked, Retraining)
    assert (asked.kind, asked.n_points, asked.n_seeds, asked.sizes, asked.training) == ("removal", 4, 2, (5, 10), QUICK)
    assert jobs.wait(job.id, seconds=240).state == "done"
    app.run()
    assert not app.exception
    tried = removal_trial.read(removals_of(made.home, study.key)[0])
    rows = table(app, "removed", "list", "fall of the margin", "control")
    assert rows["list"].tolist() == [*LISTS.values()] * 2
    assert rows["control"].sum() == 6
    drops = (tried.found.before - tried.found.after).mean(axis=(2, 3))
    np.testing.assert_allclose(rows["fall of the margin"], drops.ravel())
    np.testing.assert_allclose(rows["own list minus this"].to_numpy()[1:5], (drops[0, :1] - drops[0])[1:])
    bars = chart(app, "removal")["data"]
    assert [bar["name"] for bar in bars] == ["5 points removed", "10 points removed"]
    np.testing.assert_allclose(numbers(bars[1]["y"]), drops[1])
    assert "Over 4 test points and 2 seeds" in alt(app, "removal")
    assert "removal_csv" in [button.proto.id.rsplit("-", 1)[-1] for button in app.get("download_button")]
    np.testing.assert_array_equal(tried.found.test, study.test_index[tried_points(study, 4)])


def test_a_running_removal_is_found_after_a_refresh_and_can_be_cancelled(made, study, open_page):
    slow = Retraining("removal", "cancer-mlp", replace(QUICK, epochs=5000), study=study.key, n_points=4, sizes=(5,))
    job = jobs.start_retraining(slow)
    app = open_page("fidelity", study=study.key)  # another session knows nothing of it
    assert not app.exception
    assert "Retraining without 5 points for each of 4 test points, from 5 seeds" in words(app)
    assert "plan_removal" not in buttons(app)
    app.button(key="cancel_job").click().run()
    assert jobs.status(job.id).state == "cancelled"
    assert removals_of(made.home, study.key) == []
    assert "plan_removal" in buttons(app.run())
    assert "it goes on from there" in words(open_page("studies", job=job.id))


def test_earlier_removals_can_be_chosen_and_the_same_is_not_run_twice(made, study, open_page, quick):
    asked = Retraining("removal", "cancer-mlp", QUICK, n_seeds=2, study=study.key, n_points=3, sizes=(5,))
    for one in (asked, replace(asked, n_points=2)):
        run_retraining(one, home=made.home)
    app = open_page("fidelity", study=study.key)
    assert not app.exception
    assert "Over 2 test points" in alt(app, "removal")
    app.selectbox(key="_removal_shown").set_value(asked.key()).run()
    assert "Over 3 test points" in alt(app, "removal")
    app.button(key="plan_removal").click().run()
    app.number_input(key="_removal_points").set_value(3)
    app.number_input(key="_removal_seeds").set_value(2)
    app.multiselect(key="_removal_sizes").set_value([5]).run()
    assert "This was retrained with this recipe" in words(app)
    assert "run_removal" not in buttons(app)
    app.multiselect(key="_removal_sizes").set_value([]).run()
    assert "Choose how many" in words(app)


def test_a_study_with_too_few_examples_of_a_class_says_so(study, open_page, monkeypatch):
    monkeypatch.setattr(removal_lists, "SIZES", (20, 50))
    assert np.bincount(study.y_train).min() <= 20
    app = open_page("fidelity", study=study.key)
    assert "too few training points of some class" in words(app)
    assert "plan_removal" not in buttons(app)


def test_a_network_without_an_architecture_says_why(made, study, open_page, monkeypatch):
    bare = replace(find_subject("cancer-mlp"), architecture={})
    monkeypatch.setattr(removal_trial, "find_subject", lambda *_args, **_more: bare)
    app = open_page("fidelity", study=study.key)
    assert "cannot be started from new parameters" in words(app)
    assert "plan_removal" not in buttons(app)
