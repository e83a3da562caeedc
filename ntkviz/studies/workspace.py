"""The homes below one root: that of a laptop's only person, and on a team's server one for each person, kept apart by folder."""

from pathlib import Path

from ntkviz.errors import NtkvizError

PEOPLE = "people"
#: Studies that somebody showed to others by a link, each in a small home of its own; see :mod:`ntkviz.studies.sharing`.
SHARES = "shares"


def root_of(home: Path) -> Path:
    """The folder whose supervisor serves this home."""
    return home.parent.parent if home.parent.name in {PEOPLE, SHARES} else home


def homes_below(root: Path) -> list[Path]:
    """The root itself and the homes of people, in a steady order."""
    people = root / PEOPLE
    return [root, *sorted(folder for folder in people.iterdir() if _is_home(folder))] if people.is_dir() else [root]


def require_own(home: Path) -> None:
    """Check that a home may be changed.

    Raises:
        NtkvizError: when it is a study that somebody else showed by a link.
    """
    if home.parent.name == SHARES:
        raise NtkvizError(
            "This study is somebody else's, shown to you by a link: it can be read and not changed. Leave it to work on your own studies."
        )


def _is_home(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".")
