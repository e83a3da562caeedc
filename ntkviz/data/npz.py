"""NumPy archives: ``x_train``, ``y_train``, ``x_test``, ``y_test`` or ``x``, ``y``; never a pickled object.

Images, tables, token ids and texts are told apart by type and shape; the option ``kind`` overrules.
"""

import io
import math
import sys
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ntkviz.data.guard import check_inputs, check_rows, explain, few, first_bad, open_archive, read_member, short
from ntkviz.data.options import Limits, ReadOptions
from ntkviz.data.pictures import as_pictures
from ntkviz.data.points import Points
from ntkviz.data.table import table_matrix
from ntkviz.data.text import words
from ntkviz.data.tokens import fit_ids, spell
from ntkviz.errors import UploadRejected

_SPLIT = ("x_train", "y_train", "x_test", "y_test")
_KEYS = (*_SPLIT, "x", "y", "class_names", "feature_names")

#: NumPy writes headers of 128 bytes; 10,000 is the library's own limit for what it evaluates as a literal.
_HEADER_BYTES = 10_100


def read_npz(path: Path, options: ReadOptions, *, name: str) -> Points:
    """The points of an npz file.

    Args:
        path: a file that was checked for its size.
        options: ``kind`` and limits.
        name: a short name for titles.

    Returns:
        images, texts or a table.

    Raises:
        UploadRejected: when arrays are missing, of the wrong type or do not fit together.
    """
    arrays, notes = _arrays(path, options.limits)
    if options.missing == "refuse" or arrays.get("x", arrays.get("x_train", np.zeros(0))).ndim != 2:
        _check_finite(arrays)
    x, y, is_test = _joined(arrays)
    check_rows(len(x), options.limits)
    parts = _inputs(x, arrays.get("feature_names"), options)
    names = arrays.get("class_names")
    kept = parts.get("kept", slice(None))
    return Points(
        kind=parts["kind"],
        x=parts["x"],
        labels=y[kept],
        shown=parts["shown"],
        is_test=None if is_test is None else is_test[kept],
        class_names=None if names is None else _texts(names, "class_names"),
        name=name,
        notes=(*notes, *parts["notes"]),
    )


def _arrays(path: Path, limits: Limits) -> tuple[dict[str, np.ndarray], list[str]]:
    """The known arrays of an archive.

    Raises:
        UploadRejected: when the archive or one of them cannot be read.
    """
    with open_archive(path, limits) as archive:
        members = {
            info.filename.removesuffix(".npy").casefold(): info for info in archive.infolist() if info.filename.endswith(".npy")
        }
        known = {key: members[key] for key in _KEYS if key in members}
        if not ({"x_train", "y_train"} <= known.keys() or {"x", "y"} <= known.keys()):
            raise UploadRejected(
                explain(
                    expected="the arrays x_train, y_train, x_test, y_test, or x and y",
                    got=few(tuple(members)) or "none",
                    todo="Write them with numpy.savez_compressed(file, x_train=..., y_train=...).",
                )
            )
        # All headers first: a bomb in the last array is refused before the first one is unpacked.
        headers = {key: _header(archive, info, limits) for key, info in known.items()}
        arrays = {key: _array(read_member(archive, info), headers[key]) for key, info in known.items()}
        unknown = tuple(member for member in members if member not in known)
    return arrays, [f"The arrays {few(unknown)} were not read."] if unknown else []


