"""Projected trace and pseudo NTK: gradients times a dense Rademacher matrix (Engel et al., ICLR 2024).

The P x K sign matrix is never held: it is drawn again in blocks of rows from (seed, block number), so the result depends
neither on the chunks nor on the order of computation. Entries are +-1/sqrt(K), which makes the kernel unbiased.
"""

from collections.abc import Callable

import numpy as np
import torch

from ntkviz.gradients.differentiable import Differentiable
from ntkviz.gradients.engine import Gram, feature_sum, gram_of_features, unit_heads
from ntkviz.gradients.stream import Block
from ntkviz.kernels.pntk import sum_head
from ntkviz.kernels.request import KernelRequest

#: Parameters that share one random stream. Part of the definition: another number gives another matrix.
_STREAM_ROWS = 512


def trace_gram(request: KernelRequest, *, proj_dim: int = 2048) -> Gram:
    """``proj_trntk``: the same signs for every class."""
    return _gram(request, unit_heads, proj_dim)


def pseudo_gram(request: KernelRequest, *, proj_dim: int = 2048) -> Gram:
    """``proj_pntk``."""
    return _gram(request, sum_head, proj_dim)


def rademacher_rows(seed: int, start: int, stop: int, proj_dim: int) -> np.ndarray:
    """Rows start..stop-1 of the sign matrix, float32 ``[stop - start, K]`` of +-1 (not divided by sqrt(K))."""
    parts = []
    for number in range(start // _STREAM_ROWS, (stop - 1) // _STREAM_ROWS + 1):
        bits = np.random.Generator(np.random.Philox(key=[seed, number])).bytes(_STREAM_ROWS * proj_dim // 8 + 1)
        signs = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=_STREAM_ROWS * proj_dim).reshape(_STREAM_ROWS, proj_dim)
        first = number * _STREAM_ROWS
        parts.append(signs[max(start - first, 0) : min(stop - first, _STREAM_ROWS)])
    out = np.concatenate(parts).astype(np.float32)
    out *= 2.0
    out -= 1.0
    return out


def _gram(request: KernelRequest, heads: Callable[[Differentiable], torch.Tensor], proj_dim: int) -> Gram:
    """Project all gradients, then one Gram of the features.

    Raises:
        ValueError: for a dimension or seed that makes no sense.
    """
    if not isinstance(proj_dim, int) or proj_dim < 1:
        raise ValueError(f"proj_dim must be a positive integer, got {proj_dim!r}.")
    if request.seed < 0:
        raise ValueError(f"seed must not be negative, got {request.seed}.")
    model = request.differentiable()

    def project(block: Block, out: torch.Tensor) -> None:
        column = 0
        for piece in block.group.pieces:
            begin, end = piece.offset + piece.start, piece.offset + piece.stop
            while begin < end:
                stop = min(end, (begin // _STREAM_ROWS + 8) * _STREAM_ROWS)
                signs = torch.from_numpy(rademacher_rows(request.seed, begin, stop, proj_dim)).to(model.device, model.dtype)
                out.addmm_(block.values[:, column : column + stop - begin], signs, alpha=proj_dim**-0.5)
                column += stop - begin
                begin = stop

    features = feature_sum(
        model,
        request.everything,
        heads(model),
        project,
        proj_dim,
        memory_mb=request.memory_mb,
        on_progress=request.on_progress,
    )
    return gram_of_features(features, len(request.train), square=request.square, coverage=model.generic_coverage)
