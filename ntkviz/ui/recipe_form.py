"""How a network is trained again: the recipe of its card, or a form when nobody wrote it down; the quote and the button below it."""

from typing import Any

import streamlit as st

from ntkviz.errors import NtkvizError
from ntkviz.studies import jobs
from ntkviz.studies.job import Job
from ntkviz.studies.retraining import Retraining, known_recipe
from ntkviz.studies.subjects import Subject
from ntkviz.truth.recipe import OPTIMISERS, Training
from ntkviz.ui import state
from ntkviz.ui.quoting import retraining_when_known
from ntkviz.ui.text import escape, megabytes, span


def recipe_of(subject: Subject) -> Training:
    """The recipe, told in a line when the card has it, asked for otherwise.

    Raises:
        StoreCorrupted: when the card's recipe is damaged.
    """
    known = known_recipe(subject)
    if known is not None:
        st.caption(f":material/menu_book: By the recipe of its card: {in_words(known)}.")
        return known
    st.caption(
        "How was this network trained? Nothing in its files says so. A recipe that trains another kind of network verifies nothing: what comes "
        "of it is compared with the network's own answers below."
    )
    return _form()


def in_words(training: Training) -> str:
    """A recipe in a line."""
    augmented = ", with random changes of the inputs" if training.augments else ""
    return (
        f"{training.epochs} epochs of {OPTIMISERS[training.optimiser]}, learning rate {training.learning_rate:g} falling along a cosine, "
        f"weight decay {training.weight_decay:g}, minibatches of {training.batch_size}{augmented}, seed {training.seed}"
    )


def run_retraining(asked: Retraining, what: str, *, key: str, label: str = "Retrain") -> None:
    """The quote of a retraining and the button that starts it.

    Args:
        asked: the retraining.
        what: which networks, in words.
        key: of the button.
        label: of the button.

    Raises:
        NtkvizError: when it is not possible.
    """
    estimate = retraining_when_known(asked)
    if estimate is None:
        st.fragment(_until_known, run_every=1.0)(asked)
        return
    processes = f" in {estimate.workers} processes" if estimate.workers > 1 else ""
    st.markdown(
        f"**About {span(estimate.seconds)}**{processes}, {megabytes(estimate.memory_mb)} of memory: {what}. An estimate from some epochs that were trained "
        "on this machine; the work is done beside the app, can be cancelled, and goes on when this page is closed."
    )
    if st.button(label, key=key, type="primary", icon=":material/model_training:"):
        try:
            follow(jobs.start_retraining(asked))
        except NtkvizError as error:
            st.error(escape(error, limit=1200), icon=":material/error:")
            return
        st.rerun(scope="app")


def follow(job: Job) -> None:
    """Remember a job, so that any page can follow it."""
    state.put("job", job.id)
    state.put("watched", job.id)


def under_way(kind: str, **entries: str) -> Job | None:
    """A retraining of that kind that waits or runs, whoever asked for it."""
    for job in jobs.list_jobs():
        for spec in job.specs:
            fits = isinstance(spec, Retraining) and spec.kind == kind and not job.ended
            if fits and all(getattr(spec, name) == value for name, value in entries.items()):
                return job
    return None


def failed(job_id: object, kind: str) -> str:
    """Why the retraining that this session followed last failed; empty when it did not."""
    try:
        job = jobs.status(str(job_id)) if job_id else None
    except (KeyError, NtkvizError):
        return ""
    if job is None or job.state != "failed" or not isinstance(job.specs[0], Retraining) or job.specs[0].kind != kind:
        return ""
    return job.error


def _until_known(asked: Retraining) -> None:
    """Say that the quote is being measured, and draw the page again when it is there."""
    try:
        known = retraining_when_known(asked) is not None
    except NtkvizError:  # the page says which, when it asks
        known = True
    if known:
        st.rerun(scope="app")
    st.caption(":material/timer: Measuring what an epoch costs on this machine: some seconds, once for each network.")


def _form() -> Training:
    cells = st.columns(6, vertical_alignment="bottom")
    with cells[0]:
        optimiser = state.sticky(
            st.selectbox,
            "Optimiser",
            key="recipe_optimiser",
            default="adamw",
            options=list(OPTIMISERS),
            format_func=lambda key: OPTIMISERS[key],
        )
    numbers: list[tuple[str, str, dict[str, Any]]] = [
        ("Epochs", "recipe_epochs", {"default": 40, "min_value": 1, "max_value": 10_000, "step": 1}),
        ("Learning rate", "recipe_rate", {"default": 0.01, "min_value": 0.0, "max_value": 100.0, "format": "%g"}),
        ("Weight decay", "recipe_decay", {"default": 0.0005, "min_value": 0.0, "max_value": 100.0, "format": "%g"}),
        ("Minibatch", "recipe_batch", {"default": 50, "min_value": 1, "max_value": 1_000_000, "step": 1}),
        ("Seed", "recipe_seed", {"default": 0, "min_value": 0, "max_value": 2**31, "step": 1}),
    ]
    found = {}
    for cell, (label, key, entries) in zip(cells[1:], numbers, strict=True):
        with cell:
            found[key] = state.sticky(st.number_input, label, key=key, **entries)
    return Training(
        epochs=int(found["recipe_epochs"]),
        optimiser=str(optimiser),
        learning_rate=float(found["recipe_rate"]),
        weight_decay=float(found["recipe_decay"]),
        batch_size=int(found["recipe_batch"]),
        seed=int(found["recipe_seed"]),
    )
