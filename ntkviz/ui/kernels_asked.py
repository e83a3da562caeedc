"""The tab "Other kernels" of Explain: the same question put to several kernels, side by side."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.explain.agreement import Agreement, Moved, agreement, moved, spearman
from ntkviz.explain.concentration import top_contributors
from ntkviz.figures import agreement as figures
from ntkviz.figures.moved import moved_neighbours, reading_moved
from ntkviz.scores import scores_of
from ntkviz.studies.explained import Explanation
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import asked as numbers
from ntkviz.ui import kernels_view, layout, selection, state
from ntkviz.ui.address import SHORT_KEY
from ntkviz.ui.asked import KINDS, Asked
from ntkviz.ui.clicks import steady
from ntkviz.ui.kernels_apart import apart, usual_agreement
from ntkviz.ui.measures import measure
from ntkviz.ui.point_picker import example_rows, named_table, tiles
from ntkviz.ui.text import escape, percent

CHART, TABLE = "moved", "moved_rows"
_CONTROL = {"share": "Share", "removal": "Removal effect", "similarity": "Similarity"}
_SIDES = {
    "removal": ("Would be missed by", "Hold back"),
    "share": ("Speak for", "Speak against"),
    "similarity": ("Most alike, whatever is asked about", ""),
}


def other_kernels(study: Study, data: Dataset, found: Explanation, m: int, k: int) -> None:
    """The question of this page under other kernels, and the test points where kernels disagree most.

    Args:
        study: the study on show.
        data: the subject's whole data.
        found: what is explained.
        m: position of the test point.
        k: examples on each side; of the ranking by strength the first k are compared.
    """
    known = numbers.candidates(study)
    if len(known) < 2:
        _alone(study)
        return
    if len({one.kind for one in known}) == 1:
        kernels_view.offer_baselines(kernels_view.finished_kernels(study), study)
    left, right = st.columns([5, 3], vertical_alignment="bottom")
    with left:
        keys = _choose(known)
    asked, left_out = numbers.opened(study, known, keys)
    for title in left_out:
        st.caption(f"{escape(title)} is of other points by now and is left out.")
    with right:
        kind = _kind(asked)
    if len(asked) < 2:
        st.info("Choose at least one other kernel above.", icon=":material/compare_arrows:")
        return
    values = numbers.attributions(asked, m, found.label, found.against, kind)
    signed = kind != "similarity"
    here = agreement([row[None] for row in values], k, signed=signed)
    usual = usual_agreement(asked, kind, k)
    st.markdown(_verdict(asked, here, found, m))
    _side_by_side(asked, data, found, values, m, k, kind)
    st.markdown("**The same examples, where each kernel ranks them**")
    _moves(study, asked, moved(values, k, signed=signed), kind)
    st.markdown("**How far they agree**")
    _agreement(asked, here, usual, values)
    st.caption(_meaning(kind, k))
    apart(study, data, asked, usual, m, kind)


def _alone(study: Study) -> None:
    """No other study of these points: what would stand here, and how to have it."""
    with st.container(border=True):
        st.markdown("##### Would another kernel give the same explanation?")
        st.write(
            "Here the same question stands under several kernels side by side: who is named by all of them, who by one alone, and at which test "
            "points they disagree most. An explanation that only one kernel gives is a property of that kernel, and hardly of the network."
        )
        kernels_view.offer_baselines(kernels_view.finished_kernels(study), study)


def _choose(known: list[numbers.Candidate]) -> list[str]:
    """Keys of the others to ask."""
    titles, keys = {one.key[:SHORT_KEY]: one.title for one in known[1:]}, {one.key[:SHORT_KEY]: one.key for one in known[1:]}
    chosen = state.sticky(
        st.multiselect,
        "Ask these too",
        key="asked_studies",
        default=[key[:SHORT_KEY] for key in numbers.at_first(known)],
        options=list(titles),
        format_func=lambda key: titles.get(key, key),
        max_selections=numbers.MOST - 1,
        help="Finished studies of the same model and the same points: another kernel, another form of it, or another surrogate on it.",
    )
    return [keys[key] for key in chosen]


def _kind(asked: list[Asked]) -> str:
    """What is compared."""
    options = numbers.kinds(asked)
    return str(
        state.sticky(
            st.segmented_control,
            "Compared by",
            key="asked_kind",
            default=options[0],
            options=[kind for kind in _CONTROL if kind in options],
            format_func=_CONTROL.get,
            required=True,
            help="Share: the example's part of the surrogate's score. Removal effect: by how much the log-odds would fall without the example. "
            "Similarity: the kernel alone, without weights and classes.",
        )
    )


def _verdict(asked: list[Asked], here: Agreement, found: Explanation, m: int) -> str:
    """Whether the columns give the same answer for the same reasons, in a sentence (Markdown)."""
    pairs = np.triu_indices(len(asked), 1)
    overlaps, signs = here.overlap[..., 0][pairs], here.sign_disagreement[..., 0][pairs]
    agree = sum(_says(one.study, m)[0] == _network(one.study, m) for one in asked)
    named = escape(asked[0].study.class_names[_network(asked[0].study, m)])
    same = (
        f"{'Both' if len(asked) == 2 else f'All {len(asked)}'} say **{named}** as the network does"
        if agree == len(asked)
        else f"**{agree} of {len(asked)}** say {named} as the network does"
    )
    if np.isnan(overlaps).all():
        return f"{same}; none names any example."
    chance = percent(here.k / asked[0].study.n_train)
    who, on_average = ("they share", "") if len(asked) == 2 else ("two of them share", " on average")
    shared = percent(float(np.nanmean(overlaps)), 0)
    text = f"{same}; {who} **{shared}** of their {here.k} strongest training examples{on_average} (by chance {chance})"
    if np.isnan(signs).all():
        return f"{text}."
    worst, target = float(np.nanmax(signs)), escape(found.target)
    if worst == 0:
        return f"{text}, and none that two of them name speaks for {target} under one and against it under the other."
    return f"{text}, and of those that two of them name up to {percent(worst, 0)} speak for {target} under one and against it under the other."


def _side_by_side(asked: list[Asked], data: Dataset, found: Explanation, values: np.ndarray, m: int, k: int, kind: str) -> None:
    """A column for each study: its answer, its strongest examples for, and against."""
    for one, cell in zip(asked, st.columns(len(asked), gap="small"), strict=True):
        with cell:
            _head(one, m, own=one is asked[0])
    ends = [top_contributors(row, k) if kind != "similarity" else None for row in values]
    lists = [end.supporters if end else np.argsort(-row, kind="stable")[:k] for end, row in zip(ends, values, strict=True)]
    title, other = _SIDES[kind]
    st.markdown(f"**{title}{f' {escape(found.target)}' if other else ''}**")
    _row(asked, data, values, lists, "for")
    if other:
        st.markdown(f"**{other} {escape(found.target)}**")
        _row(asked, data, values, [end.opponents for end in ends if end], "against")
    if data.kind == "image":
        st.caption("*Alone*: no other column has the example in this list.")


def _head(one: Asked, m: int, *, own: bool) -> None:
    """The surrogate's answer, whether the network gives it too, and how well the study imitates on the whole."""
    label, chance = _says(one.study, m)
    name, network = one.study.class_names[label], one.study.class_names[_network(one.study, m)]
    st.markdown(f"**{escape(one.title)}**")
    if label == _network(one.study, m):
        st.badge(
            f"says {escape(name)}, {percent(chance, 0)}",
            icon=":material/check_circle:",
            color="blue",
            help="The network says the same.",
        )
    else:
        words = f"The network says {escape(network)}: do not use what this column explains."
        st.badge(f"says {escape(name)}, {percent(chance, 0)}", icon=":material/block:", color="orange", help=words)
    st.caption(f"τ {measure(one.study.fidelity, 'kendall_tau').value:.3f} on all test points{', this study' if own else ''}")


