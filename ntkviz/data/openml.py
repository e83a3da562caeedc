"""Data sets of openml.org by number, through scikit-learn; in local mode only, since it goes out to the network."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd

from ntkviz.data.frame import frame_points
from ntkviz.data.guard import check_inputs, check_rows, explain, short
from ntkviz.data.options import DEFAULTS, Limits, ReadOptions
from ntkviz.data.points import finish
from ntkviz.errors import UploadRejected
from ntkviz.types import Dataset

#: What OpenML knows of a data set's size; asked for before anything is downloaded.
_QUALITIES = "https://www.openml.org/api/v1/json/data/qualities/{data_id}"
_ANSWER_BYTES = 1_000_000
_TIMEOUT_SECONDS = 20

#: The label, as a column of the table; no column of OpenML has an empty name or this one.
_LABEL = "label"


def fetch_openml_dataset(
    data_id: int,
    *,
    mode: str = "local",
    options: ReadOptions = DEFAULTS,
    fetch: Callable[..., Any] | None = None,
    size: Callable[[int], tuple[int, int]] | None = None,
) -> Dataset:
    """A data set of openml.org.

    Numbers and categories are treated as in a CSV file. MNIST (554), Fashion-MNIST (40996) and CIFAR-10 (40927) are tables
    of pixels there: choose the kind "image" in the options to get images.

    Args:
        data_id: the number in the address, openml.org/d/<number>.
        mode: the server's mode; only "local" goes out to the network.
        options: as for files; ``label_column`` chooses another target than OpenML's.
        fetch: scikit-learn's ``fetch_openml``, or a stand-in.
        size: number of rows and columns of a data set, asked for before it is downloaded.

    Returns:
        the data set.

    Raises:
        UploadRejected: in another mode, when it is too large, or has no single target of classes.
    """
    if mode != "local":
        raise UploadRejected(
            explain(
                expected="a file, since this server does not fetch data from outside",
                got=f"the OpenML number {data_id}",
                todo="Download the data set and upload it as CSV.",
            )
        )
    if isinstance(data_id, bool) or not isinstance(data_id, int) or data_id < 1:
        raise UploadRejected(
            explain(expected="the number of an OpenML data set", got=short(data_id), todo="See openml.org/d/<number>.")
        )
    _check_size(*(size or _size)(data_id), options.limits)
    try:
        bunch = (fetch or _fetch)(
            data_id=data_id, as_frame=True, target_column=options.label_column or "default-target", parser="auto"
        )
        frame, title = _frame(bunch, data_id)
        return finish(frame_points(frame, _own_label(options), name=title, last_is_label=False), _own_label(options))
    except UploadRejected:
        raise
    except Exception as error:  # network, cache, checksum, ARFF: whatever fails on the way is not the caller's bug
        raise UploadRejected(
            explain(
                expected=f"the OpenML data set {data_id}",
                got=f"{type(error).__name__}: {short(error, 120)}",
                todo="Check the number and the connection, or download the data and bring them as CSV.",
            )
        ) from error


def _fetch(**arguments: Any) -> Any:
    from sklearn.datasets import fetch_openml

    return fetch_openml(**arguments)


def _own_label(options: ReadOptions) -> ReadOptions:
    """The options for the table, in which the label has a name of its own."""
    return replace(options, label_column=_LABEL)


def _size(data_id: int) -> tuple[int, int]:
    """Rows and columns of a data set, as OpenML says.

    Raises:
        UploadRejected: when it does not say.
    """
    try:
        with urllib.request.urlopen(_QUALITIES.format(data_id=data_id), timeout=_TIMEOUT_SECONDS) as answer:
            qualities = json.loads(answer.read(_ANSWER_BYTES))["data_qualities"]["quality"]
        found = {
            quality["name"]: float(quality["value"])
            for quality in qualities
            if str(quality["name"]).startswith("NumberOf") and quality["value"]
        }
        return int(found["NumberOfInstances"]), int(found["NumberOfFeatures"])
    except (urllib.error.URLError, OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise UploadRejected(
            explain(
                expected=f"openml.org to tell the size of data set {data_id}",
                got=f"{type(error).__name__}: {short(error, 100)}",
                todo="Check the number and the connection, or download the data and bring them as CSV.",
            )
        ) from error


def _check_size(rows: int, columns: int, limits: Limits) -> None:
    """Refuse a data set that is too large, before it is downloaded.

    Raises:
        UploadRejected: when it is.
    """
    check_rows(rows, limits)
    if columns > limits.features + 1:
        raise UploadRejected(
            explain(expected=f"at most {limits.features:,} features", got=f"{columns:,}", todo="Choose another data set.")
        )
    check_inputs(rows, columns, limits)


def _frame(bunch: Any, data_id: int) -> tuple[pd.DataFrame, str]:
    """Features and label as one table, and a title.

    Raises:
        UploadRejected: when there is no target, or there are several.
    """
    data, target = bunch.data, bunch.target
    if not isinstance(data, pd.DataFrame) or not isinstance(target, pd.Series):
        columns = [] if target is None else list(getattr(target, "columns", []))
        raise UploadRejected(
            explain(
                expected="one target column",
                got=f"{len(columns)} in data set {data_id}",
                todo="Name the column of the classes (label_column), or choose another data set.",
            )
        )
    frame = data.rename(columns={_LABEL: f"{_LABEL} (feature)"}).reset_index(drop=True)
    frame[_LABEL] = target.reset_index(drop=True).astype(object)
    details = getattr(bunch, "details", None) or {}
    return frame, f"{str(details.get('name', 'OpenML'))[:40]} (OpenML {data_id})"
