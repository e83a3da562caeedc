"""The page Map: the kernel's space in the plane, and the true neighbours of a point drawn over it."""

from functools import partial

import numpy as np
import streamlit as st

from ntkviz.embed.area import within_box, within_lasso
from ntkviz.embed.registry import embeddings
from ntkviz.figures import embedding as figures
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import gates, layout, maps, point_card, selection, state
from ntkviz.ui import map_columns as columns
from ntkviz.ui.clicks import Area, clicked, drawn
from ntkviz.ui.map_figure import Panel, map_figure
from ntkviz.ui.maps import Made
from ntkviz.ui.points import Outcomes
from ntkviz.ui.text import escape, number, percent

CHART = "map_chart"
#: Key of the fragment with the maps and what stands beside them.
MAP = "map"
NO_FILTER = "nothing"
FIND = "find_point"
#: What the mouse does on the map -> Plotly's name of it. Where an area is drawn a click chooses nothing, so it is one or the other.
MOUSE = {"click": "pan", "lasso": "lasso", "box": "select"}


def choose(study: Study, data: Dataset) -> dict[str, Made]:
    """The controls, and the maps asked for (made when they are not kept yet).

    Returns:
        method -> map, at least one.
    """
    rows = embeddings()
    left, middle, right = st.columns([3, 3, 2], vertical_alignment="bottom")
    with left:
        kinds = state.sticky(
            st.pills,
            "Method (several stand side by side)",
            key="map_method",
            default=["umap"] if maps.kept(study, "umap", size=15, seed=0) else ["kernel_pca"],
            options=list(rows),
            format_func=lambda kind: rows[kind].title,
            selection_mode="multi",
            help="\n\n".join(f"**{row.title}.** {row.summary} *{row.caveat}*" for row in rows.values()),
        )
    with middle:
        state.sticky(st.selectbox, "Colour", key="map_colour", default=columns.CLASS, options=columns.names(study, data))
    with right, st.popover("Options", icon=":material/tune:", width="stretch"):
        size = state.sticky(
            st.slider,
            "Size of the neighbourhoods kept",
            key="map_size",
            default=15,
            min_value=2,
            max_value=50,
            help="UMAP's number of neighbours, half of t-SNE's perplexity: small shows detail, large the overall shape.",
        )
        seed = state.sticky(st.number_input, "Seed", key="map_seed", default=0, min_value=0, max_value=9999, step=1)
        state.sticky(st.slider, "Neighbours drawn", key="map_edges", default=8, min_value=1, max_value=30)
        state.sticky(st.toggle, "Show test points", key="map_test", default=True)
    chosen = [kind for kind in rows if kind in kinds] or ["kernel_pca"]
    with st.spinner(f"Making the map: {maps.estimate(chosen, study.n_train)}", show_time=True):
        return {kind: maps.make_map(study, kind, size=int(size), seed=int(seed)) for kind in chosen}


@st.fragment(key=MAP)
@gates.guarded()
def draw(study: Study, data: Dataset, points: Outcomes, made: dict[str, Made]) -> None:
    """The maps, with the selected point and its neighbours beside."""
    name = state.get("map_colour") or columns.CLASS
    column = columns.column(study, data, points, made, name)
    cells = st.columns([11, 4, 5], vertical_alignment="bottom")
    with cells[0]:
        mouse = _mouse()
    kept = _filter(study, data, points, made, cells[1:])
    panels = {embeddings()[kind].title: _points(study, points, one, kept) for kind, one in made.items()}
    left, right = st.columns([7, 3], gap="medium") if len(made) == 1 else (st.container(), st.container())
    with right.container(key="map_side"):
        _side(study, data, points)  # first: it is on the page before the browser has drawn ten thousand dots
    with left:
        fig, reading = map_figure(study, made, panels, column, name, dragmode=MOUSE[mouse])
        # The callback alone reads what was selected: drawing it changes the figure, and that wipes what the chart returns.
        mode = "points" if mouse == "click" else mouse
        layout.figure(fig, reading, key=CHART, on_select=partial(_taken, list(panels.values())), selection_mode=mode)


def quality(study: Study, made: dict[str, Made]) -> None:
    """How far each map can be believed, in figures."""
    rows = embeddings()
    for kind, one in made.items():
        q, info = one.embedding.quality, rows[kind]
        st.markdown(f"**How far to believe the {info.title} map**")
        cells = st.columns([2, 2, 2, 5])
        cells[0].metric(
            "Trustworthiness",
            number(q.trustworthiness),
            help="Below 1 when points stand close on the map that are not close in the kernel's space.",
        )
        cells[1].metric("Continuity", number(q.continuity), help="Below 1 when close points are torn apart on the map.")
        cells[2].metric(
            "Neighbours kept",
            percent(float(q.preserved.mean()), 0),
            help=f"Share of a point's {q.n_neighbours} nearest in the kernel's space that are also among its {q.n_neighbours} nearest on the map.",
        )
        notes = " ".join(escape(note) for note in one.embedding.notes)
        cells[3].caption(f"{info.axes} {info.caveat} Test points: {info.out_of_sample}. Made in {one.seconds:.1f} s. {notes}")


