"""Do the trust badges part the points? ``python benchmarks/badge.py [SAMPLE ...] [--quick]``.

For each sample with retrainings: how large the measured error is at points called "do not use" over that at points called "trust", with its 95 % interval over
test points. Beside the badge of removal effects stands the most that any badge could reach: one that knew each point's error exactly, with the same error and the
shares of points that the badge itself called so, and one that knew it from one half of the retrained subsets and is judged on the other.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.machine import keep
from ntkviz import StudySpec, load_sample, run_study
from ntkviz.explain.effects import RemovalEffects
from ntkviz.fidelity.lds import lds
from ntkviz.fidelity.trust import AVOID, TRUST, Trust
from ntkviz.studies.aligned import Aligned, aligned
from ntkviz.studies.fitting import ANSWERING
from ntkviz.studies.perturbed import perturbed_logits
from ntkviz.studies.study import Study
from ntkviz.studies.trusted import badges
from ntkviz.truth.truth import load_truth

SAMPLES = ("mnist-mlp-1k", "fashion-cnn-1k", "cancer-mlp", "sentences-transformer")
#: Draws of the halves of the retrained subsets.
HALVES = 20


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("samples", nargs="*", default=list(SAMPLES), metavar="SAMPLE")
    parser.add_argument("--quick", action="store_true", help="two changed copies of each input; nothing is kept")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.samples:
        for row in measure(name, copies=2 if options.quick else 8):
            rows.append(row)
            print(" ".join(f"{key}={_short(value)}" for key, value in row.items()), flush=True)
    if not options.quick:
        print("kept in", keep("badge", rows))


def measure(name: str, *, copies: int) -> list[dict[str, Any]]:
    """Three badges of a sample, and what the third could reach at best."""
    truth, sample = load_truth(name), load_sample(name)
    assert truth is not None, f"{name} comes without retrainings."
    with tempfile.TemporaryDirectory() as folder:
        spec = StudySpec(sample=name, kernel="trntk", surrogate="klr", surrogate_options=ANSWERING, normalize=False)
        study = run_study(spec, home=Path(folder))
        changed = perturbed_logits(study, sample.data, sample.model, copies=copies)
    plain, looked = badges(study, truth), badges(study, None, changed)
    assert plain.removal is not None
    return [
        as_row(name, "gap at near points", plain.imitation),
        as_row(name, "gap at small changes", looked.imitation),
        as_row(name, "1 - LDS", plain.removal) | at_best(study, aligned(study, truth), plain.removal),
    ]


def as_row(name: str, error: str, judged: Trust) -> dict[str, Any]:
    """The ratio of a badge, and how many points it calls what."""
    counts = {verdict: int((judged.verdict == verdict).sum()) for verdict in (TRUST, AVOID)}
    return {"sample": name, "error": error, "ratio": judged.ratio, "interval": (judged.ratio_low, judged.ratio_high), **counts}


def at_best(study: Study, points: Aligned, judged: Trust) -> dict[str, float]:
    """The ratio of badges that know the error itself, with as many points called "trust" and "do not use"."""
    effects = RemovalEffects.of_surrogate(study.surrogate, study.kernel, study.y_train)
    at = points.test
    on_label = effects.on_log_odds(study.rows[at], study.logits_test[at], study.y_test[at])
    shares = tuple(float((judged.verdict[at] == verdict).mean()) for verdict in (TRUST, AVOID))

    def error(subsets: np.ndarray) -> np.ndarray:
        return 1.0 - lds(on_label, points.masks[subsets], points.margins[subsets], n_draws=0).per_point

    every = np.arange(len(points.masks))
    rng, ratios = np.random.default_rng(0), []
    for _ in range(HALVES):
        order = rng.permutation(every)
        known, other = np.split(order, [len(order) // 2])
        ratios.append(_ratio(error(known), error(other), *shares))
    exact = error(every)
    return {"known exactly": _ratio(exact, exact, *shares), "known from other retrainings": float(np.mean(ratios))}


def _ratio(known: np.ndarray, judged: np.ndarray, trusted: float, avoided: float) -> float:
    """Mean error of the points with the largest known error over that of those with the smallest."""
    low, high = np.quantile(known, [trusted, 1 - avoided])
    return float(judged[known >= high].mean() / judged[known <= low].mean())


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "[" + ", ".join(map(_short, value)) + "]" if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    main()