@dataclass(frozen=True)
class _Header:
    """What the header of an array in the file says."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    length: int


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: Limits) -> _Header:
    """The header of an array, checked against the size of its member.

    Raises:
        UploadRejected: when it is damaged, promises another size, or is of a type that is not read.
    """
    try:
        with archive.open(info) as member:
            head = io.BytesIO(member.read(_HEADER_BYTES))
        version = np.lib.format.read_magic(head)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 2 headers are read all the same
            shape, fortran, dtype = read(head)
    except Exception as error:  # the header is a Python literal: a hostile one fails in any way a parser can
        raise UploadRejected(
            explain(
                expected="arrays as numpy.savez writes them",
                got=f"{short(info.filename)} with a damaged header ({type(error).__name__})",
                todo="Write the file again.",
            )
        ) from error
    if dtype.names is not None or dtype.kind not in "biufUS" or not dtype.itemsize:
        what = "Python objects (a pickle)" if dtype.hasobject else f"the type {short(dtype)}"
        raise UploadRejected(
            explain(
                expected="numbers, booleans or texts of fixed length",
                got=f"{what} in {short(info.filename)}",
                todo="Convert the array, for instance with .astype(float) or .astype(str).",
            )
        )
    n = math.prod(shape) if all(isinstance(size, int) and size >= 0 for size in shape) else -1
    if n < 0 or n * dtype.itemsize != info.file_size - head.tell() or len(shape) > 8:
        raise UploadRejected(
            explain(
                expected=f"{info.file_size:,} bytes to hold the array",
                got=f"the shape {short(shape)} in {short(info.filename)}",
                todo="Write the file again.",
            )
        )
    if info.filename.casefold().endswith("_names.npy") and n > limits.features + limits.classes:
        raise UploadRejected(
            explain(expected="one name a class or feature", got=f"{n:,} in {short(info.filename)}", todo="Correct them.")
        )
    return _Header(tuple(shape), dtype, bool(fortran), head.tell())


def _array(data: bytes, header: _Header) -> np.ndarray:
    """The array of a whole member, in the byte order of this machine.

    Raises:
        UploadRejected: when texts hold numbers that are no letters.
    """
    flat = (
        np.frombuffer(data, dtype=header.dtype, offset=header.length) if len(data) > header.length else np.zeros(0, header.dtype)
    )
    array = flat.reshape(header.shape, order="F" if header.fortran else "C")
    array = array if header.dtype.isnative else array.astype(header.dtype.newbyteorder("="))
    if array.dtype.kind == "U" and array.size:
        # NumPy does not look at the letters of a text until Python asks for it, and fails with an internal error then;
        # half of a surrogate pair is what no file in UTF-8 could hold.
        letters = np.ascontiguousarray(array).view(np.uint32)
        if ((letters > sys.maxunicode) | ((letters >= 0xD800) & (letters <= 0xDFFF))).any():
            raise UploadRejected(
                explain(expected="texts of Unicode letters", got="a damaged array of texts", todo="Write the file again.")
            )
    return array


def _check_finite(arrays: dict[str, np.ndarray]) -> None:
    """Refuse inputs that are not finite, by their index in the array that the person knows.

    Raises:
        UploadRejected: when there is one.
    """
    for key in ("x_train", "x_test", "x"):
        x = arrays.get(key)
        bad = first_bad(x) if x is not None and x.dtype.kind == "f" and x.ndim else None
        if x is not None and bad is not None:
            raise UploadRejected(
                explain(
                    expected="finite numbers within float32",
                    got=f"{x[bad]} at {key}{list(bad)}",
                    todo="Correct the value or leave out the point.",
                )
            )


def _joined(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """All inputs, all labels, and which are test points.

    Raises:
        UploadRejected: when arrays are missing or do not fit together.
    """
    if "x_train" not in arrays or "y_train" not in arrays:
        return *_pair(arrays["x"], arrays["y"], "x", "y"), None
    x, y = _pair(arrays["x_train"], arrays["y_train"], "x_train", "y_train")
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise UploadRejected(
            explain(
                expected="both x_test and y_test, or neither", got="one of them", todo="Add the other array or leave both out."
            )
        )
    if "x_test" not in arrays:
        return x, y, None
    x_test, y_test = _pair(arrays["x_test"], arrays["y_test"], "x_test", "y_test")
    if (
        x.shape[1:] != x_test.shape[1:]
        or x.dtype.kind != x_test.dtype.kind
        or (y.dtype.kind in "US") != (y_test.dtype.kind in "US")
    ):
        raise UploadRejected(
            explain(
                expected="training and test arrays of one kind",
                got=f"x_train {x.shape[1:]} {x.dtype} with y_train {y.dtype}, x_test {x_test.shape[1:]} {x_test.dtype} with y_test {y_test.dtype}",
                todo="Write both splits in the same way.",
            )
        )
    is_test = np.arange(len(x) + len(x_test)) >= len(x)
    return np.concatenate([x, x_test]), np.concatenate([y, y_test]), None if not len(x_test) else is_test


def _pair(x: np.ndarray, y: np.ndarray, x_name: str, y_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and their labels ``[n]``.

    Raises:
        UploadRejected: when they are not one each.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or x.ndim < 1 or len(x) != len(y):
        raise UploadRejected(
            explain(
                expected=f"one label a point: {x_name} [n, ...] and {y_name} [n]",
                got=f"{x.shape} and {y.shape}",
                todo="One-hot labels become numbers with .argmax(axis=1).",
            )
        )
    return x, y


def _texts(array: np.ndarray, what: str) -> tuple[str, ...]:
    """Names as Python texts.

    Raises:
        UploadRejected: when they are none.
    """
    if array.ndim != 1 or array.dtype.kind not in "US":
        raise UploadRejected(
            explain(
                expected=f"{what} as a list of texts",
                got=f"{array.dtype} {array.shape}",
                todo=f"Write {what} with np.array([...]).",
            )
        )
    return tuple(text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in array.tolist())


def _inputs(x: np.ndarray, feature_names: np.ndarray | None, options: ReadOptions) -> dict[str, Any]:
    """Kind, inputs, what is shown, and notes.

    Raises:
        UploadRejected: when an array of this shape and type is nothing that is read.
    """
    if x.ndim == 1 and x.dtype.kind in "US":
        shown = list(_texts(x, "texts"))
        return {"kind": "text", "x": [words(text) for text in shown], "shown": shown, "notes": ()}
    if x.ndim in (3, 4) and x.dtype.kind in "biuf" and options.kind in (None, "image"):
        check_inputs(len(x), int(np.prod(x.shape[1:])), options.limits)
        pictures, notes = as_pictures(x, limits=options.limits)
        return {"kind": "image", "x": pictures, "shown": None, "notes": notes}
    if x.ndim == 2 and x.dtype.kind in "biuf" and x.shape[1]:
        # Tables are mostly floats or bytes; wide integers without names of features are what tokenizers give.
        ids = x.dtype.kind in "iu" and x.dtype.itemsize > 1 and feature_names is None and int(x.min()) >= 0
        if options.kind == "text" or (options.kind is None and ids):
            return _token_ids(x, options)
        return _table(x, feature_names, options)
    raise UploadRejected(
        explain(
            expected="x of images [n, H, W] or [n, H, W, C], a table [n, features], token ids [n, T] or texts [n]",
            got=f"{x.dtype} {x.shape}" + (f" to be read as {options.kind}" if options.kind else ""),
            todo="Reshape the array.",
        )
    )


def _token_ids(x: np.ndarray, options: ReadOptions) -> dict[str, Any]:
    """Token ids.

    Raises:
        UploadRejected: when they are no whole numbers or out of range.
    """
    if x.dtype.kind not in "iu":
        raise UploadRejected(explain(expected="token ids as integers", got=str(x.dtype), todo="Convert with .astype(np.int64)."))
    ids, notes = fit_ids(x, options)
    if options.kind is None:
        notes.append("The integers were read as token ids, 0 is padding; choose the kind tabular if they are measurements.")
    return {"kind": "text", "x": ids, "shown": spell(ids, options), "notes": notes}


def _table(x: np.ndarray, feature_names: np.ndarray | None, options: ReadOptions) -> dict[str, Any]:
    """A table.

    Raises:
        UploadRejected: when names of features do not fit, or a value is no finite number.
    """
    limits = options.limits
    if x.shape[1] > limits.features:
        raise UploadRejected(
            explain(expected=f"at most {limits.features:,} features", got=f"{x.shape[1]:,}", todo="Leave features out.")
        )
    names = tuple(f"feature {i}" for i in range(x.shape[1])) if feature_names is None else _texts(feature_names, "feature_names")
    if len(set(names)) != x.shape[1]:
        raise UploadRejected(
            explain(
                expected=f"{x.shape[1]} different feature_names", got=f"{len(set(names))}", todo="Give each feature its own name."
            )
        )
    check_inputs(len(x), x.shape[1], limits)
    frame = pd.DataFrame(x, columns=list(names), copy=False)
    matrix = table_matrix(frame, options, keep=np.ones(len(x), dtype=bool))
    kind = "image" if options.kind == "image" else "tabular"
    shown = None if kind == "image" else matrix.shown
    return {"kind": kind, "x": matrix.x, "shown": shown, "notes": matrix.notes, "kept": matrix.keep}
