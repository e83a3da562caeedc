"""The page Audit: suspicious labels, carriers of a backdoor, copies, what is typical; each with what to do about it."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.audit.fix_list import Fix
from ntkviz.audit.mislabels import INFOS, Mislabels
from ntkviz.audit.planted import Ranking, score_found, score_ranking
from ntkviz.audit.registry import audits as registry
from ntkviz.figures import audit as figures
from ntkviz.scores import scores_of
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import audited, fixes, gates, layout, point_card, selection, state
from ntkviz.ui.audit_backdoor import backdoor
from ntkviz.ui.audit_similarity import copies, typical
from ntkviz.ui.clicks import steady
from ntkviz.ui.point_picker import meta_columns
from ntkviz.ui.text import escape, percent

CHART = "suspicion"
_METHODS = {info.key: info for info in INFOS}


def scope(study: Study, data: Dataset) -> None:
    """What is audited, and what is known to be wrong in it."""
    everything = len(data.x_train)
    part = f"all {everything:,}" if study.n_train == everything else f"{study.n_train:,} of {everything:,}"
    known = [
        f"{int(found.sum()):,} {words}"
        for column, words in ((audited.FLIPPED, "labels are wrong on purpose"), (audited.TRIGGERED, "carry a planted trigger"))
        if (found := audited.planted(study, data, column)) is not None
    ]
    truth = (
        f"Of these, {' and '.join(known)}, so the audits can be scored."
        if known
        else "Nothing is known to be wrong in them: an audit proposes, and a person looks."
    )
    st.caption(f"Audited are the study's training points: {part}. {truth}")


def audits(study: Study, data: Dataset) -> None:
    """The four audits, one at a time; only the one that is open is computed."""
    tabs = state.tabs(["Mislabels", "Backdoor", "Duplicates", "Prototypes and outliers"], key="audit_tab")
    for tab, draw in zip(tabs, (labels, backdoor, copies, typical), strict=True):
        if tab.open:
            with tab:
                _guarded(draw, study, data)


@gates.guarded()
def _guarded(draw: object, study: Study, data: Dataset) -> None:
    """A refusal of one audit leaves the others and the fix list alone; what a study cannot be asked is a sentence too."""
    try:
        draw(study, data)  # type: ignore[operator]
    except ValueError as error:
        st.warning(escape(error, limit=600), icon=":material/info:")


def labels(study: Study, data: Dataset) -> None:
    """Suspicious labels: the ranking, the first of it as a checklist, and the scores where the truth is known."""
    method, shown = _choose_score(study)
    info = _METHODS[method]
    with st.spinner(f"Scoring the labels: {audited.estimate(study.n_train, 2)}", show_time=True):
        found = audited.wrong_labels(study, method)
    st.markdown(f"**{info.question}**")
    st.caption(info.caveat)
    truth = audited.planted(study, data, audited.FLIPPED)
    if truth is not None:
        _scored(found, truth)
    left, right = st.columns([5, 6], gap="medium")
    with left:
        fig = figures.suspicion_curve(
            found.scores,
            labels=study.y_train,
            class_names=study.class_names,
            cut=found.cut,
            cut_name="contradicted",
            planted=truth,
            ids=study.train_index.tolist(),
            selected=state.get("example"),
            unit=info.title,
        )
        reading = figures.reading_suspicion(found.scores, cut=found.cut, cut_name="contradicted", planted=truth)
        layout.figure(
            steady(fig), reading, key=CHART, on_select=partial(selection.follow_click, CHART, "train"), selection_mode="points"
        )
        layout.data_table(label_table(study, data, found), key="label_scores", label="All training labels with their scores")
        for note in found.notes:
            st.caption(escape(note))
    with right:
        proposed = label_fixes(study, found, found.order[:shown])
        st.markdown(f"**The {len(proposed)} most suspicious**")
        fixes.checklist(study, data, proposed, key=f"label_{method}")
        flagged = label_fixes(study, found, found.order[found.contradicted[found.order]])
        fixes.everything_button(study, flagged, key="all_labels", label=f"Take all {len(flagged):,} contradicted labels")
    if truth is not None:
        _compare(study, truth)


def label_fixes(study: Study, found: Mislabels, points: np.ndarray) -> list[Fix]:
    """What the audit proposes for some training points: their suggested label."""
    title = _METHODS[found.method].title
    return [
        Fix(
            point=int(i),
            action="relabel",
            label=int(found.suggested[i]),
            reason=f"suspicious label ({title}, rank {rank})",
            score=float(found.scores[i]),
            audit=found.method,
        )
        for i, rank in zip(points, _ranks(found)[points], strict=True)
    ]


def label_table(study: Study, data: Dataset, found: Mislabels) -> pd.DataFrame:
    """All training points by suspicion."""
    order = found.order
    ids, names = study.train_index[order], study.class_names
    said = scores_of(study.logits_train).predicted
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(order) + 1),
            "training point": ids,
            "label": [names[c] for c in study.y_train[order]],
            "suggested": [names[c] for c in found.suggested[order]],
            "score": found.scores[order],
            "contradicted": found.contradicted[order],
            "network": [names[c] for c in said[order]],
            **meta_columns(data, "train", ids),
        }
    )


def chosen_point(study: Study, data: Dataset) -> None:
    """The training point that was clicked, with its true neighbours."""
    ids = study.train_index.tolist()
    st.subheader("A training point", anchor=False)
    state.sticky(
        st.selectbox,
        "Find a training point",
        key="example",
        default=None,
        options=[None, *ids],
        format_func=lambda i: "none" if i is None else f"{i}, label {study.class_names[study.y_train[ids.index(i)]]}",
        help="Type an id, or click a dot in a figure. Ids are positions in the whole training split.",
    )
    chosen = state.get("example")
    if chosen in ids:
        point_card.training_card(study, data, ids.index(chosen))


def _choose_score(study: Study) -> tuple[str, int]:
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        method = state.sticky(
            st.selectbox,
            "Score",
            key="audit_method",
            default="loo_margin",
            options=list(_METHODS),
            format_func=lambda key: _METHODS[key].title,
            help="\n\n".join(f"**{info.title}.** {info.question}" for info in INFOS),
        )
    with right:
        shown = state.sticky(
            st.slider,
            "Training points shown",
            key="audit_shown",
            default=12,
            min_value=1,
            max_value=min(60, study.n_train),
        )
    return str(method), int(shown)


def _ranks(found: Mislabels) -> np.ndarray:
    ranks = np.empty(len(found.scores), dtype=np.int64)
    ranks[found.order] = np.arange(1, len(found.scores) + 1)
    return ranks


def _scored(found: Mislabels, truth: np.ndarray) -> None:
    """The ranking against the planted list, in figures."""
    ranking = score_ranking(found.scores, truth)
    flagged = score_found(np.flatnonzero(found.contradicted), truth)
    n = ranking.n_planted
    facts = [
        ("AUC", f"{ranking.auc:.4f}", "How often a planted point stands before another one: 1 is perfect, .5 is chance."),
        (
            f"Precision at {n:,}",
            percent(ranking.precision_at(n)),
            "Share of planted points among as many first ones as there are.",
        ),
        (
            "Contradicted: precision",
            percent(flagged.precision),
            f"Share of planted among the {flagged.n_found:,} labels that the score contradicts, a cut that needs no list.",
        ),
        ("Contradicted: recall", percent(flagged.recall), f"Share of the {n:,} planted labels that are among them."),
    ]
    for cell, (label, value, help_text) in zip(st.columns(len(facts)), facts, strict=True):
        cell.metric(label, value, help=help_text, border=True)


def _compare(study: Study, truth: np.ndarray) -> None:
    """All scores against the planted list."""
    if not st.toggle("Compare all scores with the planted list", key="_audit_compare"):
        return
    with st.spinner(f"Scoring: {audited.estimate(study.n_train, 6)}", show_time=True):
        found = {info.title: score_ranking(audited.wrong_labels(study, info.key).scores, truth) for info in INFOS}
    curves = {title: (ranking.precision, ranking.recall) for title, ranking in found.items()}
    n = int(truth.sum())
    fig, reading = figures.precision_recall(curves, n), figures.reading_precision_recall(curves, n)
    layout.figure(fig, reading, ranking_table(found), key="precision_recall")


def ranking_table(found: dict[str, Ranking]) -> pd.DataFrame:
    """Scores by how well they find what was planted."""
    rows = []
    for title, ranking in found.items():
        n = ranking.n_planted
        rows.append(
            {
                "score": title,
                "AUC": ranking.auc,
                "average precision": ranking.average_precision,
                f"precision at {n}": ranking.precision_at(n),
                "question": next(info.question for info in registry().values() if info.title == title),
            }
        )
    return pd.DataFrame(rows).sort_values("AUC", ascending=False, ignore_index=True)
