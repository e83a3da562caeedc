"""The first tab of Explain: effects are those of a fit without the example, and the tab says by whom."""

import numpy as np
import pytest

from ntkviz.explain.effects import RemovalEffects
from ntkviz.scores import scores_of
from ntkviz.studies.companion import companion_of
from ntkviz.studies.store import Store
from ntkviz.surrogates.fit import fit_surrogate
from tests.pages.charts import table
from tests.pages.conftest import texts


@pytest.mark.parametrize("kind", ["digits", "digits_ck", "table", "text"])
def test_the_first_tab_lists_removal_effects(made, open_page, kind: str):
    study = Store(made.home).load_study(made.keys[kind])
    m = 2
    app = open_page("explain", study=study.key, point=int(study.test_index[m]))
    assert not app.exception
    own = study.spec.surrogate in {"klr", "ridge"}
    assert ("does not answer this" in texts(app)) is not own
    shown = table(app, "training point", "removal effect")
    assert sorted(shown["training point"]) == sorted(study.train_index.tolist())
    fit = study.surrogate
    if not own:
        fit = fit_surrogate(
            study.kernel,
            study.y_train,
            kind="klr",
            lam="auto",
            validation=(study.rows, study.y_test),
            n_classes=study.logits_train.shape[1],
        )
    said = int(scores_of(study.logits_test[m : m + 1]).predicted[0])
    effects = RemovalEffects.of_surrogate(fit, study.kernel, study.y_train, leave_one_out=True)
    wanted = effects.on_log_odds(study.rows[m : m + 1], study.logits_test[m : m + 1], np.array([said]))[0]
    by_id = dict(zip(shown["training point"], shown["removal effect"], strict=True))
    np.testing.assert_allclose([by_id[i] for i in study.train_index], wanted, atol=0.02 * np.abs(wanted).max())


def test_a_comparison_of_two_classes_is_the_difference_of_their_effects(made, open_page):
    study = Store(made.home).load_study(made.keys["digits"])
    app = open_page("explain", study=study.key, point=int(study.test_index[0]))
    label = app.selectbox(key="_explain_class").value
    other = (label + 1) % len(study.class_names)
    app.selectbox(key="_explain_against").set_value(other).run()
    assert not app.exception
    assert f"{study.class_names[label]} rather than {study.class_names[other]}" in texts(app)
    assert len(table(app, "training point", "removal effect")) == study.n_train


def test_an_answer_of_another_class_than_the_networks_is_warned_of(made, open_page):
    seen = set()
    for kind in ("digits_ck", "digits"):
        study = Store(made.home).load_study(made.keys[kind])
        answers = companion_of(study)
        if answers.own:
            continue
        assert answers.surrogate is not None
        network = scores_of(study.logits_test).predicted
        other = scores_of(answers.surrogate.decision_function(study.rows)).predicted
        for differs in (True, False):
            for m in np.flatnonzero((network != other) == differs)[:1].tolist():
                app = open_page("explain", study=study.key, point=int(study.test_index[m]))
                assert ("The regression that answers here names" in texts(app)) is differs
                seen.add(differs)
    assert seen == {True, False}
