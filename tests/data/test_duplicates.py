"""Laws of duplicates: every pair of equal points is in one group, and none is left after dropping."""

from dataclasses import replace

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings

from ntkviz.data.duplicates import DuplicateGroup, drop_duplicates, find_duplicates
from ntkviz.types import Dataset, Display
from tests.data.strategies import datasets

SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def table(train: list[float], test: list[float], y_train: list[int], y_test: list[int]) -> Dataset:
    x, z = (np.array(values, dtype=np.float32)[:, None] for values in (train, test))
    meta = pd.DataFrame({"split": ["train"] * len(train) + ["test"] * len(test), "row": range(len(train) + len(test))})
    return Dataset(
        x,
        np.array(y_train, dtype=np.int64),
        z,
        np.array(y_test, dtype=np.int64),
        ("a", "b"),
        "tabular",
        Display(train=pd.DataFrame({"v": x[:, 0]}), test=pd.DataFrame({"v": z[:, 0]})),
        meta=meta,
        notes=("first",),
    )


EXAMPLE = table([5, 1, 5, 2, 5, 3], [9, 1, 9, 7, 1], [0, 1, 0, 1, 1, 0], [0, 1, 1, 0, 1])


def test_copies_leaks_and_conflicts_are_told_apart() -> None:
    report = find_duplicates(EXAMPLE)
    assert report.groups == (
        DuplicateGroup(train=(0, 2, 4), test=(), labels=(0, 1)),
        DuplicateGroup(train=(1,), test=(1, 4), labels=(1,)),
        DuplicateGroup(train=(), test=(0, 2), labels=(0, 1)),
    )
    assert (report.n_train_copies, report.n_test_copies, report.n_leaked, len(report.conflicting)) == (2, 2, 2, 2)
    assert report.within_train == (report.groups[0],)
    assert report.leaked == (report.groups[1],)
    assert report.within_test == (report.groups[1], report.groups[2])
    assert "2 of 6 training points and 2 of 5 test points repeat" in report.sentence
    assert "2 test points also stand in the training split" in report.sentence


def test_dropping_keeps_the_first_and_everything_aligned() -> None:
    kept, report = drop_duplicates(EXAMPLE)
    assert kept.x_train[:, 0].tolist() == [5, 1, 2, 3]
    assert kept.y_train.tolist() == [0, 1, 1, 0]
    assert kept.x_test[:, 0].tolist() == [9, 7]
    assert isinstance(kept.display.train, pd.DataFrame)
    assert kept.display.train["v"].tolist() == [5, 1, 2, 3]
    assert kept.meta is not None
    assert kept.meta["row"].tolist() == [0, 1, 3, 5, 6, 9]
    assert kept.meta.index.tolist() == list(range(6))
    assert kept.notes[0] == "first"
    assert report.sentence in kept.notes[1]
    assert "2 training and 3 test points were dropped" in kept.notes[1]


def test_a_data_set_without_duplicates_is_returned_as_it_is() -> None:
    clean = table([1, 2], [3], [0, 1], [0])
    kept, report = drop_duplicates(clean)
    assert kept is clean
    assert report.sentence.startswith("No duplicates")


def test_zero_and_minus_zero_are_equal() -> None:
    assert find_duplicates(table([0.0, -0.0], [], [0, 0], [])).n_train_copies == 1


def test_texts_are_equal_but_for_case_and_white_space_and_groups_are_closed() -> None:
    ids = np.array([[2, 3], [9, 9], [4, 5], [9, 9], [6, 0]], dtype=np.int64)
    shown = ["Good  film", "good film ", "Bad", "other words", "bad!"]
    labels = np.zeros(5, dtype=np.int64)
    dataset = Dataset(ids[:4], labels[:4], ids[4:], labels[4:], ("a",), "text", Display(train=shown[:4], test=shown[4:]))
    assert [group.train for group in find_duplicates(dataset).groups] == [(0, 1, 3)]
    table_like = replace(dataset, kind="tabular")
    assert [group.train for group in find_duplicates(table_like).groups] == [(1, 3)]


def equal(dataset: Dataset, a: int, b: int) -> bool:
    """The definition, pair by pair."""
    x = [*dataset.x_train, *dataset.x_test]
    shown = [*dataset.display.train, *dataset.display.test] if dataset.kind == "text" else []
    plain = [" ".join(text.casefold().split()) for text in shown if text.isascii()]
    same_text = len(plain) == len(shown) and bool(plain) and plain[a] == plain[b]
    return np.array_equal(x[a], x[b]) or same_text


@SOME
@given(datasets())
def test_every_pair_of_equal_points_is_in_one_group(dataset: Dataset) -> None:
    report = find_duplicates(dataset)
    n = report.n_train
    group_of = {point: i for i, group in enumerate(report.groups) for point in [*group.train, *(n + t for t in group.test)]}
    total = n + report.n_test
    assert len(group_of) == sum(len(group.train) + len(group.test) for group in report.groups)
    for a in range(total):
        for b in range(a):
            if equal(dataset, a, b):
                assert a in group_of
                assert group_of[a] == group_of[b]
    for group in report.groups:
        assert len(group.train) + len(group.test) > 1


@SOME
@given(datasets())
def test_nothing_is_left_to_drop_after_dropping(dataset: Dataset) -> None:
    kept, report = drop_duplicates(dataset)
    assert find_duplicates(kept).groups == ()
    lost = (report.n_train - len(kept.y_train)) + (report.n_test - len(kept.y_test))
    assert lost == sum(len(group.train) + len(group.test) - 1 for group in report.groups)
