"""A short fingerprint of what a study found, so that whoever opens a link can tell whether they see what was shared.

The key of a study says what was asked for; two machines that were asked the same may still answer differently in the last digits. So
the fingerprint has a part for each thing that can differ: the model, the data, the request, the versions, and the arrays of the results.
"""

import re
from dataclasses import dataclass, fields
from pathlib import Path

from ntkviz.errors import NtkvizError
from ntkviz.studies import artefact
from ntkviz.studies.hashing import canonical_json, text_sha256
from ntkviz.studies.store import Store
from ntkviz.studies.subjects import Subject, content_sha256, find_subject

#: Hexadecimal digits of each part: 32 bits tell an accident from the same thing; this is no signature.
_DIGITS = 8
_UNKNOWN = "x"
_PART = re.compile(rf"[0-9a-f]{{{_DIGITS}}}|{_UNKNOWN}")
#: What stands in the request and does not decide a figure.
_NOT_ASKED = ("budget_seconds", "upload", "sample")


@dataclass(frozen=True)
class Fingerprint:
    """Short hashes, ``"x"`` where a part cannot be known (an upload that was deleted).

    Attributes:
        model: of the weights and the architecture.
        data: of the data.
        spec: of kernel, surrogate, their options, sizes and seed.
        versions: of the packages and the machine that computed it.
        results: of the arrays of the kernel and of the surrogate.
    """

    model: str
    data: str
    spec: str
    versions: str
    results: str

    def __str__(self) -> str:
        return ".".join(getattr(self, part.name) for part in fields(self))

    @classmethod
    def parse(cls, text: str) -> "Fingerprint":
        """The fingerprint that ``str`` wrote.

        Raises:
            ValueError: when it is none.
        """
        parts = text.split(".")
        if len(parts) != len(fields(cls)) or not all(_PART.fullmatch(part) for part in parts):
            raise ValueError(
                f"Expected {len(fields(cls))} parts of {_DIGITS} hexadecimal digits with dots between them; got {text[:60]!r}."
            )
        return cls(*parts)

    def differences(self, other: "Fingerprint") -> tuple[str, ...]:
        """Names of the parts that are known of both and differ; empty when what was found is the same."""
        pairs = [(part.name, getattr(self, part.name), getattr(other, part.name)) for part in fields(self)]
        return tuple(name for name, mine, theirs in pairs if mine != theirs and _UNKNOWN not in (mine, theirs))


def fingerprint(store: Store, key: str) -> Fingerprint:
    """The fingerprint of a stored study.

    Args:
        store: where it is.
        key: of the study.

    Raises:
        NotFound: when there is none.
        StoreCorrupted: when a manifest is damaged.
    """
    study = artefact.read_manifest(store.home / "studies" / key)
    kernel = artefact.read_manifest(store.home / "kernels" / study["content"]["kernel_key"])
    spec = study["content"]["spec"]
    # Short arrays stand in the manifest itself, long ones in files of which it has the hashes.
    results = [
        [{name: entry["sha256"] for name, entry in made["files"].items()}, made["content"][part]]
        for made, part in ((kernel, "blocks"), (study, "parts"))
    ]
    model, data = _subject_hashes(spec.get("sample") or spec.get("upload") or "", store.home)
    return Fingerprint(
        model=model,
        data=data,
        spec=_short({name: value for name, value in spec.items() if name not in _NOT_ASKED}),
        versions=_short([kernel["versions"], study["versions"]]),
        results=_short(results),
    )


def subject_hashes(subject: Subject) -> tuple[str, str]:
    """sha256 of what decides the model, and of what decides the data.

    Raises:
        OSError: when a file cannot be read.
    """
    beside = {path.parent for path in subject.files if path.name == "weights.safetensors"}
    model = [path for path in subject.files if path.parent in beside]
    return content_sha256(model), content_sha256([path for path in subject.files if path not in model])


def _subject_hashes(subject_id: str, home: Path) -> tuple[str, str]:
    try:
        model, data = subject_hashes(find_subject(subject_id, home=home))
    except (NtkvizError, OSError):
        return _UNKNOWN, _UNKNOWN
    return model[:_DIGITS], data[:_DIGITS]


def _short(value: object) -> str:
    return text_sha256(canonical_json(value))[:_DIGITS]
