"""Laws of the bundled samples: what was planted is known exactly, and the data set on disk stays clean."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ntkviz.data import sample
from ntkviz.data.sample import load_sample_data, plant, sample_card, samples
from ntkviz.data.save import save_dataset
from ntkviz.errors import StoreCorrupted
from ntkviz.types import Dataset, Display

FLIPS = {"kind": "label_flips", "index": [1, 4], "labels": [2, 0]}
PATCH = {
    "kind": "patch_trigger",
    "train_index": [0, 5],
    "test_index": [2],
    "target": 1,
    "patch": {"row": 4, "column": 3, "size": 2, "value": 1.0},
}


def clean(*, channels: int = 1, meta: bool = False) -> Dataset:
    generator = np.random.default_rng(0)
    shown = [generator.integers(0, 255, (n, 6, 6, 3) if channels == 3 else (n, 6, 6), dtype=np.uint8) for n in (6, 3)]
    x = [(part[:, None] if channels == 1 else part.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(255) for part in shown]
    columns = pd.DataFrame({"split": ["train"] * 6 + ["test"] * 3, "row": range(9)}) if meta else None
    return Dataset(
        x[0],
        np.array([0, 1, 2, 0, 1, 2]),
        x[1],
        np.array([0, 1, 2]),
        ("a", "b", "c"),
        "image",
        Display(train=shown[0], test=shown[1]),
        meta=columns,
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of samples: one clean, one with flips, in an order that is not that of the list."""
    monkeypatch.setattr(sample, "SAMPLES_DIR", tmp_path)
    save_dataset(clean(), tmp_path / "data" / "tiny")
    for name, planted in (("mnist-mislabelled", FLIPS), ("mnist-mlp", None)):
        (tmp_path / name).mkdir()
        card = {
            "name": name,
            "title": "A title",
            "kind": "image",
            "architecture": {"name": "mlp", "options": {}},
            "accuracy_test": 0.5,
            "accuracy_train": 0.75,
            "n_parameters": 10,
            "n_classes": 3,
            "n_train": 6,
            "n_test": 3,
            "licence": "MIT",
            "credit": "somebody",
            "data": {"set": "tiny"} | ({"planted": planted} if planted else {}),
        }
        (tmp_path / name / "card.json").write_text(json.dumps(card))
        (tmp_path / name / "card.md").write_text("# Größe")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_samples_come_in_the_fixed_order() -> None:
    assert samples() == ["mnist-mlp", "mnist-mislabelled"]


def test_without_a_folder_there_are_no_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "SAMPLES_DIR", tmp_path / "nowhere")
    assert samples() == []
    with pytest.raises(ValueError, match="missing or empty"):
        sample_card("mnist-mlp")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["mnist", "", "../mnist-mlp", "data", "mnist-cnn"])
def test_an_unknown_sample_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match="choose one of: mnist-mlp, mnist-mislabelled"):
        load_sample_data(name)


def test_a_card_is_read(folder: Path) -> None:
    card = sample_card("mnist-mislabelled")
    assert (card.title, card.accuracy_train, card.data_set, card.text) == ("A title", 0.75, "tiny", "# Größe")
    assert card.planted == FLIPS
    assert card.folder == folder / "mnist-mislabelled"
    assert sample_card("mnist-mlp").planted is None


def test_a_damaged_card_is_named(folder: Path) -> None:
    for text in ("{", "[]", "{}"):
        (folder / "mnist-mlp" / "card.json").write_text(text)
        with pytest.raises(StoreCorrupted, match="card of the sample 'mnist-mlp'"):
            sample_card("mnist-mlp")


@pytest.mark.usefixtures("folder")
def test_a_clean_sample_is_the_saved_set() -> None:
    dataset = load_sample_data("mnist-mlp")
    np.testing.assert_array_equal(dataset.x_train, clean().x_train)
    assert dataset.name == "mnist-mlp"
    assert dataset.meta is None


def test_a_card_may_ask_for_fewer_training_points(folder: Path) -> None:
    path = folder / "mnist-mlp" / "card.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"data": {"set": "tiny", "train_points": 3}}))
    dataset = load_sample_data("mnist-mlp")
    np.testing.assert_array_equal(dataset.x_train, clean().x_train[:3])
    assert dataset.y_train.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(dataset.x_test, clean().x_test)
    for wrong in (4, 9, 0, -3):
        path.write_text(json.dumps(card | {"data": {"set": "tiny", "train_points": wrong}}))
        with pytest.raises(StoreCorrupted, match="a multiple of its 3 classes and at most 6"):
            load_sample_data("mnist-mlp")


def test_the_first_of_each_class_are_kept_in_their_order() -> None:
    shuffled = replace(clean(), y_train=np.array([2, 2, 0, 1, 0, 2]))
    kept = sample.first_of_each_class(shuffled, 3)
    assert kept.y_train.tolist() == [2, 0, 1]
    np.testing.assert_array_equal(kept.x_train, shuffled.x_train[[0, 2, 3]])


