"""The page Behaviours: many test points at once, and the groups of training examples that carry them."""

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.explain.behaviour import TopCarriers, carriers, top_carriers
from ntkviz.explain.regions import regions
from ntkviz.figures import behaviour as figures
from ntkviz.figures.fidelity import confusion_heatmap
from ntkviz.scores import scores_of
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import behaved, layout, media, selection, state, together
from ntkviz.ui.behaved import Behaviour
from ntkviz.ui.clicks import clicked, steady
from ntkviz.ui.point_picker import example_rows, meta_columns, named_table, tiles, true_class
from ntkviz.ui.points import Outcomes
from ntkviz.ui.text import escape, percent

#: How the test points of a behaviour are chosen: name -> help.
CONFUSION = "a confusion"
KINDS = {
    CONFUSION: "Test points of one class that the network takes for another",
    "all errors": "All test points that the network gets wrong",
    selection.KIND: "Any test points: those chosen on the page Map (by a lasso, a box, or rows of its table), or by their ids",
}
#: Test points shown as pictures.
SHOWN = 24
_CONFUSIONS = "confusions"


def choose(study: Study) -> Behaviour | None:
    """The controls; None when nothing is chosen (the page then says what to do)."""
    found = behaved.cells(study)
    left, right = st.columns([3, 4], vertical_alignment="bottom")
    with left:
        kind = state.sticky(
            st.segmented_control,
            "Behaviour",
            key="behaviour_kind",
            default=CONFUSION if found else selection.KIND,
            options=list(KINDS),
            required=True,
            help=". ".join(f"**{name}**: {text}" for name, text in KINDS.items()) + ".",
        )
    with right:
        if kind == selection.KIND:
            return _chosen(study)
        if not found:
            st.info(
                "The network gets all test points of this study right. Choose test points yourself.",
                icon=":material/check_circle:",
            )
            return None
        if kind == "all errors":
            return behaved.behaviour(study, "all errors of the network", behaved.wrong(study), target=None)
        return _cell(study, found)


def in_a_confusion(study: Study) -> bool:
    """Whether one cell of the confusion matrix is explained."""
    return bool(behaved.cells(study)) and state.get("behaviour_kind", CONFUSION) == CONFUSION


def confusions(study: Study) -> None:
    """Labels against the network's classes: a click on an error explains it."""
    names, n = list(study.class_names), len(study.class_names)
    counts = np.zeros((n, n), dtype=np.int64)
    np.add.at(counts, (study.y_test, scores_of(study.logits_test).predicted), 1)
    fig = confusion_heatmap(counts, names, rows="label", columns="network's class")
    right = int(np.trace(counts))
    reading = f"The network names the label of {right:,} of {counts.sum():,} test points (blue). Click an orange cell to explain these errors."
    layout.figure(
        steady(fig),
        reading,
        named_table("label", names, counts, names),
        key=_CONFUSIONS,
        on_select=_follow,
        selection_mode="points",
    )


def _follow() -> None:
    """Explain the errors of the cell that was clicked; one of right answers is no error."""
    cell = clicked(_CONFUSIONS)
    if cell is not None and len(set(cell.split(":"))) == 2:
        state.put("behaviour_cell", cell)


def about(study: Study, data: Dataset, chosen: Behaviour) -> None:
    """What is explained, in a sentence, and the test points themselves."""
    n = len(chosen.members)
    count = "one test point" if n == 1 else f"{n:,} test points"
    st.markdown(
        f"**{escape(chosen.title)}**: {count}. Explained are the log-odds of **{escape(chosen.target_name)}**: an effect above zero means that these "
        "would fall without the training example."
    )
    for note in chosen.notes:
        st.caption(escape(note))
    if chosen.target_name == "the label":
        st.caption("So the examples that *carry errors* are those with effects below zero: they speak against the label.")
    shown = chosen.members[:SHOWN]
    with st.expander(f"The test points ({count})", icon=":material/visibility:", expanded=in_a_confusion(study)):
        ids = study.test_index[shown]
        if data.kind == "image":
            tiles(data, "test", ids, [escape(study.class_names[study.y_test[m]]) for m in shown], width=64, walk=("members",))
        else:
            example_rows(
                data, "test", ids, {"label": [study.class_names[study.y_test[m]] for m in shown]}, formats={}, walk=("members",)
            )
        if n > SHOWN:
            st.caption(f"The first {SHOWN}.")


def by_group(study: Study, data: Dataset, chosen: Behaviour, values: np.ndarray) -> None:
    """Totals of groups of training examples, against comparable test points."""
    by = state.sticky(
        st.selectbox,
        "Group training examples by",
        key="behaviour_group",
        default="class",
        options=behaved.groupings(study, data),
        help="Clusters are found by k-means on the leading axes of kernel PCA; columns are those of the data.",
    )
    codes, names = behaved.groups(study, data, by)
    found = carriers(values, chosen.inside, study.y_test[chosen.pool], codes, names)
    st.markdown(figures_title(by))
    table = pd.DataFrame(
        {
            "group": found.names,
            "training points": found.sizes,
            "total effect": found.totals,
            "typical": found.typical,
            "low": found.low,
            "high": found.high,
            "p (adjusted)": found.p_values,
        }
    ).iloc[found.order]
    fig = figures.carrier_bars(found, target=chosen.target_name)
    layout.figure(fig, figures.reading_carriers(found, target=chosen.target_name), table, key="carriers")
    st.caption(
        f"Compared with 2,000 random sets of as many test points of the same true classes, out of {found.n_reference}. "
        "A total on its own only says which groups are large."
    )
    for note in found.notes:
        st.caption(f":material/info: {escape(note)}")


