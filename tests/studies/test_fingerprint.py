"""Fingerprints: the same for the same study, and each part tells one thing that differs."""

import shutil

import pytest

from ntkviz.studies.fingerprint import Fingerprint, fingerprint
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store


def of(store: Store, **choices) -> Fingerprint:
    spec = StudySpec(**{"sample": "cancer-mlp", "surrogate": "ridge", "n_train": 30, "n_test": 10, **choices})
    return fingerprint(store, run_study(spec, store=store).key)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("fingerprint") / "home")


def test_it_is_the_same_in_a_copy_of_the_store(store, tmp_path):
    first = of(store)
    shutil.copytree(store.home, tmp_path / "copy")
    assert of(Store(tmp_path / "copy")) == first
    assert of(Store(tmp_path / "again")) == first  # computed anew on the same machine


@pytest.mark.parametrize(
    "choices", [{"seed": 1}, {"n_train": 31}, {"surrogate": "ridge_logits"}, {"kernel": "ck"}, {"normalize": False}]
)
def test_another_request_differs_in_request_and_results(store, choices):
    assert of(store).differences(of(store, **choices)) == ("spec", "results")


def test_another_model_differs_in_model_and_data(store):
    differs = of(store).differences(of(store, sample="mnist-mlp-1k"))
    assert {"model", "data", "results"} <= set(differs)


def test_text_and_back(store):
    mine = of(store)
    assert Fingerprint.parse(str(mine)) == mine
    assert mine.differences(mine) == ()


def test_what_is_not_known_is_not_said_to_differ(store):
    mine = of(store)
    text = str(mine).split(".")
    assert mine.differences(Fingerprint.parse(".".join(["x", "x", *text[2:]]))) == ()


@pytest.mark.parametrize("text", ["", "a.b.c.d.e", "12345678", ".".join(["1234567g"] * 5), ".".join(["12345678"] * 6)])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="Expected 5 parts"):
        Fingerprint.parse(text)
