"""A job's row in the database of a home, and the process that works on it."""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil

from ntkviz.errors import StoreCorrupted
from ntkviz.studies.database import database_path, opened, transaction
from ntkviz.studies.errors import NotFound
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.task import Task, task_from_dict

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")
_ID_LETTERS = set("0123456789abcdefT-")
# A process is the one that was started when its start time agrees this well; the clock ticks 100 times a second.
_SAME_START_SECONDS = 0.05
#: A worker that has not renewed its lease for so long is taken for dead, though its process is there (stopped, or hung in the system).
LEASE_SECONDS = 60.0


@dataclass(frozen=True)
class Job:
    """One or more studies, or a retraining or a sweep, that a process of their own makes.

    Attributes:
        id: names the job; begins with the time it was made and cannot be guessed.
        state: queued, running, done, failed or cancelled.
        specs: the studies (or the retraining, or the sweep), in the order they are made.
        created: ISO 8601, UTC.
        started: when the process was started, or empty.
        finished: when it ended, or empty.
        current: position in ``specs`` of the study at work.
        stage: its stage, see :data:`ntkviz.studies.pipeline.STAGES`.
        stage_fraction: fraction of the stage, in [0, 1].
        fraction: fraction of the whole job, weighted by the quoted seconds, in [0, 1].
        eta_seconds: seconds left by the pace so far; ``None`` while that is not known.
        results: for each study its key (for a retraining or a sweep the name of its result), or ``None`` while there is none.
        errors: for each study the sentence that says why it failed, or ``None``.
        error: why the job failed or was cancelled, or empty.
        pid: the process, or ``None``.
        process_started: its start time, which tells it from a later process with the same number.
        expected: for each study stage -> quoted seconds.
        tries: how often its process has died without having got further.
        kept: finished parts (studies, tiles of kernels) that were on the disk when it last died.
        queue_position: 1 for the next to run, 0 for a job that does not wait.
    """

    id: str
    state: State
    specs: tuple[Task, ...]
    created: str
    started: str = ""
    finished: str = ""
    current: int = 0
    stage: str = ""
    stage_fraction: float = 0.0
    fraction: float = 0.0
    eta_seconds: float | None = None
    results: tuple[str | None, ...] = ()
    errors: tuple[str | None, ...] = ()
    error: str = ""
    pid: int | None = None
    process_started: float | None = None
    expected: tuple[dict[str, float], ...] = ()
    tries: int = 0
    kept: int = 0
    queue_position: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @property
    def studies_made(self) -> list[str]:
        """Keys of the studies that are there."""
        made = zip(self.specs, self.results, strict=False)
        return [key for spec, key in made if key and isinstance(spec, StudySpec)]


def jobs_folder(home: Path) -> Path:
    """The folder with what the processes of jobs printed."""
    return home / "jobs"


def job_folder(home: Path, job_id: str) -> Path:
    """The folder of a job.

    Raises:
        NotFound: when the id is none that this module makes (it never names a folder elsewhere).
    """
    if not job_id or not set(job_id) <= _ID_LETTERS or len(job_id) > 64:
        raise NotFound(f"{job_id[:64]!r} is no job id.")
    return jobs_folder(home) / job_id


def log_path(home: Path, job_id: str) -> Path:
    """The file with what the job's process printed.

    Raises:
        NotFound: when the id is none that this module makes.
    """
    return job_folder(home, job_id) / "log.txt"


def new_job(home: Path, specs: tuple[Task, ...], expected: tuple[dict[str, float], ...]) -> Job:
    """Write a queued job.

    Raises:
        NtkvizError: when it cannot be written.
    """
    # Ids sort by time, to the microsecond, so the queue needs no other order.
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S-%f")
    job = Job(
        id=f"{stamp}-{secrets.token_hex(8)}",
        state="queued",
        specs=specs,
        created=now(),
        results=(None,) * len(specs),
        errors=(None,) * len(specs),
        expected=expected,
    )
    with opened(home) as connection:
        connection.execute("INSERT INTO job (id, state, entries) VALUES (?, ?, ?)", (job.id, job.state, _text(job)))
    return job


def write_job(home: Path, job: Job, *, durable: bool = True) -> None:
    """Replace a job's row.

    Args:
        home: the folder of the store.
        job: what it is now.
        durable: wait for the disk; not worth it for a progress report that is replaced a moment later.

    Raises:
        NotFound: when it was deleted meanwhile.
        NtkvizError: when it cannot be written.
    """
    with opened(home, durable=durable) as connection:
        done = connection.execute("UPDATE job SET state = ?, entries = ? WHERE id = ?", (job.state, _text(job), job.id))
        if not done.rowcount:
            raise NotFound(f"There is no job {job.id!r} in {home}.")


