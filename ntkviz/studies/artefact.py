"""One stored result: a folder of ``.npy`` files and a ``manifest.json`` that is written last.

A folder appears under its name complete or not at all: everything is written into a temporary folder beside it, synced to
disk, checked against what was meant to be written, and renamed. It is never changed afterwards. The manifest carries the
size and the sha256 of each file and a sha256 of itself, so that a flipped bit, a missing file and a short one are noticed
before a figure is drawn from them.
"""

import hashlib
import json
import platform
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ntkviz.errors import StoreCorrupted
from ntkviz.studies import catalogue
from ntkviz.studies.disk import create, move, remove_folder, require_space, sweep_temporary, sync_folder, temporary_in, told
from ntkviz.studies.errors import NotFound
from ntkviz.studies.hashing import canonical_json, file_sha256, text_sha256

FORMAT = "ntkviz-artefact/1"
MANIFEST = "manifest.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,120}")


def write_artefact(folder: Path, *, kind: str, content: dict, arrays: Mapping[str, np.ndarray], summary: dict) -> bool:
    """Write a result under its final name, all or nothing.

    Args:
        folder: the final folder; its name is the key.
        kind: what it is, such as "study".
        content: JSON that belongs to the arrays.
        arrays: name (lower case, digits, underscores) -> array of numbers.
        summary: JSON that lists read without opening anything else.

    Returns:
        whether it was written; ``False`` when a whole artefact of that key stands there already (it is the same one, since
        the key names its contents).

    Raises:
        BudgetExceeded: when the disk has not enough room.
        StoreCorrupted: when what arrived on the disk is not what was written.
        NtkvizError: when the folder cannot be written.
    """
    if _is_whole(folder):
        return False
    with told(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep_temporary(folder.parent)
        require_space(folder.parent, sum(array.nbytes for array in arrays.values()))
        manifest = _write(folder, kind, content, arrays, summary)
    if manifest is not None:
        catalogue.note(folder, manifest)
    return manifest is not None


def _write(folder: Path, kind: str, content: dict, arrays: Mapping[str, np.ndarray], summary: dict) -> dict | None:
    """Write a result and rename it into place; its manifest, or None when another process was first.

    Raises:
        StoreCorrupted: when what arrived on the disk is not what was written.
        OSError: when the folder cannot be written.
    """
    temporary = temporary_in(folder.parent)
    temporary.mkdir()
    try:
        files = {f"{name}.npy": _write_array(temporary / f"{_checked(name)}.npy", array) for name, array in arrays.items()}
        manifest = {
            "format": FORMAT,
            "kind": kind,
            "key": folder.name,
            "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "versions": versions(),
            "bytes": sum(path.stat().st_size for path in temporary.iterdir()),
            "files": files,
            "summary": summary,
            "content": content,
        }
        manifest["sha256"] = text_sha256(canonical_json(manifest))
        with create(temporary / MANIFEST) as file:
            file.write(json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False).encode())
        sync_folder(temporary)
        return manifest if _put_in_place(temporary, folder) else None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_manifest(folder: Path) -> dict:
    """The manifest of an artefact, checked against its own hash and its folder's name.

    Raises:
        NotFound: when there is no such artefact.
        StoreCorrupted: when the manifest is missing, cut short, altered or of another format.
    """
    if not folder.is_dir():
        what = {"studies": "study", "kernels": "kernel"}.get(folder.parent.name, "artefact")
        raise NotFound(f"There is no {what} {folder.name[:12]} in {folder.parent}.")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        claimed = manifest.pop("sha256")
        found = text_sha256(canonical_json(manifest))
    except FileNotFoundError as error:
        raise StoreCorrupted(damage(folder, MANIFEST, "is missing")) from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise StoreCorrupted(damage(folder, MANIFEST, f"cannot be read ({type(error).__name__})")) from error
    if claimed != found:
        raise StoreCorrupted(damage(folder, MANIFEST, "was altered: it does not match its own hash"))
    if manifest["format"] != FORMAT:
        raise StoreCorrupted(
            f"{folder} has the format {manifest['format']!r}; this version of ntkviz reads {FORMAT!r}. Run the study again."
        )
    if manifest["key"] != folder.name:
        raise StoreCorrupted(damage(folder, MANIFEST, f"belongs to {manifest['key'][:12]}: the folder was renamed"))
    stored = catalogue.hashes(folder)
    if stored and stored != {name: entry["sha256"] for name, entry in manifest["files"].items()}:
        raise StoreCorrupted(damage(folder, MANIFEST, "is of other files than those that were stored here"))
    return manifest


