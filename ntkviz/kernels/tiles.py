"""A kernel in tiles that are computed, stored and lost one by one.

A tile depends on nothing but the model, its own points and the request: the same tile has the same bits in whatever process, order or
company it is computed (with the same number of threads on the same kind of machine). Points of a tile are taken apart anew for every
tile, so larger tiles cost less in all; a job that is stopped loses the tile in hand.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ntkviz.kernels.blocks import KernelBlocks
from ntkviz.kernels.matrix import Array, pair_blocks
from ntkviz.types import ProgressFn, silent


@dataclass(frozen=True)
class Tile:
    """Rows and columns of the kernel between N training points, and of M further points against them.

    Attributes:
        part: "train" (the square) or "rows" (further points).
        rows: which points of the part.
        columns: which training points.
    """

    part: str
    rows: range
    columns: range

    @property
    def on_diagonal(self) -> bool:
        """Whether rows and columns are the same points."""
        return self.part == "train" and self.rows == self.columns

    @property
    def name(self) -> str:
        """A name for a file."""
        return f"{self.part}-{self.rows.start}-{self.columns.start}"


def tiles(n: int, m: int = 0, *, size: int = 2048) -> Iterator[Tile]:
    """The tiles of a kernel: the upper triangle of the square, then the rows.

    Args:
        n: N, training points.
        m: M, further points.
        size: points on a side, at most.

    Yields:
        Tiles that cover every pair once (pairs of training points in either order).
    """
    blocks = [range(a, min(n, a + size)) for a in range(0, n, size)]
    for i, rows in enumerate(blocks):
        for columns in blocks[i:]:
            yield Tile("train", rows, columns)
    for a in range(0, m, size):
        for columns in blocks:
            yield Tile("rows", range(a, min(m, a + size)), columns)


@dataclass(frozen=True)
class TileValues:
    """What was computed of a tile of the raw kernel.

    Attributes:
        values: float32 ``[rows, columns]``; on the diagonal exactly symmetric.
        diagonal: float64 ``[rows]``, each point of the rows with itself.
        path: how gradients were computed, see :class:`ntkviz.kernels.blocks.KernelBlocks`.
        notes: what a person should know of it.
    """

    values: np.ndarray
    diagonal: np.ndarray
    path: str
    notes: tuple[str, ...] = ()


def compute_tile(
    model: nn.Module,
    x_train: Array,
    x_rows: Array | None,
    tile: Tile,
    *,
    kind: str = "trntk",
    seed: int = 0,
    memory_mb: int = 4096,
    on_progress: ProgressFn = silent,
    **options: Any,
) -> TileValues:
    """One tile of the raw kernel.

    Args:
        model: see :func:`ntkviz.kernels.matrix.kernel_matrix`.
        x_train: ``[N, ...]``.
        x_rows: ``[M, ...]``, or None when there are no further points.
        tile: which.
        kind: a point kernel without labels; not a sketch, whose basis belongs to all points together.
        seed: of random projections.
        memory_mb: bound on what grows with the tile, in MiB.
        on_progress: may raise ``JobCancelled``.
        **options: of the kind.

    Raises:
        ValueError: for a sketch, or a tile of further points that are not there.
    """
    if kind == "hybrid_trntk":
        raise ValueError("A hybrid kernel's basis belongs to all points together; compute it whole, or kind='trntk' in tiles.")
    columns = x_train[tile.columns.start : tile.columns.stop]
    source = x_train if tile.part == "train" else x_rows
    if source is None:
        raise ValueError(f"Tile {tile.name} needs further points x_rows, got None.")
    shared: dict[str, Any] = {"kind": kind, "seed": seed, "memory_mb": memory_mb, "on_progress": on_progress, **options}
    if tile.on_diagonal:
        made = pair_blocks(model, columns, **shared)
        return TileValues(made.train, made.train_diagonal, made.path, made.notes)
    made = pair_blocks(model, source[tile.rows.start : tile.rows.stop], columns, **shared)
    return TileValues(made.rows, made.rows_diagonal, made.path, made.notes)


def threads() -> int:
    """How many threads a tile is computed with in this process: a tile has the same bits for the same number of them."""
    return torch.get_num_threads()


def use_threads(count: int) -> None:
    """Compute with so many threads from now on."""
    torch.set_num_threads(count)


def assemble(parts: Iterable[tuple[Tile, TileValues]], n: int, m: int = 0, *, kind: str = "trntk") -> KernelBlocks:
    """The whole kernel from all its tiles.

    Args:
        parts: each tile with its values; read one after the other.
        n: N.
        m: M.
        kind: of the kernel.

    Returns:
        The raw kernel, whose square is exactly symmetric.

    Raises:
        ValueError: when tiles are missing.
    """
    train, rows = np.empty((n, n), np.float32), np.empty((m, n), np.float32)
    train_diagonal, rows_diagonal = np.full(n, np.nan), np.full(m, np.nan)
    covered, notes, paths = 0, dict.fromkeys(()), dict.fromkeys(())
    for tile, found in parts:
        where = slice(tile.rows.start, tile.rows.stop), slice(tile.columns.start, tile.columns.stop)
        covered += found.values.size
        notes |= dict.fromkeys(found.notes)
        paths |= dict.fromkeys((found.path,))
        if tile.part == "rows":
            rows[where], rows_diagonal[where[0]] = found.values, found.diagonal
            continue
        train[where] = found.values
        if tile.on_diagonal:
            train_diagonal[where[0]] = found.diagonal
        else:
            train[where[::-1]] = found.values.T
            covered += found.values.size
    if covered != train.size + rows.size or np.isnan(train_diagonal).any() or np.isnan(rows_diagonal).any():
        raise ValueError(
            f"Tiles are missing: {covered:,} of {train.size + rows.size:,} entries are there. Compute all of tiles(n, m, size=...)."
        )
    return KernelBlocks(kind, train, rows, train_diagonal, rows_diagonal, path=next(iter(paths)), notes=tuple(notes))
