"""Imitation against truth on the page "Can I trust it?": the plane, its table, and the sentence that follows for this model."""

import math
from pathlib import Path

import pandas as pd
import streamlit as st

from ntkviz.errors import NtkvizError, StoreCorrupted
from ntkviz.explain.registry import attributions
from ntkviz.figures.plane import imitation_truth, reading_plane
from ntkviz.studies.aligned import mismatch
from ntkviz.studies.control import control_kernel
from ntkviz.studies.faithfulness import WITHOUT_NETWORK, Candidate, Measured, candidate, faithfulness
from ntkviz.studies.retraining import find_truth, truth_stamp
from ntkviz.studies.spec import InvalidStudy
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.studies.verdict import conclusion
from ntkviz.truth.truth import Truth
from ntkviz.ui import cached, gates, layout, state, truth_job
from ntkviz.ui.text import escape, fixed, span

#: Up to here the plane is measured without being asked for.
AT_ONCE_UP_TO = 500
#: Kernels of other studies that are measured beside the study's own, at most.
OTHERS = 4

NOT_CHECKED = """
**What has not been checked.** The figures here are *imitation*: does the surrogate answer as the network does? The second axis is
*counterfactual truth*: would the network, trained again without some examples, change as the surrogate says? That needs retraining,
and this study has none. In retraining experiments for this project (small networks on MNIST, 135 surrogates) the two even ran against each other:
the better a surrogate imitated, the worse its shares foretold removals (rank correlation −.36).
"""
CHECKED = """
**Two axes.** The figures here are *imitation*: does the surrogate answer as the network does? The second axis is *counterfactual truth*: would the
network, trained again without some examples, change as an attribution says? This network was retrained on random halves of its training
set: see [Imitation and truth](#truth) below. A good imitation can be a bad forecast.
"""


def axes_note(study: Study) -> None:
    """Beside the headline: that imitation is one axis of two, and whether the other was measured."""
    if available(study)[0] is None:
        st.warning(NOT_CHECKED, icon=":material/rule:")
    else:
        st.info(CHECKED, icon=":material/explore:")


def available(study: Study) -> tuple[Truth | None, str]:
    """Retrainings that speak of this study, or why there are none."""
    try:
        truth = retrainings(study.spec.subject_id)
    except StoreCorrupted as error:  # damaged or stale: what does not need them is still shown
        return None, str(error)
    if truth is None:
        return None, (
            "Nobody has retrained this network on parts of its training set, so what its attributions foretell cannot be checked. The bundled samples "
            "come with retrainings; those of another network are made here, from its architecture and its training recipe."
        )
    reason = mismatch(study, truth)
    return (None, reason) if reason else (truth, "")


def retrainings(subject_id: str) -> Truth | None:
    """The retrainings that come with a sample, or that somebody made of a network here; None when there are none.

    Raises:
        StoreCorrupted: when they are damaged or stale.
    """
    home = ntkviz_home()
    return _retrainings(str(home), subject_id, stamp(subject_id))


@st.fragment
@gates.guarded()
def plane(study: Study) -> None:
    """The plane of this model, measured when somebody asks for it (small studies at once)."""
    truth, reason = available(study)
    if truth is None:
        st.info(escape(reason, limit=900), icon=":material/model_training:")
        if not _known(study):
            truth_job.offer(study)
        truth_job.own(study)
        return
    if study.n_train > AT_ONCE_UP_TO and "plane" not in asked(study):
        _offer(study, truth)
        return
    with st.spinner("Fitting surrogates and comparing with the retrainings …", show_time=True):
        rows = _measured(str(ntkviz_home()), study.key, tuple(other_keys(study)), stamp(study.spec.subject_id))
    shown(rows, truth)
    truth_job.own(study)


def shown(rows: list[Measured], truth: Truth) -> None:
    """The sentence, the plane and the table."""
    st.markdown(f"#### {escape(conclusion(rows), limit=1500)}")
    titles = {key: info.title for key, info in attributions().items()}
    table = plane_table(rows)
    layout.figure(imitation_truth(rows, titles), reading_plane(rows), key="plane")
    config = {
        name: st.column_config.NumberColumn(format="%.3f", width=70)
        for name in ("LDS", "low", "high", "τ", "behind the best", "beyond classes")
    }
    config["seconds"] = st.column_config.NumberColumn(format="%.2g", width=70)
    st.dataframe(table, hide_index=True, column_config=config, height="content", alt="Imitation and truth of each attribution.")
    layout.download_csv(table, key="plane_table")
    found = rows[0].truth
    st.caption(
        f"LDS: rank correlation of what an attribution foretells for a subset with what retraining on it showed, over {found.n_subsets} random halves and "
        f"{found.n_seeds} seeds, mean over {found.n_points:,} test points. Intervals: 95 %, {found.n_draws} resamples of test points and subsets. "
        "“Behind the best” of those that are no controls: paired, on the same resamples; “told apart” when the interval of that difference does not hold 0. "
        f"“Beyond classes”: after the class counts of each half are regressed out. Two seeds agree by {fixed(found.seed_to_seed)}, which caps what "
        f"anything can reach at {fixed(found.ceiling)}. "
        + " ".join(escape(note) for note in dict.fromkeys((*found.notes, *truth.notes)))
    )


