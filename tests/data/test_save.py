"""Laws of the folder a data set is kept in: nothing is lost, and damage is noticed."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ntkviz.data.readers import read_dataset
from ntkviz.data.save import load_dataset, save_dataset
from ntkviz.errors import StoreCorrupted
from ntkviz.types import Dataset, Display
from tests.data.files import put, valid_files
from tests.data.strategies import datasets


def assert_same(a: Dataset, b: Dataset) -> None:
    """Equal in every bit of every part."""
    for name in ("x_train", "y_train", "x_test", "y_test"):
        left, right = getattr(a, name), getattr(b, name)
        assert left.dtype == right.dtype
        assert left.shape == right.shape
        assert left.tobytes() == right.tobytes()
    assert (a.class_names, a.kind, a.name, a.notes) == (b.class_names, b.kind, b.name, b.notes)
    for left, right in ((a.display.train, b.display.train), (a.display.test, b.display.test)):
        if isinstance(left, pd.DataFrame):
            assert isinstance(right, pd.DataFrame)
            pd.testing.assert_frame_equal(left, right, check_exact=True, check_column_type=False)
        elif isinstance(left, np.ndarray):
            assert isinstance(right, np.ndarray)
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right
    assert (a.meta is None) == (b.meta is None)
    if a.meta is not None and b.meta is not None:
        pd.testing.assert_frame_equal(a.meta, b.meta, check_exact=True, check_column_type=False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(datasets())
def test_the_round_trip_is_lossless(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        save_dataset(dataset, Path(folder) / "set")
        assert_same(dataset, load_dataset(Path(folder) / "set"))


def images(x: np.ndarray, shown: np.ndarray) -> Dataset:
    labels = np.zeros(len(x), dtype=np.int64)
    return Dataset(x, labels, x[:0], labels[:0], ("a",), "image", Display(train=shown, test=shown[:0]))


def test_images_of_bytes_are_kept_as_bytes_and_shown_pictures_once(tmp_path: Path) -> None:
    shown = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    dataset = images(shown[:, None].astype(np.float32) / np.float32(255), shown)
    save_dataset(dataset, tmp_path)
    with np.load(tmp_path / "arrays.npz") as arrays:
        assert arrays["x_train"].dtype == np.uint8
        assert "display_train" not in arrays.files
    assert_same(dataset, load_dataset(tmp_path))


def test_a_picture_that_is_not_the_input_is_kept(tmp_path: Path) -> None:
    shown = np.full((2, 3, 3), 9, dtype=np.uint8)
    dataset = images(np.zeros((2, 1, 3, 3), dtype=np.float32), shown)
    save_dataset(dataset, tmp_path)
    assert_same(dataset, load_dataset(tmp_path))


@pytest.mark.parametrize("suffix", valid_files())
def test_whatever_a_reader_gives_can_be_saved(suffix: str, tmp_path: Path) -> None:
    dataset = read_dataset(put(tmp_path, f"x{suffix}", valid_files()[suffix]))
    save_dataset(dataset, tmp_path / "saved")
    assert_same(dataset, load_dataset(tmp_path / "saved"))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_dataset(read_dataset(put(tmp_path, "x.csv", valid_files()[".csv"])), tmp_path / "set")
    return tmp_path / "set"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_in_any_data_file_is_noticed(saved: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(path for path in saved.iterdir() if path.name != "dataset.json")))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << data.draw(st.integers(0, 7)))]) + whole[place + 1 :])
    try:
        with pytest.raises(StoreCorrupted, match="altered"):
            load_dataset(saved)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["arrays.npz", "meta.csv", "display_train.csv", "dataset.json"])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(StoreCorrupted, match=name):
        load_dataset(saved)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": "ntkviz-dataset/1"}', '{"format": "other/9", "sha256": {}}', "[" * 9999]
)
def test_a_damaged_manifest_is_refused(saved: Path, text: str) -> None:
    (saved / "dataset.json").write_text(text)
    with pytest.raises(StoreCorrupted, match=r"dataset\.json|format"):
        load_dataset(saved)


def test_whole_files_that_do_not_fit_together_are_refused(saved: Path) -> None:
    manifest = json.loads((saved / "dataset.json").read_text())
    manifest["class_names"] = ["one"]
    (saved / "dataset.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreCorrupted, match="do not fit together"):
        load_dataset(saved)


def test_saving_again_replaces_and_leaves_other_files_alone(saved: Path) -> None:
    (saved / "vocabulary.json").write_text("{}")
    other = replace(load_dataset(saved), name="second", meta=None)
    save_dataset(other, saved)
    assert_same(other, load_dataset(saved))
    assert (saved / "vocabulary.json").read_text() == "{}"


@pytest.mark.parametrize(
    "meta",
    [
        pd.DataFrame({"a": range(12)}, index=range(5, 17)),
        pd.DataFrame({"a": [[1]] * 12}),
        pd.DataFrame({"a": pd.date_range("2026-01-01", periods=12)}),
        pd.DataFrame([[1, 2]] * 12, columns=["a", "a"]),
        pd.DataFrame({0: range(12)}),
    ],
    ids=["index", "lists", "dates", "names", "number"],
)
def test_a_table_that_csv_cannot_carry_is_refused_and_the_old_set_stays(saved: Path, meta: pd.DataFrame) -> None:
    before = load_dataset(saved)
    with pytest.raises(ValueError, match=r"'meta'"):
        save_dataset(replace(before, meta=meta), saved)
    assert_same(before, load_dataset(saved))


def test_a_very_long_text_in_a_table_comes_back(saved: Path) -> None:
    meta = pd.DataFrame({"remark": ["x" * 200_000] + [""] * 11})
    dataset = replace(load_dataset(saved), meta=meta)
    save_dataset(dataset, saved)
    assert_same(dataset, load_dataset(saved))
