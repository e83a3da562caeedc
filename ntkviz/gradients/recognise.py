"""Autograd nodes that we know how to take apart; every other use of a parameter is left to ``torch.func``."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ntkviz.gradients.derived import DerivedSite, Origin, Pull
from ntkviz.gradients.graph import Trace, Use
from ntkviz.gradients.layout import Layout, find_layout
from ntkviz.gradients.sites import ConvSite, EmbeddingSite, MatmulSite, ScaleSite, Site

_ANYWHERE = Layout()


def find_sites(trace: Trace, made: Mapping[Origin, Mapping[str, Pull]]) -> tuple[list[Site], dict[str, str]]:
    """The sites of a pass, their layouts still unknown.

    Args:
        trace: of the pass.
        made: tensors that are made of parameters alone, and the way from each to its parameters.

    Returns:
        The sites in the order of the walk, and name -> reason for every parameter with a use that is none.
    """
    sites: list[Site] = []
    left_over: dict[str, str] = {}
    for index, uses in sorted(_uses_by_node(trace, made).items()):
        node = trace.nodes[index]
        make = _KINDS.get(node.name())
        site = make(index, node, uses) if make else None
        if site is None:
            names = {name for use in uses.values() for name in ([use.parameter] if use.made is None else made[use.made])}
            left_over |= dict.fromkeys(names, f"used by {_plain(node.name())}")
        else:
            sites += _split(site, {use.parameter: use for use in uses.values()}, made)
    return sites, left_over


def _uses_by_node(trace: Trace, made: Mapping[Origin, object]) -> dict[int, dict[int, Use]]:
    """Node -> slot -> what enters there: parameters, and tensors made of them where they meet data."""
    at: dict[int, dict[int, Use]] = {}
    there = {node: origin for node, origin in trace.origins().items() if origin in made} if made else {}
    for use in trace.uses:
        if trace.nodes[use.node] not in there:
            at.setdefault(use.node, {})[use.slot] = use
    for index, node in enumerate(trace.nodes if there else []):
        if node in there:
            continue
        for slot, (child, _) in enumerate(node.next_functions):
            if child in there and slot not in at.get(index, {}):
                at.setdefault(index, {})[slot] = Use(f"made {slot}", index, slot, False, there[child])
    return at


def _split(site: Site, uses: Mapping[str, Use], made: Mapping[Origin, Mapping[str, Pull]]) -> list[Site]:
    """A site as its parameters see it, and for each parameter behind a made tensor one of its own."""
    own = {role: name for role, name in site.parameters.items() if uses[name].made is None}
    out: list[Site] = [replace(site, parameters=own)] if own else []
    for role, name in site.parameters.items():
        origin = uses[name].made
        for parameter, pull in made[origin].items() if origin is not None else ():
            out.append(DerivedSite(site.node, {"weight": parameter}, _ANYWHERE, site, role, pull))
    return out


@dataclass(frozen=True)
class Pass:
    """A forward and a backward pass.

    Attributes:
        trace: its graph.
        sites: found in it.
        gradients: at the sites, of one mix of logits, in the shapes of their outputs.
    """

    trace: Trace
    sites: Sequence[Site]
    gradients: Sequence[torch.Tensor]

    def seen(self, i: int) -> list[torch.Tensor]:
        """What a layout of site i must explain: the gradient and the input."""
        site = self.sites[i]
        return [self.gradients[i].detach(), site.saved(self.trace.nodes[site.node]).detach()]


def place(batches: Sequence[Pass], alone: Sequence[Pass]) -> tuple[list[Site | None], dict[str, str]]:
    """Find each site's layout by comparing batches with their samples.

    Args:
        batches: n samples in some order, and the same samples in the opposite order: a model that sorts its samples inside has
            no layout that holds for both.
        alone: of two copies of every sample, in the first order, with the same sites in the same order.

    Returns:
        The first batch's sites with their layouts, None for those without, and name -> reason for the parameters of these.
    """
    placed: list[Site | None] = []
    left_over = {}
    for i, site in enumerate(batches[0].sites):
        singles = [one.seen(i) for one in alone]
        found = {find_layout(batches[0].seen(i), singles), find_layout(batches[1].seen(i), singles[::-1])}
        layout = found.pop()
        if found or layout is None or not site.fits(layout):
            left_over |= dict.fromkeys(site.parameters.values(), "the samples of a batch cannot be told apart in its layer")
            placed.append(None)
        else:
            placed.append(site.placed(layout))
    return placed, left_over


def _matmul(index: int, node: Any, uses: Mapping[int, Use]) -> Site | None:
    """Slots: (bias, rows, weight) of ``addmm``, (rows, weight) of ``mm``."""
    fused = node.name() == "AddmmBackward0"
    weight = 2 if fused else 1
    roles = {weight: "weight", 0: "bias"} if fused else {weight: "weight"}
    if not set(uses) <= set(roles) or (fused and not node._saved_alpha == node._saved_beta == 1):
        return None
    if weight not in uses:  # a bias alone: the weight is no parameter
        return None
    if 0 in roles and 0 in uses and (uses[0].transposed or math.prod(_shape(node, 0)) != node._input_metadata[0].shape[1]):
        return None
    names = {roles[slot]: use.parameter for slot, use in uses.items()}
    return MatmulSite(index, names, _ANYWHERE, turned=not uses[weight].transposed)


def _convolution(index: int, node: Any, uses: Mapping[int, Use]) -> Site | None:
    """Slots: input, weight, bias."""
    roles = {1: "weight", 2: "bias"}
    if 1 not in uses or not set(uses) <= set(roles) or node._saved_transposed or any(u.transposed for u in uses.values()):
        return None
    kernel = _shape(node, 1)[2:]
    names = {roles[slot]: use.parameter for slot, use in uses.items()}
    return ConvSite(
        index,
        names,
        _ANYWHERE,
        kernel,
        tuple(node._saved_stride),
        tuple(node._saved_padding),
        tuple(node._saved_dilation),
        node._saved_groups,
    )


def _norm(index: int, node: Any, uses: Mapping[int, Use]) -> Site | None:
    """Slots: input, weight, bias."""
    roles = {1: "weight", 2: "bias"}
    if not set(uses) <= set(roles) or getattr(node, "_saved_training", False):
        return None
    shape = node._input_metadata[0].shape
    if node.name() == "NativeLayerNormBackward0":
        last = len(node._saved_normalized_shape)
        aligned = (1,) * (len(shape) - last) + tuple(shape[-last:])
    else:
        aligned = (1, shape[1], *[1] * (len(shape) - 2))
    names = {roles[slot]: use.parameter for slot, use in uses.items()}
    return ScaleSite(index, names, _ANYWHERE, node.name(), dict.fromkeys(names, aligned))


def _broadcast(index: int, node: Any, uses: Mapping[int, Use]) -> Site | None:
    """Slots: both operands; one of them is the parameter."""
    if len(uses) != 1 or getattr(node, "_saved_alpha", 1) != 1:
        return None
    ((slot, use),) = uses.items()
    if use.transposed:
        return None
    role = "bias" if node.name() in {"AddBackward0", "ExpandBackward0"} else "weight"
    own = _shape(node, slot)
    aligned = (1,) * (len(node._input_metadata[0].shape) - len(own)) + own
    return ScaleSite(index, {role: use.parameter}, _ANYWHERE, node.name(), {role: aligned}, slot)


def _embedding(index: int, node: Any, uses: Mapping[int, Use]) -> Site | None:
    """Slot: the table."""
    if node._saved_scale_grad_by_freq or node._saved_sparse or uses[0].transposed:
        return None
    padding = node._saved_padding_idx
    n_rows = _shape(node, 0)[0]
    return EmbeddingSite(index, {"weight": uses[0].parameter}, _ANYWHERE, n_rows, padding if 0 <= padding < n_rows else -1)


_KINDS: dict[str, Callable[[int, Any, Mapping[int, Use]], Site | None]] = {
    "AddmmBackward0": _matmul,
    "MmBackward0": _matmul,
    "ConvolutionBackward0": _convolution,
    "NativeBatchNormBackward0": _norm,
    "NativeLayerNormBackward0": _norm,
    "NativeGroupNormBackward0": _norm,
    "AddBackward0": _broadcast,
    "SubBackward0": _broadcast,
    "MulBackward0": _broadcast,
    "DivBackward0": _broadcast,
    "ExpandBackward0": _broadcast,
    "EmbeddingBackward0": _embedding,
}


def _shape(node: Any, slot: int) -> tuple[int, ...]:
    """Shape of what enters an operation."""
    child = node.next_functions[slot][0]
    return tuple(child.variable.shape if hasattr(child, "variable") else child._input_metadata[0].shape)


def _plain(node_name: str) -> str:
    """A node's name without autograd's endings."""
    return node_name.removesuffix("0").removesuffix("Backward")
