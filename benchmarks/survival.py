"""Kill processes at random while studies are made: ``python benchmarks/survival.py [--kills 500] [--minutes 40] [--dask]``.

A small study whose kernel goes by tiles is asked for again and again, in a fresh home each time. While it is made, the worker, the supervisor
or the process that asked (in the place of the app) is killed with SIGKILL at a random moment, until the study is there. Its kernel must have the hash of
one that nobody disturbed, and nothing may be left over. Then files of the store are flipped, cut, and deleted, and all of that must be found.

With ``--dask`` the tiles go to a local cluster, and its workers are killed instead, while the kernel is made; the kernel must have the hash of one that
was made without a cluster.
"""

import argparse
import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import keep  # noqa: E402
from ntkviz.studies.engine import VARIABLE  # noqa: E402
from ntkviz.studies.hashing import file_sha256  # noqa: E402
from ntkviz.studies.janitor import tidy  # noqa: E402
from ntkviz.studies.job import Job, process_of, read_jobs  # noqa: E402
from ntkviz.studies.spec import StudySpec  # noqa: E402
from ntkviz.studies.store import Store  # noqa: E402

SPEC = StudySpec(sample="cancer-mlp", kernel="trntk", surrogate="ridge", n_train=390, n_test=100, seed=1)
#: Points on a side of a tile, small enough for a small study to have many; more of them for a cluster, which has two workers and no other pauses.
SIDE, CLUSTER_SIDE = 48, 16
#: Loaded by every process of the experiment.
_SITE = "import ntkviz.studies.tiled as tiled\ntiled.SIDE = {}\n"
#: A worker that holds so much has imported torch and takes tiles; one that is killed before that loses nothing.
_LOADED_BYTES = 250 * 2**20
_APP = """
import sys, time
from pathlib import Path
from ntkviz.studies import jobs
from ntkviz.studies.spec import StudySpec
home = Path(sys.argv[1])
if not any(job.state in ("queued", "running", "done") for job in jobs.list_jobs(home)):
    jobs.start([StudySpec.from_json(sys.argv[2])], home)
while any(not job.ended for job in jobs.list_jobs(home)):
    time.sleep(0.1)
"""


