"""A model held so that nothing that forward() does to it stays."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from ntkviz.models.outputs import frozen_eval


@contextmanager
def untouched(model: nn.Module) -> Iterator[nn.Module]:
    """Hold a model in eval mode and undo whatever happens to it.

    Beyond :func:`ntkviz.models.outputs.frozen_eval`, which is enough for well-behaved models, the numbers in parameters and
    buffers, the attributes of its modules and the random generators of NumPy and Python are restored: a forward() may count
    its calls or update statistics. Costs a copy of the parameters.

    Args:
        model: any module.

    Yields:
        The same model.
    """
    modules = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    attributes = [(module.__dict__, dict(module.__dict__)) for module in modules]
    members = [(kept, dict(kept)) for module in modules for kept in (module._parameters, module._buffers)]
    lazy = (nn.UninitializedParameter, nn.UninitializedBuffer)
    tensors = [t for t in (*model.parameters(), *model.buffers()) if not isinstance(t, lazy)]
    numbers = [(tensor, tensor.detach().clone()) for tensor in tensors]
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - the old generator is what models use
    try:
        with frozen_eval(model):
            yield model
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        for now, before in (*attributes, *members):
            _restore(now, before)
        with torch.no_grad():
            for tensor, before in numbers:
                # Only where it changed: writing would spoil a graph that somebody holds.
                if not torch.equal(tensor, before):
                    tensor.copy_(before)


def _restore(now: dict, before: dict) -> None:
    """Give a dict the entries that it had, touching only those that differ."""
    for key in [key for key in now if key not in before]:
        del now[key]
    for key, value in before.items():
        if key not in now or now[key] is not value:
            now[key] = value
