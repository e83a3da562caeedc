"""The door of this room: a kernel in, a map with its quality out."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ntkviz.embed.distance import query_distances, training_distances
from ntkviz.embed.kernel_pca import kernel_pca
from ntkviz.embed.quality import quality
from ntkviz.embed.registry import embeddings
from ntkviz.embed.result import Embedding, Layout
from ntkviz.embed.tsne import tsne_map
from ntkviz.embed.umap_map import SPECTRAL_FROM, umap_map
from ntkviz.types import ProgressFn, silent


@dataclass(frozen=True)
class _Space:
    """Everything that a method may need: ``kernel [N, N]``, ``rows [M, N]``, both as distances, and what was repaired in these."""

    kernel: np.ndarray
    rows: np.ndarray | None
    distances: np.ndarray
    row_distances: np.ndarray | None
    notes: tuple[str, ...]


def embed(
    kernel: np.ndarray,
    rows: np.ndarray | None = None,
    row_diagonal: np.ndarray | None = None,
    *,
    kind: str = "umap",
    seed: int = 0,
    n_neighbours: int = 15,
    on_progress: ProgressFn = silent,
    **options: object,
) -> Embedding:
    """Map the kernel's space to the plane, and measure how far the map can be believed.

    Args:
        kernel: ``[N, N]``, training points; N from 3 to about 10,000 (memory grows as N^2).
        rows: ``[M, N]``, test against train, or None for training points only.
        row_diagonal: ``[M]``, each test point's kernel with itself; may be left out for a normalised kernel.
        kind: a key of :func:`ntkviz.embed.registry.embeddings`.
        seed: of methods with chance in them.
        n_neighbours: k of the quality measures; cut to below N / 2.
        on_progress: called with stages ``"distances"``, ``"map"``, ``"quality"``.
        **options: those of the registry row. ``n_neighbors`` and ``perplexity`` shrink when N is too small for them,
            and ``notes`` says so.

    Returns:
        The embedding: float64 coordinates, quality, notes.

    Raises:
        ValueError: when the kernel is not a finite symmetric matrix of at least 3 points, rows do not fit it, or the
            kind or an option is unknown or out of range.
    """
    used = _options(kind, options)
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}.")
    on_progress("distances", 0.0)
    space = _space(kernel, rows, row_diagonal)
    shrunk = _shrink(used, len(kernel))
    layout = _finite(_layout(kind, space, seed, used, on_progress), kind)
    on_progress("map", 1.0)
    measured = quality(
        space.distances,
        layout.points,
        n_neighbours=n_neighbours,
        row_distances=space.row_distances,
        test_points=layout.test_points,
        on_block=lambda fraction: on_progress("quality", fraction),
    )
    on_progress("quality", 1.0)
    fewer = _fewer_neighbours(measured.n_neighbours, n_neighbours, len(kernel))
    return Embedding(
        points=layout.points,
        test_points=layout.test_points,
        method=kind,
        options=used,
        seed=seed,
        quality=measured,
        explained=layout.explained,
        notes=(*space.notes, *shrunk, *fewer, *layout.notes),
    )


def _space(kernel: np.ndarray, rows: np.ndarray | None, row_diagonal: np.ndarray | None) -> _Space:
    """The kernel's distances.

    Raises:
        ValueError: when the kernel is not a finite symmetric matrix of at least 3 points, or rows do not fit it.
    """
    if len(kernel) < 3:
        raise ValueError(f"A map needs at least 3 training points, got {len(kernel)}. Take more points.")
    between = training_distances(kernel)
    if rows is None or not len(rows):
        return _Space(kernel, None, between.values, None, tuple(between.notes))
    towards = query_distances(rows, row_diagonal, np.diag(np.asarray(kernel, dtype=np.float64)))
    return _Space(kernel, rows, between.values, towards.values, (*between.notes, *towards.notes))


def _fewer_neighbours(used: int, asked: int, n: int) -> list[str]:
    """What to say when quality was measured on fewer neighbours than asked for."""
    if used >= asked:
        return []
    return [f"Quality was measured on {used} instead of {asked} neighbours: it needs k < N / 2, and N is {n}."]


def _options(kind: str, given: dict[str, object]) -> dict[str, object]:
    """Defaults of the registry row, overlaid with what was given.

    Raises:
        ValueError: when the kind or an option is unknown, or an option is of another type than its default.
    """
    rows = embeddings()
    if kind not in rows:
        raise ValueError(f"kind must be one of {', '.join(rows)}, got {kind!r}.")
    known = rows[kind].options
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"{kind} takes the options {', '.join(known) or 'none'}, got {', '.join(unknown)}.")
    for name, value in given.items():
        expected = type(known[name][0])
        if isinstance(value, bool) or not (isinstance(value, expected) or (expected is float and isinstance(value, int))):
            raise ValueError(f"{name} must be of type {expected.__name__}, as its default {known[name][0]!r}, got {value!r}.")
    return {name: default for name, (default, _) in known.items()} | given


def _shrink(options: dict[str, object], n: int) -> list[str]:
    """Fit options to N points, in place; say what was changed."""
    notes = []
    limits: dict[str, float] = {"n_neighbors": n - 1, "perplexity": max(1.0, (n - 1) / 3)}
    for name, limit in limits.items():
        value = options.get(name)
        if isinstance(value, int | float) and value > limit:
            options[name] = limit
            notes.append(f"{name} was cut from {value} to {limit:.3g}, the most that {n} training points allow.")
    if options.get("init") == "spectral" and n < SPECTRAL_FROM:
        options["init"] = "kernel_pca"
        notes.append(f"The layout began from kernel PCA: a spectral start needs at least {SPECTRAL_FROM} training points.")
    return notes


def _layout(kind: str, space: _Space, seed: int, options: dict[str, object], on_progress: ProgressFn) -> Layout:
    """Coordinates by the method asked for."""
    on_progress("map", 0.0)
    if kind == "kernel_pca":
        return kernel_pca(space.kernel, space.rows)
    start = None if options.get("init") == "spectral" else kernel_pca(space.kernel).points
    on_progress("map", 0.0)
    common: dict[str, Any] = {"start": start, "seed": seed, **options}
    if kind == "umap":
        return umap_map(space.distances, space.row_distances, on_progress=on_progress, **common)
    return tsne_map(space.distances, space.row_distances, **common)


def _finite(layout: Layout, kind: str) -> Layout:
    """The map, when all its coordinates are finite: others would draw as holes.

    Raises:
        ValueError: when there is one.
    """
    n_bad = int(np.count_nonzero(~np.isfinite(layout.points)))
    if layout.test_points is not None:
        n_bad += int(np.count_nonzero(~np.isfinite(layout.test_points)))
    if n_bad:
        raise ValueError(
            f"{kind} gave {n_bad} coordinates that are not finite; expected none. Try another kind or more neighbours."
        )
    return layout
