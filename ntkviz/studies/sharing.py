"""Showing a study to others by a link: a small home of its own that holds this study alone and is only read.

Whoever opens the link is served from that home instead of their own, so nothing else of the owner's is within reach. Its files are the
owner's very files under a second name (hard links: artefacts are never changed), so it takes no room. It is gone when the owner takes
the link back, deletes the study, or their folder expires.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ntkviz.errors import NtkvizError
from ntkviz.studies import artefact, catalogue
from ntkviz.studies.disk import move, remove_folder, replace_file, sweep_temporary, temporary_in, told
from ntkviz.studies.errors import NotFound
from ntkviz.studies.hashing import canonical_json
from ntkviz.studies.retraining import truth_folder
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.subjects import find_subject
from ntkviz.studies.workspace import PEOPLE, SHARES, require_own, root_of

_ABOUT = "share.json"
_TOKEN = re.compile(r"[0-9a-f]{32}")
_NO_LINK = (
    "There is no such link (any more): whoever gave it may have taken it back, or deleted the study. Ask them for another one."
)


@dataclass(frozen=True)
class Share:
    """A study that is shown by a link.

    Attributes:
        token: 128 random bits; who knows it and is signed in may look.
        study: its key.
        home: the folder that it is read from.
        owner: the owner's folder.
        created: ISO 8601, UTC.
    """

    token: str
    study: str
    home: Path
    owner: Path
    created: str


def share(home: Path, key: str) -> Share:
    """Show a study to whoever gets the link; a second call gives the same link.

    Args:
        home: the owner's folder.
        key: of the study.

    Raises:
        NotFound: when there is no such study.
        StoreCorrupted: when a file of it is damaged.
        NtkvizError: when it cannot be written.
    """
    require_own(home)
    same = next((one for one in shares_of(home) if one.study == key), None)
    if same is not None:
        return same
    study = Store(home).load_study(key)
    parent, token = root_of(home) / SHARES, secrets.token_hex(16)
    with told(parent):
        parent.mkdir(parents=True, exist_ok=True)
        sweep_temporary(parent)
        temporary = temporary_in(parent)
        try:
            temporary.mkdir()
            for folder in _folders(home, study.key, study.kernel_key, study.spec):
                shutil.copytree(folder, temporary / folder.relative_to(home), copy_function=_link)
            for part, name in (("kernels", study.kernel_key), ("studies", key)):
                catalogue.note(temporary / part / name, artefact.read_manifest(temporary / part / name))
            about = {"study": key, "owner": home.name, "created": datetime.now(UTC).isoformat(timespec="milliseconds")}
            replace_file(temporary / _ABOUT, canonical_json(about).encode())
            move(temporary, parent / token)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return open_share(root_of(home), token)


def open_share(root: Path, token: str) -> Share:
    """What a link leads to.

    Args:
        root: the folder of the server.
        token: from the link.

    Raises:
        NotFound: when it leads nowhere.
    """
    home = root / SHARES / token
    if not _TOKEN.fullmatch(token) or not home.is_dir():
        raise NotFound(_NO_LINK)
    try:
        about = json.loads((home / _ABOUT).read_text(encoding="utf-8"))
        owner = root / PEOPLE / about["owner"]
        found = Share(token, about["study"], home, owner, about["created"])
        if Store(owner).has_study(found.study):
            return found
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotFound(_NO_LINK) from error
    raise NotFound(_NO_LINK)


def shares_of(home: Path) -> list[Share]:
    """The studies that a person shows, newest first."""
    found = []
    for folder in (root_of(home) / SHARES).glob("*/"):
        with suppress(NotFound):
            one = open_share(root_of(home), folder.name)
            if one.owner == home:
                found.append(one)
    return sorted(found, key=lambda one: one.created, reverse=True)


def revoke(home: Path, token: str) -> None:
    """Take a link back: from now on it leads nowhere.

    Args:
        home: the owner's folder.
        token: of the link.

    Raises:
        NotFound: when it is none of this person's.
    """
    if open_share(root_of(home), token).owner != home:
        raise NotFound(_NO_LINK)
    remove_folder(root_of(home) / SHARES / token)


def sweep_shares(root: Path) -> int:
    """Delete what links that lead nowhere have left; how many."""
    sweep_temporary(root / SHARES)
    gone = 0
    for folder in (root / SHARES).glob("[0-9a-f]*/"):
        try:
            open_share(root, folder.name)
        except NotFound:
            remove_folder(folder)
            gone += 1
    return gone


def _folders(home: Path, study: str, kernel: str, study_of: StudySpec) -> Iterator[Path]:
    """What the pages read to show a study: with the data of an upload, and what was retrained.

    Yields:
        Folders that are there.
    """
    named = [home / "kernels" / kernel, home / "studies" / study, home / "verified" / study, home / "removed" / study]
    if study_of.upload:
        named.append(home / "uploads" / study_of.upload)
    with suppress(NtkvizError):  # the upload is gone; its studies can be shown all the same
        named.append(truth_folder(home, find_subject(study_of.subject_id, home=home)))
    yield from (folder for folder in named if folder.is_dir())


def _link(source: str, target: str) -> None:
    """The same file under a second name; a copy where the disk has no such links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
