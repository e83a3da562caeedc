"""A Gaussian kernel of the inputs, without a network; and its mean with the trace NTK."""

from dataclasses import replace

import numpy as np
import torch
from sklearn.metrics.pairwise import euclidean_distances

from ntkviz.gradients.engine import Gram
from ntkviz.kernels import trntk
from ntkviz.kernels.inputs import token_counts
from ntkviz.kernels.request import KernelRequest

_ROWS_AT_ONCE = 1024


def gram(request: KernelRequest, *, bandwidth: float = 1.0, pad_id: int = 0) -> Gram:
    """``exp(-|x - z|^2 / (bandwidth * D))``, D the mean squared distance of two training points; 1 on the diagonal.

    Columns of a table are brought to the standard deviation 1 of the training points; texts are token counts of length 1.

    Raises:
        ValueError: when the bandwidth is not above 0.
    """
    if not bandwidth > 0:
        raise ValueError(f"bandwidth must be above 0; got {bandwidth!r}.")
    n = len(request.train)
    features = input_features(request.everything, n, pad_id)
    spread = 2 * features[:n].var(axis=0).sum() * n / max(n - 1, 1) or 1.0
    train = _gaussian(features[:n], features[:n], bandwidth * spread) if request.square else np.empty((0, 0), np.float32)
    if request.square:
        train = np.maximum(train, train.T)  # rounding differs below and above the diagonal
        np.fill_diagonal(train, 1.0)
    rows = _gaussian(features[n:], features[:n], bandwidth * spread)
    return Gram(train, rows, np.ones(n), np.ones(len(rows)))


def sum_gram(request: KernelRequest, *, input_share: float = 0.5, bandwidth: float = 1.0, pad_id: int = 0) -> Gram:
    """``(1 - input_share) K_tr / (mean diagonal) + input_share K_rbf``.

    Raises:
        ValueError: when the share is not between 0 and 1.
    """
    if not 0 < input_share < 1:
        raise ValueError(f"input_share must lie between 0 and 1; got {input_share!r}. The parts alone are 'trntk' and 'rbf'.")
    of_inputs, tangent = gram(request, bandwidth=bandwidth, pad_id=pad_id), trntk.gram(request)
    weight = (1 - input_share) / tangent.train_diagonal.mean()
    if not np.isfinite(weight):
        raise ValueError("No training point has a gradient, so the trace NTK has no scale. Use kind='rbf' or look at the model.")

    def mixed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (weight * a + input_share * b).astype(b.dtype)

    return replace(
        tangent,
        train=mixed(tangent.train, of_inputs.train),
        rows=mixed(tangent.rows, of_inputs.rows),
        train_diagonal=mixed(tangent.train_diagonal, of_inputs.train_diagonal),
        rows_diagonal=mixed(tangent.rows_diagonal, of_inputs.rows_diagonal),
    )


def input_features(x: torch.Tensor, n_train: int, pad_id: int = 0) -> np.ndarray:
    """What distances of inputs are measured in, float64 ``[n, features]``.

    Images as they are, columns of a table divided by their standard deviation over the first ``n_train`` points, texts as token
    counts of length 1.
    """
    if not x.is_floating_point():
        counts = token_counts(x, pad_id).cpu().numpy().astype(np.float64)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-12)
    features = x.reshape(len(x), -1).cpu().numpy().astype(np.float64)
    if x.dim() > 2:
        return features
    deviation = features[:n_train].std(axis=0)
    return features / np.where(deviation > 0, deviation, 1.0)


def _gaussian(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """float32 ``[len(a), len(b)]``, in blocks of rows."""
    out = np.empty((len(a), len(b)), np.float32)
    for start in range(0, len(a), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        out[part] = np.exp(-euclidean_distances(a[part], b, squared=True) / width)
    return out
