"""Tiles of a kernel that is being computed: on the disk as soon as they are there, found again after whatever interrupted the work.

A tile is a file below ``<home>/tiles/<kernel>`` and a row with its hash. It counts when both are there and agree; anything else is computed again.
"""

import io
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np

from ntkviz.studies.database import opened
from ntkviz.studies.disk import replace_file, require_space, told
from ntkviz.studies.hashing import bytes_sha256

FOLDER = "tiles"


def count_tiles(home: Path) -> int:
    """How many tiles of unfinished kernels there are."""
    with opened(home) as connection:
        return connection.execute("SELECT count(*) FROM tile").fetchone()[0]


class Shelf:
    """The tiles of one kernel.

    Args:
        home: the folder of the store.
        kernel: the sha256 that names the kernel.
    """

    def __init__(self, home: Path, kernel: str) -> None:
        self.home, self.kernel = home, kernel
        self._folder = home / FOLDER / kernel

    def put(self, name: str, **arrays: np.ndarray) -> None:
        """Keep a tile: its file first, then its row.

        Raises:
            BudgetExceeded: when the disk has not enough room.
            OSError: when it cannot be written.
            NtkvizError: likewise.
        """
        self.note(name, *self.write(name, **arrays))

    def write(self, name: str, **arrays: np.ndarray) -> tuple[int, str]:
        """Write a tile's file, which does not count until it is noted.

        Returns:
            its size in bytes and its sha256.

        Raises:
            BudgetExceeded: when the disk has not enough room.
            OSError: when it cannot be written.
            NtkvizError: likewise.
        """
        packed = io.BytesIO()
        np.savez(packed, **arrays)  # type: ignore[arg-type]
        data = packed.getbuffer()
        with told(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            require_space(self._folder, len(data))
        replace_file(self.path(name), data)
        return len(data), bytes_sha256(data)

    def note(self, name: str, size: int, sha256: str) -> None:
        """Write the row of a tile whose file is there. Only on the machine of the database: SQLite locks do not work over a network share.

        Raises:
            NtkvizError: when it cannot be written.
        """
        with opened(self.home) as connection:
            row = (self.kernel, name, size, sha256)
            connection.execute("INSERT OR REPLACE INTO tile (kernel, name, bytes, sha256) VALUES (?, ?, ?, ?)", row)

    def get(self, name: str) -> dict[str, np.ndarray] | None:
        """A tile, or None when it is not there as it was put there."""
        with opened(self.home) as connection:
            row = connection.execute("SELECT * FROM tile WHERE kernel = ? AND name = ?", (self.kernel, name)).fetchone()
        if row is None:
            return None  # without looking for the file: a network share would remember for a while that there is none
        with suppress(OSError):
            data = self.path(name).read_bytes()
            if (len(data), bytes_sha256(data)) == (row["bytes"], row["sha256"]):
                with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                    return dict(archive)
        return None

    def clear(self) -> None:
        """Drop all tiles: the kernel is stored, or nobody wants it any more."""
        with opened(self.home) as connection:
            connection.execute("DELETE FROM tile WHERE kernel = ?", (self.kernel,))
        shutil.rmtree(self._folder, ignore_errors=True)

    def path(self, name: str) -> Path:
        """Where a tile's file stands."""
        return self._folder / f"{name}.npz"
