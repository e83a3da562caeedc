"""The studies that were made, on disk: raw kernels by their key, studies by theirs.

A kernel is stored once, unnormalised, and every study on it (normalised or not, with any surrogate) refers to it.
The rest of ntkviz talks to :class:`Store` only; what a folder looks like is the business of :mod:`ntkviz.studies.artefact`.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ntkviz.errors import StoreCorrupted
from ntkviz.fidelity.result import ClassFidelity, Fidelity
from ntkviz.kernels.blocks import KernelBlocks
from ntkviz.studies import artefact, catalogue, codec
from ntkviz.studies.errors import NotFound
from ntkviz.studies.hashing import plain
from ntkviz.studies.shelf import FOLDER
from ntkviz.studies.spec import InvalidStudy, StudySpec
from ntkviz.studies.study import KernelRun, Study
from ntkviz.studies.workspace import require_own
from ntkviz.surrogates.surrogate import Convergence, DistilledSurrogate, RidgeSurrogate, Surrogate

#: The classes that a stored study may hold; nothing else is ever built from a file.
_RESULTS = (Surrogate, RidgeSurrogate, DistilledSurrogate, Convergence, Fidelity, ClassFidelity)
#: The folders of the home that hold artefacts. Maps and facts are made by the pages, from a kernel; sweeps by jobs, beside one.
_PARTS = ("kernels", "studies", "maps", "facts", "sweeps")
#: What retrainings leave beside them; see :mod:`ntkviz.studies.retraining`.
_RETRAININGS = ("truth", "verified", "removed")
# Folder -> when it and its manifest were changed, and its line of the list: pages ask for the list at every click.
_entries: dict[Path, tuple[tuple[int, int], "StudyEntry"]] = {}
_MOST_ENTRIES = 10_000
_POINTS = ("train_index", "test_index", "y_train", "y_test", "logits_train", "logits_test")


#: In the process of a server that knows several people: says whose folder is meant.
_asked: list[Callable[[], Path]] = []


def ntkviz_home() -> Path:
    """The folder of the store, the jobs and the uploads of whoever is served: on a person's own machine :func:`root_home`.

    Raises:
        NtkvizError: on a server for several people, when nobody is signed in.
    """
    return _asked[-1]() if _asked else root_home()


def ask_for_home(whose: Callable[[], Path]) -> None:
    """From now on, :func:`ntkviz_home` asks this. One place for all, so that whoever forgets to say whose folder is meant never gets another's."""
    _asked[:] = [whose]


def root_home() -> Path:
    """The folder of this machine or server: NTKVIZ_HOME, otherwise the system's folder for user data."""
    named = os.environ.get("NTKVIZ_HOME", "").strip()
    if named:
        return Path(named).expanduser().resolve()
    import platformdirs

    return Path(platformdirs.user_data_dir("ntkviz", appauthor=False))


@dataclass(frozen=True)
class StudyEntry:
    """A line of the list of studies, read without opening an array.

    Attributes:
        key: sha256 that names the study.
        kernel_key: sha256 that names its kernel; empty when ``problem``.
        created: ISO 8601, UTC.
        spec: what was asked for; ``None`` when ``problem``.
        summary: as :meth:`Study.summary`, from the time the study was saved.
        n_bytes: bytes of the study's own files, without its kernel.
        problem: what is wrong with the entry, or empty.
    """

    key: str
    kernel_key: str
    created: str
    spec: StudySpec | None
    summary: dict
    n_bytes: int
    problem: str = ""


@dataclass(frozen=True)
class DiskUsage:
    """What the store takes.

    Attributes:
        n_studies: how many studies.
        n_kernels: how many kernels.
        n_bytes: bytes of all files below the store's folders.
        free_bytes: bytes free on the disk.
    """

    n_studies: int
    n_kernels: int
    n_bytes: int
    free_bytes: int


