"""The size of effects on the page What if: stretched where networks were retrained on halves, and said not to be known elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from ntkviz.explain.calibration import Estimate
from ntkviz.explain.stretch import stretch, subset_margins
from ntkviz.explain.what_if import WhatIfModel, remove
from ntkviz.scores import log_odds_of
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.retraining import Retraining, verifications
from ntkviz.studies.retraining_run import run_retraining
from ntkviz.studies.store import Store
from ntkviz.studies.stretched import study_stretch
from ntkviz.studies.study import Study
from ntkviz.truth.recipe import Training
from ntkviz.truth.truth import Truth, half_subsets
from ntkviz.ui import plane_view, stretched, verify_view
from tests.pages.charts import alt, chart, numbers, table
from tests.pages.conftest import texts

QUICK = Training(epochs=2, optimiser="adamw", learning_rate=0.02, weight_decay=1e-3, batch_size=40, seed=5)


@pytest.fixture
def study(made) -> Study:
    return Store(made.home).load_study(made.keys["table"])


@pytest.fixture
def model(study) -> WhatIfModel:
    return WhatIfModel(study.surrogate, study.kernel, study.y_train)


def truth_of(study: Study, model: WhatIfModel, factor: float) -> Truth:
    """Networks that move ``factor`` times as much as the surrogate says, with a little noise."""
    masks, rng = half_subsets(study.n_train, 24, 0), np.random.default_rng(0)
    predicted, _ = subset_margins(model, study.rows, study.y_test, masks)
    margins = factor * predicted[:, None] + 0.05 * rng.normal(size=(24, 3, study.n_test))
    return Truth(
        masks=masks,
        margins=margins.astype(np.float16),
        full=np.zeros((3, study.n_test), np.float16),
        y_test=study.y_test,
        train_index=study.train_index,
        test_index=study.test_index,
        seeds=np.arange(3),
        sample=study.spec.subject_id,
        architecture={},
        recipe={},
        data_sha256="",
    )


@pytest.fixture
def retrained(study, model, monkeypatch):
    """A function that puts retrainings in place."""

    def put(factor: float) -> Truth:
        truth = truth_of(study, model, factor)
        monkeypatch.setattr(plane_view, "retrainings", lambda sample: truth if sample == study.spec.subject_id else None)
        stretched._measured.clear()
        return truth

    return put


def words(app) -> str:
    return texts(app).replace("\\", "")


def test_a_study_is_stretched_by_what_its_retrainings_show(study, model, retrained):
    truth = retrained(3.0)
    found = study_stretch(study, truth, model, n_halves=10)
    assert found.factor.value == pytest.approx(3, rel=0.02)
    assert (found.n_subsets, found.n_points, found.n_seeds) == (10, study.n_test, 3)
    predicted, _ = subset_margins(model, study.rows, study.y_test, truth.masks[:10])
    assert found.factor == stretch(predicted, truth.margins[:10].astype(float)).factor


def test_halves_without_a_class_are_left_out_and_told(study, model, retrained):
    truth = retrained(2.0)
    masks = truth.masks.copy()
    masks[1] = study.y_train == 0
    found = study_stretch(study, replace(truth, masks=masks), model, n_halves=5)
    assert found.n_subsets == 5
    assert found.factor.value == pytest.approx(2, rel=0.05)
    assert any("1 halves without a point of some class" in note for note in found.notes)
    with pytest.raises(InvalidStudy, match="Only 0"):
        study_stretch(study, replace(truth, masks=np.tile(study.y_train == 0, (24, 1))), model)


def test_changes_stand_in_both_units(study, model, retrained, open_page):
    retrained(3.0)
    edits = (remove(1), remove(5))
    app = open_page("what_if", study=study.key, point=int(study.test_index[2]))
    assert "Retrained networks moved 3" in words(app)
    assert "times as much as this surrogate says" in words(app)
    assert "on 20 random halves of the training set" in words(app)
    app.session_state["edits"] = {study.key: edits}
    app.run()
    assert not app.exception
    factor = study_stretch(study, truth_of(study, model, 3.0), model).factor.value
    answer = model.apply(study.rows[2:3], edits)
    change = float(answer.margin_after[0] - answer.margin_before[0])
    shown = {metric.label.replace("\\", ""): metric for metric in app.metric}
    now = float(log_odds_of(study.logits_test[2:3], answer.predicted_before)[0])
    expected = shown["In the network"]
    assert float(expected.value.replace("−", "-")) == pytest.approx(now + factor * change, rel=0.01)
    assert float(expected.delta) == pytest.approx(factor * change, rel=0.01)
    effects = table(app, "training point", "effect", "effect, stretched")
    np.testing.assert_allclose(effects["effect, stretched"], factor * effects["effect"])


def test_without_retrainings_the_size_is_said_not_to_be_known(study, open_page, monkeypatch):
    monkeypatch.setattr(plane_view, "retrainings", lambda _sample: None)
    app = open_page("what_if", study=study.key)
    assert not app.exception
    assert "How large these changes would be in the network is not known" in words(app)
    assert "In the network" not in [metric.label for metric in app.metric]
    assert "effect, stretched" not in table(app, "training point", "effect").columns
    assert stretched.applied(study) is None


def test_networks_that_do_not_follow_the_surrogate_give_no_stretch(study, retrained, open_page):
    retrained(-1.0)
    app = open_page("what_if", study=study.key)
    assert "do not follow this surrogate" in words(app)
    assert stretched.applied(study) is None


def test_large_studies_are_measured_when_asked_for(study, retrained, open_page, monkeypatch):
    retrained(3.0)
    monkeypatch.setattr(stretched, "AT_ONCE_UP_TO", 10)
    app = open_page("what_if", study=study.key)
    assert "Retrained networks moved" not in words(app)
    app.button(key="measure_stretch").click().run()
    assert not app.exception
    assert "Retrained networks moved" in words(app)


def test_what_was_confirmed_is_said_with_its_units(study, retrained, made):
    edits = tuple(remove(i) for i in range(6))
    run_retraining(Retraining("verify", "cancer-mlp", QUICK, n_seeds=2, study=study.key, edits=edits), home=made.home)
    path = verifications(made.home, study.key)[0]
    sure = Estimate(2.0, 1.5, 2.5), Estimate(0.9, 0.8, 1.0)
    for truth, said in (
        (None, "2 times what was predicted in the surrogate's own units"),
        (3.0, "2 times what was predicted, stretched"),
    ):
        if truth:
            retrained(truth)
        shown = verify_view.compared(study, path)
        clear = replace(shown, noise=0.0, with_edits=replace(shown.with_edits, slope=sure[0], correlation=sure[1]))
        assert said in verify_view.reading(clear)


@pytest.mark.parametrize("factor", [3.0, None])
def test_verification_draws_stretched_predictions_and_says_which(made, study, retrained, open_page, monkeypatch, factor):
    if factor is None:
        monkeypatch.setattr(plane_view, "retrainings", lambda _sample: None)
    else:
        retrained(factor)
    edits = tuple(remove(i) for i in range(6))
    run_retraining(Retraining("verify", "cancer-mlp", QUICK, n_seeds=2, study=study.key, edits=edits), home=made.home)
    path = verifications(made.home, study.key)[0]
    app = open_page("what_if", study=study.key)
    assert not app.exception
    drawn = [trace for trace in chart(app, "verified")["data"] if trace["mode"] == "markers"]
    rows = table(app, "test point", "predicted change", "retrained change")
    title = chart(app, "verified")["layout"]["xaxis"]["title"]["text"]
    if factor is None:
        assert "drawn in the surrogate's own units, without a stretch" in words(app)
        assert verify_view.compared(study, path).stretch is None
        assert "predicted:" in title
        assert "predicted change, stretched" not in rows.columns
        np.testing.assert_allclose(numbers(drawn[0]["x"]), rows["predicted change"])
    else:
        assert "stretched by 3" in title
        assert "drawn stretched by 3" in words(app)
        np.testing.assert_allclose(numbers(drawn[0]["x"]), rows["predicted change, stretched"])
        np.testing.assert_allclose(rows["predicted change, stretched"], factor * rows["predicted change"], rtol=0.05)
    assert alt(app, "verified")