def figures_title(by: str) -> str:
    """The heading of the totals (Markdown)."""
    return f"**Total effect of the training examples by {escape(by.removeprefix('data: '))}**, those that differ most from comparable points first"


def strongest(study: Study, data: Dataset, chosen: Behaviour, values: np.ndarray) -> None:
    """The training examples that carry the behaviour, for and against."""
    k = int(state.sticky(st.slider, "Examples on each side", key="top", default=8, min_value=1, max_value=min(30, study.n_train)))
    strata, target = study.y_test[chosen.pool], escape(chosen.target_name)
    for opposing, words in ((False, f"Speak for {target}"), (True, f"Speak against {target}")):
        found = top_carriers(values, chosen.inside, strata, k=k, opposing=opposing)
        st.markdown(f"**{words}**")
        if not len(found.indices):
            st.caption("No training example does.")
            continue
        st.caption(_reading_top(study, chosen, found, opposing=opposing))
        _show_top(study, data, chosen, found)
    mean = values[chosen.inside].mean(axis=0)
    order = np.argsort(-np.abs(mean), kind="stable")
    ids = study.train_index[order]
    table = pd.DataFrame(
        {
            "training point": ids,
            "label": [study.class_names[c] for c in study.y_train[order]],
            "mean effect": mean[order],
            "test points it supports": (values[chosen.inside] > 0).sum(axis=0)[order],
            **meta_columns(data, "train", ids),
        }
    )
    layout.data_table(table, key="behaviour_examples", label="All training examples")


def thin(study: Study, points: Outcomes, chosen: Behaviour) -> None:
    """Where the test points lie, and whether their class is thin there."""
    found, (codes, names) = behaved.covered(study), behaved.clusters(study)
    inside = np.zeros(study.n_test, dtype=bool)
    inside[chosen.members] = True
    where = regions(behaved.cosine_rows(study), codes, names, inside, found, y_train=study.y_train, y_test=study.y_test)
    st.markdown("**Where these test points lie, and whether the training set has enough of their class there**")
    table = pd.DataFrame(
        {
            "region": where.names,
            "training points": where.n_train,
            "of these classes": where.n_own,
            "test points": where.n_points,
            "under-represented": where.n_low,
            "share": where.share,
            "share of others": where.share_rest,
        }
    )
    layout.figure(figures.region_bars(where), figures.reading_regions(where), table, key="regions")
    st.caption(
        f"Under-represented: the mean cosine with the {found.k} nearest training examples of the own class is among the lowest tenth of the class' test "
        "points. Regions are clusters of training examples; a test point lies where most of its nearest ones do."
    )
    each = pd.DataFrame(
        {
            "test point": points.ids[chosen.members],
            "label": [study.class_names[c] for c in points.labels[chosen.members]],
            "network": [study.class_names[c] for c in points.network[chosen.members]],
            "mean cosine with own class": found.mass[chosen.members],
            "rank in its class": found.rank[chosen.members],
            "own class among the nearest": found.own_share[chosen.members],
            "under-represented": found.low[chosen.members],
        }
    )
    layout.data_table(each, key="coverage", label="The test points")


def _cell(study: Study, found: dict[str, tuple[int, int, np.ndarray]]) -> Behaviour:
    names = study.class_names

    def words(cell: str) -> str:
        true, named, inside = found[cell]
        return f"{names[true]} taken for {names[named]} ({len(inside)})"

    cell = state.sticky(
        st.selectbox,
        "Errors of the network",
        key="behaviour_cell",
        default=next(iter(found)),
        options=list(found),
        format_func=words,
    )
    true, named, inside = found[cell]
    return behaved.behaviour(study, f"{names[true]} taken for {names[named]}", inside, target=named)


def _chosen(study: Study) -> Behaviour | None:
    inside = together.picker(study)
    if not len(inside):
        st.info("Choose some test points to explain together, here or on the map.", icon=":material/touch_app:")
        st.page_link("pages/map.py", label="Choose them on the map", icon=":material/lasso_select:")
        return None
    return behaved.behaviour(study, "the chosen test points", inside, target=None)


def _reading_top(study: Study, chosen: Behaviour, found: TopCarriers, *, opposing: bool) -> str:
    """What the strongest examples have in common, in a sentence (Markdown)."""
    labels, counts = np.unique(study.y_train[found.indices], return_counts=True)
    most = int(labels[counts.argmax()])
    n, first = len(chosen.members), int(found.reached[0])
    how = "lowers" if opposing else "raises"
    return (
        f"{int(counts.max())} of these {len(found.indices)} are labelled {escape(study.class_names[most])}. The first {how} the log-odds at {first} of {n} test "
        f"points ({percent(first / n, 0)}), by {abs(found.effects[0]):.3g} on average; at comparable test points its effect is {found.typical[0]:+.3g}."
    )


def _show_top(study: Study, data: Dataset, chosen: Behaviour, found: TopCarriers) -> None:
    ids = study.train_index[found.indices]
    if data.kind == "image":
        captions = []
        for i, effect, reached in zip(found.indices, found.effects, found.reached, strict=True):
            name, true = study.class_names[study.y_train[i]], true_class(data, "train", int(study.train_index[i]))
            label = escape(name) if name == true else f":orange[{escape(name)}, really {escape(true)}]"
            captions.append(f"**{effect:+.3g}**  \n{label}  \n{reached} of {len(chosen.members)}")
        tiles(data, "train", ids, captions, width=media.SMALL * 3 // 4, walk=("carriers",))
        return
    numbers = {
        "effect": found.effects,
        "typical": found.typical,
        "label": [study.class_names[c] for c in study.y_train[found.indices]],
    }
    example_rows(data, "train", ids, numbers, formats={"effect": "%+.3g", "typical": "%+.3g"}, walk=("carriers",))
