"""What becomes of hostile uploads in the sandbox of each mode: ``python benchmarks/hostile.py [family ...]``.

The corpus of ``tests/hostile``, a child for each family and mode as uploads have them: with the mode's limits on memory and time and every layer
that this machine has. Handled means a sentence of the kind that is expected, or a harmless reading. Then the start of a
child that has nothing to do, with and without the layers beside the limits.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import keep
from ntkviz.models import sandbox
from ntkviz.models.limits import limits_of
from ntkviz.models.sandbox import run_limited
from ntkviz.models.sandbox_layers import LIMITS, active_layers
from tests.hostile.case import MODES
from tests.hostile.corpus import families, write_family

_STARTS = {"a bare child": 15, "a child with torch": 5}


def family_in(mode: str, family: str, folder: Path) -> dict:
    """One family in one mode."""
    limits = limits_of(mode)
    result = run_limited(
        ["tests.hostile.corpus", mode, family],
        seconds=limits.seconds,
        memory_mb=limits.memory_mb,
        file_mb=4096,
        folder=folder,
        what=f"The family {family}",
    )
    slowest = max(result.value, key=lambda row: row["seconds"])
    return {
        "family": family,
        "mode": mode,
        "kinds": len(result.value),
        "handled": sum(not row["fault"] for row in result.value),
        "canaries": sum(row["canary"] for row in result.value) + len(list(folder.glob("canary-*"))),
        "slowest_s": slowest["seconds"],
        "slowest": slowest["file"],
        "seconds": result.seconds,
        "peak_mb": result.peak_mb,
        "limit_mb": limits.memory_mb,
        "layers": result.layers,
        "faults": [f"{row['file']}: {row['fault']}" for row in result.value if row["fault"]],
    }


def starts() -> dict:
    """Median seconds from asking for a child that has nothing to do to its answer, by the layers around it; they take turns."""
    layers = {"limits alone": (LIMITS,), "all layers": active_layers()}
    children = {"a bare child": ["tests.models.children", "echo"], "a child with torch": ["tests.hostile.corpus", "team"]}
    found: dict[str, float] = {}
    for child, arguments in children.items():
        taken: dict[str, list[float]] = {name: [] for name in layers}
        for _ in range(_STARTS[child]):
            for name, chosen in layers.items():
                with mock.patch.object(sandbox, "active_layers", lambda chosen=chosen: chosen):
                    began = time.perf_counter()
                    run_limited(arguments, seconds=60, memory_mb=2500)
                    taken[name].append(time.perf_counter() - began)
        found |= {f"start of {child}, {name}, s": round(statistics.median(values), 3) for name, values in taken.items()}
    return found


def main() -> None:
    """Run, print, keep."""
    names = sys.argv[1:] or list(families())
    rows = []
    for family in names:
        with tempfile.TemporaryDirectory(prefix="ntkviz-") as folder:
            write_family(family, Path(folder) / "given")
            for mode in MODES:
                row = family_in(mode, family, Path(folder))
                rows.append(row)
                print(
                    f"{family:10s} {mode:9s} {row['handled']:3d} of {row['kinds']:3d} handled, {row['canaries']} canaries, slowest "
                    f"{row['slowest_s']:5.2f} s ({row['slowest'][:40]}), peak {row['peak_mb']:,.0f} of {row['limit_mb']:,} MB",
                    *row["faults"],
                    sep="\n  " if row["faults"] else "",
                    flush=True,
                )
    total = {
        "kinds": sum(row["kinds"] for row in rows) // len(MODES),
        "kinds x modes": sum(row["kinds"] for row in rows),
        "handled": sum(row["handled"] for row in rows),
        "canaries touched": sum(row["canaries"] for row in rows),
        "slowest_s": max(row["slowest_s"] for row in rows),
        "peak_mb": max(row["peak_mb"] for row in rows),
        "layers": active_layers(),
    } | starts()
    print(*(f"{key}: {value}" for key, value in total.items()), sep="\n")
    if names == list(families()):
        print(keep("hostile", [total, *rows]))


if __name__ == "__main__":
    main()
