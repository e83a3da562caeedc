"""The one door for data files that people bring: npz, csv, jsonl and zips of class folders."""

from collections.abc import Callable
from pathlib import Path

from ntkviz.data.csv import read_csv
from ntkviz.data.guard import check_file, explain, short
from ntkviz.data.image_zip import read_image_zip
from ntkviz.data.jsonl import read_jsonl
from ntkviz.data.npz import read_npz
from ntkviz.data.options import DEFAULTS, Limits, ReadOptions
from ntkviz.data.points import Points, finish
from ntkviz.errors import UploadRejected
from ntkviz.types import Dataset

__all__ = ["ACCEPTED", "Limits", "ReadOptions", "read_dataset"]

_READERS: dict[str, Callable[..., Points]] = {
    ".npz": read_npz,
    ".csv": read_csv,
    ".csv.gz": read_csv,
    ".jsonl": read_jsonl,
    ".jsonl.gz": read_jsonl,
    ".zip": read_image_zip,
}

#: The endings of files that are read.
ACCEPTED = tuple(_READERS)

#: What to do with files that people often have instead.
_ADVICE = {
    (".pkl", ".pickle", ".joblib", ".p"): "A pickle runs code when it is read: save the arrays with numpy.savez_compressed.",
    (
        ".parquet",
        ".feather",
        ".xlsx",
        ".xls",
        ".tsv",
        ".arff",
    ): "Save the table as CSV, for instance with pandas: frame.to_csv(file, index=False).",
    (".npy",): "Save inputs and labels together: numpy.savez_compressed(file, x=..., y=...).",
    (".json",): "Write one JSON object a line and name the file .jsonl.",
    (".tar", ".tar.gz", ".tgz", ".7z", ".rar"): "Pack the class folders as a zip archive.",
    (".pt", ".pth", ".safetensors", ".pt2"): "This is a model; bring it where a model is asked for.",
}


def read_dataset(path: Path, *, options: ReadOptions = DEFAULTS) -> Dataset:
    """Read a data file that somebody brought.

    The format goes by the name's ending: npz (arrays ``x_train``, ``y_train``, ``x_test``, ``y_test``, or ``x``, ``y``), csv and
    jsonl, also gzipped, and a zip of class folders of images. Nothing is ever unpacked to disk or unpickled.

    Args:
        path: the file.
        options: names of columns, split, sizes and limits.

    Returns:
        the data set; its notes say what was decided and what was left out.

    Raises:
        UploadRejected: whatever is wrong with the file; no other error.
    """
    path = Path(path)
    suffix = _suffix(path)
    reader = _READERS.get(suffix)
    if reader is None:
        advice = next((text for suffixes, text in _ADVICE.items() if suffix in suffixes), "Convert the file to one of these.")
        raise UploadRejected(explain(expected=f"a data file ending in {', '.join(ACCEPTED)}", got=short(path.name), todo=advice))
    check_file(path, options.limits)
    try:
        return finish(reader(path, options, name=_title(path, suffix)), options)
    except UploadRejected:
        raise
    except MemoryError as error:
        raise UploadRejected(
            explain(
                expected="data that fit into the memory",
                got=f"{short(path.name)}, which do not",
                todo="Bring a subset of the data.",
            )
        ) from error
    except Exception as error:  # the promise of this door: a hostile file may fail in any way, but never as a traceback
        raise UploadRejected(
            explain(
                expected=f"a whole {suffix} file",
                got=f"{short(path.name)}, which cannot be read ({type(error).__name__})",
                todo="Write the file again, or bring the data in another format.",
            )
        ) from error


def _suffix(path: Path) -> str:
    """The ending of a name in small letters; two endings when the last one is that of a packer."""
    endings = [ending.lower() for ending in path.suffixes[-2:]]
    return "".join(endings) if endings[-1:] == [".gz"] else "".join(endings[-1:])


def _title(path: Path, suffix: str) -> str:
    """A name for titles."""
    name = path.name[: -len(suffix)] if suffix else path.name
    return "".join(letter for letter in name if letter.isprintable())[:60] or "data"
