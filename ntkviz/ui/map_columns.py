"""What the points of the map can be coloured and filtered by: class, what the network says, the explained point's shares, columns of the data."""

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.figures.embedding import Column
from ntkviz.scores import scores_of
from ntkviz.studies.explained import explanation
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import selection, state
from ntkviz.ui.maps import Made
from ntkviz.ui.points import Outcomes

#: A column of words with more states than this cannot be told apart by colour.
MAX_STATES = 12
#: Columns that every study has.
CLASS, SAID, RIGHT = "class", "class that the network names", "network right or wrong"
SURE, KEPT = "network's log-odds of its class", "neighbours kept on the map"
#: Columns that the explained test point brings: training points by what they are to it.
SHARE, ALIKE = "share in the explained prediction", "similarity to the explained test point"
_DATA = "data: "


def names(study: Study, data: Dataset) -> list[str]:
    """The columns there are, in the order shown."""
    found = [CLASS, SAID, RIGHT, SURE, KEPT]
    if selection.position(study, "test", state.get("point")) is not None:
        found += [SHARE, ALIKE]
    if data.meta is not None:
        for name in data.meta.columns:
            values = pd.Series(data.meta[name])
            states = int(values.nunique())
            if name != "split" and states > 1 and (pd.api.types.is_numeric_dtype(values) or states <= MAX_STATES):
                found.append(f"{_DATA}{name}")
    return found


def column(study: Study, data: Dataset, points: Outcomes, made: dict[str, Made], name: str) -> Column | None:
    """A column's numbers or states for training and test points; None for the class."""
    if name == CLASS:
        return None
    if name.startswith(_DATA) and data.meta is not None:
        return _of_data(study, data, name.removeprefix(_DATA))
    train = scores_of(study.logits_train)
    if name == SAID:
        classes = np.array(study.class_names, dtype=object)
        return Column("network's class", classes[train.predicted].tolist(), classes[points.network].tolist())
    if name == RIGHT:
        words = np.array(["network wrong", "network right"])
        right = (train.predicted == study.y_train).astype(int)
        return Column("network", words[right].tolist(), words[points.right.astype(int)].tolist())
    if name == SURE:
        odds = train.log_odds[np.arange(study.n_train), train.predicted]
        return Column("log-odds of the network's class", odds, points.margin, low=0.0)
    if name == KEPT:
        first = next(iter(made.values())).embedding.quality
        return Column(f"share of {first.n_neighbours} neighbours kept", first.preserved, first.preserved_test, low=0.0, high=1.0)
    return _of_point(study, points, name)


def filtered(found: Column | None, study: Study, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The control of the filter, and what it leaves.

    Args:
        found: the column to filter by; None is the class.
        study: the study.
        name: of the column.

    Returns:
        bool ``[N]`` and bool ``[M]`` (points without a value stay), or None when all are left.
    """
    if found is not None and found.numeric:
        return _in_range(found, study, name)
    classes = np.array(study.class_names, dtype=object)
    train = classes[study.y_train] if found is None else np.asarray(found.train, dtype=object)
    test = classes[study.y_test] if found is None else None if found.test is None else np.asarray(found.test, dtype=object)
    states = list(
        dict.fromkeys([*study.class_names] if found is None else sorted({*train.tolist(), *([] if test is None else test)}))
    )
    kept = state.sticky(
        st.pills, "Show", key="map_states", default=states, options=states, selection_mode="multi", help="Others become grey."
    )
    if set(kept) == set(states):
        return None
    return np.isin(train, kept), np.ones(study.n_test, bool) if test is None else np.isin(test, kept)


def _in_range(found: Column, study: Study, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    train = np.asarray(found.train, dtype=np.float64)
    test = np.asarray(found.test, dtype=np.float64) if found.test is not None else np.array([])
    values = np.concatenate([train, test])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    if low == high:
        st.caption(f"All points have the same {name}.")
        return None
    if state.get("map_range_of") != name:  # a range of another column means nothing here
        state.forget("map_range")
        state.put("map_range_of", name)
    given = state.get("map_range")
    if given:
        state.put("map_range", (min(max(given[0], low), high), max(min(given[1], high), low)))
    ends = state.sticky(
        st.slider,
        f"Show {name} from, to",
        key="map_range",
        default=(low, high),
        min_value=low,
        max_value=high,
        step=(high - low) / 200,
        format="%.3g",
        help="Others become grey. Points without a value stay.",
    )
    if ends[0] <= low and ends[1] >= high:
        return None
    kept, kept_test = (~np.isfinite(part) | ((part >= ends[0]) & (part <= ends[1])) for part in (train, test))
    return kept, kept_test if found.test is not None else np.ones(study.n_test, bool)


def _of_data(study: Study, data: Dataset, name: str) -> Column:
    assert data.meta is not None
    values = pd.Series(data.meta[name])
    is_number = bool(pd.api.types.is_numeric_dtype(values)) and not bool(pd.api.types.is_bool_dtype(values))
    numeric = is_number and int(values.nunique()) > 2
    cells = values.to_numpy(dtype=np.float64) if numeric else values.astype(str).to_numpy()
    return Column(name, cells[study.train_index], cells[len(data.x_train) + study.test_index])


def _of_point(study: Study, points: Outcomes, name: str) -> Column | None:
    """What training points are to the explained test point."""
    m = selection.position(study, "test", state.get("point"))
    if m is None:
        return None
    point, label = points.ids[m], int(points.network[m])
    if name == SHARE:
        return Column(f"share in {study.class_names[label]}, test point {point}", explanation(study, m, label).shares)
    return Column(f"similarity to test point {point}", np.asarray(study.rows[m], dtype=np.float64))
