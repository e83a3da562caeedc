"""The sentence that follows from the plane of imitation and truth, for this model."""

from collections.abc import Sequence

import numpy as np

from ntkviz.studies.faithfulness import Measured


def conclusion(rows: Sequence[Measured]) -> str:
    """Which attribution retraining confirms best, whether a control does better, and how far from the ceiling it is.

    Args:
        rows: what :func:`ntkviz.studies.faithfulness.faithfulness` measured.
    """
    known = [row for row in rows if np.isfinite(row.lds)]
    ours = [row for row in known if not row.is_control]
    if not ours:
        return "None of these attributions could be compared with retraining: their sums or the retrained margins do not vary."
    best = max(ours, key=lambda row: row.lds)
    parts = [f"Retraining confirms {best.title} best: LDS {best.lds:.2f} ({best.truth.low:.2f} to {best.truth.high:.2f})"]
    if np.isfinite(best.truth.ceiling):
        parts[0] += f", where no attribution could exceed {best.truth.ceiling:.2f} because retrainings differ from seed to seed"
    parts.append(_control(best, [row for row in known if row.is_control]))
    parts.append(_imitation(best, ours))
    if best.truth.high < 0.3:
        parts.append("That is little: do not read any of these attributions as what would happen without an example")
    return ". ".join(part for part in parts if part) + "."


def _control(best: Measured, controls: Sequence[Measured]) -> str:
    """How the best control stands to the best attribution, said plainly."""
    if not controls:
        return ""
    rival = max(controls, key=lambda row: row.lds)
    if rival.lds > best.lds:
        clear = rival.truth.low > best.truth.high
        word = "A control does better" if clear else "A control does as well or better"
        return (
            f"{word}: {rival.title} reaches {rival.lds:.2f} ({rival.truth.low:.2f} to {rival.truth.high:.2f}) without "
            f"{'a single look at the network' if rival.surrogate else 'looking at the point or the network'}, so what is foretold here is about the data "
            "more than about this network"
        )
    return f"The best control, {rival.title}, reaches {rival.lds:.2f}"


def _imitation(best: Measured, ours: Sequence[Measured]) -> str:
    """Whether the best imitation is also the truest."""
    imitators = [row for row in ours if np.isfinite(row.tau)]
    if not imitators:
        return ""
    top = max(imitators, key=lambda row: (row.tau, row.lds))
    if np.isclose(top.tau, best.tau):
        return f"It also imitates the network best (tau {top.tau:.2f})"
    here = f"tau {best.tau:.2f}" if np.isfinite(best.tau) else "no surrogate"
    return (
        f"The best imitation is another one ({top.title}, tau {top.tau:.2f} against {here}), with an LDS of {top.lds:.2f} only"
        if (top.lds < best.truth.low)
        else f"The best imitation is {top.title} (tau {top.tau:.2f}, LDS {top.lds:.2f})"
    )
