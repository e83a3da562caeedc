"""The page "Can I trust it?": does the surrogate stand for the network, where does it not, and what nobody checked."""

from functools import partial

import pandas as pd
import streamlit as st

from ntkviz.fidelity.baselines import Baseline, null_baselines
from ntkviz.fidelity.registry import metrics
from ntkviz.figures import fidelity as figures
from ntkviz.figures.log_odds import MAX_PANELS, Imitation, log_odds_scatter, reading_log_odds
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.surrogates.registry import surrogates
from ntkviz.types import Dataset
from ntkviz.ui import cached, gates, layout, media, selection, state
from ntkviz.ui.clicks import steady
from ntkviz.ui.compared import FIT_UP_TO, TARGETS, Compared, missing, remember
from ntkviz.ui.measures import measure
from ntkviz.ui.plane_view import axes_note
from ntkviz.ui.point_picker import picture, picture_column
from ntkviz.ui.points import Outcomes, outcomes, select_points
from ntkviz.ui.text import escape, number, percent

EXPLAIN_PAGE = "pages/explain.py"
#: Keys of the fragments that show the selected point.
_SCATTER, _DIFFERENCES, _SURROGATES = SHOWING = ("fidelity_scatter", "fidelity_differences", "fidelity_surrogates")
#: Measures on the chart: fractions and correlations whose best value is 1 (or 0 for the difference of accuracies).
CHARTED = ("kendall_tau", "tau_predicted", "tau_errors", "agreement", "r_miss", "r_miss_jaccard", "r_squared", "tad")


def headline(study: Study) -> None:
    """The verdict in a sentence, what the surrogate aims at, the first figures, and what was not checked."""
    info, found = surrogates()[study.spec.surrogate], study.fidelity
    st.markdown(f"#### {escape(found.reading(), limit=900)}")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(
            TARGETS[info.target], icon=":material/school:" if info.target == "labels" else ":material/content_copy:", color="blue"
        )
        st.markdown(
            f"{info.title} never saw the network's outputs: what it shares with the network comes through the kernel."
            if info.target == "labels"
            else f"{info.title} was fitted to the network's logits: high imitation is what it was made for, and is no merit of the kernel.",
            width="content",
        )
    cells = st.columns(4)
    for cell, (name, form) in zip(
        cells, (("kendall_tau", number), ("agreement", percent), ("r_miss", percent), ("r_squared", number)), strict=True
    ):
        _tile(cell, study, name, form)
    left, right = st.columns([1, 1])
    with left:
        axes_note(study)
    with right:
        _baselines(study)


@st.fragment(key=_SCATTER)
@gates.guarded()
def scatter(study: Study, data: Dataset, points: Outcomes) -> None:
    """Log-odds, network against surrogate; a click shows the point beside it, and leads to its explanation."""
    left, right = st.columns([5, 2], gap="medium")
    chosen = state.get("point")
    title = surrogates()[study.spec.surrogate].title
    one = [Imitation(title, points.surrogate_odds, points.agrees, study.fidelity.kendall_tau)]
    with left:
        fig = log_odds_scatter(
            points.network_odds,
            one,
            network_right=points.right,
            labels=points.labels,
            class_names=study.class_names,
            ids=points.ids.tolist(),
            selected=chosen,
        )
        reading = reading_log_odds(points.network_odds, one, network_right=points.right)
        # Only the callback reads the selection: drawing the ring changes the figure, and that wipes what the chart returns.
        layout.figure(
            steady(fig),
            reading,
            point_table(study, points),
            key="log_odds",
            on_select=partial(selection.follow_click, "log_odds", "test", *SHOWING),
            selection_mode="points",
        )
    with right:
        point_card(study, data, points)


def point_card(study: Study, data: Dataset, points: Outcomes) -> None:
    """The chosen point with both answers, and the way to its explanation."""
    chosen = state.get("point")
    m = points.position(int(chosen)) if chosen is not None else None
    with st.container(border=True):
        if m is None:
            st.markdown("**Click a point** (or choose a row of the table) to see it here and to explain it.")
            return
        names = study.class_names
        media.show_point(data, "test", int(points.ids[m]), width=170)
        st.markdown(
            f"**Test point {points.ids[m]}**, labelled **{escape(names[points.labels[m]])}**  \n"
            f"network: {escape(names[points.network[m]])} (log-odds of the label {number(points.network_odds[m])})  \n"
            f"surrogate: {escape(names[points.surrogate[m]])} ({number(points.surrogate_odds[m])})"
        )
        st.page_link(
            EXPLAIN_PAGE,
            label="**Explain this point**",
            icon=":material/account_tree:",
            query_params={"study": study.key, "point": str(points.ids[m])},
        )


