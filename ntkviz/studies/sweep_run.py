"""What a sweep takes, and the sweep itself. Imports torch where it works, in the worker."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ntkviz.explain.agreement import overlap_at_k, strongest
from ntkviz.fidelity.fidelity import fidelity
from ntkviz.kernels.blocks import KernelBlocks
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.fitting import fit_points
from ntkviz.studies.machine import kernel_memory_mb
from ntkviz.studies.quote import Quote
from ntkviz.studies.sampling import stratified_index
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.study import Study
from ntkviz.studies.subjects import find_subject, load_subject_model, subject_data
from ntkviz.studies.sweep import EXACT, NEIGHBOURS, Sweep, Swept, save_sweep
from ntkviz.surrogates.registry import surrogates
from ntkviz.types import ProgressFn, silent

if TYPE_CHECKING:
    from torch import nn

#: What a worker needs before the first kernel: torch, the network, the data.
_START_SECONDS = 5.0
#: A surrogate on a few hundred points, and its fidelity.
_FIT_SECONDS = 0.1


@dataclass(frozen=True)
class SweepQuote:
    """What a sweep will take: seconds, and MB of memory of its process."""

    seconds: float
    memory_mb: float


def specs_to_quote(asked: Sweep) -> list[StudySpec]:
    """The studies whose quotes a sweep's rests on: its smallest and its largest size."""
    of = {"upload" if asked.subject_id.startswith("upload-") else "sample": asked.subject_id}
    sizes: dict[str, Any] = {"n_train": asked.n_train, "n_test": asked.n_test}
    return [
        StudySpec(**of, kernel=asked.kind, surrogate="ridge", kernel_options={"proj_dim": dim}, **sizes)
        for dim in dict.fromkeys((asked.dims[0], asked.dims[-1]))
    ]


def quote_sweep(asked: Sweep, found: Quote) -> SweepQuote:
    """What a sweep will take: a projection's cost is linear in its size, so two sizes tell all.

    Args:
        asked: the sweep.
        found: the quote of :func:`specs_to_quote`.
    """
    ends = [stages["kernel"] for stages in found.per_spec]
    each = np.interp(asked.dims, (asked.dims[0], asked.dims[-1]), (ends[0], ends[-1]))
    kernels = asked.n_seeds * float(each.sum())
    return SweepQuote(_START_SECONDS + kernels + _FIT_SECONDS * asked.n_seeds * len(asked.dims), found.memory_mb)


def run_sweep(asked: Sweep, *, home: Path, on_progress: ProgressFn = silent) -> str:
    """Compute the exact and all projected kernels, compare them, and keep the result in the store's folder.

    Args:
        asked: the sweep.
        home: the folder of the store.
        on_progress: called with (stage, fraction); may raise ``JobCancelled``.

    Returns:
        the name of the result.

    Raises:
        InvalidStudy: when the study is of another subject, or has fewer points than asked for.
        StoreCorrupted: when files of the subject or the study are damaged.
    """
    on_progress("load", 0.0)
    study = Store(home).load_study(asked.study)
    if study.spec.subject_id != asked.subject_id:
        raise InvalidStudy(f"The study {asked.study[:12]} is of {study.spec.subject_id}, not of {asked.subject_id}.")
    if asked.n_train > study.n_train or asked.n_test > study.n_test:
        raise InvalidStudy(
            f"The sweep asks for {asked.n_train} training and {asked.n_test} test points; the study has {study.n_train} and {study.n_test}."
        )
    data, model = subject_data(asked.subject_id, home=home), load_subject_model(asked.subject_id, home=home)
    setting = _Setting.of(study, asked)
    compute = setting.kernels(model, data.x_train[study.train_index], data.x_test[study.test_index])
    on_progress("load", 1.0)
    found = _swept(asked, setting, compute, find_subject(asked.subject_id, home=home).title, on_progress)
    save_sweep(home, asked, found, kernel_key=study.kernel_key)
    return asked.key()


