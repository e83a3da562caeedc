"""What is added to a kernel for each part of a model: held for all points, then turned into a Gram matrix.

The kernel is a sum over parameters. Each term below is one way to compute a part of it exactly, and holds for N points only what
that way needs:

- products: a layer with one position a sample, (A A' + 1) o (B B'), without any gradient;
- positions: the same, summed over pairs of positions, where there are few of them;
- columns: the gradients themselves, a block of columns at a time;
- tokens: sums of output gradients over equal tokens, for tables of which a sample touches a few rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from ntkviz.gradients.arithmetic import fast_float32
from ntkviz.gradients.gram import Factor, GramSum
from ntkviz.gradients.sites import ConvSite, MatmulSite, Site
from ntkviz.gradients.tokens import add_tokens

#: Use of a parameter: (site index, role).
Use = tuple[int, str]
#: Block of columns that is multiplied at a time, for all points.
_BLOCK_BYTES = 256 * 2**20
#: Samples whose gradients are formed at a time: their windows stay in cache.
_FORM_BYTES = 8 * 2**20


@dataclass
class Factors:
    """What a batch gives: the factors of each site.

    Attributes:
        left: site index -> left factor ``[n, ...]``.
        right: site index -> right factor ``[n, H, ...]``.
        compressed: the same with fewer heads and equal inner products, where that is exact.
    """

    left: dict[int, torch.Tensor]
    right: dict[int, torch.Tensor]
    compressed: dict[int, torch.Tensor]


class Workspace:
    """Memory for one block of columns, used again and again: fresh memory costs more than what is computed in it."""

    def __init__(self) -> None:
        self._memory: torch.Tensor | None = None

    def take(self, n: int, width: int, like: torch.Tensor) -> torch.Tensor:
        """An array ``[n, width]`` of whatever was in it before."""
        if self._memory is None or self._memory.numel() < n * width:
            self._memory = like.new_empty(n * width)
        return self._memory[: n * width].view(n, width)


class Term(ABC):
    """A part of the kernel.

    Attributes:
        layer: whose parameters these are.
        uses: where they are used.
        parameters: their names.
        path: how it is computed, for the coverage report.
        bytes_a_point: what is held for each point.
    """

    layer: str
    uses: tuple[Use, ...]
    parameters: tuple[str, ...]
    path: str
    bytes_a_point: int

    @property
    def sites(self) -> set[int]:
        """Indices of the sites whose factors it reads."""
        return {i for i, _ in self.uses}

    @abstractmethod
    def collect(self, rows: slice, n_points: int, factors: Factors) -> None:
        """Keep what is needed of a batch."""

    @abstractmethod
    def add_to(self, total: GramSum, workspace: Workspace) -> Iterator[float]:
        """Add to the sum, and give up what was held.

        Yields:
            The fraction done.
        """


@dataclass
class ProductTerm(Term):
    """A weight and its bias, one position a sample.

    Attributes:
        site: where they are used.
        constant: B B', where all points share their heads and the layer is the readout.
    """

    layer: str
    uses: tuple[Use, ...]
    parameters: tuple[str, ...]
    site: MatmulSite | ConvSite
    bytes_a_point: int
    constant: float | None = None
    path: str = "product"
    _left: torch.Tensor = field(init=False)
    _right: torch.Tensor | None = None

    def collect(self, rows: slice, n_points: int, factors: Factors) -> None:
        """Keep the inputs (with a one for the bias) and the output gradients."""
        i = self.uses[0][0]
        roles = {role for _, role in self.uses}
        inputs = self.site.columns(factors.left[i])[:, 0]
        parts = ([inputs] if "weight" in roles else []) + ([torch.ones_like(inputs[:, :1])] if "bias" in roles else [])
        self._left = store(self, "_left", rows, n_points, torch.cat(parts, dim=1))
        if self.constant is None:
            self._right = store(self, "_right", rows, n_points, factors.compressed[i].flatten(1))

    def factor(self) -> Factor:
        """Both small matrices."""
        return Factor(self._left, self._right if self._right is not None else float(self.constant or 0.0))

    def add_to(self, total: GramSum, workspace: Workspace) -> Iterator[float]:
        """Alone; several layers together are faster through :meth:`factor`.

        Yields:
            The fraction done.
        """
        total.add_products([self.factor()])
        yield 1.0


@dataclass
class PositionsTerm(Term):
    """A weight and its bias, few positions a sample."""

    layer: str
    uses: tuple[Use, ...]
    parameters: tuple[str, ...]
    site: MatmulSite | ConvSite
    bytes_a_point: int
    path: str = "positions"
    _left: torch.Tensor = field(init=False)
    _right: torch.Tensor = field(init=False)

    def collect(self, rows: slice, n_points: int, factors: Factors) -> None:
        """Keep inputs and output gradients of all positions."""
        i = self.uses[0][0]
        right = factors.compressed[i]  # [n, H, q, T]
        self._left = store(self, "_left", rows, n_points, self.site.columns(factors.left[i]))
        self._right = store(self, "_right", rows, n_points, right.flatten(1, 2).transpose(1, 2))

    def add_to(self, total: GramSum, workspace: Workspace) -> Iterator[float]:
        """See the base class.

        Yields:
            The fraction done.
        """
        roles = {role for _, role in self.uses}
        total.add_positions(self._left, self._right, bias="bias" in roles, weight="weight" in roles)
        del self._left, self._right
        yield 1.0


@dataclass
class ColumnsTerm(Term):
    """Gradients of one parameter, summed over its uses; or their image under a linear map.

    Attributes:
        sites_by_index: the sites of its uses.
        size: entries of the whole parameter.
        span: which entries of the flattened parameter.
        n_heads: heads, as far as they are known before the data.
    """

    layer: str
    uses: tuple[Use, ...]
    parameters: tuple[str, ...]
    sites_by_index: dict[int, Site]
    size: int
    span: slice
    n_heads: int
    bytes_a_point: int
    path: str = "gradients"
    _columns: torch.Tensor = field(init=False)

    @property
    def columns(self) -> int:
        """Columns of the whole parameter, over all heads."""
        return self.n_heads * self.size

    def collect(self, rows: slice, n_points: int, factors: Factors) -> None:
        """Form and keep the gradients."""
        self._columns = store(self, "_columns", rows, n_points, self.gradient(factors).flatten(1))

    def gradient(self, factors: Factors) -> torch.Tensor:
        """``[n, H, entries]`` of a batch."""
        if len(self.uses) == 1:
            ((i, role),) = self.uses
            return weight_rows(self.sites_by_index[i], role, factors.left[i], factors.compressed[i], self.span, self.size)
        parts = [self.sites_by_index[i].gradient(role, factors.left[i], factors.right[i]) for i, role in self.uses]
        return sum(parts[1:], parts[0])[:, :, self.span]

    def take(self) -> torch.Tensor:
        """What was held, ``[N, H entries]``, given up."""
        columns = self._columns
        del self._columns
        return columns

    def add_to(self, total: GramSum, workspace: Workspace) -> Iterator[float]:
        """See the base class.

        Yields:
            The fraction done.
        """
        total.add(self.take())
        yield 1.0


@dataclass
class FactoredColumnsTerm(Term):
    """Gradients of a weight, formed block by block from the factors of all points, where those are smaller.

    Attributes:
        site: where the weight is used.
        size: entries of the weight.
        width: columns of one output row of the weight.
        n_heads: heads, as far as they are known before the data.
    """

    layer: str
    uses: tuple[Use, ...]
    parameters: tuple[str, ...]
    site: MatmulSite | ConvSite
    size: int
    width: int
    n_heads: int
    bytes_a_point: int
    path: str = "gradients"
    _left: torch.Tensor = field(init=False)
    _right: torch.Tensor = field(init=False)

    @property
    def columns(self) -> int:
        """Columns of the whole parameter, over all heads."""
        return self.n_heads * self.size

    def collect(self, rows: slice, n_points: int, factors: Factors) -> None:
        """Keep the factors."""
        i = self.uses[0][0]
        self._left = store(self, "_left", rows, n_points, factors.left[i])
        self._right = store(self, "_right", rows, n_points, factors.compressed[i])

    def add_to(self, total: GramSum, workspace: Workspace) -> Iterator[float]:
        """See the base class.

        Yields:
            The fraction done.
        """
        n, heads = self._right.shape[:2]
        itemsize = self._left.element_size()
        rows = max(1, _BLOCK_BYTES // (n * heads * self.width * itemsize)) if self.site.is_product else self.size // self.width
        step = rows * self.width
        t, p = self._right.shape[-1], self.width
        chunk = max(1, _FORM_BYTES // (itemsize * (t * p + heads * step)))
        for start in range(0, self.size, step):
            span = slice(start, min(self.size, start + step))
            block = workspace.take(n, heads * (span.stop - span.start), self._left)
            for a in range(0, n, chunk):
                some = slice(a, min(n, a + chunk))
                self._form(self._left[some], self._right[some], span, block[some])
            total.add(block)
            yield span.stop / self.size
        del self._left, self._right

    @fast_float32()
    def _form(self, left: torch.Tensor, right: torch.Tensor, span: slice, out: torch.Tensor) -> None:
        """Gradients of some samples, entries ``span``, written to ``[n, H entries]``."""
        if not self.site.is_product:
            out.copy_(weight_rows(self.site, "weight", left, right, span, self.size).flatten(1))
            return
        part = right[:, :, span.start // self.width : span.stop // self.width].flatten(1, 2)
        torch.bmm(part, self.site.columns(left), out=out.view(len(out), part.shape[1], self.width))


@dataclass
class TokensTerm(Term):
    """A table of which every sample touches a few rows.

    Attributes:
        site: the lookup.
        n_rows: V.
        span: which of the d entries of a row.
    """

    layer: str
    uses: tuple[Use, ...]
    parameters: tuple[str, ...]
    site: Site
    n_rows: int
    span: slice
    bytes_a_point: int
    path: str = "tokens"
    _left: torch.Tensor = field(init=False)
    _right: torch.Tensor = field(init=False)

    def collect(self, rows: slice, n_points: int, factors: Factors) -> None:
        """Keep ids and output gradients."""
        i = self.uses[0][0]
        self._left = store(self, "_left", rows, n_points, factors.left[i])
        self._right = store(self, "_right", rows, n_points, factors.right[i][:, :, self.span])

    def add_to(self, total: GramSum, workspace: Workspace) -> Iterator[float]:
        """See :func:`ntkviz.gradients.tokens.add_tokens`.

        Yields:
            The fraction done.
        """
        add_tokens(total, *self.take())
        yield 1.0

    def take(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids ``[N, T]`` and output gradients ``[N, H, d, T]``, given up."""
        held = self._left, self._right
        del self._left, self._right
        return held


