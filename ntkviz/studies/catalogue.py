"""What the database knows of the stored artefacts: the hash of every file, when each was last used, which are pinned.

The folders hold the artefacts; these rows guard them. A folder that went missing as a whole, or was replaced by another whole one, is noticed here.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ntkviz.studies.database import database_path, opened, transaction

#: Seconds for which a use is not written down again.
_TOUCH_SECONDS = 60.0
_touched: dict[Path, float] = {}


@dataclass(frozen=True)
class Known:
    """A stored artefact.

    Attributes:
        part: folder of the home, such as "kernels".
        key: its folder's name.
        n_bytes: of its files.
        used: when it was last opened, or made: seconds since 1970.
        pinned: whether it stays whatever the quota says.
    """

    part: str
    key: str
    n_bytes: int
    used: float
    pinned: bool


def note(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write down a stored artefact.

    Args:
        folder: ``<home>/<part>/<key>``.
        manifest: its manifest.
    """
    part, key = folder.parent.name, folder.name
    with opened(folder.parents[1]) as connection, transaction(connection):
        pinned = connection.execute("SELECT pinned FROM artefact WHERE part = ? AND key = ?", (part, key)).fetchone()
        connection.execute("DELETE FROM artefact WHERE part = ? AND key = ?", (part, key))
        row = (part, key, manifest["bytes"], time.time(), time.time(), pinned["pinned"] if pinned else 0)
        connection.execute("INSERT INTO artefact (part, key, bytes, created, used, pinned) VALUES (?, ?, ?, ?, ?, ?)", row)
        files = [(part, key, name, entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()]
        connection.executemany("INSERT INTO file (part, key, name, bytes, sha256) VALUES (?, ?, ?, ?, ?)", files)


def forget(folder: Path) -> None:
    """Drop what is known of an artefact that was deleted."""
    home = folder.parents[1]
    if database_path(home).is_file():
        with opened(home) as connection:
            connection.execute("DELETE FROM artefact WHERE part = ? AND key = ?", (folder.parent.name, folder.name))


def hashes(folder: Path) -> dict[str, str]:
    """File name -> sha256, as they were when the artefact was stored; empty when nothing is known of it."""
    home = folder.parents[1]
    if not database_path(home).is_file():
        return {}
    with opened(home) as connection:
        rows = connection.execute("SELECT name, sha256 FROM file WHERE part = ? AND key = ?", (folder.parent.name, folder.name))
        return {row["name"]: row["sha256"] for row in rows}


def known(home: Path) -> list[Known]:
    """All artefacts, the longest unused first."""
    if not database_path(home).is_file():
        return []
    with opened(home) as connection:
        rows = connection.execute("SELECT * FROM artefact ORDER BY used, part, key").fetchall()
    return [Known(row["part"], row["key"], row["bytes"], row["used"], bool(row["pinned"])) for row in rows]


def touch(folder: Path) -> None:
    """Say that an artefact was used."""
    if time.monotonic() - _touched.get(folder, -_TOUCH_SECONDS) < _TOUCH_SECONDS:
        return
    _touched[folder] = time.monotonic()
    with opened(folder.parents[1], durable=False) as connection:
        row = (time.time(), folder.parent.name, folder.name)
        connection.execute("UPDATE artefact SET used = ? WHERE part = ? AND key = ?", row)


def pin(folder: Path, pinned: bool) -> None:
    """Keep an artefact whatever the quota says, or not any more."""
    with opened(folder.parents[1]) as connection:
        row = (int(pinned), folder.parent.name, folder.name)
        connection.execute("UPDATE artefact SET pinned = ? WHERE part = ? AND key = ?", row)
