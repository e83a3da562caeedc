"""Random projection of the gradients that are too many to multiply: what a few of them span exactly, the rest as a CountSketch.

Gradients of a trained network lie largely in the span of a few of them. So the gradients of some pilot points give an orthonormal
basis for each parameter; coordinates in it are exact, and only what is left over is sketched, whose share of the norm (squared in
the error) is small. Entry e of a parameter's gradient for head h goes, with a random sign of its own, to place (e + o_h) mod k of
a vector of length k: an unbiased sketch of all heads' gradients together, because entries that share a place have independent
signs (Charikar, Chen and Farach-Colton, 2002). k is prime, so that no structure of a weight (rows, channels, windows) puts its
strong entries in the same places; offsets differ between heads, because an entry has the same sign for all of them, and heads have
a sign each, because there may be more of them than places. Folding reads every entry once, in order. Norms are kept exactly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ntkviz.gradients.arithmetic import dot_rows, squared_norms
from ntkviz.gradients.gram import GramSum
from ntkviz.gradients.structured import Structured
from ntkviz.gradients.terms import ColumnsTerm, FactoredColumnsTerm, Factors, Term, Workspace, store, weight_rows, whole_columns

#: Gradients that are formed at a time: few enough for the cache, many enough to read the basis seldom.
_FORM_BYTES = 16 * 2**20
#: Share of the memory that bases may take.
_BASIS_SHARE = 0.25
#: Directions of pilot gradients below this share of the strongest are rounding.
_RANK = 1e-5


@dataclass
class Sketch:
    """What all sketched terms of a computation share.

    Attributes:
        dim: K as asked for; the length in use is the largest prime up to it.
        seed: of signs and offsets.
        n_pilot: points that give the bases, at most; 0 for none.
        length: k.
        pilot: places of the pilot points among all points.
        energy: float64 ``[n]``, squared norms of what was sketched.
        features: ``[n, k]``, sums over all sketched terms.
    """

    dim: int
    seed: int
    n_pilot: int = 64
    length: int = field(init=False)
    pilot: list[int] = field(init=False, default_factory=list)
    energy: torch.Tensor = field(init=False)
    features: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Check the dimension.

        Raises:
            ValueError: for a dimension or seed that makes no sense.
        """
        if not isinstance(self.dim, int) or self.dim < 2:
            raise ValueError(f"sketch_dim must be an integer of at least 2, got {self.dim!r}.")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}.")
        self.length = largest_prime(self.dim)
        self.begin(0, torch.zeros(0))

    @property
    def is_used(self) -> bool:
        """Whether anything was sketched."""
        return len(self.energy) > 0

    def begin(self, n_points: int, like: torch.Tensor) -> None:
        """Zeros for all points."""
        self.features = like.new_zeros(n_points, self.length)
        self.energy = torch.zeros(n_points, dtype=torch.float64, device=like.device)

    def signs(self, name: str, size: int) -> torch.Tensor:
        """Signs of one parameter's entries, float ``[size]``; from the seed and the parameter's name alone."""
        bits = self._stream(name, 0).bytes((size + 7) // 8)
        return torch.from_numpy(np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=size).astype(np.float32) * 2 - 1)

    def turns(self, name: str, heads: int) -> list[tuple[int, int]]:
        """A place for each head to begin at, different as long as there are places, and a sign for heads that must share one."""
        stream = self._stream(name, 1)
        offsets = stream.choice(self.length, size=heads, replace=heads > self.length).tolist()
        return list(zip(offsets, stream.choice((-1, 1), size=heads).tolist(), strict=True))

    def _stream(self, name: str, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose, *name.encode()])


