"""What a kernel matrix says about itself and about the labels: spectrum, alignment, similarity of classes.

NumPy and SciPy only, float64 inside. Letters: ``K [N, N]`` a symmetric kernel, ``Y [N, C]`` the one-hot labels,
``H = I - 11^T / N`` the centring matrix.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigvalsh

#: Rows of a large matrix that are looked at together.
_BLOCK = 512


@dataclass(frozen=True)
class Spectrum:
    """The eigenvalues of a kernel and what they add up to.

    Attributes:
        eigenvalues: float64 ``[N]``, largest first, as computed: nothing is clipped.
        effective_rank: ``exp(entropy)`` of the positive eigenvalues taken as shares, in [1, N] (Roy and Vetterli 2007).
        participation_ratio: ``(sum l)^2 / sum l^2`` of the positive eigenvalues, in [1, N].
        condition_number: largest over smallest eigenvalue; ``inf`` when the smallest is not above ``tolerance``.
        n_negative: how many eigenvalues lie below ``-tolerance``: more than rounding explains, so the kernel is not
            positive semidefinite.
        n_numerical_rank: how many eigenvalues lie above ``tolerance``.
        tolerance: ``N * eps * largest``, eps of the dtype in which the kernel came.
    """

    eigenvalues: np.ndarray
    effective_rank: float
    participation_ratio: float
    condition_number: float
    n_negative: int
    n_numerical_rank: int
    tolerance: float


@dataclass(frozen=True)
class Alignment:
    """How much of a kernel is explained by "same class or not".

    Attributes:
        kta: kernel target alignment ``<K, YY^T> / (|K| |YY^T|)``, in [-1, 1]. A constant kernel already scores above 0.
        centred: the same of ``HKH`` and ``HYY^TH`` (Cortes et al. 2012): 0 means no relation. NaN when either is zero
            (one class only, or a constant kernel).
        n_points: N.
    """

    kta: float
    centred: float
    n_points: int


@dataclass(frozen=True)
class ClassContrast:
    """Mean similarity of two different points.

    Attributes:
        within: mean over pairs of the same class; NaN when no class has two points.
        between: mean over pairs of different classes; NaN when there is one class.
        within_class: float64 ``[C]``, the mean over pairs inside each class; NaN for a class with fewer than two points.
    """

    within: float
    between: float
    within_class: np.ndarray


def checked_kernel(kernel: np.ndarray, *, name: str = "kernel") -> np.ndarray:
    """The kernel as float64 ``[N, N]``, after a look at its shape, its finiteness and its symmetry.

    Args:
        kernel: ``[N, N]``.
        name: what the message calls it.

    Raises:
        ValueError: when it is not square, empty, not finite, or asymmetric by more than 1e-3 of its largest entry.
    """
    return check_kernel(kernel, name=name).astype(np.float64)


def check_kernel(kernel: np.ndarray, *, name: str = "kernel") -> np.ndarray:
    """The kernel ``[N, N]`` as it is, after the same look by blocks of rows: without a copy of a large matrix.

    Args:
        kernel: ``[N, N]``.
        name: what the message calls it.

    Raises:
        ValueError: as :func:`checked_kernel`.
    """
    values = np.asarray(kernel)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not len(values):
        raise ValueError(
            f"The {name} must be a square matrix [N, N] of similarities, got shape {values.shape}. Pass train against train."
        )
    n_bad, gap, size = 0, 0.0, 0.0
    for rows in row_blocks(len(values)):
        part = np.asarray(values[rows], dtype=np.float64)
        n_bad += int(np.count_nonzero(~np.isfinite(part)))
        if n_bad:
            continue
        gap = max(gap, float(np.abs(part - values[:, rows].T).max()))
        size = max(size, float(np.abs(part).max()))
    if n_bad:
        raise ValueError(
            f"The {name} must be finite, got {n_bad} NaN or infinite entries. Recompute it, or run the model's checks."
        )
    if gap > 1e-3 * size:
        raise ValueError(f"The {name} must be symmetric, got a largest difference of {gap:.3g} at a largest entry of {size:.3g}.")
    return values


def row_blocks(n: int) -> list[slice]:
    """Rows 0..N-1 in blocks that are small enough to be copied at any N."""
    return [slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]


def checked_labels(labels: np.ndarray, n: int, n_classes: int | None = None) -> tuple[np.ndarray, int]:
    """Labels as int64 ``[N]`` and the number of classes.

    Args:
        labels: ``[N]``, 0..C-1.
        n: how many are expected.
        n_classes: C; by default the largest label and one.

    Raises:
        ValueError: when the number of labels is not ``n`` or one lies outside 0..C-1.
    """
    values = np.asarray(labels)
    if values.shape != (n,):
        raise ValueError(f"Expected one label a point, shape ({n},), got shape {values.shape}.")
    found = int(values.max()) + 1
    count = found if n_classes is None else n_classes
    if int(values.min()) < 0 or found > count:
        raise ValueError(f"Labels must lie in 0..{count - 1}, got {int(values.min())}..{found - 1}. Number the classes from 0.")
    return values.astype(np.int64), count


def spectrum(kernel: np.ndarray) -> Spectrum:
    """Eigenvalues of a symmetric kernel, by LAPACK in float64.

    Args:
        kernel: ``[N, N]``. Cost O(N^3): 0.1 s at N = 1,000, 1.3 s at 3,000, 6 to 9 s at 5,000 on two cores.

    Raises:
        ValueError: when the kernel is not a finite symmetric matrix, or has no positive eigenvalue.

    Source: effective rank of Roy and Vetterli, EUSIPCO 2007.
    """
    values = checked_kernel(kernel)
    dtype = np.asarray(kernel).dtype
    eps = float(np.finfo(dtype).eps) if np.issubdtype(dtype, np.floating) else float(np.finfo(np.float64).eps)
    eigenvalues = eigvalsh(values)[::-1].copy()
    largest = float(eigenvalues[0])
    if largest <= 0:
        raise ValueError(
            f"A kernel needs a positive eigenvalue, the largest here is {largest:.3g}. Is the matrix all zero, or negated?"
        )
    tolerance = len(values) * eps * largest
    positive = eigenvalues[eigenvalues > 0]
    shares = positive / positive.sum()
    smallest = float(eigenvalues[-1])
    return Spectrum(
        eigenvalues=eigenvalues,
        effective_rank=float(np.exp(-(shares * np.log(shares)).sum())),
        participation_ratio=float(1.0 / (shares**2).sum()),
        condition_number=largest / smallest if smallest > tolerance else float("inf"),
        n_negative=int(np.count_nonzero(eigenvalues < -tolerance)),
        n_numerical_rank=int(np.count_nonzero(eigenvalues > tolerance)),
        tolerance=tolerance,
    )


def centred(kernel: np.ndarray) -> np.ndarray:
    """``HKH``: the kernel of the features minus their mean, ``[N, N]`` float64."""
    values = np.asarray(kernel, dtype=np.float64)
    rows = values.mean(axis=1, keepdims=True)
    return values - rows - values.mean(axis=0, keepdims=True) + rows.mean()


def alignment(kernel: np.ndarray, labels: np.ndarray) -> Alignment:
    """Alignment of a kernel with the labels, plain and centred.

    Args:
        kernel: ``[N, N]``.
        labels: ``[N]``, 0..C-1.

    Raises:
        ValueError: when the kernel is not a finite symmetric matrix or the labels do not fit it.

    Source: Cristianini et al. 2001 (plain), Cortes, Mohri and Rostamizadeh 2012 (centred).
    """
    values = checked_kernel(kernel)
    y, n_classes = checked_labels(labels, len(values))
    one_hot = np.eye(n_classes)[y]
    return Alignment(
        kta=_target_cosine(_unit(values), one_hot),
        centred=_target_cosine(centred(_unit(values)), one_hot - one_hot.mean(axis=0)),
        n_points=len(values),
    )


def cka(kernel: np.ndarray, other: np.ndarray) -> float:
    """Centred kernel alignment of two kernels of the same points, in [0, 1] for positive semidefinite kernels.

    Args:
        kernel: ``[N, N]``.
        other: ``[N, N]``, the same points in the same order.

    Returns:
        ``<HKH, HLH> / (|HKH| |HLH|)``: 1 when the kernels agree up to scale and offset; NaN when one is constant.

    Raises:
        ValueError: when a kernel is not a finite symmetric matrix or their sizes differ.

    Source: Kornblith et al., ICML 2019 (the biased estimator).
    """
    return float(cka_matrix({"first": kernel, "second": other})[0, 1])


def cka_matrix(kernels: Mapping[str, np.ndarray]) -> np.ndarray:
    """CKA of every pair of kernels, float64 ``[n, n]`` in the order of the mapping.

    Args:
        kernels: name -> ``[N, N]``, all of the same points in the same order.

    Raises:
        ValueError: when a kernel is not a finite symmetric matrix or their sizes differ.
    """
    prepared = {name: centred(_unit(checked_kernel(values, name=f"kernel {name}"))) for name, values in kernels.items()}
    sizes = {name: len(values) for name, values in prepared.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"CKA compares kernels of the same points, got sizes {sizes}. Cut them to the common points first.")
    result = np.empty((len(prepared), len(prepared)))
    matrices = list(prepared.values())
    for i in range(len(matrices)):
        for j in range(i, len(matrices)):
            result[i, j] = result[j, i] = _cosine(matrices[i], matrices[j])
    return result


def class_similarity(kernel: np.ndarray, labels: np.ndarray, *, n_classes: int | None = None) -> np.ndarray:
    """Mean similarity of two different points, by their classes.

    Args:
        kernel: ``[N, N]``.
        labels: ``[N]``, 0..C-1.
        n_classes: C; by default the largest label and one.

    Returns:
        float64 ``[C, C]``, symmetric; a point's similarity to itself is left out; NaN where there is no pair.

    Raises:
        ValueError: when the kernel is not a finite symmetric matrix or the labels do not fit it.
    """
    sums, pairs = _class_sums(kernel, labels, n_classes)
    return np.divide(sums, pairs, out=np.full_like(sums, np.nan), where=pairs > 0)


def closest_pairs(
    kernel: np.ndarray, labels: np.ndarray, first: int, second: int, *, k: int = 12
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of different points, one of each of two classes, that a kernel finds most alike.

    Args:
        kernel: ``[N, N]``.
        labels: ``[N]``.
        first: class of one point.
        second: class of the other; may be the same.
        k: most pairs.

    Returns:
        int64 ``[n, 2]``, a pair a row, and its kernel entries ``[n]``, largest first; n <= k.

    Raises:
        ValueError: when the kernel is no square matrix, the labels do not fit it, or k is below 1.
    """
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or len(labels) != len(kernel) or k < 1:
        raise ValueError(f"Expected a kernel [N, N], N labels and k >= 1; got {kernel.shape}, {len(labels)} labels, k = {k}.")
    rows, columns = (np.flatnonzero(np.asarray(labels) == c) for c in (first, second))
    values = np.asarray(kernel[np.ix_(rows, columns)])
    places = np.flatnonzero(rows[:, None] < columns) if first == second else np.arange(values.size)
    found = values.ravel()[places]
    top = np.argpartition(-found, min(k, len(found)) - 1)[:k] if len(found) else np.arange(0)
    top = top[np.lexsort((places[top], -found[top]))]
    i, j = np.divmod(places[top], max(1, len(columns)))
    return np.stack([rows[i], columns[j]], axis=1), found[top]


