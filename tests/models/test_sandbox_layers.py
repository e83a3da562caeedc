"""Laws of the layers: each does what it says, says why it is missing where it is, and others are not served on too few."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ntkviz.errors import NtkvizError, UploadRejected
from ntkviz.models import bubblewrap, sandbox, sandbox_layers, seccomp
from ntkviz.models.sandbox import run_limited
from ntkviz.models.sandbox_layers import ACCEPT_WEAK, BUBBLEWRAP, LIMITS, SECCOMP, Layer, active_layers, require_layers
from ntkviz.models.sandbox_selftest import STOPPED_BY, Attempt, try_escapes
from ntkviz.studies import doctor

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="layers of Linux")
NEEDS_BUBBLEWRAP = pytest.mark.skipif(bool(bubblewrap.problem()), reason=f"bubblewrap: {bubblewrap.problem()}")
NEEDS_SECCOMP = pytest.mark.skipif(SECCOMP not in active_layers(), reason="no filter of system calls on this machine")

EPERM, ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
OWN = 4242


def run(*arguments: str, **options):
    return run_limited(["tests.models.children", *arguments], seconds=60, memory_mb=500, **options)


def verdict(machine: str, number: int, argument: int = 0, mark: int | None = None) -> int:
    """What the filter answers to a call, found by working through its instructions as the kernel does."""
    data = {seccomp.NUMBER: number, seccomp.MACHINE: seccomp.MACHINES[machine][0] if mark is None else mark}
    data[seccomp.ARGUMENT] = argument
    steps, place, word = seccomp.program(machine, OWN), 0, 0
    while True:
        code, yes, no, value = steps[place]
        if code == seccomp.RETURN:
            return value
        if code == seccomp.LOAD:
            word = data[value]
        else:
            met = {seccomp.EQUAL: word == value, seccomp.AT_LEAST: word >= value, seccomp.ANY_BIT: bool(word & value)}[code]
            place += yes if met else no
        place += 1


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_the_filter_refuses_what_it_lists_and_nothing_else(machine, column):
    for name, numbers in seccomp.DENIED.items():
        assert numbers[column] is None or verdict(machine, numbers[column]) == EPERM, name
    # read, write, openat, mmap, futex, exit_group, fsync
    for number in {"x86_64": (0, 1, 257, 9, 202, 231, 74), "aarch64": (63, 64, 56, 222, 98, 94, 82)}[machine]:
        assert verdict(machine, number) == seccomp.ALLOW
    assert verdict(machine, 435) == ENOSYS  # clone3: the C library then asks by clone
    clone = {"x86_64": 56, "aarch64": 220}[machine]
    assert verdict(machine, clone, 0x3D0F00) == seccomp.ALLOW  # the flags of a thread
    assert verdict(machine, clone, 0x1200011) == EPERM  # those of fork
    assert len(seccomp.program(machine, OWN)) < 4096  # more the kernel does not take


@pytest.mark.parametrize(("machine", "kill", "limit"), [("x86_64", 62, 302), ("aarch64", 129, 261)])
def test_signals_and_limits_reach_the_process_itself_alone(machine, kill, limit):
    assert verdict(machine, kill, OWN) == verdict(machine, limit, OWN) == verdict(machine, limit, 0) == seccomp.ALLOW
    assert {verdict(machine, kill, pid) for pid in (0, 1, OWN + 1, 2**32 - 1)} == {EPERM}
    assert verdict(machine, limit, 1) == EPERM


def test_calls_of_other_kinds_do_not_go_round_the_numbers():
    assert verdict("x86_64", 0x40000000 + 41) == EPERM
    assert verdict("x86_64", 41, mark=0x40000003) == seccomp.KILL  # 32-bit
    assert verdict("aarch64", 198, mark=seccomp.MACHINES["x86_64"][0]) == seccomp.KILL


@pytest.mark.parametrize(
    ("header", "column"),
    [("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0), ("/usr/include/asm-generic/unistd.h", 1)],
)
def test_the_numbers_are_those_of_the_kernels_headers(header, column):
    if not Path(header).exists():
        pytest.skip(f"{header} is not installed (linux-libc-dev)")
    text = Path(header).read_text(encoding="utf-8")
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    for name, numbers in {**seccomp.DENIED, **seccomp._ON_ITSELF, "clone": seccomp._CLONE}.items():
        if numbers[column] is None:
            assert name not in known, name
        elif name in known:  # a header of an old kernel lacks the newest calls
            assert known[name] == numbers[column], name
    assert len(known) > 250


@NEEDS_SECCOMP
def test_the_filter_holds_in_threads_that_ran_before_it_and_in_those_that_start_after_it():
    code = """
import runpy, socket, sys, threading
go, found = threading.Event(), []
def ask():
    go.wait()
    try:
        socket.socket().close()
    except PermissionError:
        found.append("refused")
