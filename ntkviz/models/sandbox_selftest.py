"""Does the sandbox hold? Every escape that its layers promise to stop, really tried from inside."""

import os
import socket
from dataclasses import dataclass

from ntkviz.errors import UploadRejected
from ntkviz.models.sandbox import run_limited, scratch_folder
from ntkviz.models.sandbox_layers import BUBBLEWRAP, LIMITS, SECCOMP

_CHILD = "ntkviz.models.escape_child"
_SPIN = "run for ever"

#: Deed of the child -> the layers of which each alone stops it.
STOPPED_BY: dict[str, frozenset[str]] = {
    "connect to this machine": frozenset({BUBBLEWRAP, SECCOMP}),
    "read /etc/passwd": frozenset({BUBBLEWRAP}),
    "read a file of the user": frozenset({BUBBLEWRAP}),
    "write a file of the user": frozenset({BUBBLEWRAP}),
    "start a program": frozenset({SECCOMP}),
    "become another program": frozenset({SECCOMP}),
    "start processes": frozenset({SECCOMP}),
    "signal the server": frozenset({BUBBLEWRAP, SECCOMP}),
    "take 100 GB of memory": frozenset({LIMITS}),
    "fill the disk": frozenset({LIMITS}),
    _SPIN: frozenset({LIMITS}),
}


@dataclass(frozen=True)
class Attempt:
    """One escape that was tried.

    Attributes:
        deed: what was tried.
        stopped: whether it failed.
        promised: whether a layer that is active here stops it.
    """

    deed: str
    stopped: bool
    promised: bool


def try_escapes() -> tuple[Attempt, ...]:
    """Try them all in children as they read uploads here; takes about two seconds.

    Raises:
        NtkvizError: when the child gives no answer.
    """
    with scratch_folder() as elsewhere, socket.create_server(("127.0.0.1", 0)) as server:
        secret, outside = elsewhere / "secret", elsewhere / "escaped"
        secret.write_text("nobody else's", encoding="ascii")
        arguments = (str(server.getsockname()[1]), str(secret), str(outside), str(os.getpid()))
        result = run_limited([_CHILD, *arguments], seconds=20, memory_mb=500, file_mb=1, what="The self-test")
        found = {deed: bool(result.value.get(deed)) for deed in STOPPED_BY if deed != _SPIN}
        # Not its word but the disk decides: a write that only the child saw went nowhere.
        found["write a file of the user"] = not outside.exists()
    found[_SPIN] = _spin_is_stopped()
    return tuple(Attempt(deed, stopped, bool(STOPPED_BY[deed] & set(result.layers))) for deed, stopped in found.items())


def _spin_is_stopped() -> bool:
    try:
        run_limited([_CHILD, "spin"], seconds=1, memory_mb=500, what="The self-test")
    except UploadRejected:
        return True
    return False
