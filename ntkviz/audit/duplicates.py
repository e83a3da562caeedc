"""Which training points are the same, or nearly so, to the network, and do their labels agree?

Two points are joined when the cosine of their kernel reaches a threshold; groups are the connected components, so a group may hold two
points that are only joined through others. The smallest cosine within each group is given with it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ntkviz.audit.checks import audited, cosine, inverse_root
from ntkviz.surrogates.surrogate import check_rows
from ntkviz.types import AuditInfo

#: Cosine from which on two points are called the same: 1 but for the rounding of float32 Grams.
SAME_FROM = 1 - 1e-5
#: Cosines at which the number of pairs is given, so that a threshold is chosen knowing what another one would say.
LADDER = (0.9, 0.95, 0.98, 0.99, 0.995, 0.999, SAME_FROM)

INFO = AuditInfo(
    key="duplicates",
    task="duplicates",
    title="Near duplicates",
    question="Which training points are (nearly) the same to the network, and do their labels agree?",
    formula=r"\frac{K(x_i, x_j)}{\sqrt{K(x_i, x_i)\,K(x_j, x_j)}} \ge \theta,\quad\text{groups: connected components}",
    cost="N^2.",
    source="Cosine threshold and connected components; the usual de-duplication of embeddings, in the kernel's space.",
    caveat="There is no right threshold: in our samples exact copies have .99999 and above, images with a little noise .92 to .99, "
    "images moved by a pixel .5 to .9, and the nearest other training point of tabular data .95. Points that differ only in what the "
    "network ignores count as the same.",
)


@dataclass(frozen=True)
class Group:
    """Training points that are joined.

    Attributes:
        points: positions, ascending, at least two.
        labels: the different labels among them, ascending.
        smallest: smallest cosine between two of them; below the threshold when they are joined through others.
        same: whether all are the same up to rounding.
    """

    points: tuple[int, ...]
    labels: tuple[int, ...]
    smallest: float
    same: bool

    @property
    def conflicting(self) -> bool:
        """Whether they have different labels."""
        return len(self.labels) > 1


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Groups of training points that are the same or nearly so.

    Attributes:
        groups: those with different labels first, then the larger, then by their first point.
        threshold: cosine from which on two points were joined.
        ladder: cosine -> pairs of training points that reach it.
        leaks: int64 ``[n, 2]``, test point and its nearest training point, where their cosine reaches the threshold.
        notes: what a person should know.
    """

    groups: tuple[Group, ...]
    threshold: float
    ladder: dict[float, int]
    leaks: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def n_copies(self) -> int:
        """Training points that could go while one of each group stays."""
        return sum(len(group.points) - 1 for group in self.groups)

    @property
    def conflicting(self) -> tuple[Group, ...]:
        """Groups with more than one label."""
        return tuple(group for group in self.groups if group.conflicting)


def near_duplicates(
    kernel: np.ndarray,
    labels: np.ndarray,
    *,
    threshold: float = 0.99,
    rows: np.ndarray | None = None,
    rows_diagonal: np.ndarray | None = None,
) -> Duplicates:
    """Groups of training points whose cosines reach a threshold.

    Args:
        kernel: ``[N, N]``; brought to cosines here.
        labels: ``[N]``.
        threshold: in (0, 1].
        rows: ``[M, N]``, test points against the training points, to find test points that were trained on; None for no look.
        rows_diagonal: ``[M]``, each test point with itself, needed with ``rows``.

    Raises:
        ValueError: when the kernel, the labels or the rows cannot be used, or the threshold lies outside (0, 1].
    """
    if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.number) or not 0 < threshold <= 1:
        raise ValueError(f"threshold must be a cosine above 0 and at most 1; got {threshold!r}.")
    values, classes, _ = audited(kernel, labels)
    cosines, notes = cosine(values)
    limit = min(float(threshold), SAME_FROM)  # above it rounding would decide
    if limit < threshold:
        notes = (*notes, f"Cosines above {SAME_FROM:g} cannot be told from 1; that is the threshold used.")
    above = np.triu(cosines >= limit, k=1)
    first, second = np.nonzero(above)
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=cosines.shape)
    _, component = connected_components(graph, directed=False)
    found = [_group(members, cosines, classes) for members in _members(component)]
    found.sort(key=lambda group: (not group.conflicting, -len(group.points), group.points[0]))
    pairs = cosines[np.triu_indices(len(cosines), k=1)]
    ladder = {step: int((pairs >= step).sum()) for step in LADDER}
    return Duplicates(tuple(found), limit, ladder, _leaks(values, rows, rows_diagonal, limit), notes)


def _members(component: np.ndarray) -> list[np.ndarray]:
    """Positions of every component with two points or more."""
    order = np.argsort(component, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    return [part for part in parts if len(part) > 1]


def _group(members: np.ndarray, cosines: np.ndarray, labels: np.ndarray) -> Group:
    smallest = float(cosines[np.ix_(members, members)].min())
    return Group(
        points=tuple(members.tolist()),
        labels=tuple(np.unique(labels[members]).tolist()),
        smallest=smallest,
        same=smallest >= SAME_FROM,
    )


def _leaks(kernel: np.ndarray, rows: np.ndarray | None, diagonal: np.ndarray | None, limit: float) -> np.ndarray:
    """Test points that are (nearly) training points.

    Raises:
        ValueError: when the rows come without their diagonal, or it does not fit.
    """
    if rows is None:
        return np.empty((0, 2), dtype=np.int64)
    block = check_rows(rows, len(kernel))
    if diagonal is None or np.shape(diagonal) != (len(block),):
        raise ValueError(f"Cosines of {len(block)} test points need their own kernel values [{len(block)}]; pass rows_diagonal.")
    cosines = block * inverse_root(np.asarray(diagonal))[:, None] * inverse_root(np.diagonal(kernel))
    nearest = cosines.argmax(axis=1)
    hit = np.flatnonzero(cosines.max(axis=1) >= limit)
    return np.stack([hit, nearest[hit]], axis=1).astype(np.int64)
