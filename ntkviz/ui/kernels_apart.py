"""Where kernels disagree most: all test points by how many of their strongest training examples stay the same under other kernels."""

import zlib
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.explain.agreement import Agreement
from ntkviz.figures.agreement import overlap_histogram, reading_histogram
from ntkviz.scores import scores_of
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import asked as numbers
from ntkviz.ui import layout, selection
from ntkviz.ui.asked import KINDS, Asked
from ntkviz.ui.point_picker import picture, picture_column
from ntkviz.ui.text import escape

#: Rows of the table; the file has all.
MAX_LISTED = 100


def usual_agreement(asked: list[Asked], kind: str, k: int) -> Agreement:
    """How far the studies agree on every test point; by shares where removal effects on all of them would take minutes."""
    return numbers.on_all_points(asked, _quick(asked, kind), k)


def apart(study: Study, data: Dataset, asked: list[Asked], usual: Agreement, m: int, kind: str) -> None:
    """The test points whose explanation depends most on the kernel; a row becomes the point that is explained.

    Args:
        study: the study on show.
        data: the subject's whole data.
        asked: it and the others.
        usual: how far they agree on every test point.
        m: position of the test point that is explained.
        kind: what is compared above.
    """
    st.subheader("Where do kernels disagree most?", anchor=False)
    quick = _quick(asked, kind)
    others = ", ".join(one.title for one in asked[1:])
    note = (
        f" Removal effects on all test points take minutes at {study.n_train:,} training points, so shares are compared."
        if quick != kind
        else ""
    )
    st.caption(
        f"All {study.n_test:,} test points, each on the class that the network names there, by {KINDS[quick]}: {escape(asked[0].title)} against "
        f"{escape(others)}, means over these.{note}"
    )
    overlap = over_others(usual.overlap)
    if np.isnan(overlap).all():
        st.info("No training example is named at any test point, so there is nothing to compare.", icon=":material/info:")
        return
    table = _table(study, asked, overlap, over_others(usual.sign_disagreement))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _pick(table, data)
        layout.download_csv(table, key="kernels_apart", label=f"Download all {len(table):,} as CSV")
    with right:
        mark, k = float(overlap[m]), usual.k
        fig = overlap_histogram(overlap, k=k, reference=asked[0].title, mark=mark)
        layout.figure(fig, reading_histogram(overlap, k=k, mark=mark), key="overlap_histogram")


def over_others(measured: np.ndarray) -> np.ndarray:
    """Mean of a measure between the first study and the others, ``[M]``; NaN where there is none.

    Args:
        measured: ``[K, K, M]``.
    """
    values = measured[0, 1:]
    known = np.isfinite(values)
    count = known.sum(axis=0)
    return np.divide(np.where(known, values, 0.0).sum(axis=0), count, out=np.full(len(count), np.nan), where=count > 0)


def _quick(asked: list[Asked], kind: str) -> str:
    return "share" if kind == "removal" and asked[0].study.n_train > numbers.ALL_UP_TO else kind


def _table(study: Study, asked: list[Asked], overlap: np.ndarray, signs: np.ndarray) -> pd.DataFrame:
    """All test points, the least overlap first; of equals the lower id."""
    said = np.stack([scores_of(one.study.surrogate_logits).predicted for one in asked])
    names = np.array(study.class_names, dtype=object)
    table = pd.DataFrame(
        {
            "id": study.test_index,
            "label": names[study.y_test],
            "network": names[scores_of(study.logits_test).predicted],
            "overlap": overlap,
            "signs differ": signs,
            "one class": np.where((said == said[0]).all(axis=0), "yes", "no"),
        }
    )
    if np.isnan(signs).all():
        table = table.drop(columns="signs differ")
    return table.sort_values(["overlap", "id"], kind="stable").reset_index(drop=True)


def _pick(table: pd.DataFrame, data: Dataset) -> None:
    """The first rows with their pictures."""
    shown = table.head(MAX_LISTED)
    ids = shown["id"].to_numpy()
    key = f"apart_{zlib.crc32(ids.tobytes())}"

    config: dict[str, Any] = {
        "picture": picture_column(data),
        "id": st.column_config.NumberColumn(format="%d", width=56),
        "overlap": st.column_config.NumberColumn(
            format="%.2f", help="Of the strongest training examples, how many stay the same."
        ),
        "signs differ": st.column_config.NumberColumn(
            format="%.2f", width=80, help="Of those named, how many support under one and oppose under the other."
        ),
        **{name: st.column_config.TextColumn(width=62) for name in ("label", "network")},
        "one class": st.column_config.TextColumn(width=70, help="Whether all these surrogates name the same class."),
    }
    st.dataframe(
        shown.assign(picture=[picture(data, "test", int(i)) for i in ids])[["picture", *shown.columns]],
        key=key,
        on_select=partial(selection.follow_row, key, ids, "test"),
        selection_mode="single-row",
        hide_index=True,
        height=330,
        row_height=44 if data.kind == "image" else None,
        column_config=config,
        alt="Test points, least overlap first: choose a row to explain it.",
    )
    if len(table) > MAX_LISTED:
        st.caption(
            f"The {MAX_LISTED} with the least overlap of {len(table):,}; the file has all. Choose a row to explain its point."
        )
    else:
        st.caption("Choose a row to explain its point.")
