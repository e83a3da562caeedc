"""Normalisation as part of the model, so that data stay in their own units and a kernel sees what the network sees."""

import math
from collections.abc import Sequence

import torch
from torch import nn


class Normalised(nn.Module):
    """A network behind (x - mean) / std.

    Attributes:
        net: the network.
        mean: buffer ``[1]`` (one for all) or ``[k]``, one an entry of axis 1: a channel of ``[n, k, H, W]`` or a feature of
            ``[n, k]``.
        std: buffer of the same length or of length 1, above 0.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, net: nn.Module, mean: float | Sequence[float] | torch.Tensor, std: float | Sequence[float] | torch.Tensor
    ) -> None:
        """Wrap ``net``.

        Raises:
            ValueError: when a value is not finite, a standard deviation is not above 0, or the lengths disagree.
        """
        super().__init__()
        self.net = net
        device = next((parameter.device for parameter in net.parameters()), None)
        self.register_buffer("mean", _vector(mean, "mean", device))
        self.register_buffer("std", _vector(std, "std", device))
        if len(self.mean) != len(self.std) and 1 not in (len(self.mean), len(self.std)):
            raise ValueError(f"`mean` has {len(self.mean)} entries and `std` {len(self.std)}; expected equally many, or one.")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What ``net`` returns for the normalised ``x`` ``[n, ...]``.

        Raises:
            ValueError: when axis 1 of ``x`` has another length than ``mean`` or ``std``.
        """
        return self.net((x - self._along(self.mean, x)) / self._along(self.std, x))

    def _along(self, values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """``values`` shaped to broadcast along axis 1 of ``x``.

        Raises:
            ValueError: when they do not fit. Broadcasting would make three channels of one without a word.
        """
        if len(values) == 1:
            return values
        if x.ndim < 2 or x.shape[1] != len(values):
            raise ValueError(
                f"Inputs have the shape {list(x.shape)}; expected {len(values)} entries along axis 1, one for each value of "
                "`mean` and `std`. Give one value for all, or one a channel (images) or feature (tables)."
            )
        return values.reshape(-1, *[1] * (x.ndim - 2))


def _vector(values: float | Sequence[float] | torch.Tensor, name: str, device: torch.device | None) -> torch.Tensor:
    """float32 ``[k]``, checked on the CPU (values on ``meta`` cannot be), then moved.

    Raises:
        ValueError: when they are empty, not finite, nested, or (for ``std``) not above 0.
    """
    vector = torch.as_tensor(values, dtype=torch.float32, device=None if isinstance(values, torch.Tensor) else "cpu")
    if vector.ndim > 1 or not vector.numel():
        raise ValueError(f"`{name}` has the shape {list(vector.shape)}; expected one number or a flat list of them.")
    vector = vector.detach().clone().reshape(-1)
    for place, value in enumerate(vector.tolist()):
        if not math.isfinite(value) or (name == "std" and value <= 0):
            wanted = "a finite number above 0" if name == "std" else "a finite number"
            hint = " A feature that never varies has to be left out." if name == "std" and value == 0 else ""
            raise ValueError(f"`{name}[{place}]` is {value}; expected {wanted}.{hint}")
    return vector if device is None else vector.to(device)
