import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ntkviz.errors import BudgetExceeded, StoreCorrupted
from ntkviz.studies import jobs
from ntkviz.studies.job import cancel_path, job_folder, log_path, new_job, read_job, write_job
from ntkviz.studies.pipeline import STAGES, run_study
from ntkviz.studies.spec import InvalidStudy, StudySpec
from ntkviz.studies.store import Store

SECONDS = 120.0  # how long a test waits at most; the machine may be busy


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def slow(wide, home) -> StudySpec:
    """A study that takes longer than any test."""
    place, subject = wide
    shutil.copytree(place / "uploads", home / "uploads", dirs_exist_ok=True)
    return StudySpec(upload=subject.id, kernel="proj_trntk")


@pytest.fixture
def quick(spec, store) -> Callable[..., StudySpec]:
    """Makes studies whose kernel is there already: their process does not even import torch."""
    run_study(spec(surrogate="ridge_logits"), store=store)
    return spec


def at_work(job) -> bool:
    return job.state == "running" and job.stage == "kernel"


def log_of(home: Path, job_id: str) -> str:
    path = log_path(home, job_id)
    return path.read_text() if path.exists() else "no log"


def test_a_job_runs_in_a_process_of_its_own_and_its_study_is_there(spec, home):
    specs = [spec(), spec(surrogate="klr")]
    job = jobs.start(specs, home)
    assert job.state == "running"
    assert job.pid not in (None, os.getpid())
    assert os.getsid(job.pid) == job.pid  # the child survives the terminal and the app
    assert [set(stages) for stages in job.expected] == [set(STAGES)] * 2
    done = jobs.wait(job.id, home, seconds=SECONDS)
    assert done.state == "done", log_of(home, job.id)
    assert done.fraction == 1
    assert done.eta_seconds is None
    assert done.finished >= done.started >= done.created
    store = Store(home)
    assert [store.load_study(key).spec.surrogate for key in done.results if key] == ["ridge", "klr"]
    assert done.results == tuple(one.key(home=home) for one in specs)
    assert jobs.list_jobs(home) == [done]
    jobs.delete_job(job.id, home)
    assert jobs.list_jobs(home) == []
    assert store.has_study(specs[0].key(home=home))


def test_progress_is_seen_and_cancel_stops_the_child_within_two_seconds(slow, home):
    job = jobs.start([slow], home)
    job = jobs.wait(job.id, home, seconds=SECONDS, until=at_work)
    assert job.stage == "kernel", log_of(home, job.id)
    assert 0 < job.fraction < 1
    assert job.pid is not None
    process = psutil.Process(job.pid)
    began = time.monotonic()
    cancelled = jobs.cancel(job.id, home)
    seconds = time.monotonic() - began
    assert cancelled.state == "cancelled"
    assert not process.is_running()  # neither at work nor a zombie
    assert seconds < 2.5  # the promise of two seconds, and half a second for a busy machine
    assert Store(home).list_studies() == []
    assert jobs.cancel(job.id, home) == cancelled


def test_a_killed_child_is_reported_with_its_exit_status(slow, home):
    job = jobs.wait(jobs.start([slow], home).id, home, seconds=SECONDS, until=at_work)
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    failed = jobs.wait(job.id, home, seconds=SECONDS)
    assert failed.state == "failed"
    assert "died in the stage 'kernel', perhaps out of memory: exit -9" in failed.error
    assert str(log_path(home, job.id)) in failed.error


def test_a_child_of_another_process_is_followed_and_its_death_noticed(slow, home):
    """As after a restart of the app: whoever started the job is gone."""
    code = f"""
from pathlib import Path
from ntkviz.studies import jobs
from ntkviz.studies.spec import StudySpec
print(jobs.start([StudySpec.from_json({slow.to_json()!r})], Path({str(home)!r})).id)
"""
    root = Path(__file__).resolve().parents[2]
    job_id = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout.strip()
    job = jobs.wait(job_id, home, seconds=SECONDS, until=at_work)
    assert job.state == "running", log_of(home, job_id)
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    failed = jobs.wait(job_id, home, seconds=SECONDS)
    assert failed.state == "failed"
    assert "its exit status is not known" in failed.error


