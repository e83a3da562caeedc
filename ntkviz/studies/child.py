"""Ask a module of the project in a process of its own: a request as JSON on its input, one answer as the last line of its output.

The process that serves pages never imports torch: what needs it is asked for in this way. Arrays come back in a file.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ntkviz import errors
from ntkviz.errors import NtkvizError
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.machine import worker_environment


def ask_module(
    module: str, request: Mapping[str, Any], *, seconds: int, too_slow: str, failed: str, advice: str
) -> dict[str, Any]:
    """The answer of ``python -m module``, with the threads of a worker.

    Args:
        module: what to run.
        request: what it is asked, JSON types; "home" names the store's folder.
        seconds: after which it is stopped.
        too_slow: what is said then, a sentence.
        failed: what is said when it ends without an answer; its last words follow.
        advice: what to do then, a sentence.

    Raises:
        NtkvizError: when there is no answer.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", module],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            env=worker_environment(Path(request["home"])),
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NtkvizError(too_slow) from error
    with suppress(ValueError, IndexError):  # a person's own module may print, too
        answer = json.loads(done.stdout.splitlines()[-1])
        if isinstance(answer, dict):
            return answer
    last = (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1][:200]
    raise NtkvizError(f"{failed}: {last}. {advice}")


def ask_arrays(
    module: str, request: Mapping[str, Any], *, seconds: int, too_slow: str, failed: str, advice: str
) -> dict[str, np.ndarray]:
    """The arrays that ``python -m module`` computes, by name; the module calls :func:`give_arrays`.

    Args:
        module: what to run.
        request: what it is asked, JSON types; "home" names the store's folder.
        seconds: after which it is stopped.
        too_slow: what is said then, a sentence.
        failed: what is said when it ends without an answer; its last words follow.
        advice: what to do then, a sentence.

    Raises:
        NtkvizError: what refused the work, or when there is no answer.
    """
    with tempfile.TemporaryDirectory(prefix="ntkviz-child-") as folder:
        asked = {**request, "place": str(Path(folder) / "arrays.npz")}
        told = ask_module(module, asked, seconds=seconds, too_slow=too_slow, failed=failed, advice=advice)
        if "error" in told:
            reason = refusal(told["error"])
            raise reason
        with np.load(asked["place"], allow_pickle=False) as found:
            return {name: found[name] for name in found.files}


def give_arrays(answer: Callable[[Mapping[str, Any]], Mapping[str, np.ndarray]]) -> None:
    """What the process asked by :func:`ask_arrays` does: read the request, write the arrays, or tell what refused the work.

    Args:
        answer: from the request to arrays by name.
    """
    request = json.loads(sys.stdin.read())
    try:
        found = dict(answer(request))
    except NtkvizError as error:
        print(json.dumps({"error": {"type": type(error).__name__, "message": str(error)}}))
        return
    np.savez(request["place"], **found)  # type: ignore[arg-type]
    print(json.dumps({"arrays": list(found)}))


def refusal(told: Mapping[str, str]) -> NtkvizError:
    """The error that a child reported, as one of this process."""
    kind = InvalidStudy if told["type"] == "InvalidStudy" else getattr(errors, told["type"], NtkvizError)
    return (kind if isinstance(kind, type) and issubclass(kind, NtkvizError) else NtkvizError)(told["message"])
