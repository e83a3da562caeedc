"""Trace NTK: the sum over logits of the gradients' inner products (Engel et al., ICLR 2024)."""

from dataclasses import replace

import numpy as np

from ntkviz.errors import UnsupportedModel
from ntkviz.gradients.arithmetic import has_int8
from ntkviz.gradients.engine import Gram, layer_grams, tangent_gram, unit_heads
from ntkviz.kernels.errors import compared
from ntkviz.kernels.request import KernelRequest


def gram(request: KernelRequest, *, arithmetic: str = "float32") -> Gram:
    """Unnormalised; exact in float32, or with gradients rounded to eight bits and the error told.

    Raises:
        ValueError: for another arithmetic.
        UnsupportedModel: when eight-bit products are not there on this machine.
    """
    if arithmetic not in ("float32", "int8"):
        raise ValueError(f"arithmetic must be 'float32' or 'int8', got {arithmetic!r}.")
    if arithmetic == "int8" and not has_int8():
        raise UnsupportedModel("This build of torch has no eight-bit products. Use arithmetic='float32'.")
    model = request.differentiable()
    total = tangent_gram(
        model,
        request.train,
        request.rows,
        heads=unit_heads(model),
        square=request.square,
        memory_mb=request.memory_mb,
        int8=arithmetic == "int8",
        on_progress=request.on_progress,
    )
    if total.rounding is None:
        return total
    few = request.train[: len(total.rounding)]
    exact = tangent_gram(model, few, heads=unit_heads(model), memory_mb=request.memory_mb).train
    if request.square:
        rounded = total.train[: len(few), : len(few)]
    else:
        rounded = tangent_gram(model, few, heads=unit_heads(model), memory_mb=request.memory_mb, int8=True).train
    scale = np.outer(np.diag(exact), np.diag(exact))
    return replace(total, sketch=compared(exact, rounded, total.rounding / np.where(scale > 0, scale, 1.0)))


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
