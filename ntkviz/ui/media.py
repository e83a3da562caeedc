"""Data points as a person looks at them: pictures enlarged without blur, texts as plain text, table rows as tables.

What people wrote is never read as Markdown here: it goes through ``st.text``, ``st.dataframe`` or :func:`escape`.
"""

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from ntkviz.data.thumbnail import png_of
from ntkviz.types import Dataset
from ntkviz.ui.text import escape

__all__ = ["describe", "escape", "grid", "png", "show_point", "strip", "thumbnail"]

Split = Literal["train", "test"]
#: Pixels of a picture's longer side: sharp at 1280 px, also where a browser doubles pixels.
LARGE, SMALL = 280, 112
#: Bytes of a picture that is kept whole as a key of the small pictures' cache: 32 x 32 in colour.
_SMALL_BYTES = 4096
#: Characters of a text in a grid or in a list.
EXCERPT = 140


def thumbnail(dataset: Dataset, split: Split, index: int, *, size: int = SMALL) -> bytes | str | pd.DataFrame:
    """A point as a person is shown it.

    Args:
        dataset: the subject's whole data.
        split: "train" or "test".
        index: id of the point, its position in the split (``study.train_index``, ``study.test_index``).
        size: pixels of a picture's longer side, about: a small picture is enlarged by a whole factor.

    Returns:
        PNG bytes of an image; the text, whole; a table row as a data frame with the columns "feature" and "value".

    Raises:
        IndexError: when there is no such point.
    """
    shown = dataset.display.train if split == "train" else dataset.display.test
    if not 0 <= index < len(shown):
        raise IndexError(f"There is no point {index} in the {split} split; its ids run from 0 to {len(shown) - 1}.")
    if isinstance(shown, pd.DataFrame):
        row = shown.iloc[int(index)]
        return pd.DataFrame({"feature": [str(name) for name in row.index], "value": [_cell(value) for value in row]})
    if isinstance(shown, list):
        return shown[int(index)]
    return png(shown[int(index)], size=size)


@st.cache_data(max_entries=4096, max_size="64 MB", show_spinner=False)
def _png(pixels: bytes, shape: tuple[int, ...], size: int) -> bytes:
    return _drawn(pixels, shape, size)


#: Small pictures stand on a page by the hundred, and Streamlit's cache takes longer to look one up than to draw it; by their pixels, as there.
_small_png = lru_cache(maxsize=8192)(lambda pixels, shape, size: _drawn(pixels, shape, size))


def _drawn(pixels: bytes, shape: tuple[int, ...], size: int) -> bytes:
    return png_of(np.frombuffer(pixels, dtype=np.uint8).reshape(shape), size)


def png(picture: np.ndarray, *, size: int = SMALL) -> bytes:
    """PNG of an image, pixels kept as squares when it is small.

    Args:
        picture: uint8 ``[H, W]`` or ``[H, W, 3]``.
        size: pixels of the longer side, about.
    """
    pixels = np.ascontiguousarray(picture, dtype=np.uint8)
    return (_small_png if pixels.nbytes <= _SMALL_BYTES else _png)(pixels.tobytes(), pixels.shape, size)


def describe(dataset: Dataset, split: Split, index: int, *, limit: int = EXCERPT) -> str:
    """A point in a line of plain text, for lists and alternative texts; not escaped."""
    label = dataset.y_train if split == "train" else dataset.y_test
    name = dataset.class_names[int(label[index])]
    if dataset.kind == "image":
        return f"{split} image {index}, labelled {name}"
    shown = thumbnail(dataset, split, index)
    if isinstance(shown, pd.DataFrame):
        words = ", ".join(f"{feature} {value}" for feature, value in shown.itertuples(index=False))
    else:
        words = str(shown)
    return words if len(words) <= limit else words[: limit - 1] + "…"


def show_point(dataset: Dataset, split: Split, index: int, *, caption: str = "", width: int | Literal["stretch"] = LARGE) -> None:
    """Draw one point, large.

    Args:
        dataset: the subject's whole data.
        split: "train" or "test".
        index: id of the point.
        caption: Markdown below it; :func:`escape` what people wrote.
        width: of a picture, in pixels.
    """
    shown = thumbnail(dataset, split, index, size=LARGE if width == "stretch" else max(LARGE, width))
    if isinstance(shown, bytes):
        st.image(shown, width=width, caption=caption or None)
        return
    if isinstance(shown, pd.DataFrame):
        st.dataframe(shown, hide_index=True, height=min(38 + 35 * len(shown), 320))
    else:
        with st.container(border=True):
            st.text(shown)
    if caption:
        st.caption(caption)


def grid(
    dataset: Dataset, split: Split, indices: Sequence[int] | np.ndarray, captions: Sequence[str] = (), *, columns: int = 5
) -> None:
    """Draw points side by side.

    Args:
        dataset: the subject's whole data.
        split: "train" or "test".
        indices: ids of the points.
        captions: Markdown below each, as many as points, or none; :func:`escape` what people wrote.
        columns: how many images a row; texts and table rows stand one below the other.

    Raises:
        ValueError: when captions are not as many as points.
    """
    ids = [int(index) for index in indices]
    words = list(captions) or [""] * len(ids)
    if len(words) != len(ids):
        raise ValueError(f"{len(ids)} points and {len(words)} captions; expected one for each.")
    if dataset.kind == "image":
        for start in range(0, len(ids), columns):
            cells = st.columns(columns, gap="small")
            for cell, index, text in zip(cells, ids[start : start + columns], words[start : start + columns], strict=False):
                shown = thumbnail(dataset, split, index)
                if isinstance(shown, bytes):
                    cell.image(shown, width=SMALL, caption=text or None)
        return
    for index, text in zip(ids, words, strict=True):
        with st.container(border=True):
            if text:
                st.caption(text)
            if dataset.kind == "text":
                st.text(thumbnail(dataset, split, index))
            else:
                st.dataframe(_row(dataset, split, index), hide_index=True)


def strip(
    dataset: Dataset, split: Split, indices: Sequence[int] | np.ndarray, *, columns: int = 8, size: int = 84, gap: int = 6
) -> bytes:
    """One PNG with several images in rows: one download instead of many.

    Args:
        dataset: image data.
        split: "train" or "test".
        indices: ids of the points.
        columns: how many a row.
        size: pixels of each, about.
        gap: transparent pixels between them.
    """
    tiles = [Image.open(io.BytesIO(png(_picture(dataset, split, index), size=size))).convert("RGBA") for index in indices]
    width, height = max(tile.width for tile in tiles) + gap, max(tile.height for tile in tiles) + gap
    n_columns, n_rows = min(columns, len(tiles)), -(-len(tiles) // columns)
    sheet = Image.new("RGBA", (n_columns * width - gap, n_rows * height - gap), (0, 0, 0, 0))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % columns * width, place // columns * height))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()


def _picture(dataset: Dataset, split: Split, index: int) -> np.ndarray:
    shown = dataset.display.train if split == "train" else dataset.display.test
    return np.asarray(shown[int(index)])


def _row(dataset: Dataset, split: Split, index: int) -> pd.DataFrame:
    """A table row as it stands in its table, with its first 24 columns."""
    shown = dataset.display.train if split == "train" else dataset.display.test
    return shown.iloc[[int(index)], :24] if isinstance(shown, pd.DataFrame) else pd.DataFrame()


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
