"""What a figure was measured on; kept beside every result."""

import json
import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from threadpoolctl import threadpool_info

RESULTS = Path(__file__).parent / "results"
#: Runnable processes before anything was measured: seconds on the clock mean little beside other work.
LOAD = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def machine() -> dict[str, object]:
    """Processor, cores, memory, threads, load and versions."""
    model = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor())
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "threads": {pool["internal_api"]: pool["num_threads"] for pool in threadpool_info()},
        "load_at_start": round(LOAD, 2),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn", "umap-learn", "pandas")}
        | _peers(),
    }


def keep(name: str, rows: list[dict]) -> Path:
    """Write rows with the machine that made them to ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    return path


def _peers() -> dict[str, str]:
    """Versions of what the requirements of the benchmarks add, as far as it is installed."""
    found = {}
    for name in ("traker", "dattri", "quanda", "cleanlab"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
