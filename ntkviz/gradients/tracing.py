"""Forward passes whose graph is walked, and backward passes that ask only for the gradients at layer outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import GradientEdge
from torch.utils._python_dispatch import TorchDispatchMode

from ntkviz.gradients.graph import Trace, walk
from ntkviz.gradients.sites import Site
from ntkviz.gradients.swap import call
from ntkviz.models.outputs import as_logits


class Tracer:
    """A model whose passes can be traced; the model itself is not touched.

    Attributes:
        leaves: name -> the parameter as a leaf of the graph, in the model's memory.
    """

    def __init__(self, model: nn.Module, parameters: Mapping[str, torch.Tensor]) -> None:
        """Make leaves that share the parameters' memory."""
        self._model = model
        self.leaves = {k: p.detach().requires_grad_() for k, p in parameters.items()}
        self._names = {id(leaf): k for k, leaf in self.leaves.items()}

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, Trace]:
        """Logits ``[n, C]`` with their graph, and its walk."""
        with torch.enable_grad():
            logits = as_logits(call(self._model, self.leaves, x), len(x))
        return logits, walk(logits, self._names)


def gradients_at(outputs: Any, trace: Trace, sites: Sequence[Site], v: torch.Tensor, *, keep: bool) -> list[torch.Tensor]:
    """Gradients at the outputs of the sites' operations; no gradient of a parameter is computed.

    Args:
        outputs: the logits ``[n, C]``, or an edge of their graph.
        trace: of the pass.
        sites: where gradients are wanted.
        v: ``[n, C]``, or ``[H, n, C]`` for all heads in one vectorised pass.
        keep: whether another backward pass follows.

    Returns:
        For each site the gradient in the shape of its output, with H first where v has it.
    """
    if not sites:
        return []
    edges = [GradientEdge(trace.nodes[site.node], 0) for site in sites]
    batched = v.ndim == 3
    given = torch.autograd.grad(
        [outputs],
        edges,
        grad_outputs=[v],
        retain_graph=keep,
        allow_unused=True,
        is_grads_batched=batched,  # type: ignore[arg-type]
    )
    return [g if g is not None else _zeros(edge.node, v, batched) for g, edge in zip(given, edges, strict=True)]


def _zeros(node: Any, v: torch.Tensor, batched: bool) -> torch.Tensor:
    shape = tuple(node._input_metadata[0].shape)
    return v.new_zeros((len(v), *shape) if batched else shape)


class _Watch(TorchDispatchMode):
    """Notes whether a number is read out of a tensor, which is how a program branches on data."""

    def __init__(self) -> None:
        super().__init__()
        self.read = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.read |= func.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.is_nonzero, torch.ops.aten.equal)
        return func(*args, **(kwargs or {}))


def branches_on_data(tracer: Tracer, x: torch.Tensor) -> bool:
    """Whether the forward pass reads numbers out of tensors, so that another sample may take another way."""
    with _Watch() as watch:
        tracer.run(x)
    return watch.read
