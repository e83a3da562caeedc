"""Draw how the trace NTK's cost grows, and write the table beside it: ``python docs/growth.py [RESULTS] [--check]``.

Reads what ``python benchmarks/growth.py`` measured. Writes ``docs/images/growth.svg`` and the part of ``docs/concepts/engine.md`` between
two markers. The standard library is enough: an SVG is text.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "growth.json"
IMAGE = ROOT / "docs" / "images" / "growth.svg"
PAGE = ROOT / "docs" / "concepts" / "engine.md"
BEGIN, END = (
    "<!-- Written by docs/growth.py from benchmarks/results/growth.json. -->\n",
    "<!-- End of what docs/growth.py writes. -->",
)

#: What grows: letter -> words under the panel.
PANELS = {"N": "N, points", "P": "P, parameters", "C": "C, classes", "T": "T, positions"}
_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 190, 190, 62, 58, 22
#: The palette of Okabe and Ito, a shade lighter on dark paper; lines differ in marker and dash, too.
_STYLE = """
.paper { fill: #ffffff } text { fill: #24292f; font: 12px sans-serif } .small { font-size: 11px }
.frame { fill: none; stroke: #6e7781 } .grid { stroke: #d0d7de } .a { stroke: #0072b2; fill: #0072b2 } .b { stroke: #d55e00; fill: #d55e00 }
polyline { fill: none !important; stroke-width: 2 } polyline.b { stroke-dasharray: 6 3 }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117 } text { fill: #e6edf3 } .frame { stroke: #8b949e } .grid { stroke: #30363d }
.a { stroke: #56b4e9; fill: #56b4e9 } .b { stroke: #e69f00; fill: #e69f00 } }
"""


@dataclass(frozen=True)
class Line:
    """One thing that grows.

    Attributes:
        letter: which of N, P, C, T.
        label: the network that it grows in.
        sizes: of the thing, ascending.
        engine: process seconds of the kernel alone.
        call: process seconds of ``kernel_matrix``, with its checks.
        error: worst distance from float64.
    """

    letter: str
    label: str
    sizes: tuple[int, ...]
    engine: tuple[float, ...]
    call: tuple[float, ...]
    error: float

    @property
    def exponent(self) -> float:
        """Slope of log seconds over log size from the first to the last."""
        return math.log(self.engine[-1] / self.engine[0]) / math.log(self.sizes[-1] / self.sizes[0])


def lines(rows: Sequence[Mapping]) -> list[Line]:
    """Rows of the benchmark, by what grows; sizes that were skipped and things with fewer than two sizes are left out."""
    groups: dict[str, list[Mapping]] = {}
    for row in rows:
        if "skipped" not in row:
            groups.setdefault(row["grows"], []).append(row)
    found = []
    for grows, group in groups.items():
        letter, _, label = grows.partition(" ")
        size = "parameters" if letter == "P" else "value"  # the benchmark widens layers; what grows are parameters
        group = sorted(group, key=lambda row: row[size])
        if len(group) > 1 and letter in PANELS:
            sizes, engine, call = (
                tuple(row[key] for row in group) for key in (size, "engine_cpu_seconds", "kernel_matrix_cpu_seconds")
            )
            found.append(Line(letter, label.strip("()"), sizes, engine, call, max(row["error_to_float64"] for row in group)))
    return found


def table(found: Sequence[Line]) -> str:
    """Markdown, one row a line."""
    head = "| grows | in | sizes | engine, s | whole call, s | exponent | worst error |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    return head + "".join(
        f"| {line.letter} | {line.label} | {', '.join(f'{size:,}' for size in line.sizes)} | {_row(line.engine)} | {_row(line.call)} | "
        f"{line.exponent:.2f} | {line.error:.0e} |\n"
        for line in found
    )


def section(results: Mapping) -> str:
    """What stands between the markers."""
    machine, found = results["machine"], lines(results["rows"])
    where = f"{machine['processor']}, {machine['cores']} cores, one thread, torch {machine['versions']['torch']}"
    return (
        f"![Seconds of the trace NTK against N, P, C and T on logarithmic axes](../images/{IMAGE.name})\n\n{table(found)}\n"
        f"Process seconds, medians, measured on {where}. The exponent is of the engine's seconds: 1 is linear, 2 quadratic. An exponent below "
        "what the formula says means that another term, or what is done once, is still the larger part. Errors are the largest over "
        "pairs, in units of cosine similarity, against float64.\n"
    )


def chart(found: Sequence[Line]) -> str:
    """The SVG: a panel a letter, seconds on one axis for all."""
    seconds = [value for line in found for value in line.engine]
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    span = (low, max(high, low + 1))
    width = _LEFT + len(PANELS) * (_WIDTH + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_TOP + _HEIGHT + 50}" role="img">',
        "<title>Seconds of the trace NTK as N, P, C and T grow</title>",
        f"<style>{_STYLE}</style>",
        '<rect class="paper" width="100%" height="100%"/>',
        f'<text transform="translate(14 {_TOP + _HEIGHT / 2}) rotate(-90)" text-anchor="middle">process seconds</text>',
    ]
    for k, letter in enumerate(PANELS):
        mine = [line for line in found if line.letter == letter]
        parts += _panel(mine, PANELS[letter], _LEFT + k * (_WIDTH + _GAP), span, first=k == 0)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(mine: Sequence[Line], title: str, left: float, seconds: tuple[int, int], *, first: bool) -> Iterator[str]:
    """One panel.

    Yields:
        Elements.
    """
    bottom = _TOP + _HEIGHT
    for decade in range(seconds[0], seconds[1] + 1):
        y = bottom - _HEIGHT * (decade - seconds[0]) / (seconds[1] - seconds[0])
        yield f'<line class="grid" x1="{left}" x2="{left + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        if first:
            yield f'<text class="small" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:g}</text>'
    yield f'<rect class="frame" x="{left}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}"/>'
    yield f'<text x="{left + _WIDTH / 2}" y="{bottom + 38}" text-anchor="middle">{escape(title)}</text>'
    sizes = sorted({size for line in mine for size in line.sizes})
    if not sizes:
        return
    begin, end = math.log10(sizes[0]) - 0.1, math.log10(sizes[-1]) + 0.1

    def across(size: float) -> float:
        return left + _WIDTH * (math.log10(size) - begin) / (end - begin)

    for size in _ticks(sizes[0], sizes[-1]):
        yield f'<line class="frame" x1="{across(size):.1f}" x2="{across(size):.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        yield f'<text class="small" x="{across(size):.1f}" y="{bottom + 18}" text-anchor="middle">{_short(size)}</text>'
    for k, (line, colour) in enumerate(zip(mine, "ab", strict=False)):
        points = [
            (across(size), bottom - _HEIGHT * (math.log10(value) - seconds[0]) / (seconds[1] - seconds[0]))
            for size, value in zip(line.sizes, line.engine, strict=True)
        ]
        yield f'<polyline class="{colour}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
        yield from (_marker(x, y, colour) for x, y in points)
        yield _marker(left + 6, _TOP - 34 + 18 * k, colour)
        yield f'<text class="small" x="{left + 14}" y="{_TOP - 30 + 18 * k}">{escape(line.label)}: exponent {line.exponent:.2f}</text>'


def _marker(x: float, y: float, colour: str) -> str:
    if colour == "a":
        return f'<circle class="a" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    return f'<rect class="b" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers on a logarithmic axis, three or so: decades where there are enough of them."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5)):
        ticks = [d * 10.0**e for e in decades for d in digits if low * 0.9 <= d * 10.0**e <= high * 1.1]
        if len(ticks) > 1:
            return ticks
    return [low, high]


def _short(size: float) -> str:
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if size >= unit:
            return f"{size / unit:g}{letter}"
    return f"{size:g}"


def _row(seconds: Sequence[float]) -> str:
    return ", ".join(f"{value:.2g}" for value in seconds)


def pages(results: Mapping, page: str) -> tuple[str, str]:
    """The image, and the page with its part replaced.

    Raises:
        ValueError: when the page lacks the markers.
    """
    if BEGIN not in page or END not in page:
        raise ValueError(f"{PAGE.name} lacks the two lines between which docs/growth.py writes.")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    return chart(lines(results["rows"])), f"{before}{BEGIN}\n{section(results)}\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Write or compare; the exit code says whether all was there and up to date."""
    given = [Path(a) for a in arguments if not a.startswith("--")]
    path = given[0] if given else RESULTS
    if not path.exists():
        print(f"{path.name} is not there; run `python benchmarks/growth.py` first.")
        return 1
    image, page = pages(json.loads(path.read_text()), PAGE.read_text())
    if "--check" in arguments:
        return int(not IMAGE.exists() or IMAGE.read_text() != image or PAGE.read_text() != page)
    IMAGE.write_text(image)
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