@st.fragment(key=_DIFFERENCES)
@gates.guarded()
def disagreements(study: Study, data: Dataset, points: Outcomes) -> None:
    """The points where surrogate and network name different classes; a row chosen is shown beside and can be explained."""
    found = select_points(points, shown="surrogate differs", order="furthest apart")
    if not len(found):
        st.success(
            f"Surrogate and network name the same class for all {len(points.ids):,} test points. That is easy on easy data: look at the "
            "order of the points above, too.",
            icon=":material/check_circle:",
        )
        return
    wrong = int((~points.right[found]).sum())
    st.markdown(
        f"At **{len(found):,}** of {len(points.ids):,} test points the surrogate names another class; at {wrong} of them the network is wrong. "
        "Explanations of these points explain an answer that the network did not give."
    )
    left, right = st.columns([5, 2], gap="medium")
    table = point_table(study, points).iloc[found].copy()
    table.insert(0, "picture", [picture(data, "test", int(i)) for i in points.ids[found]])
    ids = points.ids[found]
    with left:
        st.dataframe(
            table,
            key="disagreements",
            hide_index=True,
            on_select=partial(selection.follow_row, "disagreements", ids, "test", *SHOWING),
            selection_mode="single-row",
            row_height=44 if data.kind == "image" else None,
            height=320,
            column_config=_point_columns(data),
            column_order=["picture", "id", "label", "network", "surrogate", "network log-odds", "surrogate log-odds"],
            alt="Test points where surrogate and network differ: choose a row to look at it.",
        )
        layout.download_csv(table.drop(columns="picture"), key="where_they_differ")
    with right:
        point_card(study, data, points)


def all_measures(study: Study) -> None:
    """Every measure with its interval and the number of points behind it."""
    table = measure_table(study)
    config = {name: st.column_config.NumberColumn(format="%.4g", width=80) for name in ("value", "low", "high")}
    config["points"] = st.column_config.NumberColumn(format="%d", width=70, help="Test points that the measure is computed on.")
    config["measure"] = st.column_config.TextColumn(width=210)
    st.dataframe(
        table, hide_index=True, column_config=config, height="content", alt="All measures with intervals and points used."
    )
    st.caption(
        f"Intervals: 95 %, {study.fidelity.n_bootstrap} bootstrap resamples of the test points. They leave out the noise of training and of the "
        "kernel."
    )
    layout.download_csv(table, key="measures_table")
    rows = charted(study.fidelity)
    layout.figure(figures.metric_intervals(rows), figures.reading_metrics(rows), key="measures")
    with st.expander("What the measures mean", icon=":material/function:"):
        for info in metrics().values():
            st.markdown(f"**{info.title}** ({info.range}). {info.good} *{info.caveat}*")
            st.latex(info.formula)


@st.fragment(key=_SURROGATES)
@gates.guarded()
def side_by_side(study: Study, points: Outcomes, rows: list[Compared]) -> None:
    """Several surrogates of the same kernel; others can be fitted at once."""
    _fit_more(study, rows)
    if len(rows) < 2:
        st.info(
            "Only one surrogate so far. Fit others above to see what comes from the kernel and what from the surrogate.",
            icon=":material/info:",
        )
        return
    rows = rows[:MAX_PANELS]
    table = pd.DataFrame(
        [
            {
                "surrogate": row.title,
                "what it does": row.aim,
                "τ": row.fidelity.kendall_tau,
                "τ on errors": row.fidelity.tau_errors,
                "agreement": row.fidelity.agreement,
                "shared errors": row.fidelity.r_miss,
                "R²": row.fidelity.r_squared,
                "accuracy − network": row.fidelity.tad,
                "converged": row.converged,
                "from": row.where,
            }
            for row in rows
        ]
    )
    config = {name: st.column_config.NumberColumn(format="%.3f") for name in table.columns[2:8]}
    st.dataframe(table, hide_index=True, column_config=config, alt="The surrogates compared.")
    layout.download_csv(table, key="surrogates")
    shown = [outcomes(study, row.logits) for row in rows]
    panels = [
        Imitation(row.title, p.surrogate_odds, p.agrees, row.fidelity.kendall_tau) for row, p in zip(rows, shown, strict=True)
    ]
    fig = log_odds_scatter(
        points.network_odds,
        panels,
        network_right=points.right,
        labels=points.labels,
        class_names=study.class_names,
        ids=points.ids.tolist(),
        selected=state.get("point"),
    )
    reading = reading_panels(rows)
    layout.figure(
        steady(fig),
        reading,
        key="log_odds_panels",
        on_select=partial(selection.follow_click, "log_odds_panels", "test", *SHOWING),
        selection_mode="points",
    )
    several = [m for row in rows for m in charted(row.fidelity, row.title)]
    layout.figure(figures.metric_intervals(several), figures.reading_metrics(several), key="measures_compared")


