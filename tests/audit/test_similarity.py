"""Duplicates are an equivalence, prototypes stand for their class, outliers do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkviz.audit.duplicates import LADDER, near_duplicates
from ntkviz.audit.prototypes import typicality
from tests.audit.conftest import clusters, gram


def case(seed: int, n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, labels = clusters(rng, n, width=1.0)
    x[n - 3 :] = x[:3]  # three copies
    return gram(x, x), labels


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), threshold=st.floats(0.5, 1.0))
def test_groups_are_disjoint_closed_and_hold_every_pair_that_reaches_the_threshold(seed, threshold):
    kernel, labels = case(seed)
    found = near_duplicates(kernel, labels, threshold=threshold)
    group_of = {point: place for place, group in enumerate(found.groups) for point in group.points}
    assert len(group_of) == sum(len(group.points) for group in found.groups)
    first, second = np.nonzero(np.triu(kernel >= found.threshold + 1e-9, k=1))
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        assert group_of[i] == group_of[j]
    for group in found.groups:
        reached, todo = {group.points[0]}, [group.points[0]]
        while todo:
            here = todo.pop()
            new = {j for j in group.points if kernel[here, j] >= found.threshold - 1e-9} - reached
            reached |= new
            todo.extend(new)
        assert reached == set(group.points)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_lower_threshold_only_joins_more(seed):
    kernel, labels = case(seed)
    high, low = (near_duplicates(kernel, labels, threshold=t) for t in (0.95, 0.8))
    for group in high.groups:
        assert any(set(group.points) <= set(other.points) for other in low.groups)


def test_exact_copies_are_the_same_and_conflicting_labels_come_first():
    kernel, labels = case(0)
    labels = labels.copy()
    labels[23] = (labels[2] + 1) % 3
    found = near_duplicates(kernel, labels, threshold=1.0)
    assert [group.points for group in found.groups] == [(2, 23), (0, 21), (1, 22)]
    assert all(group.same for group in found.groups)
    assert [group.conflicting for group in found.groups] == [True, False, False]
    assert found.n_copies == 3
    assert any("cannot be told from 1" in note for note in found.notes)
    assert found.ladder[LADDER[-1]] == 3


def test_neither_scale_nor_length_of_a_point_matters_to_duplicates():
    kernel, labels = case(1)
    lengths = np.linspace(0.1, 50, len(kernel))
    one, other = near_duplicates(kernel, labels), near_duplicates(kernel * lengths * lengths[:, None], labels)
    assert [group.points for group in one.groups] == [group.points for group in other.groups]


def test_test_points_that_were_trained_on_are_named():
    rng = np.random.default_rng(4)
    x, labels = clusters(rng, 30)
    z = np.vstack([rng.standard_normal((2, 6)) - 5, x[[7]]])
    found = near_duplicates(gram(x, x), labels, threshold=0.999, rows=gram(z, x), rows_diagonal=np.ones(3))
    assert found.leaks.tolist() == [[2, 7]]


def test_duplicates_refuse_what_they_cannot_compare():
    kernel, labels = case(0)
    with pytest.raises(ValueError, match="threshold"):
        near_duplicates(kernel, labels, threshold=1.5)
    with pytest.raises(ValueError, match="rows_diagonal"):
        near_duplicates(kernel, labels, rows=kernel[:2])
    with pytest.raises(ValueError, match="Kernel rows"):
        near_duplicates(kernel, labels, rows=kernel[:2, :-1], rows_diagonal=np.ones(2))


def test_the_first_prototype_maximises_the_objective_and_more_come_nearer_to_the_mean():
    kernel, labels = case(2, n=60)
    few, many = (typicality(kernel, labels, n_prototypes=k) for k in (1, 6))
    for one, other in zip(few.classes, many.classes, strict=True):
        members = np.flatnonzero(labels == one.label)
        within = kernel[np.ix_(members, members)]
        best = members[(2 * within.mean(axis=1) - np.diagonal(within)).argmax()]
        assert one.prototypes == (best,)
        assert other.prototypes[:1] == one.prototypes
        assert other.mmd < one.mmd
        assert other.coverage > one.coverage
        assert len(set(other.prototypes)) == 6
        assert 0 <= other.own_nearest <= 1


def test_the_greedy_choice_is_the_best_single_step():
    kernel, labels = case(6, n=45)
    chosen = typicality(kernel, labels, n_prototypes=4).classes[0].prototypes
    members = np.flatnonzero(labels == 0)

    def value(points: tuple) -> float:
        return 2 * kernel[np.ix_(members, points)].sum() / len(members) / len(points) - kernel[np.ix_(points, points)].mean()

    for size in range(1, 4):
        best = max((i for i in members if i not in chosen[:size]), key=lambda i: value((*chosen[:size], i)))
        assert value(chosen[: size + 1]) == pytest.approx(value((*chosen[:size], best)))


def test_a_point_among_another_class_is_an_outlier_of_its_own():
    rng = np.random.default_rng(3)
    x, labels = clusters(rng, 90, width=0.4)
    x[0] = [0, 3, 0, 0, 0, 0]  # labelled 0, where class 1 is
    found = typicality(gram(x, x), labels)
    assert found.outliers[0] == 0
    assert found.outlyingness[0] > 5
    assert found.density[0] < found.density[labels == 0][1:].min()


def test_typicality_keeps_its_words_under_scale_and_order():
    kernel, labels = case(5, n=60)
    moved = np.random.default_rng(0).permutation(60)
    one, other = typicality(kernel, labels), typicality(7 * kernel[np.ix_(moved, moved)], labels[moved])
    np.testing.assert_allclose(one.outlyingness[moved], other.outlyingness, atol=1e-9)
    for first, second in zip(one.classes, other.classes, strict=True):
        assert first.coverage == pytest.approx(second.coverage)


def test_small_classes_and_points_without_gradient_are_told():
    kernel, labels = case(7)
    labels = labels.copy()
    labels[3] = 3
    kernel = kernel.copy()
    kernel[5] = kernel[:, 5] = 0
    found = typicality(kernel, labels, n_prototypes=2)
    assert found.classes[3].prototypes == (3,)
    assert len(found.notes) == 2
    with pytest.raises(ValueError, match="n_prototypes"):
        typicality(kernel, labels, n_prototypes=0)
