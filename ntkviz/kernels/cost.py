"""What a kernel will take, from what was measured of its model and of this machine. Imports no torch.

Seconds have three parts: what a kernel costs however few points there are, what each point costs (its passes through the network and
the forming of its gradients, measured on the model at hand), and what each pair of points costs (counted from the widths of what is
multiplied, at this machine's rates). Memory likewise. Nothing here is a constant of a kind of network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

_MB = 2**20
#: What :class:`ntkviz.gradients.terms.FactoredColumnsTerm` forms at a time, in bytes.
_BLOCK_BYTES = 256 * 2**20
#: The depth in which :class:`ntkviz.gradients.gram.GramSum` multiplies, and the rows of its tiles: a share of N within bounds.
DEPTH, _BANDS, _LEAST_ROWS, _MOST_ROWS = 8192, 8, 128, 512


@dataclass(frozen=True)
class Rates:
    """What this machine does in a second, measured by :func:`ntkviz.kernels.calibrate.rates`.

    Attributes:
        dot: rising depths k, and the seconds that an inner product of k float32 numbers takes within a tile.
        multiply: seconds of an entry of a tile that is multiplied with another and added to a third.
        positions: seconds of a pair of positions: a product, and its part of the sum over positions.
        column: seconds of a number in a block of columns: copied once, squared once.
        sign: seconds of a random sign of the dense projections.
    """

    dot: tuple[tuple[int, float], ...]
    multiply: float
    positions: float
    column: float
    sign: float

    @property
    def flops(self) -> float:
        """Multiplications and additions a second, FLOP/s, at the greatest depth."""
        depth, seconds = self.dot[-1]
        return 2.0 * depth / seconds

    def inner(self, width: int) -> float:
        """Seconds of an inner product of that many numbers: on lines between the depths, in blocks beyond the last."""
        whole, rest = divmod(width, self.dot[-1][0])
        return whole * self.dot[-1][1] + (self._up_to_a_block(rest) if rest else 0.0)

    def _up_to_a_block(self, width: int) -> float:
        for (low, before), (high, after) in zip(self.dot, self.dot[1:], strict=False):
            if width <= high:
                return before + (after - before) * max(0, width - low) / (high - low)
        return self.dot[-1][1]

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> "Rates":
        """The rates whose fields those are."""
        return cls(**{**entries, "dot": tuple((int(depth), float(seconds)) for depth, seconds in entries["dot"])})


@dataclass(frozen=True)
class Layout:
    """How a kernel is computed for about so many points.

    Attributes:
        n_points: N + M for which this way was chosen.
        batch: points that go through the network together.
        batch_seconds: of a batch, however few points it has.
        point_seconds: of a point: all passes for all heads, and the forming of its gradients.
        token_seconds: of a pair of points, for tables of tokens, which do not go by tiles.
        columns: widths of the blocks of gradients or features that are multiplied.
        products: pairs of widths whose Gram matrices are multiplied entry by entry; the second is 0 for a constant.
        positions: widths and positions (p, q, T) of layers that are summed over pairs of positions.
        point_bytes: what is held of a point at a time.
        formed: columns that are formed block by block from what is held.
    """

    n_points: int
    batch: int = 1
    batch_seconds: float = 0.0
    point_seconds: float = 0.0
    token_seconds: float = 0.0
    columns: tuple[int, ...] = ()
    products: tuple[tuple[int, int], ...] = ()
    positions: tuple[tuple[int, int, int], ...] = ()
    point_bytes: int = 0
    formed: int = 0

    def a_pair(self, rates: Rates) -> float:
        """Seconds of a pair of points."""
        columns = sum(rates.inner(width) + ceil(width / DEPTH) * rates.multiply for width in self.columns)
        products = sum(rates.inner(p) + (rates.inner(q) if q else 0.0) + rates.multiply for p, q in self.products)
        positions = sum(t * t * ((rates.inner(p) if p else 0.0) + rates.inner(q) + rates.positions) for p, q, t in self.positions)
        return columns + products + positions

    def a_point(self, rates: Rates) -> float:
        """Seconds of a point, batches aside."""
        return self.point_seconds + sum(self.columns) * rates.column


@dataclass(frozen=True)
class KernelProfile:
    """What was measured of one kernel of one model.

    Attributes:
        setup_seconds: whatever the number of points: probes, finding the structure, the check of a sketch.
        working_mb: memory of a batch on its way through the network, MB.
        layouts: by rising numbers of points; one serves up to its own number.
    """

    setup_seconds: float
    working_mb: float
    layouts: tuple[Layout, ...]

    def seconds(self, n: int, m: int, rates: Rates) -> float:
        """Seconds of the kernel.

        Args:
            n: N, training points.
            m: M, further points.
            rates: of this machine.
        """
        layout = self._layout(n + m)
        batches = ceil((n + m) / layout.batch) * layout.batch_seconds
        tokens = n * (n + m) * layout.token_seconds
        return self.setup_seconds + batches + (n + m) * layout.a_point(rates) + tile_pairs(n, m) * layout.a_pair(rates) + tokens

    def memory_mb(self, n: int, m: int) -> float:
        """MB beside what torch and the model take already: sums, what is held of the points, a block, a batch."""
        layout = self._layout(n + m)
        copied = 4.0 * (n + m) * min(DEPTH, max(layout.columns, default=0))
        formed = min(_BLOCK_BYTES, 4.0 * (n + m) * layout.formed)
        return (4.0 * (n * n + m * n) + (n + m) * layout.point_bytes + copied + formed) / _MB + self.working_mb

    def _layout(self, n_points: int) -> Layout:
        return next((layout for layout in self.layouts if n_points <= layout.n_points), self.layouts[-1])

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> "KernelProfile":
        """The profile that :meth:`to_dict` describes."""
        return cls(
            entries["setup_seconds"],
            entries["working_mb"],
            tuple(Layout(**{name: _tuples(value) for name, value in layout.items()}) for layout in entries["layouts"]),
        )


def tile_pairs(n: int, m: int) -> int:
    """Entries that are computed of K: the upper triangle of the square in whole tiles, then the rows."""
    rows = min(_MOST_ROWS, max(_LEAST_ROWS, ceil(n / _BANDS)))
    return sum((min(n, start + rows) - start) * (n - start) for start in range(0, n, rows)) + m * n


def _tuples(value: object) -> Any:
    """JSON has lists where the fields are tuples."""
    return tuple(_tuples(entry) for entry in value) if isinstance(value, Sequence) and not isinstance(value, str) else value
