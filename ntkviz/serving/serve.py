"""``python -m ntkviz serve``: the dashboard in one or several processes behind one port, and the supervisor of its jobs."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from ntkviz.errors import NtkvizError
from ntkviz.models.sandbox_layers import require_layers
from ntkviz.serving.door import Door, Process
from ntkviz.studies.machine import worker_environment
from ntkviz.studies.server import require_safe, server
from ntkviz.studies.store import ntkviz_home

_APP = Path(__file__).resolve().parents[2] / "app.py"
_LOOK_SECONDS = 0.5
#: Of a process that serves pages to many: two of them and a job that all use every core make each other wait for seconds.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
#: A process that ends sooner than this after its start will not do better the next time.
_LEAST_SECONDS = 5.0


def serve(
    *, port: int = 8501, host: str = "127.0.0.1", processes: int = 1, jobs: bool = True, options: tuple[str, ...] = ()
) -> int:
    """Serve until SIGINT or SIGTERM. What dies is started again.

    Args:
        port: of the dashboard.
        host: to listen on.
        processes: that draw pages; one is enough for a person, a class needs more.
        jobs: run the jobs as well; not where a service of its own does.
        options: for Streamlit, such as ``--server.maxUploadSize=32``.

    Returns:
        the exit code.

    Raises:
        NtkvizError: when the port is taken, a process does not start, or the server's configuration lets others in who may not.
    """
    require_safe(server(), {"server.address": host})
    require_layers(server().mode)
    _require_free(host, port)
    drawing = [Process(f"p{i + 1}", port if processes == 1 else _free_port()) for i in range(processes)]
    several = processes > 1
    working = {"jobs": [sys.executable, "-P", "-m", "ntkviz", "worker"]} if jobs else {}
    commands = working | {
        one.name: [
            *(sys.executable, "-m", "streamlit", "run", str(_APP), f"--server.port={one.port}"),
            f"--server.address={'127.0.0.1' if several else host}",
            *((f"--server.baseUrlPath={one.name}",) if several else ()),
            *(("--server.headless=true",) if several else ()),
            *options,
        ]
        for one in drawing
    }
    print(f"ntkviz: http://{host}:{port}", flush=True)
    with _Children(commands) as children:
        if several:
            return asyncio.run(_behind_door(Door(drawing), host, port, children))
        while not children.stopping:
            children.look()
            time.sleep(_LOOK_SECONDS)
    return 0


async def _behind_door(door: Door, host: str, port: int, children: "_Children") -> int:
    """Serve the door, and look after the children."""
    taking = asyncio.create_task(door.serve(host, port))
    while not children.stopping:
        children.look()
        await asyncio.sleep(_LOOK_SECONDS)
    taking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await taking
    return 0


class _Children:
    """The processes that serve; started again when they die, ended with this one.

    Args:
        commands: name -> command.
    """

    def __init__(self, commands: dict[str, list[str]]) -> None:
        self.commands = commands
        self.stopping = False
        self._running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}

    def __enter__(self) -> "_Children":
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for name in self.commands:
            self._start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for child, _began in self._running.values():
            child.terminate()
        for child, _began in self._running.values():
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()

    def look(self) -> None:
        """Start again what has died.

        Raises:
            NtkvizError: when it died right after its start.
        """
        for name, (child, began) in self._running.items():
            code = child.poll()
            if code is None or self.stopping:
                continue
            if name != "jobs" and time.monotonic() - began < _LEAST_SECONDS:
                raise NtkvizError(
                    f"The process {name} ended with code {code} right after its start; what it printed stands above."
                )
            if name != "jobs" or time.monotonic() - began > _LEAST_SECONDS:  # another supervisor may serve this folder already
                self._start(name)

    def _start(self, name: str) -> None:
        home = ntkviz_home()
        environment = {**worker_environment(home), "PYTHONUNBUFFERED": "1"} if name == "jobs" else {**_ONE_THREAD, **os.environ}
        # Behind a door, what Streamlit says of its own address would lead people past it.
        quiet = subprocess.DEVNULL if len(self.commands) > 2 else None
        self._running[name] = (
            subprocess.Popen(self.commands[name], cwd=_APP.parent, env=environment, stdout=quiet),
            time.monotonic(),
        )

    def _stop(self, _number: int, _frame: object) -> None:
        self.stopping = True


def _require_free(host: str, port: int) -> None:
    """Check that nobody listens there.

    Raises:
        NtkvizError: when somebody does, or the address is none of this machine's.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise NtkvizError(f"{host}:{port} cannot be served ({error.strerror}). Give another one with --port.") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
