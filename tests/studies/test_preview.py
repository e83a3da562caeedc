"""A large study has a first look before it, which is a study like any other."""

from dataclasses import replace

import pytest

from ntkviz.studies import jobs, preview, tiled
from ntkviz.studies.job import log_path
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.preview import is_preview, with_previews


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """40 points are many, 20 are a first look."""
    monkeypatch.setattr(tiled, "SIDE", 32)
    monkeypatch.setattr(preview, "TRAIN", 20)
    monkeypatch.setattr(preview, "TEST", 10)


def test_it_comes_before_what_goes_by_tiles_and_differs_in_sizes_alone(spec, home):
    first, whole = with_previews([spec()], home=home)
    assert whole == spec()
    assert (first.n_train, first.n_test) == (20, 10)
    assert replace(first, n_train=40, n_test=20) == whole
    assert with_previews([spec(n_test=5)], home=home)[0].n_test == 5
    everything = with_previews([spec(n_train=None, n_test=None)], home=home)
    assert [one.n_train for one in everything] == [20, None]
    assert [is_preview(everything, position) for position in (0, 1)] == [True, False]


def test_several_surrogates_have_one_each_and_the_same_study_only_one(spec, home):
    asked = [spec(), spec(surrogate="klr"), spec(seed=1, kernel="ck"), spec()]
    made = with_previews(asked, home=home)
    assert [one.surrogate for one in made] == ["ridge", "ridge", "klr", "klr", "ridge", "ridge"]
    assert [is_preview(made, position) for position in range(6)] == [True, False, True, False, False, False]


@pytest.mark.parametrize(
    "choices",
    [
        {"n_train": 32},
        {"kernel": "ck"},
        {"budget_seconds": 600.0},
        {"kernel_options": {"arithmetic": "int8"}},
    ],
)
def test_what_is_not_made_by_tiles_has_none(spec, home, choices):
    assert with_previews([spec(**choices)], home=home) == [spec(**choices)]


def test_no_first_look_at_so_few_points_a_class(spec, home, monkeypatch):
    monkeypatch.setattr(preview, "TRAIN", 5)  # of three classes
    assert with_previews([spec()], home=home) == [spec()]


def test_what_is_stored_needs_none(spec, store):
    first, whole = with_previews([spec()], home=store.home)
    run_study(first, store=store)
    assert with_previews([spec()], home=store.home) == [whole]
    run_study(whole, store=store)
    assert with_previews([spec(surrogate="klr")], home=store.home) == [spec(surrogate="klr")]


def test_a_job_makes_it_first_and_the_quote_knows_it(spec, store):
    job = jobs.start([spec()], store.home)
    assert [one.n_train for one in job.specs] == [20, 40]
    assert all(sum(stages.values()) > 0 for stages in job.expected)
    ready = jobs.wait(job.id, store.home, seconds=200, until=lambda job: job.results[0] is not None)
    key = ready.results[0]
    assert key is not None, log_path(store.home, job.id).read_text()
    assert store.load_study(key).kernel.shape == (20, 20)
    done = jobs.wait(job.id, store.home, seconds=200)
    assert done.state == "done"
    assert store.load_study(done.studies_made[-1]).kernel.shape == (40, 40)
