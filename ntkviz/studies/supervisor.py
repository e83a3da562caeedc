"""The process that makes jobs happen: it starts their workers, watches them, stops them, and starts them again when they die.

One a root folder, held by a lock that the system releases when it dies; it keeps nothing that is not in the database, so it may be killed at any
moment: workers go on, and the next supervisor takes them over. It never imports torch.
"""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil

from ntkviz.errors import NtkvizError
from ntkviz.studies.janitor import tidy
from ntkviz.studies.job import (
    LEASE_SECONDS,
    Job,
    finish,
    is_gone,
    job_folder,
    jobs_folder,
    lease_ran_out,
    log_path,
    now,
    process_of,
    read_job,
    read_jobs,
    renew_lease,
    wanted_to_stop,
    write_job,
)
from ntkviz.studies.lock import hold
from ntkviz.studies.machine import memory_limit_mb, worker_environment
from ntkviz.studies.people import expire
from ntkviz.studies.server import server
from ntkviz.studies.sharing import sweep_shares
from ntkviz.studies.shelf import count_tiles
from ntkviz.studies.workspace import homes_below, root_of

#: Seconds between two looks.
_LOOK_SECONDS = 0.1
#: A process that is to stop is asked first and has this long to end by itself.
_GRACE_SECONDS = 1.2
#: How often a job's process may die, without having got further, before the job is given up.
MOST_TRIES = 5
#: What a worker may hold beyond the limit that its quote was held against, before it is stopped: quotes are good to a factor of 1.5.
_MEMORY_SLACK = 1.5
#: A supervisor that somebody started for a job ends when there was nothing to do for so long.
IDLE_SECONDS = 30.0
_TIDY_SECONDS = 3600.0
#: Between two attempts of one process to start a supervisor.
_PATIENCE_SECONDS = 5.0
_attempts: dict[Path, float] = {}


