"""One JSON object a line: ``{"text": ..., "label": ...}``, optionally ``tokens`` and ``split``, or plain features."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from ntkviz.data.frame import TEXT_NAMES, frame_points, named
from ntkviz.data.guard import check_inputs, check_rows, explain, few, read_bytes, short
from ntkviz.data.options import ReadOptions
from ntkviz.data.points import Points
from ntkviz.data.tokens import TokenRows
from ntkviz.errors import UploadRejected

#: A table with an entry for every key and line takes seconds and memory from here on; it has to be one, then.
_MANY_CELLS = 5_000_000
_LEAST_FILLED = 0.1

#: Keys that are not features: label, its name, split, text, tokens and some remarks.
_SPARE_KEYS = 16


def read_jsonl(path: Path, options: ReadOptions, *, name: str) -> Points:
    """The points of a JSON lines file, one an object.

    Args:
        path: a file that was checked for its size.
        options: names of keys and limits.
        name: a short name for titles.

    Returns:
        texts when there is ``text`` or ``tokens``, else numbers and categories as a table.

    Raises:
        UploadRejected: when a line is no such object.
    """
    records, keys = _records(read_bytes(path, options.limits), options)
    check_inputs(len(records), len(keys), options.limits, width=8)
    _check_filled(records, len(keys))
    tokens = None
    if "tokens" in keys and options.kind in (None, "text"):
        tokens = TokenRows.of([record.pop("tokens", None) for record in records])
        keys.pop("tokens")
    nested = tuple(key for key, line in keys.items() if line)
    notes: tuple[str, ...] = ()
    if nested:
        if tokens is None and options.text_column not in keys and named(list(keys), TEXT_NAMES) is None:
            raise UploadRejected(
                explain(
                    expected="numbers or texts as features",
                    got=f"a list or object for {short(nested[0])} in line {keys[nested[0]]}",
                    todo="Give each number a key of its own, or bring arrays as npz.",
                )
            )
        notes = (f"The keys {few(nested)} hold lists or objects and were left out.",)
    columns = {key: [record.get(key) for record in records] for key in keys if key not in nested}
    frame = pd.DataFrame({key: _column(values) for key, values in columns.items()}, index=range(len(records)))
    points = frame_points(frame, options, name=name, last_is_label=False, tokens=tokens)
    return replace(points, notes=(*notes, *points.notes))


def _records(data: bytes, options: ReadOptions) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The objects of all lines, and each key with the first line where its value is nested (0: nowhere).

    Raises:
        UploadRejected: when a line is no JSON object, or there are too many lines or keys.
    """
    records: list[dict[str, Any]] = []
    keys: dict[str, int] = {}
    for number, line in enumerate(io.BytesIO(data.removeprefix(b"\xef\xbb\xbf")), start=1):
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except (orjson.JSONDecodeError, RecursionError) as error:
            raise UploadRejected(
                explain(
                    expected="one JSON object a line, in UTF-8",
                    got=f"in line {number}: {short(str(error), 100)}",
                    todo="Write each point as one line of JSON.",
                )
            ) from error
        if not isinstance(record, dict):
            raise UploadRejected(
                explain(
                    expected="one JSON object a line",
                    got=f"a {type(record).__name__} in line {number}",
                    todo='Write {"text": "...", "label": "..."}, one line a point.',
                )
            )
        for key, value in record.items():
            is_nested = isinstance(value, (list, dict))
            keys[key] = keys.get(key, 0) or (number if is_nested else 0)
        if len(keys) > options.limits.features + _SPARE_KEYS:
            raise UploadRejected(
                explain(expected=f"at most {options.limits.features:,} keys", got="more", todo="Leave keys out, or bring npz.")
            )
        records.append(record)
        check_rows(len(records), options.limits)
    check_rows(len(records), options.limits)
    return records, keys


def _check_filled(records: Sequence[dict[str, Any]], n_keys: int) -> None:
    """Refuse lines that have next to no keys in common: a short file would become a huge table of nothing.

    Raises:
        UploadRejected: when they are many and have not.
    """
    cells, filled = len(records) * n_keys, sum(len(record) for record in records)
    if cells > _MANY_CELLS and filled < _LEAST_FILLED * cells:
        raise UploadRejected(
            explain(
                expected="the same keys in every line",
                got=f"{n_keys:,} keys, of which a line has {filled / len(records):,.1f} on average",
                todo="Give every line the same keys, or leave the rare ones out.",
            )
        )


def _column(values: Sequence[object]) -> pd.Series:
    """A column as pandas types it when all values are of one kind, else as objects."""
    types = {type(value) for value in values}
    if types <= {int, float}:
        try:
            return pd.Series(values, dtype="float64" if float in types else "int64")
        except OverflowError:
            return pd.Series(values, dtype="float64")
    if types == {bool}:
        return pd.Series(values, dtype="bool")
    return pd.Series(values, dtype="object")
