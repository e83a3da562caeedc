"""Data points as they stand in a report: pictures, whole texts, rows of a table."""

import numpy as np
import pandas as pd

from ntkviz.data.thumbnail import png_of
from ntkviz.reports.document import Card
from ntkviz.types import Dataset

#: Pixels of a picture's longer side, columns of a table's row, characters of a text.
PICTURE, COLUMNS, CHARACTERS = 112, 12, 1200


def card(data: Dataset, split: str, index: int, title: str, lines: tuple[str, ...] = ()) -> Card:
    """One point.

    Args:
        data: the subject's whole data.
        split: "train" or "test".
        index: id of the point.
        title: what comes first.
        lines: below it.
    """
    shown = data.display.train if split == "train" else data.display.test
    if isinstance(shown, pd.DataFrame):
        row = shown.iloc[index, :COLUMNS]
        return Card(title, lines, rows=tuple((str(name), _value(value)) for name, value in row.items()))
    if isinstance(shown, list):
        text = shown[index]
        return Card(title, lines, text=text if len(text) <= CHARACTERS else text[: CHARACTERS - 1] + "…")
    return Card(title, lines, picture=png_of(np.asarray(shown[index]), PICTURE))


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
