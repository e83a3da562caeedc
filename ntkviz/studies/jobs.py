"""Long work outside the page and the app that asked for it: start, follow, cancel.

A job is a row in the home's database. What a page does here is write and read rows; a supervisor
(:mod:`ntkviz.studies.supervisor`) starts the processes and watches them. It is started beside the app, and whoever has work for it and finds
none starts one.
"""

import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ntkviz.errors import BudgetExceeded
from ntkviz.studies.job import (
    Job,
    ask_to_stop,
    is_gone,
    job_folder,
    new_job,
    process_of,
    read_job,
    read_jobs,
    remove_job,
)
from ntkviz.studies.preview import with_previews
from ntkviz.studies.quote import quote
from ntkviz.studies.retraining import Retraining
from ntkviz.studies.retraining_run import quote_retraining
from ntkviz.studies.server import server
from ntkviz.studies.spec import InvalidStudy, StudySpec
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.subjects import find_subject
from ntkviz.studies.supervisor import ensure_supervisor, signal_group
from ntkviz.studies.sweep import Sweep
from ntkviz.studies.sweep_run import quote_sweep, specs_to_quote
from ntkviz.studies.task import Task
from ntkviz.studies.workspace import require_own

#: A cancelled job ends within two seconds; the supervisor kills what does not end by itself.
_CANCEL_SECONDS = 2.5


def start(specs: Sequence[StudySpec], home: Path | None = None) -> Job:
    """Queue studies, made one after the other; a large one has a first look before it (:mod:`ntkviz.studies.preview`).

    Args:
        specs: the studies.
        home: the folder of store and jobs; ``None`` means :func:`ntkviz_home`.

    Returns:
        the job, queued.

    Raises:
        InvalidStudy: when there are none, or one is not possible.
        BudgetExceeded: when the quote exceeds the memory limit or the free disk, or too many jobs wait.
        NtkvizError: when it cannot be written down.
    """
    home = _home(home)
    if not specs:
        raise InvalidStudy("A job needs at least one study; got none.")
    made = with_previews(specs, home=home)
    estimate = quote(made, home=home)
    estimate.require_budget(home)
    _require_allowed(home, estimate.seconds, made)
    return _queue(home, tuple(made), estimate.per_spec)


def start_retraining(asked: Retraining, home: Path | None = None) -> Job:
    """Queue a retraining. The same one that is under way already is not started twice.

    Args:
        asked: the retraining.
        home: the folder of store and jobs; ``None`` means :func:`ntkviz_home`.

    Returns:
        the job, queued or running.

    Raises:
        InvalidStudy: when it is not possible.
        BudgetExceeded: when it would take more memory than is allowed, or too many jobs wait.
        NtkvizError: when its quote cannot be measured, or it cannot be written down.
    """
    home = _home(home)
    estimate = quote_retraining(asked, home=home)
    estimate.require_budget()
    _require_allowed(home, estimate.seconds)
    return _under_way(asked, home) or _queue(home, (asked,), ({"load": 1.0, "truth": estimate.seconds},))


def start_sweep(asked: Sweep, home: Path | None = None) -> Job:
    """Queue a sweep of the size of a projection. The same one that is under way already is not started twice.

    Args:
        asked: the sweep.
        home: the folder of store and jobs; ``None`` means :func:`ntkviz_home`.

    Returns:
        the job, queued or running.

    Raises:
        InvalidStudy: when it is not possible.
        BudgetExceeded: when it would take more memory or time than is allowed, or too many jobs wait.
        NtkvizError: when its quote cannot be measured, or it cannot be written down.
    """
    home = _home(home)
    studies = quote(specs_to_quote(asked), home=home)
    studies.require_budget(home)
    seconds = quote_sweep(asked, studies).seconds
    _require_allowed(home, seconds)
    return _under_way(asked, home) or _queue(home, (asked,), ({"load": 1.0, "sweep": seconds},))


def _under_way(asked: Task, home: Path) -> Job | None:
    """The job that makes just this already."""
    return next((job for job in read_jobs(home, ended=False) if asked in job.specs), None)


def _queue(home: Path, specs: tuple[Task, ...], expected: tuple[dict[str, float], ...]) -> Job:
    """Write a job, and see that somebody works on it.

    Raises:
        BudgetExceeded: when too many jobs wait.
        NtkvizError: when the home is somebody else's, shown by a link.
    """
    require_own(home)
    most = server().most_jobs
    if most is not None and len(read_jobs(home, ended=False)) >= most:
        raise BudgetExceeded(f"{most:.0f} jobs wait or run already. Wait until one has ended, or cancel one.")
    job = new_job(home, specs, expected)
    ensure_supervisor(home)
    return read_job(home, job.id)


def _require_allowed(home: Path, seconds: float, specs: Sequence[StudySpec] = ()) -> None:
    """Check a job against what this server grants a person.

    Args:
        home: the person's folder.
        seconds: of its quote.
        specs: its studies; none for a retraining.

    Raises:
        BudgetExceeded: with the figures, when it is more.
    """
    granted = server()
    if granted.most_minutes is not None and seconds > 60 * granted.most_minutes:
        raise BudgetExceeded(
            f"This takes about {seconds / 60:,.0f} min; a job may take {granted.most_minutes:,.0f} min on this server. Ask for less at a time."
        )
    for spec in specs:
        asked, _ = spec.resolved(find_subject(spec.subject_id, home=home))
        points = (asked.n_train or 0) + (asked.n_test or 0)
        if granted.most_points is not None and points > granted.most_points:
            raise BudgetExceeded(
                f"This study has {points:,} training and test points; {granted.most_points:,.0f} are granted on this server. Ask for fewer."
            )


def status(job_id: str, home: Path | None = None) -> Job:
    """The job as it stands now; sees that somebody works on it.

    Raises:
        NotFound: when there is no such job.
        StoreCorrupted: when it cannot be read.
    """
    home = _home(home)
    job = read_job(home, job_id)
    if not job.ended:
        ensure_supervisor(home)
    return job


def list_jobs(home: Path | None = None) -> list[Job]:
    """All jobs, newest first, as they stand now. A job that cannot be read is left out."""
    home = _home(home)
    found = read_jobs(home)[::-1]
    if any(not job.ended for job in found):
        ensure_supervisor(home)
    return found


def cancel(job_id: str, home: Path | None = None) -> Job:
    """Stop a job, within two seconds: its process is asked, then its whole group is killed. One that has ended stays as it is.

    Raises:
        NotFound: when there is no such job.
        StoreCorrupted: when it cannot be read.
    """
    home = _home(home)
    read_job(home, job_id)
    ask_to_stop(home, job_id)
    asked = read_job(home, job_id)
    process = process_of(asked) if asked.state == "running" else None
    if process is not None:
        signal_group(process, signal.SIGTERM)  # at once; the supervisor, who looks a moment later, waits for the end
    job = wait(job_id, home, seconds=_CANCEL_SECONDS)
    if process is not None and not is_gone(asked, seconds=0.3):  # it has said its last words and may take long to go
        signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        is_gone(asked, seconds=1.0)
    return job


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
        StoreCorrupted: when it cannot be read.
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
        StoreCorrupted: when it cannot be read.
    """
    home = _home(home)
    if not read_job(home, job_id).ended:
        raise ValueError(f"The job {job_id} has not ended; cancel it first.")
    remove_job(home, job_id)
    shutil.rmtree(job_folder(home, job_id), ignore_errors=True)


def _home(home: Path | None) -> Path:
    return ntkviz_home() if home is None else Path(home).expanduser().resolve()
