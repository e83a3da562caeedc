"""A sweep of the size of a random projection: how far a projected kernel is from the exact one, size by size and seed by seed.

No torch: a page describes, finds and reads sweeps; the work is in :mod:`ntkviz.studies.sweep_run`. Results are artefacts below
``sweeps/`` in the store's folder.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from ntkviz.errors import StoreCorrupted
from ntkviz.studies import artefact, codec
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.hashing import canonical_json, text_sha256

#: Raised when sweeps come out otherwise than before, so that old ones are left alone.
VERSION = 1
#: Projected kernel -> the exact kernel that it stands for.
EXACT = {"proj_trntk": "trntk", "proj_pntk": "pntk"}
#: Nearest training points whose overlap is measured.
NEIGHBOURS = 10
_LARGEST = 65_536


@dataclass(frozen=True)
class Sweep:
    """Projected kernels of several sizes, each from several seeds.

    Attributes:
        subject_id: whose network and data.
        study: key of the study whose points, form of the kernel and surrogate are used.
        kind: key of :data:`EXACT`.
        dims: sizes of the projection, ascending.
        n_seeds: S, projections of each size.
        n_train: training points, drawn by class among the study's.
        n_test: test points, likewise.
    """

    subject_id: str
    study: str
    kind: str = "proj_trntk"
    dims: tuple[int, ...] = (128, 256, 512, 1024)
    n_seeds: int = 5
    n_train: int = 256
    n_test: int = 64

    def __post_init__(self) -> None:
        """Check what can be checked without the study.

        Raises:
            InvalidStudy: when an entry is not possible.
        """
        if self.kind not in EXACT:
            raise InvalidStudy(f"A sweep is of {' or '.join(EXACT)}; got {str(self.kind)[:40]!r}.")
        if not self.dims or list(self.dims) != sorted(set(self.dims)) or not 1 <= self.dims[0] <= self.dims[-1] <= _LARGEST:
            raise InvalidStudy(f"The sizes of a sweep ascend from 1 to at most {_LARGEST:,}, each once; got {self.dims}.")
        if not 2 <= self.n_seeds <= 50:
            raise InvalidStudy(f"A sweep takes 2 to 50 seeds; got {self.n_seeds}.")
        if self.n_train < 2 or self.n_test < 2 or not self.study:
            raise InvalidStudy(f"A sweep needs a study and two points of each kind; got {self.n_train} and {self.n_test}.")

    def to_dict(self) -> dict[str, Any]:
        """The sweep as JSON types; :meth:`from_dict` takes it back."""
        return {**asdict(self), "dims": list(self.dims)}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> "Sweep":
        """What :meth:`to_dict` gave.

        Raises:
            InvalidStudy: when an entry is not possible.
            TypeError: when an entry is unknown or missing.
        """
        return cls(**{**entries, "dims": tuple(entries["dims"])})

    def key(self) -> str:
        """The sha256 that names what was asked."""
        return text_sha256(canonical_json({"what": "sweep", "version": VERSION, **self.to_dict()}))


@dataclass(frozen=True, eq=False)
class Swept:
    """What a sweep found. D sizes, S seeds.

    Attributes:
        dims: int64 ``[D]``.
        error: ``[D, S]``, Frobenius norm of the difference from the exact kernel over that of the exact one; test against training points.
        overlap: ``[D, S]``, mean share of a test point's k nearest training points that are the exact kernel's.
        tau: ``[D, S]``, Kendall's tau of a surrogate fitted on the projected kernel, against the network.
        exact_tau: the same of the exact kernel.
        seconds: ``[D, S]`` of the kernels.
        exact_seconds: of the exact one.
        n_neighbours: k.
        n_train: N.
        n_test: M.
        notes: what a person should know.
    """

    dims: np.ndarray
    error: np.ndarray
    overlap: np.ndarray
    tau: np.ndarray
    exact_tau: float
    seconds: np.ndarray
    exact_seconds: float
    n_neighbours: int
    n_train: int
    n_test: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Spread:
    """Means over seeds with their 95 % intervals, ``[D]`` each (Student's t; NaN where the seeds have no value)."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def spread(values: np.ndarray) -> Spread:
    """Mean over seeds with its interval.

    Args:
        values: ``[D, S]``, S at least 2.

    Raises:
        ValueError: when there are fewer than two seeds.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] < 2:
        raise ValueError(f"Expected values [sizes, seeds] of two seeds or more, got shape {found.shape}.")
    n_seeds = found.shape[1]
    mean = found.mean(axis=1)
    half = student.ppf(0.975, n_seeds - 1) * found.std(axis=1, ddof=1) / np.sqrt(n_seeds)
    return Spread(mean, mean - half, mean + half)


def sweep_folder(home: Path, asked: Sweep) -> Path:
    """Where a sweep is kept."""
    return home / "sweeps" / asked.key()


def save_sweep(home: Path, asked: Sweep, found: Swept, *, kernel_key: str) -> None:
    """Keep a sweep; it goes when the study's kernel goes.

    Raises:
        BudgetExceeded: when the disk has not enough room.
        StoreCorrupted: when what arrived on the disk is not what was written.
    """
    arrays: dict[str, np.ndarray] = {}
    content = {"asked": asked.to_dict(), "found": codec.encode(found, arrays, name="found")}
    summary = {"kernel": kernel_key, "subject": asked.subject_id}
    artefact.write_artefact(sweep_folder(home, asked), kind="sweep", content=content, arrays=arrays, summary=summary)


def load_sweep(folder: Path) -> tuple[Sweep, Swept]:
    """What was asked and what was found.

    Raises:
        NotFound: when there is none.
        StoreCorrupted: when it is damaged.
    """
    manifest = artefact.read_manifest(folder)
    arrays = artefact.read_arrays(folder, manifest)
    found: Any = codec.decode(manifest["content"]["found"], arrays, classes=[Swept])
    return Sweep.from_dict(manifest["content"]["asked"]), found


def sweeps_of(home: Path, subject_id: str) -> list[Path]:
    """The sweeps of a subject that can be read, newest first."""
    found = []
    for folder in sorted((home / "sweeps").glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            manifest = artefact.read_manifest(folder)
        except (StoreCorrupted, KeyError):
            continue
        if manifest["summary"].get("subject") == subject_id:
            found.append(folder)
    return found