class Store:
    """Finished kernels and studies in one folder.

    Args:
        home: the folder; ``None`` means :func:`ntkviz_home`. Made when something is first saved.
    """

    def __init__(self, home: Path | str | None = None) -> None:
        self.home = ntkviz_home() if home is None else Path(home).expanduser().resolve()

    def __repr__(self) -> str:
        return f"Store({str(self.home)!r})"

    def has_kernel(self, key: str) -> bool:
        """Whether there is a kernel of that key (whole or damaged)."""
        return self._folder("kernels", key).is_dir()

    def has_study(self, key: str) -> bool:
        """Whether there is a study of that key (whole or damaged)."""
        return self._folder("studies", key).is_dir()

    def save_kernel(self, run: KernelRun) -> None:
        """Keep a kernel.

        Raises:
            BudgetExceeded: when the disk has not enough room.
            StoreCorrupted: when what arrived on the disk is not what was written.
        """
        arrays = {name: getattr(run, name) for name in _POINTS}
        content = {name: plain(getattr(run, name)) for name in ("class_names", "self_check", "seconds", "peak_mb")}
        content["blocks"] = codec.encode(run.blocks, arrays, name="blocks")
        summary = {"kind": run.blocks.kind, "n_train": len(run.train_index), "n_test": len(run.test_index)}
        artefact.write_artefact(self._folder("kernels", run.key), kind="kernel", content=content, arrays=arrays, summary=summary)

    def load_kernel(self, key: str, *, verify: bool = True) -> KernelRun:
        """The kernel of that key; its arrays are read-only and mapped from the disk.

        Args:
            key: sha256 that names the kernel.
            verify: check hashes and not only sizes (once a process for each file).

        Raises:
            NotFound: when there is none.
            StoreCorrupted: when a file is missing, cut short or altered.
        """
        folder = self._folder("kernels", key)
        manifest = artefact.read_manifest(folder)
        arrays = artefact.read_arrays(folder, manifest, verify=verify)
        try:
            content = dict(manifest["content"])
            blocks: Any = codec.decode(content.pop("blocks"), arrays, classes=[KernelBlocks])
            points: Any = {name: arrays[name] for name in _POINTS}
            names = tuple(content.pop("class_names"))
            return KernelRun(key, names, blocks, **content, **points)
        except (TypeError, KeyError) as error:
            raise StoreCorrupted(
                artefact.damage(folder, artefact.MANIFEST, f"has other entries than this version of ntkviz ({error})")
            ) from error

    def save_study(self, study: Study) -> None:
        """Keep a study. Its kernel must have been saved before: a study refers to it and never repeats it.

        Raises:
            BudgetExceeded: when the disk has not enough room.
            StoreCorrupted: when its kernel is not in the store, or what arrived on the disk is not what was written.
        """
        if not self.has_kernel(study.kernel_key):
            raise StoreCorrupted(
                f"The kernel {study.kernel_key[:12]} is not in {self.home}; save it before the study {study.key[:12]}."
            )
        arrays: dict[str, np.ndarray] = {}
        parts = {
            name: codec.encode(getattr(study, name), arrays, name=name) for name in ("surrogate", "fidelity", "surrogate_logits")
        }
        content = {
            "spec": study.spec.to_dict(),
            "kernel_key": study.kernel_key,
            "name": study.name,
            "kind": study.kind,
            "seconds": plain(study.seconds),
            "peak_mb": plain(study.peak_mb),
            "notes": list(study.notes),
            "parts": parts,
        }
        folder = self._folder("studies", study.key)
        artefact.write_artefact(folder, kind="study", content=content, arrays=arrays, summary=study.summary())

    def load_study(self, key: str, *, verify: bool = True) -> Study:
        """The study of that key, ready for the pages. Does not import torch.

        Args:
            key: sha256 that names the study; :meth:`find` completes a short one.
            verify: check hashes and not only sizes (once a process for each file).

        Raises:
            NotFound: when there is none.
            StoreCorrupted: when a file of it or of its kernel is missing, cut short or altered.
        """
        folder = self._folder("studies", key)
        manifest = artefact.read_manifest(folder)
        arrays = artefact.read_arrays(folder, manifest, verify=verify)
        content = manifest["content"]
        catalogue.touch(folder)
        try:
            run = self.load_kernel(content["kernel_key"], verify=verify)
        except KeyError as error:
            raise StoreCorrupted(
                f"The kernel of the study {key[:12]} is missing from {self.home}; run the study again."
            ) from error
        spec = StudySpec.from_dict(content["spec"])
        blocks = run.blocks.normalised() if spec.normalize else run.blocks
        points: Any = {name: getattr(run, name) for name in _POINTS}
        parts: Any = {name: codec.decode(part, arrays, classes=_RESULTS) for name, part in content["parts"].items()}
        return Study(
            spec=spec,
            key=key,
            kernel_key=run.key,
            name=content["name"],
            kind=content["kind"],
            class_names=run.class_names,
            kernel=blocks.train,
            rows=blocks.rows,
            **points,
            **parts,
            seconds=content["seconds"],
            peak_mb=content["peak_mb"],
            self_check=run.self_check,
            notes=tuple(content["notes"]),
            created=manifest["created"],
        )

    def list_studies(self) -> list[StudyEntry]:
        """All studies, newest first. A damaged one is in the list with its ``problem``."""
        entries = [self._entry(folder) for folder in self._folders("studies")]
        return sorted(entries, key=lambda entry: (entry.created, entry.key), reverse=True)

    def find(self, key: str) -> str:
        """The full key of ``latest`` or of the beginning of a key.

        Raises:
            NotFound: when no study or more than one fits.
        """
        entries = [entry for entry in self.list_studies() if not entry.problem]
        if key == "latest" and entries:
            return entries[0].key
        found = [entry.key for entry in entries if key and entry.key.startswith(key)]
        if len(found) == 1:
            return found[0]
        known = ", ".join(entry.key[:12] for entry in entries[:5]) or "none"
        what = "no study" if not found else f"{len(found)} studies"
        raise NotFound(f"There is {what} {key!r} in {self.home}. Give more of the key, or `latest`. The newest: {known}.")

    def delete(self, key: str) -> None:
        """Remove a study; with the last study on a kernel also the kernel and its maps, facts and sweeps. Does nothing when there is none.

        Raises:
            NtkvizError: when the store is somebody else's, shown by a link.
        """
        require_own(self.home)
        kernel_key = self._entry(self._folder("studies", key)).kernel_key
        artefact.remove(self._folder("studies", key))
        if kernel_key and not any(entry.kernel_key == kernel_key for entry in self.list_studies()):
            artefact.remove(self._folder("kernels", kernel_key))
            for folder in (folder for part in ("maps", "facts", "sweeps") for folder in self._folders(part)):
                with suppress(StoreCorrupted, NotFound):
                    if artefact.read_manifest(folder)["summary"].get("kernel") == kernel_key:
                        artefact.remove(folder)

    def verify(self) -> list[tuple[Path, str]]:
        """Read every file and compare it with its hash; (folder, what is wrong) for each damaged or missing artefact.

        Whole artefacts that the database does not know (it was lost, or a process died between the two) are written down.
        """
        faults = []
        folders = self._artefacts()
        for folder in folders:
            try:
                manifest = artefact.read_manifest(folder)
                artefact.check_files(folder, manifest)
            except (StoreCorrupted, KeyError) as error:
                faults.append((folder, str(error)))
                continue
            kernel_key = manifest["content"].get("kernel_key")
            if kernel_key and not self.has_kernel(kernel_key):
                faults.append((folder, artefact.damage(folder, "its kernel", "is missing")))
            elif not catalogue.hashes(folder):
                catalogue.note(folder, manifest)
        gone = [folder for folder in self._known_folders() if folder not in folders]
        return faults + [(folder, artefact.damage(folder, "the folder", "is missing")) for folder in gone]

    def discard(self, folder: Path) -> None:
        """Remove a folder that :meth:`verify` named.

        Raises:
            ValueError: when it is not a folder of this store.
            NtkvizError: when the store is somebody else's, shown by a link.
        """
        require_own(self.home)
        if folder not in self._artefacts() and folder not in self._known_folders():
            raise ValueError(f"{folder} is no kernel, study or map of {self.home}.")
        artefact.remove(folder)

    def pin(self, key: str, *, pinned: bool = True) -> None:
        """Keep a study whatever the quota says, or not any more."""
        catalogue.pin(self._folder("studies", key), pinned)

    def pinned(self) -> set[str]:
        """Keys of the studies that are pinned."""
        return {known.key for known in catalogue.known(self.home) if known.part == "studies" and known.pinned}

    def usage(self) -> DiskUsage:
        """Counts and bytes."""
        n_bytes = 0
        for part in (*_PARTS, *_RETRAININGS, FOLDER):
            for path in (self.home / part).rglob("*"):
                with suppress(OSError):  # another process may be removing it
                    n_bytes += path.stat().st_size if path.is_file() else 0
        nearest = next(folder for folder in (self.home, *self.home.parents) if folder.exists())
        return DiskUsage(
            n_studies=len(self._folders("studies")),
            n_kernels=len(self._folders("kernels")),
            n_bytes=n_bytes,
            free_bytes=shutil.disk_usage(nearest).free,
        )

    def _folder(self, part: str, key: str) -> Path:
        if len(key) != 64 or not set(key) <= set("0123456789abcdef"):
            raise NotFound(f"{key[:80]!r} is no key; expected the 64 hexadecimal digits of a sha256.")
        return self.home / part / key

    def _folders(self, part: str) -> list[Path]:
        parent = self.home / part
        if not parent.is_dir():
            return []
        return sorted(folder for folder in parent.iterdir() if folder.is_dir() and not folder.name.startswith("."))

    def _artefacts(self) -> list[Path]:
        return [folder for part in _PARTS for folder in self._folders(part)]

    def _known_folders(self) -> list[Path]:
        return [self.home / known.part / known.key for known in catalogue.known(self.home) if known.part in _PARTS]

    def _entry(self, folder: Path) -> StudyEntry:
        """A line of the list; read anew when the folder or its manifest has changed."""
        with suppress(OSError):
            changed = folder.stat().st_mtime_ns, (folder / artefact.MANIFEST).stat().st_mtime_ns
            if _entries.get(folder, (None,))[0] != changed:
                if len(_entries) >= _MOST_ENTRIES:
                    _entries.clear()
                _entries[folder] = changed, _read_entry(folder)
            return _entries[folder][1]
        return _read_entry(folder)


def _read_entry(folder: Path) -> StudyEntry:
    try:
        manifest = artefact.read_manifest(folder)
        artefact.check_files(folder, manifest, verify=False)
        spec = StudySpec.from_dict(manifest["content"]["spec"])
    except (StoreCorrupted, InvalidStudy, KeyError) as error:
        return StudyEntry(key=folder.name, kernel_key="", created="", spec=None, summary={}, n_bytes=0, problem=str(error))
    return StudyEntry(
        key=folder.name,
        kernel_key=manifest["content"]["kernel_key"],
        created=manifest["created"],
        spec=spec,
        summary=manifest["summary"],
        n_bytes=manifest["bytes"],
    )
