"""This machine's rates, measured in about two seconds: what a kernel's cost is computed with."""

import time
from collections.abc import Callable

import numpy as np
import torch

from ntkviz.gradients.arithmetic import dot_rows, squared_norms
from ntkviz.kernels.cost import DEPTH, Rates
from ntkviz.kernels.projected import rademacher_rows
from ntkviz.kernels.stopwatch import Stopwatch

_DEPTHS = (8, 32, 128, 512, 2048, DEPTH)
_SECONDS = 0.15
#: Timed calls without which the least of them is not believed, unless they take too long.
_LEAST_CALLS, PATIENCE = 4, 3.0
#: A tile between those of few and of many points.
_ROWS, _COLUMNS = 256, 1024
#: Positions a point of the layer that stands for all: 7 x 7, the last maps of a small convolutional network.
_POSITIONS = 49


def rates() -> Rates:
    """Measure, with as many threads as torch has: about two seconds.

    Returns:
        Best of several: what else the machine does is not its rate.
    """
    a, b = torch.randn(_ROWS, DEPTH), torch.randn(_COLUMNS, DEPTH)
    tile = torch.zeros(_ROWS, _COLUMNS)
    dot = []
    for depth in _DEPTHS:
        left, right = a[:, :depth].contiguous(), b[:, :depth].contiguous()
        dot.append((depth, best(lambda left=left, right=right: dot_rows(left, right)) / tile.numel()))
    other = torch.randn(_ROWS, _COLUMNS)
    rows = _ROWS // _POSITIONS
    both, inputs = torch.randn(rows * _POSITIONS, 2 * rows * _POSITIONS), torch.randn(rows * _POSITIONS, 2 * rows * _POSITIONS)

    def sum_positions() -> torch.Tensor:
        return both.mul_(inputs).reshape(rows, _POSITIONS, 2 * rows, _POSITIONS).sum((1, 3))

    wide = torch.randn(_COLUMNS, 2 * DEPTH)
    return Rates(
        dot=tuple(dot),
        multiply=best(lambda: tile.addcmul_(other, other)) / tile.numel(),
        positions=best(sum_positions) / both.numel(),
        column=best(lambda: squared_norms(wide[:, :DEPTH].contiguous())) / b.numel(),
        sign=best(lambda: rademacher_rows(0, 0, _ROWS, _COLUMNS)) / tile.numel(),
    )


def best(call: Callable[[], object], *, seconds: float = _SECONDS, most: int = 50) -> float:
    """The least seconds that a call takes, with the threads that torch has and with one.

    On a busy machine threads wait for one another at every operation, up to a tick of the system's clock; one thread alone does not,
    and on a quiet machine it is the slower.

    Args:
        call: without arguments.
        seconds: after which no further call begins, when there were a few; three times of it end the rest.
        most: calls at most.

    Returns:
        Seconds, see :class:`Stopwatch`.
    """
    threads = torch.get_num_threads()
    least = _best(call, seconds, most)
    if threads > 1:
        try:
            torch.set_num_threads(1)
            least = min(least, _best(call, seconds / 2, most))
        finally:
            torch.set_num_threads(threads)
    return least


def _best(call: Callable[[], object], seconds: float, most: int) -> float:
    """The least seconds with the threads that torch has now, after a call to warm up."""
    least, start = np.inf, time.perf_counter()
    for number in range(most):
        watch = Stopwatch()
        call()
        taken = watch.seconds()
        spent = (time.perf_counter() - start) / seconds
        if number or spent > PATIENCE:  # the first call warms up, unless it was a long one
            least = min(least, taken)
        if spent > (1.0 if number >= _LEAST_CALLS else PATIENCE):
            break
    return float(least)
