"""The autograd graph of a forward pass, walked from the logits: every use of every parameter, and nothing assumed.

Modules are not looked at. What autograd would differentiate is what is found here: a module called twice is two nodes, a
tied weight is one leaf with two consumers, a functional use is a node like any other, and an in-place operation after a layer
has moved the layer's output edge by the time the graph is walked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ntkviz.gradients.derived import Origin, origins

#: Nodes that hand a parameter on transposed: ``F.linear`` without a fused route.
_TRANSPOSED = "TBackward0"


@dataclass(frozen=True)
class Use:
    """One place where a parameter enters an operation.

    Attributes:
        parameter: its name.
        node: index of the operation's node in the walk.
        slot: which input of the operation it is.
        transposed: whether it is transposed on the way.
        made: where it is no parameter but a tensor made of some, how it is made.
    """

    parameter: str
    node: int
    slot: int
    transposed: bool
    made: Origin | None = None


@dataclass(frozen=True)
class Trace:
    """One forward pass.

    Attributes:
        nodes: autograd nodes in the order of the walk, alive as long as the trace.
        uses: every use of every parameter, in the order of the walk.
        leaves: ``id`` of a leaf tensor -> name of the parameter.
    """

    nodes: list[Any]
    uses: tuple[Use, ...]
    leaves: Mapping[int, str]

    def origins(self) -> dict[Any, Origin]:
        """See :func:`ntkviz.gradients.derived.origins`."""
        return origins(self.nodes, self.leaves)


def walk(logits: torch.Tensor, leaves: Mapping[int, str]) -> Trace:
    """Walk the graph behind logits.

    Args:
        logits: any tensor with a graph.
        leaves: ``id`` of a leaf tensor -> name of the parameter.

    Returns:
        The trace. A parameter without a use in it has no gradient, unless an operation hides it (a custom function, a
        re-entrant checkpoint); that can only be seen from its gradient.
    """
    seen: set[Any] = set()
    nodes: list[Any] = []
    stack = [logits.grad_fn]
    while stack:  # depth first: operations come in an order that a copy or a view more or less does not change
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        nodes.append(node)
        stack.extend(child for child, _ in reversed(node.next_functions))
    uses = tuple(
        Use(name, i, slot, transposed)
        for i, node in enumerate(nodes)
        if not _only_transposes(node)
        for slot, (child, _) in enumerate(node.next_functions)
        for name, transposed in [_parameter(child, leaves)]
        if name is not None
    )
    return Trace(nodes, uses, leaves)


def _only_transposes(node: Any) -> bool:
    """A transposition of a leaf is no use: what consumes it is."""
    return node.name() == _TRANSPOSED and hasattr(node.next_functions[0][0], "variable")


def _parameter(node: Any, leaves: Mapping[int, str]) -> tuple[str | None, bool]:
    """The parameter that comes out of a node, and whether it is transposed."""
    if node is None:
        return None, False
    if hasattr(node, "variable"):
        return leaves.get(id(node.variable)), False
    if node.name() == _TRANSPOSED:
        child = node.next_functions[0][0]
        if child is not None and hasattr(child, "variable"):
            return leaves.get(id(child.variable)), True
    return None, False
