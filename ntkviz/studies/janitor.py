"""Tidying a home: what killed processes left, tiles that nobody will ask for, and the longest unused studies where there is a quota."""

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ntkviz.errors import BudgetExceeded, NtkvizError
from ntkviz.studies import catalogue
from ntkviz.studies.database import opened
from ntkviz.studies.disk import sweep_temporary
from ntkviz.studies.job import jobs_folder, read_jobs
from ntkviz.studies.kept import tidy_selections
from ntkviz.studies.server import server
from ntkviz.studies.shelf import FOLDER, Shelf
from ntkviz.studies.store import Store

#: Tiles of an interrupted kernel wait for so long that somebody asks for it again.
TILE_SECONDS = 7 * 86400.0
#: An unfinished retraining likewise.
_UNFINISHED = "truth/*/unfinished"


@dataclass(frozen=True)
class Tidied:
    """What was tidied away.

    Attributes:
        temporary: files and folders that killed processes had left.
        tiles: kernels whose tiles were dropped.
        studies: keys of studies that went for the quota, the longest unused first.
    """

    temporary: int = 0
    tiles: int = 0
    studies: tuple[str, ...] = ()

    def sentence(self) -> str:
        """It for a log; empty when nothing was done."""
        parts = [
            f"{self.temporary} unfinished files of processes that were killed" * bool(self.temporary),
            f"the tiles of {self.tiles} kernels" * bool(self.tiles),
            f"{len(self.studies)} studies for the quota: {', '.join(key[:12] for key in self.studies)}" * bool(self.studies),
        ]
        return "; ".join(part for part in parts if part)


def tidy(home: Path) -> Tidied:
    """Tidy a home. What is being written, made or used stays.

    Args:
        home: the folder of the store.

    Raises:
        NtkvizError: when the database cannot be used.
    """
    if not home.is_dir():
        return Tidied()
    temporary = sum(sweep_temporary(home / part) for part in ("kernels", "studies", "maps", "facts", "sweeps", "uploads", "jobs"))
    temporary += sum(sweep_temporary(folder) for folder in (home / FOLDER).glob("*/"))
    tidy_selections(home)
    _forget_logs(home)
    for folder in home.glob(_UNFINISHED):
        if _age(folder) > TILE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    return Tidied(temporary, _drop_tiles(home), keep_quota(home))


def quota_mb() -> float | None:
    """What a home may take on the disk: NTKVIZ_QUOTA_MB, otherwise as the server's mode has it; None when there is no quota.

    Raises:
        NtkvizError: when the server's configuration is not possible.
    """
    return server().quota_mb


def require_room(home: Path) -> None:
    """Check that a home may grow: studies make room for one another, uploads do not.

    Raises:
        BudgetExceeded: when its uploads alone take more than half of its quota, or all it holds more than the quota.
    """
    limit = quota_mb()
    if limit is None:
        return
    brought = sum(path.stat().st_size for path in (home / "uploads").rglob("*") if path.is_file()) / 2**20
    if brought > limit / 2 or brought + Store(home).usage().n_bytes / 2**20 > limit:
        raise BudgetExceeded(
            f"Your folder holds {brought:,.0f} MB of uploads and may hold {limit:,.0f} MB in all, at most half of it uploads. "
            "Delete some on the page Server first."
        )


def keep_quota(home: Path) -> tuple[str, ...]:
    """Delete the longest unused studies that are not pinned until the home keeps its quota; the newest always stays.

    Returns:
        keys of what was deleted.
    """
    limit = quota_mb()
    if limit is None:
        return ()
    store, gone = Store(home), []
    studies = [known for known in catalogue.known(home) if known.part == "studies"]
    for known in [known for known in studies[:-1] if not known.pinned]:
        if store.usage().n_bytes <= limit * 2**20:
            break
        store.delete(known.key)
        gone.append(known.key)
    return tuple(gone)


def _drop_tiles(home: Path) -> int:
    """Drop tiles of kernels that are stored, and old ones; none while a job is under way that may be at them."""
    if read_jobs(home, ended=False):
        return 0
    store, dropped = Store(home), 0
    names = {folder.name for folder in (home / FOLDER).glob("*/")}
    with opened(home) as connection:
        names |= {row[0] for row in connection.execute("SELECT DISTINCT kernel FROM tile")}
    for name in names:
        folder = home / FOLDER / name
        with suppress(NtkvizError):  # no key: not ours
            if store.has_kernel(name) or not folder.is_dir() or _age(folder) > TILE_SECONDS:
                Shelf(home, name).clear()
                dropped += 1
    return dropped


def _forget_logs(home: Path) -> None:
    """Delete what processes of jobs printed that were deleted."""
    known = {job.id for job in read_jobs(home)}
    for folder in jobs_folder(home).glob("2*/"):
        if folder.name not in known and _age(folder) > TILE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _age(folder: Path) -> float:
    """Seconds since it was last written to."""
    with suppress(OSError):
        return time.time() - folder.stat().st_mtime
    return 0.0
