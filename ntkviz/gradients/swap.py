"""A model called with other tensors in the place of its parameters."""

from collections.abc import Iterable, Mapping

import torch
from torch import nn
from torch.func import functional_call


def call(model: nn.Module, parameters: Mapping[str, torch.Tensor], x: torch.Tensor) -> object:
    """What the model puts out for x, with these parameters and copies of its buffers; the model is as it was afterwards.

    A forward that counts its calls in a buffer counts in the copy. Every place of a tied parameter gets the same tensor, and a
    module that is registered under two names is one place: ``functional_call`` with its own tying would swap it twice and leave
    the model with the tensors of the call.

    Args:
        model: any module.
        parameters: canonical name (as in ``named_parameters``) -> tensor.
        x: ``[n, ...]``.

    Returns:
        The model's output.
    """
    names = {id(p): name for name, p in model.named_parameters()}
    slots = {
        name: parameters[names[id(p)]]
        for name, p in _slots(model, model.named_parameters(remove_duplicate=False))
        if names[id(p)] in parameters
    }
    copies: dict[int, torch.Tensor] = {}
    for name, buffer in _slots(model, model.named_buffers(remove_duplicate=False)):
        slots[name] = copies.setdefault(id(buffer), buffer.detach().clone())
    return functional_call(model, slots, (x,), tie_weights=False)


def _slots(model: nn.Module, named: Iterable[tuple[str, torch.Tensor]]) -> list[tuple[str, torch.Tensor]]:
    """One name for each module and attribute that holds a tensor."""
    modules = dict(model.named_modules(remove_duplicate=False))
    seen: dict[tuple[int, str], tuple[str, torch.Tensor]] = {}
    for name, tensor in named:
        owner, _, attribute = name.rpartition(".")
        seen.setdefault((id(modules[owner]), attribute), (name, tensor))
    return list(seen.values())
