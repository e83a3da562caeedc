import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ntkviz.types import Dataset, Display
from ntkviz.ui import media
from ntkviz.ui.subject_cards import examples


def images(n: int = 12, side: int = 28, colour: bool = False) -> Dataset:
    rng = np.random.default_rng(0)
    shape = (n, side, side, 3) if colour else (n, side, side)
    shown = rng.integers(0, 256, size=shape, dtype=np.uint8)
    x = np.zeros((n, 3 if colour else 1, side, side), np.float32)
    y = np.arange(n) % 3
    return Dataset(x, y, x[:2], y[:2], ("a", "b", "c"), "image", Display(shown, shown[:2]))


def opened(data: bytes | str | pd.DataFrame) -> np.ndarray:
    assert isinstance(data, bytes)
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("colour", [False, True])
def test_small_pictures_are_enlarged_without_blur(colour):
    data = images(colour=colour)
    pixels = opened(media.thumbnail(data, "train", 3, size=112))
    assert isinstance(data.display.train, np.ndarray)
    np.testing.assert_array_equal(pixels, data.display.train[3].repeat(4, axis=0).repeat(4, axis=1))


@given(st.integers(1, 300), st.integers(1, 300))
def test_large_pictures_are_brought_to_size_and_keep_their_shape(height, width):
    pixels = opened(media.png(np.zeros((height, width), np.uint8), size=100))
    assert max(pixels.shape) <= 150
    assert pixels.shape[0] / pixels.shape[1] == pytest.approx(height / width, rel=0.5) or min(pixels.shape) == 1


def test_a_picture_differs_from_another():
    data = images()
    assert not np.array_equal(opened(media.thumbnail(data, "train", 0)), opened(media.thumbnail(data, "train", 1)))


def test_text_is_given_whole():
    data = Dataset(np.ones((2, 3), np.int64), np.array([0, 1]), np.ones((1, 3), np.int64), np.array([0]), ("n", "p"), "text",
                   Display(["first <b>", "second"], ["third"]))  # fmt: skip
    assert [media.thumbnail(data, split, 0) for split in ("train", "test")] == ["first <b>", "third"]


def test_a_table_row_is_a_table_of_features():
    frame = pd.DataFrame({"length": [1.23456, 2.0], "colour": ["red", "=1+1"]})
    data = Dataset(np.ones((2, 2), np.float32), np.array([0, 1]), np.ones((2, 2), np.float32), np.array([0, 1]), ("n", "p"),
                   "tabular", Display(frame, frame))  # fmt: skip
    row = media.thumbnail(data, "train", 0)
    assert isinstance(row, pd.DataFrame)
    assert row.to_dict("list") == {"feature": ["length", "colour"], "value": ["1.235", "red"]}


@pytest.mark.parametrize("index", [-1, 12, 10**9])
def test_a_point_that_is_not_there_is_refused(index):
    with pytest.raises(IndexError, match="its ids run from 0 to 11"):
        media.thumbnail(images(), "train", index)


def test_a_strip_holds_all_its_pictures():
    pixels = opened(media.strip(images(), "train", range(8), columns=4, size=28, gap=6))
    assert pixels.shape == (28 * 2 + 6, 28 * 4 + 6 * 3, 4)
    assert (pixels[:28, :28, 3] == 255).all()
    assert (pixels[28:34, :, 3] == 0).all()


def test_captions_are_as_many_as_points():
    with pytest.raises(ValueError, match="3 points and 1 captions"):
        media.grid(images(), "train", [0, 1, 2], ["one"])


def test_examples_walk_through_the_classes_and_never_repeat():
    split, ids = examples(images(), 8)
    assert split == "train"
    assert len(set(ids)) == 8
    assert [int(label) for label in images().y_train[ids]] == [0, 1, 2, 0, 1, 2, 0, 1]


def test_examples_show_what_was_planted():
    from dataclasses import replace

    data = images()
    flipped = np.zeros(14, bool)
    flipped[[4, 7, 9]] = True
    marked = replace(data, meta=pd.DataFrame({"split": ["train"] * 12 + ["test"] * 2, "flipped": flipped}))
    assert {4, 7, 9} <= set(examples(marked, 8)[1])
