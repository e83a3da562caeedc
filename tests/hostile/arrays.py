"""NumPy archives: pickled objects, headers that lie, members that swell."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.data.files import npz_bytes, zip_bytes
from tests.hostile.case import Case, attack, content

_X, _Y = np.arange(36.0).reshape(12, 3), np.arange(12) % 3


class _Opens:
    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self):
        return open, (self.canary, "w")


def _npz(**arrays: Any) -> Callable[[Path, Path], None]:
    return content(lambda: npz_bytes(**{"x": _X, "y": _Y} | arrays))


def _header(text: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An .npy member with this header."""
    line = text.encode("latin-1") + b"\n"
    length = struct.pack("<H", len(line)) if version == b"\x01\x00" else struct.pack("<I", len(line))
    return b"\x93NUMPY" + version + length + line + data


def _plain(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _with_x(x: bytes, **more: bytes) -> Callable[[Path, Path], None]:
    """An archive of which ``x`` is these bytes."""
    return content(lambda: zip_bytes({"x.npy": x, "y.npy": _plain(_Y), **{f"{key}.npy": value for key, value in more.items()}}))


def _said(
    descr: str = "'<f8'", shape: str = "(12, 3)", data: bytes = b"\0" * 288, fortran: str = "False"
) -> Callable[[Path, Path], None]:
    return _with_x(_header(f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}", data))


def _object_array(canary: str) -> bytes:
    array = np.empty(12, dtype=object)
    array[:] = [_Opens(canary)] * 12
    return npz_bytes(x=array, y=_Y)


def _twice() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for array in (_X, _X + 1):
            archive.writestr("x.npy", _plain(array))
        archive.writestr("y.npy", _plain(_Y))
    return buffer.getvalue()


def _named(*names: str) -> Callable[[Path, Path], None]:
    return content(lambda: zip_bytes({"x.npy": _plain(_X), "y.npy": _plain(_Y)} | dict.fromkeys(names, b"x")))


def _case(name: str, write: Callable[[Path, Path], None], says: str | None, **options: Any) -> Case:
    return Case(f"{name}.npz", write, says, role="data", **options)


CASES = (
    _case("objects", attack(_object_array), "Python objects"),
    _case("objects_as_names", attack(lambda c: npz_bytes(x=_X, y=_Y, class_names=np.array([_Opens(c)] * 3, dtype=object))), "Python objects"),
    _case("objects_unread", attack(lambda c: npz_bytes(x=_X, y=_Y, other=np.array([_Opens(c)], dtype=object))), None),
    _case("bare_pickle", attack(lambda c: pickle.dumps(_Opens(c))), "zip archive"),
    _case("pickle_as_member", attack(lambda c: zip_bytes({"x.npy": pickle.dumps(_Opens(c)), "y.npy": _plain(_Y)})), "damaged header"),
    _case("bomb", content(lambda: zip_bytes({"x.npy": _header("{'descr': '|u1', 'fortran_order': False, 'shape': (64, 1048576)}", bytes(64 << 20)), "y.npy": _plain(_Y)})), "zip bomb", bomb=True),
    _case("shape_of_10_12", _said(shape="(1000000, 1000000)"), "to hold the array"),
    _case("shape_below_zero", _said(shape="(-12, 3)"), "to hold the array"),
    _case("shape_overflowing", _said(shape="(4294967296, 4294967296, 3)"), "to hold the array"),
    _case("shape_of_texts", _said(shape="('a', 3)"), "damaged header"),
    _case("shape_true", _said(shape="(True, 36)"), "Expected"),
    _case("shape_deep", _said(shape="(" * 3000 + ")" * 3000), "damaged header"),
    _case("shape_of_many", _said(shape="(" + "1," * 40 + "36)"), "Expected"),
    _case("code_in_header", attack(lambda c: zip_bytes({"x.npy": _header(f"__import__('os').system('touch {c}')"), "y.npy": _plain(_Y)})), "damaged header"),
    _case("call_in_descr", attack(lambda c: zip_bytes({"x.npy": _header(f"{{'descr': open({c!r}, 'w'), 'fortran_order': False, 'shape': (1,)}}"), "y.npy": _plain(_Y)})), "damaged header"),
    _case("descr_object", _said(descr="'|O'"), "Python objects"),
    _case("descr_fields", _said(descr="[('a', '<f8'), ('b', '|O')]"), "Python objects"),
    _case("descr_subarray", _said(descr="('<f8', (1000000000,))"), "Expected"),
    _case("descr_text_of_4_gb", _said(descr="'<U1000000000'"), "Expected"),
    _case("descr_void", _said(descr="'|V24'", shape="(12,)"), "the type"),
    _case("descr_complex", _said(descr="'<c16'"), "the type"),
    _case("descr_date", _said(descr="'<M8[s]'"), "the type"),
    _case("descr_empty", _said(descr="'<U0'"), "Expected"),
    _case("descr_deep", _said(descr="[" * 500 + "]" * 500), "damaged header"),
    _case("fortran_text", _said(fortran="'yes'"), "damaged header"),
    _case("header_of_60_kb", _with_x(_header("{" + " " * 60_000 + "}")), "damaged header"),
    _case("header_version_9", _with_x(_header("{}", version=b"\x09\x00")), "damaged header"),
    _case("header_length_lies", _with_x(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}"), "damaged header"),
    _case("header_missing", _with_x(b""), "damaged header"),
    _case("nan", _npz(x=np.full((12, 3), np.nan)), "finite"),
    _case("too_large_for_float32", _npz(x=np.full((12, 3), 1e300)), "finite"),
    _case("other_length", _npz(y=np.arange(5)), "Expected"),
    _case("no_points", _npz(x=np.zeros((0, 3)), y=np.zeros(0)), "data point"),
    _case("no_columns", _npz(x=np.zeros((12, 0))), "Expected"),
    _case("ten_axes", _npz(x=np.zeros((12, 1, 1, 1, 1, 1))), "Expected"),
    _case("labels_fraction", _npz(y=np.linspace(0, 1, 12)), "fraction"),
    _case("labels_nan", _npz(y=np.full(12, np.nan)), "Expected"),
    _case("labels_2d", _npz(y=np.eye(12)), "Expected"),
    _case("labels_huge", _npz(y=np.array([0, 2**63 - 1] * 6)), None),
    _case("broken_letters", _with_x(_header("{'descr': '<U1', 'fortran_order': False, 'shape': (12,)}", b"\xff\xff\xff\x7f" * 12)), "damaged array of texts"),
    _case("names_html", _npz(class_names=np.array(["<script>window.PWN=1</script>", "![p](http://outside.example/p.png)", "=1+1"])), None),
    _case("names_bidi", _npz(class_names=np.array(["\u202eabc", "a\x00b", "\x1b[31m"])), None),
    _case("names_long", _npz(class_names=np.array(["a", "b", "c" * 100_000])), "class names"),
    _case("traversal", _named("../../evil.npy"), "leads out"),
    _case("absolute", _named("/etc/cron.d/evil"), "leads out"),
    _case("drive", _named("C:/evil.npy"), "leads out"),
    _case("twice", content(_twice), "stands twice"),
    _case("cut", content(lambda: npz_bytes(x=_X, y=_Y)[:-30]), "Expected"),
    _case("table", content("a,b,label\n1,2,x\n"), "zip archive"),
)  # fmt: skip
