"""What a parameter's gradient is made of, for each kind of operation that has one: inputs and output gradients.

A site is one use of parameters by one operation. For a sample it has a left factor (what autograd saved of the input) and a
right factor (the gradient with respect to the output), and the gradient of its parameters is a sum of their products. Shapes, for
n samples and H mixes of logits ("heads"):

- matrix sites: left ``[n, ...]``, right ``[n, H, q, T]``, T positions; columns ``[n, T, p]`` are the inputs of each position;
- scale sites (norms, added or multiplied parameters): left and right have the shape of the output, ``[n, ...]``, ``[n, H, ...]``;
- embedding sites: left int ``[n, T]``, right ``[n, H, d, T]``.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn import functional as F

from ntkviz.gradients.layout import Layout


@dataclass(frozen=True)
class Site(ABC):
    """One use of parameters.

    Attributes:
        node: index in the walk of the graph.
        parameters: role ("weight", "bias") -> name.
        layout: where the batch is.
    """

    node: int
    parameters: Mapping[str, str]
    layout: Layout

    def key(self) -> object:
        """What is the same in every pass."""
        return replace(self, node=-1, layout=Layout())

    def placed(self, layout: Layout) -> "Site":
        """The same site with a layout."""
        return replace(self, layout=layout)

    def at(self, node: int) -> "Site":
        """The same site in another pass."""
        return replace(self, node=node)

    def fits(self, layout: Layout) -> bool:
        """Whether the batch may lie there: where the operation does not mix it."""
        return layout.axis == 0

    @abstractmethod
    def saved(self, node: Any) -> torch.Tensor:
        """What autograd kept of the input, as it lies in memory."""

    def left(self, node: Any, n: int) -> torch.Tensor:
        """The left factor, samples first."""
        return self.layout.first(self.saved(node).detach(), n)

    def right(self, gradient: torch.Tensor, n: int) -> torch.Tensor:
        """The right factor of one head, samples first."""
        return self.layout.first(gradient, n)

    @abstractmethod
    def gradient(self, role: str, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """The gradient of a parameter, ``[n, H, size]``, in the order of the flattened parameter."""


@dataclass(frozen=True)
class MatmulSite(Site):
    """Rows times a weight, ``F.linear`` and ``@``: ``[R, p] -> [R, q]``.

    Attributes:
        turned: the weight is ``[p, q]``, not ``[q, p]`` as in ``nn.Linear``.
    """

    turned: bool = False

    def saved(self, node: Any) -> torch.Tensor:
        """The rows ``[R, p]``."""
        return node._saved_mat1 if node.name() == "AddmmBackward0" else node._saved_self

    def right(self, gradient: torch.Tensor, n: int) -> torch.Tensor:
        """``[n, q, T]``."""
        return self.layout.first(gradient, n).transpose(1, 2)

    def columns(self, left: torch.Tensor) -> torch.Tensor:
        """``[n, T, p]``."""
        return left

    def gradient(self, role: str, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """See the base class."""
        if role == "bias":
            return right.sum(-1)
        n, heads, q, t = right.shape
        product = torch.bmm(right.reshape(n, heads * q, t), left).reshape(n, heads, q, -1)
        return (product.transpose(2, 3) if self.turned else product).reshape(n, heads, -1)

    @property
    def is_product(self) -> bool:
        """Whether the weight's gradient is right times columns, as they are."""
        return not self.turned


@dataclass(frozen=True)
class ConvSite(Site):
    """Convolution in one to three dimensions.

    Attributes:
        kernel: window.
        stride: of the window.
        padding: zeros on both sides.
        dilation: steps inside the window.
        groups: of channels.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def saved(self, node: Any) -> torch.Tensor:
        """``[R, channels, *space]``."""
        return node._saved_input

    def right(self, gradient: torch.Tensor, n: int) -> torch.Tensor:
        """``[n, q, T]``."""
        first = self.layout.first(gradient, n)  # [n, R / n, q, *space]
        return first.transpose(1, 2).reshape(n, first.shape[2], -1)

    def columns(self, left: torch.Tensor) -> torch.Tensor:
        """The windows, ``[n, T, p]`` with p = channels x window; a transposed view."""
        n, r, c = left.shape[:3]
        sides = [s for p in reversed(self.padding) for s in (p, p)]
        x = F.pad(left.reshape(n * r, *left.shape[2:]), sides) if any(sides) else left.reshape(n * r, *left.shape[2:])
        x = x.contiguous()
        steps = x.stride()[2:]
        size = [
            (x.shape[2 + i] - d * (k - 1) - 1) // s + 1
            for i, (k, s, d) in enumerate(zip(self.kernel, self.stride, self.dilation, strict=True))
        ]
        window = [d * step for d, step in zip(self.dilation, steps, strict=True)]
        places = [s * step for s, step in zip(self.stride, steps, strict=True)]
        seen = x.as_strided((n * r, c, *self.kernel, *size), (*x.stride()[:2], *window, *places))
        flat = seen.reshape(n, r, -1, math.prod(size))
        return flat.transpose(1, 2).reshape(n, flat.shape[2], -1).transpose(1, 2)

    def gradient(self, role: str, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """See the base class."""
        if role == "bias":
            return right.sum(-1)
        n, heads, q, t = right.shape
        columns = self.columns(left)
        if self.groups == 1:
            return torch.bmm(right.reshape(n, heads * q, t), columns).reshape(n, heads, -1)
        g = self.groups
        right = right.reshape(n, heads, g, q // g, t).transpose(1, 2).reshape(n * g, heads * (q // g), t)
        columns = columns.reshape(n, t, g, -1).transpose(1, 2).reshape(n * g, t, -1)
        return torch.bmm(right, columns).reshape(n, g, heads, -1).transpose(1, 2).reshape(n, heads, -1)

    @property
    def is_product(self) -> bool:
        """Whether the weight's gradient is right times columns, as they are."""
        return self.groups == 1