def _filter(
    study: Study, data: Dataset, points: Outcomes, made: dict[str, Made], cells: list
) -> tuple[np.ndarray, np.ndarray] | None:
    """Which training and test points a filter leaves; None for all."""
    with cells[0]:
        options = [NO_FILTER, *columns.names(study, data)]
        name = state.sticky(st.selectbox, "Filter by", key="map_filter", default=NO_FILTER, options=options)
    if name == NO_FILTER:
        return None
    with cells[1]:
        kept = columns.filtered(columns.column(study, data, points, made, name), study, name)
    if kept is not None:
        st.caption(
            f"{int(kept[0].sum()):,} of {study.n_train:,} training and {int(kept[1].sum()):,} of {study.n_test:,} test points."
        )
    return kept


def _points(study: Study, points: Outcomes, made: Made, kept: tuple[np.ndarray, np.ndarray] | None) -> Panel:
    """Training and test points of one map."""
    names, found = study.class_names, made.embedding
    shown, shown_test = kept or (None, None)
    ids = [f"train:{i}" for i in study.train_index]
    train = figures.MapPoints(found.points, study.y_train, "train", ids, shown=shown)
    if found.test_points is None or not state.get("map_test", True):
        return train, None
    hover = [f"network says {names[c]}" for c in points.network]
    ids = [f"test:{i}" for i in study.test_index]
    return train, figures.MapPoints(found.test_points, study.y_test, "test", ids, hover, shown=shown_test)


def _mouse() -> str:
    """What the mouse does, a key of :data:`MOUSE`."""
    mouse = state.sticky(
        st.segmented_control,
        "Mouse",
        key="map_mouse",
        default="click",
        options=list(MOUSE),
        format_func={"click": "Look at a point", "lasso": "Choose by a lasso", "box": "Choose by a box"}.get,
        required=True,
        label_visibility="collapsed",
    )
    if mouse != "click":
        shown = "" if state.get("map_test", True) else " Test points are not shown: see Options."
        st.caption(
            f"Draw around points: they are chosen together on all pages, test points (open symbols) and training points.{shown}"
        )
    return mouse


def _taken(panels: list[Panel]) -> None:
    """Remember the point that was clicked, or the points within the area that was drawn; for ``on_select``."""
    area = drawn(CHART)
    if area is None:
        point = clicked(CHART)
        if point is not None:
            selection.walk(point, MAP)
        return
    keys = within(area, panels)
    if keys:
        selection.choose_keys(keys)
        selection.redraw(MAP)
    else:
        st.toast("There is no point in that area.", icon=":material/info:")


def within(area: Area, panels: list[Panel]) -> list[str]:
    """Names "split:id" of the points within an area, by their coordinates on the map that it was drawn on; points that a filter leaves out do not count.

    Args:
        area: as drawn.
        panels: training and test points of each map.
    """
    inside = within_box if area.kind == "box" else within_lasso
    found: list[str] = []
    for points in panels[min(area.panel, len(panels) - 1)]:
        if points is None:
            continue
        hit = inside(points.xy, area.x, area.y) & (True if points.shown is None else points.shown)
        keys = points.names()
        found += [str(keys[i]) for i in np.flatnonzero(hit)]
    return found


def _side(study: Study, data: Dataset, points: Outcomes) -> None:
    """The selected point and its true neighbours."""
    _search(study)
    chosen, k = selection.focus(study), int(state.get("map_edges", 8))
    if chosen is None:
        clicks = state.get("map_mouse", "click") == "click"
        st.info(
            f"{'Click a point, or find it' if clicks else 'Find a point'} by its id: lines lead to its true neighbours, however far the map puts them.",
            icon=":material/touch_app:",
        )
    elif chosen[0] == "train":
        point_card.training_card(study, data, chosen[1], k=k, fragments=(MAP,), narrow=True)
    else:
        point_card.query_card(study, data, points, chosen[1], k=k, fragments=(MAP,))


def _search(study: Study) -> None:
    """Find a point by its id: the way without a mouse."""
    chosen = selection.focus(study)
    now = "" if chosen is None else f"{chosen[0]} {(study.train_index if chosen[0] == 'train' else study.test_index)[chosen[1]]}"

    def go() -> None:
        words = str(st.session_state[FIND]).replace(":", " ").split()
        if not words:
            state.forget("example", "point")
            selection.redraw(MAP)
            return
        split, number = (words[0].lower(), words[1]) if len(words) == 2 else ("test", words[0])
        index = {"test": study.test_index, "train": study.train_index}.get(split)
        if index is not None and number.isdigit() and int(number) in index:
            selection.walk(f"{split}:{int(number)}", MAP)
            return
        st.toast(
            f"This study has no point {escape(' '.join(words), limit=40)}. Type an id, such as test 17 or train 230.",
            icon=":material/search_off:",
        )

    st.session_state[FIND] = now
    st.text_input(
        "Find a point",
        key=FIND,
        on_change=go,
        placeholder="test 17 or train 230",
        help="Ids are positions in the whole training or test split. Empty lets go of the point.",
    )