@pytest.mark.usefixtures("folder")
def test_flips_are_applied_when_loading_and_their_truth_is_kept() -> None:
    dataset = load_sample_data("mnist-mislabelled")
    assert dataset.y_train.tolist() == [0, 2, 2, 0, 0, 2]
    assert dataset.meta is not None
    assert dataset.meta["true_label"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert np.flatnonzero(dataset.meta["flipped"]).tolist() == [1, 4]
    assert dataset.meta["flipped"].dtype == bool
    assert "2 of 6 training labels (33.3%)" in dataset.notes[-1]
    assert load_sample_data("mnist-mlp").y_train.tolist() == clean().y_train.tolist()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("meta", [False, True])
def test_a_patch_is_stamped_on_inputs_and_pictures_alike(channels: int, meta: bool) -> None:
    before = clean(channels=channels, meta=meta)
    after = plant(before, PATCH)
    assert (after.x_train[[0, 5], :, 4:6, 3:5] == 1).all()
    assert (after.x_test[2, :, 4:6, 3:5] == 1).all()
    for x, shown in ((after.x_train, after.display.train), (after.x_test, after.display.test)):
        pixels = np.rint(x * 255).astype(np.uint8)
        np.testing.assert_array_equal(pixels[:, 0] if channels == 1 else pixels.transpose(0, 2, 3, 1), shown)
    np.testing.assert_array_equal(after.x_train[1:5], before.x_train[1:5])
    untouched = np.ones((6, 6), dtype=bool)
    untouched[4:6, 3:5] = False
    np.testing.assert_array_equal(after.x_train[..., untouched], before.x_train[..., untouched])
    np.testing.assert_array_equal(before.x_train, clean(channels=channels).x_train)
    assert after.y_train.tolist() == [1, 1, 2, 0, 1, 1]
    assert after.y_test.tolist() == [0, 1, 2]
    assert after.meta is not None
    assert np.flatnonzero(after.meta["triggered"]).tolist() == [0, 5, 8]
    assert after.meta["true_label"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert ("row" in after.meta) is meta


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_flips_change_exactly_the_listed_labels(data: st.DataObject) -> None:
    before = clean()
    index = data.draw(st.lists(st.integers(0, 5), unique=True))
    labels = [data.draw(st.sampled_from([label for label in range(3) if label != before.y_train[i]])) for i in index]
    after = plant(before, {"kind": "label_flips", "index": index, "labels": labels})
    assert sorted(np.flatnonzero(after.y_train != before.y_train)) == sorted(index)
    assert after.meta is not None
    np.testing.assert_array_equal(after.meta["true_label"].to_numpy()[:6], before.y_train)
    np.testing.assert_array_equal(after.meta["flipped"].to_numpy()[:6], after.y_train != before.y_train)


@pytest.mark.parametrize(
    "planted",
    [
        {"kind": "magic"},
        {},
        {"kind": "label_flips", "index": [1]},
        FLIPS | {"index": [1, 1]},
        FLIPS | {"index": [1, 6]},
        FLIPS | {"index": [-1, 2]},
        FLIPS | {"labels": [2]},
        FLIPS | {"labels": [1, 0]},
        FLIPS | {"labels": [3, 0]},
        PATCH | {"target": 3},
        PATCH | {"target": -1},
        PATCH | {"train_index": [9]},
        PATCH | {"patch": {"row": 5, "column": 3, "size": 2, "value": 1.0}},
        PATCH | {"patch": {"row": -1, "column": 3, "size": 2, "value": 1.0}},
        PATCH | {"patch": {"row": 1, "column": 3, "size": 2, "value": 9.0}},
        PATCH | {"patch": {}},
    ],
)
def test_a_description_that_does_not_fit_is_refused(planted: dict) -> None:
    with pytest.raises(StoreCorrupted, match="Correct the card"):
        plant(clean(), planted)


def test_a_patch_needs_images() -> None:
    texts = Dataset(
        np.zeros((6, 2), dtype=np.int64), clean().y_train, np.zeros((3, 2), dtype=np.int64), clean().y_test, ("a", "b", "c"), "text",
        Display(train=["x"] * 6, test=["x"] * 3),
    )  # fmt: skip
    with pytest.raises(StoreCorrupted, match="a patch needs images"):
        plant(texts, PATCH)


@pytest.mark.parametrize("name", samples())
def test_every_bundled_sample_is_as_its_card_says(name: str) -> None:
    card, dataset = sample_card(name), load_sample_data(name)
    assert (card.kind, card.n_classes) == (dataset.kind, dataset.n_classes)
    assert (card.n_train, card.n_test) == (len(dataset.y_train), len(dataset.y_test))
    assert 0.5 < card.accuracy_test <= 1
    assert card.licence
    assert card.credit
    if card.planted is not None:
        assert dataset.meta is not None
        assert "true_label" in dataset.meta
