"""Make the truth of a network: retrain it on random halves of its training points, from several seeds."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ntkviz.data.subset import take
from ntkviz.models.probes import logits_of
from ntkviz.truth.recipe import Training
from ntkviz.truth.retrain import ENSEMBLE, retrain, trains_together
from ntkviz.truth.train import train
from ntkviz.truth.truth import Truth, balanced, data_sha256, half_subsets, margins_of
from ntkviz.types import Dataset, ProgressFn, part_of, silent

#: Distance of the seeds that are not the explained network's own.
_STRIDE = 1000
#: Seed of the subsets; the same for every network, so that two networks of one data set are compared on the same ones.
SUBSET_SEED = 20261122
#: Training points, and networks that are trained one after the other, that a quote is measured on.
_QUOTE_POINTS, _QUOTE_NETWORKS = 1000, 3


def make_truth(
    spec: dict[str, Any],
    data: Dataset,
    training: Training,
    *,
    sample: str,
    n_subsets: int = 100,
    n_seeds: int = 5,
    n_test: int = 500,
    workers: int = 1,
    kept: Path | None = None,
    on_progress: ProgressFn = silent,
) -> Truth:
    """Retrain a network ``n_subsets * n_seeds`` times on halves, and ``n_seeds`` times on all of its training points.

    Args:
        spec: the specification, as the card has it.
        data: all the data the network was trained and tested on.
        training: its recipe.
        sample: its name or id.
        n_subsets: S.
        n_seeds: R, the network's own seed first.
        n_test: M at most, balanced by class.
        workers: processes to spread the work over.
        kept: a folder for finished networks, so that an interrupted call can go on; None keeps none.
        on_progress: called with ("truth", fraction); may raise ``JobCancelled``.

    Returns:
        The truth.
    """
    n = len(data.y_train)
    test = balanced(data.y_test, n_test)
    seeds = training.seed + _STRIDE * np.arange(n_seeds, dtype=np.int64)
    masks = half_subsets(n, n_subsets, SUBSET_SEED)
    # All points are trained on last: their share of the time is what their number of points says.
    share = n_subsets / (n_subsets + 2)
    networks, step = (masks.repeat(n_seeds, axis=0), np.tile(seeds, n_subsets)), part_of(on_progress, 0.0, share)
    halves = retrain(spec, data, *networks, training, test=test, workers=workers, kept=kept, on_progress=step)
    whole = _on_all_points(spec, data, seeds, training, test, part_of(on_progress, share, 1 - share))
    y = data.y_test[test]
    return Truth(
        masks=masks,
        margins=margins_of(halves, y).reshape(n_subsets, n_seeds, len(test)).astype(np.float16),
        full=margins_of(whole, y).astype(np.float16),
        y_test=y,
        train_index=np.arange(n),
        test_index=test,
        seeds=seeds,
        sample=sample,
        architecture=spec,
        recipe=training.to_dict(),
        data_sha256=data_sha256(data),
    )


def _on_all_points(
    spec: dict[str, Any], data: Dataset, seeds: np.ndarray, training: Training, test: np.ndarray, on_progress: ProgressFn
) -> np.ndarray:
    """Logits ``[R, M, C]`` after training on everything, exactly as the explained network was trained.

    One after the other and in the default layout: the faster ways round otherwise, and over hundreds of steps that can grow to a fifth
    of the distance between two seeds (the median on fashion-cnn-1k; a thousandth on mnist-mlp-1k).
    """
    made = []
    with torch.random.fork_rng(devices=[]):
        for place, seed in enumerate(seeds.tolist()):
            step = part_of(on_progress, place / len(seeds), 1 / len(seeds))
            model = train(spec, data.x_train, data.y_train, replace(training, seed=seed), on_progress=step)
            made.append(logits_of(model, data.x_test[test]))
    return np.stack(made)


def quote_truth(spec: dict[str, Any], data: Dataset, training: Training, *, n_subsets: int = 100, n_seeds: int = 5) -> float:
    """Seconds of one processor core that :func:`make_truth` takes, from some networks trained for two epochs here and now.

    Args:
        spec: the specification.
        data: the data.
        training: the recipe.
        n_subsets: S.
        n_seeds: R.
    """
    # A network on all points takes two halves' time.
    return seconds_a_half(spec, data, training) * (n_subsets * n_seeds + 2 * n_seeds)


def seconds_a_half(spec: dict[str, Any], data: Dataset, training: Training) -> float:
    """Seconds of one processor core that a network takes on half of the training points, measured here and now.

    Args:
        spec: the specification.
        data: the data; a thousand of its training points at most are trained on for this.
        training: the recipe.
    """
    n = len(data.y_train)
    some = take(data, np.arange(min(n, _QUOTE_POINTS)), np.arange(1))
    count = ENSEMBLE if trains_together(spec) else _QUOTE_NETWORKS
    masks = half_subsets(len(some.y_train), count, SUBSET_SEED)
    short = replace(training, epochs=2)
    retrain(spec, some, masks[:2], np.arange(2), replace(training, epochs=1))  # the first pass sets torch up
    started = time.process_time()
    retrain(spec, some, masks, np.arange(count), short)
    return (time.process_time() - started) / count * training.epochs / short.epochs * n / len(some.y_train)
