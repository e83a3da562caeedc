"""Which layers carry a similarity or an attribution, and what norm and angle have to do with it.

A tangent kernel is a sum over layers, ``K(x, x_i) = sum_l K_l(x, x_i)``, so whatever is linear in a test point's kernel row falls apart
into layers without a remainder: the cosine (divided by both whole norms), the shares (weight times kernel). A removal effect is affine in
the row: its linear part falls apart into layers, and what the free intercept does, which no layer does, is kept apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.neighbours import neighbours


@dataclass(frozen=True, eq=False)
class LayerShares:
    """Numbers of N training points, each a sum over L layers: ``parts.sum(0) + rest = total``.

    Attributes:
        layers: L names, in the model's order.
        parts: float64 ``[L, N]``, in the unit of the total.
        rest: float64 ``[N]``, what belongs to no layer: of a removal effect what the intercept does, otherwise 0.
        total: float64 ``[N]``, computed from the whole kernel row and not from the parts.
    """

    layers: tuple[str, ...]
    parts: np.ndarray
    rest: np.ndarray
    total: np.ndarray

    @property
    def gap(self) -> float:
        """The largest difference of the parts' sum from the total: rounding, or something is wrong."""
        return float(np.abs(self.parts.sum(axis=0) + self.rest - self.total).max())

    @property
    def sums(self) -> np.ndarray:
        """Each layer added up over the training points, ``[L]``."""
        return self.parts.sum(axis=1)

    @property
    def mass(self) -> np.ndarray:
        """Each layer's part of all absolute parts, the rest's included, ``[L]``; NaN when all are 0."""
        sizes = np.abs(self.parts).sum(axis=1)
        whole = sizes.sum() + np.abs(self.rest).sum()
        return sizes / whole if whole > 0 else np.full(len(sizes), np.nan)


@dataclass(frozen=True, eq=False)
class NormAngle:
    """An unnormalised kernel entry is ``|g(x)| |g(x_i)| cos``: who is near by the angle, and who by a large gradient alone?

    Attributes:
        norms: float64 ``[N]``, ``|g(x_i)|`` of the training points.
        percentiles: float64 ``[N]``, share of training points with a norm no larger, in (0, 1].
        cosines: float64 ``[N]``.
        raw: float64 ``[N]``, the kernel entries.
        top: int64 ``[k]``, the nearest by the raw kernel, nearest first.
        top_cosine: int64 ``[k]``, the nearest by the cosine.
        cosine_ranks: int64 ``[k]``, the ranks by cosine (1 is nearest) of ``top``.
        by_angle: bool ``[k]``, of ``top``: True when the point is among the k nearest by cosine too; False when its norm brings it there.
    """

    norms: np.ndarray
    percentiles: np.ndarray
    cosines: np.ndarray
    raw: np.ndarray
    top: np.ndarray
    top_cosine: np.ndarray
    cosine_ranks: np.ndarray
    by_angle: np.ndarray


def cosine_rows(rows: Mapping[str, np.ndarray], own: float, diagonal: np.ndarray) -> dict[str, np.ndarray]:
    """What each layer adds to the cosine similarity: its kernel row over both *whole* norms, layer -> float64 ``[N]``.

    Args:
        rows: layer -> ``[N]``, unnormalised.
        own: the whole kernel of the test point with itself.
        diagonal: ``[N]``, that of the training points.

    Raises:
        ValueError: when shapes do not fit.
    """
    names, parts = _stacked(rows)
    scale = _positive(diagonal, parts.shape[1]) * float(own)
    inverse = np.divide(1.0, np.sqrt(scale), out=np.zeros(len(scale)), where=scale > 0)
    return dict(zip(names, parts * inverse, strict=True))


def similarity_layers(rows: Mapping[str, np.ndarray], row: np.ndarray) -> LayerShares:
    """The layers of a similarity.

    Args:
        rows: layer -> ``[N]``; those of :func:`cosine_rows`, or unnormalised.
        row: ``[N]``, the whole row in the same form.

    Raises:
        ValueError: when shapes do not fit.
    """
    return share_layers(rows, row, np.ones(np.shape(row)))


def share_layers(rows: Mapping[str, np.ndarray], row: np.ndarray, weight: np.ndarray) -> LayerShares:
    """The layers of a share of a score, weight times kernel.

    Args:
        rows: layer -> ``[N]``, in the form of the kernel of the fit.
        row: ``[N]``, the whole row in that form.
        weight: ``[N]``, the surrogate's for a class, or the difference of two classes'.

    Raises:
        ValueError: when shapes do not fit.
    """
    names, parts = _stacked(rows)
    n = parts.shape[1]
    whole, weights = _numbers(row, n, "row"), _numbers(weight, n, "weight")
    return LayerShares(names, parts * weights, np.zeros(n), whole * weights)


