"""What the command line writes: tables, JSON, and a line that says how far the studies are."""

import json
import time
from collections.abc import Sequence
from typing import TextIO

from ntkviz.studies.pace import Pace


class ProgressLine:
    """Says on a stream how far the studies are: one line that changes on a terminal, a line a stage elsewhere."""

    def __init__(self, stream: TextIO, names: list[str], expected: Sequence[dict[str, float]]) -> None:
        self._stream, self._names, self._pace = stream, names, Pace(expected)
        self._shown, self._stage, self.position = 0.0, "", 0

    def __call__(self, stage: str, fraction: float) -> None:
        """Show the fraction of a stage of the study at ``position``."""
        self._pace.tell(self.position, stage, fraction)
        now, same = time.monotonic(), stage == self._stage
        if same and now - self._shown < (0.1 if self._stream.isatty() else 5.0):
            return
        self._shown, self._stage = now, stage
        left = self._pace.seconds_left
        text = f"{self._pace.fraction:4.0%}  {self._names[self.position]}: {stage}, {_span(left)}"
        if self._stream.isatty():
            print(f"\r\033[K{text}", end="", file=self._stream, flush=True)
        else:
            print(text, file=self._stream, flush=True)

    def done(self) -> None:
        """Leave the terminal with a clean line."""
        if self._stream.isatty():
            print("\r\033[K", end="", file=self._stream, flush=True)


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "time left not yet known"
    return f"{seconds:.0f} s left" if seconds < 100 else f"{seconds / 60:.0f} min left"


def print_json(value: object) -> None:
    """Strict JSON on stdout."""
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def print_studies(summaries: list[dict]) -> None:
    """Studies as a table, with their notes below."""
    rows = [
        {**summary, **summary["fidelity"], "s": sum(summary["seconds"].values()), "key": summary["study"][:12]}
        for summary in summaries
    ]
    columns = (
        "key",
        "subject",
        "kernel",
        "surrogate",
        "n_train",
        "n_test",
        "kendall_tau",
        "tad",
        "agreement",
        "r_squared",
        "s",
        "peak_mb",
    )
    print_table(rows, columns)
    for note in dict.fromkeys(note for summary in summaries for note in summary["notes"]):
        print(f"note: {note}")


def print_table(rows: list[dict], columns: Sequence[str]) -> None:
    """Some columns of some rows, aligned."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
    for line in [list(columns), *cells]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"
    return "-" if value is None else str(value)
