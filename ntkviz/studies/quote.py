"""What studies will take, before they run: seconds, memory and disk.

A quote rests on three things: the sizes N, M, C and P of each study, constants that were measured with this code on the
bundled networks, and the rate of this machine's matrix products, which is measured on the spot (under half a second) and
by which the constants are scaled. It does not import torch. Kernels and studies that are stored cost nothing.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from ntkviz.errors import BudgetExceeded
from ntkviz.studies.cost import (
    ARCHITECTURES,
    BASE_MB,
    FIDELITY_SECONDS,
    FIXED_SECONDS,
    RATE,
    RATE_EXPONENT,
    SIGN_SECONDS,
    SURROGATES,
    TORCH_MB,
    Architecture,
)
from ntkviz.studies.machine import gemm_rate, kernel_memory_mb, memory_limit_mb
from ntkviz.studies.pipeline import STAGES
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.subjects import Subject, find_subject

_MB = 2**20
#: Writing with a hash and a sync, and reading back.
_DISK_MB_A_SECOND = 250.0


@dataclass(frozen=True)
class Quote:
    """What studies will take.

    Attributes:
        seconds: of all studies together.
        memory_mb: largest memory of the process, MB.
        disk_mb: what is going to be stored, MB.
        per_stage: stage -> seconds of all studies together.
        per_spec: for each study stage -> seconds, in the order of the stages.
        n_stored: how many of the studies are stored already.
        basis: what the quote rests on, in a sentence.
    """

    seconds: float
    memory_mb: float
    disk_mb: float
    per_stage: dict[str, float]
    per_spec: tuple[dict[str, float], ...]
    n_stored: int
    basis: str

    def sentence(self) -> str:
        """The quote for a person."""
        stored = f"; {self.n_stored} of {len(self.per_spec)} are stored already" if self.n_stored else ""
        return f"About {_span(self.seconds)}, {self.memory_mb:,.0f} MB of memory and {self.disk_mb:,.0f} MB on disk{stored}. {self.basis}"

    def require_budget(self, home: Path | None) -> None:
        """Refuse what does not fit.

        Args:
            home: the folder of the store; ``None`` when nothing is stored.

        Raises:
            BudgetExceeded: when memory exceeds NTKVIZ_MEMORY_MB, or the disk has no room.
        """
        limit = memory_limit_mb()
        if self.memory_mb > limit:
            raise BudgetExceeded(
                f"The largest of these studies needs about {self.memory_mb:,.0f} MB of memory; {limit:,.0f} MB are allowed. "
                "Ask for fewer training points, or raise NTKVIZ_MEMORY_MB."
            )
        if home is None:
            return
        nearest = next(folder for folder in (home, *home.parents) if folder.exists())
        free = shutil.disk_usage(nearest).free / _MB
        if self.disk_mb * 1.2 > free:
            raise BudgetExceeded(
                f"These studies take about {self.disk_mb:,.0f} MB on the disk of {home}; {free:,.0f} MB are free. "
                "Delete studies that are no longer needed, or set NTKVIZ_HOME to a larger disk."
            )


def quote(specs: Sequence[StudySpec], *, home: Path | None = None) -> Quote:
    """Predict what studies will take, one after the other.

    Args:
        specs: the studies.
        home: the folder of the store, whose kernels cost nothing, and of the uploads; ``None`` means
            :func:`ntkviz.studies.store.ntkviz_home`.

    Returns:
        the quote. It is an estimate: within a factor of two on the bundled samples, and rougher for other networks.

    Raises:
        InvalidStudy: when a study is not possible.
        StoreCorrupted: when a subject's files cannot be read.
    """
    store = Store(home)
    rate = gemm_rate()
    speed = (RATE / rate) ** RATE_EXPONENT
    per_spec: list[dict[str, float]] = []
    memory, disk, n_stored = 0.0, 0.0, 0
    made: set[str] = set()
    computed = False
    for spec in specs:
        subject = find_subject(spec.subject_id, home=store.home)
        resolved, _ = spec.resolved(subject)
        key, kernel_key = resolved.keys(subject)
        has_study = key in made or store.has_study(key)
        has_kernel = kernel_key in made or store.has_kernel(kernel_key)
        stages, megabytes, stored = _study_cost(resolved, subject, speed, has_kernel=has_kernel, has_study=has_study)
        if computed and not (has_kernel or has_study):  # torch was imported by an earlier study of the same process
            stages |= {"load": 0.1 * stages["load"], "probe": 0.2 * stages["probe"], "self-check": 0.2 * stages["self-check"]}
        computed |= not (has_kernel or has_study)
        per_spec.append(stages)
        memory, disk, n_stored = max(memory, megabytes), disk + stored, n_stored + has_study
        made |= {key, kernel_key}
    per_stage = {stage: sum((stages[stage] for stages in per_spec), 0.0) for stage in STAGES}
    basis = f"Scaled from measured runs by this machine's {rate / 1e9:,.0f} GFLOP/s (float32)."
    return Quote(sum(per_stage.values()), memory, disk, per_stage, tuple(per_spec), n_stored, basis)


def _study_cost(
    spec: StudySpec, subject: Subject, speed: float, *, has_kernel: bool, has_study: bool
) -> tuple[dict[str, float], float, float]:
    """Stage -> seconds, MB of memory and MB on disk of one study."""
    n, m, c = spec.n_train or subject.n_train, spec.n_test or subject.n_test, subject.n_classes
    blocks_mb = 4.0 * (n * n + m * n) / _MB
    zero: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    if has_study:
        return zero, BASE_MB + 2 * blocks_mb, 0.0
    fit_seconds, copies = SURROGATES.get(spec.surrogate, SURROGATES["kglm"])
    fit_mb = BASE_MB + 2 * blocks_mb + copies * 8.0 * n * n / _MB
    own_mb = 8.0 * (n * c + 2 * m * c) / _MB + 0.05
    stages = zero | {
        "surrogate": speed * fit_seconds(n, c),
        "fidelity": speed * (FIXED_SECONDS["fidelity"] + FIDELITY_SECONDS * m),
        "save": FIXED_SECONDS["save"] + blocks_mb / _DISK_MB_A_SECOND,
    }
    if has_kernel:
        return stages, fit_mb, own_mb
    architecture = ARCHITECTURES.get(str(subject.architecture.get("name")), ARCHITECTURES["other"])
    kernel_seconds, kernel_mb = _kernel_cost(spec, subject, architecture, n, m)
    stages |= {
        "load": speed * FIXED_SECONDS["load"],
        "probe": speed * FIXED_SECONDS["probe"],
        "logits": speed * architecture.forward_seconds * (n + m),
        "self-check": speed * (FIXED_SECONDS["self-check"] + architecture.check_seconds),
        "kernel": speed * (FIXED_SECONDS["kernel"] + kernel_seconds),
    }
    points_mb = 4.0 * architecture.input_width * (subject.n_train + subject.n_test) / _MB
    memory_mb = TORCH_MB + points_mb + max(fit_mb, BASE_MB + kernel_mb)
    return stages, memory_mb, blocks_mb + own_mb + 4.0 * (n + m) * c / _MB


def _kernel_cost(spec: StudySpec, subject: Subject, architecture: Architecture, n: int, m: int) -> tuple[float, float]:
    """Seconds at the reference rate, and MB beside the base, of one kernel."""
    total, p = n + m, max(1, subject.n_parameters)
    sums_mb = 2 * 4.0 * (n * n + m * n) / _MB
    heads = {"trntk": subject.n_classes, "proj_trntk": subject.n_classes, "pntk": 1, "proj_pntk": 1, "lpntk": 1}.get(spec.kernel)
    if heads is None:
        width = {"ck": architecture.readout_width, "em": architecture.activation_width}.get(spec.kernel, architecture.input_width)
        passes = {"ck": 1.0, "em": architecture.n_modules}.get(spec.kernel, 0.0)
        return passes * architecture.forward_seconds * total + _gram(n, m, width), sums_mb + 3 * 4.0 * total * width / _MB
    room = max(64.0, kernel_memory_mb() - sums_mb)
    groups = max(1, ceil(4.0 * total * p / _MB / room))
    # Every group of columns goes through the network again; all groups together hold each gradient entry once.
    gradients = total * heads * (architecture.gradient_seconds * p + (groups - 1) * 3 * architecture.forward_seconds)
    features_mb = min(room, 4.0 * total * p / _MB) + architecture.chunk_mb
    if not spec.kernel.startswith("proj"):
        return gradients + _gram(n, m, heads * p), sums_mb + features_mb
    dim = int(spec.kernel_options.get("proj_dim") or 2048)  # type: ignore[arg-type]
    signs = heads * p * dim * (2.0 * total / RATE + SIGN_SECONDS)
    return gradients + signs + _gram(n, m, heads * dim), sums_mb + features_mb + 4.0 * total * heads * dim / _MB


def _gram(n: int, m: int, width: float) -> float:
    """Seconds of a Gram matrix of ``width`` columns: the upper triangle in tiles of 512 rows, and the rows."""
    return 2.0 * width * (n * min(n, 0.5 * (n + 512)) + n * m) / RATE


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
