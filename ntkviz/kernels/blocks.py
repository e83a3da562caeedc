"""What a kernel leaves this room as: NumPy blocks, raw or cosine-normalised."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class KernelBlocks:
    """A kernel between N training points, and of M further points against them.

    Attributes:
        kind: key in the registry.
        train: float32 ``[N, N]``, symmetric; ``[0, 0]`` when only the rows were asked for.
        rows: float32 ``[M, N]``.
        train_diagonal: float64 ``[N]``, each training point with itself.
        rows_diagonal: float64 ``[M]``, each further point with itself.
        normalize: whether this is the cosine version.
        path: how gradients were computed ("vmap", "loop"), or "features".
        predicted_error: of a sketch, relative to the exact cosine kernel in the Frobenius norm, off the diagonal; 0 if exact.
        measured_error: the same on a few points whose exact kernel was computed.
        notes: what a person should know (unused parameters, points without gradient, ...).
    """

    kind: str
    train: np.ndarray
    rows: np.ndarray
    train_diagonal: np.ndarray
    rows_diagonal: np.ndarray
    normalize: bool = False
    path: str = "features"
    predicted_error: float = 0.0
    measured_error: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def stated_error(self) -> float:
        """What the error of an approximation stays below in 99 of 100 seeds: twice the larger of predicted and measured."""
        return 2 * max(self.predicted_error, self.measured_error)

    def normalised(self) -> "KernelBlocks":
        """The cosine version, K_nm / sqrt(K_nn K_mm), by exact diagonals of both sides; 1 on the diagonal.

        A point whose feature vector is zero has no direction: its similarities are set to 0 and counted in ``notes``.

        Returns:
            New blocks; these if they are normalised already.
        """
        if self.normalize:
            return self
        train_scale, rows_scale = _inverse_root(self.train_diagonal), _inverse_root(self.rows_diagonal)
        train = _scaled(self.train, train_scale, train_scale) if self.train.size else self.train
        if train.size:
            np.fill_diagonal(train, (train_scale > 0).astype(np.float32))
        zero = int((train_scale == 0).sum() + (rows_scale == 0).sum())
        note = (f"{zero} points have a zero feature vector; their cosine similarity is undefined and set to 0.",) if zero else ()
        return replace(
            self,
            train=train,
            rows=_scaled(self.rows, rows_scale, train_scale),
            train_diagonal=(train_scale > 0).astype(np.float64),
            rows_diagonal=(rows_scale > 0).astype(np.float64),
            normalize=True,
            notes=self.notes + note,
        )


def _inverse_root(diagonal: np.ndarray) -> np.ndarray:
    """1 / sqrt(d), 0 where d is 0."""
    return np.divide(1.0, np.sqrt(diagonal), out=np.zeros(len(diagonal)), where=diagonal > 0)


def _scaled(block: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Rows and columns scaled in float64 one after the other, so that tiny and huge diagonals do not overflow float32."""
    out = np.empty(block.shape, dtype=np.float32)
    for start in range(0, len(block), 512):
        tile = slice(start, start + 512)
        out[tile] = np.clip(block[tile].astype(np.float64) * rows[tile, None] * columns[None, :], -1.0, 1.0)
    return out
