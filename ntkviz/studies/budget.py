"""A time budget applied to a study: exact, or the best sketch that fits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ntkviz.errors import NtkvizError
from ntkviz.kernels.budget import Candidate, candidates, choose
from ntkviz.kernels.registry import kernels
from ntkviz.studies.costs import Kernel, costs_of
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.subjects import Subject


def within_budget(spec: StudySpec, subject: Subject, *, home: Path) -> tuple[StudySpec, str]:
    """The study that the budget buys.

    Args:
        spec: with or without a budget.
        subject: what it studies.
        home: the folder of the store; an exact kernel that is stored there needs no budget.

    Returns:
        A study without a budget, and the choice in a sentence; that sentence is empty when there was nothing to choose.

    Raises:
        BudgetExceeded: when nothing fits.
        InvalidStudy: when the sizes do not fit the subject.
        NtkvizError: when the subject cannot be measured.
    """
    if spec.budget_seconds is None:
        return spec, ""
    plain = replace(spec, budget_seconds=None)
    made, _ = plain.resolved(subject)
    if Store(home).has_kernel(made.keys(subject)[1]):
        return plain, ""
    choices = candidates(subject.n_classes)

    def seconds_of(candidate: Candidate) -> float:
        # The exact kernel often fits; only when it does not, all others are measured, in one process.
        asked = choices[:1] if candidate is choices[0] else choices
        costs = costs_of(subject, [_kernel(one) for one in asked], home=home)
        try:
            profile = costs.profile(_kernel(candidate))
        except NtkvizError:
            if candidate is choices[0]:
                raise
            return float("inf")
        return profile.seconds(made.n_train or 0, made.n_test or 0, costs.rates)

    chosen = choose(spec.budget_seconds, choices, seconds_of)
    return replace(plain, kernel=chosen.candidate.kind, kernel_options=dict(chosen.candidate.options)), chosen.sentence()


def _kernel(candidate: Candidate) -> Kernel:
    defaults: dict[str, Any] = {name: default for name, (default, _) in kernels()[candidate.kind].options.items()}
    return candidate.kind, {**defaults, **candidate.options}