def read_arrays(folder: Path, manifest: dict, *, verify: bool = True) -> dict[str, np.ndarray]:
    """The arrays of an artefact, read-only and mapped from the disk.

    Args:
        folder: the artefact.
        manifest: from :func:`read_manifest`.
        verify: check the hash of each file as well as its size. A file is hashed once a process, until it changes.

    Raises:
        StoreCorrupted: when a file is missing, of another size, altered or no array.
    """
    check_files(folder, manifest, verify=verify)
    arrays = {}
    for name in manifest["files"]:
        try:
            arrays[name.removesuffix(".npy")] = np.load(folder / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StoreCorrupted(damage(folder, name, f"cannot be read ({error})")) from error
    return arrays


def check_files(folder: Path, manifest: dict, *, verify: bool = True) -> None:
    """Compare the files of an artefact with its manifest.

    Raises:
        StoreCorrupted: naming the first file that is missing, of another size, or altered.
    """
    for name, entry in manifest["files"].items():
        path = folder / name
        try:
            size = path.stat().st_size
            if size != entry["bytes"]:
                raise StoreCorrupted(damage(folder, name, f"has {size:,} bytes instead of {entry['bytes']:,}"))
            if verify and file_sha256(path) != entry["sha256"]:
                raise StoreCorrupted(damage(folder, name, "was altered: its sha256 is not the one that was stored"))
        except FileNotFoundError as error:
            raise StoreCorrupted(damage(folder, name, "is missing")) from error
        except OSError as error:
            raise StoreCorrupted(damage(folder, name, f"cannot be read ({error})")) from error


def damage(folder: Path, name: str, what: str) -> str:
    """The sentence about a file of an artefact, saying which one and what to do."""
    where = f"{folder.parent.name}/{folder.name[:12]}"
    return (
        f"{name} of {where} {what}. Nothing is read from it. Remove the damage with `python -m ntkviz verify --discard` "
        f"and run the study again. Folder: {folder}"
    )


def remove(folder: Path) -> None:
    """Delete an artefact so that no reader sees half of it."""
    remove_folder(folder)
    catalogue.forget(folder)


def versions() -> dict[str, str]:
    """The versions that a result depends on, without importing the packages."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("ntkviz", "numpy", "scipy", "scikit-learn", "torch"):
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"An array is called {name!r}; expected lower-case letters, digits and underscores.")
    return name


class _Hashing:
    """A file to write to that hashes what it is given.

    Args:
        file: an open, buffered binary file: it writes on until all bytes are written, or raises.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write all of the bytes."""
        self._sha256.update(data)
        return self._file.write(data)

    def hexdigest(self) -> str:
        """The hash of all that was written."""
        return self._sha256.hexdigest()


def _write_array(path: Path, array: np.ndarray) -> dict[str, object]:
    """Write one array and check that it arrived; its entry for the manifest.

    Raises:
        StoreCorrupted: when the file does not hold the array's bytes afterwards.
    """
    with create(path) as file:
        meant = _Hashing(file)
        # NumPy writes in pieces of 16 MB to what is no file of its own, so no second copy of the array is made.
        np.save(meant, np.ascontiguousarray(array), allow_pickle=False)  # type: ignore[arg-type]
    found = file_sha256(path)
    if found != meant.hexdigest():
        raise StoreCorrupted(f"{path.name} was not written in full; the disk may be full or failing. Nothing was saved.")
    return {"bytes": path.stat().st_size, "sha256": found, "dtype": array.dtype.str, "shape": list(array.shape)}


def _is_whole(folder: Path) -> bool:
    try:
        check_files(folder, read_manifest(folder), verify=False)
    except (KeyError, StoreCorrupted):
        return False
    return True


def _put_in_place(temporary: Path, folder: Path) -> bool:
    """Rename into place; step aside when another process was first, replace what is damaged.

    Raises:
        OSError: when the folder cannot be renamed for another reason.
    """
    while True:
        try:
            move(temporary, folder)
        except OSError:
            if not folder.exists():
                raise
            if _is_whole(folder):
                return False
            # A damaged folder is moved away first: a rename cannot replace a folder that has files in it.
            remove(folder)
        else:
            return True
