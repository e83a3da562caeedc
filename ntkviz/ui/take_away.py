"""What can be taken away of a study or an explanation: a report that opens offline, and a program that makes it again.

Each is made when somebody asks for it: the menus are empty until they are opened, and the files are written at the click.
"""

from functools import partial
from typing import Any

import streamlit as st

from ntkviz.embed.registry import embeddings
from ntkviz.embed.result import Embedding
from ntkviz.errors import NtkvizError
from ntkviz.studies.explained import Explanation
from ntkviz.studies.study import Study
from ntkviz.studies.subjects import find_subject
from ntkviz.types import Dataset
from ntkviz.ui import cached, companion, maps, state
from ntkviz.ui.text import escape

_ICON = ":material/description:"
#: What the page Map shows unless somebody chose otherwise.
_MAP_SIZE, _MAP_SEED = 15, 0


@st.fragment
def study_menu(study: Study) -> None:
    """The report of a study."""
    menu = st.popover("Report", key="study_report", icon=_ICON, type="tertiary", on_change="rerun")
    if not menu.open:
        return
    from ntkviz.reports.study import study_report

    try:
        subject = find_subject(study.spec.subject_id, home=cached.store().home)
    except NtkvizError:
        subject = None
    make = partial(study_report, study, store=cached.store(), subject=subject, drawn=_kept_map(study))
    with menu:
        st.caption(
            "One HTML file that opens offline: card, fidelity, classes, kernel, spectrum, a map if one is kept, and where it comes from."
        )
        _file("Report of this study", make, f"study-{study.key[:8]}.html", "text/html", key="study_report_file")


@st.fragment
def explanation_menu(study: Study, data: Dataset, m: int, found: Explanation, k: int) -> None:
    """The report of an explanation, and the program that makes it again.

    Args:
        study: the study.
        data: the subject's whole data.
        m: position of the test point in the study.
        found: the explanation on show.
        k: examples on each side.
    """
    menu = st.popover(
        "Report and program of this explanation", key="explanation_report", icon=_ICON, type="tertiary", on_change="rerun"
    )
    if not menu.open:
        return
    from ntkviz.reports import reproduce
    from ntkviz.reports.explanation import Question, explanation_report
    from ntkviz.ui.trust_view import study_badges

    store, name = cached.store(), f"explanation-{study.key[:8]}-{study.test_index[m]}"
    effects = companion.removal_effects(study) if companion.companion(study).surrogate is not None else None
    asked = Question(m, found.label, found.against, k)
    report = partial(explanation_report, study, data, asked, store=store, badges=study_badges(study), effects=effects)
    with menu:
        st.caption(
            "One HTML file that opens offline: the point, both answers, the examples, the sum, the caveats, and where it comes from."
        )
        _file("Report of this explanation", report, f"{name}.html", "text/html", key="explanation_file")
        try:
            parts = reproduce.cells(study, m, label=found.label, against=found.against, k=k, home=store.home)
        except NtkvizError as error:
            st.caption(f"There is no program of it: {escape(error, limit=400)}")
            return
        st.caption(
            "A program that computes the shares again through the public API, and prints how far they are from those shown here."
        )
        _file("Python script", partial(reproduce.script, parts), f"{name}.py", "text/x-python", key="script_file")
        _file(
            "Jupyter notebook",
            partial(reproduce.notebook, parts),
            f"{name}.ipynb",
            "application/x-ipynb+json",
            key="notebook_file",
        )


def _file(label: str, make: Any, name: str, mime: str, *, key: str) -> None:
    st.download_button(
        label, make, file_name=name, mime=mime, key=key, icon=":material/download:", on_click="ignore", width="stretch"
    )


def _kept_map(study: Study) -> Embedding | None:
    """A map of the study's kernel that needs no computing; None when there is none."""
    size, seed = int(state.get("map_size") or _MAP_SIZE), int(state.get("map_seed") or _MAP_SEED)
    for kind in dict.fromkeys((str(state.get("map_method") or ""), *embeddings())):
        if kind in embeddings() and maps.kept(study, kind, size=size, seed=seed):
            return maps.make_map(study, kind, size=size, seed=seed).embedding
    return None