def plane_table(rows: list[Measured]) -> pd.DataFrame:
    """The rows, highest LDS first; what is downloaded is what is drawn."""
    made = [
        {
            "attribution": row.title,
            "LDS": row.lds,
            "low": row.truth.low,
            "high": row.truth.high,
            "behind the best": row.lead.value,
            "told apart": row.lead.clear,
            "beyond classes": row.truth.within,
            "τ": row.tau,
            "seconds": row.seconds,
            "control": row.is_control,
            "points": row.truth.n_points,
        }
        for row in rows
    ]
    return pd.DataFrame(made).sort_values("LDS", ascending=False, na_position="last", ignore_index=True)


def asked(study: Study) -> tuple[str, ...]:
    """What was asked to be measured for this study: "plane", "changes"."""
    return tuple((state.get("measured") or {}).get(study.key, ()))


def ask(study: Study, what: str) -> None:
    """Measure it from now on whenever this study is on show (computed once, then cached)."""
    known = dict(state.get("measured") or {})
    known[study.key] = (*asked(study), what) if what not in asked(study) else asked(study)
    state.put("measured", known)


def other_keys(study: Study) -> list[str]:
    """Finished studies of the same subject and points with another kernel or form, one a kernel, newest first."""
    found: dict[tuple[str, bool], str] = {}
    for entry in gates.finished():
        spec = entry.spec
        if spec is None or spec.subject_id != study.spec.subject_id or entry.key == study.key:
            continue
        same = (spec.kernel, spec.normalize) == (study.spec.kernel, study.spec.normalize)
        sizes = (entry.summary["n_train"], entry.summary["n_test"], spec.seed) == (study.n_train, study.n_test, study.spec.seed)
        if sizes and not same and spec.kernel not in WITHOUT_NETWORK:
            found.setdefault((spec.kernel, spec.normalize), entry.key)
    return list(found.values())[:OTHERS]


def _offer(study: Study, truth: Truth) -> None:
    """What would be measured, how long it takes, and the button."""
    n_kernels = 2 + len(other_keys(study))
    # Cholesky factors of size N for each class, a few times a kernel; about 10 s at N = 1,000 and ten classes.
    seconds = max(2.0, n_kernels * 10 * (study.n_train / 1000) ** 3 * max(2, study.logits_test.shape[1]) / 10)
    st.markdown(
        f"This network was retrained on {len(truth.masks)} random halves of its training set, from {truth.margins.shape[1]} seeds. Every surrogate and "
        "attribution of this kernel can be held against what came of it, beside controls that know no network."
    )
    if math.isfinite(seconds) and st.button(
        f"Measure against retraining (about {span(seconds)})", key="measure_plane", type="primary", icon=":material/play_arrow:"
    ):
        ask(study, "plane")
        st.rerun()  # the badge takes the retrainings in, too


def stamp(subject_id: str) -> str:
    """Changes with the retrainings that somebody made here."""
    try:
        return truth_stamp(ntkviz_home(), subject_id)
    except NtkvizError:  # the subject is gone
        return ""


def _known(study: Study) -> bool:
    """Whether there are retrainings of the network, be they of no use for this study."""
    try:
        return retrainings(study.spec.subject_id) is not None
    except NtkvizError:
        return False


@st.cache_resource(max_entries=4, show_spinner="Reading the retrainings …")
def _retrainings(home: str, subject_id: str, stamp: str) -> Truth | None:
    try:
        return find_truth(Path(home), subject_id, cached.dataset(subject_id))
    except InvalidStudy:  # the upload is gone; its studies stay
        return None


@st.cache_resource(max_entries=8, show_spinner=False)
def _measured(home: str, study_key: str, others: tuple[str, ...], stamp: str) -> list[Measured]:
    """All rows of a study, of the kernels of other studies, and of the controls."""
    study = cached.study(study_key)
    truth, _ = available(study)
    if truth is None:
        return []
    kernels: list[Candidate] = [candidate(cached.study(key)) for key in others]
    return faithfulness(study, truth, [*kernels, control_kernel(study)])
