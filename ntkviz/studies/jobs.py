"""Long work in a process of its own: start, follow, cancel; it outlives the page and the app that started it.

Everything is in files below ``<home>/jobs``. One job runs at a time; the others wait in the order they came, and whoever
looks next (a page that polls, or the process that finishes) starts the first of them. Two locks keep order: ``queue.lock``
is held while the queue is looked at and changed, ``worker.lock`` by the process that works, for as long as it lives.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil

from ntkviz.errors import StoreCorrupted
from ntkviz.studies.errors import NotFound
from ntkviz.studies.job import (
    Job,
    cancel_path,
    finish,
    job_folder,
    job_ids,
    jobs_folder,
    log_path,
    new_job,
    now,
    process_of,
    read_job,
    wait_gone,
    write_job,
)
from ntkviz.studies.lock import hold
from ntkviz.studies.machine import worker_environment
from ntkviz.studies.quote import quote
from ntkviz.studies.retraining import Retraining, Task
from ntkviz.studies.retraining_run import quote_retraining
from ntkviz.studies.spec import InvalidStudy, StudySpec
from ntkviz.studies.store import ntkviz_home

#: A cancelled job ends within two seconds: the process is asked first and has this long to end by itself.
_GRACE_SECONDS = 1.2
_KILL_SECONDS = 0.7
# Processes that this process started, by job id: only a parent learns the exit code, and must take it.
_started: dict[str, subprocess.Popen] = {}
# Jobs that have ended, which never change again: a page that polls does not read all old files twice a second.
_ended: dict[Path, Job] = {}


def start(specs: Sequence[StudySpec], home: Path | None = None) -> Job:
    """Queue studies, and run them when nothing else runs.

    Args:
        specs: the studies, made one after the other.
        home: the folder of store and jobs; ``None`` means :func:`ntkviz_home`.

    Returns:
        the job, running or queued.

    Raises:
        InvalidStudy: when there are none, or one is not possible.
        BudgetExceeded: when the quote exceeds the memory limit or the free disk.
        OSError: when the folder cannot be written.
    """
    home = _home(home)
    if not specs:
        raise InvalidStudy("A job needs at least one study; got none.")
    estimate = quote(specs, home=home)
    estimate.require_budget(home)
    return _queue(home, tuple(specs), estimate.per_spec)


def start_retraining(asked: Retraining, home: Path | None = None) -> Job:
    """Queue a retraining, and run it when nothing else runs. The same one that is under way already is not started twice.

    Args:
        asked: the retraining.
        home: the folder of store and jobs; ``None`` means :func:`ntkviz_home`.

    Returns:
        the job, running or queued.

    Raises:
        InvalidStudy: when it is not possible.
        BudgetExceeded: when it would take more memory than is allowed.
        NtkvizError: when its quote cannot be measured.
        OSError: when the folder cannot be written.
    """
    home = _home(home)
    estimate = quote_retraining(asked, home=home)
    estimate.require_budget()
    same = next((job for job in list_jobs(home) if not job.ended and asked in job.specs), None)
    return same or _queue(home, (asked,), ({"load": 1.0, "truth": estimate.seconds},))


def _queue(home: Path, specs: tuple[Task, ...], expected: tuple[dict[str, float], ...]) -> Job:
    """Write a job and look whether it can run."""
    with hold(jobs_folder(home) / "queue.lock"):
        job = new_job(home, specs, expected)
        _advance(home)
    return status(job.id, home)


def status(job_id: str, home: Path | None = None) -> Job:
    """The job as it stands now. Notices a process that died, and starts the next job when nothing runs.

    Raises:
        NotFound: when there is no such job.
        StoreCorrupted: when its file cannot be read.
    """
    home = _home(home)
    job = read_job(home, job_id)
    if job.ended:
        _reap(job_id)
        return job
    with hold(jobs_folder(home) / "queue.lock"):
        _advance(home)
        waiting = [waits.id for waits in _all(home) if waits.state == "queued"]
    job = read_job(home, job_id)
    return replace(job, queue_position=waiting.index(job_id) + 1 if job_id in waiting else 0)


def list_jobs(home: Path | None = None) -> list[Job]:
    """All jobs, newest first, as they stand now. A job whose file cannot be read is left out."""
    home = _home(home)
    if not jobs_folder(home).is_dir():
        return []
    with hold(jobs_folder(home) / "queue.lock"):
        _advance(home)
        jobs = _all(home)
    waiting = [job.id for job in jobs if job.state == "queued"]
    placed = [replace(job, queue_position=waiting.index(job.id) + 1 if job.id in waiting else 0) for job in jobs]
    return placed[::-1]


def cancel(job_id: str, home: Path | None = None) -> Job:
    """Stop a job, within two seconds: ask, then kill its whole process group. One that has ended stays as it is.

    Raises:
        NotFound: when there is no such job.
        StoreCorrupted: when its file cannot be read.
    """
    home = _home(home)
    job = read_job(home, job_id)
    if job.ended:
        return job
    with hold(jobs_folder(home) / "queue.lock"):
        cancel_path(home, job_id).touch()
        job = read_job(home, job_id)
        if job.state == "queued":
            write_job(home, finish(job, "cancelled", "Cancelled before it began."))
    # The lock is free while the process ends: it takes the lock to write its last state.
    process = process_of(job)
    if job.state == "running" and process is not None:
        _signal_group(process, signal.SIGTERM)
        if not _ends(job, process, _GRACE_SECONDS):
            _signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
            _ends(job, process, _KILL_SECONDS)
    return status(job_id, home)


def wait(job_id: str, home: Path | None = None, *, seconds: float, until: Callable[[Job], bool] | None = None) -> Job:
    """Follow a job until it has ended, or until ``until`` holds, or the time is over.

    Args:
        job_id: the job.
        home: the folder of store and jobs.
        seconds: how long to wait at most.
        until: a condition that ends the wait as well.

    Returns:
        the job as it stands then.

    Raises:
        NotFound: when there is no such job.
        StoreCorrupted: when its file cannot be read.
    """
    end = time.monotonic() + seconds
    while True:
        job = status(job_id, home)
        if job.ended or (until is not None and until(job)) or time.monotonic() >= end:
            return job
        time.sleep(0.05)


def delete_job(job_id: str, home: Path | None = None) -> None:
    """Forget a job that has ended. Its studies stay.

    Raises:
        NotFound: when there is no such job.
        ValueError: when it has not ended.
        StoreCorrupted: when its file cannot be read.
    """
    home = _home(home)
    if not status(job_id, home).ended:
        raise ValueError(f"The job {job_id} has not ended; cancel it first.")
    _ended.pop(job_folder(home, job_id), None)
    shutil.rmtree(job_folder(home, job_id), ignore_errors=True)


def advance(home: Path) -> None:
    """Start the next job when nothing runs; for the process that has just finished one."""
    with hold(jobs_folder(home) / "queue.lock"):
        _advance(home)


def _advance(home: Path) -> None:
    """Settle jobs whose process is gone, and launch the first that waits. The queue's lock is held."""
    jobs = _all(home)
    running = [job for job in jobs if job.state == "running"]
    for job in running:
        if not _alive(job):
            write_job(home, _dead(home, job))
    for job_id in list(_started):
        _reap(job_id)
    if any(_alive(job) for job in running):
        return
    waiting = [job for job in jobs if job.state == "queued"]
    if waiting:
        _launch(home, waiting[0])


