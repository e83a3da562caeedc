"""Where the training set is thin: clusters of the kernel's space, and test points with little of their own class near by."""

from dataclasses import dataclass

import numpy as np

#: Axes of kernel PCA in which clusters are looked for.
_AXES = 20
#: A test point whose mass lies among the lowest of this share of its class is under-represented.
LOW = 0.1


@dataclass(frozen=True, eq=False)
class Coverage:
    """How much of its own class each test point has near by.

    Attributes:
        mass: float64 ``[M]``, mean of the k largest kernel entries to training points of the point's own class; NaN without any.
        rank: float64 ``[M]``, share of the other test points of its class with less mass, in [0, 1]; NaN when it is alone.
        own_share: float64 ``[M]``, share of its k nearest training points, of any class, that have its class.
        low: bool ``[M]``, whether the rank is at most a tenth.
        k: how many neighbours were looked at.
    """

    mass: np.ndarray
    rank: np.ndarray
    own_share: np.ndarray
    low: np.ndarray
    k: int


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions (clusters of training points) in which a behaviour's test points lie.

    Attributes:
        names: G names.
        n_train: int64 ``[G]``, training points.
        n_own: int64 ``[G]``, of them those of the classes of the behaviour's points.
        n_points: int64 ``[G]``, the behaviour's test points whose nearest training points lie there most.
        n_low: int64 ``[G]``, of them the under-represented.
        share: float64 ``[G]``, share of the behaviour's points there.
        share_rest: float64 ``[G]``, share there of the other test points of the same classes; NaN when there are none.
        low_share: share of the behaviour's points that are under-represented.
        low_share_rest: the same of the other test points of the same classes; NaN when there are none.
    """

    names: tuple[str, ...]
    n_train: np.ndarray
    n_own: np.ndarray
    n_points: np.ndarray
    n_low: np.ndarray
    share: np.ndarray
    share_rest: np.ndarray
    low_share: float
    low_share_rest: float


def kernel_clusters(kernel: np.ndarray, *, n_clusters: int = 12, seed: int = 0) -> np.ndarray:
    """Clusters of training points: k-means on the leading axes of kernel PCA, int64 ``[N]``, the largest cluster first.

    Args:
        kernel: ``[N, N]``.
        n_clusters: at most; N when there are fewer points.
        seed: of the starts.

    Raises:
        ValueError: when ``n_clusters`` is below 1 or the kernel is not square.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import KernelPCA

    values = np.asarray(kernel, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise ValueError(f"The kernel must be [N, N]; got shape {values.shape}.")
    if isinstance(n_clusters, bool) or not isinstance(n_clusters, int | np.integer) or n_clusters < 1:
        raise ValueError(f"n_clusters must be a whole number above 0; got {n_clusters!r}.")
    n = len(values)
    axes = min(_AXES, n - 1)
    if axes < 1 or min(int(n_clusters), n) == 1:
        return np.zeros(n, dtype=np.int64)
    solver = "randomized" if n > 4 * axes else "dense"
    points = KernelPCA(n_components=axes, kernel="precomputed", eigen_solver=solver, random_state=seed).fit_transform(values)
    found = KMeans(n_clusters=min(int(n_clusters), n), n_init=4, random_state=seed).fit_predict(points)  # pyright: ignore[reportArgumentType]
    order = np.argsort(-np.bincount(found), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return place[found].astype(np.int64)


def cluster_names(clusters: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> tuple[str, ...]:
    """A name a cluster: its number and the classes of its points, the most frequent first.

    Args:
        clusters: int ``[N]``.
        labels: int ``[N]``.
        class_names: C names.
    """
    names = []
    for cluster in range(int(clusters.max()) + 1):
        counts = np.bincount(labels[clusters == cluster], minlength=len(class_names))
        top = [c for c in np.argsort(-counts, kind="stable")[:2] if counts[c]]
        words = ", ".join(f"{100 * counts[c] / max(counts.sum(), 1):.0f} % {class_names[c]}" for c in top)
        names.append(f"cluster {cluster + 1} ({words})")
    return tuple(names)


def coverage(rows: np.ndarray, y_train: np.ndarray, y_test: np.ndarray, *, k: int = 10) -> Coverage:
    """How much of its own class each test point has near by, compared with the other test points of its class.

    With an unnormalised kernel a point of small gradients has little mass wherever it lies; take the cosine kernel.

    Args:
        rows: ``[M, N]``.
        y_train: int ``[N]``.
        y_test: int ``[M]``.
        k: neighbours looked at; fewer when a class has fewer points.

    Raises:
        ValueError: when shapes do not fit.
    """
    values, train, test = np.asarray(rows, dtype=np.float64), np.asarray(y_train), np.asarray(y_test)
    if values.ndim != 2 or values.shape != (len(test), len(train)) or not values.size:
        raise ValueError(f"rows must be [{len(test)}, {len(train)}], test points against training points; got {values.shape}.")
    k = max(1, min(int(k), values.shape[1]))
    mass, rank = np.full(len(test), np.nan), np.full(len(test), np.nan)
    nearest = np.argpartition(-values, k - 1, axis=1)[:, :k]
    own_share = (train[nearest] == test[:, None]).mean(axis=1)
    for label in np.unique(test):
        points, own = np.flatnonzero(test == label), train == label
        if not own.any():
            continue
        kept = min(k, int(own.sum()))
        mass[points] = np.sort(values[np.ix_(points, own)], axis=1)[:, -kept:].mean(axis=1)
        if len(points) > 1:
            less = (mass[points][None, :] < mass[points][:, None]).sum(axis=1)
            rank[points] = less / (len(points) - 1)
    return Coverage(mass, rank, own_share, np.isnan(mass) | (rank <= LOW), k)


def regions(
    rows: np.ndarray,
    clusters: np.ndarray,
    names: tuple[str, ...],
    members: np.ndarray,
    found: Coverage,
    *,
    y_train: np.ndarray,
    y_test: np.ndarray,
) -> Regions:
    """In which clusters a behaviour's test points lie, and where they are under-represented.

    Args:
        rows: ``[M, N]``.
        clusters: int ``[N]``.
        names: G names.
        members: bool ``[M]``.
        found: of the same test points.
        y_train: int ``[N]``.
        y_test: int ``[M]``.

    Raises:
        ValueError: when no test point is a member.
    """
    inside = np.asarray(members, dtype=bool)
    if not inside.any():
        raise ValueError("No test point belongs to the behaviour; choose some.")
    nearest = np.argpartition(-np.asarray(rows), found.k - 1, axis=1)[:, : found.k]
    votes = np.array([np.bincount(clusters[near], minlength=len(names)) for near in nearest])
    place = votes.argmax(axis=1)
    classes = np.unique(y_test[inside])
    rest = ~inside & np.isin(y_test, classes)

    def shares(chosen: np.ndarray) -> np.ndarray:
        counts = np.bincount(place[chosen], minlength=len(names))
        return counts / counts.sum() if counts.sum() else np.full(len(names), np.nan)

    return Regions(
        names=tuple(names),
        n_train=np.bincount(clusters, minlength=len(names)),
        n_own=np.bincount(clusters[np.isin(y_train, classes)], minlength=len(names)),
        n_points=np.bincount(place[inside], minlength=len(names)),
        n_low=np.bincount(place[inside & found.low], minlength=len(names)),
        share=shares(inside),
        share_rest=shares(rest),
        low_share=float(found.low[inside].mean()),
        low_share_rest=float(found.low[rest].mean()) if rest.any() else float("nan"),
    )
