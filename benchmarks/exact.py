"""The exact trace NTK beside its peers, in one run: ``python benchmarks/exact.py [--models NAME ...] [--quick]``.

Methods take turns; seconds are medians. Two figures each: process seconds on one thread, and seconds on the clock on two. Two rows are ours:
``kernel_matrix`` is the public call, which also probes the model and checks its inputs, and ``engine`` is the Gram matrix alone, of a model
that was probed before. Errors are in units of cosine similarity: against ours on all points, against float64 on the first few. Vector
products and projectors are so slow that they are timed on fewer points and extrapolated; their rows say from what.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn

from benchmarks import peers
from benchmarks.machine import LOAD
from benchmarks.measure import Run, arguments, error, interleaved, reference, save, threads
from benchmarks.models import NETWORKS, size
from benchmarks.projectors import Extrapolated, projector_cost, projector_error
from ntkviz import kernel_matrix
from ntkviz.gradients.attention import exact_attention
from ntkviz.gradients.differentiable import Differentiable, held
from ntkviz.gradients.engine import tangent_gram, unit_heads

PUBLIC, ENGINE, INT8 = "ntkviz kernel_matrix", "ntkviz engine", "ntkviz engine int8"
_PROJ_DIM = 2048
#: Load at the start above which two threads wait for other work.
_BUSY = 0.5


@dataclass
class Bench:
    """One network with its points.

    Attributes:
        name: of the network.
        model: the network.
        x: ``[N, ...]``.
        repeats: rounds of the methods that compute everything.
        two_threads: whether the clock with two threads is read; on a busy machine it tells nothing.
        chunks: method -> samples a call.
    """

    name: str
    model: nn.Module
    x: torch.Tensor
    repeats: int
    two_threads: bool
    chunks: dict[str, int] = field(default_factory=dict)

    def facts(self) -> dict:
        """What every row says."""
        with torch.no_grad():
            n_classes = self.model(self.x[:1]).shape[1]
        return {"model": self.name, "samples": len(self.x), "parameters": size(self.model), "classes": n_classes}


def engine(model: Differentiable, x: torch.Tensor, *, int8: bool = False) -> np.ndarray:
    """Ours without probes: the raw trace NTK."""
    return tangent_gram(model, x, heads=unit_heads(model), int8=int8).train


def held_bytes(bench: Bench) -> int:
    """What the engine holds of a sample while it multiplies, beside the kernel."""
    with held(bench.model, bench.x) as (module, (x,)), exact_attention():
        assert x is not None
        model = Differentiable(module, x)
        terms = model.structured.choose(x, unit_heads(model), model.sizes, 4, 2**40)
    return sum(term.bytes_a_point for term in terms)


def measured(bench: Bench) -> tuple[dict[str, Run], dict[str, Run]]:
    """Ours and the peers that compute all entries: on one thread, and on two."""
    with threads(1):
        bench.chunks = {name: peers.best_chunk(method, bench.model, bench.x) for name, method in peers.EXACT.items()}
    with held(bench.model, bench.x) as (module, (x,)):
        assert x is not None
        prepared = Differentiable(module, x)
        calls: dict[str, Callable[[], object]] = {
            PUBLIC: lambda: kernel_matrix(module, x, kind="trntk", normalize=False),
            ENGINE: lambda: engine(prepared, x),
            INT8: lambda: engine(prepared, x, int8=True),
        }
        for name, method in peers.EXACT.items():
            calls[name] = lambda method=method, chunk=bench.chunks[name]: method(module, x, chunk).numpy()
        one = interleaved(calls, bench.repeats, 1)
        return one, interleaved(calls, bench.repeats, 2) if bench.two_threads else one


def vector_products(bench: Bench, ours: np.ndarray, truth: np.ndarray) -> dict:
    """Rows of the kernel by jvp after vjp, times N over their number: the time is linear in rows."""
    n_rows, chunk = min(2, len(bench.x)), bench.chunks["tutorial_jacobian"]
    name = "tutorial_vector_products"
    calls = {name: lambda: peers.tutorial_vector_products(bench.model, bench.x, chunk, n_rows).numpy()}
    one, two = (interleaved(calls, min(2, bench.repeats), n)[name] for n in (1, 2 if bench.two_threads else 1))
    if one.failure or two.failure:
        return {"method": name, "skipped": one.failure or two.failure}
    times = len(bench.x) / n_rows
    found = Extrapolated(
        one.cpu * times, two.wall * times, f"extrapolated: {n_rows} of {len(bench.x)} rows timed", one.extra_bytes
    )
    errors = {"error_to_ours": error(one.value, ours), "error_to_float64": error(one.value, truth)}
    return row(name, found, found) | {"chunk": chunk} | errors


def projected(bench: Bench, name: str, ours: np.ndarray) -> dict:
    """A peer's projector, extrapolated; its error is that of a few directions on a few points."""
    chunk = bench.chunks["per_class_gradients"]
    repeats = 1 if size(bench.model) > 10**6 else bench.repeats  # drawing alone takes minutes there
    one, two = (
        projector_cost(name, bench.model, bench.x, chunk, proj_dim=_PROJ_DIM, repeats=repeats, n_threads=n)
        for n in (1, 2 if bench.two_threads else 1)
    )
    method = f"{name} projector K={_PROJ_DIM}"
    if one.failure or two.failure:
        return {"method": method, "skipped": one.failure or two.failure}
    few = min(len(bench.x), 8 if repeats > 1 else 2)
    return row(method, one, two) | {
        "chunk": chunk,
        "error_to_ours": projector_error(name, bench.model, bench.x[:few], chunk, ours),
    }


