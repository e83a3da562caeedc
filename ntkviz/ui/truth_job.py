"""Make the truth of a network on the page "Can I trust it?": the quote, the job, its progress, and what is kept."""

import streamlit as st

from ntkviz.studies.retraining import Retraining, truth_folder, truth_stamp, why_not
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.studies.subjects import find_subject
from ntkviz.truth.truth import TRUTH
from ntkviz.ui import gates, person, progress, recipe_form, state
from ntkviz.ui.text import escape

#: Random halves that may be asked for; fewer give wider intervals.
SUBSETS = (20, 50, 100)
SEEDS = 5


@gates.guarded()
def offer(study: Study) -> None:
    """The job that makes the truth of this study's network, running or to be started; why not, when it cannot be retrained."""
    subject = find_subject(study.spec.subject_id)
    reason = why_not(subject)
    if reason:
        st.caption(reason)
        return
    running = recipe_form.under_way("truth", subject_id=subject.id)
    if running is not None:
        progress.follow(running)
        recipe_form.follow(running)
        return
    problem = recipe_form.failed(state.get("job"), "truth")
    if problem:
        st.error(escape(problem, limit=1200), icon=":material/error:")
    if state.get("truth_for") != study.key:
        st.button(
            "Plan to retrain it on parts of its training set",
            key="plan_truth",
            icon=":material/model_training:",
            on_click=lambda: state.put("truth_for", study.key),
        )
        return
    with st.container(border=True, key="truth_plan"):
        training = recipe_form.recipe_of(subject)
        subsets = int(
            state.sticky(
                st.segmented_control,
                "Random halves",
                key="truth_subsets",
                default=SUBSETS[-1],
                options=list(SUBSETS),
                required=True,
                help="More of them give narrower intervals.",
            )
        )
        asked = Retraining("truth", subject.id, training, n_subsets=subsets, n_seeds=SEEDS)
        what = f"{subsets * SEEDS:,} networks on {subsets} random halves of all {subject.n_train:,} training points, and {SEEDS} on all of them"
        recipe_form.run_retraining(asked, what, key="run_truth")
        if study.n_train < subject.n_train:
            st.caption(
                f"This study explains with {study.n_train:,} training points. The retrainings speak of studies with all {subject.n_train:,}: run one beside them."
            )


@gates.guarded()
def own(study: Study) -> None:
    """How retrainings that somebody made here can be thrown away, to be made by another recipe."""
    home, subject = ntkviz_home(), study.spec.subject_id
    if not truth_stamp(home, subject) or not person.may_change():
        return
    with st.popover("Retrainings made here", icon=":material/delete:", key="ask_truth"):
        st.markdown("These retrainings were made on this machine. Delete them, to make others?")
        st.button("Delete", key="delete_truth", type="primary", on_click=_delete, args=(subject,))


def _delete(subject_id: str) -> None:
    home = ntkviz_home()
    (truth_folder(home, find_subject(subject_id, home=home)) / TRUTH).unlink(missing_ok=True)
