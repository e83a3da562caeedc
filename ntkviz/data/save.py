"""A data set as a folder, and back, without loss and without pickle.

The folder holds ``arrays.npz`` (inputs and labels), ``meta.csv`` and, for tables, ``display.csv``, for texts
``display.json``, and ``dataset.json`` with the rest. ``dataset.json`` is written last and carries the sha256 of the
other files: a folder without it is no data set, and an altered file is noticed.

Images of which every value is k/255 are kept as uint8, and what a person is shown of them is kept only when it is not
the same picture; both come back bit for bit.
"""

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ntkviz.data.table_file import frame_schema, read_frame, write_frame
from ntkviz.errors import StoreCorrupted
from ntkviz.types import Dataset, Display

_FORMAT = "ntkviz-dataset/1"
_MANIFEST = "dataset.json"


def save_dataset(dataset: Dataset, folder: Path) -> None:
    """Write a data set into a folder, replacing a data set that stands there.

    Args:
        dataset: what to write.
        folder: made when it does not exist; files of other names in it are left alone.

    Raises:
        ValueError: when a table (``meta`` or ``display``) has an index or a column type that CSV cannot carry.
        OSError: when the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        "y_train": dataset.y_train,
        "y_test": dataset.y_test,
    }
    manifest: dict[str, Any] = {
        "format": _FORMAT,
        "kind": dataset.kind,
        "name": dataset.name,
        "class_names": list(dataset.class_names),
        "notes": list(dataset.notes),
        "stored": {},
    }
    # The schemas are made first: a table that cannot be written must not cost the data set that stands there.
    frames = _frames(dataset)
    manifest["tables"] = {name: frame_schema(frame, name) for name, frame in frames.items()}
    for split, x, shown in (
        ("train", dataset.x_train, dataset.display.train),
        ("test", dataset.x_test, dataset.display.test),
    ):
        manifest["stored"][split] = _pack(split, x, shown, arrays)
    (folder / _MANIFEST).unlink(missing_ok=True)
    written = [folder / "arrays.npz"]
    with written[0].open("wb") as file:
        # The names are ours and the suffix is forced by the open file; savez_compressed never pickles plain arrays.
        np.savez_compressed(file, allow_pickle=False, **arrays)
    for name, frame in frames.items():
        written.append(folder / f"{name}.csv")
        write_frame(frame, written[-1])
    if isinstance(dataset.display.train, list):
        written.append(folder / "display.json")
        shown = {"train": dataset.display.train, "test": dataset.display.test}
        written[-1].write_text(json.dumps(shown), encoding="ascii")
    manifest["sha256"] = {path.name: _sha256(path) for path in written}
    _write_last(folder / _MANIFEST, json.dumps(manifest, indent=1))


def load_dataset(folder: Path) -> Dataset:
    """Read a data set that :func:`save_dataset` wrote.

    Args:
        folder: the folder.

    Returns:
        the same data set: equal arrays of equal dtypes, equal tables, equal texts.

    Raises:
        StoreCorrupted: when a file is missing, altered or from another version.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    try:
        return _assemble(folder, manifest)
    except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        # The hashes hold, so the writer and this reader disagree about the layout.
        raise StoreCorrupted(
            f"The data set in {folder.name!r} has whole files that do not fit together ({type(error).__name__}: {error}). "
            "It was written by another version of ntkviz: make it anew."
        ) from error


def _frames(dataset: Dataset) -> dict[str, pd.DataFrame]:
    """The tables of a data set, by file name; train above test in each."""
    frames: dict[str, pd.DataFrame] = {}
    train, test = dataset.display.train, dataset.display.test
    if isinstance(train, pd.DataFrame) and isinstance(test, pd.DataFrame):
        frames["display_train"], frames["display_test"] = train, test
    if dataset.meta is not None:
        frames["meta"] = dataset.meta
    return frames


def _pack(split: str, x: np.ndarray, shown: object, arrays: dict[str, np.ndarray]) -> dict[str, bool]:
    """Put the inputs of a split, and the pictures shown of them where needed, into ``arrays``; say how."""
    as_bytes = _exact_bytes(x)
    arrays[f"x_{split}"] = x if as_bytes is None else as_bytes
    shown_is_x = False
    if isinstance(shown, np.ndarray):
        picture = None if as_bytes is None else _picture(as_bytes)
        shown_is_x = picture is not None and shown.dtype == np.uint8 and np.array_equal(picture, shown)
        if not shown_is_x:
            arrays[f"display_{split}"] = shown
    return {"x_is_bytes": as_bytes is not None, "display_is_x": shown_is_x}


