"""Ask a module of the project in a process of its own: a request as JSON on its input, one answer as the last line of its output."""

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ntkviz.errors import NtkvizError
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
