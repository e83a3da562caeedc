"""Products of a large kernel with a few columns: to all digits, and in half the time to seven."""

from dataclasses import dataclass
from typing import Any

import numpy as np

#: A float32 kernel of more training points stays float32: in float64 it would take twice the memory and time. Its digits are kept.
LARGE = 4000
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class KernelProducts:
    """A symmetric kernel of mean diagonal 1, ready for products.

    Attributes:
        values: ``[N, N]``, float64; float32 where N is large and the kernel came so.
    """

    values: np.ndarray

    @classmethod
    def of(cls, kernel: np.ndarray, scale: float) -> "KernelProducts":
        """Symmetrise a kernel and divide it.

        Args:
            kernel: ``[N, N]``.
            scale: its mean diagonal.
        """
        n = len(kernel)
        single = n > LARGE and kernel.dtype == np.float32
        values = np.empty((n, n), dtype=np.float32 if single else np.float64)
        for first in range(0, n, _ROWS_AT_ONCE):  # no copy in float64 of the whole
            part = slice(first, first + _ROWS_AT_ONCE)
            values[part] = (np.asarray(kernel[part], dtype=np.float64) + kernel[:, part].T) / (2 * scale)
        return cls(values)

    @property
    def single(self) -> bool:
        """Whether :meth:`quick` is quicker than :meth:`times`, and less exact."""
        return self.values.dtype == np.float32

    @property
    def diagonal(self) -> np.ndarray:
        """Float64 ``[N]``."""
        return np.diagonal(self.values).astype(np.float64)

    def times(self, columns: np.ndarray) -> np.ndarray:
        """``K columns``, float64 ``[N, D]``, with sums in float64."""
        if not self.single:
            return self.values @ columns
        out = np.empty((len(self.values), columns.shape[1]))
        torch, _ = _torch()
        for first in range(0, len(out), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            out[part] = torch.from_numpy(self.values[part]).double() @ torch.from_numpy(columns)
        return out

    def quick(self, columns: np.ndarray) -> np.ndarray:
        """The same with sums in the kernel's own precision; a float32 kernel is read once, in half the time that NumPy takes."""
        if not self.single:
            return self.values @ columns
        torch, dot_rows = _torch()
        across = torch.from_numpy(np.ascontiguousarray(columns.T, dtype=np.float32))
        return dot_rows(across, torch.from_numpy(self.values)).T.numpy().astype(np.float64, order="C")

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """``a @ b`` of float64 ``[n, k]`` and ``[k, m]``, by the threads of :meth:`quick`: two libraries' threads in turns keep each other from the processors."""
        if not self.single:
            return a @ b
        torch, _ = _torch()
        return (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()

    def leading(self, rank: int) -> np.ndarray:
        """Leading eigenvectors, orthonormal in the kernel's own inner product, float64 ``[N, <= rank]``.

        Args:
            rank: how many at most; directions without variance are left out.
        """
        from sklearn.utils.extmath import randomized_range_finder

        size = min(rank + 10, len(self.values))
        found = randomized_range_finder(self.values, size=size, n_iter=2, power_iteration_normalizer="QR", random_state=0)
        span = np.asarray(found, dtype=np.float64)
        inside = span.T @ self.times(span)
        values, turn = np.linalg.eigh((inside + inside.T) / 2)
        noise = max(1e-9, 10 * float(np.finfo(self.values.dtype).eps))
        keep = values > max(noise * values[-1], 1e-12 * len(self.values))
        keep[: max(len(values) - rank, 0)] = False
        return (span @ turn[:, keep]) / np.sqrt(values[keep])


def _torch() -> tuple[Any, Any]:
    """Torch and :func:`dot_rows`; not with the module, since pages that show what is kept need not wait for them."""
    import torch

    from ntkviz.gradients.arithmetic import dot_rows

    return torch, dot_rows