@dataclass(frozen=True, eq=False)
class _Setting:
    """What is the same for every kernel of a sweep."""

    study: Study
    train: np.ndarray  # positions among the study's training points
    test: np.ndarray

    @classmethod
    def of(cls, study: Study, asked: Sweep) -> "_Setting":
        """The points of a sweep, drawn by class."""
        train = stratified_index(study.y_train, asked.n_train, seed=study.spec.seed)
        return cls(study, train, stratified_index(study.y_test, asked.n_test, seed=study.spec.seed))

    def kernels(self, model: "nn.Module", x_train: np.ndarray, x_test: np.ndarray) -> Callable[..., tuple[KernelBlocks, float]]:
        """What computes a kernel of these points, in the study's form, and tells its seconds."""
        from ntkviz.kernels.matrix import kernel_blocks

        def compute(kind: str, **options: Any) -> tuple[KernelBlocks, float]:
            began = time.perf_counter()
            blocks = kernel_blocks(
                model, x_train[self.train], x_test[self.test], kind=kind, memory_mb=kernel_memory_mb(), **options
            )
            seconds = time.perf_counter() - began
            return (blocks.normalised() if self.study.spec.normalize else blocks), seconds

        return compute

    def tau(self, blocks: KernelBlocks) -> float:
        """Imitation of the study's surrogate, fitted on a kernel."""
        study, kind = self.study, self.study.spec.surrogate
        labels = study.y_test[self.test]
        surrogate = fit_points(
            kind,
            blocks.train,
            blocks.rows,
            labels=(study.y_train[self.train], labels),
            logits=(study.logits_train[self.train], study.logits_test[self.test]),
            seed=study.spec.seed,
            settings=study.spec.surrogate_options,
        )
        logits = surrogate.decision_function(blocks.rows)
        return fidelity(study.logits_test[self.test], logits, labels, n_bootstrap=0).kendall_tau


def _swept(
    asked: Sweep, setting: _Setting, compute: Callable[..., tuple[KernelBlocks, float]], title: str, on_progress: ProgressFn
) -> Swept:
    """All kernels, one after the other."""
    on_progress("sweep", 0.0)
    exact, exact_seconds = compute(EXACT[asked.kind])
    k = min(NEIGHBOURS, asked.n_train)
    near, size = strongest(exact.rows, k, signed=False), float(np.linalg.norm(exact.rows.astype(np.float64)))
    error, overlap, tau, seconds = (np.full((len(asked.dims), asked.n_seeds), np.nan) for _ in range(4))
    total, done = asked.n_seeds * sum(asked.dims), 0
    for seed in range(asked.n_seeds):
        for row, dim in enumerate(asked.dims):

            def tell(_: str, fraction: float, before: int = done, dim: int = dim) -> None:
                on_progress("sweep", (before + dim * fraction) / total)

            found, seconds[row, seed] = compute(asked.kind, seed=seed, proj_dim=dim, on_progress=tell)
            error[row, seed] = float(np.linalg.norm(found.rows.astype(np.float64) - exact.rows)) / size
            overlap[row, seed] = float(overlap_at_k(strongest(found.rows, k, signed=False), near).mean())
            tau[row, seed] = setting.tau(found)
            done += dim
    form = "cosine" if setting.study.spec.normalize else "raw"
    notes = (
        f"{title}: {asked.n_train:,} training and {asked.n_test:,} test points drawn by class from the study's, {form} kernels, "
        f"surrogate {surrogates()[setting.study.spec.surrogate].title}.",
    )
    return Swept(
        dims=np.array(asked.dims, dtype=np.int64),
        error=error,
        overlap=overlap,
        tau=tau,
        exact_tau=setting.tau(exact),
        seconds=seconds,
        exact_seconds=exact_seconds,
        n_neighbours=k,
        n_train=asked.n_train,
        n_test=asked.n_test,
        notes=notes,
    )