def test_jobs_wait_in_line_and_the_next_starts_by_itself(slow, quick, home):
    first, second, third = (jobs.start([one], home) for one in (slow, quick(), quick(surrogate="klr")))
    assert [first.state, second.state, third.state] == ["running", "queued", "queued"]
    assert [job.queue_position for job in (first, second, third)] == [0, 1, 2]
    assert [job.queue_position for job in jobs.list_jobs(home)] == [2, 1, 0]
    assert jobs.cancel(second.id, home).state == "cancelled"
    assert jobs.status(third.id, home).queue_position == 1
    jobs.cancel(first.id, home)
    assert jobs.wait(third.id, home, seconds=SECONDS).state == "done", log_of(home, third.id)
    assert jobs.status(second.id, home).started == ""


def test_a_study_that_fails_is_told_the_others_are_made_and_the_next_job_starts_unseen(quick, home):
    first = jobs.start([quick(surrogate_options={"lam": -1.0}), quick()], home)
    second = jobs.start([quick(surrogate="klr")], home)
    jobs._started[first.id].wait(SECONDS)
    # Nobody has asked for a status since: the process that finished has started the next job.
    assert read_job(home, second.id).state in ("running", "done"), log_of(home, first.id)
    failed = jobs.status(first.id, home)
    assert failed.state == "failed"
    assert "lam" in failed.error
    assert failed.errors == (failed.error, None)
    assert failed.results == (None, quick().key(home=home))
    assert jobs.wait(second.id, home, seconds=SECONDS).state == "done"


def test_what_is_not_possible_is_refused_before_anything_starts(spec, home, monkeypatch):
    with pytest.raises(InvalidStudy, match="at least one study"):
        jobs.start([], home)
    with pytest.raises(InvalidStudy, match="n_train"):
        jobs.start([spec(n_train=3)], home)
    monkeypatch.setenv("NTKVIZ_MEMORY_MB", "100")
    with pytest.raises(BudgetExceeded, match="100 MB are allowed"):
        jobs.start([spec()], home)
    assert jobs.list_jobs(home) == []


def test_a_number_that_another_process_has_now_is_not_taken_for_the_worker(spec, home):
    job = new_job(home, (spec(),), ({},))
    own = psutil.Process()
    write_job(home, replace(job, state="running", pid=own.pid, process_started=own.create_time() - 60))
    assert jobs.status(job.id, home).state == "failed"


def test_a_launched_job_is_not_run_twice(spec, home):
    job = new_job(home, (spec(),), ({},))  # queued: not meant for the process that follows
    command = [sys.executable, "-m", "ntkviz", "run", "--job", job.id, "--home", str(home)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 1
    assert "not for this process" in done.stderr
    assert read_job(home, job.id).state == "queued"


@pytest.mark.parametrize("job_id", ["", "..", "../uploads", "a/b", "x" * 80])
def test_an_id_never_names_a_folder_elsewhere(home, job_id):
    with pytest.raises(KeyError):
        jobs.status(job_id, home)
    with pytest.raises(KeyError):
        jobs.cancel(job_id, home)


def test_a_damaged_job_file_is_told_and_does_not_stop_the_others(spec, home):
    job = new_job(home, (spec(),), ({},))
    (job_folder(home, job.id) / "job.json").write_text("{")
    with pytest.raises(StoreCorrupted, match=r"job\.json"):
        jobs.status(job.id, home)
    assert jobs.list_jobs(home) == []


def test_the_job_file_is_whole_at_any_time(spec, home):
    job = new_job(home, (spec(),), ({"load": 1.0},))
    assert read_job(home, job.id) == job
    entries = json.loads((job_folder(home, job.id) / "job.json").read_text())
    assert entries["state"] == "queued"
    assert not cancel_path(home, job.id).exists()
