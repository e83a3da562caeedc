"""What stands between a file from outside and the memory: sizes are checked before anything is unpacked.

Nothing here writes to disk, so a name inside an archive can never become a path.
"""

import gzip
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ntkviz.data.options import Limits
from ntkviz.errors import UploadRejected

_MB = 1_000_000

#: Small members may shrink as much as they like: a sorted label column of 500 kB packs into 1 kB.
_RATIO_FROM_BYTES = 16 * _MB

#: Bytes of the archive's directory per member: 46 and the name; above this the names alone are the attack.
_DIRECTORY_BYTES_PER_MEMBER = 512

_CHUNK = 1 << 20


def explain(*, expected: str, got: str, todo: str) -> str:
    """A refusal in three parts, short enough to be read: what was expected, what came, what to do next."""
    return f"Expected {expected[:200]}; got {got[:220]}. {todo[:200]}"


def short(value: object, length: int = 60) -> str:
    """Text from a file, quoted for a message: no control characters, not longer than ``length``."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def few(values: list[str] | tuple[str, ...], most: int = 8) -> str:
    """The first of some names for a message."""
    listed = ", ".join(short(value, 30) for value in values[:most])
    return listed + (f" and {len(values) - most:,} more" if len(values) > most else "")


def check_file(path: Path, limits: Limits) -> None:
    """Refuse what is no file, is empty or is too large.

    Args:
        path: the file.
        limits: ``file_mb``.

    Raises:
        UploadRejected: in these cases.
    """
    try:
        size = path.stat().st_size if path.is_file() else -1
    except (OSError, ValueError):
        size = -1
    if size < 0:
        raise UploadRejected(explain(expected="a file", got=f"{short(path.name)}, which is none", todo="Check the path."))
    if size == 0:
        raise UploadRejected(explain(expected="data", got=f"the empty file {short(path.name)}", todo="Export it again."))
    if size > limits.file_mb * _MB:
        raise UploadRejected(
            explain(
                expected=f"a file of at most {limits.file_mb:g} MB",
                got=f"{size / _MB:,.1f} MB",
                todo="Bring a subset of the data, or raise the limit file_mb of the server.",
            )
        )


def check_rows(n: int, limits: Limits) -> None:
    """Refuse too many or no points.

    Args:
        n: points found so far.
        limits: ``rows``.

    Raises:
        UploadRejected: when there are too many or none.
    """
    if n == 0:
        raise UploadRejected(explain(expected="at least one data point", got="none", todo="Check that the file has rows."))
    if n > limits.rows:
        got = f"{n:,}" if n > limits.rows + 1 else "more"
        raise UploadRejected(explain(expected=f"at most {limits.rows:,} data points", got=got, todo="Bring a subset of them."))


def check_inputs(n: int, values: int, limits: Limits, *, width: int = 4) -> None:
    """Refuse inputs that would not fit into the granted memory; called before they are made.

    Args:
        n: points.
        values: numbers of one point.
        limits: ``inflated_mb``.
        width: bytes of a number.

    Raises:
        UploadRejected: when they would not fit.
    """
    if n * values * width > limits.inflated_mb * _MB:
        raise UploadRejected(
            explain(
                expected=f"inputs of at most {limits.inflated_mb:g} MB in memory",
                got=f"{n:,} points of {values:,} numbers, {n * values * width / _MB:,.0f} MB",
                todo="Bring fewer points or smaller ones.",
            )
        )


def read_bytes(path: Path, limits: Limits) -> bytes:
    """The content of a checked file, unpacked when its name ends in ``.gz``, never more than ``inflated_mb``.

    Args:
        path: a file that :func:`check_file` let through.
        limits: ``inflated_mb``, and ``ratio`` as for a member of an archive.

    Returns:
        the bytes.

    Raises:
        UploadRejected: when it is no gzip file, is damaged, or unpacks to more.
    """
    packed = path.suffix.lower() == ".gz"
    swollen = max(_RATIO_FROM_BYTES, int(limits.ratio * path.stat().st_size)) if packed else 2**62
    allowed = min(int(limits.inflated_mb * _MB), swollen)
    parts: list[bytes] = []
    left = allowed
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            while left >= 0 and (part := file.read(min(_CHUNK, left + 1))):
                parts.append(part)
                left -= len(part)
    except (OSError, EOFError, zlib.error) as error:
        raise UploadRejected(
            explain(
                expected="a whole gzip file" if packed else "a readable file",
                got=f"{short(error)}",
                todo="Pack or copy it again.",
            )
        ) from error
    if left < 0 and allowed == swollen:
        raise UploadRejected(
            explain(
                expected="a packed table",
                got=f"a file that unpacks to more than {limits.ratio:g} times its size, as a bomb does",
                todo="Bring it unpacked.",
            )
        )
    if left < 0:
        raise UploadRejected(
            explain(expected=f"at most {limits.inflated_mb:g} MB unpacked", got="more", todo="Bring a subset of the data.")
        )
    return b"".join(parts)


@contextmanager
def open_archive(path: Path, limits: Limits) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose directory was checked before any member is unpacked.

    Args:
        path: a file that :func:`check_file` let through.
        limits: ``inflated_mb``, ``ratio`` and ``rows``.

    Yields:
        the open archive; read members with :func:`read_member`.

    Raises:
        UploadRejected: when it is no zip, or its directory promises too much, twice the same name, a name that leaves
            the archive, encryption or an unusual compression.
    """
    with path.open("rb") as file:
        most = limits.rows + 10_000
        if _directory_size(file) > most * _DIRECTORY_BYTES_PER_MEMBER:
            raise UploadRejected(explain(expected=f"an archive of at most {most:,} files", got="more", todo="Bring a subset."))
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            raise UploadRejected(
                explain(expected="a zip archive", got=f"a file that is none ({short(error)})", todo="Write the file again.")
            ) from error
        with archive:
            check_directory(archive.infolist(), limits)
            yield archive


