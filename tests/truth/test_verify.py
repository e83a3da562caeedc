"""Laws of verification: edits are the training set they say, and each network is the one that training on it gives."""

import numpy as np
import pytest

from ntkviz.errors import JobCancelled, NtkvizError, StoreCorrupted
from ntkviz.truth.recipe import Training
from ntkviz.truth.retrain import retrain
from ntkviz.truth.truth import margins_of
from ntkviz.truth.verify import STRIDE, edited_training, read_verified, save_verified, verify_edits
from tests.truth.made import MLP, SGD, images

N = 30


def edits(removed=(), relabelled=(), copied=()):
    """Counts and labels of the small images after edits."""
    counts, labels = np.ones(N, dtype=np.int64), images().y_train.astype(np.int64)
    counts[list(removed)] = 0
    labels[list(relabelled)] = (labels[list(relabelled)] + 1) % 3
    counts[list(copied)] += 2
    return counts, labels


def test_the_edited_training_set_has_each_point_as_often_as_it_counts():
    data = images()
    counts, labels = edits(removed=[0, 7], relabelled=[3], copied=[5])
    made = edited_training(data, counts, labels)
    assert len(made.y_train) == N - 2 + 2
    for i in range(N):
        same = (made.x_train == data.x_train[i]).all(axis=(1, 2, 3))
        assert same.sum() == counts[i]
        assert (made.y_train[same] == labels[i]).all()
    np.testing.assert_array_equal(made.x_test, data.x_test)
    np.testing.assert_array_equal(made.y_test, data.y_test)


def test_removing_by_edits_is_removing_by_a_mask():
    data, seeds = images(), np.array([3, 4])
    counts, labels = edits(removed=[1, 2, 20])
    whole = edited_training(data, counts, labels)
    ours = retrain(MLP, whole, np.ones((2, N - 3), dtype=bool), seeds, SGD)
    theirs = retrain(MLP, data, np.tile(counts > 0, (2, 1)), seeds, SGD)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("counts", "labels", "said"),
    [
        (np.ones(N - 1, dtype=int), np.zeros(N, dtype=int), "counts"),
        (np.ones(N), np.zeros(N, dtype=int), "counts"),
        (np.full(N, -1), np.zeros(N, dtype=int), "counts"),
        (np.ones(N, dtype=int), np.full(N, 3), "expected 0 to 2"),
        (np.zeros(N, dtype=int), np.zeros(N, dtype=int), "no training point"),
    ],
)
def test_edits_that_do_not_fit_are_refused(counts, labels, said):
    with pytest.raises(ValueError, match=said):
        edited_training(images(), counts, labels)


def test_each_margin_is_that_of_the_network_it_names():
    data, test = images(), np.array([0, 4, 8])
    counts, labels = edits(removed=[0, 9], relabelled=[3], copied=[6])
    among = np.arange(10, 25)
    seen: list[float] = []
    found = verify_edits(
        MLP, data, SGD, counts, labels, test=test, among=among, n_seeds=2, on_progress=lambda _, done: seen.append(done)
    )
    np.testing.assert_array_equal(found.seeds, SGD.seed + STRIDE * np.arange(2))
    assert found.removed.shape == (2, 4)
    assert np.isin(found.removed, among).all()
    assert (np.diff(found.removed, axis=1) > 0).all()
    assert not np.array_equal(*found.removed)
    masks = np.ones((2, N), dtype=bool)
    np.put_along_axis(masks, found.removed, False, axis=1)
    edited = edited_training(data, counts, labels)
    expected = [
        retrain(MLP, points, kept, found.seeds, SGD, test=test)
        for points, kept in (
            (data, np.ones((2, N), dtype=bool)),
            (edited, np.ones((2, len(edited.y_train)), dtype=bool)),
            (data, masks),
        )
    ]
    for name, logits in zip(("before", "after", "random"), expected, strict=True):
        np.testing.assert_allclose(getattr(found, name), margins_of(logits, data.y_test[test]), atol=1e-4)
    np.testing.assert_array_equal(found.named_before, expected[0].argmax(axis=2))
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_relabelling_a_class_away_shows():
    data = images()
    counts, labels = edits()
    labels[data.y_train == 0] = 1
    found = verify_edits(MLP, data, SGD, counts, labels, test=np.flatnonzero(data.y_test == 0), n_seeds=3)
    assert (found.after - found.before).mean() < (found.random - found.before).mean() - 0.5


def test_nothing_edited_is_refused_and_a_recipe_that_diverges_is_told():
    counts, labels = edits()
    with pytest.raises(ValueError, match="one at least"):
        verify_edits(MLP, images(), SGD, counts, labels, test=np.arange(3))
    wild = Training(epochs=20, optimiser="sgd", learning_rate=100.0, weight_decay=50.0, batch_size=8)
    with pytest.raises(NtkvizError, match="diverged"):
        verify_edits(MLP, images(), wild, *edits(removed=[0]), test=np.arange(3), n_seeds=2)


def test_cancelling_stops():
    def stop(_stage: str, fraction: float) -> None:
        if fraction > 0.4:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        verify_edits(MLP, images(), SGD, *edits(removed=[0]), test=np.arange(3), on_progress=stop)


def test_what_was_found_is_read_back_and_damage_is_told(tmp_path):
    found = verify_edits(MLP, images(), SGD, *edits(removed=[0, 1]), test=np.arange(4), n_seeds=2)
    path = tmp_path / "study" / "asked.npz"
    save_verified(path, found, {"asked": {"edits": 2}})
    again, facts = read_verified(path)
    assert facts == {"asked": {"edits": 2}}
    for name in ("before", "after", "random", "removed", "named_before", "named_after", "test", "y_test", "seeds"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(StoreCorrupted, match="Run it again"):
        read_verified(path)
