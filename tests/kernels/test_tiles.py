"""A kernel in tiles is the kernel, and a tile is the same wherever it is computed."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from ntkviz import kernel_matrix
from ntkviz.kernels.matrix import kernel_blocks
from ntkviz.kernels.tiles import Tile, assemble, compute_tile, tiles
from tests.cases import CASES

_IN_ANOTHER_PROCESS = """
import hashlib, torch
from ntkviz.kernels.tiles import Tile, compute_tile
from tests.cases import CASES
torch.set_num_threads(1)
case = next(c for c in CASES if c.name == {name!r})
model, x = case.model(), case.inputs(11)
compute_tile(model, x, None, Tile("train", range(5, 10), range(5, 10)))  # other work before
values = compute_tile(model, x, None, Tile("train", range(0, 5), range(5, 10))).values
print(hashlib.sha256(values.tobytes()).hexdigest())
"""


def case_named(name: str):
    return next(c for c in CASES if c.name == name)


@pytest.mark.parametrize("size", [3, 4, 50])
@pytest.mark.parametrize(("n", "m"), [(11, 5), (4, 0), (1, 1)])
def test_tiles_cover_every_pair_once(size: int, n: int, m: int):
    seen = np.zeros((n + m, n), dtype=int)
    for tile in tiles(n, m, size=size):
        offset = n if tile.part == "rows" else 0
        seen[np.ix_([offset + i for i in tile.rows], tile.columns)] += 1
        if tile.part == "train" and not tile.on_diagonal:
            seen[np.ix_(tile.columns, tile.rows)] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("kind", ["trntk", "pntk", "ck", "class_sketch_trntk"])
def test_assembled_tiles_are_the_kernel(kind: str):
    case = case_named("conv")
    model, x, z = case.model(), case.inputs(11), case.inputs(5, seed=3)
    found = assemble(((tile, compute_tile(model, x, z, tile, kind=kind)) for tile in tiles(11, 5, size=4)), 11, 5, kind=kind)
    train, rows = found.train, found.rows
    whole = kernel_matrix(model, x, kind=kind, normalize=False)
    np.testing.assert_allclose(train, whole, rtol=1e-5, atol=1e-6 * whole.max())
    np.testing.assert_array_equal(train, train.T)
    np.testing.assert_allclose(rows, kernel_matrix(model, z, x, kind=kind, normalize=False), rtol=1e-5, atol=1e-6 * whole.max())
    expected = kernel_blocks(model, x, z, kind=kind)
    np.testing.assert_allclose(found.train_diagonal, expected.train_diagonal, rtol=1e-5)
    np.testing.assert_allclose(found.rows_diagonal, expected.rows_diagonal, rtol=1e-5)
    assert (found.kind, found.path, found.notes) == (kind, expected.path, expected.notes)


@pytest.mark.parametrize("name", ["conv", "transformer encoder with padding mask"])
def test_a_tile_has_the_same_bits_in_another_process(name: str):
    case = case_named(name)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        values = compute_tile(case.model(), case.inputs(11), None, Tile("train", range(5), range(5, 10))).values
    finally:
        torch.set_num_threads(before)
    script = _IN_ANOTHER_PROCESS.format(name=name)
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(values.tobytes()).hexdigest()


def test_missing_tiles_and_sketches_are_refused():
    case = case_named("conv")
    model, x = case.model(), case.inputs(6)
    first, *_ = tiles(6, size=3)
    with pytest.raises(ValueError, match="missing"):
        assemble([(first, compute_tile(model, x, None, first))], 6)
    with pytest.raises(ValueError, match="hybrid"):
        compute_tile(model, x, None, first, kind="hybrid_trntk")
    with pytest.raises(ValueError, match="x_rows"):
        compute_tile(model, x, None, Tile("rows", range(2), range(3)))
