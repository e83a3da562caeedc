"""What penalty and distillation trade: ``python benchmarks/penalty.py [SAMPLE ...] [--quick]``.

Kernel logistic regression on the raw trace NTK is fitted to the labels with penalties around the one that the likelihood of test points chooses,
and with that penalty to the labels and the network's calibrated answers together, in several shares.
Imitation is Kendall's tau-b of the log-odds with the network's, truth the LDS of the removal effects against the bundled retrainings.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import RESULTS, keep
from ntkviz import StudySpec, run_study
from ntkviz.studies.faithfulness import Candidate, faithfulness
from ntkviz.studies.fitting import fit_points
from ntkviz.studies.study import Study
from ntkviz.surrogates.surrogate import Surrogate
from ntkviz.truth.truth import load_truth

FACTORS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
SHARES = (0.3, 0.5, 0.6, 0.7, 0.8)


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("samples", nargs="*", default=["mnist-mlp-1k", "fashion-cnn-1k"], metavar="SAMPLE")
    parser.add_argument("--factors", nargs="*", type=float, default=FACTORS, help="times the chosen penalty")
    parser.add_argument("--shares", nargs="*", type=float, default=SHARES, help="of distillation, with the chosen penalty")
    parser.add_argument("--quick", action="store_true", help="few draws of the intervals; nothing is kept")
    options = parser.parse_args()
    rows = [
        row
        for name in options.samples
        for row in measure(name, options.factors, options.shares, n_draws=20 if options.quick else 1000)
    ]
    for row in rows:
        low, high = row["lds_interval"]
        print(
            f"{row['sample']:16} lam {row['lam']:8.4f} distillation {row['distillation']:.1f} tau {row['tau']:.3f} LDS {row['lds']:.3f} [{low:.3f}, {high:.3f}]",
            flush=True,
        )
    if not options.quick:
        path = RESULTS / "penalty.json"
        known = json.loads(path.read_text())["rows"] if path.exists() else []
        print("kept in", keep("penalty", [*(row for row in known if row["sample"] not in options.samples), *rows]))


def measure(name: str, factors: Sequence[float], shares: Sequence[float], *, n_draws: int) -> list[dict[str, Any]]:
    """A row a penalty, a row a share."""
    truth = load_truth(name)
    assert truth is not None, f"{name} comes without retrainings."
    with tempfile.TemporaryDirectory() as folder:
        spec = StudySpec(sample=name, kernel="trntk", surrogate="klr", surrogate_options={"lam": "auto"}, normalize=False)
        study = run_study(spec, home=Path(folder))
        usual = float(study.surrogate.options["lam"])  # type: ignore[arg-type]
        asked = [(factor, 0.0) for factor in factors] + [(1.0, share) for share in shares]
        fits = {(factor, share): fitted(study, factor * usual, share) for factor, share in asked}
        others = [Candidate(f"{at}", f"{at}", study.kernel, study.rows, (fit,)) for at, fit in fits.items()]
        measured = faithfulness(study, truth, others, plan={"klr": ("removal_klr",)}, n_draws=n_draws)
        found = {one.key: one for one in measured}
    kept = [(*at, found[f"{at}/klr/removal_klr"]) for at in asked]
    return [
        {
            "sample": name,
            "lam": factor * usual,
            "factor": factor,
            "distillation": share,
            "tau": one.tau,
            "tau_interval": (one.tau_low, one.tau_high),
            "lds": one.truth.value,
            "lds_interval": (one.truth.low, one.truth.high),
        }
        for factor, share, one in kept
    ]


def fitted(study: Study, lam: float, share: float) -> Surrogate:
    """The study's kernel with another penalty and share of distillation."""
    return fit_points(
        "klr",
        study.kernel,
        study.rows,
        labels=(study.y_train, study.y_test),
        logits=(study.logits_train, study.logits_test),
        settings={"lam": lam, "distillation": share},
    )


if __name__ == "__main__":
    main()
