"""Do forecasts of removals come true? ``python benchmarks/what_if.py [SAMPLE ...] [--k 20 50] [--points 20] [--seeds 3] [--quick]``.

For each of some test points, each attribution names the k training points that support the true class most; they are removed and the network is trained
again from seeds other than its own. Two questions. *Size*: the margin's change that the surrogate predicts after those removals
(:mod:`ntkviz.explain.what_if`: one Newton step, or as many as the app takes) against the change after retraining; as predicted, and stretched by the one
factor that the retrainings on random halves that come with the sample ask for. *Order*: whose points are missed most (mean drop of the margin,
share of test points that lose their class). Rows of other samples and other k stay in the file.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import softmax

from benchmarks.machine import RESULTS, keep
from ntkviz import StudySpec, attribute, fit_surrogate, load_sample, run_study
from ntkviz.data.sample import sample_card
from ntkviz.explain.calibration import Calibration, Estimate, calibrate
from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.log_odds import on_log_odds
from ntkviz.explain.stretch import Stretch
from ntkviz.explain.what_if import WhatIfModel, remove
from ntkviz.fidelity.removal import DropDifference, removals
from ntkviz.kernels.comparators import margin_blocks
from ntkviz.studies.fitting import ANSWERING
from ntkviz.studies.stretched import study_stretch
from ntkviz.studies.study import Study
from ntkviz.truth.recipe import Training
from ntkviz.truth.removal import removal_drops
from ntkviz.truth.truth import balanced, load_truth
from ntkviz.types import Dataset

SAMPLES = ("mnist-mlp-1k", "fashion-cnn-1k")
#: Distance of the seeds from the explained network's own, which is left out.
STRIDE = 1000
DEFAULT = "removal_klr"


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", nargs="*", default=list(SAMPLES))
    parser.add_argument("--k", type=int, nargs="+", default=[20, 50])
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--quick", action="store_true", help="two points, two seeds, to see that everything runs; nothing is kept"
    )
    options = parser.parse_args()
    if options.quick:
        options.points, options.seeds = 2, 2
    for name in options.samples:
        study = run_study(StudySpec(sample=name, kernel="trntk", surrogate="klr", surrogate_options=ANSWERING, normalize=False))
        for k in options.k:
            rows = measure(study, k, n_points=options.points, n_seeds=options.seeds, workers=options.workers)
            print("\n".join(line(row) for row in rows), flush=True)
            if not options.quick:
                print("kept in", keep("what_if", [*others(name, k), *rows]), flush=True)


def measure(study: Study, k: int, *, n_points: int, n_seeds: int, workers: int) -> list[dict[str, Any]]:
    """All rows of a sample for one k."""
    began = time.perf_counter()
    sample, card = load_sample(study.spec.subject_id), sample_card(study.spec.subject_id)
    at = balanced(study.y_test, n_points)
    effects = effects_of(study, sample, at)
    # Positions in the study, strongest first, for each attribution and test point.
    named = {key: np.argsort(-values, axis=1, kind="stable")[:, :k] for key, values in effects.items()}
    training = Training.from_dict(card.recipe or {})
    found = removal_drops(
        card.architecture,
        sample.data,
        training,
        [study.train_index[rows] for rows in named.values()],
        study.test_index[at],
        training.seed + STRIDE * np.arange(1, n_seeds + 1),
        workers=workers,
    )
    after = dict(zip(named, found.after, strict=True))
    shared = {"sample": card.name, "k": k, "n_points": len(at), "n_seeds": n_seeds}
    summed = removals(found.before, after, k=k)
    rows = [
        {
            **shared,
            "row": f"drop {drop.key}",
            "value": drop.value,
            "interval": (drop.low, drop.high),
            "flipped": drop.flipped,
            "flipped_interval": (drop.flipped_low, drop.flipped_high),
        }
        for drop in summed.rows
    ]
    rows += [difference_row(shared, summed.difference(DEFAULT, key)) for key in named if key != DEFAULT]
    changes = {key: (values - found.before).mean(axis=1) for key, values in after.items()}
    for steps in (1, None):
        size, forecast = stretch_of(study, steps), forecasts(study, at, named, steps)
        words = "one step" if steps else "to the end"
        rows += calibration_rows(shared, words, forecast, changes)
        factor = size.factor
        stretched = {key: factor.value * values for key, values in forecast.items()}
        rows += [{**shared, "row": f"stretch, {words}", "value": factor.value, "interval": (factor.low, factor.high)}]
        rows += calibration_rows(shared, f"{words}, stretched", stretched, changes)[:-1]
    return [*rows, {**shared, "row": "seconds", "value": time.perf_counter() - began}]


def effects_of(study: Study, sample: Any, at: np.ndarray) -> dict[str, np.ndarray]:
    """By how much each training point supports the true class of the test points, ``[P, N]`` an attribution; its order is all that counts."""
    data: Dataset = sample.data
    x, z = data.x_train[study.train_index], data.x_test[study.test_index[at]]
    rows, logits, labels, y = study.rows[at], study.logits_test[at], study.y_test[at], study.y_train
    removal = RemovalEffects.of_surrogate(study.surrogate, study.kernel, y)
    kglm = fit_surrogate(study.kernel, y, kind="kglm")
    blocks = margin_blocks(sample.model, x, y, z, n_classes=logits.shape[1])
    chances = np.clip(softmax(study.logits_train.astype(np.float64), axis=1)[np.arange(len(y)), y], 0, 1)
    trak = attribute(study.surrogate, blocks.rows, kind="trak", kernel=blocks.train, chances=chances)
    distances = cdist(z.reshape(len(z), -1), x.reshape(len(x), -1))
    return {
        DEFAULT: removal.on_log_odds(rows, logits, labels),
        "share klr": on_log_odds(attribute(study.surrogate, rows), "share", logits, labels),
        "share kglm": on_log_odds(attribute(kglm, rows), "share", logits, labels),
        "trak exact": on_log_odds(trak, "trak", logits, labels),
        "same class, nearest pixels": np.where(y == labels[:, None], -distances, -np.inf),
        "random": np.random.default_rng(0).random((len(at), len(y))),
    }


def stretch_of(study: Study, steps: int | None) -> Stretch:
    """The stretch that the page takes, from retrainings on random halves."""
    truth = load_truth(study.spec.subject_id)
    assert truth is not None
    return study_stretch(study, truth, WhatIfModel(study.surrogate, study.kernel, study.y_train), steps=steps)


def forecasts(study: Study, at: np.ndarray, named: dict[str, np.ndarray], steps: int | None) -> dict[str, np.ndarray]:
    """The margin's change that the surrogate predicts for each test point when its points are removed, ``[P]`` an attribution."""
    model = WhatIfModel(study.surrogate, study.kernel, study.y_train)
    made = {}
    for key, lists in named.items():
        changes = []
        for m, points in zip(at.tolist(), lists.tolist(), strict=True):
            answer = model.apply(study.rows[m : m + 1], [remove(i) for i in points], steps=steps)
            before, after = answer.margins(study.y_test[m : m + 1])
            changes.append(float(after[0] - before[0]))
        made[key] = np.array(changes)
    return made


