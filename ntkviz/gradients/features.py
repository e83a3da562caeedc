"""Features of points whose products are the hybrid kernel, kept so that new points can be compared with old ones."""

from dataclasses import dataclass

import numpy as np
import torch

from ntkviz.gradients.arithmetic import dot_rows, squared_norms
from ntkviz.gradients.attention import exact_attention
from ntkviz.gradients.differentiable import Differentiable
from ntkviz.gradients.rank import HeadCompressor, NotRankOne
from ntkviz.gradients.sketch import Sketch, SketchedTerm, sketched
from ntkviz.gradients.terms import ColumnsTerm, ProductTerm, Term, TokensTerm
from ntkviz.gradients.tokens import by_token
from ntkviz.types import ProgressFn, silent


@dataclass(frozen=True)
class Features:
    """Features of n points, by name.

    Attributes:
        arrays: ``product-i-left`` and ``product-i-right`` (a factor pair), ``columns-i`` (plain features), ``energy`` (what the sketch
            keeps of norms), and for embeddings ``tokens-i-owner``, ``-token`` (ascending) and ``-sums``.
    """

    arrays: dict[str, torch.Tensor]

    def dot(self, other: "Features") -> torch.Tensor:
        """Raw kernel of these points with others, ``[n, m]``."""
        dtype = next((a.dtype for name, a in self.arrays.items() if name != "energy" and a.is_floating_point()), None)
        total = torch.zeros(self._count(), other._count(), dtype=dtype)
        for name, array in self.arrays.items():
            kind, _, part = name.partition("-")
            if kind == "columns":
                total += dot_rows(array, other.arrays[name])
            elif kind == "product" and part.endswith("-left"):
                right = name.replace("-left", "-right")
                total += dot_rows(array, other.arrays[name]) * dot_rows(self.arrays[right], other.arrays[right])
            elif kind == "tokens" and part.endswith("-token"):
                self._dot_tokens(total, other, name.removesuffix("-token"))
        return total

    def diagonal(self) -> np.ndarray:
        """Each point with itself, exact also where the features are a sketch: float64 ``[n]``."""
        total = torch.zeros(self._count(), dtype=torch.float64)
        for name, array in self.arrays.items():
            if name.startswith("columns-") and name != "columns-sketch":
                total += squared_norms(array)
            elif name.endswith("-left"):
                total += squared_norms(array) * squared_norms(self.arrays[name.replace("-left", "-right")])
            elif name.endswith("-sums"):
                total.index_add_(0, self.arrays[name.replace("-sums", "-owner")], squared_norms(array))
            elif name == "energy":
                total += array
        return total.numpy()

    def _count(self) -> int:
        return len(self.arrays["energy"])

    def _dot_tokens(self, total: torch.Tensor, other: "Features", name: str) -> None:
        """Points meet in the tokens they share; the other side's rows are in the order of tokens."""
        owner, token, sums = (self.arrays[f"{name}-{part}"] for part in ("owner", "token", "sums"))
        theirs = other.arrays[f"{name}-token"]
        begin, end = torch.searchsorted(theirs, token), torch.searchsorted(theirs, token, right=True)
        for i, a, b, mine in zip(owner.tolist(), begin.tolist(), end.tolist(), sums, strict=True):
            total[i].index_add_(0, other.arrays[f"{name}-owner"][a:b], other.arrays[f"{name}-sums"][a:b] @ mine)


class KernelFeatures:
    """How a model's points become features; the same for old and new points.

    Attributes:
        is_exact: whether nothing is sketched.
    """

    def __init__(self, model: Differentiable, x: torch.Tensor, heads: torch.Tensor, *, sketch_dim: int, seed: int) -> None:
        """Choose the terms; the bases of the sketch come from ``x`` or from :meth:`restore`."""
        self._model, self._heads = model, heads
        self._sketch = Sketch(sketch_dim, seed)
        self._compressors: dict[int, HeadCompressor] = {}
        with exact_attention():
            self._terms = self._choose(x)
        self.is_exact = not any(isinstance(term, SketchedTerm) for term in self._terms)

    def compute(self, x: torch.Tensor, *, on_progress: ProgressFn = silent) -> Features:
        """Features of points ``[n, ...]``."""
        with exact_attention():
            for _, done in self._model.structured.run(self._terms, x, self._heads, self._compressors):
                on_progress("kernel", done)
        arrays: dict[str, torch.Tensor] = {"energy": torch.zeros(len(x), dtype=torch.float64)}
        for i, term in enumerate(self._terms):
            arrays |= self._taken(i, term, len(x))
        return Features(arrays)

    def state(self) -> dict[str, torch.Tensor]:
        """What new points need of the old ones: bases of the sketch and directions of compressed heads."""
        bases = {
            f"basis-{i}": term.basis
            for i, term in enumerate(self._terms)
            if isinstance(term, SketchedTerm) and term.basis is not None
        }
        directions = {f"directions-{i}": c.directions for i, c in self._compressors.items() if c.directions is not None}
        return bases | directions

    def restore(self, features: Features) -> None:
        """Take over the state of the points that were kept with them."""
        for i, term in enumerate(self._terms):
            if isinstance(term, SketchedTerm):
                term.set_basis(features.arrays.pop(f"basis-{i}", None))
        for name in [name for name in features.arrays if name.startswith("directions-")]:
            site = int(name.removeprefix("directions-"))
            self._compressors[site] = HeadCompressor(features.arrays.pop(name))

    def _choose(self, x: torch.Tensor) -> list[Term]:
        """Terms that keep features: what is wider than the sketch is sketched, factors are formed."""
        structured = self._model.structured
        while True:
            try:
                terms = structured.choose(x, self._heads, self._model.sizes, self._model.dtype.itemsize, 2**62, positions=False)
                return sketched(structured, terms, self._sketch, x, self._heads, 2**32, all_columns=True)
            except NotRankOne:
                continue

    def _taken(self, i: int, term: Term, n: int) -> dict[str, torch.Tensor]:
        if isinstance(term, ProductTerm):
            factor = term.factor()
            right = factor.right if isinstance(factor.right, torch.Tensor) else torch.full((n, 1), factor.right**0.5)
            return {f"product-{i}-left": factor.left, f"product-{i}-right": right}
        if isinstance(term, ColumnsTerm):
            return {f"columns-{i}": term.take()}
        if isinstance(term, TokensTerm):
            owner, token, sums = by_token(*term.take())
            return {f"tokens-{i}-owner": owner, f"tokens-{i}-token": token, f"tokens-{i}-sums": sums}
        assert isinstance(term, SketchedTerm)
        taken = {} if term.coordinates is None else {f"columns-{i}": term.coordinates}
        return taken | ({"columns-sketch": self._sketch.features, "energy": self._sketch.energy} if term.first else {})
