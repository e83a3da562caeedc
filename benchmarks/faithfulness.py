"""Imitation and truth of every attribution: ``python benchmarks/faithfulness.py [SAMPLE ...] [--kernels KIND ...] [--quick]``.

Truth is the LDS against the retrainings that are bundled with a sample (``sample_models/truth.py`` made them), with 95 % intervals over test points
and subsets. Differences are paired. Beside ours, on the same network in the same run: exact and projected TRAK, TracIn, gradient cosine and
Gauss-Newton influence with the full empirical NTK.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from scipy.linalg import solve
from scipy.special import softmax

from benchmarks.machine import RESULTS, keep
from ntkviz import StudySpec, attribute, kernel_matrix, load_sample, run_study, samples
from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.log_odds import on_log_odds
from ntkviz.fidelity.lds import Lds, compare, paired_difference, specificity
from ntkviz.kernels.blocks import KernelBlocks
from ntkviz.kernels.comparators import margin_blocks
from ntkviz.kernels.matrix import kernel_blocks
from ntkviz.scores import log_odds_heads
from ntkviz.studies.aligned import Aligned, aligned
from ntkviz.studies.faithfulness import Candidate, faithfulness
from ntkviz.studies.fitting import ANSWERING, fit_points
from ntkviz.studies.study import Study
from ntkviz.truth.truth import load_truth

#: Further kernels beside the study's raw trace NTK, and whether they are brought to cosine similarity.
KERNELS = (
    ("trntk", False),
    ("trntk", True),
    ("pntk", False),
    ("ck", False),
    ("em", True),
    ("trntk_rbf", False),
    ("rbf", False),
    ("inputs", True),
)
CONTROLS = ("rbf", "inputs")
#: Beside the fits to labels alone, with which pages answer.
DISTILLED = {"lam": "auto", "distillation": 0.6}
#: Above this many rows the full empirical NTK is not factored.
GAUSS_NEWTON_ROWS = 12_000
DEFAULT = "trntk/klr/removal_klr"


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", nargs="*", default=[name for name in samples() if load_truth(name) is not None])
    parser.add_argument(
        "--quick", action="store_true", help="few draws and no Gauss-Newton, to see that everything runs; nothing is kept"
    )
    every = sorted({kind for kind, _ in KERNELS})
    parser.add_argument(
        "--kernels",
        nargs="*",
        choices=every,
        default=every,
        help="beside the trace NTK; each takes minutes with 5,000 training points",
    )
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.samples:
        found = measure(name, options.kernels, quick=options.quick)
        rows += found
        print("\n".join(line(row) for row in found), flush=True)
    if not options.quick:
        print("kept in", keep("faithfulness", [*others(options.samples), *rows]))


def others(measured: list[str]) -> list[dict[str, Any]]:
    """The rows of the samples that were measured before and are not measured now."""
    path = RESULTS / "faithfulness.json"
    known = json.loads(path.read_text())["rows"] if path.exists() else []
    return [row for row in known if row["sample"] not in measured]


def measure(name: str, kinds: list[str], *, quick: bool) -> list[dict[str, Any]]:
    """All rows of a sample, with these kernels beside the trace NTK."""
    study = run_study(StudySpec(sample=name, kernel="trntk", surrogate="klr", surrogate_options=ANSWERING, normalize=False))
    truth = load_truth(name)
    assert truth is not None
    points, draws = aligned(study, truth), 100 if quick else 1000
    blocks = {one: blocks_of(name, study, *one) for one in KERNELS if one[0] in kinds}
    alone = [candidate(study, *one, made, ANSWERING) for one, made in blocks.items() if one != KERNELS[0]]
    distilled = [candidate(study, *one, made, DISTILLED) for one, made in blocks.items() if one[0] not in CONTROLS]
    own = faithfulness(study, truth, alone, n_draws=draws)
    own += faithfulness(study, truth, distilled, plan={"klr": ("removal_klr", "share")}, n_draws=draws)[2:-1]
    rows = [
        as_row(
            name,
            one.title,
            one.key,
            one.truth,
            tau=one.tau,
            tau_interval=(one.tau_low, one.tau_high),
            seconds=one.seconds,
            control=one.is_control,
        )
        for one in own
    ]
    peers, seconds = comparators(name, study, points, gauss_newton=not quick)
    found = compare(list(peers.values()), points.masks, points.margins, n_draws=draws, classes=study.y_train).found
    rows += [as_row(name, key, key, one, seconds=seconds[key]) for key, one in zip(peers, found, strict=True)]
    effects = RemovalEffects.of_surrogate(study.surrogate, study.kernel, study.y_train)
    at = study.rows[points.test]
    default = effects.on_log_odds(at, study.logits_test[points.test], study.y_test[points.test])
    for key, other in peers.items():
        difference = paired_difference(default, other, points.masks, points.margins, n_draws=draws)
        rows.append(
            {
                "sample": name,
                "row": f"default - {key}",
                "value": difference.value,
                "interval": (difference.low, difference.high),
                "better_on": difference.share_better,
            }
        )
    special = specificity(default, points.masks, points.margins, n_draws=draws)
    rows.append({"sample": name, "row": "specificity", "value": special.value, "interval": (special.low, special.high)})
    rows.append({"sample": name, "row": "lam", "value": study.surrogate.options["lam"], "interval": None})
    return rows


def blocks_of(name: str, study: Study, kind: str, cosine: bool) -> KernelBlocks:
    """Another kernel on the study's points."""
    sample = load_sample(name)
    x, z = sample.data.x_train[study.train_index], sample.data.x_test[study.test_index]
    blocks = kernel_blocks(sample.model, x, z, kind=kind)
    return blocks.normalised() if cosine else blocks


