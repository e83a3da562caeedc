"""Laws of removal: each test point is asked of the networks without its own points."""

import numpy as np
import pytest

from ntkviz.errors import JobCancelled
from ntkviz.truth.removal import removal_drops
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
