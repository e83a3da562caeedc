"""A folder for each person of a team's server: found by a keyed hash of who they are, forgotten when unused for long.

The folder's name says nothing about the person without the key, which lies beside the folders; their name is kept inside.
"""

import hashlib
import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ntkviz.errors import NtkvizError, StoreCorrupted
from ntkviz.studies.disk import remove_folder, replace_file, sweep_temporary, told
from ntkviz.studies.job import read_jobs
from ntkviz.studies.workspace import PEOPLE, homes_below

_KEY, _ABOUT = "people.key", "person.json"
_KEY_BYTES = 32
#: A use is written down once in so long.
_TOUCH_SECONDS = 600.0
_LONGEST = 320  # of an e-mail address


@dataclass(frozen=True)
class Person:
    """Somebody who signed in.

    Attributes:
        identity: what tells them from everybody else and stays the same, exactly as the server was told it.
        name: to show them.
    """

    identity: str
    name: str


def workspace(root: Path, person: Person) -> Path:
    """The person's folder, made when they come for the first time; notes that it is used.

    Args:
        root: the folder of the server.
        person: who.

    Raises:
        NtkvizError: when the identity is none, or the folder cannot be written.
    """
    if not person.identity or len(person.identity) > _LONGEST or not person.identity.isprintable():
        raise NtkvizError("The sign-in gave no usable identity; expected a short printable text. Ask whoever runs this server.")
    digest = hashlib.blake2b(person.identity.encode(), key=_key(root), digest_size=16).hexdigest()
    home = root / PEOPLE / digest
    about = home / _ABOUT
    with told(home):
        home.mkdir(parents=True, exist_ok=True)
        try:
            if time.time() - about.stat().st_mtime > _TOUCH_SECONDS:
                os.utime(about)
        except FileNotFoundError:
            replace_file(about, json.dumps({"name": person.name[:_LONGEST]}).encode())
    return home


def name_of(home: Path) -> str:
    """What the person of a folder is called; "somebody" when that is not known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((home / _ABOUT).read_text(encoding="utf-8"))["name"])
    return "somebody"


def unused_days(home: Path) -> float:
    """For how long nobody came to a folder."""
    with suppress(OSError):
        return (time.time() - (home / _ABOUT).stat().st_mtime) / 86400
    return 0.0


def expire(root: Path, days: float | None) -> int:
    """Delete the folders of people who did not come for so long, unless a job of theirs is under way.

    Args:
        root: the folder of the server.
        days: None keeps them for ever.

    Returns:
        how many were deleted.
    """
    sweep_temporary(root / PEOPLE)
    gone = 0
    for home in homes_below(root)[1:] if days is not None else ():
        if unused_days(home) > (days or 0) and not read_jobs(home, ended=False):
            remove_folder(home)
            gone += 1
    return gone


def _key(root: Path) -> bytes:
    """The server's secret, made once; without it nobody finds their folder again.

    Raises:
        StoreCorrupted: when the file is not whole.
    """
    path = root / _KEY
    if not path.exists():
        with told(root):
            root.mkdir(parents=True, exist_ok=True)
            fresh = root / f".{_KEY}-{secrets.token_hex(8)}"
            try:
                with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(secrets.token_bytes(_KEY_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
                with suppress(FileExistsError):  # another process made one a moment ago, and that one counts
                    os.link(fresh, path)
            finally:
                fresh.unlink(missing_ok=True)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise StoreCorrupted(
            f"{path} has {len(key)} bytes; expected {_KEY_BYTES}. Restore it from a backup: it says whose folder is whose."
        )
    return key
