"""One command serves the dashboard in several processes and runs jobs; what dies comes back, what is asked to stop leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ntkviz.errors import NtkvizError
from ntkviz.serving.serve import serve

ROOT = Path(__file__).resolve().parents[2]


def until(what: Callable[[], object], seconds: float = 90.0) -> object:
    end = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def health(port: int, name: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}/_stcore/health", timeout=5) as answer:
            return answer.read() == b"ok"
    except OSError:
        return False


@pytest.mark.slow
def test_two_processes_and_a_supervisor_serve_and_come_back_and_leave(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ntkviz", "serve", "--port", str(port), "--processes", "2"]
    environment = {**os.environ, "NTKVIZ_HOME": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as served:
        assert until(lambda: health(port, "p1") and health(port, "p2"))
        process = psutil.Process(served.pid)
        children = {one.pid: " ".join(one.cmdline()) for one in process.children()}
        assert sum("ntkviz worker" in line for line in children.values()) == 1
        first = next(pid for pid, line in children.items() if "baseUrlPath=p1" in line)
        time.sleep(max(0.0, 6.0 - (time.time() - psutil.Process(first).create_time())))
        os.kill(first, signal.SIGKILL)
        assert until(lambda: not health(port, "p1"), 30)
        assert until(lambda: health(port, "p1"))
        assert health(port, "p2")
        everybody = process.children(recursive=True)
        served.terminate()
        assert served.wait(20) == 0
    assert psutil.wait_procs(everybody, timeout=10)[1] == []


def test_a_port_that_is_taken_is_told():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(NtkvizError, match="Give another one with --port"):
            serve(port=other.getsockname()[1])
