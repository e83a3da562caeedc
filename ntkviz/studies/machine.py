"""What this machine is and how fast: threads, memory, the rate of its matrix products."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from ntkviz.errors import BudgetExceeded

#: Leaves half of an ordinary laptop's 8 GB to the system and the browser.
DEFAULT_MEMORY_MB = 4096.0
_MEASURE_SECONDS, _REMEMBER_SECONDS = 0.5, 300.0
_measured: list[tuple[float, float]] = []  # when, and the rate
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def n_threads() -> int:
    """Threads that numeric work uses: what OMP_NUM_THREADS says, otherwise the physical cores this process may run on."""
    with suppress(KeyError, ValueError):
        return max(1, int(os.environ["OMP_NUM_THREADS"].split(",")[0]))
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def worker_environment(home: Path) -> dict[str, str]:
    """The environment of a process that computes for this one: our package, the store's folder, as many threads as are of use."""
    threads = str(n_threads())
    root = Path(__file__).resolve().parents[2]
    return {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait starve each other on a machine with other work
        **os.environ,
        "NTKVIZ_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH")))),
    }


def reset_peak_memory() -> None:
    """Start the peak of :func:`peak_memory_mb` anew, where the system can (Linux); elsewhere it stays that of the process."""
    with suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")


def peak_memory_mb() -> float:
    """The largest resident memory of this process, MB of 2^20 bytes, since it began or since :func:`reset_peak_memory`."""
    with suppress(OSError, StopIteration, ValueError, IndexError):
        line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    with suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
    return psutil.Process().memory_info().peak_wset / 2**20  # type: ignore[attr-defined]


def available_memory_mb() -> float:
    """Memory that can be had without swapping, MB."""
    return psutil.virtual_memory().available / 2**20


def gemm_rate() -> float:
    """Multiplications and additions a second of this machine's float32 matrix product, FLOP/s, the best of half a second.

    Measured in NumPy, so that a page can quote without importing torch, on a shape like a Gram block's. Remembered for five
    minutes: what else the machine does changes it.
    """
    now = time.monotonic()
    if _measured and now - _measured[-1][0] < _REMEMBER_SECONDS:
        return _measured[-1][1]
    _measured[:] = [(now, _measure_gemm())]
    return _measured[-1][1]


def forget_gemm_rate() -> None:
    """Measure anew when the rate is asked for next."""
    _measured.clear()


def _measure_gemm() -> float:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((512, 2048), dtype=np.float32), rng.standard_normal((2048, 512), dtype=np.float32)
    np.matmul(a, b)  # the first product starts the threads of the BLAS
    best, end = np.inf, time.perf_counter() + _MEASURE_SECONDS
    while time.perf_counter() < end:
        began = time.perf_counter()
        np.matmul(a, b)
        best = min(best, time.perf_counter() - began)
    return 2.0 * a.shape[0] * a.shape[1] * b.shape[1] / best


def memory_limit_mb() -> float:
    """What a study may take: NTKVIZ_MEMORY_MB, otherwise 4,096 MB.

    Raises:
        BudgetExceeded: when NTKVIZ_MEMORY_MB is no positive number.
    """
    text = os.environ.get("NTKVIZ_MEMORY_MB", "").strip()
    if not text:
        return DEFAULT_MEMORY_MB
    with suppress(ValueError):
        if float(text) > 0:
            return float(text)
    raise BudgetExceeded(f"NTKVIZ_MEMORY_MB is {text!r}; expected a positive number of MB. Correct it or remove it.")


def kernel_memory_mb() -> int:
    """What a kernel may take of :func:`memory_limit_mb` for all that grows with N: what torch and a chunk of samples leave.

    Raises:
        BudgetExceeded: when NTKVIZ_MEMORY_MB is no positive number.
    """
    return int(max(0.25 * memory_limit_mb(), memory_limit_mb() - 1200))
