"""What a peer's CPU projector would take for N points, from a few: drawing its random matrix dominates, once a call."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from benchmarks import peers
from benchmarks.measure import Run, error, interleaved

#: Random directions in the timed calls: two of the projectors' blocks of 100. The time is linear in blocks.
TIMED_DIM = 200
_BLOCK, _TIMED_ROWS = 100, 256


@dataclass(frozen=True)
class Extrapolated:
    """Seconds for N points.

    Attributes:
        cpu: process seconds.
        wall: seconds on the clock.
        how: a sentence on what was timed.
        extra_bytes: peak of the timed calls; the whole run needs the batch's gradients beside it.
        failure: why there are none.
    """

    cpu: float = math.nan
    wall: float = math.nan
    how: str = ""
    extra_bytes: int | None = None
    failure: str = ""


def projector_cost(
    name: str, model: nn.Module, x: torch.Tensor, chunk: int, *, proj_dim: int, repeats: int, n_threads: int
) -> Extrapolated:
    """Time gradients and two calls of different size, and add up what all N points take.

    A call costs a + b rows; a is the drawing. The most favourable way for the projector is assumed: as many rows a call as
    1 GiB holds, all classes together.

    Args:
        name: "trak" or "dattri".
        model: the network.
        x: all N points; a few are timed.
        chunk: samples in one vmap(grad).
        proj_dim: K.
        repeats: of each timed call.
        n_threads: for torch.
    """
    with torch.no_grad():
        n_classes = model(x[:1]).shape[1]
    width = sum(p.numel() for p in model.parameters() if p.is_floating_point())
    batch = min(len(x), peers.projector_batch(n_classes, width))
    n_timed = min(batch, math.ceil(_TIMED_ROWS / n_classes))
    try:
        projector = peers.PROJECTORS[name](width, TIMED_DIM)
    except (RuntimeError, MemoryError) as reason:
        return Extrapolated(failure=str(reason))
    gradients = peers.all_gradients(model, x[:n_timed], chunk)
    few, many = max(1, len(gradients) // 4), len(gradients)
    features = torch.randn(len(x), n_classes * proj_dim)
    calls: dict[str, Callable[[], object]] = {
        "gradients": lambda: peers.all_gradients(model, x[:n_timed], chunk),
        "few": lambda: projector(gradients[:few]),
        "many": lambda: projector(gradients),
        "gram": lambda: features @ features.T,
    }
    runs = interleaved(calls, repeats, n_threads)
    if failed := [run.failure for run in runs.values() if run.failure]:
        return Extrapolated(failure=failed[0])

    def total(seconds: Callable[[Run], float]) -> float:
        row = max(0.0, seconds(runs["many"]) - seconds(runs["few"])) / max(1, many - few)
        drawing = max(0.0, seconds(runs["few"]) - few * row)
        projecting = math.ceil(len(x) / batch) * drawing + len(x) * n_classes * row
        blocks = math.ceil(proj_dim / _BLOCK) / (TIMED_DIM / _BLOCK)
        return seconds(runs["gradients"]) * len(x) / n_timed + blocks * projecting + seconds(runs["gram"])

    how = f"extrapolated: timed with {n_timed} samples, {few} and {many} rows, K={TIMED_DIM}; for K={proj_dim}, {batch} samples a call"
    peak = max((run.extra_bytes or 0 for run in runs.values()), default=0)
    return Extrapolated(total(lambda run: run.cpu), total(lambda run: run.wall), how, peak or None)


def projector_error(name: str, model: nn.Module, x: torch.Tensor, chunk: int, truth: np.ndarray) -> float:
    """Error of the projected kernel of a few points at ``TIMED_DIM``: about 1 / sqrt(C K) if the peer is used rightly."""
    method = {"trak": peers.trak, "dattri": peers.dattri}[name]
    return error(method(model, x, chunk, TIMED_DIM), truth)
