"""Take away the training points that were named for a prediction, retrain, and see what becomes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ntkviz.errors import NtkvizError
from ntkviz.truth.recipe import Training
from ntkviz.truth.result_file import read_result, write_result
from ntkviz.truth.truth import margins_of
from ntkviz.types import Dataset, ProgressFn, part_of, silent

if TYPE_CHECKING:
    from ntkviz.models.spec import ArchitectureSpec

_FORMAT = "ntkviz-removed/1"


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
    spec: "ArchitectureSpec | dict[str, Any]",
    data: Dataset,
    training: Training,
    removed: Sequence[np.ndarray],
    test: np.ndarray,
    seeds: np.ndarray,
    *,
    before: np.ndarray | None = None,
    workers: int = 1,
    kept: Path | None = None,
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
        before: ``[P, R]``, what an earlier call found for the networks on all points; None trains them.
        workers: processes to spread the networks over.
        kept: a folder for finished networks, see :func:`ntkviz.truth.retrain.retrain`.
        on_progress: called with ("truth", fraction); may raise ``JobCancelled``.

    Returns:
        The margins before and after.

    Raises:
        ValueError: when a list is of another shape, or names a point twice or one that is not there.
    """
    from ntkviz.truth.retrain import retrain

    test, seeds, n = np.asarray(test), np.asarray(seeds), len(data.y_train)
    lists = _checked(removed, len(test), n)
    methods, points, k = lists.shape
    masks = _without(lists, n).reshape(methods * points, n)
    # The networks on all points are as many as one removal; their share of the progress is what follows from that.
    share = 0.0 if before is not None else 1 / (methods * points + 1)
    if before is None:
        step, everything = part_of(on_progress, 0.0, share), np.ones((len(seeds), n), dtype=bool)
        whole = retrain(spec, data, everything, seeds, training, test=test, kept=kept, on_progress=step)
        before = margins_of(whole, data.y_test[test]).T
    networks = masks.repeat(len(seeds), axis=0), np.tile(seeds, methods * points)
    step = part_of(on_progress, share, 1 - share)
    logits = retrain(spec, data, *networks, training, test=test, workers=workers, kept=kept, on_progress=step)
    margins = margins_of(logits, data.y_test[test]).reshape(methods, points, len(seeds), points)
    # Each network answers for all test points; the one its points were removed for is what is asked.
    own = np.arange(points)
    after = margins[:, own, :, own].transpose(1, 0, 2)  # advanced indices come first: [P, methods, R]
    return RemovalMargins(before, after, k, test, seeds)


@dataclass(frozen=True, eq=False)
class Removed:
    """Networks trained again without the first points of several lists. A lists, K sizes, P test points, R seeds.

    Attributes:
        before: float64 ``[P, R]``, log-odds of the true class after training on all training points.
        after: float64 ``[K, A, P, R]``, after training without the first ``sizes[i]`` points of a list.
        lists: int64 ``[A, P, max k]``, places in the data of the points that each list names for a test point, the strongest first.
        sizes: int64 ``[K]``.
        test: int64 ``[P]``, places of the test points in the data.
        seeds: int64 ``[R]``.
    """

    before: np.ndarray
    after: np.ndarray
    lists: np.ndarray
    sizes: np.ndarray
    test: np.ndarray
    seeds: np.ndarray

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            ValueError: when they do not.
        """
        p, r = len(self.test), len(self.seeds)
        if self.lists.ndim != 3 or self.lists.shape[1:] != (p, self.sizes.max(initial=0)):
            raise ValueError(f"`lists` has the shape {self.lists.shape}; expected [A, {p}, {self.sizes.max(initial=0)}].")
        if self.before.shape != (p, r) or self.after.shape != (len(self.sizes), len(self.lists), p, r):
            raise ValueError(
                f"`before` and `after` have the shapes {self.before.shape} and {self.after.shape}; expected P = {p}, R = {r}."
            )


def try_removals(
    spec: dict[str, Any],
    data: Dataset,
    training: Training,
    lists: np.ndarray,
    sizes: Sequence[int],
    test: np.ndarray,
    seeds: np.ndarray,
    *,
    workers: int = 1,
    kept: Path | None = None,
    on_progress: ProgressFn = silent,
) -> Removed:
    """:func:`removal_drops` for the first points of the same lists, some and more of them; networks on all points are trained once.

    Args:
        spec: the specification of the network.
        data: what it was trained and tested on.
        training: the recipe.
        lists: int ``[A, P, k]``, the points that each list names for each test point, the strongest first.
        sizes: how many of them to take away, k the largest.
        test: int ``[P]``, places of test points.
        seeds: int ``[R]``, of the retrainings.
        workers: processes to spread the networks over.
        kept: a folder for finished networks, so that an interrupted call can go on; None keeps none.
        on_progress: called with ("truth", fraction); may raise ``JobCancelled``.

    Raises:
        ValueError: when the lists do not fit the data.
        NtkvizError: when a network's answers are no numbers: the recipe does not train it.
    """
    before, after = None, []
    for place, k in enumerate(sizes):
        found = removal_drops(
            spec,
            data,
            training,
            list(lists[:, :, :k]),
            test,
            seeds,
            before=before,
            workers=workers,
            kept=kept,
            on_progress=part_of(on_progress, place / len(sizes), 1 / len(sizes)),
        )
        before = found.before
        after.append(found.after)
    if before is None or not all(np.isfinite(part).all() for part in (before, *after)):
        raise NtkvizError("A retrained network answers with no numbers: its training diverged. Give a lower learning rate.")
    return Removed(before, np.stack(after), np.asarray(lists), np.asarray(sizes), np.asarray(test), np.asarray(seeds))


def save_removed(path: Path, found: Removed, facts: Mapping[str, Any]) -> None:
    """Write what was found and what it is of; see :func:`ntkviz.truth.result_file.write_result`."""
    write_result(path, found, facts, form=_FORMAT)


def read_removed(path: Path) -> tuple[Removed, dict[str, Any]]:
    """What :func:`save_removed` wrote, with its facts; see :func:`ntkviz.truth.result_file.read_result`."""
    return read_result(path, Removed, form=_FORMAT)


def _without(lists: np.ndarray, n: int) -> np.ndarray:
    """All training points but those listed, bool ``[methods, P, n]``."""
    masks = np.ones((*lists.shape[:2], n), dtype=bool)
    np.put_along_axis(masks, lists, False, axis=2)
    return masks


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