def main() -> None:
    """Kill, and count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=40.0, help="stop after so long, with fewer kills")
    parser.add_argument("--damages", type=int, default=1000)
    parser.add_argument("--dask", action="store_true", help="kill the workers of a local cluster instead")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "site").mkdir()
        (place / "site" / "sitecustomize.py").write_text(_SITE.format(CLUSTER_SIDE if arguments.dask else SIDE))
        os.environ |= {"PYTHONPATH": os.pathsep.join((str(place / "site"), str(ROOT))), "OMP_NUM_THREADS": "1"}
        undisturbed = made_alone(place / "alone")
        with _cluster() if arguments.dask else contextlib.nullcontext() as cluster:
            found = killing(place, undisturbed, rng, arguments.kills, arguments.minutes * 60, cluster)
        found |= damaging(place / "alone", rng, arguments.damages)
    for name, value in found.items():
        print(f"{name}: {value}")
    keep("survival_dask" if arguments.dask else "survival", [found])


def made_alone(home: Path) -> str:
    """Make the study in a process that nobody disturbs; the hash of its kernel."""
    subprocess.run([sys.executable, "-c", _APP, str(home), SPEC.to_json()], check=True, cwd=ROOT)
    return kernel_hash(home)


def kernel_hash(home: Path) -> str:
    """Of the stored kernel, square and rows."""
    folder = next((home / "kernels").iterdir())
    return file_sha256(folder / "blocks__train.npy") + file_sha256(folder / "blocks__rows.npy")


def killing(
    place: Path, expected: str, rng: random.Random, kills: int, seconds: float, cluster: psutil.Process | None
) -> dict[str, Any]:
    """Studies with kills until there were enough of them, or the time is over."""
    end = time.monotonic() + seconds
    killed: Counter[str] = Counter()
    studies = wrong = lost = damaged = left = 0
    while _kills(killed) < kills and time.monotonic() < end:
        home = place / f"home-{studies}"
        killed += disturb(home, rng, kills - _kills(killed), cluster)
        studies += 1
        job = read_jobs(home)[-1]
        lost += job.state != "done"
        wrong += job.state == "done" and kernel_hash(home) != expected
        damaged += len(Store(home).verify())
        tidy(home)  # as the server does at its start and every hour
        left += len(list((home / "tiles").glob("*/*.npz")))
        print(
            f"{studies} studies, {_kills(killed)} kills {dict(killed)}, {wrong} wrong, {lost} lost, {damaged} damaged, {left} left over",
            flush=True,
        )
        _leave(home)
    return {
        "studies": studies,
        "kills": dict(killed),
        "kernels of another hash": wrong,
        "jobs lost": lost,
        "artefacts damaged": damaged,
        "tiles left over": left,
    }


def disturb(home: Path, rng: random.Random, most: int, cluster: psutil.Process | None) -> Counter[str]:
    """One study with kills until it is there; how many of whom."""
    killed: Counter[str] = Counter()
    app = _ask(home)
    while _kills(killed) < most:
        time.sleep(rng.uniform(0.1, 4.0) if cluster is None else rng.uniform(0.2, 4.0))
        job = next(iter(read_jobs(home)[::-1]), None)
        if job is None:
            continue  # the app is still loading
        if job.state == "failed" and app.poll() is not None:  # given up: a person asks again, and finds what there is
            killed["given up"] += 1
            app = _ask(home)
        if job.ended:
            if job.state == "done":
                break
            continue
        alive = _alive(home, job, app) if cluster is None else _computing(job, cluster)
        if not alive:
            continue
        whom, victim = rng.choice(alive)
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
            killed[whom] += 1
        if whom == "app":
            app.wait()
            app = _ask(home)
    with contextlib.suppress(subprocess.TimeoutExpired):
        app.wait(300)
    app.kill()
    return killed


def _leave(home: Path) -> None:
    """Delete a home when nobody is at work there any more."""
    supervisor = _supervisor(home)
    if supervisor is not None:
        supervisor.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            supervisor.wait(10)
    shutil.rmtree(home, ignore_errors=True)


def _kills(killed: Counter[str]) -> int:
    return sum(count for whom, count in killed.items() if whom != "given up")


def _alive(home: Path, job: Job, app: "subprocess.Popen[bytes]") -> list[tuple[str, psutil.Process]]:
    """Whom there is to kill."""
    found = {"worker": process_of(job), "supervisor": _supervisor(home), "app": psutil.Process(app.pid)}
    return [(name, process) for name, process in found.items() if process is not None]


def _computing(job: Job, cluster: psutil.Process) -> list[tuple[str, psutil.Process]]:
    """The workers of the cluster that are ready, while there is a kernel to make; nobody before and after that."""
    found = []
    for child in cluster.children() if job.stage == "kernel" else []:
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.memory_info().rss > _LOADED_BYTES:
                found.append(("Dask worker", child))
    return found


@contextmanager
def _cluster() -> Iterator[psutil.Process]:
    """A local cluster, which studies use meanwhile.

    Yields:
        The process of its scheduler.
    """
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"dask://127.0.0.1:{one.getsockname()[1]}"
    process = subprocess.Popen([sys.executable, "-m", "ntkviz", "cluster", "--at", address], cwd=ROOT, stderr=subprocess.DEVNULL)
    os.environ[VARIABLE] = address
    try:
        yield psutil.Process(process.pid)
    finally:
        del os.environ[VARIABLE]
        process.terminate()
        process.wait()


def damaging(home: Path, rng: random.Random, times: int) -> dict[str, Any]:
    """Damage a file or a folder of the store, one at a time, and see whether it is found and named."""
    store = Store(home)
    files = [path for part in ("kernels", "studies") for path in (home / part).rglob("*") if path.is_file()]
    found: Counter[str] = Counter()
    for _ in range(times):
        path, how = rng.choice(files), rng.choice(["flip", "cut", "delete", "delete folder"])
        whole = path.read_bytes()
        if how == "flip":
            changed = bytearray(whole)
            changed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
            path.write_bytes(bytes(changed))
        elif how == "cut":
            path.write_bytes(whole[: rng.randrange(len(whole))])
        elif how == "delete":
            path.unlink()
        else:
            path.parent.rename(home / "aside")
        found[how] += any(folder == path.parent for folder, _ in store.verify())
        if how == "delete folder":
            (home / "aside").rename(path.parent)
        else:
            path.write_bytes(whole)
    return {
        "damages": times,
        "damages found": sum(found.values()),
        "found by kind": dict(found),
        "whole at the end": store.verify() == [],
    }


def _ask(home: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", _APP, str(home), SPEC.to_json()], cwd=ROOT, stderr=subprocess.DEVNULL)


def _supervisor(home: Path) -> psutil.Process | None:
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "worker" in line and str(home) in line:
            return process
    return None


if __name__ == "__main__":
    main()
