"""A report as plain values, and the one HTML file that it becomes.

The file asks no host for anything: pictures are data URIs, plotly.js stands in it once, and its own policy forbids every request and
every script but the two that are named by their hash. Jinja escapes all words, whoever wrote them.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pprint import pformat
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ntkviz.figures.offline import figure_json, plotly_js

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Rows of a table in a report; the page's own download has them all.
MOST_ROWS = 200


@dataclass(frozen=True)
class Chart:
    """A figure with its sentence.

    Attributes:
        name: of the file when it is saved; unique in a report.
        reading: what it says.
        json: data and layout, as :func:`ntkviz.figures.offline.figure_json` writes them.
        height: pixels.
    """

    name: str
    reading: str
    json: str
    height: int

    @classmethod
    def of(cls, fig: "go.Figure", reading: str, name: str) -> "Chart":
        """A chart of a figure."""
        height = fig.to_plotly_json()["layout"].get("height") or 380
        return cls(name, reading, figure_json(fig), int(height))


@dataclass(frozen=True)
class Card:
    """A data point.

    Attributes:
        title: what comes first, such as its effect.
        lines: below it.
        picture: PNG of an image.
        text: of a text, whole.
        rows: name and value of a table row's columns.
    """

    title: str
    lines: tuple[str, ...] = ()
    picture: bytes = b""
    text: str = ""
    rows: tuple[tuple[str, str], ...] = ()

    @property
    def source(self) -> str:
        """The picture as an address that holds it."""
        return "data:image/png;base64," + base64.b64encode(self.picture).decode()


@dataclass(frozen=True)
class Table:
    """Rows under heads; numbers are words already.

    Attributes:
        heads: one a column.
        rows: as many cells each.
        left_out: rows that are not shown.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0

    @classmethod
    def of(cls, heads: Sequence[str], rows: Sequence[Sequence[object]], *, most: int = MOST_ROWS) -> "Table":
        """A table of values; numbers get four significant digits."""
        shown = tuple(tuple(map(_word, row)) for row in rows[:most])
        return cls(tuple(map(str, heads)), shown, max(0, len(rows) - most))


@dataclass(frozen=True)
class Section:
    """A part of a report; what is empty is left out.

    Attributes:
        title: its heading.
        words: paragraphs.
        warning: what to know before anything else.
        facts: name and value.
        cards: data points.
        chart: a figure.
        table: rows.
    """

    title: str = ""
    words: tuple[str, ...] = ()
    warning: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    cards: tuple[Card, ...] = ()
    chart: Chart | None = None
    table: Table | None = None


def render(title: str, lead: str, sections: Sequence[Section]) -> str:
    """A report as one HTML file.

    Args:
        title: of the page and its first heading.
        lead: a sentence below it.
        sections: in their order.
    """
    scripts = (plotly_js(), _draw()) if any(section.chart for section in sections) else ()
    # regl, which draws large scatters, builds functions from text: that is what 'unsafe-eval' is for.
    allowed = [f"'sha256-{_sha256(script)}'" for script in scripts] + ["'unsafe-eval'"] if scripts else ["'none'"]
    policy = (
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
        f"script-src {' '.join(allowed)}"
    )
    return (
        _environment()
        .get_template("report.html")
        .render(
            title=title,
            lead=lead,
            sections=[
                (section, section.chart and Markup(section.chart.json)) for section in sections
            ],  # escaped for script elements
            policy=policy,
            scripts=[Markup(script) for script in scripts],  # our own, and plotly.js: never words of people
        )
    )


def program(values: Mapping[str, object]) -> str:
    """The text of a Python program; values enter as literals (``py``) or as words that were made plain.

    Args:
        values: names of the template ``program.txt``.
    """
    plain = _environment().overlay(autoescape=False)
    plain.filters["py"] = partial(pformat, width=120, compact=True, sort_dicts=False)
    return plain.get_template("program.txt").render(values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("ntkviz.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@lru_cache(maxsize=1)
def _draw() -> str:
    return _environment().get_template("draw.js").render()


@lru_cache(maxsize=4)
def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _word(value: object) -> str:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return str(value)
    number = float(value)  # type: ignore[arg-type]
    if number != number:
        return "–"
    return f"{number:,.0f}" if number.is_integer() and abs(number) < 1e15 else f"{number:.4g}"
