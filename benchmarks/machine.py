"""What a figure was measured on; kept beside every result."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil
from threadpoolctl import threadpool_info

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, object]:
    """Processor, cores, memory, threads and versions."""
    model = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor())
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "threads": {pool["internal_api"]: pool["num_threads"] for pool in threadpool_info()},
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn", "umap-learn", "pandas")},
    }


def keep(name: str, rows: list[dict]) -> Path:
    """Write rows with the machine that made them to ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    return path


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
