"""Inputs that people pass, brought to a tensor that fits the model."""

import numpy as np
import torch
from torch import nn

from ntkviz.errors import UnsupportedModel


def as_input(model: nn.Module, x: torch.Tensor | np.ndarray) -> torch.Tensor:
    """A tensor on the model's device; floating point inputs take the model's floating point type, integers stay.

    Args:
        model: the module that will be called.
        x: ``[n, ...]``, n >= 1.

    Returns:
        Tensor ``[n, ...]``, detached.

    Raises:
        ValueError: when x has no samples, or holds numbers that are not finite.
    """
    tensor = x.detach() if isinstance(x, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(x))
    if tensor.ndim == 0 or len(tensor) == 0:
        raise ValueError(f"Expected inputs [n, ...] with at least one sample, got shape {list(tensor.shape)}.")
    parameter = next((p for p in model.parameters() if p.is_floating_point()), None)
    if tensor.is_floating_point():
        bad = (~torch.isfinite(tensor.reshape(len(tensor), -1)).all(dim=1)).nonzero().ravel()
        if len(bad):
            raise ValueError(
                f"{len(bad)} of {len(tensor)} inputs hold NaN or infinite numbers (first: sample {int(bad[0])}). "
                "Mend or leave out these samples."
            )
        return tensor if parameter is None else tensor.to(parameter.device, parameter.dtype)
    return tensor if parameter is None else tensor.to(parameter.device)


def require_real_parameters(model: nn.Module) -> None:
    """Refuse parameters in which gradients cannot be computed correctly.

    Args:
        model: any module.

    Raises:
        UnsupportedModel: for uninitialised lazy parameters, half precision, complex numbers, or no parameters at all.
    """
    count = 0
    for name, p in model.named_parameters():
        if isinstance(p, nn.parameter.UninitializedParameter):
            raise UnsupportedModel(
                f"Parameter {name} of a lazy module has no shape yet. Call the model once on a sample, then try again."
            )
        if p.is_complex():
            raise UnsupportedModel(f"Parameter {name} is complex ({p.dtype}); expected real float32 or float64 parameters.")
        if p.is_floating_point():
            if p.dtype not in (torch.float32, torch.float64):
                raise UnsupportedModel(
                    f"Parameter {name} is {p.dtype}; gradients in it are too coarse. Convert the model with model.float()."
                )
            count += p.numel()
    if not count:
        raise UnsupportedModel(
            "The model has no floating point parameters, so it has no tangent kernel. Use kind='inputs' or pass the trained model."
        )
