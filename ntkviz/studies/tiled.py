"""Large exact kernels tile by tile, so that an interruption costs the tile in hand and nothing else.

Which kernels are computed so depends on their kind and on N alone, never on the machine or on what happened before: the finished kernel has the same
bits whether it was interrupted or not. Small ones are computed whole, because points are taken apart anew for every tile.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from ntkviz.studies.engine import chosen_engine
from ntkviz.studies.shelf import Shelf
from ntkviz.studies.spec import StudySpec
from ntkviz.types import ProgressFn

if TYPE_CHECKING:
    from torch import nn

    from ntkviz.kernels.blocks import KernelBlocks
    from ntkviz.kernels.tiles import Tile, TileValues

#: Points on a side of a tile at most, and up to which a kernel is computed whole.
SIDE = 4096
#: Kinds whose entries depend on their two points alone.
_TILED = ("trntk", "pntk")


def goes_by_tiles(kind: str, options: Mapping[str, Any], n: int) -> bool:
    """Whether a kernel is computed tile by tile.

    Args:
        kind: of the registry.
        options: of the kind.
        n: N.
    """
    return n > SIDE and kind in _TILED and options.get("arithmetic", "float32") == "float32"


def kernel_by_tiles(
    model: "nn.Module",
    x_train: np.ndarray,
    x_test: np.ndarray,
    *,
    spec: StudySpec,
    shelf: Shelf | None,
    memory_mb: int,
    on_progress: ProgressFn,
) -> "KernelBlocks":
    """The raw kernel; tiles that the shelf has are not computed again, and a cluster computes the others where there is one.

    Args:
        model: the network.
        x_train: ``[N, ...]``.
        x_test: ``[M, ...]``.
        spec: the study, with every size and option written out; its kernel :func:`goes_by_tiles`.
        shelf: where tiles are kept; None keeps none, and nothing is asked of a cluster.
        memory_mb: bound on what a tile takes, in MiB.
        on_progress: called with ("kernel", fraction); may raise ``JobCancelled``.

    Raises:
        ClusterUnavailable: when ``NTKVIZ_ENGINE`` names a cluster that cannot be used.
    """
    from ntkviz.kernels.tiles import assemble, compute_tile, tiles

    n, m = len(x_train), len(x_test)
    planned = list(tiles(n, m, size=math.ceil(n / math.ceil(n / SIDE))))
    pairs = sum(len(tile.rows) * len(tile.columns) for tile in planned)
    if shelf is not None:
        _by_cluster(shelf, spec, planned, memory_mb, on_progress)

    def made() -> Iterator[tuple["Tile", "TileValues"]]:
        done = 0
        for tile in planned:
            found = _kept(shelf, tile)
            own = len(tile.rows) * len(tile.columns)
            if found is None:

                def tell(_stage: str, fraction: float, before: int = done, part: int = own) -> None:
                    on_progress("kernel", (before + fraction * part) / pairs)

                found = compute_tile(model, x_train, x_test, tile, kind=spec.kernel, memory_mb=memory_mb, on_progress=tell)
                _keep(shelf, tile, found)
            done += own
            on_progress("kernel", done / pairs)
            yield tile, found

    return assemble(made(), n, m, kind=spec.kernel)


def arrays_of(found: "TileValues") -> dict[str, np.ndarray]:
    """A tile's values as the shelf keeps them."""
    return {"values": found.values, "diagonal": found.diagonal, "words": np.array([found.path, *found.notes])}


def _by_cluster(shelf: Shelf, spec: StudySpec, planned: "Sequence[Tile]", memory_mb: int, on_progress: ProgressFn) -> None:
    """Put the tiles that are missing on the shelf, where a cluster was chosen to compute them."""
    engine = chosen_engine()
    missing = [] if engine is None else [tile for tile in planned if shelf.get(tile.name) is None]
    if engine is None or not missing:
        return
    from ntkviz.kernels.tiles import threads
    from ntkviz.studies.cluster import Request, compute_on

    there = 1 - len(missing) / len(planned)
    request = Request(spec.to_json(), str(shelf.home), shelf.kernel, memory_mb, threads(), version("torch"))
    compute_on(engine, shelf, request, missing, lambda stage, fraction: on_progress(stage, there + fraction * (1 - there)))


def _kept(shelf: Shelf | None, tile: "Tile") -> "TileValues | None":
    from ntkviz.kernels.tiles import TileValues

    found = None if shelf is None else shelf.get(tile.name)
    if found is None:
        return None
    path, *notes = found["words"].tolist()
    return TileValues(found["values"], found["diagonal"], path, tuple(notes))


def _keep(shelf: Shelf | None, tile: "Tile", found: "TileValues") -> None:
    if shelf is not None:
        shelf.put(tile.name, **arrays_of(found))
