"""Work on strangers' files in a child process with limits; torch-free.

The child is a fresh Python that sets its own limits before it imports anything (:mod:`ntkviz.models.sandbox_entry`): nothing
runs between fork and exec, so this is safe in a server with threads. It gets an empty folder of its own and an environment
without secrets, and its whole process group is killed when the time is over. What it answers is JSON, and is treated as
coming from a stranger.

SECURITY: limits bound memory, time, files and descriptors; they are no wall. Where the system has them there are two walls more:
bubblewrap hides files, network and other processes, and a filter refuses the system calls of which a reader has no need.
:mod:`ntkviz.models.sandbox_layers` tells which of them are active.
"""

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ntkviz.errors import NtkvizError, UnsupportedModel, UploadRejected
from ntkviz.models import bubblewrap
from ntkviz.models.rejection import ArchitectureNeeded, MismatchRow, WeightsMismatch, clipped, quoted
from ntkviz.models.sandbox_entry import MEMORY_SIGNS
from ntkviz.models.sandbox_layers import BUBBLEWRAP, SECCOMP, active_layers

#: An answer holds facts and a table, no data.
_MAX_RESULT = 16 * 2**20

#: What a child may see of the environment: where libraries are, how text is encoded; no tokens, no paths of the user.
_PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "WINDIR")

#: Two readers side by side keep a small server alive; the others wait.
_AT_ONCE = threading.BoundedSemaphore(2)

_ROOT = Path(__file__).resolve().parents[2]
_ENTRY = Path(__file__).with_name("sandbox_entry.py")


@dataclass(frozen=True)
class ChildResult:
    """What a limited child came back with.

    Attributes:
        value: what its ``main`` returned, JSON types; as little to be trusted as the file that it worked on.
        seconds: its work with the imports, without the start of Python.
        peak_mb: most memory that it held, or None where the system does not tell.
        missing_limits: limits that this system does not have, in words.
        layers: the layers of the sandbox that it ran in, of :mod:`ntkviz.models.sandbox_layers`.
    """

    value: Any
    seconds: float
    peak_mb: float | None
    missing_limits: tuple[str, ...]
    layers: tuple[str, ...] = ()


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A fresh folder that only this user can enter and that is removed afterwards.

    Yields:
        The folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="ntkviz-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_limited(
    args: Sequence[str],
    *,
    seconds: int,
    memory_mb: int,
    file_mb: int = 1024,
    folder: Path | None = None,
    what: str = "The file",
) -> ChildResult:
    """Run ``main(arguments)`` of a module in a child process with limits.

    Args:
        args: the module's name, then its arguments. Its ``main`` takes a list of strings and returns JSON types.
        seconds: of processor time, and of wall clock.
        memory_mb: address space. Python with torch needs 700 to 1,000 MB before it does anything.
        file_mb: largest file that the child may write.
        folder: its working folder, where it may leave files; None makes one that is removed afterwards.
        what: what is being read, for the messages: "The file 'model.pt'".

    Returns:
        The value and what it took.

    Raises:
        UploadRejected: when the child refused, or ran out of memory or time, or crashed; in plain words.
        UnsupportedModel: when it raised that.
        NtkvizError: when it raised another known error, or could not start at all.
    """
    if folder is None:
        with scratch_folder() as fresh:
            return run_limited(args, seconds=seconds, memory_mb=memory_mb, file_mb=file_mb, folder=fresh, what=what)
    (folder / "result.json").unlink(missing_ok=True)  # an earlier child's, which would be taken for this one's
    layers = active_layers()
    limits = {"memory_mb": memory_mb, "seconds": seconds, "file_mb": file_mb, "root": str(_ROOT), "seccomp": SECCOMP in layers}
    # -I: neither PYTHON* variables nor the working folder decide what is imported.
    command = [sys.executable, "-I", "-X", "utf8", str(_ENTRY), json.dumps(limits), *args]
    if BUBBLEWRAP in layers:
        command = bubblewrap.wrapped(command, folder, module=args[0])
    with _AT_ONCE, tempfile.TemporaryFile() as errors:
        code = _run(command, folder, errors, seconds)
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - 2000))
        last_words = errors.read().decode("utf-8", "replace").strip()
    if code is None:
        raise UploadRejected(f"{what} took longer than the {seconds} s granted to read it. Bring a smaller or simpler file.")
    answer = _answer(folder / "result.json")
    if answer is None:
        died = _death(code, last_words, what, seconds=seconds, memory_mb=memory_mb)
        raise died
    if "error" in answer:
        told = _told(answer["error"], what, memory_mb=memory_mb)
        raise told
    peak = answer.get("peak_mb")
    return ChildResult(
        value=answer.get("value"),
        seconds=float(answer.get("seconds") or 0.0),
        peak_mb=float(peak) if isinstance(peak, (int, float)) else None,
        missing_limits=tuple(str(name)[:40] for name in answer.get("missing", [])[:10]),
        layers=layers,
    )


