"""Take away the training points that were named for a prediction, retrain, and see what becomes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ntkviz.models.spec import ArchitectureSpec
from ntkviz.truth.recipe import Training
from ntkviz.truth.retrain import retrain
from ntkviz.truth.truth import margins_of
from ntkviz.types import Dataset, ProgressFn, silent


@dataclass(frozen=True, eq=False)
class RemovalMargins:
    """Log-odds of the true class before and after removing points chosen for each test point. P test points, R seeds.

    Attributes:
        before: float64 ``[P, R]``, trained on all training points.
        after: float64 ``[methods, P, R]``, trained without the points that a method named for this test point.
        k: how many points were removed.
        test: int64 ``[P]``, the test points.
        seeds: int64 ``[R]``.
    """

    before: np.ndarray
    after: np.ndarray
    k: int
    test: np.ndarray
    seeds: np.ndarray


def removal_drops(
    spec: ArchitectureSpec | dict[str, Any],
    data: Dataset,
    training: Training,
    removed: Sequence[np.ndarray],
    test: np.ndarray,
    seeds: np.ndarray,
    *,
    workers: int = 1,
    on_progress: ProgressFn = silent,
) -> RemovalMargins:
    """Retrain without the points that each method names for each test point: methods x P x R networks, and R on all points.

    Args:
        spec: the specification of the network.
        data: what it was trained and tested on.
        training: the recipe.
        removed: one array a method, int ``[P, k]``: row p are the training points to remove for ``test[p]``, the same k for all.
        test: int ``[P]``, places of test points.
        seeds: int ``[R]``, of the retrainings.
        workers: processes to spread the networks over.
        on_progress: called with ("truth", fraction); may raise ``JobCancelled``.

    Returns:
        The margins before and after.

    Raises:
        ValueError: when a list is of another shape, or names a point twice or one that is not there.
    """
    test, seeds = np.asarray(test), np.asarray(seeds)
    lists = _checked(removed, len(test), len(data.y_train))
    methods, points, k = lists.shape
    masks = np.ones((methods, points, len(data.y_train)), dtype=bool)
    np.put_along_axis(masks, lists, False, axis=2)
    # The networks on all points are as many as one removal; their share of the progress is what follows from that.
    share = 1 / (methods * points + 1)
    whole = retrain(
        spec,
        data,
        np.ones((len(seeds), len(data.y_train)), dtype=bool),
        seeds,
        training,
        test=test,
        on_progress=lambda stage, done: on_progress(stage, share * done),
    )
    logits = retrain(
        spec,
        data,
        masks.reshape(methods * points, -1).repeat(len(seeds), axis=0),
        np.tile(seeds, methods * points),
        training,
        test=test,
        workers=workers,
        on_progress=lambda stage, done: on_progress(stage, share + (1 - share) * done),
    )
    margins = margins_of(logits, data.y_test[test]).reshape(methods, points, len(seeds), points)
    # Each network answers for all test points; the one its points were removed for is what is asked.
    own = np.arange(points)
    after = margins[:, own, :, own].transpose(1, 0, 2)  # advanced indices come first: [P, methods, R]
    return RemovalMargins(margins_of(whole, data.y_test[test]).T, after, k, test, seeds)


def _checked(removed: Sequence[np.ndarray], n_points: int, n_train: int) -> np.ndarray:
    """The lists as one array ``[methods, P, k]``.

    Raises:
        ValueError: when they do not fit.
    """
    shapes = {np.shape(one) for one in removed}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2 or next(iter(shapes))[0] != n_points or not n_points:
        raise ValueError(
            f"`removed` has the shapes {sorted(shapes)}; expected one int array [{n_points}, k] a method, with the same k for all."
        )
    lists = np.stack([np.asarray(one) for one in removed])
    k = lists.shape[2]
    if lists.dtype.kind not in "iu" or not 1 <= k < n_train or lists.min() < 0 or lists.max() >= n_train:
        raise ValueError(
            f"`removed` must name training points 0 to {n_train - 1}, from 1 to {n_train - 1} of them for a test point."
        )
    if (np.diff(np.sort(lists, axis=2), axis=2) == 0).any():
        raise ValueError("`removed` names a training point twice for one test point; name each once.")
    return lists
