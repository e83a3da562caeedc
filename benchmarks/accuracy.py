"""Worst error of every tangent kernel against the float64 reference: ``python benchmarks/accuracy.py``.

On the small models of tests/cases.py (the pitfalls of hook-based engines among them) and on every bundled sample.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn

from benchmarks.machine import keep
from ntkviz import kernel_matrix, load_sample, samples
from ntkviz.gradients.reference import jacobian_reference, relative_error
from tests.cases import CASES


def errors(name: str, model: nn.Module, x: torch.Tensor | np.ndarray) -> dict:
    """Errors of trntk, pntk and entk on one model, in units of cosine similarity."""
    jac = jacobian_reference(model, x)
    n, c, p = jac.shape
    features = {"trntk": jac.reshape(n, -1), "pntk": jac.sum(1) / np.sqrt(c), "entk": jac.reshape(n * c, p)}
    row: dict = {"model": name, "parameters": p, "classes": c, "points": n}
    for kind, phi in features.items():
        d = (phi * phi).sum(1)
        row[kind] = relative_error(kernel_matrix(model, x, kind=kind, normalize=False), phi @ phi.T, d, d)
    return row


def main() -> None:
    """Run, print, keep."""
    rows = [errors(case.name, case.model(), case.inputs(6)) for case in CASES]
    for name in samples():
        sample = load_sample(name)
        rows.append(errors(name, sample.model, sample.data.x_train[:6]))
    for row in rows:
        print(f"{row['model']:42s} P={row['parameters']:<7d} " + " ".join(f"{k}={row[k]:.1e}" for k in ("trntk", "pntk", "entk")))
    print(f"worst: {max(row[k] for row in rows for k in ('trntk', 'pntk', 'entk')):.1e}, kept in {keep('accuracy', rows)}")


if __name__ == "__main__":
    main()
