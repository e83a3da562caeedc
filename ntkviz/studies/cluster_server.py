"""A Dask cluster for large kernels: a scheduler with workers on this machine, or workers that join one elsewhere."""

import asyncio
import logging
import signal
from contextlib import AsyncExitStack, suppress
from typing import Any

from ntkviz.studies.engine import INSTALL, VARIABLE, Engine
from ntkviz.studies.errors import ClusterUnavailable
from ntkviz.studies.machine import memory_limit_mb

#: What a worker may hold beyond the limit of a study, before its nanny starts it anew.
_MEMORY_SLACK = 1.5
#: A worker that finds no scheduler for so long leaves.
_PATIENCE_SECONDS = 60


def serve(engine: Engine, *, workers: int, join: bool) -> None:
    """Run a cluster, or workers of one, until SIGTERM or SIGINT comes or the scheduler that was joined goes away.

    Args:
        engine: where the scheduler listens.
        workers: processes on this machine, one tile at a time each.
        join: start no scheduler.

    Raises:
        ClusterUnavailable: when Dask or a certificate is missing, or the address cannot be listened on.
    """
    try:
        import dask.config
        import distributed  # noqa: F401
    except ImportError as error:
        raise ClusterUnavailable(f"A cluster needs Dask, which is not installed here. {INSTALL}.") from error
    # No web pages: they would tell whoever asks, without a certificate, what is computed here.
    quiet = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
    logging.getLogger("distributed").setLevel(logging.WARNING)
    with dask.config.set(quiet):
        asyncio.run(_serve(engine, workers, join))


async def _serve(engine: Engine, workers: int, join: bool) -> None:
    """The cluster, until it is to end.

    Raises:
        ClusterUnavailable: when the address cannot be listened on, or no scheduler is there to join.
    """
    from distributed import Nanny, Scheduler

    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    shared: dict[str, Any] = {
        "security": engine.security(),
        "protocol": "tls" if engine.tls else "tcp",
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
    }
    async with AsyncExitStack() as stack:
        if not join:
            try:
                await stack.enter_async_context(Scheduler(host=engine.host, port=engine.port, **shared))
            except (OSError, ValueError, RuntimeError) as error:
                raise ClusterUnavailable(
                    f"{engine} cannot be listened on ({error.__cause__ or error}). Give another address with --at."
                ) from error
        nannies = [
            Nanny(
                engine.address,
                nthreads=1,
                silence_logs=logging.WARNING,
                host=None if engine.tls else engine.host,
                memory_limit=f"{_MEMORY_SLACK * memory_limit_mb():.0f} MiB",
                death_timeout=_PATIENCE_SECONDS,
                preload=["ntkviz.kernels.tiles"],  # seconds of importing torch, before the first tile is given to it
                **shared,
            )
            for _ in range(workers)
        ]
        ended = asyncio.gather(*(_run(nanny, stopping) for nanny in nannies))
        print(_sentence(engine, workers, join), flush=True)
        try:
            await ended
        except (OSError, RuntimeError) as error:
            raise ClusterUnavailable(
                f"The workers did not start ({error.__cause__ or error}). With --join, a scheduler must answer at {engine}."
            ) from error


async def _run(nanny: Any, stopping: asyncio.Event) -> None:
    """One worker and the nanny that starts it again when it dies, until the end."""
    async with nanny:
        gone = asyncio.ensure_future(nanny.finished())
        asked = asyncio.ensure_future(stopping.wait())
        await asyncio.wait({gone, asked}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        asked.cancel()
        logging.getLogger("distributed.nanny").setLevel(
            logging.ERROR
        )  # a worker that is slow to leave is killed, and loses nothing


def _sentence(engine: Engine, workers: int, join: bool) -> str:
    count = f"{workers} worker{'' if workers == 1 else 's'}"
    if join:
        return f"{count} for the cluster at {engine}. Ctrl-C stops them."
    return f"A cluster with {count} at {engine}. In another terminal: {VARIABLE}={engine} make app. Ctrl-C stops the cluster."
