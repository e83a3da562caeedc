"""Retrain a network on parts of its training points, many times over: what removing points really does.

Two ways that give the same networks up to rounding (which in a long training may grow to a part of what another seed changes).
Perceptrons are trained together (:mod:`ntkviz.truth.together`): 1.6 times as fast
as one after the other for 784-100-100-10, 8 times for the small perceptron of a table, measured in ensembles of 20 on one core.
Convolutions are trained one after the other in torch's channels-last layout: stacked, they become grouped convolutions and copies
around each pooling, which were only 1.2 times as fast as one after the other in the default layout, and channels-last is 1.9 times as
fast as that. Networks with dropout or BatchNorm are trained one after the other, since their draws and statistics belong to one network.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ntkviz.models.probes import logits_of
from ntkviz.models.spec import ArchitectureSpec, build_model, parse_spec
from ntkviz.truth.recipe import Training
from ntkviz.truth.together import can_train_together, train_together
from ntkviz.truth.train import train
from ntkviz.types import Dataset, ProgressFn, silent

#: Networks of an ensemble that is trained together; more of them leave the processor's cache.
ENSEMBLE = 20
#: Bytes that the parameters of an ensemble may take; with gradients and moments four times as much is in use.
_ENSEMBLE_BYTES = 64 * 2**20
#: Networks that a worker process trains one after the other before it reports.
_SHARE = 5


@dataclass(frozen=True, eq=False)
class _Work:
    """What every network of one call shares; goes to worker processes as it is."""

    spec: dict[str, Any]
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    training: Training
    together: bool
    kept: Path | None = None

    def place(self, masks: np.ndarray, seeds: np.ndarray) -> Path | None:
        """The file that keeps the logits of these networks; its name says all that they depend on. None when nothing is kept."""
        if self.kept is None:
            return None
        asked = hashlib.sha256(repr((self.spec, self.training.to_dict(), self.together)).encode())
        for array in (self.x, self.y, self.z, masks, seeds):
            asked.update(f"{array.dtype}{array.shape}".encode())
            asked.update(np.ascontiguousarray(array).data)
        return self.kept / f"{asked.hexdigest()}.npy"


def retrain(
    spec: ArchitectureSpec | dict[str, Any],
    data: Dataset,
    masks: np.ndarray,
    seeds: np.ndarray,
    training: Training,
    *,
    test: np.ndarray | None = None,
    together: bool | None = None,
    workers: int = 1,
    kept: Path | None = None,
    on_progress: ProgressFn = silent,
) -> np.ndarray:
    """Train E networks, each from its own initial parameters on its own part of the training points.

    Args:
        spec: the specification of the network, normalisation included, which stays that of the whole training set.
        data: training and test points; change its labels or rows beforehand to see what relabelling or duplicating does.
        masks: bool ``[E, N]``, True for the points that a network is trained on; every row keeps equally many.
        seeds: int ``[E]``, of the initial parameters, the order of the points and the augmentation. The recipe's own seed with a mask
            of nothing but True gives the network that the recipe gives, up to rounding.
        training: the recipe; its seed is not used.
        test: indices of test points, ``[M]``; None takes all.
        together: train ensembles at once, or one network after the other; None chooses what was measured to be faster.
        workers: processes to spread the networks over, each on one core; 1 stays in this process.
        kept: a folder for what is finished, so that the same call goes on there after an interruption. It is made, and is the caller's to
            delete. None keeps nothing.
        on_progress: called with ("truth", fraction) after each epoch of an ensemble (with several workers: twice a second); may raise
            ``JobCancelled``, which stops the work.

    Returns:
        Logits of the test points, float32 ``[E, M, C]``, in the order of the masks.

    Raises:
        ValueError: when masks or seeds do not fit the data, or networks with dropout or BatchNorm are to be trained together.
    """
    masks, seeds = _checked(masks, seeds, len(data.y_train))
    parsed = parse_spec(spec)
    shell = build_model(parsed, device="meta")
    possible = can_train_together(shell)
    if together and not possible:
        raise ValueError("A network with dropout or BatchNorm cannot be trained together with others; leave `together` out.")
    if together is None:
        together = _is_faster_together(shell)
    size = sum(parameter.numel() for parameter in shell.parameters()) * 4
    chunk = min(ENSEMBLE, max(1, _ENSEMBLE_BYTES // max(size, 1))) if together else _SHARE
    z = data.x_test if test is None else data.x_test[test]
    work = _Work(parsed.as_dict(), data.x_train, data.y_train, z, training, together, kept)
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
    parts = [slice(start, start + chunk) for start in range(0, len(masks), chunk)]
    if workers > 1 and len(parts) > 1:
        made = _in_processes(work, masks, seeds, parts, workers, on_progress)
    else:
        made = _here(work, masks, seeds, parts, on_progress)
    on_progress("truth", 0.0)
    logits = np.concatenate(list(made))
    on_progress("truth", 1.0)
    return logits


def trains_together(spec: ArchitectureSpec | dict[str, Any]) -> bool:
    """Whether :func:`retrain` trains networks of this kind in ensembles, when it may choose."""
    return _is_faster_together(build_model(parse_spec(spec), device="meta"))


def _is_faster_together(shell: nn.Module) -> bool:
    """Whether ensembles are possible, and were measured to be faster than one network after the other."""
    convolves = any(isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) for module in shell.modules())
    return can_train_together(shell) and not convolves


def _here(work: _Work, masks: np.ndarray, seeds: np.ndarray, parts: list[slice], on_progress: ProgressFn) -> Iterator[np.ndarray]:
    """One part after the other.

    Yields:
        logits ``[e, M, C]``.
    """
    for place, part in enumerate(parts):
        yield _train_part(
            work, masks[part], seeds[part], lambda done, place=place: on_progress("truth", (place + done) / len(parts))
        )


def _in_processes(
    work: _Work, masks: np.ndarray, seeds: np.ndarray, parts: list[slice], workers: int, on_progress: ProgressFn
) -> Iterator[np.ndarray]:
    """The same in worker processes, which are ended when anything raises here.

    Yields:
        logits ``[e, M, C]``, in the order of the parts.
    """
    # spawn: a forked child would inherit torch's thread pool in an unknown state.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,))
    try:
        futures = [pool.submit(_train_part, work, masks[part], seeds[part], _unheard) for part in parts]
        pending = set(futures)
        while pending:
            _, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            on_progress("truth", 1 - len(pending) / len(parts))
        yield from (future.result() for future in futures)
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _unheard(_done: float) -> None:
    """Progress inside a worker process, which the parent does not hear."""


def _train_part(work: _Work, masks: np.ndarray, seeds: np.ndarray, on_part: Callable[[float], None]) -> np.ndarray:
    """Logits of some networks, float32 ``[e, M, C]``: trained, or read where they were kept."""
    place = work.place(masks, seeds)
    if place is None:
        return _trained(work, masks, seeds, on_part)
    try:
        return np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there yet, or cut short by a power failure
        logits = _trained(work, masks, seeds, on_part)
    unfinished = place.with_suffix(f".{os.getpid()}")
    with unfinished.open("wb") as file:
        np.save(file, logits, allow_pickle=False)
    unfinished.replace(place)
    return logits


def _trained(work: _Work, masks: np.ndarray, seeds: np.ndarray, on_part: Callable[[float], None]) -> np.ndarray:
    """Train some networks and return their logits, float32 ``[e, M, C]``."""
    if work.together:
        rows = torch.from_numpy(np.stack([np.flatnonzero(mask) for mask in masks]))
        x, y = torch.from_numpy(work.x), torch.from_numpy(work.y)
        predict = train_together(work.spec, x, y, rows, seeds, work.training, on_epoch=on_part)
        with torch.no_grad():
            return torch.cat([predict(part) for part in torch.from_numpy(work.z).split(250)], dim=1).numpy()
    return np.stack(list(_one_by_one(work, masks, seeds, on_part)))


def _one_by_one(work: _Work, masks: np.ndarray, seeds: np.ndarray, on_part: Callable[[float], None]) -> Iterator[np.ndarray]:
    """One network after the other; torch's global generator is left as it was.

    Yields:
        logits ``[M, C]``.
    """
    for place, (mask, seed) in enumerate(zip(masks, seeds.tolist(), strict=True)):
        with torch.random.fork_rng(devices=[]):
            model = train(
                work.spec,
                work.x[mask],
                work.y[mask],
                replace(work.training, seed=seed),
                channels_last=True,
                on_progress=partial(_fraction, place, len(masks), on_part),
            )
        yield logits_of(model, work.z)


def _fraction(place: int, count: int, on_part: Callable[[float], None], _stage: str, done: float) -> None:
    """Progress of one network as progress of its part."""
    on_part((place + done) / count)


def _checked(masks: np.ndarray, seeds: np.ndarray, n_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks and seeds that fit the data.

    Raises:
        ValueError: when they do not.
    """
    masks, seeds = np.asarray(masks), np.asarray(seeds)
    if masks.ndim != 2 or masks.dtype != bool or masks.shape[1] != n_points or not len(masks):
        raise ValueError(f"`masks` must be bool [E, {n_points}], one row a network; got shape {masks.shape} of {masks.dtype}.")
    if seeds.shape != (len(masks),) or seeds.dtype.kind not in "iu" or seeds.min() < 0:
        raise ValueError(
            f"`seeds` must be whole numbers from 0, one for each of the {len(masks)} masks; got shape {seeds.shape} of {seeds.dtype}."
        )
    kept = masks.sum(axis=1)
    if kept.min() != kept.max() or not kept[0]:
        raise ValueError(
            f"The masks keep {kept.min()} to {kept.max()} points; expected equally many in each, and at least 1. "
            "Retrain sets of different sizes in calls of their own."
        )
    return masks, seeds.astype(np.int64)
