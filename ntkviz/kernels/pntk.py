"""Pseudo NTK: the gradient of the logits' sum, divided by sqrt(C) (Mohamadi, Bae and Sutherland, ICML 2023)."""

import torch

from ntkviz.gradients.differentiable import Differentiable
from ntkviz.gradients.engine import Gram, layer_grams, tangent_gram
from ntkviz.kernels.request import KernelRequest


def sum_head(model: Differentiable) -> torch.Tensor:
    """The one mix of logits, (1, ..., 1) / sqrt(C), as ``[1, C]``."""
    return torch.full((1, model.n_logits), model.n_logits**-0.5, dtype=model.dtype, device=model.device)


def gram(request: KernelRequest) -> Gram:
    """Exact, unnormalised."""
    model = request.differentiable()
    return tangent_gram(
        model,
        request.train,
        request.rows,
        heads=sum_head(model),
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
        heads=sum_head(model),
        square=request.square,
        memory_mb=request.memory_mb,
        on_progress=request.on_progress,
    )
