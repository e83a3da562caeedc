"""One point, and the points nearest to it, each of which can be walked on to; the same card on every page."""

import numpy as np
import streamlit as st

from ntkviz.scores import scores_of
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import maps, media, selection, state
from ntkviz.ui.point_picker import example_rows, tiles, true_class
from ntkviz.ui.points import Outcomes
from ntkviz.ui.selection import Split
from ntkviz.ui.text import escape

#: Test points that a training example is nearest to, as many as one line holds.
_REACHED = 6


def training_card(
    study: Study, data: Dataset, i: int, *, says: str = "", k: int = 8, fragments: tuple[str, ...] = (), narrow: bool = False
) -> None:
    """A training example, its nearest training examples, and the test points that it is most alike.

    Args:
        study: the study.
        data: the subject's whole data.
        i: position of the example in the study.
        says: what the page has to say of it (Markdown).
        k: neighbours shown.
        fragments: keys of the fragments that show the example; others stay as they are when somebody walks on.
        narrow: one below the other, for beside a chart.
    """
    left, right = (st.container(), st.container()) if narrow else st.columns([2, 7], gap="medium")
    with left:
        _picture(study, data, "train", i)
    with right:
        said = study.class_names[scores_of(study.logits_train[i : i + 1]).predicted[0]]
        st.markdown("  \n".join([*([says] if says else []), f"The network says **{escape(said)}** of it."]))
        _near(study, data, "train", i, k, fragments)
        _reached(study, data, i, fragments)
        with st.container(horizontal=True):
            _member_button(study, i)
            st.button(
                "Back to the test point",
                key="leave_example",
                type="tertiary",
                icon=":material/arrow_back:",
                on_click=lambda: leave(*fragments),
            )


def query_card(study: Study, data: Dataset, points: Outcomes, m: int, *, k: int = 8, fragments: tuple[str, ...] = ()) -> None:
    """A test point, what is said of it, and its nearest training examples; narrow, for beside a chart."""
    names = study.class_names
    _picture(study, data, "test", m)
    agree = "the surrogate agrees" if points.agrees[m] else f"the surrogate says {escape(names[points.surrogate[m]])}"
    st.caption(f"The network says {escape(names[points.network[m]])}; {agree}.")
    st.page_link(
        "pages/explain.py",
        label="**Explain this point**",
        icon=":material/account_tree:",
        query_params={"study": study.key, "point": str(points.ids[m])},
    )
    _near(study, data, "test", m, k, fragments)


def leave(*fragments: str) -> None:
    """Back from the training example to the test point, for callbacks."""
    state.forget("example")
    selection.redraw(*fragments)


def title_of(study: Study, data: Dataset, split: Split, position: int) -> str:
    """A point and its label in a line of Markdown; a label that is known to be wrong is said to be."""
    index, y = (study.train_index, study.y_train) if split == "train" else (study.test_index, study.y_test)
    name, true = study.class_names[y[position]], true_class(data, split, int(index[position]))
    label = f"**{escape(name)}**" if name == true else f":orange[**{escape(name)}**, really {escape(true)}]"
    return f"{'Training example' if split == 'train' else 'Test point'} {index[position]}, labelled {label}"


def _picture(study: Study, data: Dataset, split: Split, position: int) -> None:
    index = study.train_index if split == "train" else study.test_index
    media.show_point(data, split, int(index[position]), width=130, caption=title_of(study, data, split, position))


def _near(study: Study, data: Dataset, split: Split, position: int, k: int, fragments: tuple[str, ...]) -> None:
    """The nearest training examples in the kernel's space."""
    near, distances = maps.nearest_training(study, split, position, k)
    label = (study.y_train if split == "train" else study.y_test)[position]
    same = int((study.y_train[near] == label).sum())
    st.markdown(f"**Its {len(near)} nearest training examples in the kernel's space**, {same} of the same label:")
    ids = study.train_index[near]
    if data.kind == "image":
        words = [f"{escape(study.class_names[study.y_train[i]])}, {d:.2f}" for i, d in zip(near, distances, strict=True)]
        tiles(data, "train", ids, words, width=64, walk=("near", *fragments))
    else:
        numbers = {"label": [study.class_names[c] for c in study.y_train[near]], "distance": distances}
        example_rows(data, "train", ids, numbers, formats={"distance": "%.3f"}, walk=("near", *fragments))


def _reached(study: Study, data: Dataset, i: int, fragments: tuple[str, ...]) -> None:
    """The test points that the example is most alike, of all M."""
    column = np.asarray(study.rows[:, i], dtype=np.float64)
    near = np.argsort(-column, kind="stable")[:_REACHED]
    st.markdown("**Test points that it is most alike:**")
    ids, values = study.test_index[near], column[near]
    if data.kind == "image":
        words = [f"{escape(study.class_names[study.y_test[m]])}, {v:.2f}" for m, v in zip(near, values, strict=True)]
        tiles(data, "test", ids, words, width=64, walk=("reached",))
    else:
        numbers = {"label": [study.class_names[c] for c in study.y_test[near]], "similarity": values}
        example_rows(data, "test", ids, numbers, formats={"similarity": "%.3f"}, walk=("reached",))


def _member_button(study: Study, i: int) -> None:
    """Put the example among the training points that are chosen together, or take it out."""
    chosen, own = set(state.get("train_set") or []), int(study.train_index[i])
    inside = own in chosen
    words, icon = ("Take out of the chosen", ":material/remove:") if inside else ("Add to the chosen", ":material/add:")
    st.button(
        words,
        key="example_member",
        icon=icon,
        on_click=selection.toggle,
        args=(own,),
        help="Training points chosen together can be removed or relabelled on the page What if, and are framed on the map.",
    )
