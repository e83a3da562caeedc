"""What a map of a kernel's space is made of."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Quality:
    """How far the neighbourhoods of the map are those of the kernel's space.

    Attributes:
        trustworthiness: in [0, 1]; below 1 when points stand close on the map that are not close in the kernel's space.
        continuity: in [0, 1]; below 1 when points that are close in the kernel's space are torn apart on the map.
        n_neighbours: k, the size of the neighbourhoods compared.
        preserved: float64 ``[N]`` in [0, 1]: the share of a training point's k nearest in the kernel's space that are
            also among its k nearest on the map.
        preserved_test: float64 ``[M]``, the same of test points, their neighbours taken among training points; None
            without test points.
    """

    trustworthiness: float
    continuity: float
    n_neighbours: int
    preserved: np.ndarray
    preserved_test: np.ndarray | None = None


@dataclass(frozen=True)
class Layout:
    """Coordinates as one method gives them, before anybody has measured how good they are.

    Attributes:
        points: float64 ``[N, 2]``.
        test_points: float64 ``[M, 2]``, or None.
        notes: sentences for the person who looks.
        explained: for linear methods the share of variance along each axis.
    """

    points: np.ndarray
    test_points: np.ndarray | None
    notes: tuple[str, ...] = ()
    explained: tuple[float, float] | None = None


@dataclass(frozen=True)
class Embedding:
    """A map of the kernel's space.

    Attributes:
        points: float64 ``[N, 2]``, training points.
        test_points: float64 ``[M, 2]``, or None when no rows were given.
        method: key of the registry row, e.g. ``"umap"``.
        options: the options as used, after any that had to shrink to fit N (``notes`` then says so).
        seed: the seed as used.
        quality: how far its neighbourhoods can be believed.
        explained: share of the variance along each axis for kernel PCA, else None.
        notes: sentences for the person who looks.
    """

    points: np.ndarray
    test_points: np.ndarray | None
    method: str
    options: dict[str, object]
    seed: int
    quality: Quality
    explained: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EmbeddingInfo:
    """One row of the embedding registry.

    Attributes:
        key: the ``kind`` that ``embed`` takes.
        title: for headings and legends.
        summary: one sentence for the picker.
        axes: what an axis of the map means.
        cost: cost in N, as text.
        source: paper or code the definition comes from.
        use_when: when it is the right choice.
        caveat: what to know before trusting it.
        out_of_sample: how test points are placed.
        options: option name -> (default, help).
    """

    key: str
    title: str
    summary: str
    axes: str
    cost: str
    source: str
    use_when: str
    caveat: str
    out_of_sample: str
    options: dict[str, tuple[object, str]] = field(default_factory=dict)
