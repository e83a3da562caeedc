"""Which examples a removal takes away: each list holds what its name says."""

from dataclasses import replace

import numpy as np
import pytest

from ntkviz.explain.effects import RemovalEffects
from ntkviz.studies.companion import companion_of
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.removal_lists import LISTS, possible_sizes, removal_lists, tried_points
from ntkviz.studies.subjects import subject_data

K = 5


@pytest.fixture(params=["klr", "kglm"])
def study(request, spec, store):
    return run_study(spec(surrogate=request.param), store=store)


@pytest.fixture
def lists(study, home):
    at = tried_points(study, 6)
    return at, dict(zip(LISTS, removal_lists(study, at, K, home=home), strict=True))


def test_points_are_those_the_network_has_right_evenly_by_class(study):
    at = tried_points(study, 6)
    assert (study.logits_test[at].argmax(axis=1) == study.y_test[at]).all()
    assert np.bincount(study.y_test[at], minlength=3).tolist() == [2, 2, 2]
    wrong = replace(study, logits_test=-study.logits_test)
    assert not np.intersect1d(tried_points(wrong, 100), tried_points(study, 100)).size


def test_every_list_names_other_points_once_and_short_lists_begin_long_ones(study, lists, home):
    at, found = lists
    for values in found.values():
        assert values.shape == (6, K)
        assert (np.diff(np.sort(values, axis=1), axis=1) > 0).all()
    short = removal_lists(study, at, 2, home=home)
    for brief, values in zip(short, found.values(), strict=True):
        np.testing.assert_array_equal(brief, values[:, :2])


def test_effects_and_shares_are_the_largest_there_are(study, lists):
    at, found = lists
    fit = companion_of(study).surrogate
    assert fit is not None
    assert (fit is study.surrogate) == (study.spec.surrogate == "klr")
    exact = RemovalEffects.of_surrogate(fit, study.kernel, study.y_train, leave_one_out=True)
    effects = exact.on_log_odds(study.rows[at], study.logits_test[at], study.y_test[at])
    for m, named in enumerate(found["removal"]):
        others = np.setdiff1d(np.arange(study.n_train), named)
        assert effects[m, named].min() >= effects[m, others].max() - 0.02 * np.abs(effects[m]).max()
    for m, (place, named) in enumerate(zip(at, found["share"], strict=True)):
        own = study.surrogate.weights[study.y_test[place]] * study.rows[place]
        assert own[named].mean() > own.mean(), m


def test_nearest_inputs_are_near_and_of_the_class(study, lists, home):
    at, found = lists
    data = subject_data(study.spec.subject_id, home=home)
    x = data.x_train[study.train_index] / data.x_train[study.train_index].std(axis=0)
    z = data.x_test[study.test_index] / data.x_train[study.train_index].std(axis=0)
    for place, named in zip(at, found["inputs"], strict=True):
        same = np.flatnonzero(study.y_train == study.y_test[place])
        near = same[np.argsort(((x[same] - z[place]) ** 2).sum(axis=1))[:K]]
        assert sorted(named) == sorted(near)


def test_random_lists_are_of_the_class_and_of_any(study, lists):
    at, found = lists
    labels = study.y_test[at][:, None]
    assert (study.y_train[found["same_class"]] == labels).all()
    assert not (study.y_train[found["random"]] == labels).all()
    assert not np.array_equal(found["random"][0], found["random"][1])


def test_a_class_keeps_a_point(study, home):
    least = np.bincount(study.y_train).min()
    assert possible_sizes(study) == tuple(k for k in (5, 10, 20, 50) if k < least)
    with pytest.raises(InvalidStudy, match="Ask for fewer points"):
        removal_lists(study, tried_points(study, 6), int(least), home=home)
