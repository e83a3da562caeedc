"""Children that read mutated files, watched: a death or a hang names its reader, file, signal and place in the code.

A child writes into shared memory which file it reads and since when. The parent looks five times a second: one that reads a file for too
long is stopped with SIGABRT, of one that died the file is still there. What is left of the round goes to a new child. No torch in here.
"""

import base64
import contextlib
import faulthandler
import hashlib
import os
import re
import resource
import signal
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

from benchmarks.fuzz_mutations import mutated
from ntkviz.errors import NtkvizError

#: Seconds for one file; sound ones take milliseconds.
SLOW = 10.0
#: Address space of a child, as the team's mode grants it.
MEMORY = 4 * 2**30
_START = 300.0
_LOOK = 0.2
_STDERR = "stderr"

#: Reader -> suffix of its files, a sound one, and the reader itself. A function of a module: children call it, too.
Table = Callable[[], dict[str, tuple[str, bytes, Callable[[Path], object]]]]


@dataclass(frozen=True)
class Job:
    """Files for a reader.

    Attributes:
        reader: its name.
        seed: of the round.
        files: numbers; a file is made from reader, seed and number.
    """

    reader: str
    seed: int
    files: Sequence[int]

    def made(self, file: int, sound: bytes) -> bytes:
        """One of the files."""
        return mutated(sound, f"{self.reader} {self.seed} {file}")


@dataclass
class Found:
    """What became of files.

    Attributes:
        outcomes: "read", "refused", or else, with counts.
        findings: all but these two: what, which file, its digest and content.
        slowest: seconds for one file.
        memory_mib: most that a child ever held.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)
    slowest: float = 0.0
    memory_mib: float = 0.0


def executed(job: Job, folder: Path, *, table: Table, place: Any = None) -> Found:
    """Read mutated files in this process.

    Args:
        job: which.
        folder: where the file stands that is read.
        table: the readers.
        place: of two numbers, which are set to the file that is read and the second when that began (0 after it).
    """
    suffix, sound, read = table()[job.reader]
    path, found = folder / f"a{suffix}", Found()
    place = [0.0, 0.0] if place is None else place
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in job.files:
            data = job.made(i, sound)
            path.write_bytes(data)
            place[0] = i
            place[1] = began = time.monotonic()
            outcome = _outcome(read, path)
            seconds = time.monotonic() - began
            place[1] = 0
            found.slowest = max(found.slowest, seconds)
            found.outcomes[outcome.partition(":")[0]] += 1
            if outcome not in {"read", "refused"} or seconds > SLOW:
                kind = "slow" if outcome in {"read", "refused"} else "error"
                found.findings.append(_finding(kind, job, i, data) | {"outcome": outcome[:200], "seconds": round(seconds, 1)})
    found.memory_mib = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return found


def watched(jobs: Iterator[Job], *, table: Table, workers: int = 2, limit: float = SLOW) -> Iterator[tuple[Job, Found]]:
    """Read mutated files in children.

    Args:
        jobs: taken one by one, whenever a child is free.
        table: the readers.
        workers: children at a time.
        limit: seconds for one file.

    Yields:
        A job and what became of it; where a child died of one file, of that file alone, and of the others later.

    Raises:
        RuntimeError: when a child cannot start.
    """
    again: list[Job] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        places = [Path(folder) / str(i) for i in range(workers)]
        children = [stack.enter_context(contextlib.closing(_Child(place, table))) for place in places]
        while children:
            connection.wait([child.pipe for child in children], timeout=_LOOK)
            for k, child in reversed(list(enumerate(children))):
                done, found = child.look(limit)
                if done is not None and found is not None:
                    yield done, found
                if child.dead:
                    if child.left:
                        again.append(child.left)
                    child.close()
                    children[k] = stack.enter_context(contextlib.closing(_Child(child.folder, table)))
                elif child.free:
                    job = again.pop() if again else next(jobs, None)
                    if job is None:
                        children.pop(k).close()
                    else:
                        child.give(job)


class _Child:
    """A process that reads.

    Attributes:
        pipe: for jobs and answers.
        free: whether it waits for a job.
        dead: whether it is no more.
        left: after its death, what it had not read.
    """

    def __init__(self, folder: Path, table: Table) -> None:
        folder.mkdir(exist_ok=True)
        context = get_context("spawn")
        self.folder, self._table = folder, table
        self._place = context.RawArray("d", 2)
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._place, folder, table), daemon=True)
        self._process.start()
        theirs.close()
        self._job, self.left = None, None
        self._started, self._ready = time.monotonic(), False
        self._oom = _oom_kills()
        self.free = self.dead = False

    def give(self, job: Job) -> None:
        """Tell it what to read."""
        self._job, self.free = job, False
        self.pipe.send(job)

    def look(self, limit: float) -> tuple[Job | None, Found | None]:
        """Its answer, or what it died of, or nothing yet.

        Raises:
            RuntimeError: when it never got ready.
        """
        try:
            if self.pipe.poll():
                answer, self._ready, self.free = self.pipe.recv(), True, True
                return self._job, answer
        except (EOFError, ConnectionError):
            return self._died("crash")
        if not self._ready and time.monotonic() - self._started > _START:
            raise RuntimeError(f"A child was not ready after {_START:g} s.")
        began = self._place[1]
        if began and time.monotonic() - began > limit:
            os.kill(self._process.pid or 0, signal.SIGABRT)  # faulthandler writes where it is, whatever it is doing
            return self._died("hang")
        return None, None

    def close(self) -> None:
        """End the process."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self.pipe.close()

    def _died(self, kind: str) -> tuple[Job, Found]:
        """What it died of, and of which file.

        Raises:
            RuntimeError: when it had not been given a job.
        """
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.dead = True
        code, text = self._process.exitcode or 0, (self.folder / _STDERR).read_text(errors="replace")
        if self._job is None:
            raise RuntimeError(f"A child could not start; it ended with {_name(code)}: {text[-2000:]}")
        job, file, began = self._job, int(self._place[0]), self._place[1]
        path = self.folder / f"a{self._table()[job.reader][0]}"
        finding = {"kind": kind, "reader": job.reader, "seed": job.seed, "file": None}
        if began:  # 0: between files, which is not for a reader to answer
            finding |= _finding(kind, job, file, path.read_bytes()) | {"seconds": round(time.monotonic() - began, 1)}
            self.left = replace(job, files=[i for i in job.files if i != file])
        finding |= {
            "outcome": _name(code),
            "said": re.split(r"\n+(?:Current thread|Thread|Stack) ", text)[0][-300:].strip(),
            "where": _frames(text),
            "oom_kills_meanwhile": _oom_kills() - self._oom,
        }
        return job, Found(Counter({kind: 1} if began else {}), [finding], finding.get("seconds", 0.0))


