"""Laws of labels and of the split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkviz.data.labels import Labels, number_labels, split_points
from ntkviz.data.options import Limits, ReadOptions
from ntkviz.errors import UploadRejected


def number(raw, class_names=None, **more) -> Labels:
    return number_labels(raw, class_names=class_names, limits=Limits(), **more)


RAW = st.lists(st.integers(-5, 5) | st.sampled_from(["a", "b ", "10", "x" * 9]), min_size=2).filter(
    lambda raw: len(set(map(str, raw))) > 1
)


@given(RAW)
def test_every_label_keeps_its_name_and_numbers_are_dense(raw: list[int | str]) -> None:
    labels = number(raw)
    assert [labels.class_names[y] for y in labels.y] == [str(value) for value in raw]
    assert set(labels.y.tolist()) == set(range(len(labels.class_names)))


@given(st.permutations(["0", "1", "2", "10"]))
def test_numbers_are_ordered_as_numbers(raw: list[str]) -> None:
    assert number(raw).class_names == ("0", "1", "2", "10")


@pytest.mark.parametrize("raw", [[3, 1], ["3", "1"], [3.0, 1.0], ["3.0", "1.0"], np.array([3, 1], dtype=np.uint8), [b"3", b"1"]])
def test_the_same_numbers_of_any_type_are_the_same_labels(raw) -> None:
    labels = number(raw)
    assert labels.class_names == ("1", "3")
    assert labels.y.tolist() == [1, 0]
    assert "1 is 0, 3 is 1" in labels.notes[0]


def test_numbers_from_0_to_c_stay_as_they_are() -> None:
    assert number([2, 0, 1]).notes == ()
    assert number([2, 0, 1]).y.tolist() == [2, 0, 1]


def test_leading_zeros_and_mixtures_are_names() -> None:
    assert number(["007", "7"]).class_names == ("007", "7")
    assert number([1, "b"]).class_names == ("1", "b")
    assert number([True, False]).class_names == ("False", "True")


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        ([0, 1.5], "with a fraction, as in regression: '1.5'"),
        (["0.5", "1.5"], r"0\.5 for point 1"),
        ([0, float("nan")], "for point 2 none: 'nan'"),
        ([0, None], "for point 2 none"),
        (["a", "  "], "for point 2 none"),
        ([0, [1]], "for point 2 none"),
        ([0, 0], "at least two classes; got 1"),
        (list(range(1001)), "at most 1,000 classes; got 1,001"),
        (["a", "b" * 500], "at most 200 letters"),
    ],
)
def test_what_is_no_class_is_refused(raw: list, match: str) -> None:
    with pytest.raises(UploadRejected, match=match):
        number(raw)


def test_given_names_are_the_order_of_the_network() -> None:
    assert number(["dog", "cat"], ("dog", "emu", "cat")).y.tolist() == [0, 2]
    assert number([2, 0], ("dog", "emu", "cat")).y.tolist() == [2, 0]
    assert number([2, 7], ("7", "2")).y.tolist() == [1, 0]
    for raw in ([0, 3], [-1, 0], ["dog", "cow"]):
        with pytest.raises(UploadRejected, match="labels from 0 to 2"):
            number(raw, ("dog", "emu", "cat"))
    with pytest.raises(UploadRejected, match="different class names"):
        number([0, 1], ("a", "a"))


def test_names_that_nearly_agree_are_noted() -> None:
    assert any("differ only in case" in note for note in number(["Cat", "cat ", "dog"]).notes)


@given(
    st.lists(st.integers(0, 3), min_size=8).filter(lambda y: min(np.bincount(y, minlength=4)) > 1),
    st.integers(0, 99),
    st.floats(0.01, 0.99),
)
def test_the_drawn_split_is_stratified_deterministic_and_whole(raw: list[int], seed: int, fraction: float) -> None:
    labels = Labels(np.array(raw, dtype=np.int64), ("a", "b", "c", "d"), ())
    options = ReadOptions(seed=seed, test_fraction=fraction)
    train, test, notes = split_points(labels, None, options)
    assert sorted([*train, *test]) == list(range(len(raw)))
    assert list(train) == sorted(train)
    for label, count in enumerate(np.bincount(raw)):
        in_test = int((labels.y[test] == label).sum())
        assert 1 <= in_test <= count - 1
        assert abs(in_test - fraction * count) <= 1
    np.testing.assert_array_equal(test, split_points(labels, None, options)[1])
    assert f"seed {seed}" in notes[0]


def test_a_class_without_training_points_is_refused() -> None:
    labels = Labels(np.array([0, 1, 1]), ("a", "b"), ())
    with pytest.raises(UploadRejected, match="training points of each class; got 0 of 'a'"):
        split_points(labels, np.array([True, False, False]), ReadOptions())


def test_a_class_of_one_point_cannot_be_split() -> None:
    labels = Labels(np.array([0, 1, 1, 2]), ("a", "b", "c"), ())
    with pytest.raises(UploadRejected, match="at least 2 points of each class; got 1 of 'a' and of 1 more"):
        split_points(labels, None, ReadOptions())