def _row(asked: list[Asked], data: Dataset, values: np.ndarray, lists: list[np.ndarray], side: str) -> None:
    """The lists side by side; an example that one column alone has is marked."""
    times = np.bincount(np.concatenate(lists), minlength=values.shape[1])
    base = asked[0].study
    for j, (cell, chosen) in enumerate(zip(st.columns(len(asked), gap="small"), lists, strict=True)):
        with cell:
            if not len(chosen):
                st.caption("None.")
                continue
            ids, labels = base.train_index[chosen], [base.class_names[c] for c in base.y_train[chosen]]
            if data.kind == "image":
                marks = ["  \n:orange[alone]" if times[i] == 1 else "" for i in chosen]
                words = [
                    f"**{values[j, i]:+.2g}**  \n{escape(name)}{mark}"
                    for i, name, mark in zip(chosen, labels, marks, strict=True)
                ]
                tiles(data, "train", ids, words, width=52, walk=(f"asked_{side}_{j}", selection.EXPLAIN))
                continue
            columns = {"value": values[j, chosen], "label": labels, "named by": [f"{times[i]} of {len(asked)}" for i in chosen]}
            example_rows(data, "train", ids, columns, formats={"value": "%+.3g"}, walk=(f"asked_{side}_{j}", selection.EXPLAIN))


