"""Tiles of a large kernel, computed by a Dask cluster into the folder of the store.

A tile is computed by the function that computes it at home, with as many threads, so it has the same bits. Only tiles that the shelf has not are
asked for; workers write their files into the shared folder and send back sizes and hashes, and this side alone writes rows into the database.
Nothing here imports torch or Dask before it must: the scheduler imports this module, too.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from socket import gethostname
from threading import Lock
from typing import TYPE_CHECKING, Any

from ntkviz.errors import JobCancelled, NtkvizError
from ntkviz.studies.engine import INSTALL, VARIABLE, Engine
from ntkviz.studies.errors import ClusterUnavailable
from ntkviz.studies.shelf import Shelf
from ntkviz.types import ProgressFn

if TYPE_CHECKING:
    from distributed import Client, Future
    from torch import nn

    from ntkviz.kernels.tiles import Tile
    from ntkviz.studies.points import Points

_CONNECT_SECONDS = 10.0
_LOOK_SECONDS = 0.1
#: How often the scheduler is asked whether there is a worker, and how long there may be none (those that died are being started again).
_ASK_SECONDS, _NO_WORKER_SECONDS = 5.0, 60.0
#: A task that fails in a worker that lives is tried again; one whose worker dies is so by the scheduler, three times.
_RETRIES = 2
#: A network in two threads of one process would be taken apart twice at a time.
_one_at_a_time = Lock()


@dataclass(frozen=True)
class Request:
    """What a worker must know beside the tile; plain values, which the scheduler can hold without torch.

    Attributes:
        spec: the study, as JSON.
        home: the folder of the store, under the same path everywhere.
        kernel: sha256 that names the kernel: of the model's and the data's bytes, the points, and the version of the code.
        memory_mb: bound on what a tile takes, in MiB.
        threads: to compute with.
        torch: its version.
    """

    spec: str
    home: str
    kernel: str
    memory_mb: int
    threads: int
    torch: str


def compute_on(engine: Engine, shelf: Shelf, request: Request, missing: "Sequence[Tile]", on_progress: ProgressFn) -> None:
    """Have tiles computed, and keep them on the shelf.

    Args:
        engine: the cluster.
        shelf: of the kernel.
        request: of the kernel.
        missing: the tiles.
        on_progress: called with ("kernel", fraction of their pairs) ten times a second; when it raises ``JobCancelled``, tasks that
            wait are dropped and those that run stop at their next report.

    Raises:
        ClusterUnavailable: when the cluster cannot be reached, went away, has no workers, or its workers differ from this side.
        NtkvizError: what a worker raised, such as ``BudgetExceeded`` for a full disk.
    """
    with _connected(engine) as client:
        tasks = {client.submit(tile_on_cluster, request, *_bounds(tile), **_named(request, tile)): tile for tile in missing}
        # Leaving closes the client, and with it the scheduler forgets whatever nobody else waits for.
        _collect(client, engine, shelf, tasks, on_progress)


def count_workers(engine: Engine) -> int:
    """How many workers a cluster has.

    Raises:
        ClusterUnavailable: when it cannot be reached.
    """
    with _connected(engine) as client:
        return len(client.scheduler_info()["workers"])


def tile_on_cluster(request: Request, part: str, rows: tuple[int, int], columns: tuple[int, int]) -> tuple[str, int, str]:
    """Compute a tile and write its file; runs in a Dask worker.

    Args:
        request: of the kernel.
        part: of the tile.
        rows: first and end.
        columns: first and end.

    Returns:
        its name, the size of its file in bytes and its sha256.

    Raises:
        ClusterUnavailable: when this worker is not as the side that asks: folder, files, or version of torch.
        JobCancelled: when nobody waits for the tile any more.
    """
    from ntkviz.kernels import tiles
    from ntkviz.studies.spec import StudySpec
    from ntkviz.studies.tiled import arrays_of

    stop_when_unwanted = _watch()
    with _one_at_a_time:
        stop_when_unwanted("kernel", 0.0)
        model, points = _loaded(request)
        tiles.use_threads(request.threads)
        tile = tiles.Tile(part, range(*rows), range(*columns))
        found = tiles.compute_tile(
            model,
            points.x_train,
            points.x_test,
            tile,
            kind=StudySpec.from_json(request.spec).kernel,
            memory_mb=request.memory_mb,
            on_progress=stop_when_unwanted,
        )
        return tile.name, *Shelf(Path(request.home), request.kernel).write(tile.name, **arrays_of(found))


@lru_cache(maxsize=1)
def _loaded(request: Request) -> "tuple[nn.Module, Points]":
    """The network and the points, once a process and kernel; they are those of the side that asks, or refused.

    Raises:
        ClusterUnavailable: when they are not.
    """
    from ntkviz.studies.points import Points
    from ntkviz.studies.spec import StudySpec
    from ntkviz.studies.subjects import find_subject, load_subject_model, subject_data

    home, spec, here = Path(request.home), StudySpec.from_json(request.spec), gethostname()
    if not home.is_dir():
        raise ClusterUnavailable(f"The worker on {here} does not see {home}. Share that folder with it, under the same path.")
    if version("torch") != request.torch:
        raise ClusterUnavailable(
            f"The worker on {here} has torch {version('torch')}, the side that asks {request.torch}: tiles would differ. "
            "Install the same requirements.txt on all machines."
        )
    subject = find_subject(spec.subject_id, home=home)
    if spec.keys(subject)[1] != request.kernel:
        raise ClusterUnavailable(
            f"The worker on {here} has other files of {spec.subject_id}, or another version of ntkviz. Use the same checkout on all machines."
        )
    return load_subject_model(subject.id, home=home), Points.draw(subject_data(subject.id, home=home), spec)


def _watch() -> ProgressFn:
    """Raises :class:`JobCancelled` once the task of this thread was taken back, as it is when the job is cancelled or its process dies."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def tell(_stage: str, _fraction: float) -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise JobCancelled("Nobody waits for this tile any more.")

    return tell


