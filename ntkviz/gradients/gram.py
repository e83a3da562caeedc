"""Gram matrices added up from blocks of feature columns.

The square part is computed on its upper triangle only, in tiles, and mirrored at the end: exactly symmetric. Diagonals are
added up in float64, because cosine similarities divide by them.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

#: Rows of a tile: the tile of K and the rows' features stay in cache while the columns stream by.
_TILE = 512


@dataclass
class GramSum:
    """Sum of A A' over blocks A = [train; rows] of features.

    Attributes:
        n_train: N.
        n_rows: M, points that are compared with the N but not with one another; 0 for none.
        square: whether the N x N part is wanted.
        dtype: of the sums.
        device: of the sums.
    """

    n_train: int
    n_rows: int
    square: bool = True
    dtype: torch.dtype = torch.float32
    device: torch.device | str = "cpu"
    train: torch.Tensor = field(init=False)
    rows: torch.Tensor = field(init=False)
    diagonal: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Start from zero."""
        n = self.n_train if self.square else 0
        self.train = torch.zeros(n, n, dtype=self.dtype, device=self.device)
        self.rows = torch.zeros(self.n_rows, self.n_train, dtype=self.dtype, device=self.device)
        self.diagonal = torch.zeros(self.n_train + self.n_rows, dtype=torch.float64, device=self.device)

    def add(self, features: torch.Tensor) -> None:
        """Add one block ``[N + M, width]``, the N training points first."""
        a = features[: self.n_train]
        for start in range(0, len(features), _TILE):
            tile = features[start : start + _TILE]
            self.diagonal[start : start + _TILE] += tile.to(torch.float64).square().sum(1)
        if self.square:
            for start in range(0, self.n_train, _TILE):
                self.train[start : start + _TILE, start:].addmm_(a[start : start + _TILE], a[start:].T)
        if self.n_rows:
            self.rows.addmm_(features[self.n_train :], a.T)

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The sums as NumPy: train float32 ``[N, N]`` (``[0, 0]`` if not wanted), rows float32 ``[M, N]``, both diagonals float64."""
        for start in range(0, len(self.train), _TILE):
            tile = slice(start, start + _TILE)
            corner = self.train[tile, tile]
            self.train[tile, tile] = corner.triu() + corner.triu(1).T
            self.train[start + _TILE :, tile] = self.train[tile, start + _TILE :].T
        square = self.train.to(torch.float32).cpu().numpy()
        diagonal = self.diagonal.cpu().numpy()
        if self.square:
            np.fill_diagonal(square, diagonal[: self.n_train])
        rows = self.rows.to(torch.float32).cpu().numpy()
        return square, rows, diagonal[: self.n_train], diagonal[self.n_train :]
