"""Imitation and truth side by side: every kernel, surrogate and attribution of a study as one row, its controls among them.

Imitation is Kendall's tau of the log-odds, network against surrogate (:mod:`ntkviz.fidelity.fidelity`). Truth is the LDS against networks that
were trained again on parts of the training set (:mod:`ntkviz.fidelity.lds`). Both are measured on the same test points: those that
the study and the retrainings share.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ntkviz.explain.attribute import attribute
from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.log_odds import on_log_odds
from ntkviz.explain.registry import attributions
from ntkviz.fidelity.fidelity import fidelity
from ntkviz.fidelity.lds import Comparison, Difference, Lds, compare
from ntkviz.kernels.registry import kernels
from ntkviz.studies.aligned import Aligned, aligned
from ntkviz.studies.fitting import ANSWERING, fit_points
from ntkviz.studies.study import Study
from ntkviz.surrogates.registry import surrogates
from ntkviz.surrogates.surrogate import DistilledSurrogate, Surrogate
from ntkviz.truth.truth import Truth
from ntkviz.types import ProgressFn, silent

#: What is measured for each kernel by default: surrogate -> attributions of it. "" stands for attributions without a surrogate.
PLAN: dict[str, tuple[str, ...]] = {
    "klr": ("removal_klr", "share"),
    "ridge": ("removal_ridge", "additive_removal", "share"),
    "ridge_logits": ("removal_ridge", "share"),
    "kglm": ("share",),
    "": ("kernel",),
}
#: Of a kernel without a network only this is measured: the strongest rival that knows no network.
_CONTROL_PLAN = {"klr": ("removal_klr",)}
#: Kernels that see the inputs and no network.
WITHOUT_NETWORK = ("inputs", "rbf")
_NAN = float("nan")
_NO_LEAD = Difference(_NAN, _NAN, _NAN, _NAN, 0)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A kernel to measure, on the points of a study.

    Attributes:
        key: of the kernel registry.
        title: for legends; the form of the kernel (cosine or raw) in it.
        train: ``[N, N]``.
        rows: ``[M, N]``.
        fitted: surrogates that are there already; others are fitted with their default options.
        control: whether it knows no network.
    """

    key: str
    title: str
    train: np.ndarray
    rows: np.ndarray
    fitted: tuple[Surrogate, ...] = ()
    control: bool = False


@dataclass(frozen=True, eq=False)
class Measured:
    """One point of the plane.

    Attributes:
        kernel: key of the kernel; empty for a rule that uses none.
        surrogate: key of the surrogate; empty for an attribution without one.
        attribution: key of the attribution.
        title: all of it in words.
        tau: imitation; NaN when there is no surrogate.
        tau_low: lower end of its 95 % interval.
        tau_high: upper end.
        truth: LDS with its intervals and its ceiling.
        seconds: of the fit and of the effects on all test points.
        is_control: whether it knows no network, or no single point.
        lead: how far the best attribution that is no control is ahead of this one, on the same draws; 0 for that one itself.
    """

    kernel: str
    surrogate: str
    attribution: str
    title: str
    tau: float
    tau_low: float
    tau_high: float
    truth: Lds
    seconds: float
    is_control: bool
    lead: Difference = _NO_LEAD

    @property
    def key(self) -> str:
        """Names the row."""
        return "/".join((self.kernel or "none", self.surrogate or "none", self.attribution))

    @property
    def lds(self) -> float:
        """The LDS."""
        return self.truth.value


@dataclass(frozen=True, eq=False)
class _Row:
    """A row before its truth is known."""

    row: Measured
    effects: np.ndarray  # [m, N]


def candidate(study: Study) -> Candidate:
    """The study's own kernel, with its surrogate."""
    form = "cosine" if study.spec.normalize else "raw"
    info = kernels()[study.spec.kernel]
    return Candidate(
        key=study.spec.kernel,
        title=f"{info.title}, {form}",
        train=study.kernel,
        rows=study.rows,
        fitted=(study.surrogate,),
        control=study.spec.kernel in WITHOUT_NETWORK,
    )


def faithfulness(
    study: Study,
    truth: Truth,
    others: Sequence[Candidate] = (),
    *,
    plan: dict[str, tuple[str, ...]] | None = None,
    n_draws: int = 400,
    seed: int = 0,
    on_progress: ProgressFn = silent,
) -> list[Measured]:
    """Measure imitation and truth of a study's kernel, of other kernels on the same points, and of the controls.

    Args:
        study: the study.
        truth: retrainings of its network.
        others: further kernels on the study's points, :func:`ntkviz.studies.control.control_kernel` among them.
        plan: surrogate -> attributions to measure; :data:`PLAN` by default.
        n_draws: resamples behind the intervals.
        seed: of the resamples, and of what the fits draw.
        on_progress: called with ("faithfulness", fraction); may raise ``JobCancelled``.

    Returns:
        The rows, the study's own kernel first, the rule "same class" last.

    Raises:
        InvalidStudy: when the retrainings are not of this study's points.
    """
    points = aligned(study, truth)
    all_kernels = [candidate(study), *others]
    made: list[_Row] = []
    for place, one in enumerate(all_kernels):
        on_progress("faithfulness", 0.9 * place / len(all_kernels))
        made.extend(_of_kernel(study, one, points, plan or PLAN, seed))
    made.append(_same_class(study, points))
    on_progress("faithfulness", 0.9)
    found = compare(
        [row.effects for row in made], points.masks, points.margins, seed=seed, n_draws=n_draws, classes=study.y_train
    )
    on_progress("faithfulness", 1.0)
    return with_truth([row.row for row in made], found)


