"""A data frame as CSV with its column types beside it, read back exactly.

CSV alone forgets types: ``True`` and ``"True"``, ``1`` and ``1.0``, an empty text and a missing one look alike. So a
schema (plain JSON) lists the type of each column and the rows where it has no value.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def frame_schema(frame: pd.DataFrame, name: str) -> dict[str, Any]:
    """What :func:`read_frame` must know beside the CSV.

    Args:
        frame: columns of bool, integers, floats, text (missing values allowed) or categories of text; a plain index
            0..n-1; column names that are different strings.
        name: what messages call the frame.

    Returns:
        a JSON-ready dictionary.

    Raises:
        ValueError: when the frame holds something else.
    """
    if not isinstance(frame.index, pd.RangeIndex) or list(frame.index[:1]) not in ([], [0]) or frame.index.step != 1:
        raise ValueError(f"The table {name!r} needs the index 0..n-1 to be written; call reset_index(drop=True) on it first.")
    if frame.columns.nlevels != 1 or not all(isinstance(column, str) for column in frame.columns) or not frame.columns.is_unique:
        raise ValueError(
            f"The table {name!r} needs different strings as column names; got {list(frame.columns)[:10]!r}. Rename them."
        )
    return {"rows": len(frame), "columns": [_column_schema(column, str(key), name) for key, column in frame.items()]}


def _column_schema(column: pd.Series, name: str, table: str) -> dict[str, Any]:
    """Type, missing rows and categories of a column.

    Raises:
        ValueError: when the type is none of those that can be written.
    """
    schema: dict[str, Any] = {"name": name, "type": str(column.dtype)}
    if isinstance(column.dtype, pd.CategoricalDtype):
        schema |= {"type": "category", "categories": column.cat.categories.tolist(), "ordered": bool(column.cat.ordered)}
        values = schema["categories"]
    elif isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return schema
    else:
        values = column[column.notna()].tolist()
    if not all(isinstance(value, str) for value in values):
        raise ValueError(
            f"Column {name!r} of the table {table!r} has the type {column.dtype}, with values that are no text; expected "
            "bool, integer, float, text or categories of text. Convert it with astype."
        )
    return schema | {"missing": np.flatnonzero(column.isna()).tolist()}


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame that has a schema as CSV, with a header; missing values are empty cells.

    Args:
        frame: the frame.
        path: the file.
    """
    # Surrogates can stand alone in Python strings; strict UTF-8 would refuse to write what a person's file contained.
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(frame.columns)
        writer.writerows(zip(*(_cells(column) for _, column in frame.items()), strict=True))


def _cells(column: pd.Series) -> list[object]:
    """The values of a column as Python objects whose text is exact."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "f":
        return [float(value) for value in column.tolist()]
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biu":
        return column.tolist()
    missing = column.isna().tolist()
    return ["" if gone else value for value, gone in zip(column.tolist(), missing, strict=True)]


def read_frame(path: Path, schema: dict[str, Any]) -> pd.DataFrame:
    """Read what :func:`write_frame` wrote.

    Args:
        path: the file.
        schema: what :func:`frame_schema` gave.

    Returns:
        a frame equal to the one written.

    Raises:
        ValueError: when file and schema disagree.
    """
    names = [column["name"] for column in schema["columns"]]
    # A text may be longer than the module's usual field limit of 131,072 letters; the file is our own, its hash holds.
    usual = csv.field_size_limit(2**31 - 1)
    try:
        with path.open("r", encoding="utf-8", errors="surrogatepass", newline="") as file:
            rows = list(csv.reader(file))
    finally:
        csv.field_size_limit(usual)
    if not rows or rows[0] != names or (names and len(rows) - 1 != schema["rows"]):
        raise ValueError(
            f"{path.name} does not have the {schema['rows']} rows and the columns {names[:10]} that its schema lists."
        )
    columns = list(zip(*rows[1:], strict=True)) or [()] * len(names)
    data = {column["name"]: _parse(list(cells), column) for column, cells in zip(schema["columns"], columns, strict=True)}
    return pd.DataFrame(data, index=pd.RangeIndex(schema["rows"]))


def _parse(cells: list[str], schema: dict[str, Any]) -> pd.Series:
    """A column of its type.

    Raises:
        ValueError: when a cell is not of that type.
    """
    kind = schema["type"]
    if "missing" not in schema:
        dtype = np.dtype(kind)
        if dtype.kind == "b":
            return pd.Series(np.array([{"True": True, "False": False}[cell] for cell in cells], dtype=bool))
        if dtype.kind == "f":
            return pd.Series(np.array([float(cell) for cell in cells], dtype=dtype))
        return pd.Series(np.array([int(cell) for cell in cells], dtype=dtype))
    values: list[str | None] = list(cells)
    for row in schema["missing"]:
        values[row] = None
    if kind == "category":
        return pd.Series(pd.Categorical(values, categories=schema["categories"], ordered=schema["ordered"]))
    return pd.Series(values, dtype=kind)
