"""Retrainings that a person asks for, as jobs beside studies: the truth of a network, and what edits or removals really do.

No torch: a page describes, finds and reads them; the work is in :mod:`ntkviz.studies.retraining_run`. Results are files below the
store's folder: ``truth/<hash of the subject's contents>/truth.npz``, and ``verified/<study>/<hash of what was asked>.npz`` or
``removed/<study>/...``.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ntkviz.data.sample import sample_card
from ntkviz.errors import StoreCorrupted
from ntkviz.explain.what_if import Edit
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.hashing import canonical_json, text_sha256
from ntkviz.studies.removal_lists import LISTS
from ntkviz.studies.subjects import Subject, find_subject
from ntkviz.truth.recipe import Training
from ntkviz.truth.removal import Removed, read_removed
from ntkviz.truth.truth import TRUTH, Truth, check_truth, has_truth, load_truth, read_truth
from ntkviz.truth.verify import Verified, read_verified
from ntkviz.types import Dataset

#: Test points that a verification asks about at most.
MOST_TEST = 1000
_KINDS = ("truth", "verify", "removal")


@dataclass(frozen=True)
class Retraining:
    """Networks to train again.

    Attributes:
        kind: "truth", on random halves of the training points; "verify", with edits of them; "removal", without the points that several
            lists name for some test points.
        subject_id: whose network and data.
        training: the recipe; its seed is the first of the seeds.
        n_seeds: R, from how many seeds each is trained.
        n_subsets: S of a truth.
        study: key of the study whose training points the edits or the lists name.
        edits: of a verification, in the order in which they were made; positions are the study's.
        n_points: P of a removal, test points that are tried.
        sizes: of a removal, how many training points are taken away.
    """

    kind: Literal["truth", "verify", "removal"]
    subject_id: str
    training: Training
    n_seeds: int = 5
    n_subsets: int = 100
    study: str = ""
    edits: tuple[Edit, ...] = ()
    n_points: int = 10
    sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check what can be checked without the subject.

        Raises:
            InvalidStudy: when an entry is not possible.
        """
        if self.kind not in _KINDS:
            raise InvalidStudy(f"A retraining is of the kind {', '.join(_KINDS)}; got {str(self.kind)[:40]!r}.")
        if not 2 <= self.n_seeds <= 100 or not 2 <= self.n_subsets <= 1000:
            raise InvalidStudy(
                f"A retraining takes 2 to 100 seeds and 2 to 1,000 subsets; got {self.n_seeds} and {self.n_subsets}."
            )
        if self.kind == "verify" and not (self.study and self.edits):
            raise InvalidStudy("Verifying needs a study and edits of its training set; make an edit first.")
        if self.kind == "removal":
            self._check_removal()

    def _check_removal(self) -> None:
        """Check the entries of a removal.

        Raises:
            InvalidStudy: when one is missing or not possible.
        """
        if not self.study or not 1 <= self.n_points <= MOST_TEST:
            raise InvalidStudy(f"A removal needs a study and 1 to {MOST_TEST:,} of its test points; got {self.n_points}.")
        if not self.sizes or min(self.sizes) < 1 or len(set(self.sizes)) < len(self.sizes):
            raise InvalidStudy(f"A removal needs to know how many points to take away, each number once; got {self.sizes}.")

    @property
    def networks(self) -> float:
        """How many networks' work it is, each on all training points."""
        if self.kind == "verify":
            return 3 * self.n_seeds
        if self.kind == "removal":
            return (len(LISTS) * self.n_points * len(self.sizes) + 1) * self.n_seeds
        return (self.n_subsets / 2 + 1) * self.n_seeds

    def to_dict(self) -> dict[str, Any]:
        """The retraining as JSON types; :meth:`from_dict` takes it back."""
        return {**asdict(self), "edits": [asdict(edit) for edit in self.edits]}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> "Retraining":
        """What :meth:`to_dict` gave.

        Raises:
            InvalidStudy: when an entry is not possible.
            ValueError: when the recipe is not.
            TypeError: when an entry is unknown or missing.
        """
        read = {
            "training": Training.from_dict(entries["training"]),
            "edits": tuple(Edit(**edit) for edit in entries["edits"]),
            "sizes": tuple(entries.get("sizes", ())),
        }
        return cls(**{**entries, **read})

    def key(self) -> str:
        """The sha256 that names what was asked."""
        return text_sha256(canonical_json(self.to_dict()))


