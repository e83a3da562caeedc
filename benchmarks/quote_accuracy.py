"""Quoted beside real seconds and memory: ``python benchmarks/quote_accuracy.py [NAME ...] [--sizes 500 1000] [--threads 1]``.

Each study is quoted by a store that knows nothing yet and then run, twice, in processes of their own, as jobs are. Judged is the
quicker run: what else the machine does makes runs slower and never quicker. A stage counts when it takes at least a second, quoted
or real: below that half a second more or less changes nothing for who waits, and the ratio of two small numbers says nothing. The aim
is a factor of 1.5 either way, for the whole, for the kernel, and for memory. With one thread the seconds are the processor's, into which
other people's load enters less; with more they are the clock's, and mean something on a quiet machine only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the script is run by its path, from anywhere

from benchmarks.machine import keep  # noqa: E402
from ntkviz.data.sample import samples  # noqa: E402
from ntkviz.studies import costs  # noqa: E402
from ntkviz.studies.quote import quote  # noqa: E402
from ntkviz.studies.spec import StudySpec  # noqa: E402

_AIM, _LEAST_SECONDS, _RUNS = 1.5, 1.0, 2
#: Runs a study, and tells with the seconds on the clock those of the processor.
_RUN = """
import json, sys, time
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.spec import StudySpec
began = {}; cpu = {}
def report(stage, fraction):
    began.setdefault(stage, time.process_time())
    cpu[stage] = time.process_time() - began[stage]
study = run_study(StudySpec.from_json(sys.argv[1]), on_progress=report)
print(json.dumps({"seconds": study.seconds, "cpu": cpu, "mb": study.peak_mb}))
"""


def main() -> None:
    """Measure, print and keep; what misses the aim last."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", default=samples())
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 1000])
    parser.add_argument("--n-test", type=int, default=200)
    parser.add_argument("--kernel", nargs="+", default=["trntk", "pntk", "hybrid_trntk"])
    parser.add_argument("--surrogate", default="kglm")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    print(f"{'study':38} {'GF/s':>5}  {'total':^19}  {'kernel':^19}  {'MB':^17}  others: quoted/clock (processor)")
    with tempfile.TemporaryDirectory() as home:
        rows = []
        for name, kernel, n in product(options.names, options.kernel, options.sizes):
            try:
                rows.append(_measure(name, kernel, n, options.n_test, options.surrogate, Path(home)))
            except subprocess.CalledProcessError as error:
                print(f"{name} {kernel} {n}: {error.stderr.splitlines()[-1]}")
    missed = [f"{row['study']} {part} {ratio:.2f}" for row in rows for part, ratio in row["ratios"].items() if _misses(row, part)]
    print(f"{len(rows)} studies; outside a factor of {_AIM}: {'; '.join(missed) or 'none'}")
    print(keep("quote_accuracy", [{**row, "threads": options.threads} for row in rows]))


def _measure(name: str, kernel: str, n: int, m: int, surrogate: str, home: Path) -> dict:
    """Quote and run one study; print a line."""
    spec = StudySpec(sample=name, kernel=kernel, surrogate=surrogate, n_train=n, n_test=m)
    found = quote([spec], home=home)
    runs = [_run(spec) for _ in range(_RUNS)]
    real = {stage: min(run["seconds"].get(stage, 0.0) for run in runs) for stage in found.per_stage}
    cpu = {stage: min(run["cpu"].get(stage, 0.0) for run in runs) for stage in found.per_stage}
    quoted = {**found.per_stage, "save": 0.0}  # nothing is kept here
    judged = cpu if os.environ["OMP_NUM_THREADS"] == "1" else real
    figures = {
        "total": (sum(quoted.values()), sum(judged.values())),
        "kernel": (quoted["kernel"], judged["kernel"]),
        "memory": (found.memory_mb, max(run["mb"] for run in runs)),
    }
    ratios = {part: there / before for part, (before, there) in figures.items()}
    rate = next(iter(costs._known.values()))["rates"]["dot"][-1]
    cells = "  ".join(f"{before:6.4g} {there:6.4g} {there / before:5.2f}" for before, there in figures.values())
    others = " ".join(f"{s} {quoted[s]:.2f}/{real[s]:.2f} ({cpu[s]:.2f})" for s in quoted if s not in {"kernel", "save"})
    label = f"{name} {kernel} {n}"
    print(f"{label:38} {2e-9 * rate[0] / rate[1]:5.0f}  {cells}  {others}", flush=True)
    return {"study": label, "n_test": m, "quoted": quoted, "real": real, "cpu": cpu, "figures": figures, "ratios": ratios}


def _run(spec: StudySpec) -> dict:
    """A study in a process of its own, which keeps nothing."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, spec.to_json()], capture_output=True, text=True, check=True, env=environment, cwd=ROOT
    )
    return json.loads(done.stdout.splitlines()[-1])


def _misses(row: dict, part: str) -> bool:
    """Whether a figure is outside the aim and large enough to matter."""
    large = part == "memory" or max(row["figures"][part]) >= _LEAST_SECONDS
    return large and not 1 / _AIM <= row["ratios"][part] <= _AIM


if __name__ == "__main__":
    main()
