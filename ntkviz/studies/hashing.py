"""Canonical JSON and content hashes: what names a study and what guards its files."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

# (path, modification time in ns, size, inode) -> sha256. A file that was replaced or rewritten gets another key, so an
# entry is never stale; hashing 200 MB takes a quarter of a second and pages ask on every rerun.
_known: dict[tuple[str, int, int, int], str] = {}


def file_sha256(path: Path) -> str:
    """The hex sha256 of a file, remembered in this process for as long as the file's time and size stay the same.

    Raises:
        OSError: when the file cannot be read.
    """
    stat = path.stat()
    at = (str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino)
    if at not in _known:
        with path.open("rb") as file:
            _known[at] = hashlib.file_digest(file, "sha256").hexdigest()
    return _known[at]


def canonical_json(value: object) -> str:
    """One text for equal values: sorted keys, no spaces, finite numbers only.

    Raises:
        ValueError: when a number is not finite.
        TypeError: when a value has no JSON form.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def text_sha256(text: str) -> str:
    """The hex sha256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def bytes_sha256(data: bytes | memoryview) -> str:
    """The hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def plain(value: object) -> object:
    """A value as strict JSON holds it: NumPy scalars and arrays become numbers and lists, NaN and infinities ``None``.

    Raises:
        TypeError: when a value has no JSON form.
    """
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form; expected numbers, texts, lists and dictionaries.")