def _bounds(tile: "Tile") -> tuple[str, tuple[int, int], tuple[int, int]]:
    return tile.part, (tile.rows.start, tile.rows.stop), (tile.columns.start, tile.columns.stop)


def _named(request: Request, tile: "Tile") -> dict[str, Any]:
    """Two jobs that want the same tile at a time have it computed once: equal keys mean equal bits."""
    return {"key": f"ntkviz-tile-{request.kernel}-{request.threads}-{tile.name}", "retries": _RETRIES, "pure": False}


@contextmanager
def _connected(engine: Engine) -> "Iterator[Client]":
    """A client of the cluster.

    Yields:
        The client.

    Raises:
        ClusterUnavailable: when there is none.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterUnavailable(f"{VARIABLE} asks for {engine}, and Dask is not installed here. {INSTALL}.") from error
    try:
        client = Client(engine.address, security=engine.security(), timeout=_CONNECT_SECONDS, set_as_default=False)
    except OSError as error:
        raise ClusterUnavailable(
            f"No cluster answers at {engine} ({_short(error)}). Start one with `python -m ntkviz cluster`, or unset {VARIABLE} "
            "to compute on this machine; then ask for the study again."
        ) from error
    try:
        yield client
    finally:
        with suppress(Exception):  # what went wrong is told already, and a cluster that is gone cannot be left in order
            client.close(timeout=1)


def _collect(client: "Client", engine: Engine, shelf: Shelf, tasks: "dict[Future, Tile]", on_progress: ProgressFn) -> None:
    """Write the rows of tiles as they arrive.

    Raises:
        ClusterUnavailable: when the cluster is lost, or its files are not seen here.
    """
    total, done = sum(_pairs(tile) for tile in tasks.values()), 0
    workers = _Workers(client, engine)
    waiting = dict(tasks)
    while waiting:
        on_progress("kernel", done / total)
        if client.status != "running":
            raise ClusterUnavailable(_gone(engine))
        workers.require()
        for future in [future for future in waiting if future.done()]:
            arrived = _result(future, engine)
            if arrived is None:
                continue  # it was lost with its worker on the way, and is computed again
            name, size, sha256 = arrived
            if not shelf.path(name).is_file():
                raise ClusterUnavailable(
                    f"The workers of {engine} wrote into {shelf.home}, and the file is not there. Share that folder with them, under the same path."
                )
            shelf.note(name, size, sha256)
            done += _pairs(waiting.pop(future))
        time.sleep(_LOOK_SECONDS)


def _pairs(tile: "Tile") -> int:
    return len(tile.rows) * len(tile.columns)


def _result(future: "Future", engine: Engine) -> tuple[str, int, str] | None:
    """What a task gave; None when it is not there yet after all.

    Raises:
        ClusterUnavailable: when workers died of it, or it cannot run on this cluster.
        NtkvizError: what it raised.
        ValueError: likewise.
    """
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    try:
        return future.result(timeout=1)
    except TimeoutError:
        return None
    except (NtkvizError, ValueError):
        raise
    except FutureCancelledError as error:
        raise ClusterUnavailable(_gone(engine)) from error
    except KilledWorker as error:
        raise ClusterUnavailable(
            f"The workers of {engine} that took the same tile died one after the other, perhaps out of memory. "
            "Tiles that were finished are kept. Give workers more memory, and ask for the study again."
        ) from error
    except Exception as error:
        raise ClusterUnavailable(
            f"A worker of {engine} could not compute a tile ({type(error).__name__}: {_short(error)}). Its log has the details. "
            "Start workers with `python -m ntkviz cluster`, from the same version of ntkviz."
        ) from error


def _gone(engine: Engine) -> str:
    return f"The cluster at {engine} went away. Tiles that were finished are kept: start it again, or unset {VARIABLE}, and ask for the study again."


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


class _Workers:
    """Looks now and then whether the cluster has any."""

    def __init__(self, client: "Client", engine: Engine) -> None:
        self._client, self._engine = client, engine
        self._seen = self._asked = time.monotonic()

    def require(self) -> None:
        """Give up when there was none for a while.

        Raises:
            ClusterUnavailable: then.
        """
        now = time.monotonic()
        if now - self._asked < _ASK_SECONDS:
            return
        self._asked = now
        try:
            there = bool(self._client.scheduler_info(n_workers=1)["workers"])
        except OSError as error:
            raise ClusterUnavailable(_gone(self._engine)) from error
        if there:
            self._seen = now
        elif now - self._seen > _NO_WORKER_SECONDS:
            raise ClusterUnavailable(
                f"The cluster at {self._engine} has had no worker for {_NO_WORKER_SECONDS:.0f} s. Tiles that were finished are kept. "
                f"Start workers with `python -m ntkviz cluster --join --at {self._engine}`, and ask for the study again."
            )
