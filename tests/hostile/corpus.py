"""All kinds, by family, and what becomes of one: the way of an upload from the door to the reader."""

import contextlib
import importlib
import json
import pkgutil
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest import mock

import safetensors.torch
import torch

import tests.hostile
from ntkviz.errors import NtkvizError, UnsupportedModel, UploadRejected
from ntkviz.models import sandbox, sandbox_entry, upload
from ntkviz.models.sandbox import ChildResult
from tests.hostile.case import Case
from tests.models.hostile import network


@dataclass(frozen=True)
class Outcome:
    """What became of a file in a mode.

    Attributes:
        refusal: the sentence, None when it was read.
        canary: whether an attack succeeded.
        seconds: from the door to the answer.
        fault: "" or what is wrong with that.
    """

    refusal: str | None
    canary: bool
    seconds: float
    fault: str


@cache
def families() -> dict[str, tuple[Case, ...]]:
    """Family -> its kinds."""
    names = sorted(module.name for module in pkgutil.iter_modules(tests.hostile.__path__) if not module.name.startswith("test_"))
    found = {name: getattr(importlib.import_module(f"tests.hostile.{name}"), "CASES", ()) for name in names}
    return {name: tuple(cases) for name, cases in found.items() if cases}


@contextlib.contextmanager
def children_inside() -> Iterator[None]:
    """What a child would do is done in this process; its answer still goes through JSON, its errors through the sandbox's."""

    def run(args, *, folder, what, memory_mb, **limits):
        with contextlib.chdir(folder):
            answer = json.loads(json.dumps(sandbox_entry.run(args[0], list(args[1:]))))
        if "error" in answer:
            raise sandbox._told(answer["error"], what, memory_mb=memory_mb)
        return ChildResult(answer["value"], 0.1, None, ())

    with mock.patch.object(upload, "run_limited", run), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def write_family(family: str, folder: Path) -> None:
    """Write every kind of a family into a folder, a folder each."""
    state = {name: tensor.contiguous() for name, tensor in network().state_dict().items()}
    for place, case in zip(_places(family, folder), families()[family], strict=True):
        place.mkdir(parents=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile tells of names that stand twice
            case.write(place / case.file, canary_of(family, folder, case))
        if case.role == "architecture":
            safetensors.torch.save_file(state, place / "weights.safetensors")


def canary_of(family: str, folder: Path, case: Case) -> Path:
    """What a successful attack would create, beside the folder of the files: those can only be read in a sandbox."""
    return folder.parent / f"canary-{family}-{families()[family].index(case)}"


def outcomes(family: str, mode: str, folder: Path, *, bombs: bool) -> Iterator[tuple[Case, Outcome]]:
    """Bring every kind that :func:`write_family` wrote.

    Args:
        family: its name.
        mode: of the server.
        folder: the files'.
        bombs: bring those too that are safe in a child only.

    Yields:
        Each kind, and what became of it.
    """
    with children_inside():
        for place, case in zip(_places(family, folder), families()[family], strict=True):
            if bombs or not case.bomb:
                yield case, outcome(case, mode, place / case.file, canary_of(family, folder, case))


def _places(family: str, folder: Path) -> list[Path]:
    return [folder / family / str(number) for number in range(len(families()[family]))]


def outcome(case: Case, mode: str, path: Path, canary: Path) -> Outcome:
    """Bring a written file as a page does, and judge what comes back."""
    began = time.monotonic()
    refusal, fault = None, ""
    try:
        refusal = _brought(case, mode, path)
    except (UploadRejected, UnsupportedModel) as error:
        refusal = str(error)
    except NtkvizError as error:
        refusal, fault = str(error), f"refused as a fault of the installation: {error}"
    except Exception as error:
        refusal, fault = "", f"{type(error).__name__} came through: {error}"
    seconds = time.monotonic() - began
    hurt = canary.exists()
    fault = fault or _fault(case.expected(mode), refusal, path) or ("the canary was touched" if hurt else "")
    canary.unlink(missing_ok=True)
    return Outcome(refusal, hurt, round(seconds, 3), fault)


def _brought(case: Case, mode: str, path: Path) -> str | None:
    """The refusal of a report, or None when the file was read."""
    if case.role == "data":
        upload.open_upload(path, mode=mode)  # pyright: ignore[reportArgumentType]
        return None
    weights, architecture = (
        (path, dict(case.architecture)) if case.role == "weights" else (path.with_name("weights.safetensors"), path)
    )
    report = upload.check_upload(weights, architecture, mode=mode)  # pyright: ignore[reportArgumentType]
    return None if report.ok else report.message


def _fault(expected: str | None, refusal: str | None, path: Path) -> str:
    """What is wrong with an answer, or ""."""
    if expected is None:
        return "" if refusal is None else f"refused, and is harmless: {refusal}"
    if refusal is None:
        return "it was read"
    if not 10 < len(refusal) < 700:
        return f"a refusal of {len(refusal)} characters"
    if not all(letter.isprintable() or letter == "\n" for letter in refusal):
        return f"control characters in {refusal!r}"
    if "Traceback" in refusal or str(path.parent) in refusal or "/site-packages/" in refusal:
        return f"a traceback or a path in {refusal!r}"
    return "" if expected in refusal else f"expected {expected!r} in {refusal!r}"


def main(arguments: list[str]) -> list[dict[str, object]]:
    """The work of a sandboxed child: every kind of some families, which lie in ``given`` in its working folder.

    Args:
        arguments: the mode, then names of families.

    Returns:
        Family, file, seconds, canary and fault of each.
    """
    mode, *names = arguments
    torch.set_num_threads(1)
    return [
        {"family": name, "file": ascii(case.file), "seconds": found.seconds, "canary": found.canary, "fault": found.fault[:700]}
        for name in names
        for case, found in outcomes(name, mode, Path.cwd() / "given", bombs=True)
    ]