def _directory_size(file: BinaryIO) -> int:
    """Bytes that a zip says its directory has; 0 when it is no zip (the library then says so).

    zipfile makes an object of every entry on opening: a directory of millions of entries has to be refused before.
    """
    file.seek(0, 2)
    size = file.tell()
    tail_start = max(0, size - 65_557)
    file.seek(tail_start)
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        return 0
    directory = struct.unpack_from("<I", tail, end + 12)[0]
    if end >= 20 and tail[end - 20 : end - 16] == b"PK\x06\x07":  # zip64: the true size stands in a record of its own
        record = struct.unpack_from("<Q", tail, end - 12)[0]
        file.seek(min(record, size))
        found = file.read(56)
        directory = struct.unpack_from("<Q", found, 40)[0] if len(found) == 56 else size
    return directory


def check_directory(members: list[zipfile.ZipInfo], limits: Limits) -> None:
    """Refuse an archive by its directory alone.

    Args:
        members: entries of the archive's directory.
        limits: ``inflated_mb`` and ``ratio``.

    Raises:
        UploadRejected: for the reasons of :func:`open_archive`.
    """
    names: set[str] = set()
    for member in members:
        fault = _fault_of(member, limits)
        if member.filename in names:
            fault = "a name that stands twice"
        if fault:
            raise UploadRejected(
                explain(
                    expected="a plain archive", got=f"{fault}: {short(member.filename)}", todo="Pack it again with a common tool."
                )
            )
        names.add(member.filename)
    total = sum(member.file_size for member in members)
    if total > limits.inflated_mb * _MB:
        raise UploadRejected(
            explain(
                expected=f"at most {limits.inflated_mb:g} MB unpacked",
                got=f"an archive of {total / _MB:,.0f} MB",
                todo="Bring a subset of the data.",
            )
        )


def _fault_of(member: zipfile.ZipInfo, limits: Limits) -> str:
    """What is wrong with an entry, or ""."""
    # orig_filename is what stands in the file: zipfile cuts a name at its first NUL.
    name = member.orig_filename
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or "\0" in name or ":" in parts[0]:
        return "a name that leads out of it"
    if member.flag_bits & 0x1:
        return "an encrypted file"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "a file packed in an unusual way"
    packed = max(member.compress_size, 1)
    if member.file_size > _RATIO_FROM_BYTES and member.file_size / packed > limits.ratio:
        return f"a file that unpacks to {member.file_size / packed:,.0f} times its size, as a zip bomb does"
    return ""


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """One unpacked member, never more than its directory entry says.

    Args:
        archive: from :func:`open_archive`.
        member: one of its entries.

    Returns:
        its bytes.

    Raises:
        UploadRejected: when it is damaged or of another size.
    """
    parts: list[bytes] = []
    left = member.file_size
    try:
        with archive.open(member) as file:
            # Asking for all at once would unpack whatever is there before cutting it to the promised size.
            while left > 0 and (part := file.read(min(_CHUNK, left))):
                parts.append(part)
                left -= len(part)
            file.read(1)  # reaching the end is what makes zipfile compare the checksum
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        struct.error,
    ) as error:
        raise UploadRejected(
            explain(expected="a whole archive", got=f"{short(member.filename)} damaged ({short(error)})", todo="Pack it again.")
        ) from error
    if left:
        raise UploadRejected(
            explain(expected="a whole archive", got=f"{short(member.filename)} cut short", todo="Pack it again.")
        )
    return b"".join(parts)


def first_bad(x: np.ndarray) -> tuple[int, ...] | None:
    """Index of the first value that is no finite float32, or None.

    Args:
        x: an array of floats, any shape.

    Returns:
        its index, one number an axis.
    """
    # Block by block: the mask of a large array would cost a quarter of the array again.
    for start in range(0, len(x), 4096):
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite there
            bad = ~np.isfinite(x[start : start + 4096].astype(np.float32, copy=False))
        if bad.any():
            where = np.unravel_index(int(bad.argmax()), bad.shape)
            return (start + int(where[0]), *(int(i) for i in where[1:]))
    return None
