"""The first tab of Explain: which training examples matter, by what would change without them."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.explain.concentration import concentration, top_contributors
from ntkviz.explain.registry import attributions
from ntkviz.figures import attribution
from ntkviz.scores import scores_of
from ntkviz.studies.companion import heads_of
from ntkviz.studies.explained import Explanation
from ntkviz.studies.study import Study
from ntkviz.surrogates.registry import surrogates
from ntkviz.surrogates.surrogate import Surrogate
from ntkviz.types import Dataset
from ntkviz.ui import layout, selection
from ntkviz.ui.carried import concentration_metrics, cumulative
from ntkviz.ui.clicks import steady
from ntkviz.ui.companion import companion, effects_of, removal_effects
from ntkviz.ui.point_picker import example_rows, meta_columns, tiles, true_class
from ntkviz.ui.text import escape, number, percent

CHART = "removal_distribution"


def removal(study: Study, data: Dataset, found: Explanation, m: int, k: int) -> None:
    """The examples whose absence would change the prediction most, for and against, beside the distribution of all."""
    ready = companion(study)
    if ready.surrogate is None:
        st.info(ready.problem, icon=":material/info:")
        return
    values = effects_of(study, m, asked_scores(study, m, found))
    st.caption(_what_it_is(study, own=ready.own))
    if not ready.own:
        _warn_of_another_class(study, ready.surrogate, m)
    ends, names = top_contributors(values, k), list(study.class_names)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        for title, chosen in (("would be missed by", ends.supporters), ("hold back", ends.opponents)):
            st.markdown(f"**These {title} {escape(found.target)}**")
            if len(chosen):
                _examples(study, data, found, values, chosen.tolist())
            else:
                st.caption("No training example does.")
    with right:
        st.markdown(f"**All {study.n_train:,} effects, so that the few are seen among the many**")
        fig = attribution.distribution(
            values,
            labels=study.y_train,
            class_names=names,
            target=found.target,
            ids=study.train_index.tolist(),
            k=k,
            unit=f"removal effect on the {_unit(ready.surrogate.kind)}",
        )
        words = reading(study, values, found)
        layout.figure(
            steady(fig),
            words,
            key=CHART,
            on_select=partial(selection.follow_click, CHART, "train", selection.EXPLAIN),
            selection_mode="points",
        )
    if np.abs(values).sum() > 0:
        concentration_metrics(values, "effects")
        with st.expander("How many examples hold how much of all effects", icon=":material/stacked_line_chart:"):
            cumulative(values, key="removal_cumulative")
    layout.data_table(_table(study, data, found, values), key="removal", label="All training examples with their effects")


def _warn_of_another_class(study: Study, answers: Surrogate, m: int) -> None:
    """The regression that answers is not the surrogate whose class stands above: say it when it names another class than the network."""
    network, other = (
        int(scores_of(np.asarray(logits)).predicted[0])
        for logits in (study.logits_test[m : m + 1], answers.decision_function(study.rows[m : m + 1]))
    )
    if network != other:
        st.warning(
            f"The regression that answers here names **{escape(study.class_names[other])}**, the network **{escape(study.class_names[network])}**: its "
            "effects are those of an answer that the network did not give.",
            icon=":material/warning:",
        )


def reading(study: Study, values: np.ndarray, found: Explanation) -> str:
    """What the effects say, in a sentence with figures."""
    c, best = concentration(values), int(values.argmax())
    if c.mass == 0:
        return "No training example has an effect: the surrogate is as certain as it can be."
    return (
        f"Without training point {study.train_index[best]} ({study.class_names[study.y_train[best]]}) the {_unit(removal_effects(study).surrogate.kind)} of {found.target} would fall by "
        f"{number(float(values[best]), 2)}, more than without any other. Half of all effects lie in {c.n50:,} of {study.n_train:,} points; "
        f"the ten largest hold {percent(c.top_share)}."
    )


def _unit(kind: str) -> str:
    """What a surrogate's scores are: those of a ridge on labels are no log-odds."""
    return "score" if kind == "ridge" else "log-odds"


def asked_scores(study: Study, m: int, found: Explanation) -> np.ndarray:
    """The mix of scores that is asked for, ``[C]``: a class against all its rivals, or against one."""
    return heads_of(removal_effects(study), study, m, found.label, found.against)


def _what_it_is(study: Study, *, own: bool) -> str:
    """What an effect means, who computed it and what retraining says of it."""
    effects = removal_effects(study)
    kind = "removal_klr" if effects.surrogate.kind == "klr" else "removal_ridge"
    title = surrogates()[effects.surrogate.kind].title.lower()
    whose = (
        f"this study's {title}" if own else f"a {title} on this study's kernel (the study's own surrogate does not answer this)"
    )
    return (
        f"How much the {_unit(effects.surrogate.kind)} would fall if the example had not been there, by {whose}. A forecast of training again without it. "
        f"What retraining says of such effects: {attributions()[kind].measured} How: {effects.method}"
    )


def _table(study: Study, data: Dataset, found: Explanation, values: np.ndarray) -> pd.DataFrame:
    order = np.argsort(-np.abs(values), kind="stable")
    ids = study.train_index[order]
    return pd.DataFrame(
        {
            "training point": ids,
            "label": [study.class_names[c] for c in study.y_train[order]],
            "removal effect": values[order],
            "share": found.shares[order],
            "similarity": found.similarity[order],
            **meta_columns(data, "train", ids),
        }
    )


def _examples(study: Study, data: Dataset, found: Explanation, values: np.ndarray, chosen: list[int]) -> None:
    ids = study.train_index[chosen]
    if data.kind == "image":
        captions = [_caption(study, data, found, values, i) for i in chosen]
        tiles(data, "train", ids, captions, walk=("effect", selection.EXPLAIN))
        return
    columns = {
        "effect": values[chosen],
        "similarity": found.similarity[chosen],
        "label": [study.class_names[c] for c in study.y_train[chosen]],
    }
    formats = {"effect": "%+.3g", "similarity": "%.3f"}
    example_rows(data, "train", ids, columns, formats=formats, walk=("effect", selection.EXPLAIN))


def _caption(study: Study, data: Dataset, found: Explanation, values: np.ndarray, i: int) -> str:
    """What stands below a picture; a label that the data knows to be wrong is said to be."""
    name, true = study.class_names[study.y_train[i]], true_class(data, "train", int(study.train_index[i]))
    label = escape(name) if true == name else f":orange[{escape(name)}, really {escape(true)}]"
    return f"**{values[i]:+.3g}**  \n{label}  \nsim. {number(float(found.similarity[i]))}"
