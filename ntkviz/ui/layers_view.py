"""The tab "Which layers" of Explain: what each layer adds to a similarity, a share or a removal effect, and norm against angle."""

from threading import Lock

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.explain.layers import LayerShares, norm_against_angle, removal_layers, share_layers, similarity_layers
from ntkviz.figures import layers as figures
from ntkviz.studies.explained import Explanation
from ntkviz.studies.layered import LayerRows, layer_rows, layer_seconds, why_not_layered
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import cached, gates, layout, state
from ntkviz.ui.companion import companion, removal_effects
from ntkviz.ui.point_picker import meta_columns
from ntkviz.ui.removal_view import asked_scores
from ntkviz.ui.text import escape, span

#: Test points whose layers are kept, the newest.
KEPT = 32
_WORDS = {
    "removal": ("Removal effect", "removal effect"),
    "share": ("Share of the score", "share in the score"),
    "similarity": ("Similarity", "similarity"),
}
_lock = Lock()


def which_layers(study: Study, data: Dataset, found: Explanation, m: int, k: int) -> None:
    """The layers of the explanation, then the neighbours by norm and by angle."""
    st.markdown("**Which layers carry it?**")
    with gates.guarded():
        split_by_layer(study, data, found, m, k)
    st.markdown("**Near by norm or by angle?**")
    with gates.guarded():
        norm_or_angle(study, data, m, k)


def split_by_layer(study: Study, data: Dataset, found: Explanation, m: int, k: int) -> None:
    """The parts of each layer, once they are computed; before that a button."""
    reason = why_not_layered(study)
    if reason:
        st.info(escape(reason, limit=600), icon=":material/layers:")
        return
    rows = _known(study, m) or _offer(study, m)
    if rows is None:
        return
    kinds = [kind for kind in _WORDS if kind != "removal" or companion(study).surrogate is not None]
    kind = state.sticky(
        st.segmented_control,
        "What is split",
        key="layers_of",
        default=kinds[0],
        options=kinds,
        format_func=lambda key: _WORDS[key][0],
        required=True,
    )
    split = shares_of_layers(study, found, m, rows, str(kind))
    target = f"test point {study.test_index[m]}" if kind == "similarity" else found.target
    names, ids, unit = list(study.class_names), study.train_index.tolist(), _WORDS[str(kind)][1]
    fig = figures.layer_bars(split, labels=study.y_train, class_names=names, target=target, unit=unit, ids=ids, k=k)
    reading = figures.reading_layers(split, target=target, unit=unit, ids=ids)
    summary = pd.DataFrame({"layer": split.layers, "added up": split.sums, "part of all |parts|": split.mass})
    layout.figure(fig, reading, summary, key="layers")
    st.caption(_what_it_is(split, str(kind)))
    layout.data_table(_table(study, data, split), key="layer_parts", label="All training examples with their layers")


def shares_of_layers(study: Study, found: Explanation, m: int, rows: LayerRows, kind: str) -> LayerShares:
    """A similarity, a share or a removal effect of one test point, layer by layer."""
    if kind == "similarity":
        return similarity_layers(rows.rows, study.rows[m])
    if kind == "share":
        return share_layers(rows.rows, study.rows[m], found.weight)
    return removal_layers(removal_effects(study), rows.rows, study.rows[m], asked_scores(study, m, found))


def norm_or_angle(study: Study, data: Dataset, m: int, k: int) -> None:
    """Which of the nearest by the unnormalised kernel a large gradient alone brings there. Needs nothing but the stored kernel."""
    blocks = cached.kernel_blocks(study.kernel_key).blocks
    near = norm_against_angle(blocks.rows[m], float(blocks.rows_diagonal[m]), blocks.train_diagonal, k)
    form = (
        "This study uses the cosine, so norms play no part in it."
        if study.spec.normalize
        else "This study uses the raw kernel, norms included."
    )
    st.caption(
        f"An unnormalised kernel entry is the norm of the test point's gradient, times that of the training point, times the cosine between them. {form}"
    )
    ids, names = study.train_index.tolist(), list(study.class_names)
    fig = figures.norm_angle_scatter(near, labels=study.y_train, class_names=names, ids=ids)
    chosen = study.train_index[near.top]
    table = pd.DataFrame(
        {
            "training point": chosen,
            "label": [names[c] for c in study.y_train[near.top]],
            "raw kernel": near.raw[near.top],
            "cosine": near.cosines[near.top],
            "rank by cosine": near.cosine_ranks,
            "norm": near.norms[near.top],
            "norm percentile": 100 * near.percentiles[near.top],
            "near by": np.where(near.by_angle, "angle", "norm"),
            **meta_columns(data, "train", chosen),
        }
    )
    layout.figure(fig, figures.reading_norm_angle(near), table, key="norm_angle")


def _offer(study: Study, m: int) -> LayerRows | None:
    """A button that computes the layers of this test point; they, once it was pressed."""
    seconds = layer_seconds(study, home=ntkviz_home())
    place = st.empty()
    pressed = place.button(
        f"Compute layer shares (about {span(seconds)})",
        key="compute_layers",
        icon=":material/layers:",
        help="Loads the network in a process of its own and computes the gradients of this test point and of all training points of the study.",
    )
    if not pressed:
        st.caption("A tangent kernel is a sum over the layers of the network, and so is what is made of it.")
        return None
    with st.spinner("Computing the kernel row of each layer …", show_time=True):
        rows = layer_rows(study, cached.kernel_blocks(study.kernel_key), m, home=ntkviz_home())
    with _lock:
        kept = _kept()
        kept[_name(study, m)] = rows
        while len(kept) > KEPT:
            kept.pop(next(iter(kept)))
    place.empty()  # after an error the button stays
    return rows


def _known(study: Study, m: int) -> LayerRows | None:
    """The layers of a test point that were computed before, by whomever."""
    return _kept().get(_name(study, m))


def _name(study: Study, m: int) -> tuple[str, str, int]:
    return str(ntkviz_home()), study.key, m


@st.cache_resource(show_spinner=False)
def _kept() -> dict[tuple[str, str, int], LayerRows]:
    """Layers by home, study and test point. A dictionary, and no cached function, so that a page can ask what is there."""
    return {}


def _what_it_is(split: LayerShares, kind: str) -> str:
    """What a layer's part means, and the check that the parts add up."""
    words = {
        "similarity": "A layer's part is its own kernel over the whole norms of both points, so that parts add up to the similarity.",
        "share": "A layer's part is the surrogate's weight times the layer's kernel.",
        "removal": (
            "A removal effect is linear in the kernel row but for the intercept: the grey bar is what leaving the example out does to a point that is "
            "like no training example, and each layer's part is what its similarities add. The two often pull against each other."
        ),
    }
    rounding = split.gap <= 1e-4 * float(np.abs(split.total).max())
    why = "which is rounding" if rounding else "which is what the iterative solution leaves open"
    return f"{words[kind]} Parts and total differ by {split.gap:.1e} at most, {why}."


def _table(study: Study, data: Dataset, split: LayerShares) -> pd.DataFrame:
    """All training examples with the parts of all layers, strongest first."""
    order = np.argsort(-np.abs(split.total), kind="stable")
    ids = study.train_index[order]
    rest = {"intercept": split.rest[order]} if split.rest.any() else {}
    return pd.DataFrame(
        {
            "training point": ids,
            "label": [study.class_names[c] for c in study.y_train[order]],
            "total": split.total[order],
            **{f"layer {name}": part[order] for name, part in zip(split.layers, split.parts, strict=True)},
            **rest,
            **meta_columns(data, "train", ids),
        }
    )
