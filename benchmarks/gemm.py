"""The machine's ceiling for matrix products, and what the Gram sum reaches of it: ``python benchmarks/gemm.py [--quick]``.

A product of 2000 x 8192 with 8192 x 2000 numbers by torch.mm in float32, by oneDNN in float32 and in int8, and ``GramSum.add``, which adds
the same product of a block with itself. The Gram matrix is symmetric: its rate counts the multiplications that one triangle
needs, so computing both triangles counts as half the rate. Calls take turns; medians.
"""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from benchmarks.measure import arguments, interleaved, save

FP32 = ("torch.mm fp32", "oneDNN fp32")
GRAM = "GramSum.add fp32"


def contenders(n: int, width: int) -> dict[str, Callable[[], torch.Tensor]]:
    """Name -> a call that makes the product ``[n, n]``; the Gram sum adds to what it has."""
    a = torch.randn(n, width, generator=torch.Generator().manual_seed(0))
    whole = torch.randint(-127, 128, (n, width), generator=torch.Generator().manual_seed(1), dtype=torch.int8)
    out = torch.empty(n, n)
    b, whole_b = a.T.contiguous(), whole.T.contiguous()
    return {
        FP32[0]: lambda: torch.mm(a, b, out=out),
        FP32[1]: lambda: torch.ops.mkldnn._linear_pointwise(a, a, None, "none", [], ""),
        "torch._int_mm int8": lambda: torch.ops.aten._int_mm(whole, whole_b),
        GRAM: gram_sum(a),
    }


def gram_sum(a: torch.Tensor) -> Callable[[], torch.Tensor]:
    """The engine's sum of one block; fails when called if the engine has no such sum."""

    def add() -> torch.Tensor:
        from ntkviz.gradients.gram import GramSum

        total = GramSum(len(a), 0)
        total.add(a)
        return total.train

    return add


def checked(product: torch.Tensor, n: int, width: int) -> float:
    """Largest error in units of cosine similarity against the float64 product, on the upper triangle; int8 is exact or not."""
    if product.dtype == torch.int32:
        a = torch.randint(-127, 128, (n, width), generator=torch.Generator().manual_seed(1), dtype=torch.int8).double()
    else:
        a = torch.randn(n, width, generator=torch.Generator().manual_seed(0)).double()
    truth = a @ a.T
    scale = truth.diagonal().sqrt()
    return float(((product.double() - truth) / scale[:, None] / scale).triu().abs().max())


def main() -> None:
    """Run, print, keep."""
    options = arguments(__doc__, repeats=7)
    n, width = (200, 512) if options.quick else (2000, 8192)
    rows: list[dict] = []
    errors = {name: _error(call, n, width) for name, call in contenders(n, width).items()}
    for n_threads in (1, 2):
        runs = interleaved(contenders(n, width), options.repeats, n_threads)
        rates = {}
        for name, run in runs.items():
            found = {"product": name, "threads": n_threads, "n": n, "width": width}
            if run.failure:
                rows.append(found | {"skipped": run.failure})
                print(f"{name:20s} {n_threads} threads  skipped: {run.failure}")
                continue
            operations = (n * (n + 1) if name == GRAM else 2 * n * n) * width
            rates[name] = operations / run.wall / 1e9
            ceiling = max((rates[key] for key in FP32 if key in rates), default=float("nan"))
            found |= {"wall_gf_s": rates[name], "cpu_gf_s": operations / run.cpu / 1e9, "error": errors[name]}
            found |= {"share_of_fp32_ceiling": rates[name] / ceiling} if name == GRAM else {}
            rows.append(found)
            share = f"  {rates[name] / ceiling:.0%} of the fp32 ceiling, one triangle counted" if name == GRAM else ""
            print(f"{name:20s} {n_threads} threads  {rates[name]:6.0f} GF/s  error {errors[name]:.1e}{share}", flush=True)
    print(save("gemm", rows, options))


def _error(call: Callable[[], torch.Tensor], n: int, width: int) -> float:
    try:
        return checked(call(), n, width)
    except Exception:  # the timed call fails too, and says why
        return float("nan")


if __name__ == "__main__":
    main()