def whole_columns(term: ColumnsTerm | FactoredColumnsTerm) -> ColumnsTerm:
    """A term for all gradients of the same parameter."""
    sites: dict[int, Site] = term.sites_by_index if isinstance(term, ColumnsTerm) else {term.uses[0][0]: term.site}
    return ColumnsTerm(term.layer, term.uses, term.parameters, sites, term.size, slice(0, term.size), term.n_heads, 0)


@fast_float32()
def weight_rows(site: Site, role: str, left: torch.Tensor, right: torch.Tensor, span: slice, size: int) -> torch.Tensor:
    """Entries ``span`` of a parameter's gradient, ``[n, H, entries]``; only those are formed where the operation allows it."""
    whole = span.start == 0 and span.stop == size
    if not whole and role == "weight" and isinstance(site, (MatmulSite, ConvSite)) and site.is_product:
        width = size // right.shape[2]
        if span.start % width == 0 and span.stop % width == 0:
            return site.gradient(role, left, right[:, :, span.start // width : span.stop // width])
    gradient = site.gradient(role, left, right)
    return gradient if whole else gradient[:, :, span]


def store(term: Term, name: str, rows: slice, n_points: int, values: torch.Tensor) -> torch.Tensor:
    """Write a batch into the array for all points, which is made at the first batch."""
    if rows.start == 0:
        setattr(term, name, values.new_empty(n_points, *values.shape[1:]))
    array: torch.Tensor = getattr(term, name)
    array[rows] = values
    return array


def add_all(terms: Sequence[Term], totals: Callable[[str], GramSum]) -> Iterator[float]:
    """Turn what was held into sums, the products of each sum together.

    Yields:
        The fraction done.
    """
    products: dict[int, tuple[GramSum, list[ProductTerm]]] = {}
    for term in terms:
        if isinstance(term, ProductTerm):
            total = totals(term.layer)
            products.setdefault(id(total), (total, []))[1].append(term)
    for total, those in products.values():
        total.add_products([term.factor() for term in those])
    others = [term for term in terms if not isinstance(term, ProductTerm)]
    workspace = Workspace()
    for k, term in enumerate(others):
        for done in term.add_to(totals(term.layer), workspace):
            yield (k + done) / len(others)
    yield 1.0


def layer_of(parameter: str) -> str:
    """The layer (owning module) of a parameter's name; the parameter itself when the root owns it."""
    return parameter.rpartition(".")[0] or parameter
