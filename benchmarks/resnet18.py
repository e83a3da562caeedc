"""A ResNet-18 on 12,500 CIFAR-10 images: ``python benchmarks/resnet18.py --data FOLDER [--epochs E] [--quick]``.

Trains the network (11.2 M parameters, 10 classes) for a few epochs on the 10,000 training images, then computes the hybrid trace NTK of
10,000 training and 2,500 test images, gradients folded and classes mixed, and measures its error against the exact kernel on 200 points.
FOLDER holds ``cifar10_12k5.npz`` (x_train, x_test uint8 [n, 32, 32, 3]; y_train, y_test). The images may not be shipped.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn

from benchmarks.machine import keep
from benchmarks.measure import once, threads
from benchmarks.models import NETWORKS, size
from ntkviz.kernels.blocks import KernelBlocks
from ntkviz.kernels.matrix import kernel_blocks

_CHECKED = 200


def images(folder: Path) -> dict[str, torch.Tensor]:
    """The set as the network takes it: ``[n, 3, 32, 32]``, standardised by channel."""
    data = np.load(folder / "cifar10_12k5.npz")
    x = {part: torch.from_numpy(data[f"x_{part}"].transpose(0, 3, 1, 2).astype(np.float32) / 255) for part in ("train", "test")}
    mean, std = x["train"].mean((0, 2, 3), keepdim=True), x["train"].std((0, 2, 3), keepdim=True)
    y = {f"y_{part}": torch.from_numpy(data[f"y_{part}"].astype(np.int64)) for part in ("train", "test")}
    return {f"x_{part}": ((values - mean) / std).contiguous() for part, values in x.items()} | y


def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    """SGD with momentum, one cycle, mirror images."""
    batches = -(-len(x) // 128)
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=max(2, epochs * batches), pct_start=0.3)
    model.train()
    for _ in range(epochs):
        for some in torch.randperm(len(x)).split(128):
            points = torch.where(torch.rand(len(some), 1, 1, 1) < 0.5, x[some].flip(-1), x[some])
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(points), y[some]).backward()
            optimiser.step()
            schedule.step()
    model.eval()


def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of right answers."""
    with torch.no_grad():
        return float((torch.cat([model(part).argmax(1) for part in x.split(250)]) == y).float().mean())


def errors(model: nn.Module, blocks: KernelBlocks, x: torch.Tensor) -> dict:
    """The sketch beside the exact kernel of the first training points."""
    start = time.perf_counter()
    exact = kernel_blocks(model, x, x[:2], kind="trntk").normalised().train
    seconds = time.perf_counter() - start
    own = blocks.normalised().train[: len(x), : len(x)]
    off = ~np.eye(len(x), dtype=bool)
    ranked = [np.argsort(-np.where(off, k, -np.inf), axis=1)[:, :10] for k in (own, exact)]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(*ranked, strict=True)])
    return {
        "exact_points": len(x),
        "exact_wall": seconds,
        "relative_error": float(np.linalg.norm((own - exact)[off]) / np.linalg.norm(exact[off])),
        "rms_error_cosine": float(np.sqrt(((own - exact)[off] ** 2).mean())),
        "correlation": float(np.corrcoef(own[off], exact[off])[0, 1]),
        "recall_at_10": float(recall),
        "exact_extrapolated_hours": seconds * (12_500 / len(x)) / 3600,
    }


def main() -> None:
    """Run, print, keep.

    Raises:
        SystemExit: when the kernel could not be computed.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--mixes", type=int, nargs="+", default=[4])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    data = images(options.data)
    if options.quick:
        data = {name: part[:100] for name, part in data.items()}
    model = NETWORKS["resnet18"].build()
    rows = []
    with threads(2):
        start = time.perf_counter()
        train(model, data["x_train"], data["y_train"], options.epochs)
        facts = {
            "parameters": size(model),
            "epochs": options.epochs,
            "train_wall": time.perf_counter() - start,
            "test_accuracy": accuracy(model, data["x_test"], data["y_test"]),
        }
        print(facts, flush=True)
        for r in options.mixes:
            run = once(
                lambda r=r: kernel_blocks(
                    model, data["x_train"], data["x_test"], kind="hybrid_trntk", sketch_dim=2048, n_mixes=r, on_progress=_tell
                )
            )
            if run.value is None:
                raise SystemExit(run.failure)
            row = facts | {"n_mixes": r, "sketch_dim": 2048, "N": len(data["x_train"]), "M": len(data["x_test"])}
            row |= {
                "wall": run.wall,
                "cpu": run.cpu,
                "peak_extra_gib": None if run.extra_bytes is None else run.extra_bytes / 2**30,
            }
            row |= {"predicted_error": run.value.predicted_error, "measured_error": run.value.measured_error}
            row |= errors(model, run.value, data["x_train"][:_CHECKED])
            rows.append(row)
            print(row, flush=True)
    if not options.quick:
        print(f"kept in {keep('resnet18', rows)}")


def _tell(stage: str, done: float) -> None:
    if int(1000 * done) % 100 == 0:
        print(f"{time.strftime('%H:%M:%S')} {stage} {done:.0%}", flush=True)


if __name__ == "__main__":
    main()