def with_truth(rows: Sequence[Measured], found: Comparison) -> list[Measured]:
    """The rows with their LDS, and each with its distance from the best that is no control.

    Args:
        rows: K rows.
        found: the comparison of their effects, in the same order.
    """
    known = [replace(row, truth=one) for row, one in zip(rows, found.found, strict=True)]
    ours = [place for place, row in enumerate(known) if not row.is_control and np.isfinite(row.lds)]
    if not ours:
        return known
    best = max(ours, key=lambda place: known[place].lds)
    return [replace(row, lead=found.difference(best, place)) for place, row in enumerate(known)]


def _of_kernel(study: Study, one: Candidate, points: Aligned, plan: dict[str, tuple[str, ...]], seed: int) -> list[_Row]:
    """All rows of one kernel."""
    rows = []
    for kind, attribution_kinds in (_CONTROL_PLAN if one.control else plan).items():
        began = time.perf_counter()
        surrogate = _surrogate(study, one, kind, seed)
        fit_seconds = time.perf_counter() - began
        tau = (_NAN, _NAN, _NAN) if not kind else _tau(study, one, surrogate, points)
        for attribution in attribution_kinds:
            began = time.perf_counter()
            effects = effects_on_label(study, one, surrogate, attribution, points)
            seconds = fit_seconds + time.perf_counter() - began
            rows.append(_row(one, surrogate if kind else None, attribution, tau, seconds, effects))
    return rows


def _row(
    one: Candidate,
    surrogate: Surrogate | None,
    attribution: str,
    tau: tuple[float, float, float],
    seconds: float,
    effects: np.ndarray,
) -> _Row:
    name = "inputs" if one.control and attribution == "removal_klr" else attribution
    info = attributions()[name]
    kind = "" if surrogate is None else surrogate.kind
    distilled = ", distilled" if isinstance(surrogate, DistilledSurrogate) else ""
    parts = [one.title, surrogates()[kind].title + distilled if kind else "", info.title]
    row = Measured(
        kernel=one.key,
        surrogate=kind,
        attribution=name,
        title=" · ".join(part for part in parts if part),
        tau=tau[0],
        tau_low=tau[1],
        tau_high=tau[2],
        truth=_UNKNOWN,
        seconds=seconds,
        is_control=one.control or info.control,
    )
    return _Row(row, effects)


def _same_class(study: Study, points: Aligned) -> _Row:
    """The rule that examples of a class support it."""
    began = time.perf_counter()
    same = (study.y_train == study.y_test[points.test][:, None]).astype(np.float64)
    title = attributions()["same_class"].title
    seconds = time.perf_counter() - began
    return _Row(Measured("", "", "same_class", title, _NAN, _NAN, _NAN, _UNKNOWN, seconds, is_control=True), same)


def _surrogate(study: Study, one: Candidate, kind: str, seed: int) -> Surrogate:
    """The surrogate of a kind on a kernel: one that is there, or a new fit.

    ``klr`` is fitted as where pages answer with it, others with their default options.
    """
    there = [fit for fit in one.fitted if fit.kind == kind]
    if there:
        return there[0]
    if not kind and one.fitted:  # attributions without a surrogate ask it for its shape only
        return one.fitted[0]
    wanted = kind or "ridge"
    labels, logits = (study.y_train, study.y_test), (study.logits_train, study.logits_test)
    settings = ANSWERING if wanted == "klr" else {}
    return fit_points(wanted, one.train, one.rows, labels=labels, logits=logits, seed=seed, settings=settings)


def effects_on_label(study: Study, one: Candidate, surrogate: Surrogate, attribution: str, points: Aligned) -> np.ndarray:
    """What an attribution says of the log-odds of the true class, ``[m, N]``, at the points that were retrained.

    Args:
        study: the study.
        one: the kernel.
        surrogate: fitted to it.
        attribution: key of the registry.
        points: which test points.
    """
    rows, logits, labels = one.rows[points.test], study.logits_test[points.test], study.y_test[points.test]
    if attribution in ("removal_klr", "removal_ridge"):  # factored once, for one statement a point: C times less than attribute()
        ready = RemovalEffects.of_surrogate(surrogate, one.train, study.y_train)
        return ready.on_log_odds(rows, logits, labels)
    given: dict[str, Any] = {"kernel": one.train, "labels": study.y_train}
    needed = {name: given[name] for name in attributions()[attribution].needs}
    found = attribute(surrogate, rows, kind=attribution, **needed)
    if attribution == "kernel":  # the same for every class: the contrast of equal parts would be 0
        return found[:, 0]
    return on_log_odds(found, attribution, logits, labels)


def _tau(study: Study, one: Candidate, surrogate: Surrogate, points: Aligned) -> tuple[float, float, float]:
    """Kendall's tau with its interval, on the same test points as the LDS."""
    at = points.test
    found = fidelity(study.logits_test[at], surrogate.decision_function(one.rows[at]), study.y_test[at], seed=study.spec.seed)
    return (found.kendall_tau, *found.intervals["kendall_tau"])


_UNKNOWN = Lds(_NAN, _NAN, _NAN, _NAN, _NAN, np.empty(0), _NAN, _NAN)
