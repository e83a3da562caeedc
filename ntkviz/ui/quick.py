"""The shortest way to a first study: one button that runs a bundled sample."""

import streamlit as st

from ntkviz.data.sample import samples
from ntkviz.errors import NtkvizError
from ntkviz.studies import jobs
from ntkviz.studies.quote import Quote, quote_at_once
from ntkviz.studies.spec import StudySpec
from ntkviz.ui import cached, state
from ntkviz.ui.text import escape, megabytes, span

#: Enough points for figures that mean something, few enough for seconds.
N_TRAIN, N_TEST = 1000, 500
#: While the quote is being measured.
MEASURING = "Measuring what this costs on this machine: some seconds, once for each network and kernel"


def first_spec() -> StudySpec | None:
    """The study of the quick start; ``None`` when no sample is bundled."""
    names = samples()
    return StudySpec(sample=names[0], n_train=N_TRAIN, n_test=N_TEST) if names else None


def first_quote() -> Quote | None:
    """What the quick start takes; ``None`` when that cannot be said, or not without measuring: nobody is to wait for it."""
    spec = first_spec()
    try:
        return None if spec is None else quote_at_once([spec])
    except NtkvizError:
        return None


def start_button(*, key: str) -> None:
    """A button that starts the quick study and goes to the Studies page, where its progress is shown."""
    spec, estimate = first_spec(), first_quote()
    if spec is None:
        st.warning("No samples are bundled here: run ntkviz from a checkout of the project that has the folder sample_models.")
        return
    takes = "" if estimate is None else f" (about {span(estimate.seconds)})"
    if st.button(f"Start with {_short_title(spec)}{takes}", key=key, type="primary", icon=":material/play_arrow:"):
        try:
            launch([spec])
        except NtkvizError as error:
            st.error(escape(error, limit=1200), icon=":material/error:")
            return
        st.switch_page("pages/studies.py")


def welcome() -> None:
    """On a machine without any study or job: what this is, and the one obvious button."""
    if state.get("job") or cached.store().list_studies():
        return
    with st.container(border=True, key="welcome"):
        st.markdown("#### See why a network said what it said, by the training examples that made it say so")
        st.markdown(
            "A small network that reads handwritten digits is ready. One click computes the kernel of its gradients, fits a kernel "
            "machine on it, and measures how well that machine stands for the network."
        )
        start_button(key="start")
        estimate = first_quote()
        takes = (
            f"about {span(estimate.seconds)}, {megabytes(estimate.memory_mb)} of memory, {megabytes(estimate.disk_mb)} on disk"
            if estimate
            else "some seconds"
        )
        st.caption(
            f"{N_TRAIN:,} training and {N_TEST:,} test points; {takes}. Everything stays on this machine. To choose for yourself, go on below."
        )


def launch(specs: list[StudySpec]) -> None:
    """Start a job for some studies and remember it, so that any page can follow it.

    Raises:
        InvalidStudy: when a study is not possible.
        BudgetExceeded: when it would take more memory or disk than there is.
    """
    job = jobs.start(specs)
    state.put("job", job.id)
    state.put("watched", job.id)


def _short_title(spec: StudySpec) -> str:
    return "MNIST" if (spec.sample or "").startswith("mnist") else escape(spec.sample)
