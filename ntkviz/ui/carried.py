"""How many training examples carry a sum: a row of figures and the curve, for shares and for removal effects."""

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.explain.concentration import concentration
from ntkviz.figures import attribution
from ntkviz.ui import layout
from ntkviz.ui.text import percent


def concentration_metrics(values: np.ndarray, name: str) -> None:
    """Half of all, four fifths, the effective number and the cancellation, in a row.

    Args:
        values: ``[N]``, not all 0.
        name: what they are, e.g. "shares".
    """
    c = concentration(values)
    facts = [
        (
            f"Half of all |{name}|",
            f"{c.n50:,} examples",
            f"n50: the strongest examples that hold half of the sum of absolute {name}.",
        ),
        ("80 %", f"{c.n80:,} examples", "n80."),
        (
            "Effective number",
            f"{c.participation_ratio:,.0f} of {c.n_points:,}",
            f"Participation ratio: so many equal {name} would be as spread out.",
        ),
        ("Cancellation", percent(c.cancellation), f"How much of the vote is against itself: 0 % when all {name} have one sign."),
    ]
    for cell, (label, value, help_text) in zip(st.columns(len(facts)), facts, strict=True):
        cell.metric(label, value, help=help_text, border=True)


def cumulative(values: np.ndarray, *, key: str) -> None:
    """The curve of what the strongest examples hold, with its table.

    Args:
        values: ``[N]``.
        key: names the chart.
    """
    sizes = np.sort(np.abs(values))[::-1]
    table = pd.DataFrame({"strongest": np.arange(1, len(sizes) + 1), "held": np.cumsum(sizes) / max(sizes.sum(), 1e-300)})
    layout.figure(attribution.cumulative_curve(values), attribution.reading_cumulative(values), table, key=key)
