"""Maps of several kernels on the page Compare, laid over each other, with one selection and each kernel's own neighbours."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.embed.align import AlignedMap, align
from ntkviz.embed.registry import embeddings
from ntkviz.figures import embedding as figures
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.ui import cached, gates, layout, maps, selection, state
from ntkviz.ui.clicks import steady
from ntkviz.ui.compare_choice import Side, same_points

MAPS, CHART, TABLE = "compare_maps", "compare_map_chart", "compare_moved"
#: Neighbours drawn of the selected point, and points listed that moved most.
_NEAR, _LISTED = 8, 200


@st.fragment(key=MAPS)
@gates.guarded()
def aligned_maps(study: Study, found: list[Side]) -> None:
    """The maps of up to four kernels of the same points, and which points stand elsewhere.

    Args:
        study: the study on show; the selection speaks of its points.
        found: the studies compared.
    """
    fits = same_points(found)[: figures.MAX_PANELS]
    if len(fits) < 2:
        st.info(
            "Maps can be laid over each other when two different kernels of the same points are chosen.", icon=":material/info:"
        )
        return
    base = fits[0].study
    if base.n_train > maps.MAP_UP_TO:
        st.info(
            f"Maps are made here of up to {maps.MAP_UP_TO:,} training points; these kernels have {base.n_train:,}.",
            icon=":material/info:",
        )
        return
    kind = _method(fits)
    with st.spinner(f"Making the maps: {maps.estimate([kind] * len(fits), base.n_train)}", show_time=True):
        made = [_aligned(str(ntkviz_home()), base.key, side.study.key, kind) for side in fits]
    own = base.spec.subject_id == study.spec.subject_id
    focus = selection.focus(base) if own else None
    panels = {side.title: _points(base, one) for side, one in zip(fits, made, strict=True)}
    fig = figures.map_panels(panels, class_names=base.class_names, selection=_selections(base, fits, focus))
    layout.figure(
        steady(fig),
        _reading(fits, made),
        key=CHART,
        on_select=partial(selection.follow_click, CHART, None, MAPS) if own else "ignore",
        selection_mode="points",
    )
    st.caption(
        "Each map is turned, mirrored, moved and enlarged as a whole to fit the first (orthogonal Procrustes with scale), and nothing else: what still differs "
        "differs between the kernels. A click selects the point on all maps; lines lead to its true neighbours in each kernel."
    )
    _moved(base, fits, made, own=own)


def _method(fits: list[Side]) -> str:
    rows = embeddings()
    return state.sticky(
        st.segmented_control,
        "Map",
        key="compare_method",
        default="umap" if all(maps.kept(side.study, "umap", size=15, seed=0) for side in fits) else "kernel_pca",
        options=list(rows),
        format_func=lambda key: rows[key].title,
        required=True,
        help="Kernel PCA is exact and needs a second. UMAP and t-SNE keep neighbours, take longer the first time, and are kept then.",
    )


def _points(base: Study, one: AlignedMap) -> tuple[figures.MapPoints, figures.MapPoints | None]:
    train = figures.MapPoints(one.points, base.y_train, "train", [f"train:{i}" for i in base.train_index])
    if one.test_points is None:
        return train, None
    return train, figures.MapPoints(one.test_points, base.y_test, "test", [f"test:{i}" for i in base.test_index])


def _selections(base: Study, fits: list[Side], focus: tuple[selection.Split, int] | None) -> dict[str, figures.Selection] | None:
    """The selected point with its nearest training points under each kernel."""
    if focus is None:
        return None
    split, position = focus
    index = base.train_index if split == "train" else base.test_index
    found = {}
    for side in fits:
        near, _ = maps.nearest_training(side.study, split, position, k=_NEAR)
        found[side.title] = figures.Selection(f"{split}:{index[position]}", [f"train:{i}" for i in base.train_index[near]])
    return found


def _reading(fits: list[Side], made: list[AlignedMap]) -> str:
    told = []
    for side, one in zip(fits[1:], made[1:], strict=True):
        mirrored = "mirrored and " if one.mirrored else ""
        told.append(f"{side.title}: residual {one.residual:.2f} ({mirrored}turned by {round(one.degrees)} degrees)")
    return (
        f"Laid over the map of {fits[0].title}: {'; '.join(told)}. A residual of 0 is the same map, 1 no likeness: the root mean square distance of "
        "the training points over the radius of the first map."
    )


def _moved(base: Study, fits: list[Side], made: list[AlignedMap], *, own: bool) -> None:
    """The training points that stand elsewhere on the other maps, farthest first; a row selects its point."""
    far = np.stack([one.moved for one in made[1:]], axis=1)
    order = np.argsort(-far.mean(axis=1), kind="stable")[:_LISTED]
    table = pd.DataFrame(
        {
            "training point": base.train_index[order],
            "label": [base.class_names[label] for label in base.y_train[order]],
            "moved, mean": far.mean(axis=1)[order],
            **{side.title: far[order, k] for k, side in enumerate(fits[1:])},
        }
    )

    st.markdown("**Training points that moved most**, in radii of the first map:")
    st.dataframe(
        table,
        key=TABLE,
        on_select=partial(selection.follow_row, TABLE, base.train_index[order], "train", MAPS) if own else "ignore",
        selection_mode="single-row",
        hide_index=True,
        height=260,
        column_config={name: st.column_config.NumberColumn(format="%.2f") for name in table.columns[2:]},
        alt="Training points by how far they stand from their place on the first map.",
    )
    layout.download_csv(table, key="compare_moved")


@st.cache_resource(max_entries=24, show_spinner=False)
def _aligned(home: str, base_key: str, study_key: str, kind: str) -> AlignedMap:
    """The map of a study's kernel, laid over that of another."""
    mine, other = (maps.make_map(cached.study(key), kind, size=15, seed=0).embedding for key in (study_key, base_key))
    return align(mine.points, other.points, mine.test_points)
