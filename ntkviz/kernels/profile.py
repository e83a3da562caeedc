"""What one kernel of one model costs, measured on a few of its points by running the engine without its matrix products.

A :class:`_Ledger` takes the place of the sums: it notes the widths of what it is given and multiplies nothing. So the seconds are
those of passes, gradients, folds and copies, which grow with the points, and the widths tell the rest, which grows with the pairs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil

import numpy as np
import torch
from torch import nn

from ntkviz.gradients.activations import Activations, leaf_modules, readout_inputs
from ntkviz.gradients.attention import exact_attention
from ntkviz.gradients.differentiable import Differentiable, held
from ntkviz.gradients.engine import class_grams, unit_heads
from ntkviz.gradients.gram import Factor, GramSum
from ntkviz.gradients.rank import NotRankOne
from ntkviz.gradients.sketch import Sketch, sketched
from ntkviz.gradients.stream import gradient_blocks
from ntkviz.gradients.structured import GraphChanged
from ntkviz.gradients.terms import FactoredColumnsTerm, Term, TokensTerm, add_all
from ntkviz.kernels.calibrate import best
from ntkviz.kernels.cost import KernelProfile, Layout, Rates
from ntkviz.kernels.inputs import token_counts
from ntkviz.kernels.pntk import sum_head
from ntkviz.kernels.sketched import random_mixes
from ntkviz.kernels.stopwatch import Stopwatch
from ntkviz.models.probes import require_sound

_MIB = 2**20
#: Numbers of points for which it is found out how a kernel would be computed within the memory.
_SIZES = (512, 2048, 8192, 32768)
#: Points on which a sketch is measured: it begins with a pilot, which needs a few hundred to be what it is on thousands.
_SKETCHED_POINTS = 256
_FEATURE_POINTS = 128
#: Points on which a sketch is checked against the exact kernel.
_CHECKED = 16
_SECONDS = 0.25
#: Kernels in which every point has a mix of logits of its own.
_OWN_HEADS = {"lpntk", "margin"}


def profile_kernel(
    model: nn.Module, x: torch.Tensor | np.ndarray, kind: str, options: Mapping[str, object], *, rates: Rates, memory_mb: int
) -> KernelProfile:
    """Measure a kernel on some points.

    Args:
        model: any classifier; taken in eval mode and left as it was.
        x: ``[n, ...]``, some hundred points of those that are to come.
        kind: a key of ``kernels()`` with a point kernel.
        options: all options of the kind.
        rates: of this machine.
        memory_mb: what the kernel may take for all that grows with N, in MiB.

    Returns:
        The profile; its ``working_mb`` is 0, because who calls knows what memory was taken before.

    Raises:
        UnsupportedModel: when no kernel can be made of the model.
        ValueError: for an option that makes no sense.
    """
    with held(model, x) as (module, (points,)):
        assert points is not None
        if kind in _FEATURES:
            return _FEATURES[kind](module, points, options)
        watch = Stopwatch()
        require_sound(module, points[:8])
        measured = _Tangent(Differentiable(module, points), points, kind, options, rates, memory_mb)
        if kind.startswith("proj"):
            return measured.projected(watch.seconds())
        return measured.profile(watch)


class _Ledger(GramSum):
    """Notes what would be multiplied; tokens alone are added up for real."""

    def __post_init__(self) -> None:
        """Begin with nothing noted."""
        super().__post_init__()
        self.columns: list[int] = []
        self.products: list[tuple[int, int]] = []
        self.positions: list[tuple[int, int, int]] = []

    def add(self, features: torch.Tensor, diagonal: torch.Tensor | None = None) -> None:
        """Note the width."""
        self.columns.append(features.shape[1])

    def add_products(self, factors: Sequence[Factor]) -> None:
        """Note both widths of each layer."""
        self.products += [(f.left.shape[1], f.right.shape[1] if isinstance(f.right, torch.Tensor) else 0) for f in factors]

    def add_positions(self, left: torch.Tensor, right: torch.Tensor, bias: bool, weight: bool) -> None:
        """Note widths and positions."""
        self.positions.append((left.shape[2] if weight else 0, right.shape[2], left.shape[1]))


class _Tangent:
    """A tangent kernel of a model, being measured.

    Args:
        model: inside its ``held`` context.
        x: ``[n, ...]``.
        kind: of the kernel.
        options: of the kernel.
        rates: of this machine.
        memory_mb: see :func:`profile_kernel`.
    """

    def __init__(
        self, model: Differentiable, x: torch.Tensor, kind: str, options: Mapping[str, object], rates: Rates, memory_mb: int
    ) -> None:
        self.model, self.x, self.kind, self.options, self.rates, self.memory_mb = model, x, kind, options, rates, memory_mb
        self.heads = self._heads()
        self.n_heads = self.heads.shape[-2]

    def _heads(self) -> torch.Tensor:
        """``[H, C]``; a label's own signs cost what any head costs."""
        if self.kind in {"pntk", "proj_pntk", *_OWN_HEADS}:
            return sum_head(self.model)
        if self.kind in {"hybrid_trntk", "class_sketch_trntk"}:
            mixes: object = self.options.get("n_mixes")
            return torch.from_numpy(random_mixes(self.model.n_logits, mixes, 0)).to(self.model.device, self.model.dtype)  # type: ignore[arg-type]
        return unit_heads(self.model)

    def _heads_of(self, n: int) -> torch.Tensor:
        """The same for n points; where every point has heads of its own, the readout's are not shared."""
        return self.heads.expand(n, *self.heads.shape) if self.kind in _OWN_HEADS else self.heads

    def profile(self, watch: Stopwatch) -> KernelProfile:
        """The layouts for all sizes that fit in memory; equal ones are measured once."""
        layouts: list[Layout] = []
        last: object = None
        setup = watch.seconds()
        for size in _SIZES:
            room = self.memory_mb * _MIB - 4 * size * size
            if layouts and room < 4 * size:
                break
            while True:
                try:
                    signature, layout, more = self._layout(size, max(room, 4 * size), last)
                    break
                except NotRankOne:  # the site is noted, and the next choice is right
                    continue
                except GraphChanged as error:
                    self.model.give_up_structure(str(error))
            setup += more if not layouts else 0.0
            if layout is None:
                layouts[-1] = replace(layouts[-1], n_points=size)
            else:
                layouts.append(layout)
            last = signature
        return KernelProfile(setup + self._check_seconds(), 0.0, tuple(layouts))

    def _layout(self, size: int, room: int, last: object) -> tuple[object, Layout | None, float]:
        """What distinguishes the way, the layout (None where it is that of ``last``), and seconds that are spent once."""
        structured, heads = self.model.structured, self._heads_of(size)
        watch = Stopwatch()
        with exact_attention():
            if self.n_heads > 1:  # on real points first: it is remembered which heads compress
                structured.choose(
                    self.x, self._heads_of(len(self.x)), self.model.sizes, 4, room, positions=self.kind != "hybrid_trntk"
                )
            many = self.x[:1].expand(size, *self.x.shape[1:])
            terms = structured.choose(many, heads, self.model.sizes, 4, room, positions=self.kind != "hybrid_trntk")
            groups = structured.passes(terms, size, room)
            signature = [[(type(term), term.parameters, term.bytes_a_point) for term in group] for group in groups]
            if signature == last:
                return signature, None, 0.0
            if self.kind == "hybrid_trntk":
                points = self.x[:_SKETCHED_POINTS]
                sketch = Sketch(int(self.options["sketch_dim"]), 0)  # type: ignore[call-overload]
                terms = sketched(structured, terms, sketch, points, heads, room)
                groups = structured.passes(terms, size, room)
            once = watch.seconds()
            layout = self._measured(size, groups)
        return signature, self._with_others(layout), once

    def _measured(self, size: int, groups: Sequence[Sequence[Term]]) -> Layout:
        """Passes through the network for some groups of terms, timed on a part of a batch and on whole ones."""
        structured = self.model.structured
        batch = structured.batch_size(self.n_heads)
        if not groups:
            return Layout(size, batch)
        most = min(len(self.x), max(batch, _SKETCHED_POINTS if self.kind == "hybrid_trntk" else 0))
        part = min(most, max(2, batch // 4))
        notes: dict[int, tuple[_Ledger, float]] = {}
        seconds = {n: best(lambda n=n: notes.update({n: self._run(n, groups)}), seconds=_SECONDS) for n in {part, most}}
        ledger, tokens = notes[most]
        seconds[most] = max(0.0, seconds[most] - tokens)
        a_batch, a_point = _line(part, seconds[part], most, seconds[most], ceil(most / batch))
        return Layout(
            size,
            batch,
            a_batch,
            a_point,
            tokens / (most * most),
            tuple(ledger.columns),
            tuple(ledger.products),
            tuple(ledger.positions),
            max(sum(term.bytes_a_point for term in group) for group in groups),
            max((term.columns for group in groups for term in group if isinstance(term, FactoredColumnsTerm)), default=0),
        )

    def _run(self, n: int, groups: Sequence[Sequence[Term]]) -> tuple[_Ledger, float]:
        """All passes over the first n points; what would be multiplied, and the seconds of tokens, which grow with the pairs."""
        ledger = _Ledger(n, 0, dtype=self.model.dtype, device=self.model.device)
        tokens = 0.0
        for group in groups:
            for _ in self.model.structured.run(group, self.x[:n], self._heads_of(n)):
                pass
            for _ in add_all([term for term in group if not isinstance(term, TokensTerm)], lambda _: ledger):
                pass
            tables = [term for term in group if isinstance(term, TokensTerm)]
            watch = Stopwatch()
            for _ in add_all(tables, lambda _: ledger):
                pass
            tokens += watch.seconds() if tables else 0.0
        return ledger, tokens

    def _with_others(self, layout: Layout) -> Layout:
        """The layout with the parameters that are differentiated sample by sample."""
        names = self.model.uncovered()
        if not names:
            return layout
        width = sum(self.model.sizes[name] for name in names)
        return replace(
            layout,
            point_seconds=layout.point_seconds + self.n_heads * self._gradient_seconds(names),
            columns=(*layout.columns, *[width] * self.n_heads),
            point_bytes=max(layout.point_bytes, 4 * width),
        )

    def _gradient_seconds(self, names: Sequence[str]) -> float:
        """Seconds of the gradients of one head of one point, by the path that is always right."""
        width = sum(self.model.sizes[name] for name in names)
        chunk = self.model.chunk_size(width, 64 * _MIB) if self.model.route[0] == "vmap" else 16
        points = self.x[:chunk]
        room = 4 * len(points) * width
        return best(lambda: list(gradient_blocks(self.model, points, self.heads[:1], memory_bytes=room, names=names))) / len(
            points
        )

    def projected(self, setup: float) -> KernelProfile:
        """Gradients of all parameters times random signs, which are drawn anew for every head."""
        dim, p = int(self.options["proj_dim"]), sum(self.model.sizes.values())  # type: ignore[call-overload]
        a_head = self._gradient_seconds(list(self.model.sizes)) + dim * self.rates.inner(p)
        layout = Layout(
            _SIZES[-1],
            point_seconds=self.n_heads * a_head,
            columns=(self.n_heads * dim,),
            point_bytes=4 * (self.n_heads * dim + p),
        )
        return KernelProfile(setup + self.n_heads * p * dim * self.rates.sign, 0.0, (layout,))

    def _check_seconds(self) -> float:
        """Seconds of the exact kernel with which a sketch is compared."""
        if self.kind not in {"hybrid_trntk", "class_sketch_trntk"}:
            return 0.0
        watch = Stopwatch()
        class_grams(self.model, self.x[:_CHECKED], memory_mb=self.memory_mb)
        return watch.seconds()


def _line(part: int, first: float, most: int, second: float, batches: int) -> tuple[float, float]:
    """Seconds a batch and a point, from those of a part of a batch and of whole batches; neither is negative."""
    across = most - batches * part
    a_point = (second - batches * first) / across if across > 0 else second / most
    a_batch = first - a_point * part
    if a_point <= 0 or a_batch < 0:
        return 0.0, second / most
    return a_batch, a_point


def _of_inputs(model: nn.Module, x: torch.Tensor, options: Mapping[str, object]) -> KernelProfile:
    """The Gram of the inputs."""
    width = x[0].numel() if x.is_floating_point() else token_counts(x, 0).shape[1]
    return KernelProfile(0.0, 0.0, (Layout(_SIZES[-1], columns=(width,), point_bytes=4 * width),))


def _of_readout(model: nn.Module, x: torch.Tensor, options: Mapping[str, object]) -> KernelProfile:
    """The features that enter the readout."""
    layer: object = options.get("layer")
    return _features(model, x, lambda points: [readout_inputs(model, points, layer).shape[1]])  # type: ignore[arg-type]


def _of_activations(model: nn.Module, x: torch.Tensor, options: Mapping[str, object]) -> KernelProfile:
    """The outputs of all modules, each of which is a forward pass of its own."""
    names: object = options.get("layers")
    activations = Activations(model, list(names) if names is not None else leaf_modules(model), x)  # type: ignore[call-overload]

    def widths(points: torch.Tensor) -> list[int]:
        return [block.shape[1] for name, width in activations.widths.items() for block in activations.blocks(points, name, width)]

    return _features(model, x, widths)


def _features(model: nn.Module, x: torch.Tensor, widths: Callable[[torch.Tensor], list[int]]) -> KernelProfile:
    """A kernel of explicit features."""
    watch = Stopwatch()
    require_sound(model, x[:8])
    setup = watch.seconds()
    points = x[:_FEATURE_POINTS]
    columns = widths(points)
    seconds = best(lambda: widths(points), seconds=_SECONDS) / len(points)
    return KernelProfile(setup, 0.0, (Layout(_SIZES[-1], 1, 0.0, seconds, 0.0, tuple(columns), point_bytes=4 * max(columns)),))


_FEATURES: dict[str, Callable[[nn.Module, torch.Tensor, Mapping[str, object]], KernelProfile]] = {
    "inputs": _of_inputs,
    "rbf": _of_inputs,
    "ck": _of_readout,
    "em": _of_activations,
}
