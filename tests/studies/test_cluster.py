"""A kernel made by a Dask cluster is the kernel: bit for bit, whoever dies, and refusals are sentences."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ntkviz.cli import main
from ntkviz.errors import JobCancelled
from ntkviz.kernels import tiles
from ntkviz.studies import cluster, doctor, tiled
from ntkviz.studies.engine import CERTIFICATE, KEY, VARIABLE, chosen_engine, engine_at
from ntkviz.studies.errors import ClusterUnavailable
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.shelf import count_tiles

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install -r requirements-cluster.txt")

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("cluster")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start_cluster(address: str, *options: str, **environment: str) -> tuple["subprocess.Popen[str]", str]:
    """The command of the documentation; the process and its first line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ntkviz", "cluster", "--at", address, *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline()


def stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.communicate()
        raise


@pytest.fixture(scope="module")
def started() -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A cluster with two workers, by our own command."""
    address = f"dask://127.0.0.1:{free_port()}"
    process, said = start_cluster(address)
    assert f"{VARIABLE}={address}" in said
    yield process, address
    stop(process)


@pytest.fixture
def at_cluster(started, monkeypatch) -> "subprocess.Popen[str]":
    """Kernels of 40 points go by tiles, and the tiles to the cluster."""
    monkeypatch.setattr(tiled, "SIDE", 16)
    monkeypatch.setenv(VARIABLE, started[1])
    return started[0]


@pytest.fixture
def nothing_at_home(monkeypatch):
    """A tile that is computed in this process is an error."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a tile was computed at home")

    monkeypatch.setattr(tiles, "compute_tile", refuse)