@dataclass(frozen=True)
class ScaleSite(Site):
    """A parameter that multiplies or is added to every entry it is broadcast to: norms, scales, biases, positions.

    Attributes:
        kind: name of the operation's node.
        shapes: role -> the parameter's shape, filled up with ones to as many axes as the output has.
        slot: the parameter's place among the operands of a product.
    """

    kind: str
    shapes: Mapping[str, tuple[int, ...]]
    slot: int = 0

    def fits(self, layout: Layout) -> bool:
        """Not along an axis that the parameter has."""
        return all(shape[layout.axis] == 1 for shape in self.shapes.values())

    def saved(self, node: Any) -> torch.Tensor:
        """What the scale multiplies: the normalised input, or the other operand; nothing for additions."""
        output = node._input_metadata[0]
        shape = tuple(output.shape)
        if self.kind in {"AddBackward0", "ExpandBackward0"}:
            return torch.zeros((), device=output.device).expand(shape)
        if self.kind == "SubBackward0":
            return torch.tensor(-1.0 if self.slot else 1.0, dtype=output.dtype, device=output.device).expand(shape)
        if self.kind == "MulBackward0":
            return (node._saved_other if self.slot == 0 else node._saved_self).expand(shape)
        if self.kind == "DivBackward0":
            other = node._saved_other
            return (1 / other if self.slot == 0 else -node._saved_self / other.square()).expand(shape)
        x = node._saved_input
        if self.kind == "NativeBatchNormBackward0":
            along = (-1, *[1] * (x.ndim - 2))
            scale = torch.rsqrt(node._saved_running_var + node._saved_eps)
            return (x - node._saved_running_mean.reshape(along)) * scale.reshape(along)
        if self.kind == "NativeGroupNormBackward0":
            grouped = x.reshape(*node._saved_result1.shape, -1)
            return ((grouped - node._saved_result1[..., None]) * node._saved_result2[..., None]).reshape(x.shape)
        return (x - node._saved_result1) * node._saved_result2

    def gradient(self, role: str, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """See the base class."""
        n, heads = right.shape[:2]
        product = right * left[:, None] if role == "weight" else right
        summed = [2 + i for i, size in enumerate(self.shapes[role]) if size == 1]
        return (product.sum(summed) if summed else product).reshape(n, heads, -1)


@dataclass(frozen=True)
class EmbeddingSite(Site):
    """Rows of a table.

    Attributes:
        n_rows: V.
        padding: row without gradient, or -1.
    """

    n_rows: int
    padding: int

    def fits(self, layout: Layout) -> bool:
        """Anywhere among the ids."""
        return True

    def saved(self, node: Any) -> torch.Tensor:
        """The ids."""
        return node._saved_indices

    def left(self, node: Any, n: int) -> torch.Tensor:
        """``[n, T]``; ids without gradient are -1."""
        ids = self.layout.first(self.saved(node).detach(), n).reshape(n, -1)
        return torch.where(ids == self.padding, -1, ids) if self.padding >= 0 else ids

    def right(self, gradient: torch.Tensor, n: int) -> torch.Tensor:
        """``[n, d, T]``."""
        first = self.layout.first(gradient, n)
        return first.reshape(n, -1, first.shape[-1]).transpose(1, 2)

    def gradient(self, role: str, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """See the base class."""
        n, heads, d, t = right.shape
        table = right.new_zeros(n, heads, self.n_rows + 1, d)  # one row more for ids without gradient
        ids = torch.where(left < 0, self.n_rows, left)[:, None, :, None].expand(n, heads, t, d)
        return table.scatter_add_(2, ids, right.transpose(2, 3))[:, :, : self.n_rows].reshape(n, heads, -1)
