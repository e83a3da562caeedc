"""Files that are there whole or not at all, and the disk's refusals in words.

Whatever ntkviz keeps goes through :func:`create` and :func:`move`: written to the end, synced, renamed, and the rename synced as well.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import psutil

from ntkviz.errors import BudgetExceeded, NtkvizError

#: What is being written or deleted; the number of the process follows.
TEMPORARY = ".tmp-"
#: Free space asked for beside the file sizes: the disk's own book-keeping, and a disk that is full to the brim helps nobody.
_HEADROOM = 1.2
_RESERVE_BYTES = 16 * 2**20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def told(place: Path) -> Iterator[None]:
    """The system's refusals to write somewhere, in words. What is not there, or there already, is the caller's business.

    Yields:
        Nothing.

    Raises:
        BudgetExceeded: when the disk, or what this user may have of it, is full.
        NtkvizError: when it failed, or may not be written.
        OSError: when something is missing, or there already.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, (FileNotFoundError, FileExistsError)):
            raise
        if error.errno in _FULL:
            raise BudgetExceeded(
                f"The disk of {place} is full. What was stored before is untouched. Free some space, or set NTKVIZ_HOME to a larger disk, and start again."
            ) from error
        raise NtkvizError(
            f"{place} cannot be written ({error.strerror or error}). What was stored before is untouched. Look with `python -m ntkviz doctor`."
        ) from error


def temporary_in(folder: Path) -> Path:
    """A fresh name beside what it is going to become."""
    return folder / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"


@contextmanager
def create(path: Path) -> Iterator[BinaryIO]:
    """A new file that is on the disk when the block ends.

    Yields:
        The file, buffered: it writes on until all bytes are written, or raises.
    """
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def move(source: Path, target: Path) -> None:
    """Rename in one step, and wait until the rename is on the disk.

    Raises:
        OSError: when it cannot be done.
    """
    source.rename(target) if source.is_dir() else source.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's entries are on the disk, where the system can (Windows cannot open folders).

    Raises:
        OSError: when the disk fails.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, data: bytes | memoryview) -> None:
    """Put a file in place in one step: a reader sees the old one or the new one.

    Raises:
        BudgetExceeded: when the disk is full.
        NtkvizError: when it cannot be written.
    """
    temporary = temporary_in(path.parent)
    with told(path.parent):
        try:
            with create(temporary) as file:
                file.write(data)
            move(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def require_space(folder: Path, n_bytes: int) -> None:
    """Check that a disk has room.

    Raises:
        BudgetExceeded: with the figures, when it has not.
    """
    needed = int(n_bytes * _HEADROOM) + _RESERVE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BudgetExceeded(
            f"Saving needs {needed / 2**20:,.0f} MB on the disk of {folder}; {free / 2**20:,.0f} MB are free. "
            "Delete studies that are no longer needed, or set NTKVIZ_HOME to a larger disk."
        )


def remove_folder(folder: Path) -> None:
    """Delete a folder so that no reader sees half of it: out of the list first, then its files."""
    trash = temporary_in(folder.parent)
    with suppress(FileNotFoundError):
        folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


def sweep_temporary(parent: Path) -> int:
    """Delete what processes that were killed have left; what a living one is writing stays.

    Returns:
        how many entries were deleted.
    """
    gone = 0
    for path in parent.glob(f"{TEMPORARY}*"):
        owner = path.name.removeprefix(TEMPORARY).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True) if not path.is_dir() else None
            gone += 1
    return gone
