"""Trace NTK: the sum over logits of the gradients' inner products (Engel et al., ICLR 2024)."""

from ntkviz.gradients.engine import Gram, layer_grams, tangent_gram, unit_heads
from ntkviz.kernels.request import KernelRequest


def gram(request: KernelRequest) -> Gram:
    """Exact, unnormalised."""
    model = request.differentiable()
    return tangent_gram(
        model,
        request.train,
        request.rows,
        heads=unit_heads(model),
        square=request.square,
        memory_mb=request.memory_mb,
        on_progress=request.on_progress,
    )


def layers(request: KernelRequest) -> dict[str, Gram]:
    """Exact, unnormalised, one Gram a layer; adds up to :func:`gram`."""
    model = request.differentiable()
    return layer_grams(
        model,
        request.train,
        request.rows,
        heads=unit_heads(model),
        square=request.square,
        memory_mb=request.memory_mb,
        on_progress=request.on_progress,
    )
