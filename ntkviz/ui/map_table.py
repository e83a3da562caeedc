"""All points of the map as a table in which rows can be chosen: the way to the map without a mouse."""

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.embed.registry import embeddings
from ntkviz.scores import scores_of
from ntkviz.studies.study import Study
from ntkviz.ui import layout, selection
from ntkviz.ui.clicks import chosen_rows
from ntkviz.ui.maps import Made
from ntkviz.ui.points import Outcomes

KEY = "map_table"


def point_list(study: Study, points: Outcomes, made: dict[str, Made]) -> None:
    """The table, in an expander that costs nothing while it is closed."""
    n = study.n_train + study.n_test
    with st.expander(
        f"All {n:,} points as a table", icon=":material/table_rows:", on_change="rerun", key="map_table_open"
    ) as box:
        if box.open:
            _table_of(study, points, made)


def _table_of(study: Study, points: Outcomes, made: dict[str, Made]) -> None:
    st.caption("Choose one row to look at its point, several to choose the points together.")
    table = point_table(study, points, made)
    keys = table["point"].tolist()

    def pick() -> None:
        rows = chosen_rows(KEY)
        if len(rows) == 1:
            selection.look_at(keys[rows[0]])
        elif rows:
            selection.choose_keys(keys[row] for row in rows)

    st.dataframe(
        table,
        key=KEY,
        on_select=pick,
        selection_mode="multi-row",
        hide_index=True,
        column_config={name: st.column_config.NumberColumn(format="%.3f") for name in table.columns[5:]},
        alt="All points of the map with their coordinates.",
    )
    layout.download_csv(table, key="map")


def point_table(study: Study, points: Outcomes, made: dict[str, Made]) -> pd.DataFrame:
    """All points with label, network's class and coordinates."""
    names, train = study.class_names, scores_of(study.logits_train).predicted
    table = pd.DataFrame(
        {
            "point": [*(f"test:{i}" for i in study.test_index), *(f"train:{i}" for i in study.train_index)],
            "split": ["test"] * study.n_test + ["train"] * study.n_train,
            "id": np.concatenate([study.test_index, study.train_index]),
            "label": [names[c] for c in [*study.y_test, *study.y_train]],
            "network": [names[c] for c in [*points.network, *train]],
        }
    )
    for kind, one in made.items():
        found, title = one.embedding, embeddings()[kind].title
        empty = np.full((study.n_test, 2), np.nan)
        xy = np.concatenate([found.test_points if found.test_points is not None else empty, found.points])
        kept = found.quality.preserved_test if found.quality.preserved_test is not None else empty[:, 0]
        table[f"{title} 1"], table[f"{title} 2"] = xy[:, 0], xy[:, 1]
        table[f"{title}: neighbours kept"] = np.concatenate([kept, found.quality.preserved])
    return table