threads = [threading.Thread(target=ask)]
threads[0].start()
runpy.run_path(sys.argv[1])["install"]()
threads.append(threading.Thread(target=ask))
threads[1].start()
go.set()
[thread.join() for thread in threads]
print(*found)
"""
    ran = subprocess.run([sys.executable, "-c", code, seccomp.__file__], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["refused", "refused"]


@NEEDS_SECCOMP
def test_a_reader_has_no_socket(monkeypatch):
    assert run("sockets_in_threads").value == ["PermissionError"]
    monkeypatch.setattr(sandbox, "active_layers", lambda: (LIMITS,))
    assert run("sockets_in_threads").value == ["opened"]


@LINUX
def test_no_escape_that_is_promised_to_fail_succeeds():
    attempts = try_escapes()
    assert {attempt.deed for attempt in attempts} == set(STOPPED_BY)
    assert [attempt.deed for attempt in attempts if attempt.promised and not attempt.stopped] == []
    if {LIMITS, BUBBLEWRAP, SECCOMP} <= set(active_layers()):
        assert all(attempt.stopped for attempt in attempts)


@LINUX
def test_the_self_test_sees_an_escape(monkeypatch):
    monkeypatch.setattr(sandbox, "active_layers", lambda: (LIMITS,))
    found = {attempt.deed: attempt for attempt in try_escapes()}
    done = {deed for deed, attempt in found.items() if not attempt.stopped}
    assert done == {deed for deed, layers in STOPPED_BY.items() if LIMITS not in layers}
    assert not any(found[deed].promised for deed in done)


@NEEDS_BUBBLEWRAP
def test_behind_bubblewrap_there_are_only_python_the_package_and_the_folder(tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "file").write_text("as it was", encoding="ascii")
    seen = run("surroundings", folder=tmp_path).value
    assert seen["listing"] == ["given"]
    for name in ("given/file", str(Path(bubblewrap.__file__))):
        with pytest.raises(UploadRejected, match="Read-only"):
            run("alter", name, folder=tmp_path)
    assert (tmp_path / "given" / "file").read_text(encoding="ascii") == "as it was"
    run("alter", "own", folder=tmp_path)
    assert (tmp_path / "own").read_text(encoding="ascii") == "altered"
    for name in ("/etc/passwd", str(Path(__file__).parents[2] / "pyproject.toml")):
        with pytest.raises(UploadRejected, match="FileNotFoundError"):
            run("read", name)


@LINUX
def test_a_missing_bubblewrap_is_told_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda name: None)
    assert "apt-get install bubblewrap" in bubblewrap.problem.__wrapped__()


@LINUX
def test_a_bubblewrap_that_does_not_work_is_told_with_its_own_words(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n", encoding="ascii")
    fake.chmod(0o755)
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda name: str(fake))
    assert "No permissions to create new namespace" in bubblewrap.problem.__wrapped__()
    fake.chmod(0o644)
    assert "does not start" in bubblewrap.problem.__wrapped__()


def test_a_filter_that_the_machine_does_not_have_is_told(monkeypatch):
    monkeypatch.setattr(seccomp.sys, "platform", "linux")
    monkeypatch.setattr(seccomp.os, "uname", lambda: SimpleNamespace(machine="riscv64"))
    assert "riscv64" in sandbox_layers._seccomp_problem()
    with pytest.raises(OSError, match="riscv64"):
        seccomp.install()


@LINUX
def test_a_filter_that_is_not_obeyed_is_no_layer(monkeypatch):
    monkeypatch.setattr(seccomp, "unavailable", lambda: "")
    monkeypatch.setattr(sandbox_layers.seccomp, "__file__", os.devnull + "x")
    assert "does not work here" in sandbox_layers._seccomp_problem()


@pytest.mark.parametrize(
    ("active", "enough"),
    [
        ({LIMITS, BUBBLEWRAP, SECCOMP}, True),
        ({LIMITS, BUBBLEWRAP}, True),
        ({LIMITS, SECCOMP}, True),
        ({LIMITS}, False),
        ({BUBBLEWRAP, SECCOMP}, False),
        (set(), False),
    ],
    ids=lambda value: "+".join(sorted(value)) or "none" if isinstance(value, set) else "",
)
def test_others_are_served_only_behind_limits_and_a_wall(active, enough, monkeypatch, caplog):
    layers = tuple(Layer(name, "", "" if name in active else "broken here") for name in (LIMITS, BUBBLEWRAP, SECCOMP))
    monkeypatch.setattr(sandbox_layers, "sandbox_layers", lambda: layers)
    monkeypatch.delenv(ACCEPT_WEAK, raising=False)
    require_layers("local")
    for mode in ("team", "teaching"):
        if enough:
            require_layers(mode)
            continue
        with pytest.raises(NtkvizError, match="broken here") as caught:
            require_layers(mode)
        assert ACCEPT_WEAK in str(caught.value)
        monkeypatch.setenv(ACCEPT_WEAK, "1")
        require_layers(mode)
        assert "broken here" in caplog.text
        monkeypatch.delenv(ACCEPT_WEAK)


def test_a_mode_that_is_none_is_a_fault_of_the_program():
    with pytest.raises(ValueError, match="mode"):
        require_layers("public")


@pytest.mark.parametrize(
    ("attempts", "ok", "says"),
    [
        ([("a", True, True), ("b", True, False)], True, "0 of 2 succeeded"),
        ([("a", True, True), ("b", False, False)], True, "1 of 2 succeeded: b; the layers that are not active would stop them"),
        ([("a", False, True), ("b", False, False)], False, "2 of 2 succeeded: a, b"),
    ],
)
def test_the_doctor_counts_escapes_and_is_alarmed_by_those_that_were_promised_to_fail(attempts, ok, says, monkeypatch):
    monkeypatch.setattr(doctor, "try_escapes", lambda: tuple(Attempt(*attempt) for attempt in attempts))
    finding = doctor._escapes()
    assert (finding.ok, finding.found) == (ok, says)
    assert ("not stopped: a." in finding.next_step) == (not ok)


def test_the_doctor_names_the_layers_and_why_one_is_missing(monkeypatch):
    layers = (Layer(LIMITS, "taking all memory", ""), Layer(BUBBLEWRAP, "seeing files", "not installed"))
    monkeypatch.setattr(doctor, "sandbox_layers", lambda: layers)
    found = doctor._sandbox().found
    assert found == "active: limits (against taking all memory); NOT active: bubblewrap: not installed"
