"""Where in a model a fault probably comes from: hints for a person, by types of layers and by a look at the source."""

import inspect
import re

from torch import nn


def leak(model: nn.Module) -> str:
    """The layers that probably mix samples."""
    batch_norms = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._NormBase)
        and module.running_mean is None
        and "Instance" not in type(module).__name__
    ]
    if batch_norms:
        return f"BatchNorm without running statistics ({listed(batch_norms)}) uses those of the batch; train with track_running_stats=True"
    sequences = (nn.MultiheadAttention, nn.RNNBase)
    swapped = [name or type(m).__name__ for name, m in model.named_modules() if isinstance(m, sequences) and not m.batch_first]
    if swapped:
        return f"{listed(swapped)} takes the first axis for positions; make it with batch_first=True"
    calls = matching_line(model, r"batch_norm\(|\.(?:mean|std|var|sum|max|softmax)\((?:dim=)?0\b")
    if calls:
        return f"{calls} seems to compute over the batch axis"
    return "usual causes are statistics of the batch, attention along the batch axis, and branches on the whole batch"


def matching_line(model: nn.Module, pattern: str) -> str:
    """The first line of a forward() of the model's own classes that matches, as "Net.forward (`...`)", or ""."""
    for cls in dict.fromkeys(type(module) for module in model.modules()):
        if cls.__module__.startswith("torch."):
            continue
        try:
            source = inspect.getsource(cls.forward)
        except (OSError, TypeError):
            continue
        line = next((line.strip() for line in source.splitlines() if re.search(pattern, line)), None)
        if line is not None:
            return f"{cls.__name__}.forward (`{line[:80]}`)"
    return ""


def last(model: nn.Module) -> nn.Module:
    """The module registered last, at the deepest level."""
    return list(model.modules())[-1]


def listed(names: list[str] | tuple[str, ...]) -> str:
    """The first few names."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