def calibration_rows(
    shared: dict[str, Any], words: str, predicted: dict[str, np.ndarray], measured: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Slope and correlation: of the points that the surrogate chose itself, of random ones, of both, of all sets; a set is one pair."""
    groups = {"chosen": [DEFAULT], "random": ["random"], "chosen and random": [DEFAULT, "random"], "all sets": list(predicted)}
    rows = []
    for title, keys in groups.items():
        x, y = (np.concatenate([values[key] for key in keys]) for values in (predicted, measured))
        # The sets of one test point share its margin before: they stand or fall together.
        point = np.tile(np.arange(len(predicted[keys[0]])), len(keys))
        rows.append({**shared, "row": f"what-if {words}: {title}", **of_calibration(calibrate(x, y, groups=point))})
    pairs = {key: [predicted[key].tolist(), measured[key].tolist()] for key in predicted}
    return [*rows, {**shared, "row": f"what-if {words}: pairs", "predicted_and_retrained": pairs}]


def of_calibration(found: Calibration) -> dict[str, Any]:
    """A calibration as JSON holds it."""

    def ends(one: Estimate) -> tuple[float, float]:
        return one.low, one.high

    return {
        "slope": found.slope.value,
        "slope_interval": ends(found.slope),
        "correlation": found.correlation.value,
        "correlation_interval": ends(found.correlation),
        "error": found.error,
        "spread": found.spread,
        "n_pairs": found.n_changes,
    }


def difference_row(shared: dict[str, Any], one: DropDifference) -> dict[str, Any]:
    """The drop of the default minus that of another."""
    return {
        **shared,
        "row": f"drop {one.first} - {one.second}",
        "value": one.value,
        "interval": (one.low, one.high),
        "ratio": one.ratio,
    }


def others(sample: str, k: int) -> list[dict[str, Any]]:
    """The rows that are kept already, but those of this sample and k."""
    path = RESULTS / "what_if.json"
    kept = json.loads(path.read_text())["rows"] if path.is_file() else []
    return [row for row in kept if (row["sample"], row["k"]) != (sample, k)]


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    head = f"{row['sample']:16} k={row['k']:<3} {row['row']:42}"
    if "slope" in row:
        return (
            f"{head} slope {row['slope']:.2f} {span(row['slope_interval'])} correlation {row['correlation']:.2f} "
            f"{span(row['correlation_interval'])} over {row['n_pairs']}"
        )
    if "value" not in row:
        return head
    flipped = f" flipped {row['flipped']:.2f} {span(row['flipped_interval'])}" if "flipped" in row else ""
    ratio = f" ratio {row['ratio']:.2f}" if "ratio" in row else ""
    return f"{head} {row['value']:.2f} {span(row['interval']) if 'interval' in row else ''}{ratio}{flipped}"


def span(ends: tuple[float, float]) -> str:
    """An interval."""
    return f"[{ends[0]:.2f}, {ends[1]:.2f}]"


if __name__ == "__main__":
    main()
