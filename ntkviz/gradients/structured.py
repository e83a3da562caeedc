"""The structured path: one forward pass and few backward passes give the factors of all layers, and the factors give the kernel.

Autograd is asked for gradients at layer outputs only. What is held for all points stays within a bound: terms that do not fit
together are computed in further passes over the data.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch.autograd.graph import GradientEdge

from ntkviz.gradients.arithmetic import fast_float32
from ntkviz.gradients.choose import Choice, squared_norm
from ntkviz.gradients.gram import GramSum
from ntkviz.gradients.graph import Trace
from ntkviz.gradients.plan import Plan, keys_of
from ntkviz.gradients.rank import HeadCompressor, NotRankOne
from ntkviz.gradients.recognise import find_sites
from ntkviz.gradients.sites import ConvSite, MatmulSite, Site
from ntkviz.gradients.terms import Factors, ProductTerm, Term, add_all
from ntkviz.gradients.tracing import Tracer, gradients_at

#: What a batch should take, so that it stays near the processor: activations, factors and windows of its samples.
_BATCH_BYTES = 96 * 2**20
#: What it may take before it is cut below the few samples that a convolution wants at a time.
_MOST_BYTES, _FEW = 512 * 2**20, 16
_LARGEST_BATCH = 512
#: Samples on which it is tried whether heads compress.
_TRIED = 4


class GraphChanged(Exception):
    """A batch ran other operations than the plan's."""


