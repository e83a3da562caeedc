"""Per-sample gradients of all samples, streamed in blocks of columns so that memory stays bounded.

Data layout: a block is ``[n, width]``: n samples, ``width`` consecutive entries of the flattened parameter vector of a
layer, for one mix of logits ("head"). Streaming over columns and heads, and not over tiles of samples, computes every
backward pass once as long as one head's gradients fit, however many tiles the Gram matrix has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ntkviz.gradients.differentiable import Differentiable
from ntkviz.gradients.terms import layer_of
from ntkviz.types import ProgressFn, silent

#: What one call of autograd may hold at a time: larger chunks leave the cache and are slower on a CPU.
_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Piece:
    """Entries ``start:stop`` of one flattened parameter; ``offset`` is the parameter's place in the whole vector of P."""

    name: str
    start: int
    stop: int
    offset: int


@dataclass(frozen=True)
class Group:
    """Pieces of one layer whose gradients are held at the same time."""

    layer: str
    pieces: tuple[Piece, ...]

    @property
    def width(self) -> int:
        """Columns in total."""
        return sum(p.stop - p.start for p in self.pieces)


@dataclass(frozen=True)
class Block:
    """Gradients of all samples for one head and one group of columns; ``values`` is reused for the next block."""

    head: int
    group: Group
    values: torch.Tensor  # [n, width]


def plan_groups(sizes: dict[str, int], max_width: int, *, by_layer: bool = False) -> list[Group]:
    """Cut the parameter vector into groups of at most ``max_width`` columns.

    Args:
        sizes: name -> entries, in the order of the parameter vector.
        max_width: columns that fit in memory for all samples; at least 1.
        by_layer: begin a new group at every layer, so that blocks can be added up a layer at a time.

    Returns:
        Groups that cover every entry once, in order.
    """
    groups: list[Group] = []
    pieces: list[Piece] = []
    room, offset = max_width, 0

    def close() -> None:
        nonlocal room
        if pieces:
            groups.append(Group(layer_of(pieces[0].name), tuple(pieces)))
            pieces.clear()
        room = max_width

    for name, size in sizes.items():
        if by_layer and pieces and layer_of(pieces[0].name) != layer_of(name):
            close()
        start = 0
        while start < size:
            stop = min(size, start + room)
            pieces.append(Piece(name, start, stop, offset))
            room -= stop - start
            start = stop
            if room == 0:
                close()
        offset += size
    close()
    return groups


def gradient_blocks(
    model: Differentiable,
    x: torch.Tensor,
    heads: torch.Tensor,
    *,
    memory_bytes: int,
    by_layer: bool = False,
    names: Sequence[str] | None = None,
    on_progress: ProgressFn = silent,
    stage: str = "kernel",
) -> Iterator[Block]:
    """Stream the gradients of every head over all samples.

    Args:
        model: inside its ``held`` context.
        x: ``[n, ...]``.
        heads: ``[H, C]``, the same mixes for all samples, or ``[n, H, C]``, a sample's own.
        memory_bytes: bound on the block's buffer.
        by_layer: see :func:`plan_groups`.
        names: the parameters wanted; None means all.
        on_progress: called after every chunk of samples.
        stage: name given to ``on_progress``.

    Yields:
        For each group of columns, one block a head, in the order of the heads.
    """
    n = len(x)
    sizes = {k: size for k, size in model.sizes.items() if names is None or k in names}
    groups = plan_groups(sizes, max(1, memory_bytes // (n * model.dtype.itemsize)), by_layer=by_layer)
    buffer = torch.empty(n, max(g.width for g in groups), dtype=model.dtype, device=model.device)
    n_heads = heads.shape[-2]
    total = len(groups) * n_heads
    for i, group in enumerate(groups):
        for head in range(n_heads):
            values = buffer[:, : group.width]
            v = heads[head] if heads.ndim == 2 else heads[:, head]
            for done in _fill(model, x, v, group, values):
                on_progress(stage, (i * n_heads + head + done) / total)
            yield Block(head, group, values)


def _fill(model: Differentiable, x: torch.Tensor, v: torch.Tensor, group: Group, values: torch.Tensor) -> Iterator[float]:
    """Write the group's gradients of all samples into ``values``.

    Yields:
        The fraction done, after each chunk of samples.
    """
    names = list(dict.fromkeys(p.name for p in group.pieces))
    # Loops come back often enough to be cancelled within a second.
    chunk = model.chunk_size(sum(model.sizes[k] for k in names), _CHUNK_BYTES) if model.route[0] == "vmap" else 16
    for start in range(0, len(x), chunk):
        rows = slice(start, start + chunk)
        grads = model.gradients(x[rows], names, v if v.ndim == 1 else v[rows])
        column = 0
        for p in group.pieces:
            width = p.stop - p.start
            values[rows, column : column + width] = grads[p.name][:, p.start : p.stop]
            column += width
        yield min(1.0, (start + chunk) / len(x))
