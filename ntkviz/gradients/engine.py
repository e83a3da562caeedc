"""The seam between kernels and gradients: every tangent kernel asks for Gram matrices of mixed logits here.

A tangent kernel is K[n, m] = sum_h <grad (v_h . f)(x_n), grad (v_h . f)(z_m)> for some mixes ("heads") v_h of the C logits:
the unit vectors for the trace NTK, one vector of ones for the pseudo NTK, a sample's own signs for the label pseudo NTK.
Parameters that the plan covers are computed from the factors of their layers, the others from their gradients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from ntkviz.errors import BudgetExceeded, UnsupportedModel
from ntkviz.gradients.attention import exact_attention
from ntkviz.gradients.differentiable import Coverage, Differentiable
from ntkviz.gradients.gram import GramSum
from ntkviz.gradients.rank import NotRankOne
from ntkviz.gradients.sketch import Sketch, SketchedTerm, sketched
from ntkviz.gradients.stream import Block, gradient_blocks
from ntkviz.gradients.structured import GraphChanged, add_structured
from ntkviz.gradients.terms import layer_of
from ntkviz.types import ProgressFn, silent

_MIB = 2**20


@dataclass(frozen=True)
class SketchError:
    """How far a sketch, or a rounded kernel, is from the exact one, relative to it: ||K^ - K||_F / ||K||_F of the cosine kernels, off the diagonal.

    Attributes:
        predicted: by the variance of the sketch or of the rounding.
        measured: on a few points whose exact kernel was computed.
        n_checked: how many points those were.
    """

    predicted: float
    measured: float
    n_checked: int


@dataclass(frozen=True)
class Gram:
    """Unnormalised Gram blocks as NumPy.

    Attributes:
        train: float32 ``[N, N]``, exactly symmetric; ``[0, 0]`` when not asked for.
        rows: float32 ``[M, N]``, further points against the training points.
        train_diagonal: float64 ``[N]``.
        rows_diagonal: float64 ``[M]``, each further point with itself.
        coverage: how the gradients were computed; None for kernels without gradients.
        sketch: how far from exact; None for exact kernels.
        rounding: variance of the first entries by eight-bit arithmetic, see :class:`ntkviz.gradients.gram.GramSum`.
    """

    train: np.ndarray
    rows: np.ndarray
    train_diagonal: np.ndarray
    rows_diagonal: np.ndarray
    coverage: Coverage | None = None
    sketch: SketchError | None = None
    rounding: np.ndarray | None = None


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
    int8: bool = False,
    sketch: Sketch | None = None,
    on_progress: ProgressFn = silent,
) -> Gram:
    """Gram matrix of mixed logits' gradients, exact unless a sketch is given.

    Args:
        model: inside its ``held`` context.
        train: ``[N, ...]``.
        rows: ``[M, ...]`` or None.
        heads: ``[H, C]`` for all points alike, or ``[N + M, H, C]``.
        square: whether the N x N part is wanted.
        memory_mb: bound on everything that grows with N, in MiB.
        int8: whether gradients are rounded to eight bits before they are multiplied; products of layers and diagonals stay exact.
        sketch: for gradients with more columns than it is long; it holds afterwards what was sketched.
        on_progress: may raise ``JobCancelled``.

    Returns:
        The blocks, unnormalised.
    """
    everything = _Sums(model, train, rows, square, by_layer=False, int8=int8, sketch=sketch)
    everything.fill(train, rows, heads, memory_mb, on_progress)
    return finished(everything.totals[""], model.coverage)


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
    parts = _Sums(model, train, rows, square, by_layer=True)
    parts.fill(train, rows, heads, memory_mb, on_progress)
    layers = dict.fromkeys(layer_of(name) for name in model.sizes)
    return {layer: finished(parts.totals[layer], model.coverage) for layer in layers if layer in parts.totals}


def class_grams(model: Differentiable, x: torch.Tensor, z: torch.Tensor | None = None, **options: Any) -> Gram:
    """The full empirical NTK: Gram of every logit's gradient at every point.

    A point is taken C times, each time with another logit as its only head, so that every way to compute a kernel serves
    here, too.

    Args:
        model: inside its ``held`` context.
        x: ``[N, ...]``.
        z: ``[M, ...]`` or None.
        **options: ``square``, ``memory_mb``, ``on_progress``, see :func:`tangent_gram`.

    Returns:
        Blocks ``[N C, N C]`` and ``[M C, N C]``; row n C + c is logit c of point n.
    """
    c = model.n_logits
    points = [part.repeat_interleave(c, dim=0) for part in (x, z) if part is not None]
    heads = unit_heads(model).repeat(len(x) + (0 if z is None else len(z)), 1)[:, None, :]
    return tangent_gram(model, points[0], points[1] if z is not None else None, heads=heads, **options)


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
    left = room(len(x), features.numel() * features.element_size(), memory_mb, model.dtype.itemsize)
    for block in gradient_blocks(model, x, heads, memory_bytes=left, on_progress=on_progress):
        project(block, features[:, block.head])
    return features


def gram_of_features(features: torch.Tensor, n_train: int, *, square: bool = True, coverage: Coverage | None = None) -> Gram:
    """Gram blocks of explicit features ``[N + M, ...]``, the training points first."""
    total = GramSum(n_train, len(features) - n_train, square, features.dtype, features.device)
    total.add(features.reshape(len(features), -1))
    return finished(total, coverage)


def gram_bytes(total: GramSum) -> int:
    """What the sums take, with the copy that is made where they are not float32."""
    copies = 1 if total.dtype == torch.float32 else 2
    return copies * (total.train.numel() + total.rows.numel()) * total.train.element_size()


def finished(total: GramSum, coverage: Coverage | None) -> Gram:
    """The sums as a :class:`Gram`.

    Raises:
        UnsupportedModel: when a gradient was not finite, naming the samples.
    """
    gram = Gram(*total.finish(), coverage, rounding=total.rounding if total.int8 else None)
    bad = np.flatnonzero(~np.isfinite(np.concatenate([gram.train_diagonal, gram.rows_diagonal])))
    if len(bad):
        raise UnsupportedModel(
            f"The features of {len(bad)} samples are not finite (first: sample {bad[0]}). Look for overflow, log(0) or 0/0 in the "
            "model on these samples, or leave them out."
        )
    return gram


class _Sums:
    """The sums of one computation: one for all layers, or one for each."""

    def __init__(
        self,
        model: Differentiable,
        train: torch.Tensor,
        rows: torch.Tensor | None,
        square: bool,
        *,
        by_layer: bool,
        int8: bool = False,
        sketch: Sketch | None = None,
    ) -> None:
        self._model, self._by_layer, self._sketch = model, by_layer, sketch
        self._new = partial(
            GramSum, len(train), 0 if rows is None else len(rows), square, dtype=model.dtype, device=model.device, int8=int8
        )
        self.totals: dict[str, GramSum] = {}
        self._begin()

    def _begin(self) -> None:
        layers = dict.fromkeys(layer_of(name) for name in self._model.sizes) if self._by_layer else [""]
        self.totals = {layer: self._new() for layer in layers}

    def fill(
        self, train: torch.Tensor, rows: torch.Tensor | None, heads: torch.Tensor, memory_mb: int, on_progress: ProgressFn
    ) -> None:
        """Compute all parts; begun again when the model turns out to be other than its plan."""
        x = train if rows is None else torch.cat([train, rows])
        left = room(len(x), sum(gram_bytes(total) for total in self.totals.values()), memory_mb, self._model.dtype.itemsize)
        while True:
            try:
                share = self._structured(x, heads, left, on_progress)
                break
            except NotRankOne:
                self._begin()
            except GraphChanged as error:
                self._model.give_up_structure(str(error))
                self._begin()
        names = self._model.uncovered()
        if not names:
            return
        for block in gradient_blocks(
            self._model,
            x,
            heads,
            memory_bytes=left,
            by_layer=self._by_layer,
            names=names,
            on_progress=lambda stage, done: on_progress(stage, share + (1 - share) * done),
        ):
            self._of(block.group.layer).add(block.values)

    def _structured(self, x: torch.Tensor, heads: torch.Tensor, memory_bytes: int, on_progress: ProgressFn) -> float:
        """The covered parameters; returns which share of the work that is, roughly."""
        structured, plan = self._model.structured, self._model.structured.plan
        covered = sum(self._model.sizes[name] for name in plan.uses)
        share = covered / max(1, covered + sum(self._model.sizes[name] for name in plan.left_over))
        if not plan.uses:
            return 0.0
        with exact_attention():
            terms = structured.choose(
                x, heads, self._model.sizes, self._model.dtype.itemsize, memory_bytes, positions=self._sketch is None
            )
            if self._sketch is not None:
                terms = sketched(structured, terms, self._sketch, x, heads, memory_bytes)
                memory_bytes -= sum(term.basis_bytes for term in terms if isinstance(term, SketchedTerm))
            for done in add_structured(structured, terms, x, heads, self._of, memory_bytes=memory_bytes):
                on_progress("kernel", share * done)
        return share

    def _of(self, layer: str) -> GramSum:
        return self.totals[layer if self._by_layer else ""]


def room(n_points: int, held_bytes: int, memory_mb: int, itemsize: int) -> int:
    """Bytes that a bound leaves beside the result.

    Raises:
        BudgetExceeded: when the result alone, or one column beside it, does not fit.
    """
    left = memory_mb * _MIB - held_bytes
    if left < n_points * itemsize:
        raise BudgetExceeded(
            f"The result for {n_points:,} points takes {held_bytes / _MIB:,.0f} MiB, and memory_mb={memory_mb:,} leaves no room for "
            "gradients beside it. Use fewer points, or raise memory_mb."
        )
    return left
