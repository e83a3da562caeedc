"""What the penalty trades: ``python benchmarks/penalty.py [SAMPLE ...] [--quick]``.

The default surrogate (kernel logistic regression on the raw trace NTK) is fitted with penalties around the one that the likelihood of test points chooses.
Imitation is Kendall's tau-b of the log-odds with the network's, truth the LDS of the removal effects against the bundled retrainings.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import keep
from ntkviz import StudySpec, fit_surrogate, run_study
from ntkviz.studies.faithfulness import Candidate, faithfulness
from ntkviz.truth.truth import load_truth

FACTORS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("samples", nargs="*", default=["mnist-mlp-1k", "fashion-cnn-1k"], metavar="SAMPLE")
    parser.add_argument("--quick", action="store_true", help="few draws of the intervals; nothing is kept")
    options = parser.parse_args()
    rows = [row for name in options.samples for row in measure(name, n_draws=20 if options.quick else 1000)]
    for row in rows:
        low, high = row["lds_interval"]
        print(
            f"{row['sample']:16} lam {row['lam']:8.4f} tau {row['tau']:.3f} LDS {row['lds']:.3f} [{low:.3f}, {high:.3f}]",
            flush=True,
        )
    if not options.quick:
        print("kept in", keep("penalty", rows))


def measure(name: str, *, n_draws: int) -> list[dict[str, Any]]:
    """A row a penalty."""
    truth = load_truth(name)
    assert truth is not None, f"{name} comes without retrainings."
    with tempfile.TemporaryDirectory() as folder:
        spec = StudySpec(sample=name, kernel="trntk", surrogate="klr", surrogate_options={"lam": "auto"}, normalize=False)
        study = run_study(spec, home=Path(folder))
        usual = float(study.surrogate.options["lam"])  # type: ignore[arg-type]
        n_classes = study.logits_train.shape[1]
        others = [
            Candidate(
                str(factor),
                f"{factor} times",
                study.kernel,
                study.rows,
                (fit_surrogate(study.kernel, study.y_train, kind="klr", lam=factor * usual, n_classes=n_classes),),
            )
            for factor in FACTORS
        ]
        found = {one.key: one for one in faithfulness(study, truth, others, n_draws=n_draws)}
    kept = [(factor, found[f"{factor}/klr/removal_klr"]) for factor in FACTORS]
    return [
        {
            "sample": name,
            "lam": factor * usual,
            "factor": factor,
            "tau": one.tau,
            "tau_interval": (one.tau_low, one.tau_high),
            "lds": one.truth.value,
            "lds_interval": (one.truth.low, one.truth.high),
        }
        for factor, one in kept
    ]


if __name__ == "__main__":
    main()
