"""A job on disk: its folder, its state file, and whether its process lives."""

import json
import secrets
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil

from ntkviz.errors import StoreCorrupted
from ntkviz.studies.artefact import replace_text
from ntkviz.studies.errors import NotFound
from ntkviz.studies.retraining import Task, task_from_dict
from ntkviz.studies.spec import StudySpec

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")
_ID_LETTERS = set("0123456789abcdefT-")
# A process is the one that was started when its start time agrees this well; the clock ticks 100 times a second.
_SAME_START_SECONDS = 0.05


@dataclass(frozen=True)
class Job:
    """One or more studies, or a retraining, that a process of their own makes.

    Attributes:
        id: names the job; begins with the time it was made and cannot be guessed.
        state: queued, running, done, failed or cancelled.
        specs: the studies (or the retraining), in the order they are made.
        created: ISO 8601, UTC.
        started: when the process was started, or empty.
        finished: when it ended, or empty.
        current: position in ``specs`` of the study at work.
        stage: its stage, see :data:`ntkviz.studies.pipeline.STAGES`.
        stage_fraction: fraction of the stage, in [0, 1].
        fraction: fraction of the whole job, weighted by the quoted seconds, in [0, 1].
        eta_seconds: seconds left by the pace so far; ``None`` while that is not known.
        results: for each study its key (for a retraining the name of its result), or ``None`` while there is none.
        errors: for each study the sentence that says why it failed, or ``None``.
        error: why the job failed or was cancelled, or empty.
        pid: the process, or ``None``.
        process_started: its start time, which tells it from a later process with the same number.
        expected: for each study stage -> quoted seconds.
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
    """The folder with all jobs of a home."""
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


def cancel_path(home: Path, job_id: str) -> Path:
    """The file whose presence asks the job to stop.

    Raises:
        NotFound: when the id is none that this module makes.
    """
    return job_folder(home, job_id) / "cancel"


def new_job(home: Path, specs: tuple[Task, ...], expected: tuple[dict[str, float], ...]) -> Job:
    """Write a queued job.

    Raises:
        OSError: when the folder cannot be written.
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
    job_folder(home, job.id).mkdir(parents=True)
    write_job(home, job)
    return job


def write_job(home: Path, job: Job, *, sync: bool = True) -> None:
    """Replace the job's state file in one step.

    Raises:
        OSError: when it cannot be written.
    """
    entries = {**asdict(job), "specs": [spec.to_dict() for spec in job.specs]}
    del entries["queue_position"]
    replace_text(job_folder(home, job.id) / "job.json", json.dumps(entries, indent=1), sync=sync)


def read_job(home: Path, job_id: str) -> Job:
    """The job as its state file has it.

    Raises:
        NotFound: when there is none.
        StoreCorrupted: when its file cannot be read.
    """
    path = job_folder(home, job_id) / "job.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(Job)}
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in entries.items() if key in known}
        return Job(**{**values, "specs": tuple(task_from_dict(spec) for spec in entries["specs"])})
    except FileNotFoundError as error:
        raise NotFound(f"There is no job {job_id!r} in {home}.") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreCorrupted(f"{path} cannot be read ({type(error).__name__}: {error}). Delete the folder of the job.") from error


def job_ids(home: Path) -> list[str]:
    """All job ids, oldest first."""
    folder = jobs_folder(home)
    return sorted(path.parent.name for path in folder.glob("*/job.json")) if folder.is_dir() else []


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


def wait_gone(process: psutil.Process, seconds: float) -> bool:
    """Whether the process ends within that time. Does not reap it: that is for its parent, who wants the exit code."""
    end = time.monotonic() + seconds
    while True:
        with suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() >= end:
                    return False
                time.sleep(0.02)
                continue
        return True