def class_contrast(kernel: np.ndarray, labels: np.ndarray, *, n_classes: int | None = None) -> ClassContrast:
    """Mean similarity of pairs within a class and of pairs across classes.

    Args:
        kernel: ``[N, N]``.
        labels: ``[N]``, 0..C-1.
        n_classes: C; by default the largest label and one.

    Raises:
        ValueError: when the kernel is not a finite symmetric matrix or the labels do not fit it.
    """
    sums, pairs = _class_sums(kernel, labels, n_classes)
    own_sum, own_pairs = np.trace(sums), np.trace(pairs)
    other_sum, other_pairs = sums.sum() - own_sum, pairs.sum() - own_pairs
    diagonal, counts = np.diag(sums), np.diag(pairs)
    return ClassContrast(
        within=float(own_sum / own_pairs) if own_pairs else float("nan"),
        between=float(other_sum / other_pairs) if other_pairs else float("nan"),
        within_class=np.divide(diagonal, counts, out=np.full(len(counts), np.nan), where=counts > 0),
    )


def order_by_class(y: np.ndarray, y_pred: np.ndarray | None = None) -> np.ndarray:
    """A permutation that puts points of a class side by side, for drawing a kernel.

    Args:
        y: ``[N]`` labels.
        y_pred: ``[N]`` predictions; inside a class, points of the same prediction stand together.

    Returns:
        int64 ``[N]``; points that tie keep their order.

    Raises:
        ValueError: when ``y_pred`` has another length than ``y``.
    """
    labels = np.asarray(y)
    if y_pred is None:
        return np.argsort(labels, kind="stable").astype(np.int64)
    predictions = np.asarray(y_pred)
    if predictions.shape != labels.shape:
        raise ValueError(f"Expected one prediction a label, shape {labels.shape}, got shape {predictions.shape}.")
    return np.lexsort((np.arange(len(labels)), predictions, labels)).astype(np.int64)


