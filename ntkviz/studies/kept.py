"""Selections that are too long for an address, kept under a hash of what they hold, so that a link restores them.

They lie in the home of whoever made them; the same selection has the same name everywhere. Only so many are kept, the longest unused go first.
"""

import hashlib
import os
import re
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ntkviz.errors import StoreCorrupted
from ntkviz.studies.disk import replace_file, told
from ntkviz.studies.errors import NotFound
from ntkviz.studies.workspace import require_own

FOLDER = "selections"
#: Ids of one selection, selections of one home, and days that an unused one is kept.
MOST_IDS, MOST_KEPT, KEEP_DAYS = 2_000_000, 200, 180
_DIGITS = 16
_NAME = re.compile(rf"[0-9a-f]{{{_DIGITS}}}")


def keep(home: Path, ids: Sequence[int] | np.ndarray) -> str:
    """Keep a selection; its name.

    Args:
        home: the folder of the store.
        ids: whole numbers from 0, in any order.

    Raises:
        ValueError: when there are more than :data:`MOST_IDS`, or one is negative.
        NtkvizError: when the home is somebody else's, shown by a link, or cannot be written.
    """
    values = np.asarray(ids, dtype="<i8")
    if values.ndim != 1 or len(values) > MOST_IDS or (len(values) and values.min() < 0):
        raise ValueError(f"Expected a list of at most {MOST_IDS:,} ids from 0; got shape {values.shape}.")
    name = hashlib.sha256(values.tobytes()).hexdigest()[:_DIGITS]
    path = home / FOLDER / name
    if path.exists():
        with suppress(OSError):
            os.utime(path)
        return name
    require_own(home)
    with told(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, zlib.compress(values.tobytes(), 1))
    tidy_selections(home)
    return name


def find(home: Path, name: str) -> list[int]:
    """The selection of that name.

    Raises:
        NotFound: when there is none (any more).
        StoreCorrupted: when the file does not hold what its name says.
    """
    path = home / FOLDER / name
    if not _NAME.fullmatch(name) or not path.is_file():
        raise NotFound("The selection of this link is not here (any more): it was made elsewhere, or long ago.")
    try:
        # Bounded: a small file that unpacks to very much is none of ours.
        data = zlib.decompressobj().decompress(path.read_bytes(), 8 * MOST_IDS)
    except (OSError, zlib.error) as error:
        raise StoreCorrupted(f"The selection {name} cannot be read ({error}). Make it again.") from error
    if hashlib.sha256(data).hexdigest()[:_DIGITS] != name:
        raise StoreCorrupted(f"The selection {name} was altered. Make it again.")
    with suppress(OSError):
        os.utime(path)
    return np.frombuffer(data, dtype="<i8").tolist()


def tidy_selections(home: Path) -> int:
    """Delete selections beyond :data:`MOST_KEPT` and those unused for :data:`KEEP_DAYS`; how many."""
    used: dict[Path, float] = {}
    for path in (home / FOLDER).glob("[0-9a-f]*"):
        with suppress(OSError):
            used[path] = path.stat().st_mtime
    newest = sorted(used, key=lambda path: used[path], reverse=True)
    gone = [path for rank, path in enumerate(newest) if rank >= MOST_KEPT or time.time() - used[path] > KEEP_DAYS * 86400]
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)
