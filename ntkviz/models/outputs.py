"""What a model takes and gives back, inputs and logits ``[n, C]``, and a model held in eval mode for a while.

Both are used wherever a model is called: a model that returns an object with ``.logits`` (Hugging Face) and one that
returns ``[n]`` for a single logit are treated alike everywhere.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from ntkviz.errors import UnsupportedModel

_WANTED = "expected one tensor of logits [n, C] (also [n] or [n, 1] for one logit, or an object or dict with `logits`)"


def as_logits(output: object, n: int) -> torch.Tensor:
    """The logits in what a model returned.

    Args:
        output: a tensor ``[n, C]``, ``[n]`` or ``[n, 1]`` of real floats, or an object with ``.logits`` or a mapping with the
            key ``"logits"`` that holds one. The graph of gradients is kept.
        n: how many samples were given to the model.

    Returns:
        Tensor ``[n, C]``, C >= 1, of the dtype and on the device that the model chose.

    Raises:
        UnsupportedModel: when anything else came; the message says what.
    """
    logits = _unwrapped(output)
    if not isinstance(logits, torch.Tensor):
        raise UnsupportedModel(
            f"The model returned {_described(output)}; {_WANTED}. Wrap the model so that forward() returns only the logits."
        )
    if not logits.is_floating_point():
        raise UnsupportedModel(
            f"The model returned {_described(logits)}; {_WANTED}, of real floating point numbers. "
            "Return the scores before argmax, which has no gradient."
        )
    if logits.ndim == 1 and logits.shape[0] == n:
        return logits[:, None]
    if logits.ndim == 2 and logits.shape[0] == n and logits.shape[1] >= 1:
        return logits
    hint = ""
    if n == 1 and logits.ndim == 1:
        hint = " A squeeze() without a dimension drops the batch axis of a single sample: use squeeze(-1) or flatten(1)."
    elif logits.ndim > 2:
        hint = " A prediction for every pixel or position is not a classifier of samples: pool it to one row a sample."
    raise UnsupportedModel(f"For {n} samples the model returned {_described(logits)}; {_WANTED}, n = {n}.{hint}")


def as_inputs(model: nn.Module, x: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Inputs as the model takes them: on its device, floats in its precision, token ids as int64.

    Args:
        model: whose first floating point parameter tells device and dtype.
        x: ``[n, ...]``, array or tensor of real numbers; it is not changed.

    Returns:
        Tensor ``[n, ...]``.

    Raises:
        UnsupportedModel: when ``x`` is no array of numbers or holds no sample.
    """
    if isinstance(x, np.ndarray) and x.dtype.kind in "fiub":
        # A copy where torch would refuse the strides or warn of memory that it must not write to.
        x = torch.from_numpy(x if x.flags.writeable and all(step >= 0 for step in x.strides) else x.copy())
    if not isinstance(x, torch.Tensor) or x.ndim < 1 or not len(x) or x.is_complex():
        came = f"an array of {x.dtype} {list(x.shape)}" if isinstance(x, np.ndarray) else _described(x)
        raise UnsupportedModel(f"Expected inputs [n, ...] as an array or a tensor of real numbers with n >= 1; got {came}.")
    parameter = next((p for p in model.parameters() if p.is_floating_point()), None)
    device = x.device if parameter is None else parameter.device
    if not x.is_floating_point():
        return x.detach().to(device, torch.int64)
    return x.detach().to(device, torch.get_default_dtype() if parameter is None else parameter.dtype)


@contextmanager
def frozen_eval(model: nn.Module) -> Iterator[nn.Module]:
    """Hold a model in eval mode, then give every module its own training flag back.

    The flags are set directly and not through the method ``eval``, which a model may override. The state of torch's random
    generators is restored as well, so that a look at a model does not change what a seeded program does next, and so are the
    ``requires_grad`` flags of the parameters.

    Args:
        model: any module; on return it is as it was, also after an error.

    Yields:
        The same model, with ``training`` False in all its modules.
    """
    flags = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        try:
            for module, _ in flags:
                module.training = False
            yield model
        finally:
            for module, training in flags:
                module.training = training
            for parameter, requires_grad in wanted:
                if parameter.requires_grad != requires_grad:
                    parameter.requires_grad_(requires_grad)


def _unwrapped(output: object) -> object:
    """The member called ``logits`` if there is one, otherwise the output itself."""
    if isinstance(output, torch.Tensor):
        return output
    if isinstance(output, Mapping):
        return output.get("logits", output)
    return getattr(output, "logits", output)


def _described(value: object) -> str:
    """A value in a few words: a tensor by dtype and shape, a container by its type and what is inside."""
    if isinstance(value, torch.Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor {list(value.shape)}"
    if isinstance(value, Mapping):
        keys = ", ".join(repr(str(key)[:40]) for key in list(value)[:8])
        return f"a {type(value).__name__} with the keys {keys or 'none'}"
    if isinstance(value, (tuple, list)):
        inside = ", ".join(_described(entry) for entry in value[:3]) + (", ..." if len(value) > 3 else "")
        return f"a {type(value).__name__} of {len(value)} ({inside})"
    return f"an object of type {type(value).__name__}"
