"""What studies will take, before they run: seconds, memory and disk.

The stages up to the kernel are computed from what was measured of the network and of this machine
(:mod:`ntkviz.studies.costs`), those after it from the sizes and this machine's rate of matrix products. Kernels and studies that are
stored cost nothing, and of them nothing is measured.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ntkviz.errors import BudgetExceeded, NtkvizError
from ntkviz.studies.budget import within_budget
from ntkviz.studies.cost import (
    AGAIN,
    BASE_MB,
    ENGINE_RATE,
    FIDELITY_SECONDS,
    FIXED_SECONDS,
    LEARN_MB,
    RATE,
    RATE_EXPONENT,
    SURROGATES,
)
from ntkviz.studies.costs import Costs, Kernel, are_known, costs_of
from ntkviz.studies.machine import gemm_rate, memory_limit_mb
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
        choices: for each study with a time budget what was chosen, in a sentence.
    """

    seconds: float
    memory_mb: float
    disk_mb: float
    per_stage: dict[str, float]
    per_spec: tuple[dict[str, float], ...]
    n_stored: int
    basis: str
    choices: tuple[str, ...] = ()

    def sentence(self) -> str:
        """The quote for a person."""
        stored = f"; {self.n_stored} of {len(self.per_spec)} are stored already" if self.n_stored else ""
        return f"About {_span(self.seconds)}, {self.memory_mb:,.0f} MB of memory and {self.disk_mb:,.0f} MB on disk{stored}. {' '.join((*self.choices, self.basis))}"

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


@dataclass(frozen=True)
class _Planned:
    """One study to be quoted.

    Attributes:
        spec: with every size and option written out.
        subject: what it studies.
        has_kernel: whether the kernel is stored, or made by an earlier study.
        has_study: likewise.
        first: whether it is the first that loads the network.
    """

    spec: StudySpec
    subject: Subject
    has_kernel: bool
    has_study: bool
    first: bool

    @property
    def kernel(self) -> Kernel:
        """Kind and options."""
        return self.spec.kernel, self.spec.kernel_options

    @property
    def computes(self) -> bool:
        """Whether a kernel is computed."""
        return not (self.has_kernel or self.has_study)


def quote(specs: Sequence[StudySpec], *, home: Path | None = None) -> Quote:
    """Predict what studies will take, one after the other.

    Args:
        specs: the studies.
        home: the folder of the store, whose kernels cost nothing, and of the uploads; ``None`` means
            :func:`ntkviz.studies.store.ntkviz_home`.

    Returns:
        the quote. What a network and a kernel cost is measured when it is first asked for, which takes some seconds; after that
        a quote is immediate.

    Raises:
        InvalidStudy: when a study is not possible.
        StoreCorrupted: when a subject's files cannot be read.
        UnsupportedModel: when the network cannot be treated correctly.
        SelfCheckFailed: likewise.
        BudgetExceeded: when a time budget is too small for any kernel.
        NtkvizError: when the process that measures fails.
    """
    store = Store(home)
    chosen, choices = [], []
    for spec in specs:
        study, choice = within_budget(spec, find_subject(spec.subject_id, home=store.home), home=store.home)
        chosen.append(study)
        choices += [choice] if choice else []
    planned = _planned(chosen, store)
    costs = {name: costs_of(subject, kernels, home=store.home) for name, (subject, kernels) in _to_measure(planned).items()}
    speed = _slowness(costs)
    per_spec: list[dict[str, float]] = []
    memory, disk = 0.0, 0.0
    for one in planned:
        stages, megabytes, stored = _study_cost(one, costs.get(one.subject.id), speed)
        per_spec.append(stages)
        memory, disk = max(memory, megabytes), disk + stored
    per_stage = {stage: sum((stages[stage] for stages in per_spec), 0.0) for stage in STAGES}
    return Quote(
        sum(per_stage.values()),
        memory,
        disk,
        per_stage,
        tuple(per_spec),
        sum(one.has_study for one in planned),
        _basis(planned, costs),
        tuple(dict.fromkeys(choices)),
    )


def quote_at_once(specs: Sequence[StudySpec], *, home: Path | None = None) -> Quote | None:
    """The quote when nothing has to be measured for it, otherwise ``None``: for places that must not wait.

    Args:
        specs: the studies, without time budgets.
        home: see :func:`quote`.

    Returns:
        The quote or ``None``.

    Raises:
        NtkvizError: see :func:`quote`.
    """
    store = Store(home)
    needed = _to_measure(_planned(specs, store)).values()
    if any(spec.budget_seconds for spec in specs) or not all(are_known(*one, home=store.home) for one in needed):
        return None
    return quote(specs, home=home)


