"""The process of a job: makes its studies, tells of the progress, and ends when it is asked to."""

import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ntkviz.errors import JobCancelled, NtkvizError
from ntkviz.studies.janitor import keep_quota, quota_mb
from ntkviz.studies.job import LEASE_SECONDS, Job, finish, log_path, read_job, renew_lease, wanted_to_stop, write_job
from ntkviz.studies.pace import Pace
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.retraining import Retraining
from ntkviz.studies.retraining_run import run_retraining
from ntkviz.studies.store import Store
from ntkviz.studies.sweep import Sweep
from ntkviz.studies.sweep_run import run_sweep
from ntkviz.studies.task import Task

#: Four reports a second at most: enough for a bar that moves, little for the disk.
_WRITE_SECONDS = 0.25
#: How long a process waits to be named as the worker of its job; whoever started it does that next, unless it was killed in between.
_CLAIM_SECONDS = 10.0


def work(job_id: str, home: Path) -> int:
    """Make the studies of a job that was launched for this process.

    Args:
        job_id: the job.
        home: the folder of store and jobs.

    Returns:
        exit code: 0 when all studies were made, 1 when not.

    Raises:
        NotFound: when there is no such job.
        StoreCorrupted: when its file cannot be read.
    """
    job = _named(job_id, home)
    if job is None:
        print(f"The job {job_id} is not for this process.", file=sys.stderr)
        return 1
    threading.Thread(target=_renew, args=(job_id, home), daemon=True).start()
    ended = _work(job, home)
    write_job(home, ended)
    return 0 if ended.state == "done" else 1


def _named(job_id: str, home: Path) -> Job | None:
    """The job, once its row names this process as its worker; None when it does not come to that."""
    end = time.monotonic() + _CLAIM_SECONDS
    while time.monotonic() < end:
        job = read_job(home, job_id)
        if job.state == "running" and job.pid == os.getpid():
            return job
        if job.ended:
            return None
        time.sleep(0.02)
    return None


def _renew(job_id: str, home: Path) -> None:
    """Renew the lease for as long as this process lives."""
    while True:
        with suppress(NtkvizError):  # a full disk is told by the work itself
            renew_lease(home, job_id)
        time.sleep(LEASE_SECONDS / 6)


def _work(job: Job, home: Path) -> Job:
    """Make the studies; the job as ended."""
    progress = Progress(job, home)
    signal.signal(signal.SIGTERM, lambda *_: progress.stop())
    store = Store(home)
    for position, spec in enumerate(job.specs):
        if job.results[position] or job.errors[position]:  # settled before an earlier process of this job died
            progress.skip(position)
            continue
        try:
            progress.begin(position)
            key = _make(spec, store, progress)
        except JobCancelled as error:
            return finish(progress.job, "cancelled", str(error))
        except NtkvizError as error:
            progress.failed(position, str(error))
        except MemoryError:
            progress.failed(position, "The machine's memory did not suffice. Ask for fewer training points.")
        except Exception as error:
            traceback.print_exc()
            reason = (
                f"An error in ntkviz itself ({type(error).__name__}: {error}). The log has the details: {log_path(home, job.id)}"
            )
            progress.failed(position, reason)
        else:
            progress.made(position, key)
    errors = [error for error in progress.job.errors if error]
    return finish(progress.job, "failed" if errors else "done", " ".join(errors))


def _make(spec: Task, store: Store, progress: "Progress") -> str:
    """Make a study, a retraining or a sweep; the name of the result."""
    if isinstance(spec, Retraining):
        return run_retraining(spec, home=store.home, on_progress=progress)
    if isinstance(spec, Sweep):
        return run_sweep(spec, home=store.home, on_progress=progress)
    key = run_study(spec, store=store, on_progress=progress).key
    for gone in keep_quota(store.home):
        print(f"Deleted the study {gone[:12]}, the longest unused, to keep the quota of {quota_mb():,.0f} MB.")
    return key


class Progress:
    """Keeps a job's state file up to date, and raises :class:`JobCancelled` once the job is to stop.

    Args:
        job: the job, running.
        home: the folder of store and jobs.
    """

    def __init__(self, job: Job, home: Path) -> None:
        self.job = job
        self._home = home
        self._stopping = False
        self._written = time.monotonic()
        self._pace = Pace(job.expected)

    def stop(self) -> None:
        """Raise :class:`JobCancelled` at the next call; safe in a signal handler."""
        self._stopping = True

    def begin(self, position: int) -> None:
        """The study at this position is next."""
        self.job = replace(self.job, current=position)
        self("load", 0.0)

    def __call__(self, stage: str, fraction: float) -> None:
        """Take note of a stage's fraction.

        Raises:
            JobCancelled: when the job is to stop.
        """
        now = time.monotonic()
        report = now - self._written >= _WRITE_SECONDS
        if self._stopping or (report and wanted_to_stop(self._home, self.job.id)):
            raise JobCancelled(f"Cancelled in the stage {stage!r} of study {self.job.current + 1} of {len(self.job.specs)}.")
        self._pace.tell(self.job.current, stage, fraction)
        self.job = replace(
            self.job,
            stage=stage,
            stage_fraction=fraction,
            fraction=self._pace.fraction,
            eta_seconds=self._pace.seconds_left,
        )
        if report:
            self._written = now
            write_job(self._home, self.job, durable=False)

    def skip(self, position: int) -> None:
        """The study was settled before."""
        self._pace.finish(position)

    def made(self, position: int, key: str) -> None:
        """The study is finished."""
        results = tuple(key if i == position else old for i, old in enumerate(self.job.results))
        self._close(position, replace(self.job, results=results))

    def failed(self, position: int, error: str) -> None:
        """The study failed; the others are still made."""
        print(error, file=sys.stderr)
        errors = tuple(error if i == position else old for i, old in enumerate(self.job.errors))
        self._close(position, replace(self.job, errors=errors))

    def _close(self, position: int, job: Job) -> None:
        self._pace.finish(position)
        self.job = replace(job, fraction=self._pace.fraction)
        write_job(self._home, self.job)