def read_job(home: Path, job_id: str) -> Job:
    """The job as its row has it, with its place in the queue.

    Raises:
        NotFound: when there is none.
        StoreCorrupted: when its row cannot be read.
    """
    job_folder(home, job_id)
    if database_path(home).is_file():
        with opened(home) as connection:
            row = connection.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()
            if row is not None:
                before = connection.execute("SELECT count(*) FROM job WHERE state = 'queued' AND id < ?", (job_id,)).fetchone()[0]
                return replace(_job(row, home), queue_position=before + 1 if row["state"] == "queued" else 0)
    raise NotFound(f"There is no job {job_id!r} in {home}.")


def read_jobs(home: Path, *, ended: bool = True) -> list[Job]:
    """All jobs, oldest first, with their places in the queue; a row that cannot be read is left out.

    Args:
        home: the folder of the store.
        ended: whether those that have ended are wanted as well.
    """
    if not database_path(home).is_file():
        return []
    which = "" if ended else "WHERE state IN ('queued', 'running')"
    with opened(home) as connection:
        rows = connection.execute(f"SELECT * FROM job {which} ORDER BY id").fetchall()
    return list(_placed(rows, home))


def remove_job(home: Path, job_id: str) -> None:
    """Delete a job's row."""
    with opened(home) as connection:
        connection.execute("DELETE FROM job WHERE id = ?", (job_id,))


def ask_to_stop(home: Path, job_id: str) -> None:
    """Ask a job to stop: whoever waits for its turn ends at once, and whoever works finds the wish in its row."""
    with opened(home) as connection, transaction(connection):
        row = connection.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()
        if row is None or row["state"] in ENDED:
            return
        job = _job(row, home)
        if job.state == "queued":
            job = finish(job, "cancelled", "Cancelled before it began.")
        connection.execute("UPDATE job SET state = ?, entries = ?, cancel = 1 WHERE id = ?", (job.state, _text(job), job_id))


def wanted_to_stop(home: Path, job_id: str) -> bool:
    """Whether somebody asked for that."""
    with opened(home) as connection:
        row = connection.execute("SELECT cancel FROM job WHERE id = ?", (job_id,)).fetchone()
    return row is None or bool(row["cancel"])


def renew_lease(home: Path, job_id: str) -> None:
    """Say that the job's process works on."""
    with opened(home, durable=False) as connection:
        connection.execute("UPDATE job SET lease = ? WHERE id = ?", (time.time() + LEASE_SECONDS, job_id))


def lease_ran_out(home: Path, job_id: str) -> bool:
    """Whether the job's process has not been heard of for longer than its lease."""
    with opened(home) as connection:
        row = connection.execute("SELECT lease FROM job WHERE id = ?", (job_id,)).fetchone()
    return row is not None and row["lease"] < time.time()


def finish(job: Job, state: State, error: str = "") -> Job:
    """The job as ended."""
    fraction = 1.0 if state == "done" else job.fraction
    return replace(job, state=state, finished=now(), fraction=fraction, eta_seconds=None, error=error, queue_position=0)


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def process_of(job: Job) -> psutil.Process | None:
    """The job's living process; ``None`` when it is gone, is a zombie, or its number now belongs to another."""
    if job.pid is None or job.process_started is None:
        return None
    with suppress(psutil.Error):
        process = psutil.Process(job.pid)
        same = abs(process.create_time() - job.process_started) < _SAME_START_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    return None


def is_gone(job: Job, *, seconds: float) -> bool:
    """Whether the job's process ends within that time; one that nobody has collected yet counts as gone."""
    end = time.monotonic() + seconds
    while process_of(job) is not None:
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)
    return True


def _placed(rows: Iterable[sqlite3.Row], home: Path) -> Iterable[Job]:
    """The jobs of some rows, with their places in the queue.

    Yields:
        Each that can be read.
    """
    place = 0
    for row in rows:
        place += row["state"] == "queued"
        with suppress(StoreCorrupted):
            yield replace(_job(row, home), queue_position=place if row["state"] == "queued" else 0)


def _text(job: Job) -> str:
    entries = {**asdict(job), "specs": [spec.to_dict() for spec in job.specs]}
    del entries["queue_position"]
    return json.dumps(entries)


def _job(row: sqlite3.Row, home: Path) -> Job:
    """A row as a job.

    Raises:
        StoreCorrupted: when it cannot be read.
    """
    try:
        entries = json.loads(row["entries"])
        known = {f.name for f in fields(Job)}
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in entries.items() if key in known}
        return Job(**{**values, "state": row["state"], "specs": tuple(task_from_dict(spec) for spec in entries["specs"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreCorrupted(
            f"The job {row['id']} in {database_path(home)} cannot be read ({type(error).__name__}: {error}). Delete it."
        ) from error
