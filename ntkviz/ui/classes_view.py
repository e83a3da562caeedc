"""Class by class on the page Fidelity: how well each is imitated, and where network and surrogate part."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.figures import fidelity as figures
from ntkviz.scores import scores_of
from ntkviz.studies.study import Study
from ntkviz.ui import layout, selection
from ntkviz.ui.clicks import clicked, steady
from ntkviz.ui.measures import measure
from ntkviz.ui.point_picker import named_table
from ntkviz.ui.text import number, percent

_CONFUSION = "confusion"


def by_class(study: Study) -> None:
    """Class by class, and where the two part."""
    names, parts = list(study.class_names), study.fidelity.per_class
    left, right = st.columns([1, 1], gap="medium")
    tau = np.array([p.tau_within for p in parts])
    counts = np.array([p.n_points for p in parts])
    ends = np.array([p.intervals.get("tau_within", (np.nan, np.nan)) for p in parts], dtype=np.float64)
    with left:
        fig = figures.per_class_tau(names, tau, counts, low=ends[:, 0], high=ends[:, 1])
        table = pd.DataFrame(
            {
                "class": names,
                "points": counts,
                "network accuracy": [p.accuracy_network for p in parts],
                "surrogate accuracy": [p.accuracy_surrogate for p in parts],
                "agreement": [p.agreement for p in parts],
                "shared errors": [p.r_miss for p in parts],
                "τ over all points": [p.tau for p in parts],
                "τ within the class": tau,
                "low": ends[:, 0],
                "high": ends[:, 1],
            }
        )
        layout.figure(fig, figures.reading_per_class_tau(names, tau, counts), table, key="by_class")
    with right:
        confusion = np.asarray(study.fidelity.confusion)
        table = named_table("network's class", names, confusion, names)
        fig, reading = figures.confusion_heatmap(confusion, names), figures.reading_confusion(confusion, names)
        click = partial(_choose_cell, study)
        layout.figure(steady(fig), reading, table, key=_CONFUSION, on_select=click, selection_mode="points")
        st.caption("A click on a cell chooses its test points on all pages.")
    st.markdown(_on_errors(study))


def _choose_cell(study: Study) -> None:
    """Choose the test points of the cell that was clicked."""
    cell = clicked(_CONFUSION)
    if cell is not None:
        network, surrogate = map(int, cell.split(":"))
        said, told = (scores_of(logits).predicted for logits in (study.logits_test, study.surrogate_logits))
        selection.choose("test", study.test_index[(said == network) & (told == surrogate)])
        selection.redraw()


def _on_errors(study: Study) -> str:
    """Fidelity on the network's errors, in a sentence."""
    found = study.fidelity
    errors = found.counts.get("r_miss", 0)
    if not errors:
        return "**On the network's errors.** It makes none on these test points, so nothing can be said about how the surrogate explains mistakes."
    tau, miss, jaccard = (measure(found, name) for name in ("tau_errors", "r_miss", "r_miss_jaccard"))
    chance = found.r_miss_p_value
    return (
        f"**On the network's {errors} errors.** The surrogate errs on {percent(miss.value)} of them too ({percent(jaccard.value)} of the errors of either); two classifiers "
        f"that err independently would share as many with probability {number(chance, 2)}. τ within the errors is {tau.words()}."
    )
