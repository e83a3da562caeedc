"""Tiles of a kernel may be computed by different processes: each has the bits that it would have had anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from ntkviz.gradients.differentiable import Differentiable, held
from ntkviz.gradients.engine import tangent_gram, unit_heads
from tests.cases import CASES

#: Products, gradients, positions and tokens.
NAMES = ("mlp", "residual with BatchNorm", "mixer", "transformer encoder with padding mask")


def tile(name: str, rows: slice, columns: slice) -> np.ndarray:
    """Rows of one part of the points against another part."""
    case = next(c for c in CASES if c.name == name)
    x = case.inputs(60)
    with held(case.model(), x) as (model, (points,)):
        assert points is not None
        function = Differentiable(model, points)
        gram = tangent_gram(function, points[columns], points[rows], heads=unit_heads(function), square=False)
    return gram.rows


def main(folder: str) -> None:
    """What the other process does, in the opposite order."""
    torch.set_num_threads(1)
    for k, name in reversed(list(enumerate(NAMES))):
        np.save(f"{folder}/{k}.npy", tile(name, slice(40, 60), slice(0, 40)))


def test_a_tile_has_the_same_bits_in_another_process(tmp_path: Path):
    code = f"from tests.gradients.test_processes import main; main({str(tmp_path)!r})"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=120)
    for k, name in enumerate(NAMES):
        assert np.load(tmp_path / f"{k}.npy").tobytes() == tile(name, slice(40, 60), slice(0, 40)).tobytes(), name
