"""A study from beginning to end: load, check, kernel, surrogate, fidelity, save.

What the store has is not computed again: a finished study is opened, a finished kernel is taken up. Only the stages up to
the kernel import torch, so a second surrogate on a stored kernel runs without it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ntkviz.errors import SelfCheckFailed
from ntkviz.kernels.blocks import KernelBlocks
from ntkviz.studies.budget import within_budget
from ntkviz.studies.machine import kernel_memory_mb, peak_memory_mb, reset_peak_memory
from ntkviz.studies.points import Points
from ntkviz.studies.shelf import Shelf
from ntkviz.studies.spec import InvalidStudy, StudySpec
from ntkviz.studies.store import Store, ntkviz_home
from ntkviz.studies.study import KernelRun, Study, figures
from ntkviz.studies.subjects import Subject, find_subject, load_subject_model, subject_data
from ntkviz.studies.tiled import goes_by_tiles, kernel_by_tiles
from ntkviz.types import ProgressFn, silent

if TYPE_CHECKING:
    from torch import nn

#: The stages in their order, as they are reported, timed and quoted.
STAGES = ("load", "probe", "logits", "self-check", "kernel", "surrogate", "fidelity", "save")
#: The probes look at a few points only: they find what depends on chance or on the batch, not how good the network is.
PROBE_POINTS = 16


def run_study(
    spec: StudySpec, *, store: Store | None = None, on_progress: ProgressFn | None = None, home: Path | None = None
) -> Study:
    """Make a study, or open it when the store has it.

    Args:
        spec: what to study and how.
        store: keeps kernels and studies; ``None`` computes in memory and keeps nothing.
        on_progress: called as ``on_progress(stage, fraction)`` with a stage of :data:`STAGES`; it may raise
            :class:`JobCancelled`, which stops the study.
        home: the folder with the uploads when there is no store; ``None`` means that of the store, or
            :func:`ntkviz.studies.store.ntkviz_home`.

    Returns:
        the study. From a store it is the same, bit for bit, as when it was computed.

    Raises:
        InvalidStudy: when the sizes do not fit the subject, or an option is refused.
        NonDeterministicModel: when two passes of the network differ.
        BatchDependentModel: when a sample's output depends on its batch.
        UnsupportedModel: when the network cannot be treated correctly.
        SelfCheckFailed: when the kernel differs from the float64 reference.
        SurrogateDiverged: when the fit does not end in finite values.
        BudgetExceeded: when memory or disk do not suffice.
        StoreCorrupted: when a stored file is missing or altered.
        JobCancelled: when ``on_progress`` raised it.
    """
    report = on_progress or silent
    subject = find_subject(spec.subject_id, home=home if store is None else store.home)
    spec, bought = within_budget(spec, subject, home=store.home if store is not None else home or ntkviz_home())
    made, asked = spec.resolved(subject)
    key, kernel_key = made.keys(subject)
    if store is not None and store.has_study(key):
        report("load", 0.0)
        study = store.load_study(key)
        report("save", 1.0)
    else:
        study = _make(made, subject, key, kernel_key, store, report, notes=(bought,) if bought else ())
    told = (bought,) if bought and bought not in study.notes else ()
    return replace(study, notes=(*asked, *told, *study.notes))


def _make(
    spec: StudySpec,
    subject: Subject,
    key: str,
    kernel_key: str,
    store: Store | None,
    report: ProgressFn,
    *,
    notes: tuple[str, ...],
) -> Study:
    """Compute the study on a stored or a new kernel, and keep it with some notes on why it is this one."""
    reset_peak_memory()
    clock = _Clock(report)
    if store is not None and store.has_kernel(kernel_key):
        with clock.stage("load"):
            run = store.load_kernel(kernel_key)
    else:
        shelf = None if store is None else Shelf(store.home, kernel_key)
        run = _compute_kernel(spec, subject, kernel_key, clock, shelf)
        if store is not None and shelf is not None:
            with clock.stage("save"):
                store.save_kernel(run)
                shelf.clear()
            run = store.load_kernel(kernel_key)  # from here on a new kernel and a stored one are the same thing
    study = _fit(spec, subject, key, run, clock)
    study = replace(study, notes=(*notes, *study.notes))
    if store is None:
        return study
    with clock.stage("save"):
        store.save_study(study)
    return replace(store.load_study(key), seconds={**study.seconds, "save": clock.seconds["save"]})


def _compute_kernel(spec: StudySpec, subject: Subject, kernel_key: str, clock: "_Clock", shelf: Shelf | None) -> KernelRun:
    """All that needs torch."""
    with clock.stage("load"):
        data = subject_data(subject.id, home=subject.home)
        model = load_subject_model(subject.id, home=subject.home)
    points = Points.draw(data, spec)
    with clock.stage("probe"):
        from ntkviz.models.probes import require_sound

        require_sound(model, points.x_train[:PROBE_POINTS])
    with clock.stage("logits") as tell:
        from ntkviz.models.probes import logits_of

        share = len(points.x_train) / (len(points.x_train) + len(points.x_test))
        logits_train = logits_of(model, points.x_train, on_progress=lambda _, fraction: tell(fraction * share))
        logits_test = logits_of(model, points.x_test, on_progress=lambda _, fraction: tell(share + fraction * (1 - share)))
    with clock.stage("self-check"):
        check = _self_check(model, points.x_train)
    with clock.stage("kernel") as tell, _asked_for():
        blocks = _kernel(spec, model, points, shelf, lambda _, fraction: tell(fraction))
    return KernelRun(
        key=kernel_key,
        class_names=data.class_names,
        blocks=blocks,
        train_index=points.train_index,
        test_index=points.test_index,
        y_train=points.y_train,
        y_test=points.y_test,
        logits_train=np.asarray(logits_train, dtype=np.float32),
        logits_test=np.asarray(logits_test, dtype=np.float32),
        self_check=check,
        seconds=clock.taken(),
        peak_mb=peak_memory_mb(),
    )


def _kernel(spec: StudySpec, model: "nn.Module", points: Points, shelf: Shelf | None, on_progress: ProgressFn) -> KernelBlocks:
    """The raw kernel, whole or by tiles."""
    options: dict[str, Any] = dict(spec.kernel_options)
    if goes_by_tiles(spec.kernel, options, len(points.x_train)):
        return kernel_by_tiles(
            model,
            points.x_train,
            points.x_test,
            spec=spec,
            shelf=shelf,
            memory_mb=kernel_memory_mb(),
            on_progress=on_progress,
        )
    from ntkviz.kernels.matrix import kernel_blocks

    return kernel_blocks(
        model,
        points.x_train,
        points.x_test,
        kind=spec.kernel,
        y_train=points.y_train,
        y_test=points.y_test,
        seed=spec.seed,
        memory_mb=kernel_memory_mb(),
        on_progress=on_progress,
        **options,
    )


def _fit(spec: StudySpec, subject: Subject, key: str, run: KernelRun, clock: "_Clock") -> Study:
    """The surrogate on a kernel, and its fidelity. No torch."""
    from ntkviz.fidelity.fidelity import fidelity
    from ntkviz.studies.fitting import fit_points

    with clock.stage("surrogate") as tell, _asked_for():
        blocks = run.blocks.normalised() if spec.normalize else run.blocks
        surrogate = fit_points(
            spec.surrogate,
            blocks.train,
            blocks.rows,
            labels=(run.y_train, run.y_test),
            logits=(run.logits_train, run.logits_test),
            seed=spec.seed,
            settings=spec.surrogate_options,
            on_progress=lambda _, fraction: tell(fraction),
        )
        surrogate_logits = surrogate.decision_function(blocks.rows)
    with clock.stage("fidelity"):
        found = fidelity(run.logits_test, surrogate_logits, run.y_test, seed=spec.seed)
    return Study(
        spec=spec,
        key=key,
        kernel_key=run.key,
        name=subject.title,
        kind=subject.kind,
        class_names=run.class_names,
        train_index=run.train_index,
        test_index=run.test_index,
        y_train=run.y_train,
        y_test=run.y_test,
        kernel=blocks.train,
        rows=blocks.rows,
        logits_train=run.logits_train,
        logits_test=run.logits_test,
        surrogate=surrogate,
        surrogate_logits=surrogate_logits,
        fidelity=found,
        seconds={**run.seconds, **{stage: clock.seconds[stage] for stage in ("surrogate", "fidelity")}},
        peak_mb=max(run.peak_mb, peak_memory_mb()),
        self_check=run.self_check,
        notes=(*blocks.notes, *surrogate.notes),
    )


def _self_check(model: "nn.Module", x: np.ndarray) -> dict:
    """The report on three points against the float64 reference.

    Raises:
        SelfCheckFailed: when they differ by more than the tolerance.
    """
    from ntkviz.gradients.selfcheck import self_check

    found = self_check(model, x)
    if not found.passed:
        raise SelfCheckFailed(
            f"The kernel of {found.n_points} points differs from the float64 reference by {found.max_relative_error:.1e}; "
            f"expected at most {found.tolerance:.1e}. No kernel is made. Please report the architecture."
        )
    return figures(found)


@contextmanager
def _asked_for() -> Iterator[None]:
    """What the rooms below say of an option or of inputs that they cannot take is an answer to who asked for the study.

    Raises:
        InvalidStudy: in place of their ValueError.
    """
    try:
        yield
    except InvalidStudy:
        raise
    except ValueError as error:
        raise InvalidStudy(str(error)) from error


class _Clock:
    """Times the stages and tells of their progress."""

    def __init__(self, report: ProgressFn) -> None:
        self.report = report
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator["_Tell"]:
        """Time a stage.

        Yields:
            What is called with the stage's fraction.
        """
        self.report(name, 0.0)
        began = time.perf_counter()
        yield _Tell(self.report, name)
        # A stage that is entered twice (the kernel is saved, then the study) has the sum.
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
        self.report(name, 1.0)

    def taken(self) -> dict[str, float]:
        """Seconds of the stages so far."""
        return dict(self.seconds)


class _Tell:
    """Passes on a stage's fraction, which never runs backwards (a stage may count several things from zero)."""

    def __init__(self, report: ProgressFn, stage: str) -> None:
        self.report, self.stage, self.highest = report, stage, 0.0

    def __call__(self, fraction: float) -> None:
        self.highest = max(self.highest, min(1.0, fraction))
        self.report(self.stage, self.highest)
