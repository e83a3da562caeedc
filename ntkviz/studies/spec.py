"""What a study is made of, and the key that names its results.

The key is a hash of everything that decides the figures: the bytes of the model and the data, the kernel and the
surrogate with all their options, the sizes and the seed, and the version of the code that computes. Equal keys mean equal
results; a model or a data file that changed gives another key, so an old study is never opened in its place.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.hashing import canonical_json, text_sha256
from ntkviz.studies.sampling import POINTS_PER_CLASS

if TYPE_CHECKING:
    from ntkviz.studies.subjects import Subject

#: Raised by one with every change that alters a figure of a finished study (a kernel's formula, a solver's tolerance, how
#: points are drawn). Results of another version are left alone and no longer found.
ENGINE_VERSION = 2

Options = Mapping[str, str | int | float | bool | list[str] | None]


@dataclass(frozen=True)
class StudySpec:
    """What to study and how. Exactly one of ``sample`` and ``upload`` is given.

    Attributes:
        sample: name of a bundled sample.
        upload: id of somebody's own model and data.
        kernel: key of the kernel registry.
        surrogate: key of the surrogate registry.
        normalize: fit on the cosine-normalised kernel.
        n_train: N, how many training points, drawn by class; ``None`` means all. More than there are means all, and a note.
        n_test: M, likewise.
        seed: draws the points, and whatever the kernel and the surrogate draw.
        kernel_options: options of the kernel; those not given have the registry's defaults.
        surrogate_options: options of the surrogate, likewise.
        budget_seconds: that the kernel may take; when the trace NTK is quoted above it, the best sketch that fits is made
            instead. It does not enter the key: the study is that of the kernel that was chosen.
    """

    sample: str | None = None
    upload: str | None = None
    kernel: str = "trntk"
    surrogate: str = "kglm"
    normalize: bool = True
    n_train: int | None = None
    n_test: int | None = None
    seed: int = 0
    kernel_options: Options = field(default_factory=dict)
    surrogate_options: Options = field(default_factory=dict)
    budget_seconds: float | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without the subject.

        Raises:
            InvalidStudy: when a name, an option or a number is not possible.
        """
        if (self.sample is None) == (self.upload is None):
            raise InvalidStudy(f"Give exactly one of sample and upload; got sample={self.sample!r} and upload={self.upload!r}.")
        _check_kernel(self.kernel, self.kernel_options)
        _check_surrogate(self.surrogate, self.surrogate_options)
        for name, least in (("n_train", 2), ("n_test", 2), ("seed", 0)):
            value = getattr(self, name)
            if value is None and name != "seed":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidStudy(f"{name} must be a whole number of at least {least}; got {value!r}.")
        _check_budget(self.budget_seconds, self.kernel)
        if not isinstance(self.normalize, bool):
            raise InvalidStudy(f"normalize must be True or False; got {self.normalize!r}.")

    def __hash__(self) -> int:
        return hash(self.to_json())

    @property
    def subject_id(self) -> str:
        """The id under which :mod:`ntkviz.studies.subjects` knows the model and the data."""
        return self.sample or self.upload or ""

    def resolved(self, subject: "Subject") -> tuple["StudySpec", tuple[str, ...]]:
        """The same study with every size and option written out, and notes on what was not as asked.

        Raises:
            InvalidStudy: when fewer points are asked for than two a class.
        """
        notes: list[str] = []
        sizes = {
            name: _size(name, getattr(self, name), there, subject, notes)
            for name, there in (("n_train", subject.n_train), ("n_test", subject.n_test))
        }
        filled = replace(
            self,
            **sizes,
            kernel_options=_filled(_kernels()[self.kernel].options, self.kernel_options),
            surrogate_options=_filled(_surrogates()[self.surrogate].options, self.surrogate_options),
        )
        return filled, tuple(notes)

    def key(self, *, home: Path | None = None) -> str:
        """The sha256 that names the study's results.

        Args:
            home: the folder with the uploads; ``None`` means :func:`ntkviz.studies.store.ntkviz_home`.

        Raises:
            InvalidStudy: when the sizes do not fit the subject.
            NtkvizError: when the subject's files cannot be read.
        """
        made, subject = self._with_subject(home)
        return made._key(subject)

    def kernel_key(self, *, home: Path | None = None) -> str:
        """The sha256 that names the raw kernel: the surrogate and the normalisation do not enter.

        Raises:
            InvalidStudy: when the sizes do not fit the subject.
            NtkvizError: when the subject's files cannot be read.
        """
        made, subject = self._with_subject(home)
        return made._kernel_key(subject)

    def keys(self, subject: "Subject") -> tuple[str, str]:
        """The study's key and its kernel's, for a subject that is at hand.

        Raises:
            InvalidStudy: when the sizes do not fit the subject.
            NtkvizError: when the subject's files cannot be read.
        """
        made, _ = self.resolved(subject)
        return made._key(subject), made._kernel_key(subject)

    def _with_subject(self, home: Path | None) -> tuple["StudySpec", "Subject"]:
        from ntkviz.studies.subjects import find_subject

        subject = find_subject(self.subject_id, home=home)
        return self.resolved(subject)[0], subject

    def _key(self, subject: "Subject") -> str:
        parts = {
            "what": "study",
            "kernel": self._kernel_key(subject),
            "normalize": self.normalize,
            "surrogate": self.surrogate,
            "surrogate_options": dict(self.surrogate_options),
        }
        return text_sha256(canonical_json(parts))

    def _kernel_key(self, subject: "Subject") -> str:
        parts = {
            "what": "kernel",
            "engine": ENGINE_VERSION,
            "content": subject.content_sha256(),
            "kernel": self.kernel,
            "kernel_options": dict(self.kernel_options),
            "n_train": self.n_train,
            "n_test": self.n_test,
            "seed": self.seed,
        }
        return text_sha256(canonical_json(parts))

    def to_dict(self) -> dict:
        """The fields as JSON holds them."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**plain, "kernel_options": dict(self.kernel_options), "surrogate_options": dict(self.surrogate_options)}

    def to_json(self) -> str:
        """Canonical JSON: one text for equal specs."""
        return canonical_json(self.to_dict())

    @classmethod
    def from_dict(cls, entries: Mapping) -> "StudySpec":
        """The spec that :meth:`to_dict` describes.

        Raises:
            InvalidStudy: when there are unknown fields, or the study is not possible.
        """
        known = {f.name for f in fields(cls)}
        if not isinstance(entries, Mapping) or not set(entries) <= known:
            unknown = sorted(set(entries) - known) if isinstance(entries, Mapping) else type(entries).__name__
            raise InvalidStudy(f"A study has the fields {', '.join(sorted(known))}; got {unknown}.")
        return cls(**entries)

    @classmethod
    def from_json(cls, text: str) -> "StudySpec":
        """The spec that :meth:`to_json` wrote.

        Raises:
            InvalidStudy: when the text is no JSON or describes no possible study.
        """
        try:
            entries = json.loads(text)
        except ValueError as error:
            raise InvalidStudy(f"A study is described by a JSON object; this is no JSON ({error}).") from error
        return cls.from_dict(entries)


def _kernels() -> Mapping:
    from ntkviz.kernels.registry import kernels

    return kernels()


def _surrogates() -> Mapping:
    from ntkviz.surrogates.registry import surrogates

    return surrogates()


def _check_kernel(kind: str, options: Options) -> None:
    known = _kernels()
    if kind not in known:
        raise InvalidStudy(f"There is no kernel {kind!r}; choose one of: {', '.join(known)}.")
    if known[kind].block != "point":
        possible = [key for key, info in known.items() if info.block == "point"]
        raise InvalidStudy(
            f"The kernel {kind!r} has one entry for each pair of points and classes; a study needs one for each pair of points. "
            f"Choose one of: {', '.join(possible)}."
        )
    _check_options(f"kernel {kind!r}", known[kind].options, options)


def _check_budget(seconds: float | None, kind: str) -> None:
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise InvalidStudy(f"budget_seconds must be a positive number of seconds, or None; got {seconds!r}.")
    if kind != "trntk":
        raise InvalidStudy(
            f"A time budget chooses between the trace NTK and its sketches; it was given with the kernel {kind!r}."
        )


def _check_surrogate(kind: str, options: Options) -> None:
    known = _surrogates()
    if kind not in known:
        raise InvalidStudy(f"There is no surrogate {kind!r}; choose one of: {', '.join(known)}.")
    _check_options(f"surrogate {kind!r}", known[kind].options, options)


def _check_options(what: str, known: Mapping, given: Options) -> None:
    if not isinstance(given, Mapping):
        raise InvalidStudy(f"Options of the {what} must be a mapping of names to values; got {type(given).__name__}.")
    for name, value in given.items():
        if name not in known:
            raise InvalidStudy(f"The {what} has no option {name!r}; it has: {', '.join(known) or 'none'}.")
        texts = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
        if not (value is None or texts or isinstance(value, str | bool | int | float)):
            raise InvalidStudy(
                f"The option {name!r} of the {what} must be a number, a text, a list of texts or None; got {value!r}."
            )


def _filled(known: Mapping, given: Options) -> dict:
    """All options with their values: a default that is written out names the same study as one that is not."""
    return {name: given.get(name, default) for name, (default, _) in known.items()}


def _size(name: str, asked: int | None, there: int, subject: "Subject", notes: list[str]) -> int:
    split = "training" if name == "n_train" else "test"
    if asked is not None and asked > there:
        notes.append(f"{asked:,} {split} points were asked for; {subject.title} has {there:,}, and all of them are used.")
    size = there if asked is None else min(asked, there)
    least = POINTS_PER_CLASS * subject.n_classes if name == "n_train" else 2
    if size < least:
        reason = f"two for each of the {subject.n_classes} classes of {subject.title}" if name == "n_train" else "two"
        raise InvalidStudy(f"{name} is {size}; expected at least {least} ({reason}). Ask for more {split} points.")
    return size
