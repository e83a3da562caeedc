"""What pages compute of a kernel once: kept on the disk beside it, and removed with it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ntkviz.errors import NtkvizError, StoreCorrupted
from ntkviz.studies import artefact, codec
from ntkviz.studies.hashing import canonical_json, text_sha256

T = TypeVar("T")


def folder_of(home: Path, part: str, identity: dict) -> Path:
    """Where it is kept.

    Args:
        home: the folder of the store.
        part: the folder of its kind in there.
        identity: all that decides it, a version among them.
    """
    return home / part / text_sha256(canonical_json(identity))


def kept(folder: Path, make: Callable[[], T], *, kind: str, kernel_key: str, classes: Sequence[type]) -> T:
    """What the folder holds; made and kept there when it holds nothing, or what it holds is damaged.

    Args:
        folder: of :func:`folder_of`.
        make: computes it.
        kind: what it is, in a word.
        kernel_key: the kernel that it is of.
        classes: the dataclasses that it is made of.

    Returns:
        What ``make`` returns. Where it cannot be written (a full disk) it is returned all the same.
    """
    with suppress(KeyError):
        try:
            return _load(folder, classes)
        except StoreCorrupted:
            artefact.remove(folder)  # it can be made again
    value = make()
    arrays: dict[str, np.ndarray] = {}
    content = {"value": codec.encode(value, arrays, name=kind)}
    with suppress(NtkvizError, OSError):
        artefact.write_artefact(folder, kind=kind, content=content, arrays=arrays, summary={"kernel": kernel_key})
    return value


def _load(folder: Path, classes: Sequence[type]) -> Any:
    manifest = artefact.read_manifest(folder)
    return codec.decode(manifest["content"]["value"], artefact.read_arrays(folder, manifest), classes=classes)
