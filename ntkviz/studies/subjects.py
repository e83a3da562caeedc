"""What can be studied: the bundled samples, and models with data that people brought.

A subject is listed, described and hashed without torch; only :func:`load_subject_model` imports it. An upload is a folder
``<home>/uploads/<id>`` with the same entries as a sample (see :mod:`ntkviz.studies.uploads`); its id begins with ``upload-``
and is made from its contents, so bringing the same files twice gives the same subject.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ntkviz.data.sample import SAMPLES_DIR, load_sample_data, sample_card, samples
from ntkviz.errors import StoreCorrupted
from ntkviz.studies.hashing import canonical_json, file_sha256, text_sha256
from ntkviz.studies.spec import InvalidStudy, StudySpec
from ntkviz.studies.store import Store, ntkviz_home
from ntkviz.types import Dataset

if TYPE_CHECKING:
    from torch import nn

UPLOAD_PREFIX = "upload-"
#: Words about a subject; they may be corrected without touching its studies.
_WORDS_ONLY = {"card.md", "README.md"}


@dataclass(frozen=True)
class Subject:
    """A model with its data, described without loading either.

    Attributes:
        id: name of a sample, or ``upload-...``.
        source: "sample" or "upload".
        title: for headings.
        kind: "image", "text" or "tabular".
        n_train: N of the full data set.
        n_test: M of the full data set.
        n_parameters: P.
        n_classes: C.
        architecture: the declarative specification of the network.
        accuracy_test: share of test points the network gets right; ``None`` when not known.
        card: Markdown about it.
        planted: what was planted in the data, or ``None``.
        home: the folder of the store it was found in; ``None`` for a sample.
        files: everything that decides a figure: weights, data, specification.
    """

    id: str
    source: Literal["sample", "upload"]
    title: str
    kind: str
    n_train: int
    n_test: int
    n_parameters: int
    n_classes: int
    architecture: dict
    accuracy_test: float | None
    card: str
    planted: dict | None = None
    home: Path | None = field(default=None, compare=False)
    files: tuple[Path, ...] = field(default=(), compare=False)

    def content_sha256(self) -> str:
        """Hash of all bytes that decide a figure, whatever the files are called and wherever they stand.

        Raises:
            StoreCorrupted: when a file cannot be read.
        """
        try:
            return content_sha256(self.files)
        except OSError as error:
            raise StoreCorrupted(
                f"A file of {self.title} cannot be read ({error}). Restore it or bring the model again."
            ) from error

    def spec(self, **choices: Any) -> StudySpec:
        """A study of this subject.

        Raises:
            InvalidStudy: when the choices are not possible.
        """
        return StudySpec(**{self.source: self.id}, **choices)


def subjects(store: Store | None = None) -> list[Subject]:
    """All subjects: the samples in their order, then the uploads, newest first.

    Args:
        store: whose uploads to list; ``None`` means the store of :func:`ntkviz_home`.

    Returns:
        the subjects. An upload whose files are damaged is left out; :func:`find_subject` says what is wrong with it.

    Raises:
        StoreCorrupted: when the card of a sample is damaged.
    """
    from ntkviz.studies.uploads import upload_subjects

    home = ntkviz_home() if store is None else store.home
    return [_sample_subject(name) for name in samples()] + upload_subjects(home)


def find_subject(subject_id: str, *, home: Path | None = None) -> Subject:
    """The subject of that id.

    Args:
        subject_id: name of a sample, or id of an upload.
        home: the folder with the uploads; ``None`` means :func:`ntkviz_home`.

    Raises:
        InvalidStudy: when there is none.
        StoreCorrupted: when its card is damaged.
    """
    if subject_id.startswith(UPLOAD_PREFIX):
        from ntkviz.studies.uploads import upload_subject

        return upload_subject(home or ntkviz_home(), subject_id)
    if subject_id not in samples():
        known = ", ".join(samples()) or "none; the folder sample_models of a checkout is missing"
        raise InvalidStudy(f"There is no sample {subject_id!r}; choose one of: {known}.")
    return _sample_subject(subject_id)


def subject_data(subject_id: str, *, home: Path | None = None) -> Dataset:
    """The data of a subject, whole. No torch.

    Args:
        subject_id: name of a sample, or id of an upload.
        home: the folder with the uploads; ``None`` means :func:`ntkviz_home`.

    Raises:
        InvalidStudy: when there is no such subject.
        StoreCorrupted: when its files are damaged.
    """
    subject = find_subject(subject_id, home=home)
    if subject.source == "sample":
        return load_sample_data(subject.id)
    from ntkviz.studies.uploads import upload_data

    return upload_data(home or ntkviz_home(), subject.id)


def load_subject_model(subject_id: str, *, home: Path | None = None) -> "nn.Module":
    """The network of a subject, in eval mode. Imports torch: for the worker, not for a page.

    Args:
        subject_id: name of a sample, or id of an upload.
        home: the folder with the uploads; ``None`` means :func:`ntkviz_home`.

    Raises:
        InvalidStudy: when there is no such subject.
        UploadRejected: when the weights do not fit the architecture.
        StoreCorrupted: when its files are damaged.
    """
    subject = find_subject(subject_id, home=home)
    if subject.source == "sample":
        from ntkviz.models.sample import load_sample

        return load_sample(subject.id).model
    from ntkviz.studies.uploads import load_upload_model

    return load_upload_model(home or ntkviz_home(), subject.id)


def _sample_subject(name: str) -> Subject:
    card = sample_card(name)
    return Subject(
        id=name,
        source="sample",
        title=card.title,
        kind=card.kind,
        n_train=card.n_train,
        n_test=card.n_test,
        n_parameters=card.n_parameters,
        n_classes=card.n_classes,
        architecture=card.architecture,
        accuracy_test=card.accuracy_test,
        card=card.text,
        planted=card.planted,
        files=deciding_files(card.folder, SAMPLES_DIR / "data" / card.data_set),
    )


def deciding_files(*folders: Path) -> tuple[Path, ...]:
    """All files of some folders but those that hold only words, in a fixed order."""
    return tuple(
        path for folder in folders for path in sorted(folder.iterdir()) if path.is_file() and path.name not in _WORDS_ONLY
    )


def content_sha256(files: Sequence[Path]) -> str:
    """Hash of files' names and bytes, in the order given.

    Raises:
        OSError: when a file cannot be read.
    """
    return text_sha256(canonical_json([[path.name, file_sha256(path)] for path in files]))
