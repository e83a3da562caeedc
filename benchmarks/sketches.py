"""Approximate trace NTKs beside the exact one: ``python benchmarks/sketches.py [--models NAME ...] [--seeds 5] [--quick]``.

On digits: train x train and test x train cosine kernels, by the exact diagonals that each kind has. Errors are relative (Frobenius);
recall@10 is the share of a test point's ten nearest training points that are found; tau is Kendall's over random entries of the test rows.
Every seed is a round in which exact and sketches take turns, on one thread. TRAK's projector is extrapolated, see
benchmarks/projectors.py.
"""

import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import nn

from benchmarks import peers
from benchmarks.measure import Run, arguments, once, save, threads
from benchmarks.models import cnn_98k
from benchmarks.projectors import projector_cost
from ntkviz import kernels, load_sample, neighbours
from ntkviz.kernels.blocks import KernelBlocks
from ntkviz.kernels.matrix import kernel_blocks

_SAMPLED = 20_000
MODELS = {"cnn": lambda: load_sample("mnist-cnn").model, "cnn_98k": cnn_98k}


def sketches(quick: bool) -> list[tuple[str, dict[str, Any]]]:
    """Kinds with their options."""
    hybrid: list[tuple[str, dict[str, Any]]] = [
        ("hybrid_trntk", {"sketch_dim": k}) for k in ((64, 256) if quick else (128, 512, 2048, 8192))
    ]
    mixes: list[tuple[str, dict[str, Any]]] = [
        ("class_sketch_trntk", {"n_mixes": r}) for r in ((1, 4) if quick else (1, 2, 4, 7))
    ]
    return hybrid + mixes


def _relative(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found.astype(np.float64) - exact) / np.linalg.norm(exact.astype(np.float64)))


def judged(found: KernelBlocks, exact: KernelBlocks) -> dict[str, float]:
    """How near a kernel is to the exact one, both cosine-normalised."""
    k = min(10, exact.rows.shape[1] - 1)
    mine, true = neighbours(found.rows, k).indices, neighbours(exact.rows, k).indices
    recall = np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(mine, true, strict=True)])
    at = np.random.default_rng(0).integers(exact.rows.size, size=min(_SAMPLED, exact.rows.size))
    tau = np.asarray(kendalltau(found.rows.ravel()[at], exact.rows.ravel()[at]))[0]  # the statistic, then its p-value
    return {
        "error_train": _relative(found.train, exact.train),
        "error_rows": _relative(found.rows, exact.rows),
        "recall_at_10": float(recall),
        "kendall_tau": float(tau),
    }


def compared(name: str, model: nn.Module, train: torch.Tensor, test: torch.Tensor, seeds: int, *, quick: bool) -> list[dict]:
    """One row a sketch, with medians over seeds, and one for the exact kernel."""
    known = [(kind, options) for kind, options in sketches(quick) if kind in kernels()]
    base = {"model": name, "n_train": len(train), "n_test": len(test)}
    unknown = [(kind, options) for kind, options in sketches(quick) if kind not in kernels()]
    rows = [base | {"kind": kind, "options": options, "skipped": "no kernel of this name"} for kind, options in unknown]
    exact_runs: list[Run] = []
    runs: dict[int, list[tuple[Run, dict]]] = {i: [] for i in range(len(known))}
    with threads(1):
        for seed in range(seeds):
            exact_runs.append(once(lambda: kernel_blocks(model, train, test, kind="trntk")))
            if exact_runs[-1].failure:
                return [base | {"kind": "trntk", "skipped": exact_runs[-1].failure}]
            exact = exact_runs[0].value.normalised()
            for i, (kind, options) in enumerate(known):
                run = once(lambda k=kind, o=options, s=seed: kernel_blocks(model, train, test, kind=k, seed=s, **o))
                runs[i].append((run, {} if run.failure else judged(run.value.normalised(), exact)))
    seconds = statistics.median(run.cpu for run in exact_runs)
    rows.append(base | {"kind": "trntk", "cpu_seconds": seconds})
    for i, (kind, options) in enumerate(known):
        rows.append(base | {"kind": kind, "options": options} | summed(runs[i], seconds))
    return rows


def summed(runs: list[tuple[Run, dict]], exact_seconds: float) -> dict:
    """A sketch's seeds in one row."""
    if failed := [run.failure for run, _ in runs if run.failure]:
        return {"skipped": failed[0]}
    figures = [found for _, found in runs]
    seconds = statistics.median(run.cpu for run, _ in runs)
    out = {key: statistics.median(found[key] for found in figures) for key in figures[0]}
    out |= {"seeds": len(runs), "worst_error_rows": max(found["error_rows"] for found in figures)}
    out |= {"cpu_seconds": seconds, "times_faster_than_exact": exact_seconds / seconds}
    out["predicted_error"] = statistics.median(run.value.predicted_error for run, _ in runs)
    out["measured_error"] = statistics.median(run.value.measured_error for run, _ in runs)
    # of the points that the kernel serves, all at once: the test rows
    out["seeds_within_stated"] = sum(found["error_rows"] <= run.value.stated_error for run, found in runs)
    return out


def projector_row(name: str, model: nn.Module, x: torch.Tensor, n_train: int, exact_seconds: float, *, quick: bool) -> dict:
    """TRAK's projector at its usual 2048 directions, extrapolated."""
    base = {"model": name, "n_train": n_train, "n_test": len(x) - n_train, "kind": "trak projector", "options": {"k": 2048}}
    with threads(1):
        chunk = peers.best_chunk(peers.per_class_gradients, model, x)
    found = projector_cost("trak", model, x, chunk, proj_dim=2048, repeats=1 if quick else 3, n_threads=1)
    if found.failure:
        return base | {"skipped": found.failure}
    return base | {"cpu_seconds": found.cpu, "times_faster_than_exact": exact_seconds / found.cpu, "note": found.how}


def show(row: dict) -> None:
    """One line."""
    options = " ".join(f"{key}={value}" for key, value in row.get("options", {}).items())
    label = f"{row['model']:8s} {row['kind']:20s} {options:16s}"
    if "skipped" in row:
        print(f"{label} skipped: {row['skipped']}", flush=True)
        return
    keys = (
        "cpu_seconds",
        "times_faster_than_exact",
        "error_train",
        "error_rows",
        "recall_at_10",
        "kendall_tau",
        "predicted_error",
    )
    figures = " ".join(f"{key}={row[key]:.3g}" for key in keys if key in row)
    within = f" within={row['seeds_within_stated']}/{row['seeds']}" if "seeds_within_stated" in row else ""
    print(f"{label} {figures}{within} {row.get('note', '')}", flush=True)


def main() -> None:
    """Run, print, keep after every network."""
    options = arguments(__doc__, list(MODELS), seeds=5)
    data = load_sample("mnist-cnn").data
    n_train, n_test, seeds = (24, 6, 2) if options.quick else (1000, 200, options.seeds)
    train, test = torch.as_tensor(data.x_train[:n_train]), torch.as_tensor(data.x_test[:n_test])
    rows: list[dict] = []
    where = ""
    for name in options.models:
        model = MODELS[name]()
        found = compared(name, model, train, test, seeds, quick=options.quick)
        exact = next((row["cpu_seconds"] for row in found if row["kind"] == "trntk" and "cpu_seconds" in row), float("nan"))
        found.append(projector_row(name, model, torch.cat([train, test]), n_train, exact, quick=options.quick))
        for row in found:
            show(row)
        rows += found
        where = save("sketches", rows, options)
    print(where)


if __name__ == "__main__":
    main()
