"""What a hostile file would try once it ran code in the reading process; :mod:`ntkviz.models.sandbox_selftest` asks for it.

Standard library only. Every deed really does what its name says and returns None; a deed that raises was stopped.
"""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def main(arguments: list[str]) -> dict[str, str]:
    """Try every escape.

    Args:
        arguments: a port of this machine that answers, a file that exists outside of the working folder, a file there that does
            not, and the number of the parent's process; or "spin", which never returns.

    Returns:
        Name of a deed -> what stopped it, "" when nothing did.
    """
    if arguments == ["spin"]:
        while True:
            pass
    port, secret, outside, parent = arguments
    deeds: dict[str, Callable[[], object]] = {
        "connect to this machine": lambda: socket.create_connection(("127.0.0.1", int(port)), timeout=2),
        "read /etc/passwd": lambda: Path("/etc/passwd").read_bytes(),
        "read a file of the user": lambda: Path(secret).read_bytes(),
        "write a file of the user": lambda: Path(outside).write_bytes(b"escaped"),
        "start a program": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        "become another program": _exec,
        "start processes": _fork,
        "signal the server": lambda: os.kill(int(parent), 0),
        "take 100 GB of memory": lambda: bytearray(100 * 2**30),
        "fill the disk": lambda: Path("large").write_bytes(bytes(4 * 2**20)),
    }
    return {name: _tried(deed) for name, deed in deeds.items()}


def _tried(deed: Callable[[], object]) -> str:
    try:
        deed()
    except (OSError, MemoryError, subprocess.SubprocessError, AttributeError) as error:  # Windows has no fork
        return type(error).__name__
    return ""


def _exec() -> None:
    """Have the kernel look at a program that is none: where that is allowed it finds out, otherwise it does not even look.

    Raises:
        PermissionError: when the call itself is refused (EPERM); a file that may not be executed gives EACCES.
    """
    try:
        os.execv(__file__, [__file__])
    except OSError as error:
        if error.errno == errno.EPERM:
            raise PermissionError(error.errno, "refused") from error


def _fork() -> None:
    """A child that ends at once."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