def row(method: str, one: Run | Extrapolated, two: Run | Extrapolated) -> dict:
    """Seconds and memory of a method."""
    if one.failure or two.failure:
        return {"method": method, "skipped": one.failure or two.failure}
    how = one.how if isinstance(one, Extrapolated) else ""
    extra = None if how or one.extra_bytes is None else one.extra_bytes
    return {
        "method": method,
        "cpu_seconds_1_thread": one.cpu,
        "wall_seconds_2_threads": two.wall,
        "extra_bytes": extra,
        "note": how,
    }


def compare(bench: Bench, *, slow: bool = True) -> list[dict]:
    """All rows of one network."""
    facts = bench.facts()
    one, two = measured(bench)
    if one[PUBLIC].failure:
        return [facts | {"method": PUBLIC, "skipped": one[PUBLIC].failure}]
    ours, truth = one[PUBLIC].value, reference(bench.model, bench.x, facts["parameters"], facts["classes"])
    rows = []
    for name in one:
        rows.append(row(name, one[name], two[name]) | {"chunk": bench.chunks.get(name)})
        if not one[name].failure:
            rows[-1]["error_to_ours"] = error(one[name].value, ours)
            rows[-1]["error_to_float64"] = error(one[name].value, truth)
    rows[1]["held_bytes_per_sample"] = held_bytes(bench)
    if slow:
        rows.append(vector_products(bench, ours, truth))
        rows += [projected(bench, name, ours) for name in peers.PROJECTORS]
    base = {PUBLIC: row(PUBLIC, one[PUBLIC], two[PUBLIC]), ENGINE: row(ENGINE, one[ENGINE], two[ENGINE])}
    done = [facts | with_ratios(r, base, facts) for r in rows]
    return done if bench.two_threads else [{k: v for k, v in r.items() if not k.startswith("wall")} for r in done]


def with_ratios(found: dict, base: dict[str, dict], facts: dict) -> dict:
    """A row with its seconds over ours, and its memory per sample beside a Jacobian's."""
    if "skipped" in found:
        return found
    out = dict(found)
    for ours, short in ((PUBLIC, "public"), (ENGINE, "engine")):
        if "skipped" not in base[ours]:
            for key in ("cpu_seconds_1_thread", "wall_seconds_2_threads"):
                out[f"{key.split('_')[0]}_over_{short}"] = found[key] / base[ours][key]
    if found["extra_bytes"] is not None:
        kernel = 4 * facts["samples"] ** 2
        out["extra_bytes_per_sample"] = max(0, found["extra_bytes"] - kernel) / facts["samples"]
    out["jacobian_bytes_per_sample"] = 4 * facts["classes"] * facts["parameters"]
    return out


def show(found: dict) -> None:
    """One line."""
    label = f"{found['model']:9s} N={found['samples']:<4d} {found['method']:25s}"
    if "skipped" in found:
        print(f"{label} skipped: {found['skipped']}", flush=True)
        return
    numbers = f"cpu {found['cpu_seconds_1_thread']:9.3f} s  wall {found.get('wall_seconds_2_threads', math.nan):9.3f} s"
    ratios = f"{found['cpu_over_public']:8.1f}x" + (
        f" {found['cpu_over_engine']:8.1f}x" if "cpu_over_engine" in found else " " * 10
    )
    errors = f"errors {found.get('error_to_ours', math.nan):.1e} {found.get('error_to_float64', math.nan):.1e}"
    memory = f"{found['extra_bytes_per_sample'] / 2**20:8.3f} MiB" if "extra_bytes_per_sample" in found else " " * 12
    print(f"{label} {numbers} {ratios}  {errors} {memory} {found['note']}", flush=True)


def main() -> None:
    """Run, print, keep after every network."""
    options = arguments(__doc__, list(NETWORKS), repeats=3)
    print(
        "x: seconds over those of kernel_matrix and of the engine. errors: against ours, against float64. MiB: extra peak a sample."
    )
    rows: list[dict] = []
    where = ""
    for name in options.models:
        network = NETWORKS[name]
        n = min(network.samples, 4) if options.quick else network.samples
        bench = Bench(name, network.build(), network.inputs(n), 1 if options.quick else options.repeats, LOAD <= _BUSY)
        slow = not (options.quick and size(bench.model) > 10**6)  # a projector's random block alone is gigabytes there
        for found in compare(bench, slow=slow):
            rows.append(found)
            show(found)
        where = save("exact", rows, options)
    print(where)


if __name__ == "__main__":
    main()
