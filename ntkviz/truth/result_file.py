"""Files of what retrainings found: the arrays of a dataclass and some facts, written in one step and checked when read."""

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ntkviz.errors import StoreCorrupted

Found = TypeVar("Found")


def write_result(path: Path, found: Any, facts: Mapping[str, Any], *, form: str) -> None:
    """Write what was found, in one step.

    Args:
        path: the file; its folder is made.
        found: a dataclass of arrays.
        facts: what it is of, as JSON types.
        form: name and version of the format.

    Raises:
        OSError: when it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": form, **facts})
    arrays = {entry.name: getattr(found, entry.name) for entry in fields(found)}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, facts=np.frombuffer(text.encode(), dtype=np.uint8), **arrays)
    temporary.replace(path)


def read_result(path: Path, kind: type[Found], *, form: str) -> tuple[Found, dict[str, Any]]:
    """What :func:`write_result` wrote, with its facts.

    Args:
        path: the file.
        kind: the dataclass.
        form: name and version of the format.

    Raises:
        StoreCorrupted: when the file is missing, damaged or from another version.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            facts = json.loads(archive["facts"].tobytes())
            found = kind(**{entry.name: archive[entry.name] for entry in fields(kind)})  # type: ignore[arg-type]
        whole = facts.pop("format") == form
    except (OSError, ValueError, TypeError, KeyError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise StoreCorrupted(
            f"The retraining {path.name} cannot be read ({type(error).__name__}: {error}). Run it again."
        ) from error
    if not whole:
        raise StoreCorrupted(f"The retraining {path.name} is of another version. Run it again.")
    return found, facts
