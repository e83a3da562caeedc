"""Which studies share points, by content; and what differs between specifications."""

from dataclasses import replace

import numpy as np

from ntkviz.studies.comparable import contents_of, differing, shared
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.subjects import subject_data


def test_studies_share_points_when_their_inputs_do(spec, home):
    first = run_study(spec(), home=home)
    data = subject_data(first.spec.subject_id, home=home)
    mine = contents_of(first, data)
    for choices, train, test in (
        ({"kernel": "ck"}, True, True),
        ({"n_train": 30}, False, True),
        ({"n_test": 10}, True, False),
        ({"seed": 1}, False, False),
    ):
        other = run_study(spec(**choices), home=home)
        found = shared(first, other, mine, contents_of(other, data))
        assert (found.train, found.test, found.kernels) == (train, test, train and test), choices
        assert found.network
    changed = data.x_test.copy()
    changed[first.test_index[0], 0] += 1
    found = shared(first, first, mine, contents_of(first, replace(data, x_test=changed)))
    assert (found.train, found.test) == (True, False)


def test_labels_of_training_points_are_told_and_those_of_test_points_count(spec, home):
    first = run_study(spec(), home=home)
    data = subject_data(first.spec.subject_id, home=home)
    mine = contents_of(first, data)
    flipped = replace(first, y_train=(first.y_train + np.eye(1, 40, dtype=np.int64)[0]) % 3)
    found = shared(first, flipped, mine, contents_of(flipped, data))
    assert found.kernels
    assert not found.labels
    assert "another label" in found.sentence()
    wrong = replace(first, y_test=(first.y_test + 1) % 3)
    assert not shared(first, wrong, mine, contents_of(wrong, data)).test


def test_only_what_differs_is_listed():
    base = StudySpec(sample="mnist-mlp", kernel="proj_trntk", kernel_options={"proj_dim": 64}, surrogate="klr")
    assert differing([base, base]) == {}
    other = replace(base, kernel_options={"proj_dim": 128}, seed=3)
    assert differing([base, other]) == {"seed": [0, 3], "proj_trntk: proj_dim": [64, 128]}
    plain = replace(base, kernel="ck", kernel_options={})
    assert differing([base, plain]) == {"kernel": ["proj_trntk", "ck"], "proj_trntk: proj_dim": [64, None]}
