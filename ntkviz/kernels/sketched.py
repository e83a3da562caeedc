"""Trace NTK beyond the machine's limit: exact where that is cheap, sketched elsewhere, with an error that is told.

Two savings, alone or together. ``sketch_dim`` folds the gradients of convolutions and token layers into K numbers (layers with one
position a sample, and everything with fewer than K columns, stay exact). ``n_mixes`` takes r random orthonormal mixes of
the C logits for the sum over all: K^ = (C / r) sum_h <grad (u_h . f), grad (u_h . f)>, r backward passes for C. Both are unbiased.
The norms of what is computed are exact, so cosine similarities divide by the norms of the mixes.

The predicted error comes from the variances, on a few points: (D_n D_m + S_nm^2) / K for the fold, with D and S the sketched part of
norms and products, and 2 r (C - r) / (C (C - 1)(C + 2)) (C / r)^2 ||B_nm||_F^2 for the mixes, with B made of C x C blocks of the full
NTK. On the same points the exact kernel is computed and compared.
"""

import numpy as np
import torch

from ntkviz.gradients.differentiable import Differentiable
from ntkviz.gradients.engine import Gram, SketchError, class_grams, tangent_gram
from ntkviz.gradients.sketch import Sketch
from ntkviz.kernels.errors import compared
from ntkviz.kernels.request import KernelRequest

#: Points on which the exact kernel is computed beside the sketch.
_CHECKED = 16
#: Bytes that the check takes for a pair of logits of a pair of points; fewer points are checked where that is too much.
_PAIR_BYTES = 64


def hybrid_gram(request: KernelRequest, *, sketch_dim: int = 2048, n_mixes: int | None = None) -> Gram:
    """``hybrid_trntk``: exact layers with one position a sample, a fold sketch of the others."""
    return _gram(request, Sketch(sketch_dim, request.seed), n_mixes)


def class_sketch_gram(request: KernelRequest, *, n_mixes: int = 4) -> Gram:
    """``class_sketch_trntk``: r random mixes of logits, nothing else approximated."""
    return _gram(request, None, n_mixes)


def random_mixes(n_logits: int, n_mixes: int | None, seed: int) -> np.ndarray:
    """Orthonormal mixes of the logits, scaled so that the kernel of the mixes is unbiased for the trace NTK.

    Args:
        n_logits: C.
        n_mixes: r; None, C and more mean the C unit vectors, which is exact.
        seed: of the mixes.

    Returns:
        float64 ``[r, C]`` with orthogonal rows of squared norm C / r.

    Raises:
        ValueError: for r below 1.
    """
    if n_mixes is not None and (not isinstance(n_mixes, int) or n_mixes < 1):
        raise ValueError(f"n_mixes must be an integer from 1 to C = {n_logits}, got {n_mixes!r}.")
    if n_mixes is None or n_mixes >= n_logits:
        return np.eye(n_logits)
    normal = np.random.default_rng([seed, n_logits]).standard_normal((n_logits, n_mixes))
    q, r = np.linalg.qr(normal)
    return (q * np.sign(np.diag(r))).T * np.sqrt(n_logits / n_mixes)  # the sign makes the rows uniform on the sphere


def _gram(request: KernelRequest, sketch: Sketch | None, n_mixes: int | None) -> Gram:
    model = request.differentiable()
    mixes = random_mixes(model.n_logits, n_mixes, request.seed)
    heads = torch.from_numpy(mixes).to(model.device, model.dtype)
    gram = tangent_gram(
        model,
        request.train,
        request.rows,
        heads=heads,
        square=request.square,
        memory_mb=request.memory_mb,
        sketch=sketch,
        on_progress=request.on_progress,
    )
    sketch = sketch if sketch is not None and sketch.is_used else None
    if sketch is None and len(mixes) == model.n_logits:
        return gram  # nothing was approximated
    error = _error(model, request, gram, sketch, len(mixes))
    return Gram(gram.train, gram.rows, gram.train_diagonal, gram.rows_diagonal, gram.coverage, error)


def _error(model: Differentiable, request: KernelRequest, gram: Gram, sketch: Sketch | None, n_mixes: int) -> SketchError:
    """Predicted and measured error on some training points, none of which gave the sketch its basis."""
    taken = set(sketch.pilot) if sketch is not None else set()
    c = model.n_logits
    most = int((request.memory_mb * 2**20 / _PAIR_BYTES) ** 0.5 / c)
    points = [i for i in range(len(request.train)) if i not in taken][: max(2, min(_CHECKED, most))]
    n = len(points)
    if n < 2:
        return SketchError(float("nan"), float("nan"), n)
    full = class_grams(model, request.train[points], memory_mb=request.memory_mb).train.astype(np.float64)
    theta = full.reshape(n, c, n, c).transpose(0, 2, 1, 3)
    exact = np.trace(theta, axis1=2, axis2=3)
    scale = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    if not (scale > 0).all():
        return SketchError(float("nan"), float("nan"), n)
    variance = _mix_variance(theta, n_mixes)
    if sketch is not None:
        energy, features = sketch.energy[points].cpu().numpy(), sketch.features[points].double().cpu().numpy()
        variance = variance + (np.outer(energy, energy) + (features @ features.T) ** 2) / sketch.length / scale**2
    approximate = (
        gram.train[np.ix_(points, points)] if request.square else _again(model, request, sketch, n_mixes)[np.ix_(points, points)]
    )
    return compared(exact, approximate, variance)


def _again(model: Differentiable, request: KernelRequest, sketch: Sketch | None, n_mixes: int) -> np.ndarray:
    """The same sketch of the first points among themselves, where only rows were asked for."""
    heads = torch.from_numpy(random_mixes(model.n_logits, n_mixes, request.seed)).to(model.device, model.dtype)
    own = None if sketch is None else Sketch(sketch.dim, sketch.seed)
    return tangent_gram(model, request.train[: 4 * _CHECKED], heads=heads, memory_mb=request.memory_mb, sketch=own).train


def _mix_variance(theta: np.ndarray, n_mixes: int) -> np.ndarray:
    """Variance of the cosine similarity over random r-dimensional mixes, to first order, ``[n, n]``.

    The similarity of the mixes moves with tr(P B), P the projection on the mixes and B = Theta_nm / s_nm - k_nm / 2 (Theta_nn / T_n +
    Theta_mm / T_m), whose trace is zero; the variance of tr(P B) for a uniform P is known.
    """
    c = theta.shape[-1]
    if n_mixes == c or c == 1:
        return np.zeros(theta.shape[:2])
    trace = np.trace(theta, axis1=2, axis2=3)
    norms = np.diag(trace)
    own = theta[np.arange(len(theta)), np.arange(len(theta))] / norms[:, None, None]
    scale = np.sqrt(np.outer(norms, norms))[..., None, None]
    b = theta / scale - (trace[..., None, None] / scale) / 2 * (own[:, None] + own[None, :])
    b = (b + b.transpose(0, 1, 3, 2)) / 2
    return (c / n_mixes) ** 2 * 2 * n_mixes * (c - n_mixes) / (c * (c - 1) * (c + 2)) * (b**2).sum((2, 3))