def _launch(home: Path, job: Job) -> None:
    """Start the process of a job and note which one it is. The queue's lock is held, and the process waits for it."""
    environment = {**worker_environment(home), "PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1"}
    # -P: nothing is imported from the working directory.
    command = [sys.executable, "-P", "-m", "ntkviz", "run", "--job", job.id, "--home", str(home)]
    try:
        with log_path(home, job.id).open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=job_folder(home, job.id),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = psutil.Process(child.pid).create_time()
    except (OSError, psutil.Error) as error:
        write_job(home, finish(job, "failed", f"The worker process could not be started ({error})."))
        return
    _started[job.id] = child
    write_job(home, replace(job, state="running", started=now(), stage="start", pid=child.pid, process_started=started))


def _dead(home: Path, job: Job) -> Job:
    """A running job whose process is gone: what is to be said of it."""
    # It may have written its last words since it was read.
    job = read_job(home, job.id)
    code = _reap(job.id)
    if job.ended:
        return job
    if cancel_path(home, job.id).exists():
        return finish(job, "cancelled", "Cancelled; the worker was stopped.")
    exit_text = f"exit {code}" if code is not None else "its exit status is not known"
    where = f" in the stage {job.stage!r}" if job.stage else ""
    memory = ", perhaps out of memory" if code in {None, -9, 137} else ""
    return finish(
        job, "failed", f"The worker died{where}{memory}: {exit_text}. The log has what it printed: {log_path(home, job.id)}"
    )


def _alive(job: Job) -> bool:
    """Whether the job's process still is one. A parent asks the system for its child, which reaps it when it has ended."""
    child = _started.get(job.id)
    return child.poll() is None if child is not None else process_of(job) is not None


def _ends(job: Job, process: psutil.Process, seconds: float) -> bool:
    """Whether the job's process ends within that time."""
    child = _started.get(job.id)
    if child is None:
        return wait_gone(process, seconds)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _reap(job_id: str) -> int | None:
    """The exit code of a process that this process started and that has ended."""
    child = _started.get(job_id)
    code = None if child is None else child.poll()
    if code is not None:
        _started.pop(job_id, None)
    return code


def _signal_group(process: psutil.Process, number: int) -> None:
    """Send a signal to a process and all it started."""
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)  # the worker leads its own session, so its number is its group's
            return
        for child in (*process.children(recursive=True), process):
            child.terminate()


def _all(home: Path) -> list[Job]:
    """All jobs that can be read, oldest first."""
    jobs = []
    for job_id in job_ids(home):
        folder = job_folder(home, job_id)
        with suppress(NotFound, StoreCorrupted):
            job = _ended.get(folder) or read_job(home, job_id)
            if job.ended:
                _ended[folder] = job
            jobs.append(job)
    return jobs


def _home(home: Path | None) -> Path:
    return ntkviz_home() if home is None else Path(home).expanduser().resolve()
