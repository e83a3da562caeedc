"""Laws of JSON lines: texts, tokens or plain features, one object a line."""

from pathlib import Path

import numpy as np
import pytest

from ntkviz.data.options import Limits, ReadOptions
from ntkviz.data.readers import read_dataset
from ntkviz.data.text import Vocabulary
from ntkviz.errors import UploadRejected
from ntkviz.types import Dataset
from tests.data.files import jsonl, put


def read(folder: Path, records: list[dict[str, object]] | str, **options: object) -> Dataset:
    text = records if isinstance(records, str) else jsonl(records)
    return read_dataset(put(folder, "x.jsonl", text), options=ReadOptions(**options))  # type: ignore[arg-type]


def refused(folder: Path, records: list[dict[str, object]] | str, match: str, **options: object) -> None:
    with pytest.raises(UploadRejected, match=match):
        read(folder, records, **options)


def texts(**more: object) -> list[dict[str, object]]:
    return [{"text": f"text {'one' if i % 2 else 'two'}", "label": i % 2, **more} for i in range(8)]


def features() -> list[dict[str, object]]:
    return [{"a": i, "label": i % 2} for i in range(8)]


def test_texts_with_a_split_and_names_are_kept(tmp_path: Path) -> None:
    records = [
        {"text": "good", "label": 1, "label_name": "positive", "split": "train"},
        {"text": "bad", "label": 0, "label_name": "negative", "split": "train"},
        {"text": "good bad", "label": 1, "label_name": "positive", "split": "test"},
    ]
    dataset = read(tmp_path, records)
    assert dataset.class_names == ("negative", "positive")
    assert list(dataset.display.train) == ["good", "bad"]
    assert dataset.x_test.tolist() == [[3]]
    assert dataset.meta is not None
    assert dataset.meta["row"].tolist() == [1, 2, 3]


def test_blank_lines_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    plain = read(tmp_path, texts())
    spaced = read(tmp_path, "\ufeff" + "\r\n\r\n".join(jsonl(texts()).splitlines()))
    np.testing.assert_array_equal(plain.x_train, spaced.x_train)


def test_integer_tokens_are_the_ids_and_are_padded(tmp_path: Path) -> None:
    records = [{"tokens": [5, 7] if i % 2 else [9], "label": i % 2} for i in range(4)]
    dataset = read(tmp_path, records)
    assert sorted(np.concatenate([dataset.x_train, dataset.x_test]).tolist()) == [[5, 7], [5, 7], [9, 0], [9, 0]]
    assert {*dataset.display.train} == {"5 7", "9"}
    shorter = read(tmp_path, records, text_length=1)
    assert shorter.x_train.shape[1] == 1
    assert any("2 of 4 texts" in note for note in shorter.notes)


def test_tokens_as_words_are_looked_up_as_they_are(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("<pad>", "<unk>", "New York", "!"))
    records = [{"tokens": ["New York", "!"] if i % 2 else ["new"], "text": f"t{i}", "label": i % 2} for i in range(4)]
    dataset = read(tmp_path, records, vocabulary=vocabulary)
    assert {tuple(row) for row in dataset.x_train.tolist()} == {(2, 3), (1, 0)}
    assert all(shown.startswith("t") for shown in dataset.display.train)


def test_plain_features_are_a_table(tmp_path: Path) -> None:
    records: list[dict[str, object]] = [
        {"a": i + 0.5, "b": i % 2 == 0, "c": "u" if i < 4 else "v", "target": f"t{i % 2}"} for i in range(8)
    ]
    dataset = read(tmp_path, records)
    assert dataset.kind == "tabular"
    assert dataset.x_train.shape[1] == 4
    assert dataset.class_names == ("t0", "t1")


@pytest.mark.parametrize("value", [None, "", "NA"])
def test_a_missing_feature_is_named_or_its_row_dropped(tmp_path: Path, value: object) -> None:
    records: list[dict[str, object]] = [*features(), {"a": value, "label": 0}]
    refused(tmp_path, records, "column 'a', row 9")
    assert any("1 of 9 rows" in note for note in read(tmp_path, records, missing="drop").notes)


def test_a_key_that_one_line_lacks_is_a_gap(tmp_path: Path) -> None:
    records: list[dict[str, object]] = [*features(), {"label": 0}]
    refused(tmp_path, records, "column 'a', row 9")


def test_an_empty_text_is_named_or_dropped(tmp_path: Path) -> None:
    records = [*texts(), {"text": "  ", "label": 1}]
    refused(tmp_path, records, "a text in every row; got none in column 'text', row 9")
    assert any("1 rows without a text" in note for note in read(tmp_path, records, missing="drop").notes)


def test_nested_remarks_of_texts_are_left_out_and_nested_features_refused(tmp_path: Path) -> None:
    assert any("'source'" in note for note in read(tmp_path, texts(source={"page": 3})).notes)
    refused(tmp_path, [{"a": [1, 2], "label": i % 2} for i in range(4)], "a list or object for 'a' in line 1")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"text": "a", "label": 1}\n{"text": \n', "in line 2"),
        ('[{"text": "a", "label": 1}]\n', "a list in line 1"),
        ('{"text": "a", "label": NaN}\n', "in line 1"),
        ('"text"\n', "a str in line 1"),
        ("[" * 100_000 + "\n", "in line 1"),
        ('{"text": "\\ud800", "label": 1}\n', "in line 1"),
        ("\n \n", "at least one data point"),
        ('{"text": "a"}\n{"text": "b"}\n', "a column of labels"),
        ('{"text": "a", "label": [1]}\n', "a column of labels"),
        ('{"text": "a", "label": 0.5}\n{"text": "b", "label": 1}\n', "with a fraction"),
        ('{"text": "a", "label": null}\n{"text": "b", "label": 1}\n', "a label in every row"),
    ],
)
def test_what_is_no_data_set_is_refused(tmp_path: Path, text: str, match: str) -> None:
    refused(tmp_path, text, match)


@pytest.mark.parametrize(
    ("tokens", "match"),
    [
        ([1, "a"], "in row 3"),
        ([True], "in row 3"),
        ([1.5], "in row 3"),
        ([], "list of tokens in every row"),
        (3, "list of tokens in every row; got '3' in row 3"),
        ([-1], "0 .padding. to"),
        ([2**40], "0 .padding. to"),
        ([2**63], "0 .padding. to"),
    ],
)
def test_tokens_that_are_none_are_refused(tmp_path: Path, tokens: object, match: str) -> None:
    records: list[dict[str, object]] = [{"tokens": [1], "label": 0}, {"tokens": [2], "label": 1}, {"tokens": tokens, "label": 0}]
    refused(tmp_path, [*records, {"tokens": [1], "label": 1}], match)


def test_too_many_keys_are_refused(tmp_path: Path) -> None:
    record: dict[str, object] = {f"k{i}": i for i in range(50)}
    refused(tmp_path, [{**record, "label": i % 2} for i in range(4)], "at most 20 keys", limits=Limits(features=20))
