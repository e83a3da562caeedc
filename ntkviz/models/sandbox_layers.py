"""Which layers stand between a stranger's file and this machine, and how many of them a mode asks for; torch-free."""

import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ntkviz.errors import NtkvizError
from ntkviz.models import bubblewrap, seccomp
from ntkviz.models.limits import limits_of

LIMITS, BUBBLEWRAP, SECCOMP = "limits", "bubblewrap", "seccomp"

#: Set to 1, it lets a team's server start on limits alone; whoever sets it answers for that.
ACCEPT_WEAK = "NTKVIZ_ACCEPT_WEAK_SANDBOX"

_log = logging.getLogger("ntkviz.upload")


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        name: LIMITS, BUBBLEWRAP or SECCOMP.
        stops: what it keeps a file from doing.
        problem: why it is not active here, or "".
    """

    name: str
    stops: str
    problem: str

    @property
    def active(self) -> bool:
        """Whether it holds for every upload that is read."""
        return not self.problem


@cache
def sandbox_layers() -> tuple[Layer, ...]:
    """All layers, each tried once in this process's life; takes a fraction of a second the first time."""
    return (
        Layer(LIMITS, "taking memory, processor time and disk without end", _limits_problem()),
        Layer(BUBBLEWRAP, "seeing files, other processes or the network", bubblewrap.problem()),
        Layer(SECCOMP, "starting programs and processes, opening sockets, reaching into the kernel", _seccomp_problem()),
    )


def active_layers() -> tuple[str, ...]:
    """Names of the layers in which uploads are read here."""
    return tuple(layer.name for layer in sandbox_layers() if layer.active)


def require_layers(mode: str) -> None:
    """Refuse to serve others where a stranger's file would meet limits only.

    Args:
        mode: of the server. "local" asks for nothing: the files are the person's own.

    Raises:
        NtkvizError: when the limits, or both of the walls, are missing and nobody accepted that.
        ValueError: when there is no such mode.
    """
    limits_of(mode)
    active = active_layers()
    if mode == "local" or (LIMITS in active and (BUBBLEWRAP in active or SECCOMP in active)):
        return
    missing = "; ".join(f"{layer.name}: {layer.problem}" for layer in sandbox_layers() if not layer.active)
    if os.environ.get(ACCEPT_WEAK) == "1":
        _log.warning("Uploads are read in a weak sandbox, as %s=1 accepts (%s).", ACCEPT_WEAK, missing)
        return
    raise NtkvizError(
        f"The mode {mode} reads files of other people and asks for limits and one of bubblewrap and seccomp around that; "
        f"here {', '.join(active) or 'nothing'} is active ({missing}). Install bubblewrap and look with `python -m ntkviz doctor`, "
        f"or set {ACCEPT_WEAK}=1 where only trusted people upload."
    )


def _limits_problem() -> str:
    if sys.platform in {"win32", "darwin"}:
        return "this system has no usable limit on memory"
    return ""


def _seccomp_problem() -> str:
    """Why the filter cannot be used; it is tried in a process of its own, for it cannot be taken off."""
    problem = seccomp.unavailable()
    if problem:
        return problem
    command = [sys.executable, "-I", str(Path(seccomp.__file__))]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return f"it could not be tried ({type(error).__name__})"
    last = (ran.stderr.strip().splitlines() or ["it is not obeyed"])[-1]
    return "" if ran.returncode == 0 else f"it does not work here ({last[:160]})"
