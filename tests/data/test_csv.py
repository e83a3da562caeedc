"""Laws of CSV files: columns find their roles, and what cannot be used is named by column and row."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ntkviz.data.options import Limits, ReadOptions
from ntkviz.data.readers import read_dataset
from ntkviz.data.text import Vocabulary
from ntkviz.errors import UploadRejected
from ntkviz.types import Dataset
from tests.data.files import grey_images, put


def read(folder: Path, text: str | bytes, **options: object) -> Dataset:
    return read_dataset(put(folder, "x.csv", text), options=ReadOptions(**options))  # type: ignore[arg-type]


def refused(folder: Path, text: str | bytes, match: str, **options: object) -> None:
    with pytest.raises(UploadRejected, match=match):
        read(folder, text, **options)


def joined(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """All inputs and labels in the order of the file."""
    assert dataset.meta is not None
    order = np.argsort(dataset.meta["row"].to_numpy())
    x, y = np.concatenate([dataset.x_train, dataset.x_test]), np.concatenate([dataset.y_train, dataset.y_test])
    return x[order], y[order]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2), min_size=4, max_size=9)
)
def test_numbers_come_back_exactly(tmp_path: Path, rows: list[list[float]]) -> None:
    lines = [f"{a!r},{b!r},{i % 2}" for i, (a, b) in enumerate(rows)]
    x, y = joined(read(tmp_path, "a,b,label\n" + "\n".join(lines)))
    np.testing.assert_array_equal(x, np.array(rows, dtype=np.float32))
    np.testing.assert_array_equal(y, np.arange(len(rows)) % 2)


@pytest.mark.parametrize("header", ["label,a,b", "a,Target,b", "a,b,CLASS", "a,b,last"])
def test_the_label_column_is_found(tmp_path: Path, header: str) -> None:
    names = header.split(",")
    place = next(i for i, name in enumerate(names) if len(name) > 1)
    rows = [["1.5", "2.5"] for _ in range(8)]
    for i, row in enumerate(rows):
        row.insert(place, "xy"[i % 2])
    dataset = read(tmp_path, "\n".join([header, *(",".join(row) for row in rows)]))
    assert dataset.class_names == ("x", "y")
    assert dataset.x_train.shape[1] == 2
    assert any("last one" in note for note in dataset.notes) is (header == "a,b,last")


def test_the_label_column_can_be_named(tmp_path: Path) -> None:
    text = "kind,label\n" + "u,1.5\nv,2.5\n" * 4
    dataset = read(tmp_path, text, label_column="kind")
    assert dataset.class_names == ("u", "v")
    refused(tmp_path, text, "'sort' .label_column.; got the columns 'kind', 'label'", label_column="sort")


def test_categories_become_columns_and_are_shown_as_they_are(tmp_path: Path) -> None:
    dataset = read(tmp_path, "size,colour,label\n" + "1,red,0\n2,blue,1\n3,red,1\n4,green,0\n" * 2)
    x, _ = joined(dataset)
    assert x[:4].tolist() == [[1, 0, 0, 1], [2, 1, 0, 0], [3, 0, 0, 1], [4, 0, 1, 0]]
    assert isinstance(dataset.display.train, pd.DataFrame)
    assert set(dataset.display.train["colour"]) <= {"red", "blue", "green"}
    assert any("'colour (3)'" in note for note in dataset.notes)


@pytest.mark.parametrize("gap", ["", "NA", "nan", "?", "null"])
def test_a_missing_value_is_named_or_its_row_dropped(tmp_path: Path, gap: str) -> None:
    text = "a,b,label\n" + "1,2,0\n3,4,1\n" * 4 + f"5,{gap},0\n"
    refused(tmp_path, text, "column 'b', row 9 .1 of 9 rows")
    dataset = read(tmp_path, text, missing="drop")
    x, _ = joined(dataset)
    assert len(x) == 8
    assert any("1 of 9 rows" in note for note in dataset.notes)


def test_a_missing_category_is_a_gap_and_no_category(tmp_path: Path) -> None:
    refused(tmp_path, "a,label\n" + "u,0\nv,1\n" * 3 + "?,1\n", "column 'a', row 7")


def test_a_missing_label_is_named_or_its_row_dropped(tmp_path: Path) -> None:
    text = "a,label\n" + "1,x\n2,y\n" * 4 + "3,\n"
    refused(tmp_path, text, "a label in every row; got none in column 'label', row 9")
    assert len(joined(read(tmp_path, text, missing="drop"))[0]) == 8


@pytest.mark.parametrize("value", ["inf", "-inf", "1e400", "1e39"])
def test_numbers_that_are_not_finite_are_named(tmp_path: Path, value: str) -> None:
    refused(tmp_path, "a,b,label\n" + "1,2,0\n3,4,1\n" * 4 + f"{value},1,0\n", "column 'a', row 9")


def test_a_stray_text_among_numbers_is_named(tmp_path: Path) -> None:
    refused(tmp_path, "a,label\n" + "1,0\n2,1\n" * 4 + "3 kg,0\n", "'3 kg' in row 9")


def test_an_identifier_is_refused_and_can_be_left_out(tmp_path: Path) -> None:
    text = "id,a,label\n" + "".join(f"n{i},{i},{i % 2}\n" for i in range(60))
    refused(tmp_path, text, "at most 50 categories in column 'id'; got 60")
    assert read(tmp_path, text, drop_columns=("id",)).x_train.shape[1] == 1


def test_a_label_that_is_measured_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "a,target\n" + "".join(f"{i},{i / 7}\n" for i in range(9)), "as in regression")


def test_too_many_classes_are_refused(tmp_path: Path) -> None:
    text = "a,label\n" + "".join(f"{i},{i // 2}\n" for i in range(20))
    refused(tmp_path, text, "at most 9 classes; got 10", limits=Limits(classes=9))


def test_a_text_column_makes_a_data_set_of_texts(tmp_path: Path) -> None:
    text = "text,label,source\n" + '"good, really",pos,a\nNone,neg,b\n007,pos,a\n"two\nlines",neg,c\n' * 2
    dataset = read(tmp_path, text)
    assert dataset.kind == "text"
    assert isinstance(dataset.display.train, list)
    assert set(dataset.display.train) <= {"good, really", "None", "007", "two\nlines"}
    assert dataset.meta is not None
    assert set(dataset.meta["source"]) == {"a", "b", "c"}


def test_the_text_column_can_be_named_or_is_the_only_one_left(tmp_path: Path) -> None:
    rows = "".join(f"tweet number {i},{i % 2}\n" for i in range(60))
    assert read(tmp_path, "tweet,label\n" + rows).kind == "text"
    assert read(tmp_path, "tweet,label\n" + rows[:200].rsplit("\n", 1)[0], text_column="tweet").kind == "text"
    assert read(tmp_path, "tweet,label\n" + "a,0\nb,1\n" * 4).kind == "tabular"


def test_a_vocabulary_of_training_texts_is_made_or_the_one_given_is_used(tmp_path: Path) -> None:
    text = "text,label,split\ngood film,1,train\nbad film,0,train\ngood music,1,test\n"
    made = read(tmp_path, text)
    assert made.x_test.tolist() == [[4, 1]]
    assert any("vocabulary of 5 tokens" in note for note in made.notes)
    assert any("50.0% of the words" in note for note in made.notes)
    given_one = read(tmp_path, text, vocabulary=Vocabulary.build(["music good"]), text_length=3)
    assert given_one.x_test.tolist() == [[2, 3, 0]]


def test_long_texts_are_cut_with_a_note(tmp_path: Path) -> None:
    dataset = read(tmp_path, "text,label\n" + ("a b c d,1\nx y,0\n" * 3), text_length=3)
    assert dataset.x_train.shape[1] == 3
    assert any("3 of 6 texts have more than 3 words" in note for note in dataset.notes)


def test_a_split_column_is_kept_and_validation_rows_left_out(tmp_path: Path) -> None:
    text = "a,label,split\n1,0,train\n2,1,Train\n3,0,test\n4,1,valid\n"
    dataset = read(tmp_path, text)
    assert dataset.x_train[:, 0].tolist() == [1, 2]
    assert dataset.x_test[:, 0].tolist() == [3]
    assert any("1 validation rows" in note for note in dataset.notes)
    refused(tmp_path, text + "5,1,fold3\n", "train or test in column 'split'; got 'fold3' in row 5")


def test_names_beside_numbers_name_the_classes(tmp_path: Path) -> None:
    text = "a,label,label_name\n" + "1,1,pear\n2,0,apple\n" * 3
    assert read(tmp_path, text).class_names == ("apple", "pear")
    assert read(tmp_path, text).x_train.shape[1] == 1
    refused(tmp_path, text + "3,0,plum\n", "one name for each label")


@pytest.mark.parametrize("mark", [";", "\t"])
def test_semicolons_and_tabs_separate_too(tmp_path: Path, mark: str) -> None:
    text = "a,b,label\n" + "1,2,0\n3,4,1\n" * 3
    np.testing.assert_array_equal(read(tmp_path, text.replace(",", mark)).x_train, read(tmp_path, text).x_train)


def test_a_byte_order_mark_and_windows_lines_change_nothing(tmp_path: Path) -> None:
    text = "label,b\n" + "0,2\n1,4\n" * 3
    np.testing.assert_array_equal(
        read(tmp_path, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()).x_train, read(tmp_path, text).x_train
    )


def test_the_row_numbers_that_pandas_writes_are_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5] * 4, "label": [0, 1] * 4})
    dataset = read(tmp_path, frame.to_csv())
    assert dataset.x_train.shape[1] == 1
    assert any("counts the rows" in note for note in dataset.notes)
    refused(tmp_path, ",a,label\n" + "x,1,0\ny,2,1\n" * 3, "a name for every column; got none for column 1")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1,2,3\n4,5,6\n", "got numbers"),
        ("\n1,2\n", "empty line"),
        ("a,a,label\n1,2,0\n", "several times 'a'"),
        ("a,label\n", "at least one data point"),
        ("label\n0\n1\n", "at least one column of features"),
        ("a,label\n1,0\n1,0\n", "at least two classes; got 1"),
        ("a,label\n1,0\n1,0\n1,1\n", "at least 2 points of each class; got 1 of '1'"),
        ("a,label\n1,0\n1,1,2\n", "saw 3"),
        ("a,label\n1,0,9\n1,1,9\n", "more cells than the header"),
        (b"a,label\n\xff,0\n", "UTF-8"),
        ("a,label\n1,0\n".encode("utf-16"), "UTF-16"),
        (b"a,label\n\0,0\n", "no text at all"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str | bytes, match: str) -> None:
    refused(tmp_path, text, match)


def test_a_row_with_too_few_cells_has_a_gap(tmp_path: Path) -> None:
    refused(tmp_path, "label,a,b\n" + "0,1,2\n1,3,4\n" * 3 + "1,5\n", "column 'b', row 7")


def test_a_hostile_header_is_refused_before_it_is_split(tmp_path: Path) -> None:
    refused(tmp_path, "a" + "," * 5_000_000 + "\n", "at most 10,000 columns")


def test_columns_of_categories_count_as_many(tmp_path: Path) -> None:
    text = "a,b,label\n" + "".join(f"u{i % 5},v{i % 5},{i % 2}\n" for i in range(20))
    refused(tmp_path, text, "at most 9 columns of features; got 10", limits=Limits(features=9))


def test_inputs_beyond_the_memory_limit_are_refused_before_they_are_made(tmp_path: Path) -> None:
    text = "a,label\n" + "".join(f"u{i % 40},{i % 2}\n" for i in range(2000))
    refused(tmp_path, text, r"2,000 points of 40 numbers", limits=Limits(inflated_mb=0.1))


def test_pixels_become_images(tmp_path: Path) -> None:
    images = grey_images(6, side=28)
    header = "label," + ",".join(f"pixel{i}" for i in range(784))
    text = "\n".join([header, *(f"{i % 2}," + ",".join(map(str, image.ravel())) for i, image in enumerate(images))])
    dataset = read(tmp_path, text, kind="image")
    assert dataset.meta is not None
    shown = np.concatenate([dataset.display.train, dataset.display.test])[np.argsort(dataset.meta["row"])]
    np.testing.assert_array_equal(shown, images)
    refused(tmp_path, "a,b,label\n" + "1,2,0\n1,2,1\n" * 2, "3 x s x s columns", kind="image")


def test_the_drawn_split_keeps_the_share_of_every_class(tmp_path: Path) -> None:
    text = "a,label\n" + "".join(f"{i},{'rare' if i % 10 == 0 else 'common'}\n" for i in range(100))
    dataset = read(tmp_path, text, test_fraction=0.3)
    assert np.bincount(dataset.y_test).tolist() == [27, 3]
    assert np.bincount(dataset.y_train).tolist() == [63, 7]
    assert any("no test split: 30 of 100 points, 30% of each class" in note for note in dataset.notes)


def test_compressed_and_plain_files_are_the_same(tmp_path: Path) -> None:
    text = "a,label\n" + "1,0\n2,1\n" * 4
    packed = read_dataset(put(tmp_path, "x.csv.gz", gzip.compress(text.encode())))
    np.testing.assert_array_equal(packed.x_train, read(tmp_path, text).x_train)
