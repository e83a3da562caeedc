"""Mutated uploads, for hours: ``python benchmarks/fuzz.py [--seconds 600] [--executions N] [--readers NAME ...] [--workers 2] [--seed 0]``.

Sound small files of every kind are changed at random (bits, bytes, numbers, pieces cut out, doubled or exchanged, also inside of what a zip holds) and given to the readers that uploads go
through. A reader has two answers: what it read, or a refusal of ntkviz. Anything else is a finding: another error, a crash of the process, a file that takes more than ten
seconds. A finding names the reader, the seed and number of the file, its digest, its content (base64 of zlib) and where in the code it happened; ``--again READER SEED FILE``
makes and reads one file again. Exits with 1 when there is a finding. A nightly run does it for ten minutes; the test suite for seconds.
"""

import argparse
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.fuzz_children import MEMORY, SLOW, Job, Table, watched
from benchmarks.fuzz_files import readers
from benchmarks.machine import keep

_ROUND = 500
#: Findings of a reader of which the content is kept; digests and seeds are kept of all.
_CONTENTS = 20
_COUNTS = {"executions": 0, "crashes": 0, "hangs": 0, "errors": 0}


def fuzz(
    names: list[str],
    *,
    seconds: float,
    seed: int,
    workers: int = 2,
    executions: float = float("inf"),
    limit: float = SLOW,
    table: Table = readers,
) -> list[dict[str, Any]]:
    """All readers in turn, for some time.

    Args:
        names: of the readers.
        seconds: after which no round begins.
        seed: of the run.
        workers: processes that read.
        executions: of all readers together, after which no round begins.
        limit: seconds for one file.
        table: the readers.

    Returns:
        A row for the run, and one a reader.
    """
    began = time.monotonic()
    run: dict[str, Any] = {**_COUNTS, "seconds": 0.0, "seed": seed, "workers": workers}
    run |= {"seconds_for_a_file": limit, "address_space_mib": MEMORY // 2**20, "peak_memory_mib": 0.0}
    rows = {name: _row(name) for name in names}

    def rounds() -> Iterator[Job]:
        for start in itertools.count(seed * 1_000_000):
            for name in names:
                if time.monotonic() - began > seconds or run["executions"] >= executions:
                    return
                yield Job(name, start, range(_ROUND))

    for job, found in watched(rounds(), table=table, workers=workers, limit=limit):
        row = rows[job.reader]
        for finding in found.findings:
            if len(row["findings"]) >= _CONTENTS:
                finding.pop("input", None)
            row["findings"].append(finding)
            kind = {"crash": "crashes", "error": "errors"}.get(finding["kind"], "hangs")
            run[kind], row[kind] = run[kind] + 1, row[kind] + 1
        row["outcomes"].update(found.outcomes)
        row["executions"], run["executions"] = (target["executions"] + found.outcomes.total() for target in (row, run))
        row["slowest_s"] = max(row["slowest_s"], round(found.slowest, 2))
        run["peak_memory_mib"] = max(run["peak_memory_mib"], found.memory_mib)
    run["seconds"] = round(time.monotonic() - began, 1)
    return [run, *rows.values()]


def _row(name: str) -> dict[str, Any]:
    return {"reader": name, **_COUNTS, "outcomes": Counter(), "findings": [], "slowest_s": 0.0}


def main() -> int:
    """Fuzz, print, keep.

    Returns:
        1 when anything was found.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--executions", type=float, default=float("inf"), help="stop sooner, after so many")
    parser.add_argument("--readers", nargs="+", choices=list(readers()), default=list(readers()))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", nargs=3, metavar=("READER", "SEED", "FILE"), help="read one file again, and keep nothing")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the children
    if arguments.again:
        name, seed, file = arguments.again
        found = next(found for _, found in watched(iter([Job(name, int(seed), [int(file)])]), table=readers, workers=1) if found)
        print(dict(found.outcomes), found.findings)
        return bool(found.findings)
    rows = fuzz(
        arguments.readers,
        seconds=arguments.seconds,
        seed=arguments.seed,
        workers=arguments.workers,
        executions=arguments.executions,
    )
    for row in rows:
        print({**row, "findings": row.get("findings", [])[:5]})
    keep("fuzz", rows)
    return any(rows[0][kind] for kind in ("crashes", "hangs", "errors"))


if __name__ == "__main__":
    raise SystemExit(main())
