"""The figure of the page Map: dots that are made once, what is selected drawn over them, or a density of too many dots."""

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ntkviz.embed.registry import embeddings
from ntkviz.figures import embedding as figures
from ntkviz.figures.density import density_map, reading_density
from ntkviz.figures.layered import Layered
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.ui import cached, maps, selection, state
from ntkviz.ui.clicks import steady
from ntkviz.ui.map_columns import ALIKE, SHARE
from ntkviz.ui.maps import Made
from ntkviz.ui.text import percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Training and test points of one map.
Panel = tuple[figures.MapPoints, figures.MapPoints | None]


def map_figure(
    study: Study, made: dict[str, Made], panels: dict[str, Panel], column: figures.Column | None, name: str, *, dragmode: str
) -> tuple["go.Figure", str]:
    """All points one by one, or their density where there are too many for a browser; and what is to be read from it.

    Args:
        study: the study.
        made: method -> map.
        panels: title -> training and test points, as they are shown.
        column: what colours them; None for the class.
        name: of that column.
        dragmode: what the mouse does, in Plotly's words.
    """
    chosen = selection.focus(study)
    near = maps.nearest_training(study, *chosen, k=int(state.get("map_edges", 8)))[0] if chosen else np.array([], int)
    sets = {split: selection.members(study, split) for split in ("train", "test")}
    rings = None
    if chosen:
        index = study.train_index if chosen[0] == "train" else study.test_index
        rings = figures.Selection(f"{chosen[0]}:{index[chosen[1]]}", [f"train:{i}" for i in study.train_index[near]])
    marked = [f"train:{i}" for i in study.train_index[sets["train"]]] + [f"test:{i}" for i in study.test_index[sets["test"]]]
    train, test = next(iter(panels.values()))
    if len(train.xy) + (0 if test is None else len(test.xy)) > figures.MAX_POINTS:
        fig, reading = _density(study, panels, rings, marked)
        return steady(fig).update_layout(dragmode=dragmode), reading
    over = steady(figures.map_marks(panels, selection=rings, marked=marked))
    base = _base(str(ntkviz_home()), study.key, _signature(made, panels, name), panels, column, tuple(made))
    return Layered(base, over, dragmode=dragmode), _reading(panels, made, column)


def _signature(made: dict[str, Made], panels: dict[str, Panel], name: str) -> str:
    """What decides the dots besides the study: the maps, the colour, the explained point where that colours, the filter."""
    drawn = [(kind, one.embedding.seed, sorted(one.embedding.options.items())) for kind, one in made.items()]
    shown = [p if p is None or p.shown is None else zlib.crc32(p.shown.tobytes()) for p in next(iter(panels.values()))]
    kept = [entry if isinstance(entry, int) else entry is not None for entry in shown]
    point = state.get("point") if name in (SHARE, ALIKE) else None
    return repr((drawn, name, point, kept))


@st.cache_resource(max_entries=8, show_spinner=False)
def _base(
    home: str, study_key: str, signature: str, _panels: dict[str, Panel], _column: figures.Column | None, kinds: tuple[str, ...]
) -> dict[str, Any]:
    """The dots, which no click changes, as Plotly's JSON; shared, never to be changed."""
    units = {embeddings()[kind].title for kind in kinds if kind == "kernel_pca"}
    names = cached.study(study_key).class_names
    return steady(figures.map_panels(_panels, class_names=names, column=_column, units=units)).to_dict()


def _density(
    study: Study, panels: dict[str, Panel], rings: figures.Selection | None, marked: list[str]
) -> tuple["go.Figure", str]:
    """The first of the maps as counts in cells with a sample of dots, of the points that a filter leaves."""
    method, splits = next(iter(panels.items()))
    present = [(points, np.ones(len(points.xy), bool) if points.shown is None else points.shown) for points in splits if points]
    xy = np.concatenate([points.xy[shown] for points, shown in present])
    labels = np.concatenate([np.asarray(points.labels)[shown] for points, shown in present])
    ids = [name for points, shown in present for name, stays in zip(points.names(), shown, strict=True) if stays]
    fig = density_map(xy, labels, study.class_names, ids=ids, method=method, selection=rings, marked=marked)
    return fig, reading_density(labels, method=method)


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
