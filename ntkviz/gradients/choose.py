"""Which way each covered parameter goes: the cheapest exact one, by operation counts and what it holds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ntkviz.gradients.plan import Plan
from ntkviz.gradients.sites import ConvSite, EmbeddingSite, MatmulSite, Site
from ntkviz.gradients.terms import ColumnsTerm, FactoredColumnsTerm, PositionsTerm, ProductTerm, Term, TokensTerm, Use, layer_of


@dataclass(frozen=True)
class Choice:
    """What the choice depends on.

    Attributes:
        plan: of the model.
        sizes: parameter -> entries.
        n_points: N + M.
        n_heads: H.
        constant: squared norm of the heads, where all points share them.
        itemsize: bytes of a number.
        memory_bytes: bound on what is held for all points.
        compressed: whether a site's heads may be counted as one.
        positions: whether pairs of positions may be multiplied.
    """

    plan: Plan
    sizes: dict[str, int]
    n_points: int
    n_heads: int
    constant: float | None
    itemsize: int
    memory_bytes: int
    compressed: Callable[[int], bool]
    positions: bool = True

    def terms(self) -> list[Term]:
        """The terms of all covered parameters, in the order of the parameters."""
        single = {name: where[0] for name, where in self.plan.uses.items() if len(where) == 1}
        by_site: dict[int, list[tuple[str, str]]] = {}
        terms: list[Term] = []
        for name, (i, role) in single.items():
            by_site.setdefault(i, []).append((name, role))
        for i, members in by_site.items():
            terms += self._of_site(i, members)
        for name, where in self.plan.uses.items():
            if len(where) > 1:
                terms += self._columns(name, where)
        return terms

    def _of_site(self, i: int, members: Sequence[tuple[str, str]]) -> list[Term]:
        site, right = self.plan.sites[i], self.plan.right_shapes[i]
        roles = {role for _, role in members}
        if isinstance(site, EmbeddingSite):
            return self._tokens(i, site, members[0][0])
        if not isinstance(site, (MatmulSite, ConvSite)) or "weight" not in roles or getattr(site, "groups", 1) != 1:
            return [term for name, role in members for term in self._columns(name, ((i, role),))]
        weight = next(name for name, role in members if role == "weight")
        q, t = right
        p, heads = self.sizes[weight] // q, self._heads(i)
        together = _by_layer(i, members)
        if t == 1:
            return [self._product(i, site, layer, names, uses, p) for layer, names, uses in together]
        if self.positions and t * t * (p + heads * q) < heads * p * q * (1 + 2 * t / self.n_points):
            held = self.itemsize * t * (p + heads * q)
            if held * self.n_points <= self.memory_bytes:
                return [PositionsTerm(layer, uses, names, site, held) for layer, names, uses in together]
        return [term for name, role in members for term in self._columns(name, ((i, role),))]

    def _product(
        self, i: int, site: MatmulSite | ConvSite, layer: str, names: tuple[str, ...], uses: tuple[Use, ...], p: int
    ) -> ProductTerm:
        constant = self.constant if i == self.plan.readout else None
        q = 0 if constant is not None else self._heads(i) * self.plan.right_shapes[i][0]
        return ProductTerm(layer, uses, names, site, self.itemsize * (p + 1 + q), constant)

    def _tokens(self, i: int, site: EmbeddingSite, name: str) -> list[Term]:
        """The table, in parts of its width where memory asks for it."""
        d, t = self.plan.right_shapes[i]
        fit = int(self.memory_bytes / (self.n_points * t * self.itemsize * self.n_heads)) - 2
        step = max(1, min(d, fit))
        spans = [slice(a, min(d, a + step)) for a in range(0, d, step)]
        uses = ((i, "weight"),)
        return [
            TokensTerm(
                layer_of(name),
                uses,
                (name,),
                site,
                site.n_rows,
                span,
                (8 + self.itemsize * self.n_heads * (span.stop - span.start)) * t,
            )
            for span in spans
        ]

    def _columns(self, name: str, where: Sequence[Use]) -> list[Term]:
        """Gradients of one parameter: held as they are, or as their factors where those are smaller, in parts where need be."""
        size, layer, uses = self.sizes[name], layer_of(name), tuple(where)
        sites: dict[int, Site] = {i: self.plan.sites[i] for i, _ in uses}
        heads = self._heads(uses[0][0]) if len(uses) == 1 else self.n_heads
        columns = self.itemsize * heads * size
        width = size
        if len(uses) == 1 and uses[0][1] == "weight":
            i = uses[0][0]
            site = sites[i]
            if isinstance(site, (MatmulSite, ConvSite)):
                q, t = self.plan.right_shapes[i]
                width = size // q
                factors = self.itemsize * (math.prod(self.plan.left_shapes[i]) + heads * q * t)
                if (
                    factors < columns
                    and factors * self.n_points <= self.memory_bytes
                    and (site.is_product or isinstance(site, ConvSite))
                ):
                    return [FactoredColumnsTerm(layer, uses, (name,), site, size, width, heads, factors)]
        fit = max(1, int(self.memory_bytes / (self.itemsize * heads * self.n_points)))
        step = size if fit >= size else max(width, fit // width * width) if fit >= width else fit
        spans = [slice(a, min(size, a + step)) for a in range(0, size, step)]
        return [
            ColumnsTerm(layer, uses, (name,), sites, size, span, heads, self.itemsize * heads * (span.stop - span.start))
            for span in spans
        ]

    def _heads(self, i: int) -> int:
        return 1 if self.compressed(i) else self.n_heads


def squared_norm(heads: torch.Tensor) -> float | None:
    """Squared norm of all heads together where all points share them, else None."""
    return float(heads.double().square().sum()) if heads.ndim == 2 else None


def _by_layer(i: int, members: Sequence[tuple[str, str]]) -> list[tuple[str, tuple[str, ...], tuple[Use, ...]]]:
    """Layer, names and uses of a site's parameters; a weight and a bias of different layers stay apart."""
    layers: dict[str, list[tuple[str, str]]] = {}
    for name, role in members:
        layers.setdefault(layer_of(name), []).append((name, role))
    return [(layer, tuple(name for name, _ in those), tuple((i, role) for _, role in those)) for layer, those in layers.items()]