def removal_layers(effects: RemovalEffects, rows: Mapping[str, np.ndarray], row: np.ndarray, heads: np.ndarray) -> LayerShares:
    """The layers of a removal effect; what the intercept does is the rest.

    Args:
        effects: the factored surrogate. Where it iterates, parts and total differ by the digits that its iterations leave open.
        rows: layer -> ``[N]``, in the form of the kernel of the fit.
        row: ``[N]``, the whole row in that form.
        heads: ``[C]``, the mix of scores.

    Raises:
        ValueError: when shapes do not fit.
    """
    names, parts = _stacked(rows)
    n = parts.shape[1]
    asked = np.vstack([parts, _numbers(row, n, "row"), np.zeros(n)])
    answers = effects.of(asked, np.repeat(np.asarray(heads, dtype=np.float64)[None], len(asked), axis=0))
    rest = answers[-1]  # a point that is like no training point: only the intercept speaks
    return LayerShares(names, answers[:-2] - rest, rest, answers[-2])


def merged(found: LayerShares, most: int = 8) -> LayerShares:
    """The same with few rows: the layers of least mass are added up in one, "other layers", which comes last.

    Args:
        found: the shares.
        most: rows that are left, at least 2.

    Raises:
        ValueError: when fewer than 2 are asked for.
    """
    if most < 2:
        raise ValueError(f"most must be at least 2, a layer and the others; got {most!r}.")
    if len(found.layers) <= most:
        return found
    order = np.argsort(-np.abs(found.parts).sum(axis=1), kind="stable")
    kept = np.sort(order[: most - 1])
    others = found.parts[np.setdiff1d(order, kept)].sum(axis=0)
    names = (*(found.layers[i] for i in kept), f"{len(found.layers) - len(kept)} other layers")
    return LayerShares(names, np.vstack([found.parts[kept], others]), found.rest, found.total)


def norm_against_angle(raw: np.ndarray, own: float, diagonal: np.ndarray, k: int = 10) -> NormAngle:
    """Which of the nearest training points by an unnormalised kernel are there by their angle, and which by their norm.

    Args:
        raw: ``[N]``, the test point's unnormalised kernel row.
        own: its kernel with itself.
        diagonal: ``[N]``, that of the training points.
        k: how many of the nearest, at least 1; N when there are fewer.

    Raises:
        ValueError: when shapes do not fit, a diagonal is negative or k is below 1.
    """
    values = _numbers(raw, None, "raw")
    norms = np.sqrt(_positive(diagonal, len(values)))
    scale = norms * np.sqrt(max(float(own), 0.0))
    cosines = np.clip(np.divide(values, scale, out=np.zeros(len(values)), where=scale > 0), -1.0, 1.0)
    top, order = neighbours(values[None], k).indices[0], neighbours(cosines[None], len(values)).indices[0]
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order] = np.arange(1, len(values) + 1)
    percentiles = np.searchsorted(np.sort(norms), norms, side="right") / len(norms)
    return NormAngle(norms, percentiles, cosines, values, top, order[: len(top)], ranks[top], ranks[top] <= len(top))


def _stacked(rows: Mapping[str, np.ndarray]) -> tuple[tuple[str, ...], np.ndarray]:
    """Names, and the rows as float64 ``[L, N]``.

    Raises:
        ValueError: when there is no layer, or lengths differ.
    """
    if not rows:
        raise ValueError("Expected at least one layer's kernel row; got none.")
    n = np.size(next(iter(rows.values())))
    return tuple(rows), np.stack([_numbers(row, n, f"the row of {name}") for name, row in rows.items()])


def _numbers(values: np.ndarray | Sequence[float], n: int | None, name: str) -> np.ndarray:
    """Float64 ``[N]``.

    Raises:
        ValueError: when they are no N finite numbers.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or n not in (None, len(array)) or not np.isfinite(array).all():
        raise ValueError(f"{name} must be [{'N' if n is None else n}] finite numbers; got shape {array.shape}.")
    return array


def _positive(diagonal: np.ndarray, n: int) -> np.ndarray:
    """A kernel's diagonal.

    Raises:
        ValueError: when an entry is negative.
    """
    values = _numbers(diagonal, n, "diagonal")
    if (values < 0).any():
        raise ValueError(f"A diagonal holds squared norms; got {int((values < 0).sum())} negative entries.")
    return values
