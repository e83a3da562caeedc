"""Kernel PCA: the two directions of the kernel's space along which the training points vary most."""

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ntkviz.embed.result import Layout
from ntkviz.kernels.diagnostics import centred, check_kernel, row_blocks

#: From this N on the Lanczos iteration is used: 1 s instead of 8 s at N = 5,000, the same to 1e-12.
LANCZOS_FROM = 1000


def kernel_pca(kernel: np.ndarray, rows: np.ndarray | None = None) -> Layout:
    """Coordinates along the first two principal axes, exact for training and for test points.

    Args:
        kernel: ``[N, N]``, N at least 3.
        rows: ``[M, N]``, test against train, or None.

    Returns:
        The layout. ``explained`` is each axis' share of the total variance, the trace of the centred kernel. An axis'
        sign is free; here the training point farthest from the origin has a positive coordinate.

    Raises:
        ValueError: when the kernel is not a finite symmetric matrix or has fewer than 3 points.

    Source: Schoelkopf, Smola and Mueller 1998.
    """
    values = check_kernel(kernel)
    n = len(values)
    if n < 3:
        raise ValueError(f"A map needs at least 3 training points, got {n}. Take more points.")
    means = values.mean(axis=0, dtype=np.float64)
    total = float(np.trace(values, dtype=np.float64)) - n * float(means.mean())
    eigenvalues, vectors = _top_two(values)
    # Below this an axis is rounding and dividing by its eigenvalue would blow the test points up.
    usable = eigenvalues > n * np.finfo(np.float64).eps * max(float(max(values.max(), -values.min())), np.finfo(np.float64).tiny)
    roots = np.sqrt(np.where(usable, eigenvalues, 0.0))
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(2)])
    points = vectors * signs * roots
    notes: tuple[str, ...] = ()
    if not usable.all():
        notes = (f"The points vary along {int(usable.sum())} direction(s) only; the other axis of the map is 0 throughout.",)
    test_points = None
    if rows is not None:
        queries = np.asarray(rows, dtype=np.float64)
        moved = queries - queries.mean(axis=1, keepdims=True) - means + means.mean()
        test_points = np.where(usable, (moved @ (vectors * signs)) / np.where(usable, roots, 1.0), 0.0)
    shares = np.where(usable, eigenvalues, 0.0) / total if total > 0 else np.zeros(2)
    return Layout(points, test_points, notes, (float(shares[0]), float(shares[1])))


class _Centred(LinearOperator):
    """``HKH`` as a product with vectors, in float64, without a centred copy of the kernel."""

    def __init__(self, kernel: np.ndarray) -> None:
        super().__init__(np.dtype(np.float64), kernel.shape)
        self.kernel = kernel

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        straight = x.ravel() - x.mean()
        found = np.concatenate([self.kernel[rows].astype(np.float64) @ straight for rows in row_blocks(len(self.kernel))])
        return found - found.mean()


def _top_two(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two largest eigenvalues of ``HKH``, largest first, and their vectors ``[N, 2]``."""
    n = len(kernel)
    if n >= LANCZOS_FROM:
        # A fixed start makes the result reproducible; the vector of ones would not do, centring has removed it.
        start = np.random.default_rng(0).normal(size=n)
        try:
            found, vectors = eigsh(_Centred(kernel), k=2, which="LA", v0=start)
            order = np.argsort(found)[::-1]
            return found[order], vectors[:, order]
        except ArpackNoConvergence:  # eigenvalues almost equal: the dense solver does not mind
            pass
    found, vectors = eigh(centred(kernel), subset_by_index=[n - 2, n - 1])
    return found[::-1], vectors[:, ::-1]
