"""Quoted beside real seconds and memory, for every sample: ``python benchmarks/quote_accuracy.py [NAME ...] [--sizes 300 1000]``.

Each study runs in a process of its own, as a job does, and keeps nothing. Run it on a quiet machine; the last columns are the
real over the quoted seconds (1 is right, the aim is 0.5 to 2) of the whole and of the stages that grow with the sizes.
``ntkviz/studies/cost.py`` has the constants that this script is for.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the script is run by its path, from anywhere

from ntkviz.data.sample import samples  # noqa: E402
from ntkviz.studies import machine  # noqa: E402
from ntkviz.studies.quote import quote  # noqa: E402
from ntkviz.studies.spec import StudySpec  # noqa: E402

_STAGES = ("load", "probe", "logits", "self-check", "kernel", "surrogate", "fidelity", "save")


def main() -> None:
    """Measure and print; the worst ratio last."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", default=samples())
    parser.add_argument("--sizes", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--n-test", type=int, default=200)
    parser.add_argument("--kernel", nargs="+", default=["trntk"])
    parser.add_argument("--surrogate", nargs="+", default=["kglm"])
    options = parser.parse_args()
    print(f"{'study':44} {'GF/s':>5} {'quoted':>7} {'real':>7} {'ratio':>6} {'MB':>6} {'real':>6}  real/quoted seconds a stage")
    ratios = []
    for name in options.names:
        for kernel in options.kernel:
            for surrogate in options.surrogate:
                for size in options.sizes:
                    spec = StudySpec(sample=name, kernel=kernel, surrogate=surrogate, n_train=size, n_test=options.n_test)
                    ratios.append(_measure(spec))
    print(f"real over quoted seconds: {min(ratios):.2f} to {max(ratios):.2f}")


def _measure(spec: StudySpec) -> float:
    machine.forget_gemm_rate()
    with tempfile.TemporaryDirectory() as home:
        quoted = quote([spec], home=Path(home))
        command = [sys.executable, "-m", "ntkviz", "run", "--sample", str(spec.sample), "--kernel", spec.kernel]
        command += ["--surrogate", spec.surrogate, "--n-train", str(spec.n_train), "--n-test", str(spec.n_test)]
        command += ["--home", home, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    real = json.loads(done.stdout)
    seconds = sum(real["seconds"].values())
    stages = "  ".join(f"{stage} {real['seconds'][stage]:.2f}/{quoted.per_stage[stage]:.2f}" for stage in _STAGES)
    label = f"{spec.sample} {spec.kernel} {spec.surrogate} {real['n_train']}"
    print(
        f"{label:44} {machine.gemm_rate() / 1e9:5.0f} {quoted.seconds:7.1f} {seconds:7.1f} {seconds / quoted.seconds:6.2f} "
        f"{quoted.memory_mb:6.0f} {real['peak_mb']:6.0f}  {stages}",
        flush=True,
    )
    return seconds / quoted.seconds


if __name__ == "__main__":
    main()
