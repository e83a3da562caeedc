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
from ntkviz.studies import jobs, supervisor, worker
from ntkviz.studies.database import opened
from ntkviz.studies.job import ask_to_stop, log_path, new_job, process_of, read_job, write_job
from ntkviz.studies.lock import hold
from ntkviz.studies.pipeline import STAGES, run_study
from ntkviz.studies.server import Server
from ntkviz.studies.spec import InvalidStudy, StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.supervisor import MOST_TRIES, Supervisor

ROOT = Path(__file__).resolve().parents[2]
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
    assert job.state in ("queued", "running")
    job = jobs.wait(job.id, home, seconds=SECONDS, until=lambda job: job.state == "running")
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
    assert process_of(job) is None
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert seconds < 2.5  # the promise of two seconds, and half a second for a busy machine
    assert Store(home).list_studies() == []
    assert jobs.cancel(job.id, home) == cancelled


def killed(job) -> None:
    assert job.pid is not None
    os.killpg(job.pid, signal.SIGKILL)


def test_a_worker_that_dies_is_started_again_and_given_up_in_the_end(slow, home):
    job = jobs.start([slow], home)
    pids = set()
    for tries in range(MOST_TRIES):
        job = jobs.wait(job.id, home, seconds=SECONDS, until=lambda job, n=tries: at_work(job) and job.tries == n)
        assert at_work(job), log_of(home, job.id)
        pids.add(job.pid)
        killed(job)
    failed = jobs.wait(job.id, home, seconds=SECONDS)
    assert failed.state == "failed"
    assert f"died {MOST_TRIES} times, last in the stage 'kernel', perhaps out of memory: exit -9" in failed.error
    assert str(log_path(home, job.id)) in failed.error
    assert len(pids) == MOST_TRIES


def test_studies_made_before_a_death_are_not_made_again(slow, quick, home):
    job = jobs.start([quick(), slow], home)
    job = jobs.wait(job.id, home, seconds=SECONDS, until=at_work)
    killed(job)
    again = jobs.wait(job.id, home, seconds=SECONDS, until=lambda job: at_work(job) and job.tries == 1)
    assert again.results == (quick().key(home=home), None)
    assert log_of(home, job.id).count("load") <= 1
    assert jobs.cancel(job.id, home).state == "cancelled"


def supervisor_of(home: Path) -> psutil.Process:
    """The process that serves a home."""
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "worker" in line and str(home) in line:
            return process
    raise AssertionError("nobody serves the home")


def test_a_killed_supervisor_is_replaced_and_takes_the_worker_over(slow, home, monkeypatch):
    monkeypatch.setattr(supervisor, "_PATIENCE_SECONDS", 2.0)
    job = jobs.wait(jobs.start([slow], home).id, home, seconds=SECONDS, until=at_work)
    first = supervisor_of(home)
    first.kill()
    psutil.wait_procs([first], 10)
    same = jobs.wait(job.id, home, seconds=6, until=lambda job: job.state != "running")
    assert (same.state, same.pid, same.tries) == ("running", job.pid, 0)
    assert supervisor_of(home).pid != first.pid
    assert jobs.cancel(job.id, home).state == "cancelled"
    assert process_of(job) is None


def test_one_supervisor_serves_a_home(home):
    command = [sys.executable, "-m", "ntkviz", "worker", "--home", str(home), "--idle", "60"]
    with subprocess.Popen(command, cwd=ROOT) as first:
        lock = home / "jobs" / "supervisor.lock"
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not (lock.exists() and not free(lock)):
            time.sleep(0.05)
        second = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert second.returncode == 1
        assert "another worker serves" in second.stderr
        first.terminate()
        assert first.wait(10) == 0


def free(lock: Path) -> bool:
    with hold(lock, wait=False) as held:
        return held


def test_jobs_wait_in_line_and_the_next_starts_by_itself(slow, quick, home):
    first, second, third = (jobs.start([one], home) for one in (slow, quick(), quick(surrogate="klr")))
    jobs.wait(first.id, home, seconds=SECONDS, until=lambda job: job.state == "running")
    assert [(job.state, job.queue_position) for job in jobs.list_jobs(home)] == [("queued", 2), ("queued", 1), ("running", 0)]
    assert jobs.cancel(second.id, home).state == "cancelled"
    assert jobs.status(third.id, home).queue_position == 1
    jobs.cancel(first.id, home)
    assert jobs.wait(third.id, home, seconds=SECONDS).state == "done", log_of(home, third.id)
    assert jobs.status(second.id, home).started == ""


