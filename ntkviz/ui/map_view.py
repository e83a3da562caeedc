"""The page Map: the kernel's space in the plane, and the true neighbours of a point drawn over it."""

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.embed.registry import embeddings
from ntkviz.figures import embedding as figures
from ntkviz.scores import scores_of
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import gates, layout, maps, media, state, together
from ntkviz.ui.maps import Made
from ntkviz.ui.point_picker import example_rows, tiles
from ntkviz.ui.points import Outcomes
from ntkviz.ui.selection import chosen_rows, clicked, encircled, steady
from ntkviz.ui.text import escape, number, percent

#: A column of words with more states than this cannot be told apart by colour.
MAX_STATES = 12
CHART = "map_chart"
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
        names = list(_colours(study, data))
        state.sticky(st.selectbox, "Colour", key="map_colour", default="class", options=names)
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


@st.fragment
@gates.guarded()
def draw(study: Study, data: Dataset, points: Outcomes, made: dict[str, Made]) -> None:
    """The maps, with the chosen point and its neighbours beside."""
    rows, name = embeddings(), state.get("map_colour") or "class"
    column = _column(study, data, points, made, name)
    panels = {rows[kind].title: _points(study, data, points, one) for kind, one in made.items()}
    chosen = selected(study)
    near, _ = maps.nearest_training(study, *chosen, k=int(state.get("map_edges", 8))) if chosen else (np.array([], int), None)
    selection = None
    if chosen:
        split, position = chosen
        index = study.train_index if split == "train" else study.test_index
        selection = figures.Selection(f"{split}:{index[position]}", [f"train:{i}" for i in study.train_index[near]])
    several = together.positions(study)
    mouse = _mouse()
    left, right = st.columns([7, 3], gap="medium") if len(made) == 1 else (st.container(), st.container())
    with left:
        units = {rows[kind].title for kind in made if kind == "kernel_pca"}
        marked = [f"test:{i}" for i in study.test_index[several]]
        fig = figures.map_panels(
            panels, class_names=study.class_names, column=column, selection=selection, marked=marked, units=units
        )
        fig.update_layout(dragmode=MOUSE[mouse])
        # The callback alone reads what was selected: drawing it changes the figure, and that wipes what the chart returns.
        mode = "points" if mouse == "click" else mouse
        layout.figure(steady(fig), _reading(panels, made, column), key=CHART, on_select=_taken, selection_mode=mode)
    together.box(study, several)
    with right:
        _side(study, data, points, chosen)


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


def point_list(study: Study, data: Dataset, points: Outcomes, made: dict[str, Made]) -> None:
    """All points as a table in which a row can be chosen: the way to the map without a mouse."""
    table = _table(study, data, points, made)
    with st.expander(f"All {len(table):,} points as a table", icon=":material/table_rows:"):
        st.caption("Choose one row to see its neighbours, several to explain their test points together.")
        keys = table["point"].tolist()

        def pick() -> None:
            rows = chosen_rows("map_table")
            if len(rows) == 1:
                state.put("map_selected", keys[rows[0]])
            elif rows:
                together.choose(together.of_keys(keys[row] for row in rows))

        numbers = {name: st.column_config.NumberColumn(format="%.3f") for name in table.columns[5:]}
        st.dataframe(
            table,
            key="map_table",
            on_select=pick,
            selection_mode="multi-row",
            hide_index=True,
            column_config=numbers,
            alt="All points of the map with their coordinates.",
        )
        layout.download_csv(table, key="map")


def selected(study: Study) -> tuple[str, int] | None:
    """Split and position in the study of the chosen point; None when none is, or the study does not have it."""
    words = str(state.get("map_selected") or "").partition(":")
    if words[0] not in {"train", "test"} or not words[2].isdigit():
        return None
    index = study.train_index if words[0] == "train" else study.test_index
    found = np.flatnonzero(index == int(words[2]))
    return (words[0], int(found[0])) if len(found) else None


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
        shown = "" if state.get("map_test", True) else " They are not shown: see Options."
        st.caption(
            f"Draw around test points (open symbols) to explain them together; training points within do not count.{shown}"
        )
    return mouse


def _taken() -> None:
    """Remember the point that was clicked, or the test points within the area that was drawn."""
    area = encircled(CHART)
    if area is not None:
        ids = together.of_keys(area)
        if ids:
            together.choose(ids)
        else:
            st.toast("There is no test point in that area.", icon=":material/info:")
        return
    point = clicked(CHART)
    if point is not None:
        state.put("map_selected", point)


def _colours(study: Study, data: Dataset) -> dict[str, str]:
    """What points can be coloured by: name -> where it comes from."""
    own = [
        "class",
        "class that the network names",
        "network right or wrong",
        "network's log-odds of its class",
        "neighbours kept on the map",
    ]
    found = dict.fromkeys(own, "study")
    if data.meta is not None:
        for name in data.meta.columns:
            values = pd.Series(data.meta[name])
            states = int(values.nunique())
            usable = bool(pd.api.types.is_numeric_dtype(values)) or states <= MAX_STATES
            if name != "split" and usable and states > 1:
                found[f"data: {name}"] = "meta"
    return found