def candidate(study: Study, kind: str, cosine: bool, blocks: KernelBlocks, settings: Mapping[str, object]) -> Candidate:
    """It with a logistic regression."""
    fit = fit_points(
        "klr",
        blocks.train,
        blocks.rows,
        labels=(study.y_train, study.y_test),
        logits=(study.logits_train, study.logits_test),
        settings=settings,
    )
    form = "cosine" if cosine else "raw"
    return Candidate(kind, f"{kind}, {form}", blocks.train, blocks.rows, (fit,), control=kind in CONTROLS)


def comparators(
    name: str, study: Study, points: Aligned, *, gauss_newton: bool
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Effects of the peers on the true class's log-odds, ``[m, N]`` each, and their seconds (the margin kernel's in each)."""
    sample = load_sample(name)
    x, y = sample.data.x_train[study.train_index], study.y_train
    z, labels = sample.data.x_test[study.test_index][points.test], study.y_test[points.test]
    logits = study.logits_test[points.test]
    began = time.perf_counter()
    margins = margin_blocks(sample.model, x, y, z, n_classes=logits.shape[1])
    shared = time.perf_counter() - began
    chances = np.clip(softmax(study.logits_train.astype(np.float64), axis=1)[np.arange(len(y)), y], 0, 1)
    asked: dict[str, dict[str, Any]] = {
        "trak exact": {"kind": "trak", "kernel": margins.train, "chances": chances},
        "trak exact, without 1-p": {"kind": "trak", "kernel": margins.train, "chances": chances, "saturated": False},
        "trak K=2048": {
            "kind": "trak",
            "kernel": margins.train,
            "chances": chances,
            "projection": 2048,
            "rows_diagonal": margins.rows_diagonal,
        },
        "tracin": {"kind": "tracin", "chances": chances},
        "grad_cos": {"kind": "grad_cos", "kernel": margins.train, "rows_diagonal": margins.rows_diagonal},
    }
    effects, seconds = {}, {}
    for key, how in asked.items():
        began = time.perf_counter()
        effects[key] = on_log_odds(attribute(study.surrogate, margins.rows, **how), how["kind"], logits, labels)
        seconds[key] = shared + time.perf_counter() - began
    if gauss_newton and len(y) * logits.shape[1] <= GAUSS_NEWTON_ROWS:
        began = time.perf_counter()
        effects["gauss-newton"] = influence(sample.model, x, y, z, study.logits_train, log_odds_heads(logits, labels))
        seconds["gauss-newton"] = time.perf_counter() - began
    return effects, seconds


def influence(model: Any, x: np.ndarray, y: np.ndarray, z: np.ndarray, logits: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Gauss-Newton influence of the network itself, damped by 1e-3 of the mean diagonal: ``h J_x (J^T H J + damping)^-1 J_i^T r_i``."""
    n, n_classes = logits.shape
    theta = kernel_matrix(model, x, kind="entk", normalize=False).astype(np.float64)
    damping = 1e-3 * np.diagonal(theta).mean()
    chances = softmax(logits.astype(np.float64), axis=1)
    blocks = np.einsum("nc,cd->ncd", chances, np.eye(n_classes)) - np.einsum("nc,nd->ncd", chances, chances)
    curved = np.einsum("anc,ncd->and", theta.reshape(-1, n, n_classes), blocks).reshape(n * n_classes, -1)
    curved[np.diag_indices_from(curved)] += damping
    rows = kernel_matrix(model, x, z, kind="entk", normalize=False).astype(np.float64)
    asked = np.einsum("amc,mc->am", rows.reshape(n * n_classes, len(z), n_classes), heads)
    answers = solve(curved, asked, overwrite_a=True, overwrite_b=True, check_finite=False)
    residuals = np.eye(n_classes)[y] - chances
    return np.einsum("ncm,nc->mn", answers.reshape(n, n_classes, -1), residuals)


def as_row(sample: str, title: str, key: str, truth: Lds, **more: Any) -> dict[str, Any]:
    """A row as JSON holds it."""
    return {
        "sample": sample,
        "row": key,
        "title": title,
        "lds": truth.value,
        "lds_interval": (truth.low, truth.high),
        "within": truth.within,
        "ceiling": truth.ceiling,
        "seed_to_seed": truth.seed_to_seed,
        "n_points": truth.n_points,
        **more,
    }


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    if "lds" in row:
        low, high = row["lds_interval"]
        return f"{row['sample']:22} {row['row']:36} LDS {row['lds']:.3f} [{low:.3f}, {high:.3f}] within {row['within']:.3f} ceiling {row['ceiling']:.2f} tau {row.get('tau', float('nan')):.3f} {row['seconds']:.1f} s"
    return f"{row['sample']:22} {row['row']:36} {row['value']:.3f} {row['interval']}"


if __name__ == "__main__":
    main()
