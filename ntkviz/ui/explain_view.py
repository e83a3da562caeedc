"""The page Explain: one prediction, the training examples that it is the sum of, and how far to believe it."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.explain.concentration import top_contributors
from ntkviz.explain.groups import class_totals
from ntkviz.explain.neighbours import neighbours
from ntkviz.explain.share import share_of
from ntkviz.figures import attribution, probability, waterfall, weights
from ntkviz.scores import scores_of
from ntkviz.studies.explained import Explanation, explanation, runner_up
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import gates, layout, media, selection, state, take_away
from ntkviz.ui.carried import concentration_metrics, cumulative
from ntkviz.ui.clicks import steady
from ntkviz.ui.kernels_asked import other_kernels
from ntkviz.ui.layers_view import which_layers
from ntkviz.ui.point_card import training_card
from ntkviz.ui.point_picker import example_rows, meta_columns, named_table, tiles, true_class
from ntkviz.ui.points import Outcomes
from ntkviz.ui.removal_view import removal
from ntkviz.ui.text import escape, number, percent
from ntkviz.ui.trust_view import trust_badge

NOT_REMOVAL = "A share is a term of the surrogate's sum. It is **not** what would happen if the network were trained again without the example."


def point_head(study: Study, data: Dataset, points: Outcomes, m: int) -> None:
    """The point, what network and surrogate say of it, and whether its explanation may be used."""
    names, label = study.class_names, int(points.labels[m])
    caption = f"Test point {points.ids[m]}, labelled **{escape(names[label])}**"
    if data.kind == "image":
        left, right = st.columns([2, 5], vertical_alignment="center")
        with left:
            media.show_point(data, "test", int(points.ids[m]), width="stretch", caption=caption)
    else:
        right = st.container()
        media.show_point(data, "test", int(points.ids[m]), caption=caption)
    with right:
        badge(points, m, names)
        trust_badge(study, m)
    network = np.exp(scores_of(study.logits_test[m : m + 1]).log_probability[0])
    surrogate = np.exp(scores_of(study.surrogate_logits[m : m + 1]).log_probability[0])
    fig = probability.probability_bars(network, surrogate, names, true_class=label)
    fig.update_layout(height=112 + 25 * min(len(names), 10))
    fig.update_traces(constraintext="none", textfont_size=11)  # else Plotly shrinks the words to the bars' thickness
    reading = probability.reading_probability(network, surrogate, names, true_class=label)
    table = pd.DataFrame({"class": names, "network": network, "surrogate": surrogate})
    layout.figure(fig, reading, table, key="probabilities")


def badge(points: Outcomes, m: int, names: tuple[str, ...]) -> None:
    """Whether surrogate and network agree here, and how usual the distance between them is."""
    said, told = escape(names[points.network[m]]), escape(names[points.surrogate[m]])
    far = np.abs(points.network_odds - points.surrogate_odds)
    rank = float((far < far[m]).mean())
    where = f"their log-odds of the label are further apart than at {percent(rank, 0)} of the test points"
    odds = f"network {number(points.network_odds[m])}, surrogate {number(points.surrogate_odds[m])}; {where}"
    with st.container(horizontal=True, vertical_alignment="center"):
        if points.agrees[m]:
            st.badge("Surrogate agrees", icon=":material/check_circle:", color="blue")
            st.markdown(f"Both say **{said}**.", width="content")
        else:
            st.badge("Surrogate differs: do not use", icon=":material/block:", color="orange")
            st.markdown(f"The network says **{said}**, the surrogate **{told}**.", width="content")
        if not points.right[m]:
            st.badge("Network wrong", icon=":material/close:", color="gray")
    if not points.agrees[m]:
        st.warning(
            "What follows takes apart the surrogate's score. Here the surrogate answers otherwise than the network, so it explains an "
            "answer that the network did not give.",
            icon=":material/warning:",
        )
    st.caption(f"Log-odds of the label: {odds}.")


@st.fragment(key=selection.EXPLAIN)
@gates.guarded()
def explain(study: Study, data: Dataset, points: Outcomes, m: int) -> None:
    """The question and its answer: a change here draws nothing else of the page."""
    found, k = choose_question(study, points, m)
    take_away.explanation_menu(study, data, m, found, k)
    walked_to(study, data, found)
    matter, strong, added, spread, near, deep, others = state.tabs(
        [
            "Which examples matter",
            "Strongest shares",
            "How it adds up",
            "How many carry it",
            "Neighbours (kernel alone)",
            "Which layers",
            "Other kernels",
        ],
        key="explain_tab",
    )
    if matter.open:
        with matter:
            removal(study, data, found, m, k)
    if strong.open:
        with strong:
            strongest(study, data, found, k)
    if added.open:
        with added:
            sum_of_shares(study, found, k)
    if spread.open:
        with spread:
            concentrated(study, found, k)
    if near.open:
        with near:
            alike(study, data, found, m, k)
    if deep.open:
        with deep:
            which_layers(study, data, found, m, k)
    if others.open:
        with others:
            other_kernels(study, data, found, m, k)


def walked_to(study: Study, data: Dataset, found: Explanation) -> None:
    """The training example that somebody walked on to, and what it is to this prediction."""
    i = selection.position(study, "train", state.get("example"))
    if i is None:
        return
    rank = int((np.abs(found.shares) > abs(found.shares[i])).sum()) + 1
    says = (
        f"Its share in {escape(found.target)} is **{found.shares[i]:+.3g}**, number {rank:,} of {study.n_train:,} by size; its similarity to "
        f"the test point is {number(float(found.similarity[i]))}."
    )
    with st.container(border=True, key="walked_to"):
        training_card(study, data, i, says=says, fragments=(selection.EXPLAIN,))


def choose_question(study: Study, points: Outcomes, m: int) -> tuple[Explanation, int]:
    """Class to explain, class to compare it with, and how many examples to show.

    Returns:
        The explanation, and k.
    """
    names, mine = study.class_names, f"{study.key}:{points.ids[m]}"
    known = state.get("explain_for")
    if known not in {None, mine}:  # another point: the question starts from its own prediction again
        state.forget("explain_class", "explain_against")
    if known != mine:  # a link that was just opened brings its own question
        state.put("explain_for", mine)
    left, middle, right = st.columns([2, 2, 2], vertical_alignment="bottom")
    said = int(points.network[m])
    with left:
        label = state.sticky(
            st.selectbox,
            "Class to explain",
            key="explain_class",
            default=said,
            options=list(range(len(names))),
            format_func=lambda c: f"{names[c]} (network's prediction)" if c == said else names[c],
        )
    with middle:
        against = _contrast(study, m, int(label))
    with right:
        k = state.sticky(
            st.slider,
            "Examples on each side",
            key="top",
            default=8,
            min_value=1,
            max_value=min(30, study.n_train),
            help="How many of the strongest training examples for and against are shown. All others stay in the figures beside.",
        )
    return explanation(study, m, int(label), against), int(k)


def strongest(study: Study, data: Dataset, found: Explanation, k: int) -> None:
    """The strongest examples for and against, beside the distribution of all."""
    ends = top_contributors(found.shares, k)
    st.caption(NOT_REMOVAL)
    names, labels = list(study.class_names), study.y_train
    left, right = st.columns([1, 1], gap="medium")
    with left:
        for title, chosen in (("for", ends.supporters), ("against", ends.opponents)):
            st.markdown(f"**Speak {title} {escape(found.target)}**")
            if len(chosen):
                _examples(study, data, found, chosen.tolist())
            else:
                st.caption("No training example does.")
    with right:
        st.markdown(f"**All {study.n_train:,} shares, so that the few are seen among the many**")
        target, ids = found.target, study.train_index.tolist()
        fig = attribution.distribution(
            found.shares, labels=labels, class_names=names, target=target, ids=ids, k=k, unit="share in the score"
        )
        reading = attribution.reading_distribution(found.shares, labels=labels, class_names=names, target=target, k=k)
        layout.figure(
            steady(fig),
            reading,
            key="distribution",
            on_select=partial(selection.follow_click, "distribution", "train", selection.EXPLAIN),
            selection_mode="points",
        )
    table = example_table(study, data, found, np.argsort(-np.abs(found.shares), kind="stable"))
    st.caption(
        attribution.reading_strongest(found.shares, labels=labels, class_names=names, target=target, k=k).replace("*", "\\*")
    )
    layout.data_table(table, key="shares", label="All training examples with their shares")


def sum_of_shares(study: Study, found: Explanation, k: int) -> None:
    """The waterfall that adds up, the check, and the totals by class."""
    names, target = list(study.class_names), found.target
    steps = waterfall.waterfall_steps(
        found.shares,
        intercept=found.intercept,
        labels=study.y_train,
        class_names=names,
        network_logit=found.network,
        ids=study.train_index.tolist(),
        k=k,
    )
    left, right = st.columns([3, 2], gap="medium")
    with left:
        table = pd.DataFrame([{"part": s.label, "value": s.value, "from": s.start, "to": s.end} for s in steps])
        fig, reading = waterfall.waterfall(steps, target=target), waterfall.reading_waterfall(steps, target=target)
        layout.figure(fig, reading, table, key="waterfall")
    with right:
        check_row(study, found)
    st.markdown("**Which training classes push which logit**")
    _totals(study, found)


def check_row(study: Study, found: Explanation) -> None:
    """The sum of the shares and the intercept minus the score, as a number that everybody can see."""
    rows = [
        (f"sum of {study.n_train:,} shares", float(found.shares.sum())),
        ("intercept of the surrogate", found.intercept),
        ("surrogate's score, computed apart", found.score),
        ("shares + intercept − score", found.gap),
    ]
    st.markdown("**Does it add up?**")
    table = pd.DataFrame(rows, columns=["part", "value"])
    config = {"value": st.column_config.NumberColumn(format="%.6g")}
    st.dataframe(table, hide_index=True, column_config=config, alt="The sum of the shares, checked.")
    verdict = "Yes, up to rounding" if abs(found.gap) <= 1e-6 * max(1.0, abs(found.score)) else "**No: report this**"
    st.markdown(f"{verdict}: shares plus intercept minus score is **{found.gap:.1e}**.")
    centred = " (here minus the mean over the classes, which softmax does not see)" if study.logits_test.shape[1] > 1 else ""
    st.caption(
        f"“Not explained” is what the surrogate's score lacks to the network's logit{centred}. A surrogate that re-learns the labels need not be "
        "on the network's scale. Compare with another class above for the difference of two logits, which softmax does see."
    )
    st.caption(NOT_REMOVAL)


def concentrated(study: Study, found: Explanation, k: int) -> None:
    """How many examples carry the prediction: the curve of |shares| and its marks."""
    concentration_metrics(found.shares, "shares")
    left, right = st.columns([1, 1], gap="medium")
    with left:
        cumulative(found.shares, key="cumulative")
    with right:
        fig = weights.similarity_weight_scatter(
            found.similarity,
            found.weight,
            labels=study.y_train,
            class_names=list(study.class_names),
            target=found.target,
            ids=study.train_index.tolist(),
            k=k,
        )
        layout.figure(fig, weights.reading_similarity_weight(found.similarity, found.weight, k=k), key="similarity_weight")


def alike(study: Study, data: Dataset, found: Explanation, m: int, k: int) -> None:
    """The nearest training examples by the kernel alone: the other question."""
    near = neighbours(study.rows[m : m + 1], k=min(2 * k, study.n_train))
    chosen = near.indices[0].tolist()
    strong = set(np.argsort(-np.abs(found.shares), kind="stable")[: len(chosen)].tolist())
    same = sum(study.y_train[i] == study.y_test[m] for i in chosen)
    st.markdown(
        "**Which training examples look alike to the network?** The largest kernel values: no weights, no class, no sign. This is another "
        "question than *which examples is the score made of*."
    )
    st.caption(
        f"Of the {len(chosen)} nearest, {same} have the test point's label, and {len(strong & set(chosen))} are among the {len(chosen)} examples with "
        f"the largest shares of {escape(found.target)}."
    )
    _examples(study, data, found, chosen, by="similarity")
    layout.data_table(example_table(study, data, found, near.indices[0]), key="neighbours", label="The nearest training examples")


def example_table(study: Study, data: Dataset, found: Explanation, order: np.ndarray) -> pd.DataFrame:
    """Training examples with their numbers, in the order given; what is downloaded is what is drawn."""
    total = max(float(np.abs(found.shares).sum()), 1e-300)
    ids = study.train_index[order]
    return pd.DataFrame(
        {
            "training point": ids,
            "label": [study.class_names[c] for c in study.y_train[order]],
            "share": found.shares[order],
            "share of all |shares|": np.abs(found.shares[order]) / total,
            "similarity": found.similarity[order],
            "weight": found.weight[order],
            **meta_columns(data, "train", ids),
        }
    )


def _contrast(study: Study, m: int, label: int) -> int | None:
    """The class to compare with; None for the class's own score."""
    names = study.class_names
    if study.surrogate.n_classes == 1:
        other = names[1 - label]
        st.selectbox("Compared with", [other], disabled=True, help="A network with one logit always compares its two classes.")
        return None
    second = runner_up(study, m, label)
    chosen = state.sticky(
        st.selectbox,
        "Compared with",
        key="explain_against",
        default=-1,
        options=[-1, *(c for c in range(len(names)) if c != label)],
        format_func=lambda c: "no other class" if c < 0 else f"{names[c]} (runner-up)" if c == second else names[c],
        help="Why this class rather than another: the difference of the two scores, and of the shares in them.",
    )
    return None if chosen < 0 else int(chosen)