def test_homes_of_people_take_turns(spec, home, tmp_path):
    """Whoever has nothing at work comes before the second job of another."""
    root = tmp_path / "root"
    people = [root / "people" / name for name in ("ada", "ben")]
    for one in people:
        shutil.copytree(home / "uploads", one / "uploads")
    served = Supervisor(root)
    served.at_once = 2
    made = [new_job(one, (spec(),), ({},)) for one in (people[0], people[0], people[1])]
    try:
        assert served.look()
        states = [read_job(one, job.id).state for one, job in zip((people[0], people[0], people[1]), made, strict=True)]
        assert states == ["running", "queued", "running"]
    finally:
        for one, job in zip((people[0], people[0], people[1]), made, strict=True):
            ask_to_stop(one, job.id)
        end = time.monotonic() + 10
        while served.look() and time.monotonic() < end:
            time.sleep(0.05)


def test_a_study_that_fails_is_told_and_the_others_are_made(quick, home):
    first = jobs.start([quick(surrogate_options={"lam": -1.0}), quick()], home)
    second = jobs.start([quick(surrogate="klr")], home)
    assert jobs.wait(second.id, home, seconds=SECONDS).state == "done"
    failed = jobs.status(first.id, home)
    assert failed.state == "failed"
    assert "lam" in failed.error
    assert failed.errors == (failed.error, None)
    assert failed.results == (None, quick().key(home=home))


def test_what_is_not_possible_is_refused_before_anything_starts(spec, home, monkeypatch):
    with pytest.raises(InvalidStudy, match="at least one study"):
        jobs.start([], home)
    with pytest.raises(InvalidStudy, match="n_train"):
        jobs.start([spec(n_train=3)], home)
    monkeypatch.setattr(jobs, "server", lambda: Server(most_jobs=0))
    with pytest.raises(BudgetExceeded, match="wait or run already"):
        jobs.start([spec()], home)
    monkeypatch.setenv("NTKVIZ_MEMORY_MB", "100")
    with pytest.raises(BudgetExceeded, match="100 MB are allowed"):
        jobs.start([spec()], home)
    assert jobs.list_jobs(home) == []


def test_a_worker_that_holds_too_much_memory_is_stopped_and_told(slow, home, monkeypatch):
    served = Supervisor(home)
    job = new_job(home, (slow,), ({},))
    monkeypatch.setattr("ntkviz.studies.supervisor.memory_limit_mb", lambda: 50.0)
    end = time.monotonic() + SECONDS
    while served.look() and time.monotonic() < end:
        time.sleep(0.05)
    failed = read_job(home, job.id)
    assert failed.state == "failed"
    assert "held more than 75 MB of memory" in failed.error
    assert not psutil.pid_exists(failed.pid or 0)


def test_a_number_that_another_process_has_now_is_not_taken_for_the_worker(spec, home):
    job = new_job(home, (spec(),), ({},))
    own = psutil.Process()
    write_job(home, replace(job, state="running", tries=MOST_TRIES - 1, pid=own.pid, process_started=own.create_time() - 60))
    Supervisor(home).look()
    failed = read_job(home, job.id)
    assert failed.state == "failed"
    assert "its exit status is not known" in failed.error


def test_a_worker_that_is_not_heard_of_is_replaced(spec, home, monkeypatch):
    """A process that is stopped holds its number for ever."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as hung:
        job = new_job(home, (spec(),), ({},))
        began = psutil.Process(hung.pid).create_time()
        write_job(home, replace(job, state="running", tries=MOST_TRIES - 1, pid=hung.pid, process_started=began))
        served = Supervisor(home)
        assert served.look()
        assert hung.poll() is None  # a laptop that has slept: it gets time to say that it is there
        monkeypatch.setattr(supervisor, "LEASE_SECONDS", 0.0)
        served.look()
        assert hung.wait(10) == -signal.SIGKILL
    assert read_job(home, job.id).state == "failed"


def test_a_process_works_only_on_the_job_that_names_it(spec, home, monkeypatch):
    job = new_job(home, (spec(),), ({},))  # queued: not meant for the process that follows
    monkeypatch.setattr(worker, "_CLAIM_SECONDS", 0.2)
    assert worker.work(job.id, home) == 1
    assert read_job(home, job.id).state == "queued"


@pytest.mark.parametrize("job_id", ["", "..", "../uploads", "a/b", "x" * 80])
def test_an_id_never_names_a_folder_elsewhere(home, job_id):
    with pytest.raises(KeyError):
        jobs.status(job_id, home)
    with pytest.raises(KeyError):
        jobs.cancel(job_id, home)


def test_a_damaged_row_is_told_and_does_not_stop_the_others(spec, home):
    damaged, whole = new_job(home, (spec(),), ({},)), new_job(home, (spec(),), ({"load": 1.0},))
    with opened(home) as connection:
        connection.execute("UPDATE job SET entries = '{' WHERE id = ?", (damaged.id,))
    with pytest.raises(StoreCorrupted, match="cannot be read"):
        jobs.status(damaged.id, home)
    assert [job.id for job in jobs.list_jobs(home)] == [whole.id]
    assert replace(read_job(home, whole.id), queue_position=0) == whole