def _planned(specs: Iterable[StudySpec], store: Store) -> list[_Planned]:
    """What each study finds stored, or made by those before it."""
    made: set[str] = set()
    found: list[_Planned] = []
    for spec in specs:
        subject = find_subject(spec.subject_id, home=store.home)
        resolved, _ = spec.resolved(subject)
        key, kernel_key = resolved.keys(subject)
        has_study = key in made or store.has_study(key)
        has_kernel = kernel_key in made or store.has_kernel(kernel_key)
        found.append(_Planned(resolved, subject, has_kernel, has_study, not any(one.computes for one in found)))
        made |= {key, kernel_key}
    return found


def _to_measure(planned: Sequence[_Planned]) -> dict[str, tuple[Subject, list[Kernel]]]:
    """Subject -> the kernels of it that will be computed."""
    needed: dict[str, tuple[Subject, list[Kernel]]] = {}
    for one in planned:
        if one.computes:
            needed.setdefault(one.subject.id, (one.subject, []))[1].append(one.kernel)
    return needed


def _slowness(costs: dict[str, Costs]) -> float:
    """How much longer than on the machine of the constants the stages after the kernel take; kept rates are steadier than a new one."""
    if costs:
        return (ENGINE_RATE / next(iter(costs.values())).rates.flops) ** RATE_EXPONENT
    return (RATE / gemm_rate()) ** RATE_EXPONENT


def _study_cost(planned: _Planned, costs: Costs | None, speed: float) -> tuple[dict[str, float], float, float]:
    """Stage -> seconds, MB of memory and MB on disk of one study."""
    spec, subject = planned.spec, planned.subject
    n, m, c = spec.n_train or subject.n_train, spec.n_test or subject.n_test, subject.n_classes
    blocks_mb = 4.0 * (n * n + m * n) / _MB
    stages: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    if planned.has_study:
        return stages, BASE_MB + 2 * blocks_mb, 0.0
    fit_seconds, copies = SURROGATES.get(spec.surrogate, SURROGATES["kglm"])
    fit_mb = LEARN_MB + 2 * blocks_mb + copies * 8.0 * n * n / _MB
    own_mb = 8.0 * (n * c + 2 * m * c) / _MB + 0.05
    stages |= {
        "surrogate": speed * fit_seconds(n, c),
        "fidelity": speed * (FIXED_SECONDS["fidelity"] + FIDELITY_SECONDS * m),
        "save": FIXED_SECONDS["save"] + blocks_mb / _DISK_MB_A_SECOND,
    }
    if costs is None or not planned.computes:
        return stages, BASE_MB - LEARN_MB + fit_mb, own_mb
    seconds, kernel_mb = _kernel_cost(planned, costs, n, m)
    measured = {"load": costs.subject.load, "probe": costs.subject.probe, "self-check": costs.subject.self_check}
    stages |= {stage: value * (1.0 if planned.first else AGAIN[stage]) for stage, value in measured.items()}
    stages |= {"logits": costs.subject.forward * (n + m), "kernel": seconds}
    points_mb = 3 * costs.subject.input_bytes * (n + m) / _MB  # drawn, as tensors, and all in one
    memory_mb = costs.subject.base_mb + points_mb + max(fit_mb, kernel_mb)
    return stages, memory_mb, blocks_mb + own_mb + 4.0 * (n + m) * c / _MB


def _kernel_cost(planned: _Planned, costs: Costs, n: int, m: int) -> tuple[float, float]:
    """Seconds and MB of the kernel; nothing where measuring it failed for no reason that would stop the study.

    Raises:
        NtkvizError: for such a reason.
    """
    try:
        profile = costs.profile(planned.kernel)
    except NtkvizError as error:
        if type(error) is not NtkvizError:
            raise
        return 0.0, 0.0
    return profile.seconds(n, m, costs.rates), profile.memory_mb(n, m)


def _basis(planned: Sequence[_Planned], costs: dict[str, Costs]) -> str:
    """What the quote rests on."""
    if not costs:
        return f"By the sizes, and this machine's {gemm_rate() / 1e9:,.0f} GFLOP/s (float32)."
    rate = next(iter(costs.values())).rates.flops
    unknown = {one.spec.kernel for one in planned if one.computes and not costs[one.subject.id].is_measured(one.kernel)}
    without = f" Without the kernel {', '.join(sorted(unknown))}, which could not be measured." if unknown else ""
    return f"Measured on this machine: some points of the network, and {rate / 1e9:,.0f} GFLOP/s (float32).{without}"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