def _exact_bytes(x: np.ndarray) -> np.ndarray | None:
    """The uint8 array of which ``x`` is 1/255, or None when there is none that gives ``x`` back bit for bit."""
    if x.dtype != np.float32 or x.ndim != 4:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        whole = np.rint(x * np.float32(255))
        if not np.all((whole >= 0) & (whole <= 255)):
            return None
        packed = whole.astype(np.uint8)
    # Compared as bits: -0.0 equals 0.0 and would come back as another number.
    same = np.array_equal(_from_bytes(packed).view(np.uint32), np.ascontiguousarray(x).view(np.uint32))
    return packed if same else None


def _from_bytes(packed: np.ndarray) -> np.ndarray:
    """float32 in [0, 1] of uint8; the one way this project scales pixels."""
    return packed.astype(np.float32) / np.float32(255)


def _picture(packed: np.ndarray) -> np.ndarray | None:
    """What a person is shown of uint8 ``[n, channels, H, W]``: ``[n, H, W]`` or ``[n, H, W, 3]``; else None."""
    if packed.shape[1] == 1:
        return packed[:, 0]
    return np.ascontiguousarray(packed.transpose(0, 2, 3, 1)) if packed.shape[1] == 3 else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_last(path: Path, text: str) -> None:
    """Write the commit marker: it appears whole or not at all."""
    temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    with temporary.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _read_manifest(folder: Path) -> dict[str, Any]:
    """The checked ``dataset.json`` of a folder.

    Raises:
        StoreCorrupted: when it is missing or unreadable, or a file's hash does not hold.
    """
    name = folder.name
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="ascii"))
        if manifest["format"] != _FORMAT:
            raise StoreCorrupted(
                f"The data set in {name!r} is in format {manifest['format']!r}; expected {_FORMAT!r}. Make it anew."
            )
        hashes = dict(manifest["sha256"])
    except OSError as error:
        raise StoreCorrupted(
            f"Expected a data set in the folder {name!r}; it has no readable {_MANIFEST}. Write it with save_dataset."
        ) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreCorrupted(f"{_MANIFEST} in {name!r} is damaged ({type(error).__name__}). Make the data set anew.") from error
    for file, expected in hashes.items():
        path = folder / Path(file).name
        if not path.is_file():
            raise StoreCorrupted(f"The data set in {name!r} lacks the file {file!r}. Make it anew.")
        if _sha256(path) != expected:
            raise StoreCorrupted(f"The file {file!r} of the data set in {name!r} was altered since it was written. Make it anew.")
    return manifest


@dataclass(frozen=True)
class _Half:
    """One split as it comes back."""

    x: np.ndarray
    y: np.ndarray
    shown: Any


def _assemble(folder: Path, manifest: dict[str, Any]) -> Dataset:
    """Build the data set from files whose hashes hold."""
    with np.load(folder / "arrays.npz", allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    tables = {name: read_frame(folder / f"{name}.csv", schema) for name, schema in manifest["tables"].items()}
    texts = (
        json.loads((folder / "display.json").read_text(encoding="ascii"))
        if (folder / "display.json").name in manifest["sha256"]
        else {}
    )
    train, test = (_half(split, arrays, manifest["stored"][split], tables, texts) for split in ("train", "test"))
    return Dataset(
        x_train=train.x,
        y_train=train.y,
        x_test=test.x,
        y_test=test.y,
        class_names=tuple(manifest["class_names"]),
        kind=manifest["kind"],
        display=Display(train=train.shown, test=test.shown),
        meta=tables.get("meta"),
        name=manifest["name"],
        notes=tuple(manifest["notes"]),
    )


def _half(
    split: str,
    arrays: dict[str, np.ndarray],
    stored: dict[str, bool],
    tables: dict[str, pd.DataFrame],
    texts: dict[str, list[str]],
) -> _Half:
    """One split: inputs, labels, and what a person is shown."""
    x = arrays[f"x_{split}"]
    if stored["display_is_x"]:
        shown: Any = _picture(x)
    elif f"display_{split}" in arrays:
        shown = arrays[f"display_{split}"]
    else:
        shown = tables.get(f"display_{split}", texts.get(split))
    return _Half(_from_bytes(x) if stored["x_is_bytes"] else x, arrays[f"y_{split}"], shown)