def reading_panels(rows: list[Compared]) -> str:
    """Which surrogate follows the network's order best and which least, and which of them were made to."""
    ranked = sorted(
        (row for row in rows if row.fidelity.kendall_tau == row.fidelity.kendall_tau), key=lambda row: row.fidelity.kendall_tau
    )
    if not ranked:
        return "For none of these surrogates is a rank agreement defined."
    low, high = ranked[0], ranked[-1]
    text = (
        f"{high.title} ({high.aim}) follows the network's order best, τ {number(high.fidelity.kendall_tau)}; {low.title} ({low.aim}) least, "
        f"τ {number(low.fidelity.kendall_tau)}. Agreement runs from {percent(min(row.fidelity.agreement for row in rows))} to "
        f"{percent(max(row.fidelity.agreement for row in rows))}: it tells them apart far less."
    )
    return f"{text} On the dashed line network and surrogate are equally sure; only the order of the points counts for τ."


def charted(found: object, series: str = "") -> list[figures.Metric]:
    """The measures that fit on one axis."""
    rows = []
    for name in CHARTED:
        one = measure(found, name)
        rows.append(figures.Metric(metrics()[name].title, one.value, one.low, one.high, 0.0 if name == "tad" else 1.0, series))
    return rows


def measure_table(study: Study) -> pd.DataFrame:
    """All measures with their intervals, points used, and why there is no value."""
    found = study.fidelity
    rows = []
    for name, info in metrics().items():
        one = measure(found, name)
        points, reason = found.counts.get(name, found.n_points), found.reasons.get(name, "")
        rows.append(
            {"measure": info.title, "value": one.value, "low": one.low, "high": one.high, "points": points, "note": reason}
        )
    return pd.DataFrame(rows)


def point_table(study: Study, points: Outcomes) -> pd.DataFrame:
    """All test points with both answers."""
    names = study.class_names
    return pd.DataFrame(
        {
            "id": points.ids,
            "label": [names[c] for c in points.labels],
            "network": [names[c] for c in points.network],
            "surrogate": [names[c] for c in points.surrogate],
            "network log-odds": points.network_odds,
            "surrogate log-odds": points.surrogate_odds,
        }
    )


def _tile(cell: object, study: Study, name: str, form: object) -> None:
    """A measure with its interval and the points behind it."""
    info, found = metrics()[name], measure(study.fidelity, name)
    reason, count = study.fidelity.reasons.get(name), study.fidelity.counts.get(name, study.n_test)
    span = f"{form(found.low)} to {form(found.high)}" if found.low == found.low else escape(reason) if reason else "no interval"  # type: ignore[operator]
    with cell.container(border=True):  # type: ignore[attr-defined]
        st.metric(info.title, form(found.value), help=f"{info.good} {info.caveat}")  # type: ignore[operator]
        st.caption(f"{span} · {count:,} points")


def _baselines(study: Study) -> None:
    """What knowing labels alone earns."""
    rows = _null_baselines(str(ntkviz_home()), study.key)
    with st.container(border=True):
        st.markdown("**What is trivial.** Predictors that know labels and have never seen an input:")
        table = pd.DataFrame([{"knows": row.title, "τ": row.kendall_tau, "agreement": row.agreement} for row in rows])
        config = {name: st.column_config.NumberColumn(format="%.3f", width=70) for name in ("τ", "agreement")}
        config["knows"] = st.column_config.TextColumn(width=190)
        st.dataframe(table, hide_index=True, column_config=config, alt="Fidelity of predictors that know labels only.")
        st.caption(
            f"Beside them this surrogate: τ {number(study.fidelity.kendall_tau)}, agreement {number(study.fidelity.agreement)}."
        )


@st.cache_data(max_entries=32, show_spinner=False)
def _null_baselines(home: str, study_key: str) -> list[Baseline]:
    study = cached.study(study_key)
    return list(null_baselines(study.logits_test, study.y_test, train_labels=study.y_train))


def _fit_more(study: Study, rows: list[Compared]) -> None:
    """Fit further kinds of surrogate to the same kernel, at once."""
    kinds = missing(study, rows)
    if not kinds:
        return
    if study.n_train > FIT_UP_TO:
        st.caption(
            f"Further surrogates can be fitted here up to {FIT_UP_TO:,} training points; this study has {study.n_train:,}. Queue them on the page Studies."
        )
        return
    with st.container(border=True, horizontal=True, vertical_alignment="bottom"):
        chosen = st.pills(
            "Fit another surrogate to the same kernel",
            kinds,
            selection_mode="multi",
            default=kinds,
            format_func=lambda kind: f"{surrogates()[kind].title} ({TARGETS[surrogates()[kind].target]})",
            key=f"fit_kinds_{study.key[:12]}_{len(kinds)}",
            wrap=True,
        )
        seconds = max(1, round(len(chosen) * 3 * (study.n_train / FIT_UP_TO) ** 2))
        if st.button(
            f"Fit (about {seconds} s)", key="fit_now", type="primary", icon=":material/play_arrow:", disabled=not chosen
        ):
            remember(study, list(chosen))
            st.rerun()


def _point_columns(data: Dataset) -> dict:
    numbers = {name: st.column_config.NumberColumn(format="%.2f") for name in ("network log-odds", "surrogate log-odds")}
    return {"picture": picture_column(data), "id": st.column_config.NumberColumn(format="%d"), **numbers}
