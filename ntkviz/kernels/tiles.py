"""A kernel in tiles that are computed, stored and lost one by one.

A tile depends on nothing but the model, its own points and the request: the same tile has the same bits in whatever process, order or
company it is computed (with the same number of threads on the same kind of machine). Points of a tile are taken apart anew for every
tile, so larger tiles cost less in all; a job that is stopped loses the tile in hand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from ntkviz.kernels.matrix import Array, kernel_blocks, kernel_matrix
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
) -> np.ndarray:
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

    Returns:
        float32 ``[rows, columns]``; a tile on the diagonal is exactly symmetric.

    Raises:
        ValueError: for a sketch, or a tile of further points that are not there.
    """
    if kind == "hybrid_trntk":
        raise ValueError("A hybrid kernel's basis belongs to all points together; compute it whole, or kind='trntk' in tiles.")
    columns = x_train[tile.columns.start : tile.columns.stop]
    source = x_train if tile.part == "train" else x_rows
    if source is None:
        raise ValueError(f"Tile {tile.name} needs further points x_rows, got None.")
    rows = None if tile.on_diagonal else source[tile.rows.start : tile.rows.stop]
    first, second = (columns, None) if rows is None else (rows, columns)
    return kernel_matrix(
        model, first, second, kind=kind, normalize=False, seed=seed, memory_mb=memory_mb, on_progress=on_progress, **options
    )


def diagonal(model: nn.Module, x: Array, *, kind: str = "trntk", seed: int = 0, **options: Any) -> np.ndarray:
    """Each point with itself, float64 ``[n]``: what further points need to become cosine similarities."""
    return kernel_blocks(model, x[:1], x, kind=kind, seed=seed, **options).rows_diagonal


def assemble(parts: dict[Tile, np.ndarray], n: int, m: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The whole kernel from all its tiles.

    Args:
        parts: tile -> array.
        n: N.
        m: M.

    Returns:
        float32 ``[N, N]``, exactly symmetric, and ``[M, N]``.

    Raises:
        ValueError: when tiles are missing.
    """
    train, rows = np.full((n, n), np.nan, np.float32), np.full((m, n), np.nan, np.float32)
    for tile, values in parts.items():
        place = np.ix_(tile.rows, tile.columns)
        if tile.part == "rows":
            rows[place] = values
            continue
        train[place] = values
        if not tile.on_diagonal:
            train[np.ix_(tile.columns, tile.rows)] = values.T
    if np.isnan(train).any() or np.isnan(rows).any():
        raise ValueError(f"Tiles are missing: {len(parts)} are there. Compute all of tiles(n, m, size=...).")
    return train, rows
