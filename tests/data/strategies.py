"""Hypothesis strategies of data sets."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ntkviz.types import DataKind, Dataset, Display

#: Any text, lone surrogates included.
ANY_TEXT = st.text(st.characters(), max_size=12)

#: Text that a column of pandas' own type can hold: no lone surrogates.
CELL_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)

FLOATS32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def frames(draw: st.DrawFn, rows: int) -> pd.DataFrame:
    """Tables of every column type that is carried."""
    columns: dict[str, object] = {}
    for name in draw(st.lists(CELL_TEXT, max_size=4, unique=True)):
        kind = draw(st.sampled_from(["bool", "int8", "int64", "uint64", "float32", "float64", "str", "object", "category"]))
        columns[name] = _column(draw, kind, rows)
    return pd.DataFrame(columns, index=pd.RangeIndex(rows))


def _column(draw: st.DrawFn, kind: str, rows: int) -> object:
    if kind in ("str", "object", "category"):
        values = draw(st.lists(st.none() | CELL_TEXT, min_size=rows, max_size=rows))
        if kind == "category":
            names = sorted({value for value in values if value is not None} | {"spare"})
            return pd.Categorical(values, categories=names, ordered=draw(st.booleans()))
        return pd.Series(values, dtype=kind)
    return draw(hnp.arrays(kind, rows))


KINDS: tuple[DataKind, ...] = ("image", "text", "tabular")


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Data sets of all three kinds; values often repeat, so that duplicates occur."""
    kind: DataKind = draw(st.sampled_from(KINDS))
    n, m, classes = draw(st.integers(1, 6)), draw(st.integers(0, 5)), draw(st.integers(1, 3))
    labels = [draw(hnp.arrays(np.int64, size, elements=st.integers(0, classes - 1))) for size in (n, m)]
    shape = draw(st.sampled_from([(1, 2, 2), (3, 2, 1)])) if kind == "image" else (draw(st.integers(1, 3)),)
    width = draw(st.sampled_from(["bytes", "any"]))
    x = [_inputs(draw, kind, (size, *shape), width) for size in (n, m)]
    shown = [_shown(draw, kind, part, same=draw(st.booleans())) for part in x]
    meta = draw(st.none() | frames(n + m))
    return Dataset(
        x_train=x[0],
        y_train=labels[0],
        x_test=x[1],
        y_test=labels[1],
        class_names=tuple(draw(ANY_TEXT) + str(i) for i in range(classes)),
        kind=kind,
        display=Display(train=shown[0], test=shown[1]),
        meta=meta,
        name=draw(ANY_TEXT),
        notes=tuple(draw(st.lists(ANY_TEXT, max_size=2))),
    )


def _inputs(draw: st.DrawFn, kind: str, shape: tuple[int, ...], width: str) -> np.ndarray:
    if kind == "text":
        return draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 2)))
    if kind == "image" and width == "bytes":
        return draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 77, 255]))).astype(np.float32) / np.float32(255)
    return draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([0.0, -0.0, 0.5]) | FLOATS32))


def _shown(draw: st.DrawFn, kind: str, x: np.ndarray, *, same: bool) -> np.ndarray | list[str] | pd.DataFrame:
    n = len(x)
    if kind == "text":
        return draw(st.lists(st.sampled_from(["a b", "A  b", "c"]) | ANY_TEXT, min_size=n, max_size=n))
    if kind == "tabular":
        return draw(frames(n))
    shape = (n, *x.shape[2:]) if x.shape[1] == 1 else (n, *x.shape[2:], 3)
    if same and x.size and x.min() >= 0 and x.max() <= 1:
        pixels = np.rint(x * np.float32(255)).astype(np.uint8)
        return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)).reshape(shape)
    return draw(hnp.arrays(np.uint8, shape))