@dataclass
class Structured:
    """A model with its plan.

    Attributes:
        tracer: runs it.
        plan: what is covered.
        activation_bytes: that autograd keeps of a sample.
        incompressible: sites whose heads do not compress; learned as batches come.
    """

    tracer: Tracer
    plan: Plan
    activation_bytes: int
    incompressible: set[int] = field(default_factory=set)
    _tried: set[bytes | None] = field(default_factory=set)  # mixes of logits for which compression was tried

    def batch_size(self, n_heads: int) -> int:
        """Samples that go through together."""
        right = sum(math.prod(shape) for shape in self.plan.right_shapes)
        windows = max((_window(self.plan, i) for i in range(len(self.plan.sites))), default=0)
        sample = 3 * self.activation_bytes + 4 * (2 * n_heads * right + 2 * windows)
        return max(1, min(_FEW, _MOST_BYTES // max(1, sample)), min(_LARGEST_BATCH, _BATCH_BYTES // max(1, sample)))

    def choose(
        self,
        x: torch.Tensor,
        heads: torch.Tensor,
        sizes: dict[str, int],
        itemsize: int,
        memory_bytes: int,
        *,
        positions: bool = True,
    ) -> list[Term]:
        """The terms of all covered parameters; ``positions`` allows those that keep no features and so cannot be sketched.

        Whether heads compress is tried on a few samples; a site on which they do not later on is remembered, see :meth:`run`.
        """
        everything = list(range(len(self.plan.sites)))
        below = self.readout_heads(heads)
        n_heads = heads.shape[-2] if below is None else len(below)
        may = self._compressible(heads)
        mixes = heads.cpu().numpy().tobytes() if heads.ndim == 2 else None
        if may and (mixes is None or mixes not in self._tried):
            self._tried |= {mixes} - {None}
            factors = self._factors(
                x[:_TRIED], heads if heads.ndim == 2 else heads[:_TRIED], [i for i in everything if i in may], ()
            )
            for i in may:
                try:
                    HeadCompressor()(factors.right[i])
                except NotRankOne:
                    self.incompressible.add(i)
        return Choice(
            self.plan,
            sizes,
            len(x),
            n_heads,
            squared_norm(heads),
            heads.element_size(),
            memory_bytes,
            lambda i: i in may and i not in self.incompressible,
            positions,
        ).terms()

    def passes(self, terms: Sequence[Term], n_points: int, memory_bytes: int) -> list[list[Term]]:
        """Terms that are held together, first fit."""
        groups: list[tuple[int, list[Term]]] = []
        for term in terms:
            needed = term.bytes_a_point * n_points
            for k, (taken, group) in enumerate(groups):
                if taken + needed <= memory_bytes or not needed:  # what holds nothing of its own writes into the first's arrays
                    groups[k] = (taken + needed, [*group, term])
                    break
            else:
                groups.append((needed, [term]))
        return [group for _, group in groups]

    def run(
        self,
        terms: Sequence[Term],
        x: torch.Tensor,
        heads: torch.Tensor,
        compressors: dict[int, HeadCompressor] | None = None,
    ) -> Iterator[tuple[slice, float]]:
        """One pass over the data for some terms.

        Args:
            terms: all of them collect every batch.
            x: ``[n, ...]``.
            heads: ``[H, C]`` or ``[n, H, C]``.
            compressors: of another pass, to be used and added to.

        Yields:
            The rows of the batch that was collected, and the fraction done.

        Raises:
            GraphChanged: when a batch runs other operations than the plan's.
            NotRankOne: when a site's heads turn out not to compress; it is noted, and the next run is right.
        """
        needed = sorted(set().union(*(term.sites for term in terms)))
        compressors = {} if compressors is None else compressors
        for i in self._compressible(heads):
            if i in needed:
                compressors.setdefault(i, HeadCompressor())
        size = self.batch_size(heads.shape[-2])
        for start in range(0, len(x), size):
            rows = slice(start, min(len(x), start + size))
            factors = self._factors(x[rows], heads if heads.ndim == 2 else heads[rows], needed, terms)
            for i, compress in compressors.items():
                try:
                    factors.compressed[i] = compress(factors.right[i])
                except NotRankOne:
                    self.incompressible.add(i)
                    raise
            for term in terms:
                term.collect(rows, len(x), factors)
            yield rows, rows.stop / len(x)

    def _compressible(self, heads: torch.Tensor) -> list[int]:
        """Sites whose heads may have one direction a unit."""
        if heads.shape[-2] == 1:
            return []
        return [
            i
            for i, site in enumerate(self.plan.sites)
            if i not in self.incompressible and i != self.plan.readout and isinstance(site, (MatmulSite, ConvSite))
        ]

    @fast_float32()
    def _factors(self, x: torch.Tensor, heads: torch.Tensor, needed: list[int], terms: Sequence[Term]) -> Factors:
        """Factors of a batch at the needed sites.

        Raises:
            GraphChanged: see :meth:`run`.
        """
        if len(x) == 1:  # the plan holds for batches of two and more
            twice = self._factors(x[[0, 0]], heads if heads.ndim == 2 else heads[[0, 0]], needed, terms)
            return Factors(*({i: f[:1] for i, f in part.items()} for part in (twice.left, twice.right, twice.compressed)))
        logits, trace = self.tracer.run(x)
        sites, n = self._sites_of(trace), len(x)
        constant = {term.uses[0][0] for term in terms if isinstance(term, ProductTerm) and term.constant is not None}
        asked = [i for i in needed if i not in constant]
        left = {i: sites[i].left(trace.nodes[sites[i].node], n) for i in needed}
        right = self._backward(logits, trace, heads, asked, sites) if asked else {}
        return Factors(left, right, dict(right))

    def _backward(
        self, logits: torch.Tensor, trace: Trace, heads: torch.Tensor, asked: list[int], placed: Sequence[Site]
    ) -> dict[int, torch.Tensor]:
        """Right factors at the asked sites: all heads in one vectorised pass where layers are plain, else head by head."""
        sites, n = [placed[i] for i in asked], len(logits)
        outputs: torch.Tensor | GradientEdge = logits
        compressed = self.readout_heads(heads) if self.plan.readout not in asked else None
        if compressed is not None:
            outputs, heads = _readout_input(trace), compressed
        v = heads[:, None, :].expand(-1, n, -1) if heads.ndim == 2 else heads.transpose(0, 1)
        plain = all(isinstance(s, MatmulSite) and self.plan.right_shapes[i][-1] == 1 for i, s in zip(asked, sites, strict=True))
        if len(v) > 1 and plain:
            batched = gradients_at(outputs, trace, sites, v, keep=False)
            return {i: gradient.transpose(0, 1)[..., None] for i, gradient in zip(asked, batched, strict=True)}
        parts: dict[int, list[torch.Tensor]] = {i: [] for i in asked}
        for k in range(len(v)):
            given = gradients_at(outputs, trace, sites, v[k], keep=k + 1 < len(v))
            for i, site, gradient in zip(asked, sites, given, strict=True):
                parts[i].append(site.right(gradient, n))
        return {i: torch.stack(some, dim=1) if len(some) > 1 else some[0][:, None] for i, some in parts.items()}

    def readout_heads(self, heads: torch.Tensor) -> torch.Tensor | None:
        """Fewer heads at the input of the readout with the same inner products below it, or None.

        With logits W h, the sum over heads v of W' v v' W is a d x d matrix; any R with R' R equal to it will do: min(H, d) heads.
        """
        if self.plan.readout is None or heads.ndim != 2:
            return None
        site = self.plan.sites[self.plan.readout]
        name = site.parameters.get("weight")
        if not isinstance(site, MatmulSite) or name is None or site.turned:
            return None
        w = self.tracer.leaves[name].detach()
        if len(heads) <= w.shape[1]:
            return None
        mixed = (heads.double() @ w.double()).T
        values, vectors = torch.linalg.eigh(mixed @ mixed.T)
        keep = values > values[-1] * 1e-14
        return (vectors[:, keep] * values[keep].sqrt()).T.to(heads.dtype).contiguous()

    def _sites_of(self, trace: Trace) -> list[Site]:
        """The plan's sites in a pass.

        Raises:
            GraphChanged: when the pass has others.
        """
        found, left_over = find_sites(trace, self.plan.made)
        if keys_of(found) != self.plan.keys or not set(left_over) <= set(self.plan.left_over):
            raise GraphChanged("a batch ran other operations than the samples that were tried")
        return [site.at(found[place].node) for site, place in zip(self.plan.sites, self.plan.places, strict=True)]


def _readout_input(trace: Trace) -> GradientEdge:
    """The edge at which the input enters the readout, the first node of the walk."""
    slot = 1 if trace.nodes[0].name() == "AddmmBackward0" else 0
    return GradientEdge(*trace.nodes[0].next_functions[slot])


def add_structured(
    model: Structured,
    terms: Sequence[Term],
    x: torch.Tensor,
    heads: torch.Tensor,
    totals: Callable[[str], GramSum],
    *,
    memory_bytes: int,
) -> Iterator[float]:
    """Add all terms of a plan to their sums.

    Args:
        model: with its plan.
        terms: of all covered parameters.
        x: ``[n, ...]``.
        heads: ``[H, C]`` or ``[n, H, C]``.
        totals: layer -> sum.
        memory_bytes: bound on what terms hold for all points.

    Yields:
        The fraction done.

    Raises:
        GraphChanged: see :meth:`Structured.run`; the sums are then incomplete.
        NotRankOne: likewise.
    """
    groups = model.passes(terms, len(x), memory_bytes)
    for k, group in enumerate(groups):
        for _, done in model.run(group, x, heads):
            yield (k + 0.6 * done) / len(groups)
        for done in add_all(group, totals):
            yield (k + 0.6 + 0.4 * done) / len(groups)


def _window(plan: Plan, i: int) -> int:
    """Numbers in the windows of a convolution, a sample."""
    site = plan.sites[i]
    if not isinstance(site, ConvSite):
        return 0
    return plan.left_shapes[i][1] * math.prod(site.kernel) * plan.right_shapes[i][-1]
