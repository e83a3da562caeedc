"""What the sandbox's tests let a child do. Standard library only, so that a child starts in a fraction of a second."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> Any:
    return globals()[arguments[0]](*arguments[1:])


def echo(*words: str) -> list[str]:
    return list(words)


def surroundings() -> dict[str, Any]:
    return {
        "env": dict(os.environ),
        "folder": str(Path.cwd()),
        "listing": os.listdir(),
        "path": sys.path,
        "isolated": sys.flags.isolated,
    }


def limits() -> dict[str, int]:
    import resource

    return {
        name: resource.getrlimit(getattr(resource, name))[0]
        for name in ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_CORE")
    }


def eat_memory() -> int:
    return len(bytearray(2**40))


def import_much() -> None:
    raise ImportError("x.so: failed to map segment from shared object")


def write_much() -> None:
    with open("large", "wb") as file:
        for _ in range(64):
            file.write(bytes(2**20))


def sleep() -> None:
    time.sleep(600)


def spin() -> None:
    while True:
        pass


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    print("no model today", file=sys.stderr, flush=True)
    os._exit(3)


def spawn(mark: str) -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", mark])
    time.sleep(600)


def spawn_and_return(mark: str) -> str:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", mark])
    return "done"


def sockets_in_threads() -> list[str]:
    """What becomes of a socket in a thread that was started after the filter stood."""
    found: list[str] = []

    def ask() -> None:
        try:
            socket.socket().close()
            found.append("opened")
        except OSError as error:
            found.append(type(error).__name__)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found


def read(name: str) -> int:
    return len(Path(name).read_bytes())


def alter(name: str) -> None:
    Path(name).write_text("altered", encoding="ascii")


def link_result(target: str) -> None:
    Path("result.json").symlink_to(target)
    os._exit(0)


def nonsense() -> None:
    Path("result.json").write_text("[" * 100_000, encoding="ascii")
    os._exit(0)


def recurse(depth: str = "0") -> str:
    return recurse(depth)


def fail(kind: str) -> None:
    from ntkviz import errors

    raise getattr(errors, kind, RuntimeError)(f"because of {kind}")


def not_json() -> object:
    return object()
