"""Agreement of neighbours on the page Compare: do kernels name the same training points near a test point?"""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.explain.agreement import overlap_at_k, strongest
from ntkviz.figures.overlap import overlap_heatmap, reading_overlap
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.ui import cached, gates, layout, selection, state
from ntkviz.ui.compare_choice import Side, same_points
from ntkviz.ui.point_picker import named_table

NEIGHBOURS, TABLE = "compare_neighbours", "compare_apart"
MOST = 50


@st.fragment(key=NEIGHBOURS)
@gates.guarded()
def agreement_of_neighbours(study: Study, found: list[Side]) -> None:
    """The heat map of mean overlap, and the test points at which kernels disagree most.

    Args:
        study: the study on show; the selection speaks of its points.
        found: the studies compared.
    """
    fits = same_points(found)
    if len(fits) < 2:
        st.info("Neighbours can be compared when two different kernels of the same points are chosen.", icon=":material/info:")
        return
    base, titles = fits[0].study, [side.title for side in fits]
    k = int(
        state.sticky(
            st.slider,
            "Nearest training points, k",
            key="compare_k",
            default=10,
            min_value=1,
            max_value=min(MOST, base.n_train),
            help="By kernel entry, as each study has it: cosine or raw. With raw kernels long gradients win over near ones.",
        )
    )
    each = _overlap(str(ntkviz_home()), tuple(side.study.key for side in fits), k)
    mean = each.mean(axis=2)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        layout.figure(
            overlap_heatmap(titles, mean, k),
            reading_overlap(titles, mean, k, base.n_train),
            named_table("kernel", titles, mean, titles),
            key="overlap",
        )
    with right:
        _apart(base, each, own=base.spec.subject_id == study.spec.subject_id)


def _apart(base: Study, each: np.ndarray, *, own: bool) -> None:
    """The test points whose neighbours depend most on the kernel; a row selects its point."""
    first, second = np.triu_indices(len(each), 1)
    pairs = each[first, second]  # [pairs, M]
    order = np.argsort(pairs.mean(axis=0), kind="stable")
    table = pd.DataFrame(
        {
            "test point": base.test_index[order],
            "label": [base.class_names[label] for label in base.y_test[order]],
            "overlap, mean of pairs": pairs.mean(axis=0)[order],
            "smallest": pairs.min(axis=0)[order],
        }
    )

    st.markdown("**Test points where the kernels disagree most**")
    st.dataframe(
        table,
        key=TABLE,
        on_select=partial(selection.follow_row, TABLE, base.test_index[order], "test", NEIGHBOURS) if own else "ignore",
        selection_mode="single-row",
        hide_index=True,
        height=330,
        column_config={name: st.column_config.NumberColumn(format="%.2f") for name in table.columns[2:]},
        alt="Test points by the mean overlap of their neighbours under two kernels, least first.",
    )
    if own:
        st.caption("A chosen row is the selected point on all pages; *Ask next* above leads to its explanation.")
    layout.download_csv(table, key="compare_apart")


@st.cache_resource(max_entries=8, show_spinner=False)
def _nearest(home: str, study_key: str) -> np.ndarray:
    """The 50 nearest training points of each test point, ``[M, 50]``; the first k of them are the k nearest."""
    return strongest(cached.study(study_key).rows, MOST, signed=False)


@st.cache_resource(max_entries=32, show_spinner=False)
def _overlap(home: str, study_keys: tuple[str, ...], k: int) -> np.ndarray:
    """Overlap@k of each pair of kernels at each test point, ``[K, K, M]``."""
    near = [_nearest(home, key)[:, :k] for key in study_keys]
    found = np.ones((len(near), len(near), len(near[0])))
    for i, first in enumerate(near):
        for j in range(i):
            found[i, j] = found[j, i] = overlap_at_k(first, near[j])
    return found
