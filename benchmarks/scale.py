"""Kernels of ten thousand points and more in bounded memory: ``python benchmarks/scale.py --data FOLDER [--quick]``.

Exact trace NTK at N = 10,000 for the 784-100-100-10 MLP and the bundled CNN, under the default bound of 4 GB; an index of N points (all
60,000 MNIST digits for the CNN) and the time of one query against it. FOLDER holds ``mnist.npz`` (x_train uint8 [60000, 28, 28]).
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn

from benchmarks.machine import keep
from benchmarks.measure import once, threads
from benchmarks.models import mlp
from ntkviz import kernel_matrix, load_sample
from ntkviz.kernels.index import KernelIndex

_QUERIES = 200


def digits(folder: Path, n: int) -> torch.Tensor:
    """The first n MNIST digits as the bundled networks take them, ``[n, 1, 28, 28]`` in 0..1."""
    images = np.load(folder / "mnist.npz")["x_train"][:n]
    return torch.from_numpy(images[:, None].astype(np.float32) / 255)


def exact(name: str, model: nn.Module, x: torch.Tensor) -> dict:
    """Seconds and peak memory of an exact kernel."""
    run = once(lambda: kernel_matrix(model, x, normalize=False))
    gib = None if run.extra_bytes is None else run.extra_bytes / 2**30
    if run.value is None:
        return {"what": "exact trntk", "model": name, "N": len(x), "failure": run.failure}
    return {"what": "exact trntk", "model": name, "N": len(x), "wall": run.wall, "cpu": run.cpu, "peak_extra_gib": gib}


def queries(name: str, model: nn.Module, x: torch.Tensor, new: torch.Tensor) -> dict:
    """An index of x, then points one by one."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        index = KernelIndex.build(model, x, Path(folder))
        built = time.perf_counter() - start
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        row = {"what": "index", "model": name, "N": len(x), "build_wall": built, "mib": size / 2**20}
        for kind, call in {"row": index.rows, "nearest 10": index.nearest}.items():
            seconds = []
            for i in range(len(new) + 10):
                begin = time.perf_counter()
                call(new[i % len(new)][None])
                seconds.append(time.perf_counter() - begin)
            half, most = np.quantile(seconds[10:], [0.5, 0.95])  # the first ones read the files
            row |= {f"{kind} p50 ms": 1e3 * half, f"{kind} p95 ms": 1e3 * most}
        few = new[:50]
        truth = kernel_matrix(model, few, x[:2000])
        own = index.rows(few)[:, :2000]
        row["relative error"] = float(np.linalg.norm(own - truth) / np.linalg.norm(truth))
    return row


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    many, all_digits = (200, 400) if options.quick else (10_000, 60_000)
    cnn = load_sample("mnist-cnn").model
    dense = nn.Sequential(nn.Flatten(), mlp((784, 100, 100, 10))).eval()
    x = digits(options.data, all_digits)
    new = torch.from_numpy(np.load(options.data / "mnist.npz")["x_test"][:_QUERIES, None].astype(np.float32) / 255)
    rows = []
    with threads(2):
        for make in (
            lambda: exact("mlp 784-100-100-10", dense, x[:many]),
            lambda: exact("mnist-cnn", cnn, x[:many]),
            lambda: queries("mlp 784-100-100-10", dense, x[:many], new),
            lambda: queries("mnist-cnn", cnn, x[:many], new),
            lambda: queries("mnist-cnn", cnn, x, new),
        ):
            rows.append(make())
            print(rows[-1], flush=True)
    if not options.quick:
        print(f"kept in {keep('scale', rows)}")


if __name__ == "__main__":
    main()
