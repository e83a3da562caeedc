"""What was measured of a subject on this machine, kept so that a quote is arithmetic.

Measuring loads the network, so it takes place in a process of its own: the one that serves pages never imports torch. It takes a few
seconds once for each subject and kernel. What was found is kept in this process, and in the store's folder where there is one.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ntkviz.errors import NtkvizError
from ntkviz.kernels.cost import KernelProfile, Rates
from ntkviz.studies.child import ask_module, refusal
from ntkviz.studies.hashing import canonical_json, text_sha256
from ntkviz.studies.machine import kernel_memory_mb, n_threads
from ntkviz.studies.subjects import Subject

#: Raised with every change of what is measured or how it is written down.
_VERSION = 1
#: A network of which one batch takes minutes is not measured for longer.
_CHILD_SECONDS = 600

#: Fields of :class:`SubjectCosts` that are numbers.
_FIXED = ("load", "probe", "self_check", "forward", "base_mb", "input_bytes")

#: Kind and all its options.
Kernel = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class SubjectCosts:
    """What was measured of a subject, in seconds and MB.

    Attributes:
        load: data, torch and the network.
        probe: of the stage with that name.
        self_check: likewise.
        forward: a point's logits.
        base_mb: largest memory up to and including the self-check.
        input_bytes: of a point.
        kernels: by :func:`kernel_id`; a text says why there is no profile.
    """

    load: float = 0.0
    probe: float = 0.0
    self_check: float = 0.0
    forward: float = 0.0
    base_mb: float = 0.0
    input_bytes: float = 0.0
    kernels: dict[str, KernelProfile | NtkvizError] = field(default_factory=dict)


@dataclass(frozen=True)
class Costs:
    """A subject's costs and the machine's rates."""

    rates: Rates
    subject: SubjectCosts

    def profile(self, kernel: Kernel) -> KernelProfile:
        """The profile of a kernel that was measured.

        Raises:
            NtkvizError: what refused it.
        """
        found = self.subject.kernels[kernel_id(kernel)]
        if isinstance(found, NtkvizError):
            raise found
        return found

    def is_measured(self, kernel: Kernel) -> bool:
        """Whether there is a profile."""
        return isinstance(self.subject.kernels.get(kernel_id(kernel)), KernelProfile)


#: (subject's contents, machine) -> what was measured.
_known: dict[tuple[str, str], dict[str, Any]] = {}


def kernel_id(kernel: Kernel) -> str:
    """One text for equal kernels."""
    return canonical_json([kernel[0], dict(kernel[1])])


def costs_of(subject: Subject, kernels: Sequence[Kernel], *, home: Path) -> Costs:
    """What some kernels of a subject cost; what is not known is measured, which takes seconds.

    Args:
        subject: model and data.
        kernels: kinds with all options.
        home: the folder of the store; it is not made for this.

    Returns:
        The costs.

    Raises:
        StoreCorrupted: when a file of the subject cannot be read.
        UnsupportedModel: when nothing can be computed of the model.
        NtkvizError: when the measuring process fails.
    """
    found = _recall(subject, home)
    missing = [kernel for kernel in kernels if kernel_id(kernel) not in found.get("kernels", {})]
    if missing or not found:
        answer = ask_child(
            {
                "subject": subject.id,
                "home": str(home),
                "kernels": [[kind, dict(options)] for kind, options in missing],
                "memory_mb": kernel_memory_mb(),
                "rates": found.get("rates") or _read(home / "costs" / f"machine-{_machine()}.json").get("rates"),
            }
        )
        if "error" in answer:
            reason = refusal(answer["error"])
            raise reason
        quiet = {name: min(answer[name], found.get(name, answer[name])) for name in _FIXED}  # other work only adds to it
        found = {**answer, **quiet, "kernels": {**found.get("kernels", {}), **answer["kernels"]}}
        _remember(subject, home, found)
    return _costs(found)


def are_known(subject: Subject, kernels: Sequence[Kernel], *, home: Path) -> bool:
    """Whether :func:`costs_of` would answer at once."""
    found = _recall(subject, home).get("kernels", {})
    return all(kernel_id(kernel) in found for kernel in kernels)


def ask_child(request: Mapping[str, Any]) -> dict[str, Any]:
    """Have :mod:`ntkviz.studies.measuring` answer in a process of its own, with the threads of a worker.

    Raises:
        NtkvizError: when it ends without an answer.
    """
    return ask_module(
        "ntkviz.studies.measuring",
        request,
        seconds=_CHILD_SECONDS,
        too_slow=f"What this network costs could not be measured within {_CHILD_SECONDS} s. Bring a smaller one.",
        failed="What this network costs could not be measured",
        advice="Ask for a study all the same, or look with `doctor`.",
    )


def _recall(subject: Subject, home: Path) -> dict[str, Any]:
    key = (subject.content_sha256(), _machine())
    if key not in _known:
        found = _read(_path(subject, home))
        if not found:
            return {}
        _known[key] = found
    return _known[key]


def _remember(subject: Subject, home: Path, found: dict[str, Any]) -> None:
    """Keep it in this process, and on disk where the store has a folder already."""
    _known[subject.content_sha256(), _machine()] = found
    if not home.is_dir():
        return
    with suppress(OSError):  # a store that cannot be written is told of where it is needed
        for path, entries in (
            (home / "costs" / f"machine-{_machine()}.json", {"rates": found["rates"]}),
            (_path(subject, home), found),
        ):
            path.parent.mkdir(exist_ok=True)
            temporary = path.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps(entries), encoding="utf-8")
            temporary.replace(path)


def _path(subject: Subject, home: Path) -> Path:
    return home / "costs" / f"{text_sha256(subject.content_sha256() + _machine())[:24]}.json"


def _read(path: Path) -> dict[str, Any]:
    """What a file holds; nothing when it is missing or damaged: it is measured again then."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _costs(found: Mapping[str, Any]) -> Costs:
    fixed = {name: float(found[name]) for name in _FIXED}
    kernels = {
        key: refusal(entry["error"]) if "error" in entry else KernelProfile.from_dict(entry)
        for key, entry in found["kernels"].items()
    }
    return Costs(Rates.from_dict(found["rates"]), SubjectCosts(**fixed, kernels=kernels))


def _machine() -> str:
    """What rates hold for: processor, threads, libraries, and the memory within which a kernel is laid out."""
    return text_sha256(canonical_json([_VERSION, *_processor(), n_threads(), kernel_memory_mb()]))[:16]


@cache
def _processor() -> tuple[str, ...]:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line for line in lines if line.startswith("model name"))
        return name, platform.node(), metadata.version("torch")
    return platform.processor(), platform.node(), metadata.version("torch")
