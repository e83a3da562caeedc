"""The seam between kernels and gradients: every tangent kernel asks for Gram matrices of mixed logits here.

A tangent kernel is K[n, m] = sum_h <grad (v_h . f)(x_n), grad (v_h . f)(z_m)> for some mixes ("heads") v_h of the C logits:
the unit vectors for the trace NTK, one vector of ones for the pseudo NTK, a sample's own signs for the label pseudo NTK.
The generic path below is right for every module that autograd can differentiate; a faster path for known layers takes the
place of :func:`tangent_gram` for the parameters that it covers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ntkviz.errors import BudgetExceeded, UnsupportedModel
from ntkviz.gradients.differentiable import Coverage, Differentiable
from ntkviz.gradients.gram import GramSum
from ntkviz.gradients.stream import Block, gradient_blocks
from ntkviz.types import ProgressFn, silent

_MIB = 2**20


@dataclass(frozen=True)
class Gram:
    """Unnormalised Gram blocks as NumPy.

    Attributes:
        train: float32 ``[N, N]``, exactly symmetric; ``[0, 0]`` when not asked for.
        rows: float32 ``[M, N]``, further points against the training points.
        train_diagonal: float64 ``[N]``.
        rows_diagonal: float64 ``[M]``, each further point with itself.
        coverage: how the gradients were computed; None for kernels without gradients.
    """

    train: np.ndarray
    rows: np.ndarray
    train_diagonal: np.ndarray
    rows_diagonal: np.ndarray
    coverage: Coverage | None = None


def unit_heads(model: Differentiable) -> torch.Tensor:
    """The C unit vectors, ``[C, C]``: sum over logits of the gradients' inner products (trace NTK)."""
    return torch.eye(model.n_logits, dtype=model.dtype, device=model.device)


def tangent_gram(
    model: Differentiable,
    train: torch.Tensor,
    rows: torch.Tensor | None = None,
    *,
    heads: torch.Tensor,
    square: bool = True,
    memory_mb: int = 4096,
    on_progress: ProgressFn = silent,
) -> Gram:
    """Exact Gram matrix of mixed logits' gradients.

    Args:
        model: inside its ``held`` context.
        train: ``[N, ...]``.
        rows: ``[M, ...]`` or None.
        heads: ``[H, C]`` for all points alike, or ``[N + M, H, C]``.
        square: whether the N x N part is wanted.
        memory_mb: bound on everything that grows with N, in MiB.
        on_progress: may raise ``JobCancelled``.

    Returns:
        The blocks, unnormalised.
    """
    total = GramSum(len(train), 0 if rows is None else len(rows), square, model.dtype, model.device)
    for block in _blocks(model, train, rows, heads, gram_bytes(total), memory_mb, on_progress):
        total.add(block.values)
    return finished(total, model.coverage)


def layer_grams(
    model: Differentiable,
    train: torch.Tensor,
    rows: torch.Tensor | None = None,
    *,
    heads: torch.Tensor,
    square: bool = True,
    memory_mb: int = 4096,
    on_progress: ProgressFn = silent,
) -> dict[str, Gram]:
    """The same, split into the layers that own the parameters; the sum over layers is :func:`tangent_gram`.

    Args:
        model: inside its ``held`` context.
        train: ``[N, ...]``.
        rows: ``[M, ...]`` or None.
        heads: see :func:`tangent_gram`.
        square: whether the N x N part is wanted.
        memory_mb: bound on everything that grows with N, in MiB.
        on_progress: may raise ``JobCancelled``.

    Returns:
        Layer name -> Gram, in the order of the parameters.
    """
    done: dict[str, GramSum] = {}
    layers = {name.rpartition(".")[0] or name for name in model.sizes}
    one = GramSum(len(train), 0 if rows is None else len(rows), square, model.dtype, model.device)
    for block in _blocks(model, train, rows, heads, gram_bytes(one) * len(layers), memory_mb, on_progress, by_layer=True):
        if block.group.layer not in done:
            done[block.group.layer] = GramSum(one.n_train, one.n_rows, square, model.dtype, model.device)
        done[block.group.layer].add(block.values)
    return {layer: finished(total, model.coverage) for layer, total in done.items()}


def feature_sum(
    model: Differentiable,
    x: torch.Tensor,
    heads: torch.Tensor,
    project: Callable[[Block, torch.Tensor], None],
    width: int,
    *,
    memory_mb: int = 4096,
    on_progress: ProgressFn = silent,
) -> torch.Tensor:
    """Features that are a linear image of the gradients, added up block by block.

    Args:
        model: inside its ``held`` context.
        x: ``[n, ...]``.
        heads: ``[H, C]``.
        project: ``project(block, out)`` adds the image of ``block.values`` to ``out`` ``[n, width]`` in place.
        width: K, features a head.
        memory_mb: bound on features and gradients together, in MiB.
        on_progress: may raise ``JobCancelled``.

    Returns:
        Tensor ``[n, H, width]``.
    """
    features = torch.zeros(len(x), heads.shape[-2], width, dtype=model.dtype, device=model.device)
    for block in _blocks(model, x, None, heads, features.numel() * features.element_size(), memory_mb, on_progress):
        project(block, features[:, block.head])
    return features


def gram_of_features(features: torch.Tensor, n_train: int, *, square: bool = True, coverage: Coverage | None = None) -> Gram:
    """Gram blocks of explicit features ``[N + M, ...]``, the training points first."""
    total = GramSum(n_train, len(features) - n_train, square, features.dtype, features.device)
    total.add(features.reshape(len(features), -1))
    return finished(total, coverage)


def gram_bytes(total: GramSum) -> int:
    """What the sums take, with the float32 copies that are made of them at the end."""
    return 2 * (total.train.numel() + total.rows.numel()) * total.train.element_size()


def finished(total: GramSum, coverage: Coverage | None) -> Gram:
    """The sums as a :class:`Gram`.

    Raises:
        UnsupportedModel: when a gradient was not finite, naming the samples.
    """
    gram = Gram(*total.finish(), coverage)
    bad = np.flatnonzero(~np.isfinite(np.concatenate([gram.train_diagonal, gram.rows_diagonal])))
    if len(bad):
        raise UnsupportedModel(
            f"The features of {len(bad)} samples are not finite (first: sample {bad[0]}). Look for overflow, log(0) or 0/0 in the "
            "model on these samples, or leave them out."
        )
    return gram


def _blocks(
    model: Differentiable,
    train: torch.Tensor,
    rows: torch.Tensor | None,
    heads: torch.Tensor,
    held_bytes: int,
    memory_mb: int,
    on_progress: ProgressFn,
    *,
    by_layer: bool = False,
) -> Iterator[Block]:
    """Gradient blocks of all points in what the bound leaves beside the result.

    Yields:
        See :func:`ntkviz.gradients.stream.gradient_blocks`.

    Raises:
        BudgetExceeded: when the result alone, or one column beside it, does not fit.
    """
    x = train if rows is None else torch.cat([train, rows])
    left = memory_mb * _MIB - held_bytes
    if left < len(x) * model.dtype.itemsize:
        raise BudgetExceeded(
            f"The result for {len(x):,} points takes {held_bytes / _MIB:,.0f} MiB, and memory_mb={memory_mb:,} leaves no room for "
            "gradients beside it. Use fewer points, or raise memory_mb."
        )
    yield from gradient_blocks(model, x, heads, memory_bytes=left, by_layer=by_layer, on_progress=on_progress)
