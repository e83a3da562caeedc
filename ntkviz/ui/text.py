"""Text for the page: people's words made harmless, numbers with three significant digits."""

import math
import re
import unicodedata
from datetime import UTC, datetime

# Markdown lets a backslash stand before any ASCII punctuation.
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
# Bare addresses become links even when escaped; a space of no width keeps them words.
_WWW = re.compile(r"(?i)\b(www)\.")


def escape(text: object, *, limit: int = 500) -> str:
    """Words of people, fit for any Streamlit element that reads Markdown (labels, captions, errors).

    Args:
        text: anything; ``str`` of it is used.
        limit: characters kept.

    Returns:
        One line that shows the words and nothing else: no link, picture, formula, colour or line break comes of it.
    """
    words = _CONTROL.sub(" ", unicodedata.normalize("NFC", str(text))).strip()
    words = words if len(words) <= limit else words[: limit - 1] + "…"
    broken = _WWW.sub("\\1\u200b.", words.replace("://", ":\u200b//"))
    return _PUNCTUATION.sub(r"\\\1", broken)


def number(value: float | None, digits: int = 3) -> str:
    """A number with ``digits`` significant digits and commas; a dash when there is none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if float(value).is_integer() or abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def fixed(value: float | None) -> str:
    """A correlation or another number within -1 and 1, with three decimals; a dash when there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}".replace("-", "−")


def percent(share: float | None, digits: int = 1) -> str:
    """A fraction as per cent; a dash when there is none."""
    return "–" if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def megabytes(value: float) -> str:
    """Megabytes, or gigabytes from 1,024 on."""
    if value >= 1024:
        return f"{value / 1024:.1f} GB"
    return f"{value:.0f} MB" if value >= 10 else f"{value:.1f} MB"


def span(seconds: float) -> str:
    """A time span for a person: "8 s", "3 min", "1.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def moment(iso: str) -> datetime | None:
    """A time of the store in the machine's own zone; ``None`` when it cannot be read."""
    try:
        return datetime.fromisoformat(iso).astimezone()
    except ValueError:
        return None


def ago(iso: str) -> str:
    """How long a time of the store is past: "just now", "5 min ago", "3 days ago"."""
    then = moment(iso)
    if then is None:
        return "at an unknown time"
    seconds = (datetime.now(UTC) - then).total_seconds()
    for unit, size in (("day", 86400), ("h", 3600), ("min", 60)):
        count = int(seconds // size)
        if count:
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''} ago"
    return "just now"


def csv_cell(value: object) -> object:
    """A cell for a CSV file: text that a spreadsheet would run as a formula gets an apostrophe before it."""
    return "'" + value if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
