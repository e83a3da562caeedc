"""Laws of npz files: types and shapes decide what is read, and nothing is unpickled or unpacked blindly."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ntkviz.data.options import Limits, ReadOptions
from ntkviz.data.readers import read_dataset
from ntkviz.data.text import Vocabulary
from ntkviz.errors import UploadRejected
from ntkviz.types import Dataset
from tests.data.files import grey_images, npz_bytes, put, zip_bytes

LABELS = np.arange(12) % 3


def read(folder: Path, options: ReadOptions | None = None, **arrays: Any) -> Dataset:
    return read_dataset(put(folder, "x.npz", npz_bytes(**arrays)), options=options or ReadOptions())


def refused(folder: Path, match: str, options: ReadOptions | None = None, **arrays: Any) -> None:
    with pytest.raises(UploadRejected, match=match):
        read(folder, options, **arrays)


def test_a_split_of_the_file_is_kept_in_its_order(tmp_path: Path) -> None:
    images = grey_images(12)
    dataset = read(tmp_path, x_train=images[:8], y_train=LABELS[:8], x_test=images[8:], y_test=LABELS[8:])
    assert dataset.kind == "image"
    np.testing.assert_array_equal(dataset.display.train, images[:8])
    np.testing.assert_array_equal(dataset.x_train, images[:8, None].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(dataset.y_test, LABELS[8:])
    assert dataset.notes == ()


@pytest.mark.parametrize("form", ["HW", "HWC", "CHW", "RGB HWC", "RGB CHW"])
def test_images_of_every_layout_become_channels_first(tmp_path: Path, form: str) -> None:
    grey, colour = grey_images(12, side=5), np.random.default_rng(1).integers(0, 256, (12, 5, 4, 3), dtype=np.uint8)
    x = {
        "HW": grey,
        "HWC": grey[..., None],
        "CHW": grey[:, None],
        "RGB HWC": colour,
        "RGB CHW": colour.transpose(0, 3, 1, 2),
    }[form]
    dataset = read(tmp_path, x_train=x, y_train=LABELS, x_test=x, y_test=LABELS)
    expected = colour.transpose(0, 3, 1, 2) if "RGB" in form else grey[:, None]
    np.testing.assert_array_equal(dataset.x_train, expected.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(dataset.display.test, colour if "RGB" in form else grey)
    assert dataset.x_train.flags.c_contiguous


def test_float_images_stay_bit_for_bit(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((12, 4, 4)).astype(np.float32)
    dataset = read(tmp_path, x_train=x, y_train=LABELS, x_test=x[:3], y_test=LABELS[:3])
    np.testing.assert_array_equal(dataset.x_train[:, 0], x)
    np.testing.assert_array_equal(dataset.display.train, np.rint(x * 255).astype(np.uint8))


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint16", ">i4"])
def test_pixels_from_0_to_255_of_any_type_are_the_same_images(tmp_path: Path, dtype: str) -> None:
    images = grey_images(12)
    arrays = {"y_train": LABELS, "x_test": images[:3], "y_test": LABELS[:3]}
    arrays["x_test"] = images[:3].astype(dtype)
    dataset = read(tmp_path, x_train=images.astype(dtype), **arrays)
    np.testing.assert_array_equal(dataset.x_train, images[:, None].astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("dtype", ["bool", "uint8"])
def test_black_and_white_is_0_and_1(tmp_path: Path, dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 2, (12, 4, 4)).astype(dtype)
    dataset = read(tmp_path, x=x, y=LABELS)
    assert set(np.unique(dataset.x_train)) == {0.0, 1.0}
    assert any("0 and 1" in note or "0 or 1" in note for note in dataset.notes)


def test_normalised_images_are_refused_with_the_way_out(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(12, 4, 4))
    refused(tmp_path, "belong to the model", x=x, y=LABELS)


def test_images_of_16_bits_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "from 0 to 255; got whole numbers", x=grey_images(12).astype(np.int32) * 200, y=LABELS)


def test_large_images_are_refused_by_their_header(tmp_path: Path) -> None:
    refused(tmp_path, "1 to 35 pixels; got 6 x 6", ReadOptions(limits=Limits(pixels=35)), x=grey_images(12), y=LABELS)


@pytest.mark.parametrize("shape", [(12, 4, 4, 2), (12, 2, 2, 2, 2), (12, 0), (12, 0, 3)])
def test_shapes_that_are_nothing_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    refused(tmp_path, "Expected", x=np.zeros(shape, dtype=np.uint8), y=LABELS)


def test_a_table_keeps_its_units_and_names(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(12, 2)) * 1000
    dataset = read(tmp_path, x=x, y=LABELS, feature_names=["mass", "size"])
    assert dataset.kind == "tabular"
    assert isinstance(dataset.display.train, pd.DataFrame)
    assert list(dataset.display.train.columns) == ["mass", "size"]
    np.testing.assert_array_equal(dataset.x_train, dataset.display.train.to_numpy().astype(np.float32))
    assert dataset.x_train.dtype == np.float32


def test_wide_integers_are_token_ids_unless_features_are_named(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 9, (12, 5))
    text = read(tmp_path, x_train=x, y_train=LABELS)
    assert (text.kind, text.x_train.dtype) == ("text", np.int64)
    assert any("kind tabular" in note for note in text.notes)
    assert read(tmp_path, x=x, y=LABELS, feature_names=list("abcde")).kind == "tabular"
    assert read(tmp_path, ReadOptions(kind="tabular"), x=x, y=LABELS).kind == "tabular"


def test_token_ids_are_shown_by_the_vocabulary_and_must_be_in_it(tmp_path: Path) -> None:
    vocabulary = Vocabulary.build(["a b"])
    x = np.array([[2, 3, 0], [3, 2, 1]] * 3)
    dataset = read(tmp_path, ReadOptions(vocabulary=vocabulary), x_train=x, y_train=[0, 1] * 3, x_test=x, y_test=[0, 1] * 3)
    assert list(dataset.display.train) == ["a b", "b a <unk>"] * 3
    refused(tmp_path, "0 .padding. to 3; got", ReadOptions(vocabulary=vocabulary), x=x + 1, y=[0, 1] * 3)
    refused(tmp_path, "token ids", ReadOptions(kind="text"), x=x - 3, y=[0, 1] * 3)


@pytest.mark.parametrize(("length", "shape", "cut"), [(2, (6, 2), True), (5, (6, 5), False)])
def test_token_ids_are_cut_or_padded_to_the_length(tmp_path: Path, length: int, shape: tuple[int, int], cut: bool) -> None:
    x = np.array([[2, 3, 4], [3, 2, 0]] * 3)
    dataset = read(tmp_path, ReadOptions(text_length=length), x_train=x, y_train=[0, 1] * 3)
    joined = np.concatenate([dataset.x_train, dataset.x_test])
    assert joined.shape == shape
    assert any("were cut" in note for note in dataset.notes) is cut


def test_texts_are_encoded(tmp_path: Path) -> None:
    dataset = read(tmp_path, x=["good film", "bad film"] * 6, y=["pos", "neg"] * 6)
    assert dataset.class_names == ("neg", "pos")
    assert sorted(set(dataset.display.train)) == ["bad film", "good film"]


def test_pixel_columns_become_images_when_asked_for_and_are_offered_otherwise(tmp_path: Path) -> None:
    flat = grey_images(12, side=28).reshape(12, 784)
    table = read(tmp_path, x_train=flat, y_train=LABELS, x_test=flat, y_test=LABELS)
    assert table.kind == "tabular"
    assert any("choose the kind image" in note for note in table.notes)
    image = read(tmp_path, ReadOptions(kind="image"), x_train=flat, y_train=LABELS, x_test=flat, y_test=LABELS)
    np.testing.assert_array_equal(image.display.train, flat.reshape(12, 28, 28))


def test_colour_columns_are_planes(tmp_path: Path) -> None:
    planes = np.random.default_rng(0).integers(0, 256, (12, 3, 16, 16), dtype=np.uint8)
    flat = planes.reshape(12, -1)
    image = read(tmp_path, ReadOptions(kind="image"), x_train=flat, y_train=LABELS, x_test=flat, y_test=LABELS)
    np.testing.assert_array_equal(image.x_train, planes.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(image.display.train, planes.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_values_that_are_not_finite_are_named_by_array_and_index(tmp_path: Path, value: float) -> None:
    x = np.zeros((12, 3))
    x[7, 2] = value
    refused(tmp_path, r"at x_test\[7, 2\]", x_train=np.zeros((12, 3)), y_train=LABELS, x_test=x, y_test=LABELS)


def test_rows_with_gaps_are_dropped_with_their_labels_when_asked_for(tmp_path: Path) -> None:
    x = np.arange(36, dtype=float).reshape(12, 3)
    x[5, 0] = np.nan
    dataset = read(tmp_path, ReadOptions(missing="drop"), x_train=x, y_train=LABELS, x_test=x[:2], y_test=LABELS[:2])
    np.testing.assert_array_equal(dataset.x_train, np.delete(x, 5, axis=0))
    np.testing.assert_array_equal(dataset.y_train, np.delete(LABELS, 5))
    assert any("1 of 14 rows" in note for note in dataset.notes)


def test_class_names_give_the_order(tmp_path: Path) -> None:
    x = np.zeros((12, 2), dtype=np.float32)
    dataset = read(tmp_path, x=x, y=LABELS, class_names=["cat", "dog", "emu"])
    assert dataset.class_names == ("cat", "dog", "emu")
    refused(tmp_path, "labels from 0 to 1", x=x, y=LABELS, class_names=["cat", "dog"])


@pytest.mark.parametrize(
    ("match", "arrays"),
    [
        ("got 'images', 'labels'", {"images": [[1.0]], "labels": [0]}),
        ("got none", {}),
        ("one label a point", {"x": np.zeros((3, 2)), "y": [0, 1]}),
        ("argmax", {"x": np.zeros((3, 2)), "y": np.eye(3)}),
        ("both x_test and y_test", {"x_train": np.zeros((3, 2)), "y_train": [0, 1, 1], "x_test": np.zeros((3, 2))}),
        (
            "of one kind",
            {"x_train": np.zeros((3, 2)), "y_train": [0, 1, 1], "x_test": np.zeros((3, 3)), "y_test": [0, 1, 1]},
        ),
        ("numbers, booleans or texts", {"x": np.zeros((3, 2), dtype=complex), "y": [0, 1, 1]}),
        ("numbers, booleans or texts", {"x": np.zeros(3, dtype=[("a", "f4")]), "y": [0, 1, 1]}),
        ("2 different feature_names; got 1", {"x": np.zeros((4, 2)), "y": [0, 1, 0, 1], "feature_names": ["a", "a"]}),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, match: str, arrays: dict[str, Any]) -> None:
    refused(tmp_path, match, **arrays)


@pytest.mark.parametrize("key", ["x", "y", "class_names"])
def test_object_arrays_are_refused_and_never_unpickled(tmp_path: Path, key: str) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "unpickled",))

    arrays: dict[str, Any] = {"x": np.zeros((2, 2)), "y": np.array([0, 1])}
    arrays[key] = np.array([Trap(), Trap()], dtype=object)
    refused(tmp_path, "Python objects", **arrays)
    assert not (tmp_path / "unpickled").exists()


def npy(header: str, content: bytes = b"") -> bytes:
    """An npy file with a header of our own."""
    text = header.encode() + b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (True,), }",
        "{'descr': __import__('os').system('false'), 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8'",
        "",
    ],
)
def test_headers_that_lie_are_refused_before_an_array_is_made(tmp_path: Path, header: str) -> None:
    content = zip_bytes({"x.npy": npy(header), "y.npy": npy(header)})
    with pytest.raises(UploadRejected, match=r"damaged header|to hold the array|numbers, booleans or texts"):
        read_dataset(put(tmp_path, "x.npz", content))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "bomb.npz", npz_bytes(x=np.zeros((1, 30_000_000), dtype=np.uint8), y=[0]))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("a member was unpacked"))
    with pytest.raises(UploadRejected, match="zip bomb"):
        read_dataset(path)
    with pytest.raises(UploadRejected, match="at most 10 MB unpacked"):
        read_dataset(path, options=ReadOptions(limits=Limits(inflated_mb=10, ratio=1e9)))


def test_letters_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    names = np.array(["ab", "cd"])
    names.view(np.uint32)[0] = 0x110000
    refused(tmp_path, "Unicode", x=np.zeros((4, 2)), y=[0, 1, 0, 1], class_names=names)


def test_arrays_in_fortran_order_are_the_same_arrays(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(12, 3))
    plain, fortran = (read(tmp_path, x=array, y=LABELS) for array in (x, np.asfortranarray(x)))
    np.testing.assert_array_equal(plain.x_train, fortran.x_train)


def test_other_arrays_are_noted(tmp_path: Path) -> None:
    dataset = read(tmp_path, x=np.zeros((12, 2)), y=LABELS, extra=[1])
    assert any("'extra'" in note for note in dataset.notes)


def test_uncompressed_archives_are_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros((12, 2)), y=LABELS)
    assert read_dataset(put(tmp_path, "x.npz", buffer.getvalue())).kind == "tabular"
