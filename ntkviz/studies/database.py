"""The SQLite file of a home: its jobs, the tiles of unfinished kernels, and the hash of every stored file.

Written ahead (WAL) and synced at every commit, so that a process that is killed, or a power failure, leaves the last committed state. SQLite's
locks need a disk of this machine; a home does not belong on a network share.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntkviz.errors import BudgetExceeded, NtkvizError, StoreCorrupted

NAME = "ntkviz.sqlite"
#: Seconds that a writer waits for another one.
_BUSY_SECONDS = 10.0
_VERSION = 1
_SCHEMA = (
    """CREATE TABLE job (
        id TEXT PRIMARY KEY, state TEXT NOT NULL, entries TEXT NOT NULL, cancel INTEGER NOT NULL DEFAULT 0, lease REAL NOT NULL DEFAULT 0
    ) WITHOUT ROWID""",
    "CREATE INDEX job_state ON job (state)",
    """CREATE TABLE artefact (
        part TEXT NOT NULL, key TEXT NOT NULL, bytes INTEGER NOT NULL, created REAL NOT NULL, used REAL NOT NULL,
        pinned INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (part, key)
    ) WITHOUT ROWID""",
    """CREATE TABLE file (
        part TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
        PRIMARY KEY (part, key, name), FOREIGN KEY (part, key) REFERENCES artefact (part, key) ON DELETE CASCADE
    ) WITHOUT ROWID""",
    """CREATE TABLE tile (
        kernel TEXT NOT NULL, name TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (kernel, name)
    ) WITHOUT ROWID""",
)


def database_path(home: Path) -> Path:
    """The file."""
    return home / NAME


@contextmanager
def opened(home: Path, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
    """A connection, in autocommit; the file and its folder are made when missing.

    Args:
        home: the folder.
        durable: wait for the disk at every commit; not worth it for a progress report.

    Yields:
        The connection, whose rows go by name.

    Raises:
        StoreCorrupted: when the file is no database, damaged, or of a later version.
        BudgetExceeded: when the disk is full.
        NtkvizError: when it cannot be opened, read or written, or somebody holds it for too long.
    """
    path = database_path(home)
    with _told(path):
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NtkvizError(
                f"The folder {home} cannot be made ({error}). Set NTKVIZ_HOME to a folder that you may write."
            ) from error
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                _prepare(connection, path)
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            connection.execute("PRAGMA foreign_keys=ON")
            yield connection
        finally:
            connection.close()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, with nobody writing in between.

    Yields:
        Nothing.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # SQLite has ended it itself after some failures
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def damage_of(home: Path) -> str:
    """What SQLite's own check finds wrong with the file; empty when it is in order or not there."""
    if not database_path(home).is_file():
        return ""
    try:
        with opened(home) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
    except NtkvizError as error:
        return str(error)
    return "" if found == ["ok"] else "; ".join(found)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file.

    Raises:
        StoreCorrupted: when a later version of ntkviz made them.
    """
    connection.execute("PRAGMA journal_mode=WAL")
    with transaction(connection):
        found = connection.execute("PRAGMA user_version").fetchone()[0]  # another process may have been first
        if found > _VERSION:
            raise StoreCorrupted(
                f"{path} was made by a later version of ntkviz (its format is {found}, this one reads {_VERSION}). Update ntkviz."
            )
        if found < _VERSION:
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={_VERSION}")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """SQLite's errors in words.

    Yields:
        Nothing.

    Raises:
        NtkvizError: in place of any of them.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "")
        if code.startswith("SQLITE_FULL"):
            told: NtkvizError = BudgetExceeded(f"The disk of {path} is full. Nothing was lost; free some space and try again.")
        elif code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            told = StoreCorrupted(
                f"{path} is damaged ({error}). Move it away: studies and kernels are found again by `python -m ntkviz verify`, jobs are lost."
            )
        elif code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            told = NtkvizError(f"Another process has held {path} for more than {_BUSY_SECONDS:.0f} s. Try again in a moment.")
        else:
            told = NtkvizError(f"{path} cannot be used ({error}). Look with `python -m ntkviz doctor`.")
        raise told from error
