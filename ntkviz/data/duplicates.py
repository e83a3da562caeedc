"""Points that occur more than once.

A copy of a test point among the training points gets the largest kernel value there is, and explains the prediction by
itself; copies with different labels pull a surrogate both ways. Both have to be known before a claim about influence.

Two points are duplicates when their inputs are equal in every value or, for texts, when what a person reads is equal
but for case, white space and compatibility forms. That is taken to its end: if A equals B in one way and B equals C in
the other, the three are one group.
"""

import hashlib
import unicodedata
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ntkviz.data.subset import take
from ntkviz.types import Dataset


@dataclass(frozen=True)
class DuplicateGroup:
    """Two or more points that are the same.

    Attributes:
        train: indices of those among the training points, ascending.
        test: indices of those among the test points, ascending.
        labels: the different labels that they have, ascending.
    """

    train: tuple[int, ...]
    test: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def conflicting(self) -> bool:
        """Whether the same point has more than one label."""
        return len(self.labels) > 1


@dataclass(frozen=True)
class DuplicateReport:
    """The duplicates of a data set.

    Attributes:
        groups: all groups, by their first point, training points before test points.
        n_train: N.
        n_test: M.
    """

    groups: tuple[DuplicateGroup, ...]
    n_train: int
    n_test: int

    @property
    def within_train(self) -> tuple[DuplicateGroup, ...]:
        """Groups with several training points."""
        return tuple(group for group in self.groups if len(group.train) > 1)

    @property
    def within_test(self) -> tuple[DuplicateGroup, ...]:
        """Groups with several test points."""
        return tuple(group for group in self.groups if len(group.test) > 1)

    @property
    def leaked(self) -> tuple[DuplicateGroup, ...]:
        """Groups with training and test points: the test points were seen in training."""
        return tuple(group for group in self.groups if group.train and group.test)

    @property
    def conflicting(self) -> tuple[DuplicateGroup, ...]:
        """Groups with more than one label."""
        return tuple(group for group in self.groups if group.conflicting)

    @property
    def n_train_copies(self) -> int:
        """Training points that repeat an earlier training point."""
        return sum(len(group.train) - 1 for group in self.within_train)

    @property
    def n_test_copies(self) -> int:
        """Test points that repeat an earlier test point."""
        return sum(len(group.test) - 1 for group in self.within_test)

    @property
    def n_leaked(self) -> int:
        """Test points that also stand in the training split."""
        return sum(len(group.test) for group in self.leaked)

    @property
    def sentence(self) -> str:
        """The report in one sentence."""
        if not self.groups:
            return f"No duplicates: the {self.n_train:,} training and {self.n_test:,} test points all differ."
        return (
            f"Duplicates: {self.n_train_copies:,} of {self.n_train:,} training points and {self.n_test_copies:,} of {self.n_test:,} "
            f"test points repeat an earlier one, {self.n_leaked:,} test points also stand in the training split, and "
            f"{len(self.conflicting):,} groups of equal points have different labels."
        )


def find_duplicates(dataset: Dataset) -> DuplicateReport:
    """All groups of equal points.

    Args:
        dataset: any data set.

    Returns:
        the report; indices refer to ``x_train`` and ``x_test``.
    """
    n = len(dataset.y_train)
    parents = np.arange(n + len(dataset.y_test))
    _join_equal(parents, _input_keys(dataset))
    if dataset.kind == "text":
        _join_equal(parents, _text_keys(dataset))
    members: dict[int, list[int]] = {}
    for point in range(len(parents)):
        members.setdefault(_root(parents, point), []).append(point)
    labels = np.concatenate([dataset.y_train, dataset.y_test])
    groups = tuple(
        DuplicateGroup(
            train=tuple(point for point in points if point < n),
            test=tuple(point - n for point in points if point >= n),
            labels=tuple(sorted({int(labels[point]) for point in points})),
        )
        for points in members.values()
        if len(points) > 1
    )
    return DuplicateReport(groups, n, len(dataset.y_test))


def drop_duplicates(dataset: Dataset) -> tuple[Dataset, DuplicateReport]:
    """The data set with every point once.

    Of equal training points the first stays, with its label; a test point that also stands in the training split goes,
    and of other equal test points the first stays. No two points of the result are duplicates.

    Args:
        dataset: any data set.

    Returns:
        the data set, with a note when something was dropped, and the report on the one that was given.
    """
    report = find_duplicates(dataset)
    if not report.groups:
        return dataset, report
    keep_train = np.ones(report.n_train, dtype=bool)
    keep_test = np.ones(report.n_test, dtype=bool)
    for group in report.groups:
        keep_train[list(group.train[1:])] = False
        keep_test[list(group.test if group.train else group.test[1:])] = False
    kept = take(dataset, np.flatnonzero(keep_train), np.flatnonzero(keep_test))
    note = (
        f"{report.sentence} {int((~keep_train).sum()):,} training and {int((~keep_test).sum()):,} test points were dropped; "
        "of equal points the first was kept, with its label."
    )
    return replace(kept, notes=(*dataset.notes, note)), report


def _input_keys(dataset: Dataset) -> Iterator[Hashable]:
    """A key of each point's input.

    Yields:
        keys, training points first; equal exactly when all values are.
    """
    for x in (dataset.x_train, dataset.x_test):
        for row in x:
            # Adding zero turns -0.0 into 0.0: they are equal numbers with different bytes.
            values = np.ascontiguousarray(row + 0 if row.dtype.kind == "f" else row)
            yield hashlib.blake2b(values.tobytes(), digest_size=16).digest()


def _text_keys(dataset: Dataset) -> Iterator[Hashable]:
    """A key of what a person reads of each point.

    Yields:
        keys, training points first.
    """
    for shown in (dataset.display.train, dataset.display.test):
        for text in shown:
            yield " ".join(unicodedata.normalize("NFKC", str(text)).casefold().split())


def _join_equal(parents: np.ndarray, keys: Iterator[Hashable]) -> None:
    """Join the groups of points that have the same key."""
    first: dict[Hashable, int] = {}
    for point, key in enumerate(keys):
        a, b = _root(parents, first.setdefault(key, point)), _root(parents, point)
        # The earlier point becomes the root, so that groups come in the order of their first points.
        parents[max(a, b)] = min(a, b)


def _root(parents: np.ndarray, point: int) -> int:
    """The first point of a group; paths are halved on the way."""
    while parents[point] != point:
        parents[point] = parents[parents[point]]
        point = int(parents[point])
    return point
