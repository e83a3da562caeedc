"""How the trace NTK's cost grows with N, P, C and T: ``python benchmarks/growth.py [--quick]``.

Three sizes each, all else fixed; process seconds on one thread, of the public call and of the engine alone. The exponent is
the slope of log seconds over log size between the first and the last: 1 is linear.
"""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import nn

from benchmarks.measure import arguments, error, interleaved, reference, save
from benchmarks.models import conv_maps, digits, mlp, noise, size, text, tokens
from ntkviz import kernel_matrix, load_sample
from ntkviz.gradients.differentiable import Differentiable, held
from ntkviz.gradients.engine import tangent_gram, unit_heads


@dataclass(frozen=True)
class Point:
    """One size of one thing that grows.

    Attributes:
        grows: what grows, with the network that it grows in.
        value: the size.
        build: the network.
        inputs: ``inputs(n)``.
        samples: N.
    """

    grows: str
    value: int
    build: Callable[[], nn.Module]
    inputs: Callable[[int], torch.Tensor]
    samples: int


def points(quick: bool) -> Iterator[Point]:
    """What is measured, the sizes of one thing next to one another.

    Yields:
        Three points a thing.
    """
    n = 4 if quick else 64
    for value in (4, 8, 16) if quick else (250, 500, 1000):
        yield Point("N (mnist-cnn)", value, lambda: load_sample("mnist-cnn").model, digits, value)
    for value in (16, 32, 64) if quick else (1024, 2048, 4096):
        yield Point("N (mlp 784-100-100-10)", value, lambda: mlp((784, 100, 100, 10)), noise(784), value)
    for value in (16, 32, 64) if quick else (256, 512, 1024):
        yield Point("P (mlp, width)", value, lambda v=value: mlp((784, v, v, 10)), noise(784), 4 * n)
    for value in (2, 4, 8) if quick else (10, 40, 160):
        yield Point("C (mlp 784-256-256-C)", value, lambda v=value: mlp((784, 256, 256, v)), noise(784), 4 * n)
    for value in (4, 8, 16) if quick else (16, 32, 64):
        yield Point("T (text, length)", value, lambda v=value: text(v), tokens(value), n)
    for value in (4, 6, 8) if quick else (8, 16, 32):
        yield Point("T (cnn, pixels)", value**2, conv_maps, noise(3, value, value), 2 * n)


def measured(point: Point, repeats: int) -> dict:
    """Seconds of one point, and the error against float64 on its first samples."""
    model, x = point.build(), point.inputs(point.samples)
    with held(model, x) as (module, (inputs,)):
        assert inputs is not None
        prepared = Differentiable(module, inputs)
        calls = {
            "kernel_matrix": lambda: kernel_matrix(module, inputs, kind="trntk", normalize=False),
            "engine": lambda: tangent_gram(prepared, inputs, heads=unit_heads(prepared)).train,
        }
        runs = interleaved(calls, repeats, 1)
    found = {"grows": point.grows, "value": point.value, "samples": point.samples, "parameters": size(model)}
    if failed := [f"{name}: {run.failure}" for name, run in runs.items() if run.failure]:
        return found | {"skipped": "; ".join(failed)}
    truth = reference(model, x, size(model), prepared.n_logits)
    found |= {f"{name}_cpu_seconds": run.cpu for name, run in runs.items()}
    return found | {"classes": prepared.n_logits, "error_to_float64": error(runs["kernel_matrix"].value, truth)}


def show(rows: list[dict]) -> None:
    """A table: one line a thing that grows."""
    print(f"{'grows':24s} {'sizes':>20s}  {'kernel_matrix cpu s':>26s} {'^':>5s}  {'engine cpu s':>26s} {'^':>5s}  worst error")
    for grows in dict.fromkeys(row["grows"] for row in rows):
        group = [row for row in rows if row["grows"] == grows]
        if failed := [row["skipped"] for row in group if "skipped" in row]:
            print(f"{grows:24s} skipped: {failed[0]}")
            continue
        sizes = " ".join(str(row["value"]) for row in group)
        line = f"{grows:24s} {sizes:>20s}"
        for name in ("kernel_matrix_cpu_seconds", "engine_cpu_seconds"):
            seconds = " ".join(f"{row[name]:8.3f}" for row in group)
            slope = math.log(group[-1][name] / group[0][name]) / math.log(group[-1]["value"] / group[0]["value"])
            line += f"  {seconds} {slope:5.2f}"
        print(f"{line}  {max(row['error_to_float64'] for row in group):.1e}")


def main() -> None:
    """Run, print, keep."""
    options = arguments(__doc__, repeats=3)
    rows = []
    for point in points(options.quick):
        rows.append(measured(point, 1 if options.quick else options.repeats))
        print(".", end="", flush=True)
    print()
    show(rows)
    print(save("growth", rows, options))


if __name__ == "__main__":
    main()
