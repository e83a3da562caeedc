"""Retrain to verify: what edits of the training set really do to a network, beside the removal of as many random points.

Letters: N training points, M test points, R seeds, k points that the edits change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ntkviz.data.subset import take
from ntkviz.errors import NtkvizError
from ntkviz.truth.recipe import Training
from ntkviz.truth.result_file import read_result, write_result
from ntkviz.truth.truth import margins_of
from ntkviz.types import Dataset, ProgressFn, part_of, silent

#: Distance of the seeds that are not the explained network's own; as in :mod:`ntkviz.truth.make`.
STRIDE = 1000
_FORMAT = "ntkviz-verified/1"


@dataclass(frozen=True, eq=False)
class Verified:
    """Networks trained again without edits of their training set, with them, and without as many random points.

    Attributes:
        before: float64 ``[R, M]``, log-odds of the true class after training on the training set as it is.
        after: float64 ``[R, M]``, the same after training on the edited training set.
        random: float64 ``[R, M]``, the same without random points, others for each seed.
        removed: int64 ``[R, k]``, the random points that were removed.
        named_before: int64 ``[R, M]``, the class that each network names.
        named_after: int64 ``[R, M]``.
        test: int64 ``[M]``, places of the test points in the data.
        y_test: int64 ``[M]``, their true classes.
        seeds: int64 ``[R]``, the recipe's own first.
    """

    before: np.ndarray
    after: np.ndarray
    random: np.ndarray
    removed: np.ndarray
    named_before: np.ndarray
    named_after: np.ndarray
    test: np.ndarray
    y_test: np.ndarray
    seeds: np.ndarray

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            ValueError: when they do not.
        """
        r, m = len(self.seeds), len(self.test)
        for name in ("before", "after", "random", "named_before", "named_after"):
            if getattr(self, name).shape != (r, m):
                raise ValueError(f"`{name}` has the shape {getattr(self, name).shape}; expected {(r, m)}.")
        if self.y_test.shape != (m,) or self.removed.ndim != 2 or len(self.removed) != r:
            raise ValueError(f"`y_test` and `removed` must be [{m}] and [{r}, k]; got {self.y_test.shape}, {self.removed.shape}.")


def edited_training(data: Dataset, counts: np.ndarray, labels: np.ndarray) -> Dataset:
    """A data set whose training points are removed, repeated and relabelled; test points stay.

    Args:
        data: the data set.
        counts: int ``[N]``, how often each training point counts; 0 removes it.
        labels: int ``[N]``, its label.

    Returns:
        a new data set; points keep their order, copies stand beside each other.

    Raises:
        ValueError: when counts or labels do not fit the data, or no point is left.
    """
    n, counts, labels = len(data.y_train), np.asarray(counts), np.asarray(labels)
    for name, values in (("counts", counts), ("labels", labels)):
        if values.shape != (n,) or values.dtype.kind not in "iu" or values.min() < 0:
            raise ValueError(f"`{name}` must be {n} whole numbers from 0; got shape {values.shape} of {values.dtype}.")
    if labels.max() >= data.n_classes:
        raise ValueError(f"`labels` run up to {labels.max()}; expected 0 to {data.n_classes - 1}.")
    if not counts.any():
        raise ValueError("`counts` leaves no training point; leave some.")
    places = np.repeat(np.arange(n), counts)
    chosen = take(data, places, np.arange(len(data.y_test)))
    return replace(chosen, y_train=labels[places].astype(data.y_train.dtype))


def verify_edits(
    spec: dict[str, Any],
    data: Dataset,
    training: Training,
    counts: np.ndarray,
    labels: np.ndarray,
    *,
    test: np.ndarray,
    among: np.ndarray | None = None,
    n_seeds: int = 5,
    workers: int = 1,
    on_progress: ProgressFn = silent,
) -> Verified:
    """Train R networks on the training set as it is, R on the edited one, and R without as many random points as the edits change.

    Args:
        spec: the specification of the network.
        data: all the data that the network was trained and tested on.
        training: the recipe; its own seed is the first.
        counts: int ``[N]``, how often each training point counts after the edits.
        labels: int ``[N]``, its label after the edits.
        test: int ``[M]``, places of the test points to ask about.
        among: places of the training points that random removals are drawn from; None takes all.
        n_seeds: R.
        workers: processes to spread the networks over.
        on_progress: called with ("truth", fraction); may raise ``JobCancelled``.

    Raises:
        ValueError: when counts or labels do not fit the data, or nothing was edited.
        NtkvizError: when a network's answers are no numbers: the recipe does not train it.
    """
    from ntkviz.truth.retrain import retrain

    edited = edited_training(data, counts, labels)
    k = int(((np.asarray(counts) != 1) | (np.asarray(labels) != data.y_train)).sum())
    pool = np.arange(len(data.y_train)) if among is None else np.asarray(among)
    if not 1 <= k < len(data.y_train) or k > len(pool):
        raise ValueError(f"The edits change {k} of {len(data.y_train)} training points; expected one at least, and not all.")
    seeds = training.seed + STRIDE * np.arange(n_seeds, dtype=np.int64)
    rng = np.random.default_rng(training.seed)
    removed = np.stack([np.sort(rng.permutation(pool)[:k]) for _ in range(n_seeds)])
    without = np.ones((n_seeds, len(data.y_train)), dtype=bool)
    np.put_along_axis(without, removed, False, axis=1)
    sets = (
        (data, np.ones_like(without)),
        (edited, np.ones((n_seeds, len(edited.y_train)), dtype=bool)),
        (data, without),
    )
    logits = []
    for place, (points, masks) in enumerate(sets):
        step = part_of(on_progress, place / len(sets), 1 / len(sets))
        logits.append(retrain(spec, points, masks, seeds, training, test=test, workers=workers, on_progress=step))
    if not all(np.isfinite(part).all() for part in logits):
        raise NtkvizError("A retrained network answers with no numbers: its training diverged. Give a lower learning rate.")
    y = data.y_test[test]
    before, after, random = (margins_of(part, y) for part in logits)
    return Verified(before, after, random, removed, _named(logits[0]), _named(logits[1]), np.asarray(test), y, seeds)


def _named(logits: np.ndarray) -> np.ndarray:
    """The class that each network names, int64 ``[R, M]``."""
    return (logits[..., 0] > 0).astype(np.int64) if logits.shape[-1] == 1 else logits.argmax(axis=-1)


def save_verified(path: Path, found: Verified, facts: Mapping[str, Any]) -> None:
    """Write what was found and what it is of; see :func:`ntkviz.truth.result_file.write_result`."""
    write_result(path, found, facts, form=_FORMAT)


def read_verified(path: Path) -> tuple[Verified, dict[str, Any]]:
    """What :func:`save_verified` wrote, with its facts; see :func:`ntkviz.truth.result_file.read_result`."""
    return read_result(path, Verified, form=_FORMAT)