def _serve(pipe: Any, place: Any, folder: Path, table: Table) -> None:
    """The child: jobs come, answers go; the last words of whatever kills it go to a file."""
    with (folder / _STDERR).open("w") as file, contextlib.suppress(EOFError, KeyboardInterrupt):
        os.dup2(file.fileno(), 2)
        faulthandler.enable(file, all_threads=False)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        table()
        pipe.send(None)
        while True:
            pipe.send(executed(pipe.recv(), folder, table=table, place=place))


def _outcome(read: Callable[[Path], object], path: Path) -> str:
    try:
        read(path)
    except NtkvizError:
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def _finding(kind: str, job: Job, file: int, data: bytes) -> dict[str, Any]:
    """Which file it was, enough to make it again or to take it from here."""
    return {
        "kind": kind,
        "reader": job.reader,
        "seed": job.seed,
        "file": file,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "input": base64.b64encode(zlib.compress(data)).decode(),
    }


def _name(code: int) -> str:
    """The signal behind an exit code, or the code."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _frames(text: str) -> list[str]:
    """The innermost lines of Python in what faulthandler wrote, without the folders of this machine."""
    frames = re.findall(r'File "([^"]+)", line (\d+) in (\S+)', text)[:6]
    return [f"{'/'.join(Path(path).parts[-2:])}:{line} {function}" for path, line, function in frames]


def _oom_kills() -> int:
    """Processes that this system ever ended because memory ran out: why else would one end with SIGKILL?"""
    path = Path("/proc/vmstat")
    found = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE) if path.exists() else None
    return int(found.group(1)) if found else 0
