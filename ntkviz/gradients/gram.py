"""Gram matrices added up from blocks of feature columns and from products of small Gram matrices.

The square part is computed on its upper triangle only, in tiles, and mirrored at the end: exactly symmetric. Diagonals are
added up in float64, because cosine similarities divide by them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ntkviz.gradients.arithmetic import dot_rows, fast_float32, int8_dot, quantise, squared_norms

#: Training points for whose pairs the rounding of eight-bit products is predicted.
ROUNDED = 16
#: Rows and columns of a tile, at most: the tile of K and what is multiplied for it stay in cache.
_TILE_ROWS, _TILE_COLUMNS = 512, 1024
#: Bands of rows that a small matrix is cut into, so that little is computed below its diagonal.
_BANDS = 8
#: Columns of features multiplied at a time: the sum over blocks is more accurate, and an int8 scale holds for one block.
_DEPTH = 8192


@dataclass(frozen=True)
class Factor:
    """One layer's pair of small Gram matrices: adds (A A') o (B B') to K.

    Attributes:
        left: A, ``[N + M, p]``.
        right: B, ``[N + M, q]``, or a number that stands for B B' where it is the same for all pairs.
    """

    left: torch.Tensor
    right: torch.Tensor | float


@dataclass
class GramSum:
    """Sum of A A' over blocks A = [train; rows] of features.

    Attributes:
        n_train: N.
        n_rows: M, points that are compared with the N but not with one another; 0 for none.
        square: whether the N x N part is wanted.
        dtype: of the sums.
        device: of the sums.
        int8: whether blocks of features are rounded to eight bits; diagonals stay exact.
        rounding: float64 ``[16, 16]``, variance of the entries of the first training points by that rounding.
    """

    n_train: int
    n_rows: int
    square: bool = True
    dtype: torch.dtype = torch.float32
    device: torch.device | str = "cpu"
    int8: bool = False
    train: torch.Tensor = field(init=False)
    rows: torch.Tensor = field(init=False)
    diagonal: torch.Tensor = field(init=False)
    rounding: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Start from zero."""
        n = self.n_train if self.square else 0
        self.train = torch.zeros(n, n, dtype=self.dtype, device=self.device)
        self.rows = torch.zeros(self.n_rows, self.n_train, dtype=self.dtype, device=self.device)
        self.diagonal = torch.zeros(self.n_train + self.n_rows, dtype=torch.float64, device=self.device)
        self.rounding = np.zeros((min(ROUNDED, self.n_train),) * 2)

    def add(self, features: torch.Tensor, diagonal: torch.Tensor | None = None) -> None:
        """Add one block ``[N + M, width]``, the N training points first; ``diagonal`` where the true norms are known better."""
        for start in range(0, features.shape[1], _DEPTH):
            block = features[:, start : start + _DEPTH]
            if self.int8:
                self._add_int8(block)
                continue
            for tile, i, j in self.tiles():
                tile.add_(dot_rows(block[i], block[j]))
        self.diagonal += squared_norms(features) if diagonal is None else diagonal

    def add_products(self, factors: Sequence[Factor]) -> None:
        """Add the products of several layers, a tile of K at a time."""
        for tile, i, j in self.tiles():
            for f in factors:
                inputs = dot_rows(f.left[i], f.left[j])
                if isinstance(f.right, torch.Tensor):
                    tile.addcmul_(inputs, dot_rows(f.right[i], f.right[j]))
                else:
                    tile.add_(inputs, alpha=f.right)
        for f in factors:
            other = squared_norms(f.right) if isinstance(f.right, torch.Tensor) else f.right
            self.diagonal += squared_norms(f.left) * other

    @fast_float32()
    def add_positions(self, left: torch.Tensor, right: torch.Tensor, bias: bool, weight: bool) -> None:
        """Add sum over positions t, t' of (a_t . a'_t' [+ 1]) (b_t . b'_t').

        Args:
            left: A, ``[N + M, T, p]``.
            right: B, ``[N + M, T, q]``.
            bias: whether the 1 is there.
            weight: whether the product of inputs is there.
        """
        t = left.shape[1]
        step = max(1, _TILE_ROWS // t)
        for tile, i, j in self.tiles(step, 2 * step):
            both = dot_rows(right[i].flatten(0, 1), right[j].flatten(0, 1))
            if weight:
                inputs = dot_rows(left[i].flatten(0, 1), left[j].flatten(0, 1))
                both *= inputs.add_(1.0) if bias else inputs
            tile.add_(both.reshape(tile.shape[0], t, tile.shape[1], t).sum((1, 3)))
        for start in range(0, len(left), step):
            a, b = left[start : start + step], right[start : start + step]
            inputs = a @ a.transpose(1, 2) if weight else torch.zeros((), dtype=a.dtype, device=a.device)
            own = (inputs + float(bias)) * (b @ b.transpose(1, 2))
            self.diagonal[start : start + step] += own.double().sum((1, 2))

    def add_pairs(self, i: torch.Tensor, j: torch.Tensor, values: torch.Tensor) -> None:
        """Add single entries: ``values[k]`` at points (i[k], j[k]), each unordered pair of training points once, i <= j."""
        inside = j < self.n_train
        if self.square:
            self.train.view(-1).index_add_(0, i[inside] * self.n_train + j[inside], values[inside])
        across = ~inside & (i < self.n_train)
        if self.n_rows:
            self.rows.view(-1).index_add_(0, (j[across] - self.n_train) * self.n_train + i[across], values[across])

    def tiles(self, rows: int | None = None, columns: int = _TILE_COLUMNS) -> Iterator[tuple[torch.Tensor, slice, slice]]:
        """The tiles of K: the upper triangle of the square, then the rows.

        Yields:
            The tile as a view, and which points are its rows and its columns.
        """
        n, total = self.n_train, self.n_train + self.n_rows
        rows = rows or min(_TILE_ROWS, max(128, -(-n // _BANDS)))
        if self.square:
            for a in range(0, n, rows):
                for b in range(a, n, columns):
                    i, j = slice(a, min(n, a + rows)), slice(b, min(n, b + columns))
                    yield self.train[i, j], i, j
        for a in range(n, total, rows):
            for b in range(0, n, columns):
                i, j = slice(a, min(total, a + rows)), slice(b, min(n, b + columns))
                yield self.rows[a - n : i.stop - n, j], i, j

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The sums as NumPy: train float32 ``[N, N]`` (``[0, 0]`` if not wanted), rows float32 ``[M, N]``, both diagonals float64."""
        for start in range(0, len(self.train), _TILE_ROWS):
            tile = slice(start, start + _TILE_ROWS)
            corner = self.train[tile, tile]
            self.train[tile, tile] = corner.triu() + corner.triu(1).T
            self.train[start + _TILE_ROWS :, tile] = self.train[tile, start + _TILE_ROWS :].T
        square = self.train.to(torch.float32).cpu().numpy()
        diagonal = self.diagonal.cpu().numpy()
        if self.square:
            np.fill_diagonal(square, diagonal[: self.n_train])
        rows = self.rows.to(torch.float32).cpu().numpy()
        return square, rows, diagonal[: self.n_train], diagonal[self.n_train :]

    def _add_int8(self, block: torch.Tensor) -> None:
        bits, scale = quantise(block)
        step = (scale[: len(self.rounding)].double() ** 2 / 12).cpu().numpy()  # variance of one rounded number
        norm = squared_norms(block[: len(self.rounding)]).cpu().numpy()
        self.rounding += np.outer(step, norm) + np.outer(norm, step)
        for tile, i, j in self.tiles():
            tile.addcmul_(int8_dot(bits[i], bits[j]) * scale[i, None], scale[None, j])
