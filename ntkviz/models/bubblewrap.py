"""The process that reads strangers' files behind bubblewrap: it sees Python, the package and its own folder, and no network.

bubblewrap (`bwrap`, a package of every Linux distribution) starts a program in namespaces of its own: other processes, the
network and every file that is not named here do not exist for it. Where it is missing, or user namespaces are switched off,
:func:`problem` says why and nothing is wrapped.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_ENTRY = Path(__file__).with_name("sandbox_entry.py")
_PATIENCE = 30

#: Libraries, and where Debian says which of two libraries of one name is meant; nothing here is anybody's secret.
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache", "/etc/alternatives")


def wrapped(command: Sequence[str], folder: Path, *, module: str) -> list[str]:
    """A command as bubblewrap runs it.

    The environment is the caller's to give, and a session of its own too; both are inherited.

    Args:
        command: a Python with its arguments.
        folder: its working folder, the one place where it can write. What lies there already it can only read.
        module: what of this project it imports beside the package.

    Returns:
        The command to run instead.
    """
    words = [
        shutil.which("bwrap") or "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--uid",
        "65534",
        "--gid",
        "65534",
        "--cap-drop",
        "ALL",
    ]
    words += ["--hostname", "ntkviz", "--tmpfs", "/tmp"]
    for place in _readable(module):
        words += ["--ro-bind", place, place]
    words += ["--proc", "/proc", "--dev", "/dev", "--bind", str(folder), str(folder)]
    for given in sorted(folder.iterdir()):
        if not given.is_symlink():
            words += ["--ro-bind", str(given), str(given)]
    return [*words, "--chdir", str(folder), "--", *command]


def _readable(module: str) -> list[str]:
    """Python, the libraries that it loads, and the package."""
    top = module.partition(".")[0]
    own = [_ROOT / name for name in dict.fromkeys(("ntkviz", "sample_models", top))]
    own += [path.with_suffix(".py") for path in own[2:]]
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    places = [*_SYSTEM, *map(str, own), *sorted(prefixes), *sorted(map(os.path.realpath, prefixes))]
    # A prefix of "/" would show everything; without it Python does not start, and the layer is told to be off.
    return [place for place in dict.fromkeys(places) if os.path.exists(place) and place != "/"]


@cache
def problem() -> str:
    """Why nothing can be wrapped here, or ""; found once by trying, with the Python and the files that are meant."""
    if sys.platform != "linux":
        return f"only Linux has it, this is {sys.platform}"
    if shutil.which("bwrap") is None:
        return "not installed (Debian, Ubuntu: apt-get install bubblewrap)"
    # What every reader needs at least: native libraries, and the file that is run first.
    look = "import ctypes, runpy, sys, numpy; runpy.run_path(sys.argv[1])"
    surroundings = {"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1", "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}
    try:
        with tempfile.TemporaryDirectory(prefix="ntkviz-") as folder:
            command = wrapped([sys.executable, "-I", "-c", look, str(_ENTRY)], Path(folder), module="ntkviz")
            ran = subprocess.run(
                command, env=surroundings, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False
            )
    except (OSError, subprocess.SubprocessError) as error:
        return f"it does not start ({type(error).__name__})"
    if ran.returncode == 0:
        return ""
    last = (ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1]
    return f"it does not work here ({last[:160]})"
