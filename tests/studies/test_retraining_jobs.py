"""Jobs that retrain: the truth of somebody's own network, edits that are verified, lists that are removed. Real processes on a tiny network."""

import time
from dataclasses import replace

import numpy as np
import pytest

from ntkviz.errors import BudgetExceeded, JobCancelled, StoreCorrupted
from ntkviz.explain.what_if import duplicate, relabel, remove
from ntkviz.studies import jobs, retraining_run
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.job import log_path
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.removal_lists import LISTS, removal_lists, tried_points
from ntkviz.studies.retraining import (
    Retraining,
    find_truth,
    known_recipe,
    load_removal,
    load_verification,
    removals_of,
    removed_path,
    truth_folder,
    truth_stamp,
    verifications,
    verified_path,
    why_not,
)
from ntkviz.studies.retraining_run import is_quoted, quote_retraining, run_retraining
from ntkviz.studies.subjects import find_subject, subject_data
from ntkviz.studies.task import task_from_dict
from ntkviz.truth import retrain as truth_retrain
from ntkviz.truth.recipe import Training
from ntkviz.truth.retrain import retrain
from ntkviz.truth.truth import TRUTH, margins_of

SECONDS = 120.0
RECIPE = Training(epochs=2, optimiser="adamw", learning_rate=0.02, weight_decay=1e-3, batch_size=40, seed=5)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def subject(brought):
    return brought[1]


@pytest.fixture
def truth(subject) -> Retraining:
    return Retraining("truth", subject.id, RECIPE, n_seeds=2, n_subsets=6)


@pytest.fixture
def study(spec, store):
    return run_study(spec(surrogate="klr"), store=store)


@pytest.fixture
def verify(subject, study) -> Retraining:
    edits = (remove(3), relabel(4, int((study.y_train[4] + 1) % 3)), duplicate(7, 2))
    return Retraining("verify", subject.id, RECIPE, n_seeds=2, study=study.key, edits=edits)


@pytest.fixture
def removal(subject, study) -> Retraining:
    return Retraining("removal", subject.id, RECIPE, n_seeds=2, study=study.key, n_points=3, sizes=(2, 5))


def test_all_kinds_survive_json(truth, verify, removal, spec):
    for asked in (truth, verify, removal):
        assert task_from_dict(asked.to_dict()) == asked
        assert task_from_dict(asked.to_dict()).key() == asked.key()
    assert task_from_dict(spec().to_dict()) == spec()
    assert replace(verify, n_seeds=3).key() != verify.key()


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"kind": "other"}, "kind"),
        ({"n_seeds": 1}, "seeds"),
        ({"n_subsets": 5000}, "subsets"),
        ({"kind": "verify", "study": "s"}, "make an edit"),
        ({"kind": "removal", "sizes": (5,)}, "needs a study"),
        ({"kind": "removal", "study": "s", "sizes": (5,), "n_points": 0}, "test points"),
        ({"kind": "removal", "study": "s"}, "how many points"),
        ({"kind": "removal", "study": "s", "sizes": (5, 5)}, "each number once"),
    ],
)
def test_what_is_not_possible_is_refused(subject, entries, said):
    with pytest.raises(InvalidStudy, match=said):
        Retraining(**{"kind": "truth", "subject_id": subject.id, "training": RECIPE, **entries})


def test_a_truth_is_made_by_a_job_and_found_by_the_subjects_contents(truth, home, subject):
    data = subject_data(subject.id, home=home)
    assert find_truth(home, subject.id, data) is None
    assert truth_stamp(home, subject.id) == ""
    job = jobs.start_retraining(truth, home)
    assert job.specs == (truth,)
    assert jobs.start_retraining(truth, home).id == job.id  # a second click
    done = jobs.wait(job.id, home, seconds=SECONDS)
    assert done.state == "done", log_path(home, job.id).read_text()
    assert done.results == (subject.content_sha256(),)
    assert done.studies_made == []
    assert (home / "truth" / subject.content_sha256() / TRUTH).is_file()
    found = find_truth(home, subject.id, data)
    assert found is not None
    assert found.masks.shape == (6, 240)
    assert found.margins.shape == (6, 2, 90)
    assert found.sample == subject.id
    assert Training.from_dict(found.recipe) == RECIPE
    assert truth_stamp(home, subject.id)
    with pytest.raises(StoreCorrupted, match="other data"):
        find_truth(home, subject.id, replace(data, y_test=(data.y_test + 1) % 3))


def test_edits_are_verified_by_a_job(verify, home, study):
    assert verifications(home, study.key) == []
    job = jobs.wait(jobs.start_retraining(verify, home).id, home, seconds=SECONDS)
    assert job.state == "done", log_path(home, job.id).read_text()
    assert verifications(home, study.key) == [verified_path(home, verify)]
    asked, found = load_verification(verified_path(home, verify))
    assert asked == verify
    np.testing.assert_array_equal(np.sort(found.test), np.sort(study.test_index))
    assert np.isin(found.removed, study.train_index).all()
    assert found.removed.shape == (2, 3)
    assert found.before.shape == found.after.shape == (2, study.n_test)


