"""What the columns of a table are for: label, split, text or features. CSV, JSON lines and OpenML all end here."""

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd

from ntkviz.data.guard import check_rows, explain, few, short
from ntkviz.data.options import ReadOptions
from ntkviz.data.points import Points
from ntkviz.data.table import table_matrix
from ntkviz.data.text import words
from ntkviz.data.tokens import TokenRows
from ntkviz.errors import UploadRejected

#: Column names that are taken without being asked for, in this order.
LABEL_NAMES = ("label", "target", "class")
TEXT_NAMES = ("text", "sentence", "review")

_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_LEFT_OUT = ("val", "valid", "validation", "dev")

#: Columns of meta that the readers make.
_OWN_COLUMNS = ("split", "row")


@dataclass(frozen=True)
class _Roles:
    """Which column is for what; ``features`` are all others."""

    label: str
    label_name: str | None
    split: str | None
    text: str | None
    features: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


def frame_points(
    frame: pd.DataFrame, options: ReadOptions, *, name: str, last_is_label: bool, tokens: TokenRows | None = None
) -> Points:
    """The points of a table, one a row.

    Args:
        frame: all columns, with different texts as names.
        options: names of columns, what to do with missing values, limits.
        name: a short name for titles.
        last_is_label: whether the last column is the label when none has one of the usual names.
        tokens: texts that the file has already cut into tokens, one a row.

    Returns:
        the points of the rows that remain.

    Raises:
        UploadRejected: when a column that is needed is missing, or holds what it should not.
    """
    check_rows(len(frame), options.limits)
    frame, notes = _without_columns(frame, options)
    roles = _roles(frame, options, last_is_label=last_is_label, tokens=tokens)
    keep, is_test, split_notes = _split(frame, roles)
    keep, label_notes = _with_label(column_of(frame, roles.label), roles.label, keep, options)
    notes += [*roles.notes, *split_notes, *label_notes]
    check_rows(int(keep.sum()), options.limits)
    parts: dict[str, Any]
    if roles.text is not None or tokens is not None:
        keep, parts = _text_parts(frame, roles, tokens, keep, options)
    else:
        matrix = table_matrix(frame.loc[:, list(roles.features)], options, keep=keep)
        keep = matrix.keep
        kind = "image" if options.kind == "image" else "tabular"
        shown = None if kind == "image" else matrix.shown
        parts = {"kind": kind, "x": matrix.x, "shown": shown, "columns": {}, "notes": matrix.notes}
    rows = np.flatnonzero(keep)
    return Points(
        kind=parts["kind"],
        x=parts["x"],
        labels=column_of(frame, roles.label).iloc[rows].tolist(),
        shown=parts["shown"],
        is_test=None if is_test is None else is_test[rows],
        label_names=None if roles.label_name is None else column_of(frame, roles.label_name).iloc[rows].astype(str).tolist(),
        columns={"row": rows + 1, **parts["columns"]},
        name=name,
        notes=(*notes, *parts["notes"]),
    )


def column_of(frame: pd.DataFrame, name: str) -> pd.Series:
    """One column; names differ, so that it is never a table."""
    return cast(pd.Series, frame[name])


def named(columns: list[str], wanted: tuple[str, ...]) -> str | None:
    """The first wanted column that is there; capital letters do not matter."""
    for name in wanted:
        for column in (name, *columns):
            if column in columns and column.casefold() == name:
                return column
    return None


def asked_for(columns: list[str], wanted: str, option: str) -> str:
    """A column that an option names.

    Args:
        columns: those of the file.
        wanted: the one that is named.
        option: the option, for the message.

    Returns:
        the name.

    Raises:
        UploadRejected: when there is none of that name.
    """
    if wanted not in columns:
        raise UploadRejected(
            explain(
                expected=f"the column {short(wanted)} ({option})", got=f"the columns {few(columns)}", todo="Name one of these."
            )
        )
    return wanted


def _without_columns(frame: pd.DataFrame, options: ReadOptions) -> tuple[pd.DataFrame, list[str]]:
    """The table without the columns to leave out, and without the row numbers that pandas writes."""
    columns = list(frame.columns)
    dropped = [asked_for(columns, column, "drop_columns") for column in options.drop_columns]
    notes: list[str] = []
    if columns and columns[0] == "" and columns[0] not in dropped:
        numbers = np.asarray(pd.to_numeric(column_of(frame, ""), errors="coerce"), dtype=np.float64)
        first = numbers[0] if len(numbers) else 0.0
        if first in (0.0, 1.0) and np.array_equal(numbers, np.arange(len(frame)) + first):
            dropped.append("")
            notes.append("The first column has no name and counts the rows; it was left out.")
    return frame.drop(columns=dropped), notes


def _roles(frame: pd.DataFrame, options: ReadOptions, *, last_is_label: bool, tokens: TokenRows | None) -> _Roles:
    """Find the columns by the options, then by their usual names.

    Raises:
        UploadRejected: when there is no label, or a column has no name.
    """
    columns = list(frame.columns)
    notes: list[str] = []
    if "" in columns:
        raise UploadRejected(
            explain(
                expected="a name for every column",
                got=f"none for column {columns.index('') + 1}",
                todo="Name it in the first line.",
            )
        )
    if options.label_column is not None:
        label = asked_for(columns, options.label_column, "label_column")
    else:
        label = named(columns, LABEL_NAMES) or (columns[-1] if last_is_label and columns else None)
        if label is None:
            raise UploadRejected(
                explain(
                    expected=f"a column of labels named {', '.join(LABEL_NAMES)}",
                    got=f"{few(columns) or 'no column'}",
                    todo="Name it (label_column).",
                )
            )
        if label.casefold() not in LABEL_NAMES:
            notes.append(f"No column is named {', '.join(LABEL_NAMES)}: the last one, {short(label)}, was taken as the label.")
    others = [column for column in columns if column != label]
    split = named(others, ("split",))
    label_name = named(others, ("label_name", "class_name")) if options.class_names is None else None
    special = {split, named(others, ("label_name", "class_name"))}
    text = (
        None
        if options.kind in ("tabular", "image")
        else _text_column([c for c in others if c not in special], frame, options, tokens)
    )
    if text is not None and options.text_column is None and text.casefold() not in TEXT_NAMES:
        notes.append(f"The column {short(text)} holds free text and was read as the texts.")
    features = tuple(column for column in others if column not in special and column != text)
    return _Roles(label, label_name, split, text, features, notes)


