"""Removal effects of ten thousand training points: ``python benchmarks/effects.py --data FOLDER [--n 10000] [--quick]``.

A 784-100-100-10 perceptron is trained on the first N MNIST digits; then the exact trace NTK, a kernel logistic regression on it, the one-off preparation
of its removal effects, and the effects of all N training points on one test point at a time. FOLDER holds ``mnist.npz`` (x_train, y_train).
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.machine import keep
from benchmarks.scale import digits
from ntkviz import fit_surrogate
from ntkviz.explain.effects import RemovalEffects
from ntkviz.kernels.matrix import kernel_blocks
from ntkviz.models.probes import logits_of
from ntkviz.studies.machine import peak_memory_mb
from ntkviz.truth.recipe import Training
from ntkviz.truth.train import train

_MLP = {"name": "mlp", "options": {"inputs": 784, "n_classes": 10, "hidden": [100, 100]}}
_TRAINING = Training(epochs=20, optimiser="sgd", learning_rate=0.05, weight_decay=5e-4, batch_size=50, seed=1)
_TEST = 20


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--n", type=int, nargs="+", default=[2000, 10_000])
    parser.add_argument("--quick", action="store_true", help="500 points; nothing is kept")
    options = parser.parse_args()
    rows = [measure(options.data, n) for n in ([500] if options.quick else options.n)]
    if not options.quick:
        print("kept in", keep("effects", rows))


def measure(folder: Path, n: int) -> dict[str, Any]:
    """All stages for N training points."""
    images = digits(folder, n + _TEST).numpy()
    labels = np.load(folder / "mnist.npz")["y_train"][: n + _TEST].astype(np.int64)
    x, y, z, yz = images[:n], labels[:n], images[n:], labels[n:]
    row: dict[str, Any] = {"N": n}
    model = timed(row, "train", lambda: train(_MLP, x, y, _TRAINING))
    blocks = timed(row, "kernel", lambda: kernel_blocks(model, x, z))
    fit = timed(row, "fit", lambda: fit_surrogate(blocks.train, y, kind="klr", lam=0.03, tol=1e-4, n_classes=10))
    effects = timed(row, "prepare", lambda: RemovalEffects.of_surrogate(fit, blocks.train, y, leave_one_out=True, few=True))
    logits = logits_of(model, z)
    seconds = []
    for m in range(_TEST):
        began = time.perf_counter()
        effects.on_log_odds(blocks.rows[m : m + 1], logits[m : m + 1], yz[m : m + 1])
        seconds.append(time.perf_counter() - began)
    row |= {
        "method": effects.method,
        "one point, median": float(np.median(seconds)),
        "one point, worst": max(seconds),
        "peak_mb": peak_memory_mb(),
    }
    print(
        " ".join(f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in row.items()), flush=True
    )
    return row


def timed(row: dict[str, Any], name: str, work: Callable[[], Any]) -> Any:
    """What the work gives; its seconds go into the row."""
    began = time.perf_counter()
    result = work()
    row[name] = time.perf_counter() - began
    return result


if __name__ == "__main__":
    main()