def _examples(study: Study, data: Dataset, found: Explanation, chosen: list[int], *, by: str = "share") -> None:
    """Training examples as pictures with captions, or as rows with their text or values; ``by`` is the number that comes first."""
    if data.kind == "image":
        captions = [_caption(study, data, found, i, by) for i in chosen]
        tiles(data, "train", study.train_index[chosen], captions, walk=(by, selection.EXPLAIN))
        return
    numbers = {"share": found.shares[chosen], "similarity": found.similarity[chosen]}
    if by == "similarity":
        numbers = dict(reversed(numbers.items()))
    columns = {**numbers, "label": [study.class_names[c] for c in study.y_train[chosen]]}
    formats = {"share": "%+.3g", "similarity": "%.3f"}
    example_rows(data, "train", study.train_index[chosen], columns, formats=formats, walk=(by, selection.EXPLAIN))


def _caption(study: Study, data: Dataset, found: Explanation, i: int, by: str) -> str:
    """What stands below a picture; a label that the data knows to be wrong is said to be."""
    name, true = study.class_names[study.y_train[i]], true_class(data, "train", int(study.train_index[i]))
    label = escape(name) if true == name else f":orange[{escape(name)}, really {escape(true)}]"
    share, alike = f"{found.shares[i]:+.3g}", number(float(found.similarity[i]))
    if by == "similarity":
        return f"**{alike}**  \n{label}  \nshare {share}"
    part = percent(abs(found.shares[i]) / max(float(np.abs(found.shares).sum()), 1e-300))
    return f"**{share}**  \n{label}, {part}  \nsim. {alike}"


def _totals(study: Study, found: Explanation) -> None:
    """Which training classes push which logit."""
    names = list(study.class_names)
    shares = share_of(study.surrogate, found.similarity)  # (C, N)
    logits = names if len(shares) > 1 else [f"{names[1]} (one logit)"]
    totals = class_totals(shares, study.y_train, len(names)).T  # (training classes, logits)
    fig = attribution.class_totals_heatmap(totals, study.surrogate.intercept, names, logit_names=logits)
    reading = attribution.reading_class_totals(totals, study.surrogate.intercept, names, logit_names=logits)
    table = named_table("training class", names, totals, logits)
    layout.figure(fig, reading, table, key="class_totals")