@dataclass
class SketchedTerm(Term):
    """The gradients of one parameter, folded into the sums of its sketch instead of being held.

    Attributes:
        term: the exact term that it stands for.
        sketch: shared with the other sketched terms.
        first: whether it begins the sketch and adds it to the kernel.
    """

    term: ColumnsTerm | FactoredColumnsTerm
    sketch: Sketch
    first: bool = False
    path: str = "sketch"
    bytes_a_point: int = 0
    _signs: torch.Tensor | None = None
    basis: torch.Tensor | None = None  # [m, H size], orthonormal rows
    _folded_basis: torch.Tensor | None = None  # [m, k]
    coordinates: torch.Tensor | None = None  # [N, m]

    def __post_init__(self) -> None:
        """The parameter is the exact term's."""
        self.layer, self.uses, self.parameters = self.term.layer, self.term.uses, self.term.parameters
        self.bytes_a_point = 4 * self.sketch.length if self.first else 0

    @property
    def basis_bytes(self) -> int:
        """What the basis takes, however many points there are."""
        return 0 if self.basis is None else self.basis.numel() * self.basis.element_size()

    def prepare(self, pilot: torch.Tensor) -> None:
        """Take the basis from the gradients ``[m, H size]`` of a few points."""
        gram = (pilot @ pilot.T).double()
        values, vectors = torch.linalg.eigh(gram)
        kept = values > _RANK * values[-1]
        self.set_basis(((vectors[:, kept] / values[kept].sqrt()).T.to(pilot) @ pilot).contiguous())

    def set_basis(self, basis: torch.Tensor | None) -> None:
        """Use an orthonormal basis ``[m, H size]``, or none."""
        self.basis = basis
        self._folded_basis = None if basis is None else self._fold(basis.unflatten(1, (-1, self.term.size)).clone())

    def collect(self, rows: slice, n_points: int, factors: Factors) -> None:
        """Form the gradients of a batch in pieces; keep coordinates, fold the rest."""
        i = self.uses[0][0]
        right = factors.compressed[i] if len(self.uses) == 1 else factors.right[i]
        if self.first and rows.start == 0:
            self.sketch.begin(n_points, right)
        n, heads = right.shape[:2]
        step = max(1, _FORM_BYTES // (heads * self.term.size * right.element_size()))
        for start in range(0, n, step):
            some = slice(start, min(n, start + step))
            place = slice(rows.start + some.start, rows.start + some.stop)
            gradient = self._gradient(factors, some)
            energy = squared_norms(gradient.flatten(1))
            if self.basis is not None and self._folded_basis is not None:
                inside = dot_rows(gradient.flatten(1), self.basis)
                self.coordinates = store(self, "coordinates", place, n_points, inside)
                self.sketch.features[place] -= inside @ self._folded_basis
                energy = (energy - inside.double().square().sum(1)).clamp_min(0.0)
            self.sketch.energy[place] += energy
            self.sketch.features[place] += self._fold(gradient)

    def _fold(self, gradient: torch.Tensor) -> torch.Tensor:
        """The sketch ``[n, k]`` of gradients ``[n, H, size]``, which are overwritten."""
        name, heads = self.parameters[0], gradient.shape[1]
        if self._signs is None:
            self._signs = self.sketch.signs(name, self.term.size).to(gradient)
        folded = fold(gradient.mul_(self._signs), self.sketch.length)
        return sum(
            (folded[:, h].roll(offset, dims=1) * sign for h, (offset, sign) in enumerate(self.sketch.turns(name, heads))),
            torch.zeros_like(folded[:, 0]),
        )

    def _gradient(self, factors: Factors, some: slice) -> torch.Tensor:
        """``[n, H, size]`` of some samples of a batch, in memory of its own."""
        if len(self.uses) > 1:
            part = Factors(
                *({i: f[some] for i, f in those.items()} for those in (factors.left, factors.right, factors.compressed))
            )
            assert isinstance(self.term, ColumnsTerm)
            return self.term.gradient(part)
        i, role = next(iter(self.uses))
        site = self.term.sites_by_index[i] if isinstance(self.term, ColumnsTerm) else self.term.site
        size = self.term.size
        made = weight_rows(site, role, factors.left[i][some], factors.compressed[i][some], slice(0, size), size)
        return made.clone() if role == "bias" else made

    def add_to(self, total: GramSum, workspace: Workspace) -> Iterator[float]:
        """Add the coordinates, and once the whole sketch, with the exact norms on the diagonal.

        Yields:
            The fraction done.
        """
        if self.coordinates is not None:
            total.add(self.coordinates)
            self.coordinates = None
        if self.first:
            total.add(self.sketch.features, diagonal=self.sketch.energy)
        yield 1.0


def sketched(
    model: Structured,
    terms: Sequence[Term],
    sketch: Sketch,
    x: torch.Tensor,
    heads: torch.Tensor,
    memory_bytes: int,
    *,
    all_columns: bool = False,
) -> list[Term]:
    """The same terms, those with more columns than the sketch is long replaced by their sketches.

    A term with fewer columns costs less exactly than sketched.

    Args:
        model: with its plan.
        terms: exact ones.
        sketch: to fill.
        x: ``[n, ...]``, all points; some are the pilot.
        heads: ``[H, C]``.
        memory_bytes: bound on what is held.
        all_columns: whether narrow gradients are to be held as columns and not as factors.

    Returns:
        Terms for one computation.

    Raises:
        GraphChanged: see :meth:`ntkviz.gradients.structured.Structured.run`.
        NotRankOne: likewise.
    """
    out: list[Term] = []
    wide: list[SketchedTerm] = []
    for term in terms:
        if not isinstance(term, (ColumnsTerm, FactoredColumnsTerm)) or term.columns <= sketch.length:
            out.append(whole_columns(term) if all_columns and isinstance(term, FactoredColumnsTerm) else term)
        elif term.parameters not in [other.parameters for other in wide]:  # what memory cut into spans is one sketch
            wide.append(SketchedTerm(term, sketch, first=not wide))
    columns = sum(term.term.columns for term in wide)
    n_pilot = min(sketch.n_pilot, len(x) // 4, int(_BASIS_SHARE * memory_bytes / max(1, columns * heads.element_size())))
    if wide and n_pilot > 0:
        places = torch.arange(n_pilot, device=x.device) * len(x) // n_pilot
        sketch.pilot = places.tolist()
        pilots = [whole_columns(term.term) for term in wide]
        for _ in model.run(pilots, x[places], heads):
            pass
        for term, pilot in zip(wide, pilots, strict=True):
            term.prepare(pilot.take())
        wide[0].bytes_a_point += heads.element_size() * n_pilot * len(wide)  # all coordinates: the others hold nothing alone
    return [*wide, *out]  # all sketched terms go through one pass, the first one: they share their arrays


def fold(values: torch.Tensor, length: int) -> torch.Tensor:
    """Sums of the entries whose place along the last axis is equal modulo ``length``: ``[..., length]``."""
    whole = values.shape[-1] // length * length
    out = values[..., :whole].unflatten(-1, (-1, length)).sum(-2) if whole else values.new_zeros(*values.shape[:-1], length)
    rest = values[..., whole:]
    out[..., : rest.shape[-1]] += rest
    return out


def largest_prime(limit: int) -> int:
    """The largest prime that is not above ``limit`` (at least 2)."""
    return next(k for k in range(limit, 1, -1) if all(k % d for d in range(2, int(k**0.5) + 1)))
