"""Make the truth by retraining of sample models: ``python sample_models/truth.py [NAME ...] [--workers N] [--quote]``.

Each sample is retrained on 100 random halves of its training points from 5 seeds, and what became of its test points is kept in
``truth.npz`` beside its weights. Without names, the samples that come with a truth are made again. An interrupted run goes on where it
stopped: finished networks wait in the system's folder for caches until the sample is done.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import platformdirs
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the script is run by its path, from anywhere

from ntkviz.data.sample import load_sample_data, sample_card, samples  # noqa: E402
from ntkviz.fidelity.ceiling import noise_ceiling  # noqa: E402
from ntkviz.truth.make import make_truth, quote_truth  # noqa: E402
from ntkviz.truth.recipe import Training  # noqa: E402
from ntkviz.truth.truth import has_truth, save_truth  # noqa: E402

N_SUBSETS, N_SEEDS = 100, 5


def main() -> None:
    """Retrain what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"samples: {', '.join(samples())}; default: those with a truth")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; default: one a processor")
    parser.add_argument("--quote", action="store_true", help="say how long it takes on one core, save nothing")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(samples()))
    if unknown:
        parser.error(f"no sample is called {', '.join(unknown)}; expected some of {', '.join(samples())}")
    torch.set_num_threads(1)
    for name in arguments.names or [name for name in samples() if has_truth(name)]:
        if arguments.quote:
            quote(name)
        else:
            make(name, arguments.workers)


def make(name: str, workers: int) -> None:
    """Retrain one sample and write its truth."""
    card = sample_card(name)
    started = time.time()
    kept = platformdirs.user_cache_path("ntkviz", appauthor=False) / "retrainings" / name
    truth = make_truth(
        card.architecture,
        load_sample_data(name),
        Training.from_dict(card.recipe or {}),
        sample=name,
        n_subsets=N_SUBSETS,
        n_seeds=N_SEEDS,
        workers=workers,
        kept=kept,
        on_progress=_Printed(name),
    )
    path = save_truth(card.folder, truth)
    shutil.rmtree(kept)
    ceiling = noise_ceiling(truth.margins.astype(np.float64))
    print(
        f"{name}: {truth.masks.shape[0]} subsets, {len(truth.seeds)} seeds, {len(truth.test_index)} test points in "
        f"{(time.time() - started) / 60:.1f} minutes; seed to seed {ceiling.seed_to_seed:.3f}, noise ceiling {ceiling.value:.3f}; "
        f"{path.stat().st_size / 1e6:.2f} MB",
        flush=True,
    )


def quote(name: str) -> None:
    """Say how long a sample takes on one core."""
    card = sample_card(name)
    seconds = quote_truth(
        card.architecture, load_sample_data(name), Training.from_dict(card.recipe or {}), n_subsets=N_SUBSETS, n_seeds=N_SEEDS
    )
    print(
        f"{name}: {seconds / (N_SUBSETS + 2) / N_SEEDS:.2f} s a network, {seconds / 3600:.2f} hours of one core in all",
        flush=True,
    )


class _Printed:
    """Progress as lines, one for each twentieth."""

    def __init__(self, name: str) -> None:
        self.name, self.twentieth = name, 0

    def __call__(self, stage: str, fraction: float) -> None:
        """Print when another twentieth is done."""
        if int(fraction * 20) > self.twentieth:
            self.twentieth = int(fraction * 20)
            print(f"{self.name}: {fraction:.0%}", flush=True)


if __name__ == "__main__":
    main()