def _column(study: Study, data: Dataset, points: Outcomes, made: dict[str, Made], name: str) -> figures.Column | None:
    """The chosen colour as numbers or states of training and test points; None is the class."""
    if name.startswith("data: ") and data.meta is not None:
        values = pd.Series(data.meta[name.removeprefix("data: ")])
        is_number = bool(pd.api.types.is_numeric_dtype(values)) and not bool(pd.api.types.is_bool_dtype(values))
        numeric = is_number and int(values.nunique()) > 2
        cells = values.to_numpy(dtype=np.float64) if numeric else values.astype(str).to_numpy()
        return figures.Column(name.removeprefix("data: "), cells[study.train_index], cells[len(data.x_train) + study.test_index])
    train = scores_of(study.logits_train)
    if name == "class that the network names":
        names = np.array(study.class_names, dtype=object)
        return figures.Column("network's class", names[train.predicted].tolist(), names[points.network].tolist())
    if name == "network right or wrong":
        words = np.array(["network wrong", "network right"])
        right = (train.predicted == study.y_train).astype(int)
        return figures.Column("network", words[right].tolist(), words[points.right.astype(int)].tolist())
    if name == "network's log-odds of its class":
        odds = train.log_odds[np.arange(study.n_train), train.predicted]
        return figures.Column("log-odds of the network's class", odds, points.margin, low=0.0)
    if name == "neighbours kept on the map":
        first = next(iter(made.values())).embedding.quality
        title = f"share of {first.n_neighbours} neighbours kept"
        return figures.Column(title, first.preserved, first.preserved_test, low=0.0, high=1.0)
    return None


def _points(study: Study, data: Dataset, points: Outcomes, made: Made) -> tuple[figures.MapPoints, figures.MapPoints | None]:
    """Training and test points of one map."""
    names, found = study.class_names, made.embedding
    train = figures.MapPoints(found.points, study.y_train, "train", [f"train:{i}" for i in study.train_index])
    if found.test_points is None or not state.get("map_test", True):
        return train, None
    hover = [f"network says {names[c]}" for c in points.network]
    return train, figures.MapPoints(found.test_points, study.y_test, "test", [f"test:{i}" for i in study.test_index], hover)


def _reading(panels: dict, made: dict[str, Made], column: figures.Column | None) -> str:
    """One map in full; of several, how many neighbours each keeps."""
    readings = []
    for (title, (train, test)), one in zip(panels.items(), made.values(), strict=True):
        found = one.embedding
        readings.append(
            figures.reading_map(train, test, method=title, quality=found.quality, explained=found.explained, column=column)
        )
    if len(readings) == 1:
        return readings[0]
    first = next(iter(made.values())).embedding.quality
    kept = ", ".join(
        f"{title} {percent(float(one.embedding.quality.preserved.mean()), 0)}"
        for title, one in zip(panels, made.values(), strict=True)
    )
    return (
        f"Of a point's {first.n_neighbours} nearest in the kernel's space, so many are also among its {first.n_neighbours} nearest on the map: {kept}. "
        "A click marks the point on all maps; an island that is on one map only may be an artefact."
    )


def _side(study: Study, data: Dataset, points: Outcomes, chosen: tuple[str, int] | None) -> None:
    """The chosen point and its true neighbours."""
    _search(study, chosen)
    if chosen is None:
        clicks = state.get("map_mouse", "click") == "click"
        st.info(
            f"{'Click a point, or find it' if clicks else 'Find a point'} by its id: lines lead to its true neighbours, however far the map puts them.",
            icon=":material/touch_app:",
        )
        return
    split, position = chosen
    index, labels = (study.train_index, study.y_train) if split == "train" else (study.test_index, study.y_test)
    near, distances = maps.nearest_training(study, split, position, int(state.get("map_edges", 8)))
    name = escape(study.class_names[labels[position]])
    kind = "Training point" if split == "train" else "Test point"
    media.show_point(
        data,
        "train" if split == "train" else "test",
        int(index[position]),
        width=130,
        caption=f"{kind} {index[position]}, labelled **{name}**",
    )
    if split == "test":
        _test_links(study, points, position)
    same = int((study.y_train[near] == labels[position]).sum())
    st.markdown(f"**Its {len(near)} nearest training points in the kernel's space**, {same} of the same label:")
    captions = [f"{escape(study.class_names[study.y_train[i]])}, {d:.2f}" for i, d in zip(near, distances, strict=True)]
    if data.kind == "image":
        tiles(data, "train", study.train_index[near], captions, width=64)
    else:
        numbers = {"label": [study.class_names[c] for c in study.y_train[near]], "distance": distances}
        example_rows(data, "train", study.train_index[near], numbers, formats={"distance": "%.3f"})
    st.button("Clear", key="clear_map", type="tertiary", icon=":material/close:", on_click=lambda: state.forget("map_selected"))


def _search(study: Study, chosen: tuple[str, int] | None) -> None:
    """Find a point by its id: the way without a mouse."""
    options = ["", *(f"test:{i}" for i in study.test_index), *(f"train:{i}" for i in study.train_index)]
    labels = dict(zip(options[1:], [*study.y_test, *study.y_train], strict=True))
    state.sticky(
        st.selectbox,
        "Find a point",
        key="map_selected",
        default="",
        options=options,
        format_func=lambda key: f"{key}, label {study.class_names[labels[key]]}" if key else "none",
        help="Type an id. Ids are positions in the whole training or test split.",
    )


def _test_links(study: Study, points: Outcomes, m: int) -> None:
    """What is said of a test point, and the way to its explanation."""
    names = study.class_names
    agree = "the surrogate agrees" if points.agrees[m] else f"the surrogate says {escape(names[points.surrogate[m]])}"
    st.caption(f"The network says {escape(names[points.network[m]])}; {agree}.")
    st.page_link(
        "pages/explain.py",
        label="**Explain this point**",
        icon=":material/account_tree:",
        query_params={"study": study.key, "point": str(points.ids[m])},
    )


def _table(study: Study, data: Dataset, points: Outcomes, made: dict[str, Made]) -> pd.DataFrame:
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