def _text_column(others: list[str], frame: pd.DataFrame, options: ReadOptions, tokens: TokenRows | None) -> str | None:
    """The column of the texts, or None for a table.

    Raises:
        UploadRejected: when one is asked for and not there.
    """
    if options.text_column is not None:
        return asked_for(others, options.text_column, "text_column")
    usual = named(others, TEXT_NAMES)
    if usual is not None or tokens is not None:
        return usual
    is_text = [column for column in others if not _is_plain(column_of(frame, column))]
    if options.kind == "text":
        if len(is_text) != 1:
            raise UploadRejected(
                explain(
                    expected="one column of texts", got=f"{len(is_text)}: {few(is_text) or 'none'}", todo="Name it (text_column)."
                )
            )
        return is_text[0]
    # One column beside the label, with more different texts than categories may have: these are sentences.
    if len(others) == 1 and is_text and column_of(frame, others[0]).nunique() > options.limits.categories:
        return others[0]
    return None


def _split(frame: pd.DataFrame, roles: _Roles) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Rows to keep, which of them are test points, and notes.

    Raises:
        UploadRejected: when the column `split` says something else than train and test.
    """
    n = len(frame)
    if roles.split is None:
        return np.ones(n, dtype=bool), None, []
    said = [str(value).strip().casefold() for value in column_of(frame, roles.split)]
    for row, value in enumerate(said, start=1):
        if value not in _SPLITS and value not in _LEFT_OUT:
            raise UploadRejected(
                explain(
                    expected=f"train or test in column {short(roles.split)}",
                    got=f"{short(value)} in row {row}",
                    todo="Correct or rename it.",
                )
            )
    keep = np.array([value in _SPLITS for value in said], dtype=bool)
    is_test = np.array([_SPLITS.get(value) == "test" for value in said], dtype=bool)
    notes = []
    if not keep.all():
        notes.append(f"{int((~keep).sum()):,} validation rows were left out: there are a training and a test split.")
    if not is_test.any() or not (keep & ~is_test).any():
        notes.append(f"The column {short(roles.split)} names one split only and was not used.")
        return keep, None, notes
    return keep, is_test, notes


def _with_label(labels: pd.Series, name: str, keep: np.ndarray, options: ReadOptions) -> tuple[np.ndarray, list[str]]:
    """Rows that have a label.

    Raises:
        UploadRejected: when one has none and that is refused.
    """
    empty = labels.isna().to_numpy() | np.array([isinstance(value, str) and not value.strip() for value in labels], dtype=bool)
    return _drop_empty(empty, name, "label", keep, options)


def _drop_empty(empty: np.ndarray, name: str, what: str, keep: np.ndarray, options: ReadOptions) -> tuple[np.ndarray, list[str]]:
    """Rows that are not empty.

    Raises:
        UploadRejected: when one is empty and that is refused.
    """
    empty = empty & keep
    if not empty.any():
        return keep, []
    if options.missing == "refuse":
        raise UploadRejected(
            explain(
                expected=f"a {what} in every row",
                got=f"none in column {short(name)}, row {int(empty.argmax()) + 1} ({int(empty.sum()):,} rows have none)",
                todo=f"Add the {what}s, or choose to drop rows with missing values.",
            )
        )
    return keep & ~empty, [f"{int(empty.sum()):,} rows without a {what} were dropped."]


def _text_parts(
    frame: pd.DataFrame, roles: _Roles, tokens: TokenRows | None, keep: np.ndarray, options: ReadOptions
) -> tuple[np.ndarray, dict[str, Any]]:
    """Inputs, shown texts and further columns of a data set of texts."""
    notes: list[str] = []
    texts: list[str] | None = None
    if roles.text is not None:
        column = column_of(frame, roles.text)
        texts = ["" if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
        empty = np.array([not text.strip() for text in texts], dtype=bool)
        keep, notes = _drop_empty(empty, roles.text, "text", keep, options)
    rows = np.flatnonzero(keep)
    check_rows(len(rows), options.limits)
    if tokens is not None:
        x, token_notes = tokens.inputs(rows, options)
        notes += token_notes
        shown = [texts[row] for row in rows] if texts is not None else tokens.shown(rows, options)
    else:
        shown = [(texts or [])[row] for row in rows]
        x = [words(text) for text in shown]
    kept_columns = {
        column: _plain(column_of(frame, column).iloc[rows]) for column in roles.features if column not in _OWN_COLUMNS
    }
    if roles.features:
        notes.append(f"Beside the text, the file has the columns {few(roles.features)}; the network does not see them.")
    return keep, {"kind": "text", "x": x, "shown": shown, "columns": kept_columns, "notes": notes}


def _is_plain(column: pd.Series) -> bool:
    """Whether a column holds numbers or booleans only."""
    return isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf"


def _plain(column: pd.Series) -> np.ndarray | pd.Series:
    """A column for meta: numbers and booleans as they are, everything else as text."""
    if _is_plain(column):
        return column.to_numpy()
    values = [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
    return pd.Series(values, dtype="str")
