"""From the columns of a table to float32 inputs, or to square images when its columns are pixels.

Numbers stay as they are; a column of categories becomes one column of 0 and 1 a category; a missing value is named and
refused, or its row is dropped when that was asked for.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ntkviz.data.guard import check_inputs, explain, few, first_bad, short
from ntkviz.data.options import Limits, ReadOptions
from ntkviz.errors import UploadRejected

#: How tables say "no value"; compared without case. Texts and labels only know the empty cell: "None" may be a word.
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "<na>", "#n/a"})

#: From 16 x 16 on, columns that are all whole numbers from 0 to 255 are likely pixels, and images are offered.
_SMALLEST_SIDE = 16


@dataclass(frozen=True)
class Matrix:
    """A table as inputs.

    Attributes:
        x: float32 ``[n, features]``, or uint8 ``[n, H, W]`` or ``[n, H, W, 3]`` when images were asked for.
        shown: the table of the kept rows: numbers as numbers, everything else as text.
        keep: bool over the rows of the table; n of them are true.
        notes: what was decided on the way.
    """

    x: np.ndarray
    shown: pd.DataFrame
    keep: np.ndarray
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Column:
    """One column: numbers, or category numbers with the categories' names."""

    name: str
    values: np.ndarray
    categories: tuple[str, ...] | None
    missing: np.ndarray

    @property
    def width(self) -> int:
        return 1 if self.categories is None else len(self.categories)

    def shown(self, rows: np.ndarray) -> np.ndarray | pd.Series:
        """Numbers of these rows, or the names of their categories."""
        values = self.values[rows]
        if self.categories is not None:
            return pd.Series([self.categories[i] for i in values], dtype="str")
        return values.astype(np.float64) if values.dtype.itemsize > 8 else values


def table_matrix(frame: pd.DataFrame, options: ReadOptions, *, keep: np.ndarray) -> Matrix:
    """Inputs of a table's feature columns.

    Args:
        frame: the feature columns, with different texts as names.
        options: ``kind``, ``missing`` and ``limits``.
        keep: bool over the rows: those that are still wanted.

    Returns:
        the inputs of the rows that remain.

    Raises:
        UploadRejected: when there is no column, a value is missing or no finite number, there are too many columns or
            categories, or images were asked for and the columns are no pixels.
    """
    limits = options.limits
    if not len(frame.columns):
        raise UploadRejected(
            explain(
                expected="at least one column of features", got="none beside the label", todo="Add the inputs of the network."
            )
        )
    _check_width(len(frame.columns), limits)
    columns = [_column(str(name), series, limits) for name, series in frame.items()]
    keep, notes = _without_missing(columns, keep, options)
    width = sum(column.width for column in columns)
    _check_width(width, limits)
    check_inputs(int(keep.sum()), width, limits)
    x = _fill(columns, keep, width)
    categorical = [column for column in columns if column.categories is not None]
    if categorical:
        listed = few([f"{column.name} ({column.width})" for column in categorical], 6)
        notes.append(f"Columns of categories became one column of 0 and 1 for each category: {listed}.")
    rows = np.flatnonzero(keep)
    shown = pd.DataFrame({column.name: column.shown(rows) for column in columns}, index=range(len(rows)))
    if options.kind == "image":
        x, note = _pixels(x)
        notes.append(note)
    elif _like_pixels(x):
        notes.append(
            f"The {width:,} columns are whole numbers from 0 to 255: choose the kind image to read them as square images."
        )
    return Matrix(x, shown, keep, tuple(notes))


def _check_width(width: int, limits: Limits) -> None:
    """Refuse a table that is too wide.

    Raises:
        UploadRejected: when it is.
    """
    if width > limits.features:
        raise UploadRejected(
            explain(expected=f"at most {limits.features:,} columns of features", got=f"{width:,}", todo="Leave columns out.")
        )


def _column(name: str, series: pd.Series, limits: Limits) -> _Column:
    """Numbers of a column, or its categories.

    Raises:
        UploadRejected: when it mixes numbers and text, or has too many different texts.
    """
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biuf":
        values = series.to_numpy()
        return _Column(name, values, None, np.isnan(values))
    codes, found = pd.factorize(series.astype(object))
    texts = [str(value).strip() for value in found]
    absent = np.array([text.casefold() in _MISSING for text in texts], dtype=bool)
    missing = np.concatenate([absent, [True]])[codes]  # code -1, a missing cell, takes the last entry
    numbers = [None if gone else _number(text) for text, gone in zip(texts, absent, strict=True)]
    is_text = np.array([number is None for number in numbers], dtype=bool) & ~absent
    if not is_text.any():
        values = np.array([math.nan if number is None else number for number in numbers] + [math.nan])[codes]
        return _Column(name, values, None, missing)
    text_cells = np.concatenate([is_text, [False]])[codes]
    present = int((~missing).sum())
    if int(text_cells.sum()) * 2 < present:
        row = int(text_cells.argmax())
        raise UploadRejected(
            explain(
                expected=f"numbers in column {short(name)}, as in most of its rows",
                got=f"{short(texts[codes[row]])} in row {row + 1}",
                todo="Correct the cell, or leave the column out (drop_columns).",
            )
        )
    return _categories(name, texts, absent, codes, missing, limits)


