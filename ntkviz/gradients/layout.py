"""Where the batch axis is inside a tensor, found by comparing a batch with single samples.

Inside a model the batch may be merged with time (``[n T, d]``, sample by sample or time by time) or come second. A layout names an
axis and how it splits: axis k of size ``outer * n * inner``. A layout is taken only when it gives, number for number, what
the samples give alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

#: Batches and single samples go through different matrix products: rounding, as a share of the largest number.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Layout:
    """Axis ``axis`` holds ``outer`` x n x ``inner`` entries.

    Attributes:
        axis: the axis with the batch in it.
        outer: entries that run slower than the batch.
    """

    axis: int = 0
    outer: int = 1

    def first(self, tensor: torch.Tensor, n: int) -> torch.Tensor:
        """The samples first: ``[n, ..., outer * inner, ...]`` with the split axis in its old place, one further on."""
        shape = tensor.shape
        inner = shape[self.axis] // (n * self.outer)
        split = tensor.reshape(*shape[: self.axis], self.outer, n, inner, *shape[self.axis + 1 :])
        moved = split.movedim(self.axis + 1, 0)
        return moved.reshape(n, *shape[: self.axis], self.outer * inner, *shape[self.axis + 1 :])


def find_layout(batch: Sequence[torch.Tensor], alone: Sequence[Sequence[torch.Tensor]]) -> Layout | None:
    """The layout under which several tensors of a batch agree with what its samples give alone.

    Args:
        batch: tensors of a pass over n samples, with one layout.
        alone: for each of the n samples, the same tensors of a pass over two copies of it. A batch of one is no model for
            larger ones: axes of length one are squeezed and transposed for nothing.

    Returns:
        The layout, or None when there is none.
    """
    n = len(alone)
    for layout in _candidates(batch[0], alone[0][0], n):
        if all(_agrees(layout, tensor, [one[i] for one in alone]) for i, tensor in enumerate(batch)):
            return layout
    return None


def _candidates(batch: torch.Tensor, double: torch.Tensor, n: int) -> Iterator[Layout]:
    """Layouts that the shapes allow, the usual ones first.

    Yields:
        Layouts of the one axis that is n / 2 times as long in the batch.
    """
    if batch.ndim != double.ndim:
        return
    longer = [k for k in range(batch.ndim) if batch.shape[k] != double.shape[k]]
    if len(longer) != 1 or 2 * batch.shape[longer[0]] != n * double.shape[longer[0]]:
        return
    size = double.shape[longer[0]] // 2
    outer = [k for k in range(1, size + 1) if size % k == 0]
    for k in dict.fromkeys([1, size, *outer]):
        yield Layout(longer[0], k)


def _agrees(layout: Layout, batch: torch.Tensor, alone: Sequence[torch.Tensor]) -> bool:
    """Every sample's part of the batch is what both of its copies give."""
    if batch.ndim <= layout.axis or 2 * batch.shape[layout.axis] != len(alone) * alone[0].shape[layout.axis]:
        return False
    parts = layout.first(batch, len(alone))
    scale = float(batch.abs().max()) if batch.numel() else 0.0
    return all(
        bool(((part - copies).abs() <= _TOLERANCE * scale).all())
        for part, copies in zip(parts, (layout.first(one, 2) for one in alone), strict=True)
    )
