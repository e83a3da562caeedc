"""The first thing that runs in a limited child: set its own limits, import, give up most system calls, work, write the answer.

Run by path, before anything of the project is imported, as
``python -I sandbox_entry.py LIMITS MODULE ARGUMENT...`` with LIMITS a JSON object; :mod:`ntkviz.models.sandbox` does that.
The module's ``main(arguments)`` returns JSON types; they go into ``result.json`` in the working folder, or else the error does.
Only the standard library is imported here: the limits must stand before anything large is loaded.
"""

import importlib
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

_RESULT = "result.json"

#: How libraries say that the address space is used up.
MEMORY_SIGNS = ("MemoryError", "allocate memory", "std::bad_alloc", "failed to map segment", "Unable to allocate")


def set_limits(limits: dict[str, Any]) -> list[str]:
    """Limit this process and those that it starts.

    Args:
        limits: ``memory_mb``, ``seconds``, ``file_mb``.

    Returns:
        Names of limits that this system does not have or does not grant.
    """
    # Ends the process also when its parent is gone and nobody waits for it.
    if hasattr(signal, "alarm"):
        signal.alarm(int(limits["seconds"]) + 5)
    try:
        import resource
    except ImportError:
        return ["memory", "processor time", "file size", "open files", "core dumps"]
    wanted = {
        "memory": ("RLIMIT_AS", int(limits["memory_mb"]) * 2**20),
        "processor time": ("RLIMIT_CPU", int(limits["seconds"])),
        "file size": ("RLIMIT_FSIZE", int(limits["file_mb"]) * 2**20),
        "open files": ("RLIMIT_NOFILE", 256),
        "core dumps": ("RLIMIT_CORE", 0),
    }
    missing = []
    for name, (constant, value) in wanted.items():
        try:
            kind = getattr(resource, constant)
            hard = resource.getrlimit(kind)[1]
            # The soft limit on processor time ends a process by a signal of its own, the hard one by a plain kill.
            wanted_hard = value + 2 if constant == "RLIMIT_CPU" else value
            top = wanted_hard if hard == resource.RLIM_INFINITY else min(wanted_hard, hard)
            resource.setrlimit(kind, (min(value, top), top))
        except (AttributeError, ValueError, OSError):  # macOS has no usable RLIMIT_AS
            missing.append(name)
    return missing


def peak_mb() -> float | None:
    """Most memory that this process held at a time, where the system tells."""
    try:
        import resource
    except ImportError:
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def run(module: str, arguments: list[str], *, seal: Callable[[], None] | None = None) -> dict[str, Any]:
    """Call ``module.main(arguments)`` and put its value or its error into JSON types.

    Args:
        module: the module's name.
        arguments: for its ``main``.
        seal: called between the imports, which may want more of the system, and the work, which is on a stranger's file. What it
            raises ends the process: there is no work without it.
    """
    try:
        work = importlib.import_module(module).main
    except Exception as error:
        return {"error": described(error)}
    if seal is not None:
        seal()
    try:
        return {"value": work(arguments)}
    except Exception as error:
        return {"error": described(error)}


def described(error: Exception) -> dict[str, Any]:
    """An exception as JSON types: its class, its text and, where there are, the table and the guess that it carries."""
    found: dict[str, Any] = {"type": type(error).__name__, "message": str(error)[:2000]}
    found["known"] = any(base.__name__ == "NtkvizError" for base in type(error).__mro__)
    found["memory"] = isinstance(error, MemoryError) or any(sign in str(error) for sign in MEMORY_SIGNS)
    table = getattr(error, "table", None)
    if table is not None:
        found["table"] = [[row.name, row.expected, row.found] for row in table[:2000]]
    guess = getattr(error, "guess", None)
    if guess is not None:
        found["guess"] = guess
    return found


def _install_filter() -> None:
    """By path: importing it from the package would import the package, which takes a second.

    Raises:
        OSError: when it cannot be installed.
    """
    spec = importlib.util.spec_from_file_location("ntkviz_seccomp", os.path.join(os.path.dirname(__file__), "seccomp.py"))
    if spec is None or spec.loader is None:
        raise OSError("no filter of system calls: its file cannot be read")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.install()


def main() -> None:
    """Read the command line, do the work, write the answer and leave without running anybody's clean-up."""
    limits, module, arguments = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3:]
    missing = set_limits(limits)
    sys.path.insert(0, limits["root"])
    began = time.monotonic()
    answer = run(module, arguments, seal=_install_filter if limits["seccomp"] else None)
    answer |= {"missing": missing, "seconds": round(time.monotonic() - began, 3), "peak_mb": peak_mb()}
    with open(f"{_RESULT}.tmp", "w", encoding="ascii") as file:
        json.dump(answer, file)
    os.replace(f"{_RESULT}.tmp", _RESULT)
    sys.stdout.flush()
    sys.stderr.flush()
    # No interpreter shutdown: tearing down what a stranger's file made is work that could hang.
    os._exit(0)


if __name__ == "__main__":
    main()