def _categories(
    name: str, texts: list[str], absent: np.ndarray, codes: np.ndarray, missing: np.ndarray, limits: Limits
) -> _Column:
    """A column of categories, in alphabetical order.

    Raises:
        UploadRejected: when there are too many different texts.
    """
    categories = tuple(sorted({text for text, gone in zip(texts, absent, strict=True) if not gone}))
    if len(categories) > limits.categories:
        raise UploadRejected(
            explain(
                expected=f"numbers or at most {limits.categories} categories in column {short(name)}",
                got=f"{len(categories):,} different texts, such as {few(categories, 2)}",
                todo="Name it as the text column if it holds the texts, or leave it out (drop_columns).",
            )
        )
    places = {text: place for place, text in enumerate(categories)}
    table = np.array([places.get(text, -1) for text in texts] + [-1], dtype=np.int64)
    return _Column(name, table[codes], categories, missing)


def _number(text: str) -> float | None:
    """A text as a number; inf is one here, so that it is named later."""
    # Longer texts are no numbers, and Python would read "1_000" as one.
    if len(text) > 60 or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _without_missing(columns: list[_Column], keep: np.ndarray, options: ReadOptions) -> tuple[np.ndarray, list[str]]:
    """Rows without a missing value.

    Raises:
        UploadRejected: when there are missing values and they are refused, or no row remains.
    """
    gone = np.zeros(len(keep), dtype=bool)
    for column in columns:
        gone |= column.missing
    gone &= keep
    if not gone.any():
        return keep, []
    row = int(gone.argmax())
    name = next(column.name for column in columns if column.missing[row])
    if options.missing == "refuse":
        raise UploadRejected(
            explain(
                expected="a value in every cell",
                got=f"none in column {short(name)}, row {row + 1} ({int(gone.sum()):,} of {int(keep.sum()):,} rows have a gap)",
                todo="Fill the gaps, leave the column out, or choose to drop rows with missing values.",
            )
        )
    kept = keep & ~gone
    if not kept.any():
        raise UploadRejected(
            explain(
                expected="rows without gaps", got="a gap in each row", todo=f"Leave out columns with gaps, such as {short(name)}."
            )
        )
    return kept, [f"{int(gone.sum()):,} of {int(keep.sum()):,} rows have missing values and were dropped."]


def _fill(columns: list[_Column], keep: np.ndarray, width: int) -> np.ndarray:
    """The float32 matrix of the kept rows.

    Raises:
        UploadRejected: when a number is not finite in float32.
    """
    x = np.zeros((int(keep.sum()), width), dtype=np.float32)
    rows = np.flatnonzero(keep)
    place = 0
    for column in columns:
        values = column.values[rows]
        if column.categories is None:
            bad = first_bad(values) if values.dtype.kind == "f" else None
            if bad is not None:
                raise UploadRejected(
                    explain(
                        expected="finite numbers within float32",
                        got=f"{values[bad]:g} in column {short(column.name)}, row {rows[bad[0]] + 1}",
                        todo="Correct the cell or leave out its row.",
                    )
                )
            x[:, place] = values
        else:
            x[np.arange(len(rows)), place + values] = 1
        place += column.width
    return x


def _side(width: int) -> tuple[int, int] | None:
    """(channels, side) when so many columns make a square image; 3 s^2 is never itself a square."""
    for channels in (1, 3):
        side = math.isqrt(width // channels)
        if side >= 2 and channels * side * side == width:
            return channels, side
    return None


def _like_pixels(x: np.ndarray) -> bool:
    """Whether the columns are likely pixels."""
    square = _side(x.shape[1])
    return square is not None and square[1] >= _SMALLEST_SIDE and float(x.max()) > 1 and _all_bytes(x)


def _all_bytes(x: np.ndarray) -> bool:
    return bool(x.min() >= 0 and x.max() <= 255 and np.array_equal(x, np.rint(x)))


def _pixels(x: np.ndarray) -> tuple[np.ndarray, str]:
    """Columns of pixels as pictures.

    Raises:
        UploadRejected: when they are none.
    """
    square = _side(x.shape[1])
    if square is None or not _all_bytes(x):
        raise UploadRejected(
            explain(
                expected="pixels: s x s or 3 x s x s columns (as 784 or 3072) of whole numbers from 0 to 255",
                got=f"{x.shape[1]:,} columns from {x.min():g} to {x.max():g}",
                todo="Read the file as a table, or bring the images as npz.",
            )
        )
    channels, side = square
    if channels == 1:
        return x.astype(np.uint8).reshape(
            -1, side, side
        ), f"{side * side:,} columns were read as grey images of {side} x {side} pixels."
    planes = x.astype(np.uint8).reshape(-1, 3, side, side).transpose(0, 2, 3, 1)
    note = f"{x.shape[1]:,} columns were read as colour images of {side} x {side} pixels: all red values first, then green, then blue."
    return np.ascontiguousarray(planes), note