def workers_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The processes that compute, not the scheduler with the nannies."""
    return [one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())]


@pytest.fixture
def alone(spec, home, monkeypatch):
    """Makes a study in this process."""

    def make(**choices: object):
        with monkeypatch.context() as patch:
            patch.setattr(tiled, "SIDE", 16)
            patch.delenv(VARIABLE, raising=False)
            return run_study(spec(**choices), home=home)

    return make


@pytest.mark.parametrize("kernel", ["trntk", "pntk"])
def test_a_study_by_the_cluster_has_the_bits_of_one_made_here(kernel, spec, store, alone, at_cluster, request):
    here = alone(kernel=kernel)
    request.getfixturevalue("nothing_at_home")
    there = run_study(spec(kernel=kernel), store=store)
    assert there.kernel.tobytes() == here.kernel.tobytes()
    assert there.rows.tobytes() == here.rows.tobytes()
    assert there.surrogate_logits.tobytes() == here.surrogate_logits.tobytes()
    assert count_tiles(store.home) == 0
    assert store.verify() == []


@pytest.mark.usefixtures("at_cluster")
def test_only_missing_tiles_are_asked_for(spec, store, alone, monkeypatch, request):
    here = alone()
    compute, made = tiles.compute_tile, []

    def four(model, x_train, x_rows, tile, **options):
        if len(made) == 4:
            raise JobCancelled("after four tiles")
        made.append(tile.name)
        return compute(model, x_train, x_rows, tile, **options)

    with monkeypatch.context() as patch:
        patch.setattr(tiles, "compute_tile", four)
        patch.delenv(VARIABLE)
        with pytest.raises(JobCancelled):
            run_study(spec(), store=store)
    asked: list[str] = []
    submit = distributed.Client.submit
    monkeypatch.setattr(distributed.Client, "submit", lambda *a, **k: (asked.append(k["key"]), submit(*a, **k))[1])
    request.getfixturevalue("nothing_at_home")
    there = run_study(spec(), store=store)
    assert len(asked) == 12 - 4
    assert not [name for name in made if any(key.endswith(name) for key in asked)]
    assert there.kernel.tobytes() == here.kernel.tobytes()


@pytest.mark.usefixtures("nothing_at_home")
def test_a_small_kernel_stays_here(spec, store, monkeypatch):
    monkeypatch.setenv(VARIABLE, f"dask://127.0.0.1:{free_port()}")  # nobody is asked
    assert run_study(spec(), store=store).kernel.shape == (40, 40)


def test_a_worker_that_is_killed_costs_its_tiles_and_no_bit(spec, store, alone, at_cluster, monkeypatch, request):
    monkeypatch.setattr(tiled, "SIDE", 8)  # 5 blocks of 8: 15 tiles of the square, 3 x 5 of the rows
    with monkeypatch.context() as patch:
        patch.delenv(VARIABLE)
        here = run_study(spec(), home=store.home)
    request.getfixturevalue("nothing_at_home")
    killed: list[int] = []

    def tell(stage: str, fraction: float) -> None:
        if stage == "kernel" and fraction > 0 and not killed:
            victim = workers_of(at_cluster)[0]
            victim.kill()
            killed.append(victim.pid)

    there = run_study(spec(), store=store, on_progress=tell)
    assert killed
    assert there.kernel.tobytes() == here.kernel.tobytes()
    assert there.rows.tobytes() == here.rows.tobytes()
    assert store.verify() == []


@pytest.mark.usefixtures("at_cluster")
def test_a_cancelled_job_takes_its_tasks_back(spec, store, monkeypatch, tmp_path):
    begun, ended = tmp_path / "begun", tmp_path / "ended"

    def endless(*_: object) -> None:
        """A tile without end, which reports as tiles do; pickled with its code, for it is no function of a module."""
        import time

        from ntkviz.errors import JobCancelled
        from ntkviz.studies.cluster import _watch

        tell = _watch()
        (begun / str(time.monotonic_ns())).touch()
        try:
            while True:
                tell("kernel", 0.5)
                time.sleep(0.02)
        except JobCancelled:
            (ended / str(time.monotonic_ns())).touch()
            raise

    def tell(stage: str, _fraction: float) -> None:
        if stage == "kernel" and len(list(begun.iterdir())) == 2:
            raise JobCancelled("both workers are at it")

    begun.mkdir()
    ended.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "tile_on_cluster", endless)
        with pytest.raises(JobCancelled, match="both workers"):
            run_study(spec(), store=store, on_progress=tell)
    assert soon(lambda: len(list(ended.iterdir())) == 2)
    assert len(list(begun.iterdir())) == 2  # the ten that waited were dropped
    assert run_study(spec(), store=store).kernel.shape == (40, 40)  # the workers are free again


def soon(holds: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_the_doctor_says_whether_the_cluster_answers(started, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 2.0)
    monkeypatch.setenv(VARIABLE, started[1])
    soon(lambda: "2 workers" in doctor._engine().found, seconds=120)  # a test before may have had its workers started again
    for address, found in (
        ("", "not set"),
        (started[1], "answers and has 2 workers"),
        (f"dask://127.0.0.1:{free_port()}", "No cluster"),
    ):
        monkeypatch.setenv(VARIABLE, address)
        finding = doctor._engine()
        assert found in finding.found
        assert finding.ok == (not finding.next_step) == ("No" not in found)


@pytest.mark.usefixtures("nothing_at_home")
def test_a_cluster_that_does_not_answer_is_told(spec, store, monkeypatch):
    address = f"dask://127.0.0.1:{free_port()}"
    monkeypatch.setattr(tiled, "SIDE", 16)
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.5)
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(ClusterUnavailable, match=f"No cluster answers at {address}.*python -m ntkviz cluster.*unset {VARIABLE}"):
        run_study(spec(), store=store)


def test_a_cluster_that_goes_away_is_told_and_its_tiles_are_kept(spec, store, alone, monkeypatch):
    here = alone()
    address = f"dask://127.0.0.1:{free_port()}"
    process, _ = start_cluster(address, "--workers", "1")
    monkeypatch.setattr(tiled, "SIDE", 16)
    monkeypatch.setenv(VARIABLE, address)

    def tell(stage: str, fraction: float) -> None:
        if stage == "kernel" and fraction > 0:
            process.kill()
            process.wait()

    with pytest.raises(ClusterUnavailable, match="went away"):
        run_study(spec(), store=store, on_progress=tell)
    kept = count_tiles(store.home)
    assert 0 < kept < 12
    monkeypatch.delenv(VARIABLE)
    assert run_study(spec(), store=store).kernel.tobytes() == here.kernel.tobytes()


def test_a_worker_with_other_files_refuses(spec, store, at_cluster, monkeypatch):
    """The key says which bytes and which version of the code; here the side that asks is of another one."""
    monkeypatch.setattr("ntkviz.studies.spec.ENGINE_VERSION", -1)
    with pytest.raises(ClusterUnavailable, match="another version of ntkviz"):
        run_study(spec(), store=store)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("dask://127.0.0.1:8786", "dask://127.0.0.1:8786"),
        ("dask://localhost:1", "dask://localhost:1"),
        ("dask://[::1]:8786", "dask://[::1]:8786"),
        ("tls://10.0.0.4:8786", "tls://10.0.0.4:8786"),
        ("tls://head.example:8786", "tls://head.example:8786"),
    ],
)
def test_addresses_that_are_taken(text, found):
    assert str(engine_at(text)) == found


@pytest.mark.parametrize("text", ["dask://10.0.0.4:8786", "dask://head.example:8786", "dask://0.0.0.0:8786", "dask://[::]:1"])
def test_no_encryption_off_this_machine(text):
    with pytest.raises(ClusterUnavailable, match=r"without encryption.*tls://"):
        engine_at(text)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:8786",
        "tcp://127.0.0.1:8786",
        "dask://127.0.0.1",
        "dask://:8786",
        "dask://a:b@localhost:1",
        "ray://x:1",
        "tls://x:1/p",
        "dask://localhost:99999",
    ],
)
def test_what_is_no_address_is_refused(text, monkeypatch):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ClusterUnavailable, match=r"expected dask://127.0.0.1:8786 or tls://host:port"):
        chosen_engine()


def test_the_command_refuses_in_a_sentence(started):
    for address, said in (
        ("dask://0.0.0.0:8786", "without encryption"),
        ("here", "expected dask://"),
        (started[1], "cannot be listened on"),
    ):
        command = [sys.executable, "-m", "ntkviz", "cluster", "--at", address, "--workers", "1"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert said in done.stderr


def test_without_dask_the_next_step_is_told(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["cluster"]) == 2
    assert "pip install -r requirements-cluster.txt" in capsys.readouterr().err
    monkeypatch.setenv(VARIABLE, "dask://127.0.0.1:8786")
    assert "pip install -r requirements-cluster.txt" in doctor._engine().found


@pytest.mark.parametrize("name", ["", "relative.pem", "/nowhere/cert.pem"])
def test_encryption_needs_a_certificate(name, monkeypatch):
    monkeypatch.setenv(CERTIFICATE, name)
    with pytest.raises(ClusterUnavailable, match=f"{CERTIFICATE} is .*full path.*docs/cluster.md"):
        engine_at("tls://head.example:8786").security()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate of this test")
def test_an_encrypted_cluster_takes_who_has_the_certificate_and_nobody_else(spec, store, alone, monkeypatch, tmp_path):
    here = alone()
    files = {CERTIFICATE: str(tmp_path / "cert.pem"), KEY: str(tmp_path / "key.pem")}
    others = {CERTIFICATE: str(tmp_path / "other-cert.pem"), KEY: str(tmp_path / "other-key.pem")}
    for pair in (files, others):
        make_certificate(pair[CERTIFICATE], pair[KEY])
    port = free_port()
    address = f"tls://127.0.0.1:{port}"
    process, _ = start_cluster(address, "--workers", "1", **files)
    try:
        monkeypatch.setattr(tiled, "SIDE", 16)
        monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 2.0)
        for chosen, shown in ((address, others), (f"dask://127.0.0.1:{port}", {})):
            with monkeypatch.context() as patch:
                patch.setenv(VARIABLE, chosen)
                for name, value in shown.items():
                    patch.setenv(name, value)
                with pytest.raises(ClusterUnavailable, match="No cluster answers"):
                    run_study(spec(), store=store)
        monkeypatch.setenv(VARIABLE, address)
        for name, value in files.items():
            monkeypatch.setenv(name, value)
        assert run_study(spec(), store=store).kernel.tobytes() == here.kernel.tobytes()
    finally:
        stop(process)


def make_certificate(certificate: str, key: str) -> None:
    """As docs/cluster.md says."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-subj", "/CN=ntkviz"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
