"""Tables with a header line, separated by commas, semicolons or tabs, in UTF-8; plain or gzipped."""

import csv
import io
import warnings
from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

from ntkviz.data.frame import LABEL_NAMES, TEXT_NAMES, frame_points
from ntkviz.data.guard import explain, few, read_bytes, short
from ntkviz.data.options import ReadOptions
from ntkviz.data.points import Points
from ntkviz.errors import UploadRejected

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}

#: Columns that are not features: label, its name, split, text and a nameless one.
_SPARE_COLUMNS = 16


def read_csv(path: Path, options: ReadOptions, *, name: str) -> Points:
    """The points of a CSV file, one a row.

    Args:
        path: a file that was checked for its size.
        options: names of columns and limits.
        name: a short name for titles.

    Returns:
        numbers and categories as a table, or texts when there is a text column.

    Raises:
        UploadRejected: when it is no such table.
    """
    data = read_bytes(path, options.limits)
    header, delimiter = _header(data, options)
    frame = _frame(data, header, delimiter, options)
    return frame_points(frame, options, name=name, last_is_label=True)


def _header(data: bytes, options: ReadOptions) -> tuple[list[str], str]:
    """Column names and the delimiter.

    Raises:
        UploadRejected: when the first line is no header.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise UploadRejected(
            explain(expected="text in UTF-8", got="UTF-16 or no text at all", todo="Save the file as CSV in UTF-8.")
        )
    line = data[: _line_end(data)]
    delimiter = max(_DELIMITERS, key=lambda mark: line.count(mark.encode()))
    # Counted on the raw bytes: splitting a hostile line first would make millions of strings.
    if line.count(delimiter.encode()) > options.limits.features + _SPARE_COLUMNS:
        raise UploadRejected(
            explain(expected=f"at most {options.limits.features:,} columns", got="more", todo="Leave columns out, or bring npz.")
        )
    try:
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
        header = [cell.strip() for cell in next(csv.reader(text, delimiter=delimiter, skipinitialspace=True))]
    except (UnicodeDecodeError, csv.Error, StopIteration) as error:
        raise UploadRejected(
            explain(expected="CSV in UTF-8 with a header line", got=short(error, 120), todo="Save the file as CSV in UTF-8.")
        ) from error
    if not any(header):
        raise UploadRejected(explain(expected="column names in the first line", got="an empty line", todo="Add a header line."))
    if len(set(header)) != len(header):
        twice = tuple(cell for cell, count in Counter(header).items() if count > 1)
        raise UploadRejected(
            explain(expected="different column names", got=f"several times {few(twice)}", todo="Rename the columns.")
        )
    if all(_is_number(cell) for cell in header):
        raise UploadRejected(
            explain(expected="column names in the first line", got=f"numbers: {few(tuple(header), 4)}", todo="Add a header line.")
        )
    return header, delimiter


def _line_end(data: bytes) -> int:
    """Where the first line ends; old Macintosh files end lines with a carriage return alone."""
    ends = [end for end in (data.find(b"\n"), data.find(b"\r")) if end >= 0]
    return min(ends, default=len(data))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _frame(data: bytes, header: list[str], delimiter: str, options: ReadOptions) -> pd.DataFrame:
    """The cells: numbers where a whole column is numbers, else text; an empty cell is missing.

    Raises:
        UploadRejected: when a row does not fit the header.
    """
    # Labels and texts are never guessed to be numbers: "007" and "1e3" are what they are.
    asked = {options.label_column, options.text_column}
    as_text: dict[Hashable, Any] = {
        cell: str for cell in header if cell in asked or cell.casefold() in (*LABEL_NAMES, *TEXT_NAMES, "split")
    }
    if options.label_column is None and not any(cell.casefold() in LABEL_NAMES for cell in header):
        as_text[header[-1]] = str
    with warnings.catch_warnings():
        # pandas only warns when it drops the surplus cells of long rows.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(
                io.BytesIO(data),
                sep=delimiter,
                encoding="utf-8-sig",
                names=header,
                header=0,
                index_col=False,
                dtype=as_text,
                keep_default_na=False,
                na_values=[""],
                nrows=options.limits.rows + 1,
                float_precision="round_trip",
                skipinitialspace=True,
                low_memory=False,
            )
        except (ValueError, OverflowError, pd.errors.ParserWarning, pd.errors.ParserError) as error:
            detail = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
            if isinstance(error, pd.errors.ParserWarning):
                detail = "rows with more cells than the header"
            raise UploadRejected(
                explain(
                    expected=f"rows of {len(header)} cells, separated by a {_DELIMITERS[delimiter]}, in UTF-8",
                    got=short(detail, 140),
                    todo="Quote cells that contain the separator, and save the file in UTF-8.",
                )
            ) from error
