"""The sentence that follows from the plane of imitation and truth, for this model.

Two attributions are compared by the interval of their difference, on the same draws of test points and subsets, and never by whether their
own intervals overlap: what makes a draw hard makes it hard for both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ntkviz.fidelity.lds import Difference
from ntkviz.studies.faithfulness import Measured


@dataclass(frozen=True)
class Standing:
    """How a study stands to the best of several in one measure.

    Attributes:
        value: of the measure.
        behind: the best one's value minus this; 0 for the best.
        low: lower end of the 95 % interval of that difference, on the same draws for both.
        high: upper end.
    """

    value: float
    behind: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether it is told apart from the best: the interval does not hold 0."""
        return self.low > 0 or self.high < 0


def lead(measure: str, standings: Mapping[str, Standing]) -> str:
    """Which study is best in a measure, from which it is told apart, and from which not.

    Args:
        measure: its title.
        standings: title of the study -> how it stands; at least two.
    """
    best = max(standings, key=lambda title: standings[title].value)
    others = {title: one for title, one in standings.items() if title != best}
    level = [f"{title} (difference {_span(one)})" for title, one in others.items() if not one.clear]
    behind = [f"{title} (by {_span(one)})" for title, one in others.items() if one.clear]
    text = f"{best} has the highest {measure}, {standings[best].value:.3f}"
    parts = [text + (f", and is told apart from {', '.join(behind)}" if behind else "")]
    if level:
        parts.append(f"It cannot be told apart from {', '.join(level)}")
    return ". ".join(parts) + "."


def conclusion(rows: Sequence[Measured]) -> str:
    """Which attribution has the highest LDS, what cannot be told apart from it, whether a control does as well, and how far the ceiling is.

    Args:
        rows: what :func:`ntkviz.studies.faithfulness.faithfulness` measured.
    """
    known = [row for row in rows if np.isfinite(row.lds)]
    ours = [row for row in known if not row.is_control]
    if not ours:
        return "None of these attributions could be compared with retraining: their sums or the retrained margins do not vary."
    best = max(ours, key=lambda row: row.lds)
    parts = [f"{best.title} reaches the highest LDS, {best.lds:.2f} ({best.truth.low:.2f} to {best.truth.high:.2f})"]
    if np.isfinite(best.truth.ceiling):
        parts[0] += f", where no attribution could exceed {best.truth.ceiling:.2f} because retrainings differ from seed to seed"
    parts.append(_rivals([row for row in ours if row is not best]))
    parts.append(_control([row for row in known if row.is_control]))
    parts.append(_imitation(best, ours))
    if best.truth.high < 0.3:
        parts.append("That is little: do not read any of these attributions as what would happen without an example")
    return ". ".join(part for part in parts if part) + "."


def _rivals(others: Sequence[Measured]) -> str:
    """Whether the best is told apart from the other attributions."""
    if not others:
        return ""
    second = max(others, key=lambda row: row.lds)
    if second.lead.clear:
        return f"It foretells better than the next, {second.title} (LDS {second.lds:.2f}), by {_by(second.lead)}"
    level = sum(not row.lead.clear for row in others)
    rest = f"; nor from {level - 1} more" if level > 1 else ""
    return f"It cannot be told apart from the next, {second.title}: LDS {second.lds:.2f}, difference {_by(second.lead)}{rest}"


def _control(controls: Sequence[Measured]) -> str:
    """How the strongest control stands to the best attribution, said plainly."""
    if not controls:
        return ""
    rival = max(controls, key=lambda row: row.lds)
    blind = "a single look at the network" if rival.surrogate else "looking at the point or the network"
    if not rival.lead.clear:
        return (
            f"It cannot be told apart from the strongest control, {rival.title}, which does without {blind}: LDS {rival.lds:.2f}, difference "
            f"{_by(rival.lead)}. So what is foretold here may be about the data and not about this network"
        )
    if rival.lead.value < 0:
        ahead = Difference(-rival.lead.value, -rival.lead.high, -rival.lead.low, 1 - rival.lead.share_better, rival.lead.n_points)
        return (
            f"A control foretells better: {rival.title} reaches {rival.lds:.2f}, more by {_by(ahead)}, without {blind}, so what is foretold here is "
            "about the data more than about this network"
        )
    return f"It foretells better than the strongest control, {rival.title} (LDS {rival.lds:.2f}), by {_by(rival.lead)}"


def _imitation(best: Measured, ours: Sequence[Measured]) -> str:
    """Whether the best imitation is also the truest."""
    imitators = [row for row in ours if np.isfinite(row.tau)]
    if not imitators:
        return ""
    top = max(imitators, key=lambda row: (row.tau, row.lds))
    if np.isclose(top.tau, best.tau):
        return f"The best also imitates the network best (tau {top.tau:.2f})"
    here = f"tau {best.tau:.2f}" if np.isfinite(best.tau) else "no surrogate"
    if top.lead.clear:
        return f"The best imitation is another one ({top.title}, tau {top.tau:.2f} against {here}), with an LDS of {top.lds:.2f} only"
    return f"The best imitation is {top.title} (tau {top.tau:.2f}, LDS {top.lds:.2f})"


def _by(found: Difference) -> str:
    """A difference with its interval."""
    return f"{found.value:.3f} ({_ends(found.low, found.high)})"


def _span(one: Standing) -> str:
    """How far behind, with its interval."""
    return f"{one.behind:.3f}, {_ends(one.low, one.high)}"


def _ends(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}" if np.isfinite([low, high]).all() else "no interval"
