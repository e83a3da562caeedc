"""Fidelity, time and memory of every sample: ``python benchmarks/studies.py [--n-train N] [--n-test M]``.

Two tables: the trace NTK with every surrogate, and every kernel, raw and cosine, with two surrogates. Studies are made by the
command that a person would use; the trace NTK in a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import keep

ROOT = Path(__file__).parents[1]
SURROGATES = ["kglm", "kglm_sgd", "klr", "ridge", "ridge_logits"]
OTHERS = ["pntk", "proj_trntk", "proj_pntk", "em", "ck", "inputs"]


def run(sample: str, kernels: list[str], surrogates: list[str], sizes: argparse.Namespace, home: str, *, raw: bool) -> list[dict]:
    """Studies by the command line, as its JSON."""
    command = [sys.executable, "-m", "ntkviz", "run", "--sample", sample, "--n-test", str(sizes.n_test), "--home", home, "--json"]
    command += ["--n-train", str(sizes.n_train or "all")]
    command += [part for kernel in kernels for part in ("--kernel", kernel)]
    command += [part for surrogate in surrogates for part in ("--surrogate", surrogate)]
    done = subprocess.run([*command, "--raw"] if raw else command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return found if isinstance(found, list) else [found]


def row(study: dict, sample: str, *, raw: bool) -> dict:
    """What the tables show of one study."""
    figures, seconds = study["fidelity"], study["seconds"]
    return {
        "sample": sample,
        "kernel": study["kernel"],
        "raw": raw,
        "surrogate": study["surrogate"],
        "n_train": study["n_train"],
        "n_test": study["n_test"],
        **{key: figures[key] for key in ("tad", "kendall_tau", "agreement", "r_miss", "r_squared")},
        "tau_interval": figures["intervals"]["kendall_tau"],
        "kernel_seconds": seconds.get("kernel"),
        "surrogate_seconds": seconds.get("surrogate"),
        "peak_mb": study["peak_mb"],
        "self_check": study["self_check"].get("max_relative_error"),
    }


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-train", type=int, default=1000, help="0 for all")
    parser.add_argument("--n-test", type=int, default=500)
    parser.add_argument("--samples", nargs="*")
    sizes = parser.parse_args()
    listed = subprocess.run(
        [sys.executable, "-m", "ntkviz", "samples", "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = sizes.samples or [entry["name"] if isinstance(entry, dict) else entry for entry in json.loads(listed.stdout)]
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as home:
        for sample in names:
            for kernels, surrogates in ((["trntk"], SURROGATES), (OTHERS, ["klr", "ridge_logits"])):
                for raw in (False, True):
                    for study in run(sample, kernels, surrogates, sizes, home, raw=raw):
                        rows.append(row(study, sample, raw=raw))
                        print(" ".join(f"{key}={_short(value)}" for key, value in rows[-1].items()), flush=True)
    print(f"kept in {keep('studies', rows)}")


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "[" + ", ".join(_short(v) for v in value) + "]" if isinstance(value, list) else str(value)


if __name__ == "__main__":
    main()
