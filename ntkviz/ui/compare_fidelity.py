"""Fidelity against cost on the page Compare: the Pareto plot, what is told apart by paired differences, and the table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.fidelity.lds import Comparison, compare
from ntkviz.fidelity.paired import MEASURES, Drawn, drawn, gap
from ntkviz.figures.pareto import Priced, pareto, reading_pareto
from ntkviz.studies.aligned import aligned
from ntkviz.studies.comparable import differing
from ntkviz.studies.faithfulness import PLAN, candidate, effects_on_label
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.verdict import Standing, lead
from ntkviz.ui import cached, gates, layout, plane_view, state
from ntkviz.ui.compare_choice import Side
from ntkviz.ui.measures import measure
from ntkviz.ui.text import escape

COSTS = {"seconds": "seconds, all stages", "peak_mb": "peak memory, MB"}
LDS = "lds"
#: Draws behind the intervals of the LDS, as on the page "Can I trust it?".
_DRAWS = 400


@dataclass(frozen=True)
class Measured:
    """The chosen measure of one side.

    Attributes:
        side: the study.
        value: of the measure, NaN when it has none.
        low: lower end of its interval.
        high: upper end.
        standing: how far the best is ahead, on the same draws; None where points differ.
    """

    side: Side
    value: float
    low: float
    high: float
    standing: Standing | None


@st.fragment
@gates.guarded()
def fidelity_and_cost(found: list[Side]) -> None:
    """The whole section."""
    titles = _measures(found)
    left, right = st.columns(2)
    with left:
        name = state.sticky(
            st.segmented_control,
            "Fidelity",
            key="compare_measure",
            default="kendall_tau",
            options=list(titles),
            format_func=titles.get,
            required=True,
            help="τ and agreement are imitation. LDS is truth: what the study's attribution foretells, against retraining.",
        )
    with right:
        cost = state.sticky(
            st.segmented_control,
            "Cost",
            key="compare_cost",
            default="seconds",
            options=list(COSTS),
            format_func=COSTS.get,
            required=True,
        )
    with st.spinner("Comparing with the retrainings …" if name == LDS else "Resampling test points …"):
        rows = measured(found, name)
    priced = [_priced(row, cost) for row in rows]
    if not any(np.isfinite(row.value) for row in rows):
        st.info(
            "None of these studies has this measure: the network's or the surrogates' answers do not vary.",
            icon=":material/info:",
        )
        return
    fig, reading = (
        pareto(priced, cost=COSTS[cost], value=titles[name]),
        reading_pareto(priced, cost=COSTS[cost], value=titles[name]),
    )
    layout.figure(fig, reading, table(rows, titles[name]), key="pareto")
    standings = {row.side.title: row.standing for row in rows if row.standing is not None}
    if len(standings) > 1:
        best = max((row for row in rows if row.standing is not None), key=lambda row: row.value)
        control = (
            " It is a control, which knows no network: what the others show here may be about the data more than about the network."
            if best.side.control
            else ""
        )
        st.markdown(f"**Told apart?** {escape(lead(titles[name], standings), limit=1200)}{control}")
    costs = "Seconds of a study that used a stored kernel count that kernel's. " if cost == "seconds" else ""
    st.caption(
        f"{costs}Bars: 95 % over test points{' and subsets' if name == LDS else ''}. Two studies are told apart by the interval of their difference on the "
        "same draws, not by whether their own bars overlap."
    )


def measured(found: list[Side], name: str) -> list[Measured]:
    """The measure of every side, and its distance from the best where they share test points."""
    if name == LDS:
        return _lds_rows(found)
    values = [_drawn(str(ntkviz_home()), side.study.key, name) for side in found]
    paired = [k for k, side in enumerate(found) if side.shared.test and np.isfinite(values[k].value)]
    best = max(paired, key=lambda k: values[k].value, default=None)
    rows = []
    for k, (side, one) in enumerate(zip(found, values, strict=True)):
        standing = None
        if best is not None and k in paired:
            ahead = gap(values[best], one)
            standing = Standing(one.value, ahead.value, ahead.low, ahead.high)
        rows.append(Measured(side, one.value, *one.ends, standing))
    return rows


def table(rows: list[Measured], title: str) -> pd.DataFrame:
    """All figures of the sides, best first; what is downloaded is what is drawn."""
    made = []
    for row in rows:
        study, one = row.side.study, row.standing
        made.append(
            {
                "study": row.side.title,
                title: row.value,
                "low": row.low,
                "high": row.high,
                "behind the best": np.nan if one is None else one.behind,
                "difference, low": np.nan if one is None else one.low,
                "difference, high": np.nan if one is None else one.high,
                "told apart": None if one is None else one.clear,
                "seconds": sum(study.seconds.values()),
                "peak MB": study.peak_mb,
                "control": row.side.control,
            }
        )
    return pd.DataFrame(made).sort_values(title, ascending=False, na_position="last", ignore_index=True)


def differences(found: list[Side]) -> None:
    """Which entries of their specifications differ, and their measures with intervals."""
    fields = differing([side.study.spec for side in found])
    if fields:
        words = {name: ["–" if value is None else str(value) for value in values] for name, values in fields.items()}
        spec = pd.DataFrame({"study": [side.title for side in found], **words})
        st.dataframe(spec, hide_index=True, alt="What differs in the specifications of the studies.")
        st.caption(f"Of their specifications only what differs: {escape(', '.join(fields))}. Everything else is the same.")
    rows = [
        {"study": side.title, **{title: measure(side.study.fidelity, name).words() for name, title in _HEADS.items()}}
        for side in found
    ]
    figures = pd.DataFrame(rows)
    st.dataframe(figures, hide_index=True, alt="Measures of fidelity of each study, with intervals.")
    layout.download_csv(figures, key="compare_fidelity")


_HEADS = {"kendall_tau": "τ", "agreement": "agreement", "r_squared": "R²", "tad": "accuracy difference"}


def _measures(found: list[Side]) -> dict[str, str]:
    """What can be asked for: LDS only where retrainings speak of the first study."""
    known = dict(MEASURES)
    if plane_view.available(found[0].study)[0] is not None:
        known[LDS] = "LDS (truth)"
    return known


def _priced(row: Measured, cost: str) -> Priced:
    study = row.side.study
    price = sum(study.seconds.values()) if cost == "seconds" else study.peak_mb
    told = f"{study.n_train:,} + {study.n_test:,} points, seed {study.spec.seed}"
    return Priced(study.key, row.side.title, max(price, 1e-3), row.value, row.low, row.high, row.side.control, told)


def _lds_rows(found: list[Side]) -> list[Measured]:
    """LDS of each study's attribution; only studies of the first one's network and points have one."""
    fits = [side for side in found if side.shared.kernels and side.shared.network]
    made = _lds(str(ntkviz_home()), tuple(side.study.key for side in fits), plane_view.stamp(found[0].study.spec.subject_id))
    place = {side.study.key: k for k, side in enumerate(fits)}
    known = [k for k in range(len(fits)) if np.isfinite(made.found[k].value)]
    best = max(known, key=lambda k: made.found[k].value, default=None)
    rows = []
    for side in found:
        k = place.get(side.study.key)
        if k is None:
            rows.append(Measured(side, np.nan, np.nan, np.nan, None))
            continue
        one, standing = made.found[k], None
        if best is not None and k in known:
            ahead = made.difference(best, k)
            standing = Standing(one.value, ahead.value, ahead.low, ahead.high)
        rows.append(Measured(side, one.value, one.low, one.high, standing))
    return rows


@st.cache_resource(max_entries=64, show_spinner=False)
def _drawn(home: str, study_key: str, name: str) -> Drawn:
    study = cached.study(study_key)
    return drawn(name, study.logits_test, study.surrogate_logits, study.y_test)


@st.cache_resource(max_entries=4, show_spinner=False)
def _lds(home: str, study_keys: tuple[str, ...], stamp: str) -> Comparison:
    """Attributions of some studies of one network and the same points, against its retrainings.

    Raises:
        ValueError: when there are none; ask :func:`ntkviz.ui.plane_view.available` first.
    """
    studies = [cached.study(key) for key in study_keys]
    truth, reason = plane_view.available(studies[0])
    if truth is None:
        raise ValueError(reason)
    points = aligned(studies[0], truth)
    effects = [
        effects_on_label(one, candidate(one), one.surrogate, PLAN.get(one.spec.surrogate, ("share",))[0], points)
        for one in studies
    ]
    return compare(effects, points.masks, points.margins, n_draws=_DRAWS)