def _environment(folder: Path) -> dict[str, str]:
    """What the child sees: no secrets, its own folder as home, one thread (each costs address space), no GPU."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
    own = dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP", "NTKVIZ_HOME", "XDG_CACHE_HOME"), str(folder))
    # The address space that CUDA reserves is beyond any limit; parsing needs none.
    return {**kept, **threads, **own, "PATH": os.defpath, "CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"}


def _run(command: list[str], folder: Path, errors: Any, seconds: int) -> int | None:
    """The child's exit code, or None when its time was over; nothing of its process group survives.

    Raises:
        NtkvizError: when it cannot be started.
    """
    try:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            close_fds=True,
            start_new_session=True,
        )
    except OSError as error:
        raise NtkvizError(f"The process that reads files could not be started ({error}). Free memory and try again.") from error
    try:
        ended = _ended_within(child, seconds)
    finally:  # also on KeyboardInterrupt and on a cancelled job
        _kill_group(child)
    return child.returncode if ended else None


def _ended_within(child: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Wait for the end of the child, without collecting it where the system allows that.

    Until it is collected its number cannot be given to another process, so that killing its group hits nobody else.
    """
    if not hasattr(os, "waitid"):  # macOS, Windows
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=seconds)
        return child.returncode is not None
    deadline = time.monotonic() + seconds
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    """Kill the child and whatever it started, if it has not been collected yet, and wait until it is gone."""
    if child.returncode is None:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    child.wait()


def _answer(path: Path) -> dict[str, Any] | None:
    """The child's answer, or None when there is none that can be read."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None
            answer = json.loads(file.read(_MAX_RESULT))
    except (OSError, ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) and ("value" in answer or isinstance(answer.get("error"), dict)) else None


def _death(code: int, last_words: str, what: str, *, seconds: int, memory_mb: int) -> NtkvizError:
    """Why a child ended without an answer, in plain words."""
    number = -code if code < 0 else code - 128 if code > 128 else 0
    memory = f"needs more than the {memory_mb:,} MB of memory granted to read it"
    if number == getattr(signal, "SIGXCPU", -1) or number == getattr(signal, "SIGALRM", -1):
        return UploadRejected(
            f"{what} takes more than the {seconds} s of processor time granted to read it. Bring a smaller or simpler file."
        )
    if number == getattr(signal, "SIGKILL", -1):
        return UploadRejected(f"{what} could not be read: the system stopped the process, probably because it {memory}.")
    if any(sign in last_words for sign in MEMORY_SIGNS):
        return UploadRejected(f"{what} {memory}. Bring a smaller file.")
    if number:
        name = signal.Signals(number).name if number in {s.value for s in signal.Signals} else f"signal {number}"
        return UploadRejected(f"{what} made its reader crash ({name}): it is damaged, or made to do so. It was not opened.")
    line = quoted(last_words.splitlines()[-1] if last_words else f"exit code {code}", limit=200)
    return NtkvizError(f"The process that reads files ended without an answer: {line}. Check the installation of ntkviz.")


def _told(error: dict[str, Any], what: str, *, memory_mb: int) -> NtkvizError:
    """The error that the child reported, as one of this process."""
    kind, message = str(error.get("type"))[:60], str(error.get("message"))
    if error.get("known"):
        message = clipped(message)
        if kind == "WeightsMismatch":
            rows = tuple(MismatchRow(*map(str, row)) for row in error.get("table", []) if len(row) == 3)
            return WeightsMismatch(message, rows)
        if kind == "ArchitectureNeeded":
            guess = error.get("guess")
            return ArchitectureNeeded(message, guess if isinstance(guess, dict) else None)
        return {"UploadRejected": UploadRejected, "UnsupportedModel": UnsupportedModel}.get(kind, NtkvizError)(message)
    if error.get("memory"):
        return UploadRejected(f"{what} needs more than the {memory_mb:,} MB of memory granted to read it. Bring a smaller file.")
    if kind in {"ImportError", "ModuleNotFoundError"}:
        return NtkvizError(
            f"The process that reads files is not complete ({quoted(message, limit=200)}). Check the installation."
        )
    reason = quoted(" ".join(message.split()), limit=200)
    return UploadRejected(clipped(f"{what} cannot be read: it is damaged, or not what its name says ({kind}: {reason})."))