def test_lists_are_removed_by_a_job(removal, home, study):
    assert removals_of(home, study.key) == []
    job = jobs.wait(jobs.start_retraining(removal, home).id, home, seconds=SECONDS)
    assert job.state == "done", log_path(home, job.id).read_text()
    assert removals_of(home, study.key) == [removed_path(home, removal)]
    assert [path.name for path in removed_path(home, removal).parent.iterdir()] == [removed_path(home, removal).name]
    asked, lists, found = load_removal(removed_path(home, removal))
    assert (asked, lists) == (removal, tuple(LISTS))
    at = tried_points(study, 3)
    np.testing.assert_array_equal(found.test, study.test_index[at])
    np.testing.assert_array_equal(found.lists, study.train_index[removal_lists(study, at, 5, home=home)])
    np.testing.assert_array_equal(found.sizes, [2, 5])
    assert RECIPE.seed not in found.seeds
    assert found.after.shape == (2, len(LISTS), 3, 2)
    data = subject_data(study.spec.subject_id, home=home)
    mask = np.ones((1, len(data.y_train)), dtype=bool)
    mask[0, found.lists[2, 1, :5]] = False
    logits = retrain(find_subject(study.spec.subject_id, home=home).architecture, data, mask, found.seeds[:1], RECIPE)
    assert found.after[1, 2, 1, 0] == pytest.approx(margins_of(logits[0], data.y_test)[found.test[1]], abs=1e-3)


def test_a_removal_that_was_interrupted_goes_on_where_it_was(removal, home, monkeypatch):
    def stop(stage: str, fraction: float) -> None:
        if stage == "truth" and fraction > 0.7:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        run_retraining(removal, home=home, on_progress=stop)
    kept = list(removed_path(home, removal).with_suffix(".unfinished").glob("*.npy"))
    assert kept
    assert removals_of(home, removal.study) == []
    trained: list[int] = []
    real = truth_retrain._trained
    monkeypatch.setattr(
        truth_retrain, "_trained", lambda work, masks, *more: trained.append(len(masks)) or real(work, masks, *more)
    )
    run_retraining(removal, home=home)
    assert sum(trained) < removal.networks
    assert len(removals_of(home, removal.study)) == 1


def test_cancel_stops_a_retraining_within_two_seconds_and_keeps_nothing(truth, home, subject):
    long = replace(truth, training=replace(RECIPE, epochs=5000), n_subsets=100)
    job = jobs.start_retraining(long, home)
    job = jobs.wait(job.id, home, seconds=SECONDS, until=lambda one: one.stage == "truth")
    assert job.state == "running", log_path(home, job.id).read_text()
    began = time.monotonic()
    assert jobs.cancel(job.id, home).state == "cancelled"
    assert time.monotonic() - began < 2.5
    assert not (truth_folder(home, subject) / TRUTH).exists()


def test_the_quote_is_measured_once_and_in_proportion(truth, verify, removal, home):
    retraining_run._known.clear()
    assert not is_quoted(truth, home=home)
    few = quote_retraining(truth, home=home)
    assert is_quoted(verify, home=home)
    many = quote_retraining(replace(truth, n_subsets=600), home=home)
    longer = quote_retraining(replace(truth, training=replace(RECIPE, epochs=20)), home=home)
    start = retraining_run._START_SECONDS
    assert (many.seconds - start) / (few.seconds - start) == pytest.approx(301 / 4)
    lists = quote_retraining(removal, home=home)
    assert (lists.seconds - start) / (few.seconds - start) == pytest.approx((5 * 3 * 2 + 1) / 4)
    assert (longer.seconds - start) / (few.seconds - start) == pytest.approx(10)


def test_more_memory_than_allowed_is_refused_before_anything_starts(truth, home, monkeypatch):
    monkeypatch.setenv("NTKVIZ_MEMORY_MB", "10")
    with pytest.raises(BudgetExceeded, match="10 MB are allowed"):
        jobs.start_retraining(truth, home)
    assert jobs.list_jobs(home) == []


def test_edits_of_another_subjects_study_are_refused(verify, home):
    with pytest.raises(InvalidStudy, match="not of cancer-mlp"):
        run_retraining(replace(verify, subject_id="cancer-mlp"), home=home)


def test_a_network_without_an_architecture_says_why_it_cannot_be_retrained(truth, home, subject, monkeypatch):
    bare = replace(subject, architecture={})
    assert why_not(subject) == ""
    assert "without a specification" in why_not(bare)
    monkeypatch.setattr(retraining_run, "find_subject", lambda *_args, **_more: bare)
    with pytest.raises(InvalidStudy, match="without a specification"):
        quote_retraining(truth, home=home)


def test_samples_have_recipes_and_uploads_have_none(subject):
    assert known_recipe(find_subject("mnist-mlp-1k")) is not None
    assert known_recipe(subject) is None
