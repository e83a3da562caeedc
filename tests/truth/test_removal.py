"""Laws of removal: each test point is asked of the networks without its own points."""

import numpy as np
import pytest

from ntkviz.errors import JobCancelled, NtkvizError, StoreCorrupted
from ntkviz.truth import retrain as retrain_module
from ntkviz.truth.recipe import Training
from ntkviz.truth.removal import read_removed, removal_drops, save_removed, try_removals
from ntkviz.truth.retrain import retrain
from ntkviz.truth.truth import margins_of
from tests.truth.made import MLP, SGD, images


def test_each_entry_is_the_margin_after_retraining_without_its_points():
    data, test, seeds = images(), np.array([4, 1, 8]), np.array([3, 7])
    rng = np.random.default_rng(0)
    removed = [np.stack([rng.permutation(30)[:6] for _ in test]) for _ in range(2)]
    found = removal_drops(MLP, data, SGD, removed, test, seeds)
    assert found.k == 6
    assert found.before.shape == (3, 2)
    assert found.after.shape == (2, 3, 2)
    for method, point, seed in [(0, 0, 0), (1, 0, 1), (0, 2, 1), (1, 1, 0)]:
        mask = np.ones((1, 30), dtype=bool)
        mask[0, removed[method][point]] = False
        logits = retrain(MLP, data, mask, seeds[[seed]], SGD, test=test[[point]])
        expected = margins_of(logits[0], data.y_test[test[[point]]])
        np.testing.assert_allclose(found.after[method, point, seed], expected[0], atol=1e-4)
    whole = retrain(MLP, data, np.ones((2, 30), dtype=bool), seeds, SGD, test=test)
    np.testing.assert_allclose(found.before, margins_of(whole, data.y_test[test]).T, atol=1e-4)


def test_removing_the_own_class_hurts_more_than_removing_others():
    data, test = images(), np.arange(9)
    own = np.stack([np.flatnonzero(data.y_train == data.y_test[p])[:8] for p in test])
    other = np.stack([np.flatnonzero(data.y_train != data.y_test[p])[:8] for p in test])
    found = removal_drops(MLP, data, SGD, [own, other], test, np.arange(4))
    drops = (found.before - found.after).mean(axis=(1, 2))
    assert drops[0] > drops[1] + 0.5


@pytest.mark.parametrize(
    ("removed", "said"),
    [
        ([], "expected one int array"),
        ([np.zeros((2, 1), dtype=int)], r"expected one int array \[3, k\]"),
        ([np.zeros((3, 1), dtype=int), np.zeros((3, 2), dtype=int)], "the same k for all"),
        ([np.full((3, 1), 30)], "0 to 29"),
        ([np.full((3, 1), -1)], "0 to 29"),
        ([np.zeros((3, 1))], "0 to 29"),
        ([np.zeros((3, 2), dtype=int)], "twice"),
        ([np.tile(np.arange(30), (3, 1))], "from 1 to 29"),
    ],
)
def test_lists_that_do_not_fit_are_refused(removed, said):
    with pytest.raises(ValueError, match=said):
        removal_drops(MLP, images(), SGD, removed, np.arange(3), np.array([0]))


def test_cancelling_stops():
    seen = []

    def stop(_stage: str, fraction: float) -> None:
        seen.append(fraction)
        if fraction > 0.3:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        removal_drops(MLP, images(), SGD, [np.arange(9).reshape(3, 3)], np.arange(3), np.arange(5), on_progress=stop)
    assert seen == sorted(seen)


def some_lists() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([[rng.permutation(30)[:6] for _ in range(3)] for _ in range(2)])


def test_shorter_lists_are_tried_too_and_networks_on_all_points_are_trained_once(monkeypatch):
    data, test, seeds, lists = images(), np.array([4, 1, 8]), np.array([3, 7]), some_lists()
    trained: list[np.ndarray] = []
    real = retrain_module.retrain
    monkeypatch.setattr(
        retrain_module, "retrain", lambda spec, x, masks, *a, **k: trained.append(masks) or real(spec, x, masks, *a, **k)
    )
    seen: list[float] = []
    found = try_removals(MLP, data, SGD, lists, (2, 6), test, seeds, on_progress=lambda _, done: seen.append(done))
    assert [len(masks) for masks in trained] == [2, 12, 12]
    assert [int((~masks).sum(axis=1).max()) for masks in trained] == [0, 2, 6]
    for place, k in enumerate((2, 6)):
        alone = removal_drops(MLP, data, SGD, list(lists[:, :, :k]), test, seeds)
        np.testing.assert_allclose(found.after[place], alone.after, atol=1e-4)
        np.testing.assert_allclose(found.before, alone.before, atol=1e-4)
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_what_was_found_is_read_back_and_damage_is_told(tmp_path):
    found = try_removals(MLP, images(), SGD, some_lists(), (6,), np.arange(3), np.arange(2))
    path = tmp_path / "study" / "asked.npz"
    save_removed(path, found, {"lists": ["a", "b"]})
    again, facts = read_removed(path)
    assert facts == {"lists": ["a", "b"]}
    for name in ("before", "after", "lists", "sizes", "test", "seeds"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(StoreCorrupted, match="Run it again"):
        read_removed(path)


def test_a_recipe_that_diverges_is_told():
    wild = Training(epochs=20, optimiser="sgd", learning_rate=100.0, weight_decay=50.0, batch_size=8)
    with pytest.raises(NtkvizError, match="diverged"):
        try_removals(MLP, images(), wild, some_lists(), (6,), np.arange(3), np.arange(2))