def _moves(study: Study, asked: list[Asked], found: Moved, kind: str) -> None:
    """The chart of ranks, and its table; a dot or a row leads to the example."""
    titles = [one.title for one in asked]
    ids, labels = study.train_index[found.indices], study.y_train[found.indices]
    reading = reading_moved(found, titles, unit=KINDS[kind], ids=ids.tolist())
    if not len(ids):
        st.caption(escape(reading))
        return
    fig = moved_neighbours(
        found,
        titles,
        labels=labels,
        class_names=list(study.class_names),
        unit=KINDS[kind],
        ids=ids.tolist(),
        signed=kind != "similarity",
    )
    click = partial(selection.follow_click, CHART, "train", selection.EXPLAIN)
    layout.figure(steady(fig), reading, key=CHART, on_select=click, selection_mode="points")
    ranks = {f"rank: {title}": found.ranks[j] for j, title in enumerate(titles)}
    table = pd.DataFrame({"training point": ids, "label": [study.class_names[c] for c in labels], **ranks})
    key = f"{TABLE}_{'_'.join(one.study.key[:6] for one in asked)}_{kind}_{len(ids)}"
    with st.expander(f"Table ({len(table):,} rows)", icon=":material/table_rows:"):
        st.dataframe(
            table,
            hide_index=True,
            key=key,
            on_select=partial(selection.follow_row, key, ids, "train", selection.EXPLAIN),
            selection_mode="single-row",
            alt="Ranks; choose a row to look at the example.",
        )
        layout.download_csv(table, key="moved")


def _agreement(asked: list[Asked], here: Agreement, usual: Agreement, values: np.ndarray) -> None:
    """Overlap of each pair, here and on average, and the four measures against the study on show."""
    titles = [one.title for one in asked]
    own, mean = here.overlap[..., 0], _mean(usual.overlap)
    fig = figures.overlap_heatmaps(titles, own, mean, k=here.k, n_test=usual.overlap.shape[2])
    layout.figure(
        fig, figures.reading_overlap(titles, own, mean, k=here.k), named_table("kernel", titles, own, titles), key="asked_overlap"
    )
    correlation = spearman(np.repeat(values[:1], len(values), axis=0), values)
    table = pd.DataFrame(
        {
            f"with {titles[0]}": titles[1:],
            f"overlap@{here.k}": own[0, 1:],
            "rank-biased overlap": here.rbo[0, 1:, 0],
            "sign disagreement": here.sign_disagreement[0, 1:, 0],
            "Spearman, all": correlation[1:],
            f"overlap@{here.k}, mean of all": mean[0, 1:],
        }
    )
    config = {name: st.column_config.NumberColumn(format="%.2f") for name in table.columns[1:]}
    st.dataframe(table, hide_index=True, column_config=config, alt="Agreement of each column with the study on show.")
    layout.download_csv(table, key="asked_agreement")


def _meaning(kind: str, k: int) -> str:
    """What is ranked, and what the measures mean."""
    ranked = "kernel value" if kind == "similarity" else f"absolute {KINDS[kind]}, for and against together"
    solved = (
        " Surrogates that do not answer questions of removal leave them to a logistic regression on their kernel."
        if kind == "removal"
        else ""
    )
    return (
        f"The {k} strongest are ranked by {ranked}. Overlap: common ones among them. Rank-biased overlap: the same with the top counting most (p = 0.9). Sign "
        f"disagreement: of what either names, how much supports under one and opposes under the other. Spearman: of the values of all training examples.{solved}"
    )


def _says(study: Study, m: int) -> tuple[int, float]:
    """The surrogate's class and its probability."""
    said = scores_of(study.surrogate_logits[m : m + 1])
    label = int(said.predicted[0])
    return label, float(np.exp(said.log_probability[0, label]))


def _network(study: Study, m: int) -> int:
    return int(scores_of(study.logits_test[m : m + 1]).predicted[0])


def _mean(measured: np.ndarray) -> np.ndarray:
    """Mean over the test points where there is a number, ``[K, K]``."""
    known = np.isfinite(measured)
    count = known.sum(axis=2)
    return np.divide(np.where(known, measured, 0.0).sum(axis=2), count, out=np.full(count.shape, np.nan), where=count > 0)
