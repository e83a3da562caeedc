"""Readers that go wrong on some files, for the fuzzer to find; its children import them."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

from ntkviz.errors import UploadRejected

SOUND = bytes(range(200)) + b"a" * 60 + b"b"


def _odd(path: Path) -> bool:
    return sum(path.read_bytes()) % 4 == 0


def good(path: Path) -> object:
    if _odd(path):
        raise UploadRejected("Expected another file.")
    return path


def failing(path: Path) -> object:
    if _odd(path):
        raise KeyError("weight")
    return path


def dying(path: Path) -> object:
    if _odd(path):
        os.kill(os.getpid(), signal.SIGSEGV)
    return path


def killed(path: Path) -> object:
    if _odd(path):
        os.kill(os.getpid(), signal.SIGKILL)
    return path


def endless(path: Path) -> object:
    while _odd(path):
        pass
    return path


def endless_in_c(path: Path) -> object:
    """A regular expression that holds the interpreter's lock for longer than anybody waits."""
    return path if not _odd(path) else re.search(rb"(a+)+$", b"a" * 60 + b"b")


def faulty() -> dict[str, tuple[str, bytes, Callable[[Path], object]]]:
    return {reader.__name__: (".x", SOUND, reader) for reader in (good, failing, dying, killed, endless, endless_in_c)}