def _unit(values: np.ndarray) -> np.ndarray:
    """The matrix divided by its Frobenius norm; a zero matrix stays as it is."""
    size = float(np.linalg.norm(values))
    return values / size if size > 0 else values


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    """``<a, b> / (|a| |b|)`` by Frobenius of two centred matrices of norm at most 1."""
    return _ratio(float(np.vdot(a, b)), float(np.linalg.norm(a)), float(np.linalg.norm(b)))


def _target_cosine(values: np.ndarray, target: np.ndarray) -> float:
    """``<K, TT^T> / (|K| |TT^T|)`` without forming ``TT^T``; ``target [N, C]``, ``values`` of norm at most 1."""
    product = float(np.vdot(target, values @ target))
    return _ratio(product, float(np.linalg.norm(values)), float(np.linalg.norm(target.T @ target)))


def _ratio(product: float, size: float, other: float) -> float:
    """A cosine from its parts; NaN when a size is zero up to the rounding that centring a unit matrix leaves."""
    if min(size, other) <= 1e-13:
        return float("nan")
    return float(np.clip(product / (size * other), -1.0, 1.0))


def _class_sums(kernel: np.ndarray, labels: np.ndarray, n_classes: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Summed similarity and number of ordered pairs of different points, both ``[C, C]``."""
    values = checked_kernel(kernel)
    y, count = checked_labels(labels, len(values), n_classes)
    one_hot = np.eye(count)[y]
    sums = one_hot.T @ values @ one_hot
    sizes = one_hot.sum(axis=0)
    own = np.bincount(y, weights=np.diag(values), minlength=count)
    return sums - np.diag(own), np.outer(sizes, sizes) - np.diag(sizes)
