"""The page Behaviours: the right test points, totals that add up, and comparisons that are said."""

import numpy as np
import pytest

from ntkviz.explain.what_if import WhatIfModel
from ntkviz.scores import scores_of
from ntkviz.studies.store import Store
from ntkviz.ui import behaved
from tests.pages.charts import alt, chart, table
from tests.pages.conftest import texts
from tests.pages.test_what_if import surrogate_of

KINDS = ["digits", "digits_ck", "table", "text"]


@pytest.fixture
def opened(made, open_page):
    def go(kind: str, **memory: object):
        study = Store(made.home).load_study(made.keys[kind])
        app = open_page("behaviour", study=study.key)
        for name, value in memory.items():
            app.session_state[name] = value
        return app.run(), study

    return go


def mean_effects(study, members: np.ndarray, classes: np.ndarray) -> np.ndarray:
    model = WhatIfModel(surrogate_of(study), study.kernel, study.y_train)
    return model.effects(study.rows[members], classes).mean(axis=0)


@pytest.mark.parametrize("kind", KINDS)
def test_totals_by_class_are_those_of_the_chosen_points(opened, kind):
    study = opened(kind)[1]
    ids = study.test_index[:4].tolist()
    app, _ = opened(kind, behaviour_kind="chosen points", test_set=ids)
    assert not app.exception
    mean = mean_effects(study, np.arange(4), study.y_test[:4])
    rows = table(app, "group", "total effect", "typical").set_index("group")
    for c, name in enumerate(study.class_names):
        if (study.y_train == c).any():
            assert rows.loc[name, "total effect"] == pytest.approx(mean[study.y_train == c].sum(), abs=1e-9)
    assert rows["training points"].sum() == study.n_train
    assert "4 test points" in texts(app)


def test_a_confusion_is_explained_by_the_class_that_was_named(opened):
    app, study = opened("digits")
    cells = behaved.cells(study)
    if not cells:
        pytest.skip("the network makes no error on these points")
    true, named, inside = next(iter(cells.values()))
    said = scores_of(study.logits_test).predicted
    np.testing.assert_array_equal(inside, np.flatnonzero((study.y_test == true) & (said == named)))
    names = study.class_names
    assert f"{names[true]} taken for {names[named]}" in texts(app)
    assert f"log-odds of **{names[named]}**" in texts(app)
    mean = mean_effects(study, inside, np.full(len(inside), named))
    every = table(app, "training point", "mean effect")
    order = [study.train_index.tolist().index(i) for i in every["training point"]]
    np.testing.assert_allclose(every["mean effect"], mean[order], atol=1e-9)
    assert (np.diff(every["mean effect"].abs()) <= 1e-12).all()


def test_all_errors_are_about_the_label(opened):
    app, study = opened("digits", behaviour_kind="all errors")
    wrong = behaved.wrong(study)
    if not len(wrong):
        pytest.skip("the network makes no error on these points")
    assert f"{len(wrong)} test point" in texts(app) or "one test point" in texts(app)
    assert "effects below zero" in texts(app)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", ["class", "cluster"])
def test_groups_partition_the_training_set_and_are_compared(opened, kind, by):
    study = opened(kind)[1]
    ids = study.test_index[:3].tolist()
    app, _ = opened(kind, behaviour_kind="chosen points", test_set=ids, behaviour_group=by)
    assert not app.exception
    rows = table(app, "group", "total effect", "typical", "p (adjusted)")
    assert rows["training points"].sum() == study.n_train
    assert (rows["low"] <= rows["high"] + 1e-12).all()
    assert "random sets" in texts(app)
    assert alt(app, "carriers")
    assert chart(app, "carriers")["data"]


def test_a_column_of_the_data_makes_groups(made, open_page):
    from dataclasses import replace

    from ntkviz.studies.subjects import subject_data

    study = Store(made.home).load_study(made.keys["digits"])
    data = subject_data(study.spec.subject_id)
    meta = {"split": ["train"] * len(data.x_train) + ["test"] * len(data.x_test)}
    import pandas as pd

    frame = pd.DataFrame(meta).assign(batch=np.arange(len(meta["split"])) % 3, row=np.arange(len(meta["split"])))
    data = replace(data, meta=frame)
    assert "data: batch" in behaved.groupings(study, data)
    assert "data: row" not in behaved.groupings(study, data)
    codes, names = behaved.groups(study, data, "data: batch")
    assert names == ("batch: 0", "batch: 1", "batch: 2")
    np.testing.assert_array_equal(codes, study.train_index % 3)


def test_regions_count_every_point_of_the_behaviour_once(opened):
    study = opened("digits")[1]
    ids = study.test_index[:9].tolist()
    app, _ = opened("digits", behaviour_kind="chosen points", test_set=ids)
    where = table(app, "region", "training points", "under-represented")
    assert where["test points"].sum() == 9
    assert where["training points"].sum() == study.n_train
    each = table(app, "test point", "rank in its class")
    assert each["under-represented"].sum() == where["under-represented"].sum()
    assert "little of their own class near by" in texts(app)


def test_without_points_the_page_asks_for_some(opened):
    app, _ = opened("digits", behaviour_kind="chosen points")
    assert not app.exception
    assert "Choose some test points" in texts(app)


def test_the_points_compared_with_have_the_same_labels_and_are_others(made):
    study = Store(made.home).load_study(made.keys["digits"])
    members = np.flatnonzero(study.y_test == study.y_test[0])[:1]
    chosen = behaved.behaviour(study, "one", members, target=3)
    assert chosen.inside.sum() == 1
    assert (study.y_test[chosen.pool] == study.y_test[0]).all()
    assert len(np.unique(chosen.pool)) == len(chosen.pool) == (study.y_test == study.y_test[0]).sum()
    assert (chosen.target == 3).all()


def test_too_many_points_are_thinned_and_it_is_said(made, monkeypatch):
    monkeypatch.setattr(behaved, "MOST_MEMBERS", 5)
    study = Store(made.home).load_study(made.keys["digits"])
    chosen = behaved.behaviour(study, "all", np.arange(study.n_test), target=None)
    assert len(chosen.members) == 5
    assert "A random 5" in chosen.notes[0]
    np.testing.assert_array_equal(chosen.target, study.y_test[chosen.pool])
