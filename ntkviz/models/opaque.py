"""Parts of a model that gradients cannot be followed through, though it runs: each with a sentence that says how to mend it."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from ntkviz.models.causes import listed

#: Node of a re-entrant checkpoint in the autograd graph; other libraries name theirs likewise.
_CHECKPOINT = "CheckpointFunction"
#: What torch says when such a checkpoint is entered by inputs without gradient: it then leaves no node at all.
_NO_NODE = "None of the inputs have requires_grad=True"


def scripted(model: nn.Module) -> str:
    """What to do about TorchScript in a model, or "" when there is none."""
    names = [name for name, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
    if not names:
        return ""
    return (
        f"{f'Module {names[0]!r}' if names[0] else 'The model'} is TorchScript, traced or scripted: its parameters cannot be exchanged and "
        "its layers cannot be looked into. Build the network from its Python class and take over the weights: "
        "model.load_state_dict(scripted.state_dict())."
    )


@contextmanager
def noting_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Keep what is warned of, for :func:`reentrant`; nothing is printed.

    Yields:
        The list, which grows.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield told


def reentrant(logits: torch.Tensor, told: Sequence[warnings.WarningMessage]) -> str:
    """What to do about a re-entrant checkpoint, or "" when there is none.

    Args:
        logits: of a forward pass with gradients.
        told: what was warned of in that pass.
    """
    if not any(_NO_NODE in str(warning.message) for warning in told) and not _has_node(logits, _CHECKPOINT):
        return ""
    return (
        "The model runs a part of itself through a re-entrant checkpoint, in which PyTorch computes no gradients but with backward(): those "
        "of the layers inside are missing. Call checkpoint(..., use_reentrant=False), or switch checkpointing off "
        "(gradient_checkpointing_disable() in Hugging Face models)."
    )


def sparse(gradients: Mapping[str, torch.Tensor | None]) -> str:
    """What to do about parameters with sparse gradients, or "" when there are none."""
    names = [name for name, gradient in gradients.items() if gradient is not None and gradient.layout != torch.strided]
    if not names:
        return ""
    return (
        f"The gradients of {listed(names)} are sparse tensors, which few operations take. Make the embedding with sparse=False, or set "
        "module.sparse = False: the function and its weights stay the same."
    )


def _has_node(logits: torch.Tensor, name: str) -> bool:
    """Whether a node with this name is in the graph behind a tensor."""
    stack, seen = [logits.grad_fn], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if name in node.name():
            return True
        stack.extend(child for child, _ in node.next_functions)
    return False
