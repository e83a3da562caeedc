"""Do shares add up, and how diffuse are they? ``python benchmarks/attributions.py [--samples NAME ...]``.

For every surrogate on the cosine trace NTK: the largest gap between the sum of shares and the logit, in units of the largest logit; and over test
points the median effective number of training points (participation ratio) and the median part of the sum of |shares| that the ten strongest hold.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.machine import keep
from ntkviz import StudySpec, attribute, fit_surrogate, run_study, samples, surrogates


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", nargs="*", default=samples())
    rows = []
    for name in parser.parse_args().samples:
        study = run_study(StudySpec(sample=name, n_train=500, n_test=100, surrogate="ridge"))
        for kind, info in surrogates().items():
            targets = study.logits_train if info.target == "logits" else study.y_train
            surrogate = fit_surrogate(study.kernel, targets, kind=kind, n_classes=study.logits_train.shape[1])
            logits = surrogate.decision_function(study.rows)
            shares = attribute(surrogate, study.rows)
            gap = np.abs(shares.sum(-1) + surrogate.intercept - logits).max() / np.abs(logits).max()
            size = np.abs(shares[np.arange(len(logits)), logits.argmax(1)])
            effective = size.sum(1) ** 2 / (size**2).sum(1)
            top = np.sort(size, axis=1)[:, -10:].sum(1) / size.sum(1)
            rows.append(
                {
                    "sample": name,
                    "surrogate": kind,
                    "n_train": len(study.kernel),
                    "gap": float(gap),
                    "effective_points": float(np.median(effective)),
                    "top10_share": float(np.median(top)),
                }
            )
            print(" ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in rows[-1].items()), flush=True)
    print(f"worst gap {max(row['gap'] for row in rows):.1e}, kept in {keep('attributions', rows)}")


if __name__ == "__main__":
    main()
