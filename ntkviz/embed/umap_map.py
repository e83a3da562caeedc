"""UMAP on the kernel's distances, by umap-learn."""

import io
import re
import warnings
from typing import Any, Literal

import numpy as np

from ntkviz.embed.placement import place_by_neighbours
from ntkviz.embed.result import Layout
from ntkviz.types import ProgressFn, silent

#: From this many training points on, umap-learn (0.5.12) keeps no search index for precomputed distances and its
#: ``transform`` raises NotImplementedError; test points are then placed by their neighbours.
TRANSFORM_LIMIT = 4096

#: Below this many points the three eigenvectors of the spectral start do not exist (or are all there are).
SPECTRAL_FROM = 5

#: Least seconds between two reports.
REPORT_EVERY = 0.25

#: Warnings that state what we ask for on purpose; every other one becomes a note.
EXPECTED = ("using precomputed metric", "Transforming new data with precomputed metric", "n_jobs value")


def umap_map(
    distances: np.ndarray,
    row_distances: np.ndarray | None = None,
    *,
    start: np.ndarray | None = None,
    seed: int,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    init: Literal["spectral", "kernel_pca"] = "spectral",
    on_progress: ProgressFn = silent,
) -> Layout:
    """A UMAP map, the same for the same seed.

    Args:
        distances: ``[N, N]`` in the kernel's space.
        row_distances: ``[M, N]`` from test points to training points, or None.
        start: ``[N, 2]``, kernel PCA: where the optimisation begins with ``init="kernel_pca"``, and needed only then.
        seed: of the layout and of placing test points.
        n_neighbors: size of the neighbourhoods kept, 2..N-1.
        min_dist: least distance on the map, 0..0.99.
        init: ``"spectral"`` (UMAP's own) or ``"kernel_pca"`` (keeps more of the large-scale order).
        on_progress: called with stage ``"map"`` at each epoch or half second.

    Returns:
        The layout; ``notes`` carries umap's own warnings and how test points were placed.

    Raises:
        ValueError: when an option lies outside its range.

    Source: McInnes, Healy and Melville 2018 (arXiv 1802.03426).
    """
    _check(len(distances), n_neighbors, min_dist)
    on_progress("map", 0.0)
    import umap  # 5 to 15 seconds for numba; only when it is used

    begin = _begin(init, start, len(distances))
    model = umap.UMAP(
        metric="precomputed",
        n_neighbors=n_neighbors,
        min_dist=min_dist,
        init=begin,
        random_state=seed,
        transform_seed=seed,
        n_jobs=1,
        tqdm_kwds={
            "disable": False,
            "file": _Epochs(on_progress),
            "bar_format": "{percentage:.1f}%",
            "mininterval": REPORT_EVERY,
            "leave": False,
        },
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        points = np.asarray(model.fit_transform(distances), dtype=np.float64)
        test_points, placed = _place(model, points, row_distances, n_neighbors)
    said = dict.fromkeys(f"umap: {item.message}" for item in caught if not str(item.message).startswith(EXPECTED))
    return Layout(points, test_points, (*said, *placed))


def _begin(init: str, start: np.ndarray | None, n: int) -> Any:
    """What umap takes as ``init``: a name, or coordinates as wide as its own spectral ones.

    Raises:
        ValueError: when the name is unknown or coordinates are needed and missing.
    """
    if init == "spectral" and n >= SPECTRAL_FROM:
        return init
    if init not in ("spectral", "kernel_pca") or start is None:
        raise ValueError(
            f"init must be 'spectral' (from {SPECTRAL_FROM} points on) or 'kernel_pca' with a start [N, 2], got {init!r} with "
            f"{'no' if start is None else 'a'} start for {n} points."
        )
    return (start * (10.0 / max(float(np.abs(start).max()), 1e-12))).astype(np.float32)


def _check(n: int, n_neighbors: int, min_dist: float) -> None:
    """Refuse options outside their range.

    Raises:
        ValueError: when one is.
    """
    if not 2 <= n_neighbors <= n - 1:
        raise ValueError(f"n_neighbors must lie in 2..{n - 1} for {n} training points, got {n_neighbors}.")
    if not 0 <= min_dist < 1:
        raise ValueError(f"min_dist must lie in 0..0.99, got {min_dist}.")


def _place(model: Any, points: np.ndarray, row_distances: np.ndarray | None, k: int) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Test points on a fitted map, and how they got there."""
    if row_distances is None:
        return None, ()
    if len(points) < TRANSFORM_LIMIT:
        placed = np.asarray(model.transform(row_distances), dtype=np.float64)
        return placed, ("Test points were placed by UMAP's own transform; the training points stay where they are.",)
    note = (
        f"Above {TRANSFORM_LIMIT - 1} training points umap-learn cannot place new points by distances: each test point stands at the "
        f"fuzzy-weighted mean of its {k} nearest training points."
    )
    return place_by_neighbours(row_distances, points, n_neighbours=k), (note,)


class _Epochs(io.StringIO):
    """A file for umap's progress bar that passes the fraction on, and so lets a cancellation out of the loop."""

    def __init__(self, on_progress: ProgressFn) -> None:
        super().__init__()
        self._on_progress = on_progress
        self._done = 0.0
        self._stopped = False

    def write(self, text: str) -> int:
        """Read "12.5%" and report 0.125, never less than before: placing test points counts its epochs anew."""
        found = re.search(r"([\d.]+)%", text)
        if found and not self._stopped:
            self._done = max(self._done, min(1.0, float(found.group(1)) / 100))
            self._stopped = True  # the bar writes once more when it is closed; that must not raise a second time
            self._on_progress("map", self._done)
            self._stopped = False
        return len(text)
