import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkviz.studies import spec as spec_module
from ntkviz.studies.hashing import canonical_json
from ntkviz.studies.spec import InvalidStudy, StudySpec
from ntkviz.studies.subjects import find_subject

CHANGES = {
    "kernel": "ck",
    "surrogate": "klr",
    "normalize": False,
    "n_train": 50,
    "n_test": 30,
    "seed": 1,
    "surrogate_options": {"lam": 0.5},
}


@pytest.mark.parametrize("field", CHANGES)
def test_the_key_changes_with_each_field(spec, home, field):
    assert spec(**{field: CHANGES[field]}).key(home=home) != spec().key(home=home)


@pytest.mark.parametrize("field", ["kernel", "n_train", "n_test", "seed"])
def test_the_kernel_key_changes_with_what_decides_the_kernel(spec, home, field):
    assert spec(**{field: CHANGES[field]}).kernel_key(home=home) != spec().kernel_key(home=home)


@pytest.mark.parametrize("field", ["surrogate", "normalize", "surrogate_options"])
def test_the_kernel_key_ignores_what_comes_after_the_kernel(spec, home, field):
    assert spec(**{field: CHANGES[field]}).kernel_key(home=home) == spec().kernel_key(home=home)


def test_the_kernel_key_changes_with_the_kernel_options(spec, home):
    keys = {spec(kernel="proj_trntk", kernel_options=options).kernel_key(home=home) for options in ({}, {"proj_dim": 64})}
    assert len(keys) == 2


def test_a_default_that_is_written_out_names_the_same_study(spec, home):
    assert spec(surrogate_options={"lam": 1.0}).key(home=home) == spec().key(home=home)


def test_all_points_are_the_same_as_their_number(spec, home):
    assert spec(n_train=None, n_test=None).key(home=home) == spec(n_train=240, n_test=90).key(home=home)


def test_the_key_changes_with_the_version_of_the_engine(spec, home, monkeypatch):
    before = spec().key(home=home)
    monkeypatch.setattr(spec_module, "ENGINE_VERSION", spec_module.ENGINE_VERSION + 1)
    assert spec().key(home=home) != before


@pytest.mark.parametrize("name", ["weights.safetensors", "architecture.json", "data/arrays.npz"])
def test_the_key_changes_with_the_bytes_of_the_subject(spec, home, name):
    before = spec().key(home=home)
    path = home / "uploads" / spec().upload / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert spec().key(home=home) != before


def test_the_key_does_not_depend_on_where_the_subject_stands(spec, home, tmp_path):
    shutil.copytree(home, tmp_path / "elsewhere")
    assert spec().key(home=tmp_path / "elsewhere") == spec().key(home=home)


def test_more_points_than_there_are_means_all_and_a_note(spec, home):
    made, notes = spec(n_train=1000).resolved(find_subject(spec().upload, home=home))
    assert made.n_train == 240
    assert len(notes) == 1
    assert "1,000 training points" in notes[0]
    assert "240" in notes[0]


def test_fewer_points_than_two_a_class_are_refused(spec, home):
    with pytest.raises(InvalidStudy, match="at least 6"):
        spec(n_train=5).key(home=home)


@given(n=st.none() | st.integers(2, 10**6), seed=st.integers(0, 2**31), normalize=st.booleans(), lam=st.floats(0.1, 10))
def test_json_there_and_back(n, seed, normalize, lam):
    made = StudySpec(sample="x", n_train=n, seed=seed, normalize=normalize, surrogate="ridge", surrogate_options={"lam": lam})
    back = StudySpec.from_json(made.to_json())
    assert back == made
    assert hash(back) == hash(made)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "exactly one of sample and upload"),
        ({"sample": "a", "upload": "b"}, "exactly one of sample and upload"),
        ({"sample": "a", "kernel": "gauss"}, "no kernel 'gauss'; choose one of: trntk"),
        ({"sample": "a", "kernel": "entk"}, "pairs? of points and classes"),
        ({"sample": "a", "surrogate": "tree"}, "no surrogate 'tree'; choose one of"),
        ({"sample": "a", "n_train": 1}, "n_train must be a whole number of at least 2"),
        ({"sample": "a", "n_train": True}, "n_train"),
        ({"sample": "a", "n_test": 2.5}, "n_test"),
        ({"sample": "a", "seed": -1}, "seed"),
        ({"sample": "a", "normalize": 1}, "normalize"),
        ({"sample": "a", "kernel_options": {"width": 3}}, "no option 'width'"),
        ({"sample": "a", "surrogate": "ridge", "surrogate_options": {"lam": {}}}, "must be a number"),
        ({"sample": "a", "surrogate_options": 3}, "mapping"),
    ],
)
def test_what_is_not_possible_is_refused(choices, message):
    with pytest.raises(InvalidStudy, match=message):
        StudySpec(**choices)


@pytest.mark.parametrize("text", ["", "[]", '{"sample": "a", "pickle": 1}', "3", '{"sample": "a", "n_train": "many"}'])
def test_json_that_is_no_study_is_refused(text):
    with pytest.raises(InvalidStudy):
        StudySpec.from_json(text)


def test_an_unknown_subject_is_refused(home):
    with pytest.raises(InvalidStudy, match="no sample 'nothing'"):
        find_subject("nothing", home=home)
    with pytest.raises(InvalidStudy, match="no upload"):
        find_subject("upload-../../etc", home=home)


def test_canonical_json_is_one_text_for_equal_values():
    assert canonical_json({"b": 1, "a": [True, None]}) == canonical_json(json.loads('{"a": [true, null], "b": 1}'))
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": np.inf})
