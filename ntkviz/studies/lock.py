"""A lock between processes that the operating system releases when its holder dies."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextmanager
def hold(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file at ``path`` for the length of the block.

    Args:
        path: the lock file; made when missing, never deleted (deleting one that another process is opening loses the lock).
        wait: wait for the lock, or yield ``False`` at once when somebody else has it.

    Yields:
        Whether the lock is held. Always ``True`` when ``wait``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        held = _lock(handle, wait=wait)
        try:
            yield held
        finally:
            if held:
                _unlock(handle)
    finally:
        os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    if fcntl is None:
        return _lock_windows(handle, wait=wait)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _unlock(handle: int) -> None:
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_UN)
    # On Windows closing the handle releases its locks.


def _lock_windows(handle: int, *, wait: bool) -> bool:
    import msvcrt

    while True:
        try:
            # LK_LOCK tries for ten seconds and gives up; waiting means trying again.
            msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            if not wait:
                return False
        else:
            return True
