"""Seconds and memory of a call, and of several calls in turn."""

import argparse
import ctypes
import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.machine import LOAD, keep
from ntkviz.gradients.reference import gram_reference, relative_error

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Run:
    """One call.

    Attributes:
        value: what it returned, None if it failed.
        cpu: process seconds, of all threads.
        wall: seconds on the clock.
        extra_bytes: peak memory above what was in use before; None where the system does not tell.
        failure: why there is no value.
    """

    value: Any
    cpu: float
    wall: float
    extra_bytes: int | None = None
    failure: str = ""


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Torch and every BLAS on n threads."""
    before = torch.get_num_threads()
    try:
        with threadpool_limits(n):
            torch.set_num_threads(n)
            yield
    finally:
        torch.set_num_threads(before)


def once(call: Callable[[], Any]) -> Run:
    """Run and measure; an exception is a failed run, so that one method does not end the others."""
    base = _start_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        value, failure = call(), ""
    except Exception as error:
        value, failure = None, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = _status("VmHWM")
    return Run(value, cpu, wall, None if base is None or peak is None else max(0, peak - base), failure)


def interleaved(calls: Mapping[str, Callable[[], Any]], repeats: int, n_threads: int) -> dict[str, Run]:
    """All calls in turn, ``repeats`` times over: a slow minute of the machine falls on all of them alike.

    Args:
        calls: name -> call.
        repeats: rounds; the first one also warms up.
        n_threads: for torch and BLAS.

    Returns:
        Name -> the median seconds, the first value, the largest extra memory; a call that failed once is not run again.
    """
    runs: dict[str, list[Run]] = {name: [] for name in calls}
    with threads(n_threads):
        for _ in range(repeats):
            for name, call in calls.items():
                if not any(run.failure for run in runs[name]):
                    run = once(call)
                    runs[name].append(run if not runs[name] else replace(run, value=None))
    return {name: _median(found) for name, found in runs.items()}


def reference(model: torch.nn.Module, x: torch.Tensor, n_params: int, n_classes: int) -> np.ndarray:
    """The float64 trace NTK of the first points, as many as its Jacobian fits in 512 MiB; at least 2, at most 6."""
    n = int(np.clip(2**29 // (8 * n_params * n_classes), 2, 6))
    return gram_reference(model, x[:n])


def error(kernel: np.ndarray | torch.Tensor, truth: np.ndarray) -> float:
    """Largest error in units of cosine similarity, over the rows and columns that both matrices have; truth is square."""
    found = np.asarray(kernel, dtype=np.float64)
    n, m = min(len(found), len(truth)), min(found.shape[1], len(truth))
    d = np.diagonal(truth).astype(np.float64)
    return relative_error(found[:n, :m], truth[:n, :m].astype(np.float64), d[:n], d[:m])


def arguments(doc: str | None, names: list[str] | None = None, **defaults: int) -> argparse.Namespace:
    """The command line that the scripts share: ``--quick``, integers such as ``--repeats``, and which networks."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs; the figures mean nothing")
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    if names is not None:
        parser.add_argument("--models", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    if LOAD > 0.3:
        print(f"The machine is not quiet (load {LOAD:.1f}): seconds on the clock with two threads mean nothing until it is.")
    options.suffix = "" if names is None or options.models == names else "-" + "-".join(options.models)
    return options


def save(name: str, rows: list[dict], options: argparse.Namespace) -> str:
    """Keep rows, a choice of networks in a file of its own; a quick run keeps nothing."""
    if options.quick:
        return "quick run: nothing kept"
    return f"kept in {keep(name + options.suffix, rows)}"


def _median(runs: list[Run]) -> Run:
    if runs[-1].failure:
        return runs[-1]
    extra = [run.extra_bytes for run in runs if run.extra_bytes is not None]
    return Run(
        runs[0].value,
        statistics.median(run.cpu for run in runs),
        statistics.median(run.wall for run in runs),
        max(extra) if extra else None,
    )


def _start_peak() -> int | None:
    """Bytes in use now, with the peak set back to them; None where the system has no such thing."""
    gc.collect()
    if not _CLEAR.exists() or not os.access(_CLEAR, os.W_OK):
        return None
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    try:
        _CLEAR.write_text("5")
    except OSError:
        return None
    return _status("VmRSS")


def _status(key: str) -> int | None:
    if not _STATUS.exists():
        return None
    line = next((line for line in _STATUS.read_text().splitlines() if line.startswith(key + ":")), None)
    return int(line.split()[1]) * 1024 if line else None