def known_recipe(subject: Subject) -> Training | None:
    """How a bundled sample was trained, by its card; None for an upload, and for a card that does not say.

    Raises:
        StoreCorrupted: when the card's recipe is damaged.
    """
    recipe = sample_card(subject.id).recipe if subject.source == "sample" else None
    try:
        return None if recipe is None else Training.from_dict(recipe)
    except ValueError as error:
        raise StoreCorrupted(f"The recipe of the sample {subject.id!r} is damaged: {error}") from error


def why_not(subject: Subject) -> str:
    """Why a network cannot be trained again, in words; empty when it can."""
    if subject.architecture.get("name") or subject.architecture.get("layers"):
        return ""
    return (
        "This network came without a specification of its architecture, so it cannot be started from new parameters and trained again. Bring "
        "its weights with an architecture of the registry, or with a list of layers, to retrain it."
    )


def truth_folder(home: Path, subject: Subject) -> Path:
    """Where the truth of a subject is kept that somebody made.

    Raises:
        StoreCorrupted: when a file of the subject cannot be read.
    """
    return home / "truth" / subject.content_sha256()


def truth_stamp(home: Path, subject_id: str) -> str:
    """Changes when the truth of a subject that somebody made comes, changes or goes; empty when there is none.

    Raises:
        InvalidStudy: when there is no such subject.
        StoreCorrupted: when its files are damaged.
    """
    with suppress(FileNotFoundError):
        found = (truth_folder(home, find_subject(subject_id, home=home)) / TRUTH).stat()
        return f"{found.st_mtime_ns}-{found.st_size}"
    return ""


def find_truth(home: Path, subject_id: str, dataset: Dataset) -> Truth | None:
    """The truth of a subject: the one that comes with a sample, else the one that somebody made here.

    Args:
        home: the folder of the store.
        subject_id: the subject.
        dataset: its data.

    Returns:
        The truth, or None when there is none.

    Raises:
        InvalidStudy: when there is no such subject.
        StoreCorrupted: when the file is damaged or stale.
    """
    if has_truth(subject_id):
        return load_truth(subject_id, dataset=dataset)
    subject = find_subject(subject_id, home=home)
    folder = truth_folder(home, subject)
    if not (folder / TRUTH).is_file():
        return None
    truth = read_truth(folder)
    check_truth(truth, dataset, subject.architecture, truth.recipe)
    return truth


def verified_path(home: Path, asked: Retraining) -> Path:
    """The file of a verification."""
    return home / "verified" / asked.study / f"{asked.key()}.npz"


def verifications(home: Path, study_key: str) -> list[Path]:
    """The verifications of a study, newest first."""
    return sorted((home / "verified" / study_key).glob("*.npz"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def load_verification(path: Path) -> tuple[Retraining, Verified]:
    """What was asked and what was found.

    Raises:
        StoreCorrupted: when the file cannot be read.
    """
    found, facts = read_verified(path)
    try:
        return Retraining.from_dict(facts["asked"]), found
    except (KeyError, TypeError, ValueError, InvalidStudy) as error:
        raise StoreCorrupted(f"The retraining {path.name} does not say what it is of ({error}). Run it again.") from error


def removed_path(home: Path, asked: Retraining) -> Path:
    """The file of a removal."""
    return home / "removed" / asked.study / f"{asked.key()}.npz"


def removals_of(home: Path, study_key: str) -> list[Path]:
    """The removals of a study, newest first."""
    return sorted((home / "removed" / study_key).glob("*.npz"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def load_removal(path: Path) -> tuple[Retraining, tuple[str, ...], Removed]:
    """What was asked, the keys of the lists, and what was found.

    Raises:
        StoreCorrupted: when the file cannot be read.
    """
    found, facts = read_removed(path)
    try:
        asked, lists = Retraining.from_dict(facts["asked"]), tuple(str(key) for key in facts["lists"])
    except (KeyError, TypeError, ValueError, InvalidStudy) as error:
        raise StoreCorrupted(f"The retraining {path.name} does not say what it is of ({error}). Run it again.") from error
    if len(lists) != len(found.lists):
        raise StoreCorrupted(f"The retraining {path.name} names {len(lists)} lists and holds {len(found.lists)}. Run it again.")
    return asked, lists, found
