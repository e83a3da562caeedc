"""Exact or a sketch: which kernel a time budget buys. Imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass

from ntkviz.errors import BudgetExceeded

#: Of the hybrid kernel, from the most accurate.
SKETCH_DIMS = (8192, 2048, 512)

Options = dict[str, int | None]


@dataclass(frozen=True)
class Candidate:
    """A kernel that stands for the trace NTK.

    Attributes:
        kind: key of the registry.
        options: those that differ from the defaults.
        words: what it is, within a sentence.
    """

    kind: str
    options: Options
    words: str


@dataclass(frozen=True)
class Chosen:
    """What a budget buys.

    Attributes:
        candidate: the kernel.
        seconds: that it is expected to take.
        exact_seconds: that the trace NTK would take.
        budget_seconds: that were given.
    """

    candidate: Candidate
    seconds: float
    exact_seconds: float
    budget_seconds: float

    @property
    def exact(self) -> bool:
        """Whether it is the trace NTK itself."""
        return self.candidate.kind == "trntk"

    def sentence(self) -> str:
        """The choice for a person."""
        if self.exact:
            return f"The exact trace NTK fits in the budget of {_span(self.budget_seconds)}: about {_span(self.seconds)}."
        return (
            f"The exact trace NTK would take about {_span(self.exact_seconds)}, more than the budget of {_span(self.budget_seconds)}; "
            f"chosen instead: {self.candidate.words}, about {_span(self.seconds)}."
        )


def candidates(n_classes: int) -> list[Candidate]:
    """The exact kernel, then its approximations from the most accurate to the cheapest.

    Args:
        n_classes: C.
    """
    found = [Candidate("trntk", {}, "the exact trace NTK")]
    found += [
        Candidate("hybrid_trntk", {"sketch_dim": dim}, f"the hybrid trace NTK with gradients folded into {dim:,} numbers")
        for dim in SKETCH_DIMS
    ]
    dim, mixes = SKETCH_DIMS[-1], n_classes // 2
    while mixes >= 1:
        words = f"the hybrid trace NTK of {mixes} random {'mixes' if mixes > 1 else 'mix'} of the {n_classes} logits, folded into {dim:,} numbers"
        found.append(Candidate("hybrid_trntk", {"sketch_dim": dim, "n_mixes": mixes}, words))
        mixes //= 2
    return [*found, Candidate("pntk", {}, "the pseudo NTK, one gradient a point, which is another kernel and no estimate")]


def choose(budget_seconds: float, choices: list[Candidate], seconds_of: Callable[[Candidate], float]) -> Chosen:
    """The first candidate that fits.

    Args:
        budget_seconds: for the kernel.
        choices: from the best; the first is exact.
        seconds_of: what a candidate is expected to take; infinite where it is not possible. Asked only as far as needed.

    Returns:
        The choice.

    Raises:
        BudgetExceeded: when none fits, with the seconds of the cheapest.
    """
    asked: list[float] = []
    for candidate in choices:
        asked.append(seconds_of(candidate))
        if asked[-1] <= budget_seconds:
            return Chosen(candidate, asked[-1], asked[0], budget_seconds)
    cheapest = min(range(len(asked)), key=asked.__getitem__)
    raise BudgetExceeded(
        f"No kernel fits in the budget of {_span(budget_seconds)}: the exact trace NTK takes about {_span(asked[0])}, and "
        f"{choices[cheapest].words} about {_span(asked[cheapest])}. Ask for fewer points, or for more time."
    )


def _span(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
