"""A class clicks through finished studies: ``python benchmarks/load.py [--people 1 10 25] [--processes 1 2] [--seconds 60] [--job]``.

Each person is a WebSocket client that speaks Streamlit's protocol: opens a page, thinks (2 to 8 seconds, 5 in the mean), and asks for another point or another page. What is timed is from asking to the
end of the run, with all messages received; drawing in the browser comes on top. Before, every process has had one visitor, whose wait is told apart. With ``--job`` a study is made meanwhile.
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.typing import Origin, Subprotocol

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import keep  # noqa: E402
from ntkviz.studies import jobs  # noqa: E402
from ntkviz.studies.pipeline import run_study  # noqa: E402
from ntkviz.studies.spec import StudySpec  # noqa: E402
from ntkviz.studies.store import Store  # noqa: E402

PORT = 8650
STUDIES = (("mnist-mlp", 1000, 500), ("cancer-mlp", 390, 100), ("mnist-mlp-1k", 1000, 500))
#: What people look at; explain with another point is what they do most.
PAGES = ("explain", "explain", "explain", "explain", "map", "fidelity", "kernels", "")
THINK = (2.0, 8.0)


def main() -> None:
    """Make the studies, and let people in."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--people", type=int, nargs="+", default=[1, 10, 25])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--job", action="store_true", help="make a study meanwhile")
    parser.add_argument("--home", type=Path, help="a folder with the studies of an earlier run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = arguments.home or Path(folder)
        os.environ["NTKVIZ_HOME"] = str(home)
        specs = [StudySpec(sample=name, n_train=n, n_test=m, kernel="trntk", surrogate="klr") for name, n, m in STUDIES]
        studies = [(run_study(spec, store=Store(home)).key, spec.n_test or 0) for spec in specs]
        rows = []
        for processes in arguments.processes:
            with subprocess.Popen(serving(processes), cwd=ROOT, stdout=subprocess.DEVNULL) as server:
                try:
                    until_open(processes)
                    first = asyncio.run(first_visitors(processes, studies))
                    for people in arguments.people:
                        job = start_job(home) if arguments.job else ""
                        rows.append(
                            asyncio.run(visit(people, processes, arguments.seconds, studies))
                            | {"job": bool(job), "first visitor": first}
                        )
                        print(rows[-1], flush=True)
                        if job:
                            jobs.cancel(job, home)
                finally:
                    server.terminate()
        keep("load", rows)


def serving(processes: int) -> list[str]:
    """The command."""
    return [sys.executable, "-m", "ntkviz", "serve", "--port", str(PORT), "--processes", str(processes)]


def until_open(processes: int) -> None:
    """Wait until all processes answer."""
    for i in range(processes):
        address = f"http://127.0.0.1:{PORT}{prefix(i, processes)}/_stcore/health"
        for _ in range(600):
            try:
                with urllib.request.urlopen(address) as answer:
                    if answer.status == 200:
                        break
            except OSError:
                time.sleep(0.2)


def prefix(person: int, processes: int) -> str:
    """Where a person comes in."""
    return f"/p{person % processes + 1}" if processes > 1 else ""


def start_job(home: Path) -> str:
    """A study that takes longer than the visit."""
    return jobs.start(
        [StudySpec(sample="mnist-cnn", n_train=4000, n_test=1000, kernel="proj_trntk", seed=random.randrange(10**6))], home
    ).id


async def visit(people: int, processes: int, seconds: float, studies: list[tuple[str, int]]) -> dict[str, Any]:
    """All people for some time; their waits."""
    waits: dict[str, list[float]] = defaultdict(list)
    sizes: list[int] = []
    end = time.monotonic() + seconds
    await asyncio.gather(*(person(i, processes, end, studies, waits, sizes) for i in range(people)))
    own = [one for one in psutil.process_iter(["cmdline"]) if "streamlit" in (one.info["cmdline"] or [])]
    reruns = [wait for name, some in waits.items() if name != "first paint" for wait in some]
    return {
        "people": people,
        "processes": processes,
        "reruns": len(reruns),
        "p50": quantile(reruns, 50),
        "p95": quantile(reruns, 95),
        "first paint p95": quantile(waits["first paint"], 95),
        "p95 by page": {name: quantile(some, 95) for name, some in sorted(waits.items())},
        "largest message kB": round(max(sizes, default=0) / 1000),
        "resident MB": round(sum(one.memory_info().rss for one in own) / 2**20),
    }


async def first_visitors(processes: int, studies: list[tuple[str, int]]) -> float:
    """Open every study once in every process, which imports and fits what all later visitors share; seconds of the slowest."""
    slowest = 0.0
    for i in range(processes):
        for study, _ in studies:
            began = time.perf_counter()
            address = f"ws://127.0.0.1:{PORT}{prefix(i, processes)}/_stcore/stream"
            async with websockets.connect(
                address, subprotocols=[Subprotocol("streamlit")], max_size=None, origin=Origin(f"http://127.0.0.1:{PORT}")
            ) as socket:
                for page in dict.fromkeys(PAGES):
                    await ask(socket, page, f"study={study}", [])
            slowest = max(slowest, time.perf_counter() - began)
    return round(slowest, 2)


async def person(
    i: int, processes: int, end: float, studies: list[tuple[str, int]], waits: dict[str, list[float]], sizes: list[int]
) -> None:
    """One person: comes in at some moment of the first seconds, and clicks until the end."""
    rng = random.Random(i)
    await asyncio.sleep(rng.uniform(0, 5.0))
    study, n_test = rng.choice(studies)
    began = time.perf_counter()
    address = f"ws://127.0.0.1:{PORT}{prefix(i, processes)}/_stcore/stream"
    async with websockets.connect(
        address, subprotocols=[Subprotocol("streamlit")], max_size=None, origin=Origin(f"http://127.0.0.1:{PORT}")
    ) as socket:
        await ask(socket, "explain", f"study={study}", sizes)
        waits["first paint"].append(time.perf_counter() - began)
        while time.monotonic() < end:
            await asyncio.sleep(rng.uniform(*THINK))
            page = rng.choice(PAGES)
            query = f"study={study}" + (f"&point={rng.randrange(n_test)}" if page == "explain" else "")
            began = time.perf_counter()
            await ask(socket, page, query, sizes)
            waits[page or "studies"].append(time.perf_counter() - began)


async def ask(socket: Any, page: str, query: str, sizes: list[int]) -> None:
    """Have a page drawn, and take in all that comes of it."""
    message = BackMsg()
    message.rerun_script.query_string = query
    message.rerun_script.page_name = page
    await socket.send(message.SerializeToString())
    while True:
        data = await socket.recv()
        sizes.append(len(data))
        answer = ForwardMsg()
        answer.ParseFromString(data)
        if answer.WhichOneof("type") == "script_finished":
            return


def quantile(values: list[float], percent: int) -> float | None:
    """In seconds."""
    if len(values) < 2:
        return round(values[0], 3) if values else None
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 3)


if __name__ == "__main__":
    main()