def ensure_supervisor(home: Path) -> None:
    """See that there is a supervisor for this home: start one, in a session of its own, when nobody holds the lock."""
    root = root_of(home)
    if time.monotonic() - _attempts.get(root, -math.inf) < _PATIENCE_SECONDS:
        return
    with hold(_lock(root), wait=False) as free:
        if not free:
            return
    _attempts[root] = time.monotonic()
    command = [sys.executable, "-P", "-m", "ntkviz", "worker", "--home", str(root), "--idle", str(IDLE_SECONDS)]
    with (jobs_folder(root) / "supervisor.log").open("ab") as log:
        subprocess.Popen(
            command,
            cwd=root,
            env=worker_environment(root),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def supervise(root: Path, *, idle_seconds: float = math.inf) -> bool:
    """Serve the homes below a root until there is nothing to do for some time, the root is gone, or SIGTERM comes.

    Args:
        root: the folder.
        idle_seconds: for how long there may be nothing to do.

    Returns:
        False when another supervisor serves the root already.

    Raises:
        NtkvizError: when the server's configuration is not possible.
    """
    server()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    with _held(root) as held:
        if not held:
            return False
        supervisor = Supervisor(root)
        busy = time.monotonic()
        while not stopping and root.is_dir() and time.monotonic() - busy < idle_seconds:
            try:
                if supervisor.look():
                    busy = time.monotonic()
            except NtkvizError as error:  # a full disk, a database that somebody holds: told, and tried again
                print(f"{now()} {error}", file=sys.stderr, flush=True)
                time.sleep(1.0)
            time.sleep(_LOOK_SECONDS)
    if not stopping and root.is_dir() and any(read_jobs(home, ended=False) for home in homes_below(root)):
        ensure_supervisor(root)  # somebody came with work while this one was about to leave
    return True


class Supervisor:
    """Looks at all jobs below a root, and does what is to be done.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.at_once = max(1, int(os.environ.get("NTKVIZ_WORKERS") or 1))
        # Only a parent learns an exit code, and must take it.
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._asked: dict[str, float] = {}
        self._late: dict[str, float] = {}
        self._weighed: dict[str, float] = {}
        self._tidied = -math.inf

    def look(self) -> bool:
        """Settle what has ended, stop what is to stop, start what may start.

        Returns:
            whether any job waits or runs.
        """
        self._tidy()
        unfinished = [(home, job) for home in homes_below(self.root) for job in read_jobs(home, ended=False)]
        working = [pair for pair in unfinished if pair[1].state == "running" and self._watch(*pair)]
        waiting = [pair for pair in unfinished if pair[1].state == "queued"]
        at_work = {job.id for _, job in working}
        for job_id in [job_id for job_id, child in self._children.items() if job_id not in at_work and child.poll() is not None]:
            self._forget(job_id)  # it wrote its last words and went by itself
        served = [home for home, _ in working]
        while waiting and len(served) < self.at_once:
            # Whoever has fewest at work comes first, then who came first.
            home, job = next_pair = min(waiting, key=lambda pair: (served.count(pair[0]), pair[1].id))
            waiting.remove(next_pair)
            self._launch(home, job)
            served.append(home)
        return bool(unfinished)

    def _tidy(self) -> None:
        """Tidy all homes at the start and every hour."""
        if time.monotonic() - self._tidied < _TIDY_SECONDS:
            return
        self._tidied = time.monotonic()
        gone, links = expire(self.root, server().expiry_days), sweep_shares(self.root)
        if gone or links:
            print(f"{now()} {self.root}: removed {gone} unused folders of people and {links} links", file=sys.stderr, flush=True)
        for home in homes_below(self.root):
            done = tidy(home).sentence()
            if done:
                print(f"{now()} {home}: removed {done}", file=sys.stderr, flush=True)

    def _launch(self, home: Path, job: Job) -> None:
        """Start the process of a job and write down which one it is; the process waits until it finds itself named there."""
        environment = {**worker_environment(home), "PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1"}
        # -P: nothing is imported from the working directory.
        command = [sys.executable, "-P", "-m", "ntkviz", "run", "--job", job.id, "--home", str(home)]
        try:
            job_folder(home, job.id).mkdir(parents=True, exist_ok=True)
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
            began = psutil.Process(child.pid).create_time()
        except (OSError, psutil.Error) as error:
            write_job(home, finish(job, "failed", f"The worker process could not be started ({error})."))
            return
        self._children[job.id] = child
        renew_lease(home, job.id)
        write_job(
            home, replace(job, state="running", started=job.started or now(), stage="start", pid=child.pid, process_started=began)
        )

    def _watch(self, home: Path, job: Job) -> bool:
        """Look after the process of a running job.

        Returns:
            whether it still works.
        """
        process = self._alive(job)
        if process is None:
            self._settle(home, job)
            return False
        if wanted_to_stop(home, job.id):
            self._stop(job, process)
        elif self._is_too_large(job, process):
            self._kill(job, process)
            limit = f"{_MEMORY_SLACK * memory_limit_mb():,.0f} MB of memory"
            write_job(
                home,
                finish(
                    read_job(home, job.id), "failed", f"The worker held more than {limit} and was stopped. Ask for fewer points."
                ),
            )
            return False
        elif self._is_hung(home, job):
            self._kill(job, process)
            self._settle(home, job)
            return False
        return True

    def _is_hung(self, home: Path, job: Job) -> bool:
        """Whether the lease ran out, and stayed so for a while: after a laptop has slept, the worker gets time to renew it."""
        if not lease_ran_out(home, job.id):
            self._late.pop(job.id, None)
            return False
        return time.monotonic() - self._late.setdefault(job.id, time.monotonic()) > LEASE_SECONDS / 3

    def _is_too_large(self, job: Job, process: psutil.Process) -> bool:
        """Whether a worker, with all it started, holds more than it may; looked at once a second."""
        if time.monotonic() - self._weighed.get(job.id, -math.inf) < 1.0:
            return False
        self._weighed[job.id] = time.monotonic()
        held = 0
        with suppress(psutil.Error):
            held = sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
        return held / 2**20 > _MEMORY_SLACK * memory_limit_mb()

    def _stop(self, job: Job, process: psutil.Process) -> None:
        """Ask the process of a job to stop; kill it when it was asked and did not."""
        asked = self._asked.setdefault(job.id, time.monotonic())
        if time.monotonic() - asked > _GRACE_SECONDS:
            self._kill(job, process)
        else:
            signal_group(process, signal.SIGTERM)

    def _settle(self, home: Path, job: Job) -> None:
        """Say what became of a job whose process is gone: it ended, was stopped, or is started again where it stood."""
        code = self._exit_code(job.id)
        self._forget(job.id)
        job = read_job(home, job.id)  # it may have written its last words since it was read
        if job.ended:
            return
        kept = sum(result is not None for result in job.results) + count_tiles(home)
        tries = 1 if kept > job.kept else job.tries + 1
        if wanted_to_stop(home, job.id):
            job = finish(job, "cancelled", "Cancelled; the worker was stopped.")
        elif tries < MOST_TRIES and (code is None or code < 0):
            job = replace(job, state="queued", tries=tries, kept=kept, pid=None, process_started=None, eta_seconds=None)
        else:
            job = finish(replace(job, tries=tries), "failed", _epitaph(home, job, code, tries))
        write_job(home, job)

    def _exit_code(self, job_id: str) -> int | None:
        """How the process of a job ended, where this process started it; its last threads may take a moment to go."""
        with suppress(KeyError, subprocess.TimeoutExpired):
            return self._children[job_id].wait(5)
        return None

    def _forget(self, job_id: str) -> None:
        """Drop what is known of a process that is gone."""
        for known in (self._children, self._asked, self._late, self._weighed):
            known.pop(job_id, None)

    def _alive(self, job: Job) -> psutil.Process | None:
        """The job's process while it lives. A parent asks the system for its child, which reaps it when it has ended."""
        child = self._children.get(job.id)
        if child is not None and child.poll() is not None:
            return None
        return process_of(job)

    def _kill(self, job: Job, process: psutil.Process) -> None:
        """Kill the process of a job with all it started, and wait until it is gone."""
        signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        is_gone(job, seconds=5)


def signal_group(process: psutil.Process, number: int) -> None:
    """Send a signal to the process of a job and all it started."""
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)  # the worker leads its own session, so its number is its group's
            return
        for child in (*process.children(recursive=True), process):
            child.terminate()


def _epitaph(home: Path, job: Job, code: int | None, tries: int) -> str:
    """Why a job is given up."""
    exit_text = f"exit {code}" if code is not None else "its exit status is not known"
    where = f" in the stage {job.stage!r}" if job.stage else ""
    often = f" {tries} times" if tries > 1 else ""
    memory = ", perhaps out of memory" if code in {None, -9, 137} else ""
    return f"The worker died{often}, last{where}{memory}: {exit_text}. The log has what it printed: {log_path(home, job.id)}"


@contextmanager
def _held(root: Path) -> Iterator[bool]:
    """Hold the lock of supervisors; who only looks whether it is held has it for a moment, so it is tried for a while.

    Yields:
        Whether it is held.
    """
    for left in range(9, -1, -1):
        with hold(_lock(root), wait=False) as held:
            if held or not left:
                yield held
                return
        time.sleep(0.05)


def _lock(root: Path) -> Path:
    return jobs_folder(root) / "supervisor.lock"
