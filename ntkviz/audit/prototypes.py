"""What is typical of a class, and what stands far from it?

Prototypes are chosen one after the other so that the points chosen have, in the kernel's space, nearly the same mean as their class:

    maximise J(S) = 2 / (n |S|) sum_{i, j in S} k(x_i, x_j) - 1 / |S|^2 sum_{j, l in S} k(x_j, x_l)

which is the class' part of the maximum mean discrepancy (MMD). Outliers are points of small mean similarity to their own class.
"""

from dataclasses import dataclass

import numpy as np

from ntkviz.audit.checks import audited, cosine, counted, spread
from ntkviz.types import AuditInfo

#: Robust z-score from which on a point is called an outlier.
OUTLIER_FROM = 3.0

PROTOTYPES = AuditInfo(
    key="prototypes",
    task="prototypes",
    title="Prototypes",
    question="Which few training points stand for each class?",
    formula=r"\max_S\; \frac{2}{n|S|}\sum_{i,\, j \in S} k(x_i, x_j) - \frac{1}{|S|^2}\sum_{j, l \in S} k(x_j, x_l)",
    cost="n^2 a class for the means, then n a prototype.",
    source="MMD-critic (Kim, Khanna and Koyejo, NeurIPS 2016), greedy, a class at a time, on the cosine kernel.",
    caveat="The first is the point most similar to its class on average, the next ones add what is missing; they are typical to "
    "the network, not to a person. A wrong label can be a prototype only if many are wrong alike.",
)
OUTLIERS = AuditInfo(
    key="outliers",
    task="prototypes",
    title="Outliers",
    question="Which training points are unlike the rest of their class?",
    formula=r"z_i = \frac{\operatorname{median}_c(d) - d_i}{1.4826\,\operatorname{MAD}_c(d)},\qquad d_i = \operatorname*{mean}_{j \ne i,\, y_j = y_i} k(x_i, x_j)",
    cost="N^2.",
    source="Mean similarity to the class as a kernel density (Parzen 1962), judged by median and median absolute deviation.",
    caveat="Unlike its class is not wrong: rare ways to look are outliers too. Where a class has two shapes, the smaller one is.",
)
INFOS = (PROTOTYPES, OUTLIERS)


@dataclass(frozen=True)
class ClassSummary:
    """The prototypes of a class and how far they stand for it.

    Attributes:
        label: the class.
        n_points: training points of it.
        prototypes: positions, in the order chosen.
        coverage: float, mean over its points of the cosine to the nearest of its prototypes.
        own_nearest: share of its points whose nearest prototype, of all classes, is of their own class.
        mmd: distance of the mean of the prototypes to that of the class, in the kernel's space, 0 at best.
    """

    label: int
    n_points: int
    prototypes: tuple[int, ...]
    coverage: float
    own_nearest: float
    mmd: float


@dataclass(frozen=True, eq=False)
class Typicality:
    """What is typical and what is not.

    Attributes:
        classes: one summary a class that has training points, by label.
        density: float64 ``[N]``, mean cosine to the other points of the class; 0 for a point alone in its class.
        outlyingness: float64 ``[N]``, how far the density lies below the median of the class, in units of its spread; 0 where there is none.
        notes: what a person should know.
    """

    classes: tuple[ClassSummary, ...]
    density: np.ndarray
    outlyingness: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def outliers(self) -> np.ndarray:
        """int64, positions with an outlyingness of :data:`OUTLIER_FROM` and above, most outlying first."""
        order = np.argsort(-self.outlyingness, kind="stable")
        return order[self.outlyingness[order] >= OUTLIER_FROM]


def typicality(kernel: np.ndarray, labels: np.ndarray, *, n_prototypes: int = 5) -> Typicality:
    """Prototypes of each class and the outlyingness of each point, on the cosine kernel.

    Args:
        kernel: ``[N, N]``; brought to cosines here.
        labels: ``[N]``.
        n_prototypes: of each class; all points of a class that has fewer.

    Raises:
        ValueError: when the kernel, the labels or the number cannot be used.
    """
    wanted = counted("n_prototypes", n_prototypes)
    values, classes, _ = audited(kernel, labels)
    cosines, notes = cosine(values)
    density, outlyingness = np.zeros(len(classes)), np.zeros(len(classes))
    chosen: dict[int, np.ndarray] = {}
    for label in np.unique(classes).tolist():
        members = np.flatnonzero(classes == label)
        within = cosines[np.ix_(members, members)]
        chosen[label] = members[_greedy(within, min(wanted, len(members)))]
        density[members] = (within.sum(axis=1) - np.diagonal(within)) / max(1, len(members) - 1)
        outlyingness[members] = _below(density[members])
    small = [label for label in chosen if len(chosen[label]) < wanted]
    if small:
        notes = (*notes, f"{len(small)} classes have fewer than {wanted} points; all of theirs are prototypes.")
    every = np.concatenate(list(chosen.values()))
    nearest = classes[every[cosines[:, every].argmax(axis=1)]]
    summaries = tuple(_summary(label, members, cosines, classes, nearest) for label, members in chosen.items())
    return Typicality(summaries, density, outlyingness, notes)


def _greedy(kernel: np.ndarray, k: int) -> np.ndarray:
    """Positions of k prototypes of a class with kernel ``[n, n]``, in the order chosen; of equals the lower position."""
    means = kernel.mean(axis=1)
    chosen: list[int] = []
    to_chosen = np.zeros(len(kernel))  # summed similarity to those chosen
    mass = inner = 0.0  # sums of means, and of similarities, over those chosen
    for size in range(1, k + 1):
        gain = 2 * (mass + means) / size - (inner + 2 * to_chosen + np.diagonal(kernel)) / size**2
        gain[chosen] = -np.inf
        best = int(gain.argmax())
        mass += float(means[best])
        inner += float(2 * to_chosen[best] + kernel[best, best])
        to_chosen += kernel[best]
        chosen.append(best)
    return np.array(chosen, dtype=np.int64)


def _below(density: np.ndarray) -> np.ndarray:
    """How far each value lies below the median, in units of the spread; 0 when there is no spread."""
    width = spread(density)
    return (np.median(density) - density) / width if width > 1e-9 else np.zeros(len(density))


def _summary(label: int, prototypes: np.ndarray, cosines: np.ndarray, labels: np.ndarray, nearest: np.ndarray) -> ClassSummary:
    members = labels == label
    within = cosines[np.ix_(members, members)]
    to_prototypes = cosines[np.ix_(members, prototypes)]
    squared = within.mean() - 2 * to_prototypes.mean() + cosines[np.ix_(prototypes, prototypes)].mean()
    return ClassSummary(
        label=int(label),
        n_points=int(members.sum()),
        prototypes=tuple(prototypes.tolist()),
        coverage=float(to_prototypes.max(axis=1).mean()),
        own_nearest=float((nearest[members] == label).mean()),
        mmd=float(np.sqrt(max(squared, 0.0))),
    )
