"""Laws of OpenML data sets: only in local mode, checked for their size before the download, then read as a table."""

import io
import json
import urllib.error
import urllib.request
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ntkviz.data.openml import fetch_openml_dataset
from ntkviz.data.options import Limits, ReadOptions
from ntkviz.errors import UploadRejected
from ntkviz.types import Dataset


def bunch(**columns: object) -> SimpleNamespace:
    """What scikit-learn's fetch_openml gives: categories as pandas categories."""
    n = 12
    data = pd.DataFrame(columns or {"width": np.arange(n) / 7, "colour": pd.Categorical(["red", "blue", "green"] * 4)})
    target = pd.Series(pd.Categorical(["yes", "no"] * (n // 2)), name="play")
    return SimpleNamespace(data=data, target=target, details={"name": "weather"})


def read(found: object, *, size: tuple[int, int] = (12, 3), options: ReadOptions | None = None, **more) -> Dataset:
    return fetch_openml_dataset(61, options=options or ReadOptions(), fetch=lambda **_: found, size=lambda _: size, **more)


def test_numbers_and_categories_are_read_as_in_a_file() -> None:
    dataset = read(bunch())
    assert dataset.kind == "tabular"
    assert dataset.class_names == ("no", "yes")
    assert dataset.x_train.shape[1] == 4
    assert dataset.name == "weather (OpenML 61)"


@pytest.mark.parametrize("mode", ["team", "teaching", "anything"])
def test_other_modes_never_go_out(mode: str) -> None:
    def out(*_: object, **__: object) -> None:
        pytest.fail("went out to the network")

    with pytest.raises(UploadRejected, match="does not fetch data from outside"):
        fetch_openml_dataset(61, mode=mode, fetch=out, size=out)  # type: ignore[arg-type]


@pytest.mark.parametrize("data_id", [0, -3, True, "61"])
def test_the_number_must_be_one(data_id: object) -> None:
    with pytest.raises(UploadRejected, match="the number of an OpenML data set"):
        fetch_openml_dataset(data_id, fetch=lambda **_: bunch(), size=lambda _: (1, 1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "limits", "match"),
    [
        ((10**7, 3), Limits(), "at most 200,000 data points"),
        ((10, 10**6), Limits(), "at most 10,000 features; got 1,000,000"),
        ((10**5, 9_000), Limits(), "at most 2000 MB in memory"),
    ],
)
def test_what_is_too_large_is_refused_before_the_download(size: tuple[int, int], limits: Limits, match: str) -> None:
    def download(**_: object) -> None:
        pytest.fail("was downloaded")

    with pytest.raises(UploadRejected, match=match):
        fetch_openml_dataset(61, options=ReadOptions(limits=limits), fetch=download, size=lambda _: size)


def test_a_size_that_was_a_lie_is_noticed() -> None:
    with pytest.raises(UploadRejected, match="at most 5 data points"):
        read(bunch(), size=(3, 3), options=ReadOptions(limits=Limits(rows=5)))


def test_pixels_are_offered_as_images_and_read_as_such() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 784))
    found = bunch(**{f"pixel{i}": pixels[:, i] for i in range(784)})
    table = read(found)
    assert table.kind == "tabular"
    assert any("choose the kind image" in note for note in table.notes)
    image = read(found, options=ReadOptions(kind="image"))
    assert image.x_train.shape[1:] == (1, 28, 28)


def test_a_missing_value_is_named() -> None:
    found = bunch(a=[1.0] * 11 + [np.nan], b=range(12))
    with pytest.raises(UploadRejected, match="column 'a', row 12"):
        read(found)


def test_a_feature_called_label_is_not_the_target() -> None:
    assert read(bunch(label=range(12), a=range(12))).class_names == ("no", "yes")


def test_another_target_can_be_named() -> None:
    asked: dict[str, object] = {}

    def fetch(**arguments: object) -> SimpleNamespace:
        asked.update(arguments)
        return bunch()

    fetch_openml_dataset(61, options=ReadOptions(label_column="colour"), fetch=fetch, size=lambda _: (12, 3))
    assert asked["target_column"] == "colour"
    assert asked["data_id"] == 61


@pytest.mark.parametrize("target", [None, pd.DataFrame({"a": [1], "b": [2]})])
def test_no_target_or_several_are_refused(target: object) -> None:
    found = bunch()
    found.target = target
    with pytest.raises(UploadRejected, match="one target column"):
        read(found)


@pytest.mark.parametrize("fault", [OSError("no route"), ValueError("md5"), KeyError("x")])
def test_whatever_fails_on_the_way_is_a_sentence(fault: Exception) -> None:
    def fetch(**_: object) -> None:
        raise fault

    with pytest.raises(UploadRejected, match=f"the OpenML data set 61; got {type(fault).__name__}"):
        fetch_openml_dataset(61, fetch=fetch, size=lambda _: (1, 1))


def answer(content: object) -> io.BytesIO:
    return io.BytesIO(content if isinstance(content, bytes) else json.dumps(content).encode())


QUALITIES = {
    "data_qualities": {
        "quality": [
            {"name": "NumberOfInstances", "value": "12.0"},
            {"name": "NumberOfFeatures", "value": "3"},
            {"name": "AutoCorrelation", "value": []},
        ]
    }
}


def test_the_size_is_asked_of_openml(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def urlopen(address: str, timeout: float) -> io.BytesIO:
        asked.append(address)
        assert timeout > 0
        return answer(QUALITIES)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    assert fetch_openml_dataset(61, fetch=lambda **_: bunch()).n_classes == 2
    assert asked == ["https://www.openml.org/api/v1/json/data/qualities/61"]


@pytest.mark.parametrize("content", [b"<html>", {}, {"data_qualities": {"quality": []}}, {"data_qualities": {"quality": [3]}}])
def test_an_answer_that_is_none_is_refused(content: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: answer(content))
    with pytest.raises(UploadRejected, match="to tell the size"):
        fetch_openml_dataset(61, fetch=lambda **_: pytest.fail("was downloaded"))


def test_no_network_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def urlopen(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(UploadRejected, match=r"URLError.*no network.*bring them as CSV"):
        fetch_openml_dataset(61)
