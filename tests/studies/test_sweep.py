"""Sweeps of the size of a projection: what they measure, as a job and without."""

import numpy as np
import pytest

from ntkviz.errors import JobCancelled
from ntkviz.kernels.matrix import kernel_blocks
from ntkviz.studies import jobs
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.job import log_path
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.quote import quote
from ntkviz.studies.subjects import load_subject_model, subject_data
from ntkviz.studies.sweep import Sweep, load_sweep, sweep_folder, sweeps_of
from ntkviz.studies.sweep_run import quote_sweep, run_sweep, specs_to_quote
from ntkviz.studies.task import task_from_dict

SECONDS = 120.0


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def study(spec, store):
    return run_study(spec(surrogate="klr"), store=store)


@pytest.fixture
def asked(study) -> Sweep:
    return Sweep(study.spec.subject_id, study.key, dims=(16, 256), n_seeds=3, n_train=study.n_train, n_test=study.n_test)


def test_a_sweep_survives_json(asked):
    again = task_from_dict(asked.to_dict())
    assert again == asked
    assert isinstance(again, Sweep)
    assert again.key() == asked.key()


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"kind": "trntk"}, "proj_trntk or proj_pntk"),
        ({"dims": ()}, "ascend"),
        ({"dims": (64, 32)}, "ascend"),
        ({"dims": (32, 32)}, "ascend"),
        ({"dims": (0, 32)}, "ascend"),
        ({"n_seeds": 1}, "2 to 50 seeds"),
        ({"n_train": 1}, "two points"),
    ],
)
def test_what_is_not_possible_is_refused(entries, said):
    with pytest.raises(InvalidStudy, match=said):
        Sweep(**{"subject_id": "x", "study": "s", **entries})


def test_a_sweep_is_made_by_a_job_and_its_errors_are_those_of_the_kernels(asked, study, home, store):
    job = jobs.start_sweep(asked, home)
    assert jobs.start_sweep(asked, home).id == job.id  # a second click
    done = jobs.wait(job.id, home, seconds=SECONDS)
    assert done.state == "done", log_path(home, job.id).read_text()
    assert done.results == (asked.key(),)
    assert sweeps_of(home, asked.subject_id) == [sweep_folder(home, asked)]
    again, found = load_sweep(sweep_folder(home, asked))
    assert again == asked
    assert found.error.shape == (2, 3)
    data, model = subject_data(asked.subject_id, home=home), load_subject_model(asked.subject_id, home=home)
    points = data.x_train[study.train_index], data.x_test[study.test_index]
    projected = kernel_blocks(model, *points, kind="proj_trntk", seed=2, proj_dim=256).normalised().rows
    exact = study.rows.astype(np.float64)
    assert found.error[1, 2] == pytest.approx(np.linalg.norm(projected - exact) / np.linalg.norm(exact), rel=1e-4)
    assert (found.error[1] < found.error[0].mean()).all()
    assert found.exact_tau == pytest.approx(study.fidelity.kendall_tau)
    assert store.verify() == []
    store.delete(study.key)
    assert sweeps_of(home, asked.subject_id) == []


def test_the_quote_grows_with_sizes_and_seeds(asked, home):
    found = quote(specs_to_quote(asked), home=home)
    few = quote_sweep(asked, found)
    many = quote_sweep(Sweep(**{**asked.to_dict(), "dims": asked.dims, "n_seeds": 6}), found)
    assert many.seconds > few.seconds
    assert few.memory_mb > 0


def test_a_cancelled_sweep_keeps_nothing(asked, home):
    def stop(stage: str, fraction: float) -> None:
        if stage == "sweep" and fraction > 0.3:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        run_sweep(asked, home=home, on_progress=stop)
    assert sweeps_of(home, asked.subject_id) == []


def test_more_points_than_the_study_has_are_refused(asked, home):
    more = Sweep(**{**asked.to_dict(), "dims": asked.dims, "n_train": asked.n_train + 1})
    with pytest.raises(InvalidStudy, match="the study has"):
        run_sweep(more, home=home)
