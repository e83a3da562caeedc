"""Kernel PCA: the two directions of the kernel's space along which the training points vary most."""

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from ntkviz.embed.result import Layout
from ntkviz.kernels.diagnostics import centred, checked_kernel

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
    values = checked_kernel(kernel)
    n = len(values)
    if n < 3:
        raise ValueError(f"A map needs at least 3 training points, got {n}. Take more points.")
    centred_values = centred(values)
    total = float(np.trace(centred_values))
    eigenvalues, vectors = _top_two(centred_values)
    # Below this an axis is rounding and dividing by its eigenvalue would blow the test points up.
    usable = eigenvalues > n * np.finfo(np.float64).eps * max(float(np.abs(values).max()), np.finfo(np.float64).tiny)
    roots = np.sqrt(np.where(usable, eigenvalues, 0.0))
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(2)])
    points = vectors * signs * roots
    notes: tuple[str, ...] = ()
    if not usable.all():
        notes = (f"The points vary along {int(usable.sum())} direction(s) only; the other axis of the map is 0 throughout.",)
    test_points = None
    if rows is not None:
        queries = np.asarray(rows, dtype=np.float64)
        moved = queries - queries.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
        test_points = np.where(usable, (moved @ (vectors * signs)) / np.where(usable, roots, 1.0), 0.0)
    shares = np.where(usable, eigenvalues, 0.0) / total if total > 0 else np.zeros(2)
    return Layout(points, test_points, notes, (float(shares[0]), float(shares[1])))


def _top_two(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two largest eigenvalues, largest first, and their vectors ``[N, 2]``."""
    n = len(matrix)
    if n >= LANCZOS_FROM:
        # A fixed start makes the result reproducible; the vector of ones would not do, centring has removed it.
        start = np.random.default_rng(0).normal(size=n)
        try:
            found, vectors = eigsh(matrix, k=2, which="LA", v0=start)
            order = np.argsort(found)[::-1]
            return found[order], vectors[:, order]
        except ArpackNoConvergence:  # eigenvalues almost equal: the dense solver does not mind
            pass
    found, vectors = eigh(matrix, subset_by_index=[n - 2, n - 1])
    return found[::-1], vectors[:, ::-1]
