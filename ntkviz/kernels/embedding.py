"""Embedding kernel: inner products of all layers' activations, added up (Engel et al., ICLR 2024)."""

from collections.abc import Iterator, Sequence

import torch

from ntkviz.gradients.activations import Activations, leaf_modules
from ntkviz.gradients.engine import Gram, finished
from ntkviz.gradients.gram import GramSum
from ntkviz.kernels.request import KernelRequest


def gram(request: KernelRequest, *, layers: Sequence[str] | None = None) -> Gram:
    """Exact, unnormalised sum over the modules named in ``layers`` (None: all leaf modules)."""
    total = _empty(request)
    for _, block in _blocks(request, layers):
        total.add(block)
    return finished(total, None)


def layer_parts(request: KernelRequest, *, layers: Sequence[str] | None = None) -> dict[str, Gram]:
    """One Gram a module; adds up to :func:`gram`."""
    parts: dict[str, GramSum] = {}
    for name, block in _blocks(request, layers):
        parts.setdefault(name, _empty(request)).add(block)
    return {name: finished(total, None) for name, total in parts.items()}


def _empty(request: KernelRequest) -> GramSum:
    n_rows = 0 if request.rows is None else len(request.rows)
    return GramSum(len(request.train), n_rows, request.square, device=request.train.device)


def _blocks(request: KernelRequest, layers: Sequence[str] | None) -> Iterator[tuple[str, torch.Tensor]]:
    """Activations of all points, module by module.

    Yields:
        A module's name and a block of its columns that fits in memory, float32 ``[N + M, width]``.
    """
    x = request.everything
    activations = Activations(request.model, list(layers) if layers is not None else leaf_modules(request.model), x)
    width = max(1, request.memory_mb * 2**20 // (4 * 3 * len(x)))
    total, done = sum(activations.widths.values()), 0
    for name in activations.widths:
        for block in activations.blocks(x, name, width):
            yield name, block.to(torch.float32)
            done += block.shape[1]
            request.on_progress("kernel", done / total)
