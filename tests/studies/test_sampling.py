import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkviz.studies.sampling import POINTS_PER_CLASS, stratified_index

labels = st.lists(st.integers(0, 4), min_size=1, max_size=120).map(np.array)


@settings(deadline=None)
@given(y=labels, seed=st.integers(0, 5), data=st.data())
def test_indices_are_distinct_sorted_and_as_many_as_asked(y, seed, data):
    n = data.draw(st.integers(1, len(y)))
    index = stratified_index(y, n, seed=seed)
    assert len(index) == n
    assert np.all(np.diff(index) > 0)
    assert index.min() >= 0
    assert index.max() < len(y)


@settings(deadline=None)
@given(y=labels, seed=st.integers(0, 5), data=st.data())
def test_a_smaller_study_is_part_of_a_larger_one(y, seed, data):
    small = data.draw(st.integers(1, len(y)))
    large = data.draw(st.integers(small, len(y)))
    assert set(stratified_index(y, small, seed=seed)) <= set(stratified_index(y, large, seed=seed))


@settings(deadline=None)
@given(y=labels, data=st.data())
def test_every_class_keeps_two_points_and_its_share(y, data):
    classes, counts = np.unique(y, return_counts=True)
    n = data.draw(st.integers(min(len(y), POINTS_PER_CLASS * len(classes)), len(y)))
    drawn = y[stratified_index(y, n)]
    got = np.array([np.sum(drawn == c) for c in classes])
    assert np.all(got >= np.minimum(counts, POINTS_PER_CLASS))
    if n >= 20 * len(classes):  # far from the floor, the share holds but for rounding and for what the floor takes
        assert np.all(np.abs(got - n * counts / len(y)) <= POINTS_PER_CLASS * len(classes))


def test_the_seed_decides():
    y = np.repeat(np.arange(3), 100)
    assert np.array_equal(stratified_index(y, 30, seed=1), stratified_index(y, 30, seed=1))
    assert not np.array_equal(stratified_index(y, 30, seed=1), stratified_index(y, 30, seed=2))


def test_balanced_classes_give_balanced_samples():
    y = np.tile(np.arange(10), 400)
    assert np.bincount(y[stratified_index(y, 1000)]).tolist() == [100] * 10


def test_all_points_come_in_their_order():
    assert stratified_index(np.array([1, 0, 1]), 3, seed=9).tolist() == [0, 1, 2]


@pytest.mark.parametrize("n", [0, 4])
def test_more_than_there_is_is_refused(n):
    with pytest.raises(ValueError, match="there are 3"):
        stratified_index(np.zeros(3, dtype=int), n)
