"""Tensors that are made of parameters alone: a normalised weight, an expanded class token, positions looked up in a table.

Where an operation meets data with such a tensor in the place of a parameter, the gradient with respect to the tensor comes from the
operation's site like any other; what made the tensor is the same for every sample, so autograd takes the gradient on to the
parameters, for all samples and heads in one vectorised pass.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.autograd.graph import GradientEdge

from ntkviz.gradients.layout import Layout
from ntkviz.gradients.sites import Site

#: What tells a tensor of one pass from those of another: how it is made, and its shape.
Origin = tuple[int, tuple[int, ...]]


def origins(nodes: Iterable[Any], leaves: Mapping[int, str]) -> dict[Any, Origin]:
    """How every tensor of a graph that goes back to parameters alone (or to data, which a graph does not show) is made.

    Args:
        nodes: of a walk, in any order.
        leaves: ``id`` of a leaf tensor -> name of the parameter.

    Returns:
        Node -> origin. Those of parameters alone are the ones that passes over different numbers of samples share.
    """
    made: dict[Any, int] = {}
    for root in nodes:
        stack = [root]
        while stack:
            node = stack[-1]
            children = [child for child, _ in node.next_functions if child is not None]
            missing = [child for child in children if child not in made]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            name = leaves.get(id(node.variable), "") if hasattr(node, "variable") else node.name()
            made[node] = hash((name, tuple((made.get(child, 0), slot) for child, slot in node.next_functions)))
    return {
        node: (origin, tuple(node._input_metadata[0].shape))
        for node, origin in made.items()
        if not hasattr(node, "variable") and len(node._input_metadata) == 1
    }


def leaves_behind(node: Any, leaves: Mapping[int, str]) -> dict[str, Any]:
    """Name -> leaf, of all parameters that a tensor is made of."""
    found: dict[str, Any] = {}
    stack, seen = [node], set()
    while stack:
        now = stack.pop()
        if now is None or now in seen:
            continue
        seen.add(now)
        if hasattr(now, "variable") and id(now.variable) in leaves:
            found[leaves[id(now.variable)]] = now.variable
        stack.extend(child for child, _ in now.next_functions)
    return found


@dataclass(frozen=True)
class Pull:
    """Takes gradients from a made tensor to one of the parameters it is made of.

    Attributes:
        node: that made the tensor, in a pass whose graph is kept.
        leaf: the parameter.
        shape: of the tensor.
    """

    node: Any
    leaf: torch.Tensor
    shape: tuple[int, ...]

    def __call__(self, gradients: torch.Tensor) -> torch.Tensor:
        """``[b, entries of the tensor]`` to ``[b, entries of the parameter]``."""
        given = gradients.reshape(len(gradients), *self.shape)
        (pulled,) = torch.autograd.grad(
            [GradientEdge(self.node, 0)],  # type: ignore[list-item]
            [self.leaf],
            grad_outputs=[given],
            retain_graph=True,
            is_grads_batched=True,
        )
        return pulled.reshape(len(gradients), -1)


@dataclass(frozen=True)
class DerivedSite(Site):
    """A use of a made tensor, seen from a parameter that it is made of.

    Attributes:
        inner: the site as if the tensor were a parameter.
        role: of the tensor in it.
        pull: from the tensor to the parameter; its graph belongs to the pass that found the site.
    """

    inner: Site
    role: str
    pull: Pull

    def key(self) -> tuple[object, ...]:
        """What is the same in every pass."""
        return (self.inner.key(), self.role, tuple(self.parameters.values()), self.pull.shape)

    def placed(self, layout: Layout) -> "DerivedSite":
        """The same site with a layout."""
        return replace(self, layout=layout, inner=self.inner.placed(layout))

    def at(self, node: int) -> "DerivedSite":
        """The same site in another pass; what made the tensor is the same there."""
        return replace(self, node=node, inner=self.inner.at(node))

    def fits(self, layout: Layout) -> bool:
        """Whether the batch may lie there."""
        return self.inner.fits(layout)

    def saved(self, node: Any) -> torch.Tensor:
        """What the inner site keeps."""
        return self.inner.saved(node)

    def left(self, node: Any, n: int) -> torch.Tensor:
        """The inner site's."""
        return self.inner.left(node, n)

    def right(self, gradient: torch.Tensor, n: int) -> torch.Tensor:
        """The inner site's."""
        return self.inner.right(gradient, n)

    def gradient(self, role: str, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """See the base class."""
        made = self.inner.gradient(self.role, left, right)
        return self.pull(made.flatten(0, 1)).reshape(*made.shape[:2], -1)
