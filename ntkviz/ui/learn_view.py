"""The page Learn: a first lesson with two networks that can be seen through, a question on one's own study, and words."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.figures import lesson as figures
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import cached, gates, layout, learn_text, lesson, media, state
from ntkviz.ui.point_picker import picture, picture_column
from ntkviz.ui.points import outcomes
from ntkviz.ui.text import escape, number
from ntkviz.ui.toy import TwoParameters

#: Training examples of the network with two parameters: input and target.
EXAMPLES = {"example 1 (x = 2)": (2.0, 1.0), "example 2 (x = 0.4)": (0.4, 0.1), "example 3 (x = -0.8)": (-0.8, -1.0)}
DOCS = Path(__file__).resolve().parents[2] / "docs"
#: Pages of the documentation that are read in the dashboard: file -> title.
READINGS = {
    "concepts/tangent-kernels.md": "Tangent kernels",
    "concepts/surrogates.md": "Surrogates",
    "concepts/fidelity.md": "Fidelity",
    "concepts/attributions.md": "Attributions and neighbours",
    "concepts/maps.md": "Maps",
    "concepts/quotes.md": "What a study will take",
    "limitations.md": "Limitations",
}


def arrows() -> None:
    """Step 1: gradients as arrows, and what one training step does to a prediction."""
    st.markdown(learn_text.ARROWS)
    network, names = TwoParameters(), list(EXAMPLES)
    inputs = np.array([x for x, _ in EXAMPLES.values()])
    left, right = st.columns([3, 2], gap="medium")
    with right:
        asked = state.sticky(
            st.slider, "The point asked about, x", key="lesson_x", default=0.8, min_value=-2.0, max_value=2.0, step=0.1
        )
        chosen = state.sticky(st.radio, "Train one step on", key="lesson_example", default=names[0], options=names)
        rate = state.sticky(st.slider, "Step size η", key="lesson_rate", default=0.1, min_value=0.01, max_value=1.0, step=0.01)
    gradients, query = network.gradient(inputs), network.gradient(np.array([asked]))[0]
    kernel = gradients @ query
    with left:
        fig = figures.gradient_arrows(gradients, names, query, chosen=names.index(chosen))
        table = pd.DataFrame({"example": names, "df/da": gradients[:, 0], "df/db": gradients[:, 1], "K(x, example)": kernel})
        layout.figure(fig, figures.reading_gradient_arrows(kernel, names), table, key="arrows")
    with right:
        x, target = EXAMPLES[chosen]
        predicted = -rate * float(network(np.array(x)) - target) * float(kernel[names.index(chosen)])
        real = float(network.stepped(x, target, rate)(np.array(asked)) - network(np.array(asked)))
        st.markdown(learn_text.STEP_LAW)
        cells = st.columns(2)
        cells[0].metric(
            "By the kernel", f"{predicted:+.4f}", help="−η (f(xᵢ) − yᵢ) K(x, xᵢ): what the formula foretells for f(x)."
        )
        cells[1].metric("Really", f"{real:+.4f}", help="f(x) after the step minus f(x) before.")
        st.caption(
            f"f({number(asked)}) = {float(network(np.array(asked))):.3f} before the step. They differ by {abs(real - predicted):.1e}: "
            "the formula is exact for an infinitely small step, so make the step smaller."
        )


def kernel_machine() -> None:
    """Step 2: a network on the plane, a kernel machine on its gradients, a question, and the truth by retraining."""
    st.markdown(learn_text.MACHINE)
    found = _machine()
    name = state.sticky(
        st.segmented_control,
        "Ask about a point",
        key="lesson_query",
        default=next(iter(lesson.QUERIES)),
        options=list(lesson.QUERIES),
        required=True,
    )
    asked = _question(name)
    guess = (state.get("lesson_guess") or {}).get(name)
    shares = asked.shares if guess else None
    left, right = st.columns([3, 2], gap="medium")
    with left:
        fig = figures.plane_map(found.grid, found.points, found.labels, asked.query, letters=asked.letters, shares=shares)
        layout.figure(fig, figures.reading_plane_map(asked.logit, asked.score, shares), key="plane")
    with right:
        guess = _ask("lesson_guess", name, learn_text.PREDICT, sorted(asked.letters.values()))
        if guess:
            _reveal_toy(asked, guess)
    if guess:
        _removal(found, asked)


def own_study(study: Study, data: Dataset) -> None:
    """Step 3: the same question on the study on show."""
    turn = int(st.session_state.get("_lesson_turn", 0))
    points = outcomes(study)
    asked = lesson.own_question(study, points, turn)
    if asked is None:
        st.info("Surrogate and network agree at no test point of this study, so there is nothing to ask.")
        return
    st.markdown(learn_text.OWN_STUDY)
    key = f"{study.key[:16]}:{turn}"
    left, right = st.columns([1, 3], gap="medium")
    with left:
        caption = f"The network and the surrogate say **{escape(asked.target)}**."
        width = "stretch" if data.kind == "image" else 280
        media.show_point(data, "test", int(study.test_index[asked.m]), width=width, caption=caption)
    with right:
        letters = list(lesson.LETTERS[: len(asked.candidates)])
        guess = _ask(
            "lesson_own",
            key,
            "Which of these carries the prediction?",
            letters,
            draw=lambda: _candidates(study, data, asked, letters),
        )
        if guess:
            _reveal_own(study, asked, guess, letters)
    if st.button("Another question", key="lesson_next", icon=":material/refresh:"):
        st.session_state["_lesson_turn"] = turn + 1
        st.rerun()
    _score(study)


def glossary() -> None:
    """The words of the pages, with their formulas; filtered by what is typed."""
    wanted = st.text_input("Find a word", key="glossary_filter", placeholder="for example: share").strip().lower()
    shown = [term for term in learn_text.GLOSSARY if wanted in f"{term.name} {term.meaning}".lower()]
    if not shown:
        st.caption("No word fits.")
    for term in shown:
        left, right = st.columns([3, 2], vertical_alignment="center")
        left.markdown(f"**{term.name}.** {term.meaning}")
        if term.formula:
            right.latex(term.formula)


def readings() -> None:
    """The documentation's pages on ideas, to read in place."""
    there = {file: title for file, title in READINGS.items() if (DOCS / file).is_file()}
    if not there:
        st.caption("The documentation stands in the folder docs of a checkout of the project; it is not here.")
        return
    chosen = state.sticky(
        st.pills, "Read on", key="docs_page", default=None, options=list(there), format_func=lambda file: there.get(file, file)
    )
    if chosen:
        with st.container(border=True):
            st.markdown(_document(str(DOCS / chosen)))
            st.caption(f"docs/{chosen}")


@st.cache_data(max_entries=16, show_spinner=False)
def _document(path: str) -> str:
    """A page of the documentation; its links lead to files, which a browser cannot open here, so only their words are kept."""
    text = Path(path).read_text(encoding="utf-8")
    text = re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)
    return re.sub(r"^(#+) ", lambda found: "##" + found[1] + " ", text, flags=re.MULTILINE)


def _ask(memory: str, question: str, words: str, letters: list[str], *, draw: object = None) -> str | None:
    """A question that is answered once; the answer is remembered.

    Returns:
        The letter that was guessed, None before.
    """
    answers = dict(state.get(memory) or {})
    st.markdown(f"**{words}**")
    if callable(draw):
        draw()
    if question in answers:
        return answers[question]
    with st.form(f"{memory}_{question}", border=False):
        guess = st.radio("Your guess", letters, index=None, horizontal=True)
        if st.form_submit_button("Reveal", type="primary", icon=":material/visibility:") and guess:
            state.put(memory, {**answers, question: guess})
            st.rerun()
    return None


def _reveal_toy(asked: lesson.Question, guess: str) -> None:
    """The answer, and the shares of the candidates."""
    _verdict(guess == asked.answer, asked.answer)
    by_letter = sorted((letter, i) for i, letter in asked.letters.items())
    table = pd.DataFrame(
        {
            "point": [letter for letter, _ in by_letter],
            "share": [asked.shares[i] for _, i in by_letter],
            "similarity": [asked.similarity[i] for _, i in by_letter],
            "effect of leaving it out": [asked.truth[i] for _, i in by_letter],
        }
    )
    config = {name: st.column_config.NumberColumn(format="%+.3f", width=76) for name in table.columns[1:]}
    config["effect of leaving it out"] = st.column_config.NumberColumn(
        "without it", format="%+.3f", width=76, help="The network's logit minus that of the network trained without the point."
    )
    st.dataframe(table, hide_index=True, column_config=config, alt="Shares, similarities and effects of the candidates.")
    st.caption(
        f"All 24 shares {asked.shares.sum():+.3f} plus intercept {asked.intercept:+.3f} make the surrogate's score {asked.score:+.3f}. "
        "Dots are now as large as their |share|: blue speaks for B, orange against it."
    )


def _removal(found: lesson.Machine, asked: lesson.Question) -> None:
    """Shares beside what happens when a point is left out and the network trained again."""
    st.markdown("##### And without the point?")
    left, right = st.columns([3, 2], gap="medium")
    with right:
        st.markdown(learn_text.SHARE_IS_NOT_REMOVAL)
        st.markdown(learn_text.MEASURED)
    with left:
        top, real = int(np.abs(asked.shares).argmax()), int(np.abs(asked.truth).argmax())
        fig = figures.share_and_truth(asked.shares, asked.truth, found.labels, letters=asked.letters)
        table = pd.DataFrame(
            {"point": np.arange(len(asked.shares)), "share": asked.shares, "effect of leaving it out": asked.truth}
        )
        layout.figure(fig, figures.reading_share_and_truth(asked.correlation, top, real), table, key="share_and_truth")


def _candidates(study: Study, data: Dataset, asked: lesson.OwnQuestion, letters: list[str]) -> None:
    """The candidates side by side, without their numbers."""
    ids = study.train_index[list(asked.candidates)]
    labels = [escape(study.class_names[study.y_train[i]]) for i in asked.candidates]
    if data.kind == "image":
        for cell, letter, index, label in zip(st.columns(max(4, len(ids))), letters, ids, labels, strict=False):
            with cell:
                media.show_point(data, "train", int(index), width="stretch", caption=f"**{letter}** · labelled {label}")
        return
    table = pd.DataFrame({"": letters, "label": labels, "picture": [picture(data, "train", int(i)) for i in ids]})
    st.dataframe(table, hide_index=True, column_config={"picture": picture_column(data)}, alt="Candidates.")


def _reveal_own(study: Study, asked: lesson.OwnQuestion, guess: str, letters: list[str]) -> None:
    """The answer on the study, and the way to the whole explanation."""
    _verdict(guess == letters[asked.answer], letters[asked.answer])
    table = pd.DataFrame({"": letters, "share": asked.shares, "similarity": asked.similarity, "it is": asked.roles})
    config = {name: st.column_config.NumberColumn(format="%+.3g") for name in ("share", "similarity")}
    st.dataframe(table, hide_index=True, column_config=config, alt="Shares and similarities of the candidates.")
    st.page_link(
        "pages/explain.py",
        label="**See all shares of this prediction**",
        icon=":material/account_tree:",
        query_params={"study": study.key, "point": str(study.test_index[asked.m])},
    )


def _score(study: Study) -> None:
    """How many guesses on this study were right so far."""
    answers = {key: guess for key, guess in (state.get("lesson_own") or {}).items() if key.startswith(study.key[:16])}
    if not answers:
        return
    points, right = outcomes(study), 0
    for key, guess in answers.items():
        asked = lesson.own_question(study, points, int(key.partition(":")[2]))
        right += asked is not None and guess == lesson.LETTERS[asked.answer]
    st.caption(f"{right} of {len(answers)} right so far on this study.")


def _verdict(right: bool, answer: str) -> None:
    if right:
        st.success(f"Right: {answer} has the largest share in size.", icon=":material/check_circle:")
    else:
        st.info(
            f"It is {answer}. Nearness in the plane, or to the eye, is not what the network measures.",
            icon=":material/lightbulb:",
        )


def own_or_hint() -> None:
    """Step 3 on the study on show, or how to get one."""
    if not gates.finished():
        st.info("When a study is finished, the same question is asked about it here.", icon=":material/info:")
        st.page_link(gates.STUDIES_PAGE, label="Run a first study", icon=":material/play_arrow:")
        return
    study = gates.need_study()
    own_study(study, cached.dataset(study.spec.subject_id))


@st.cache_resource(max_entries=1, show_spinner="Training a network of 49 parameters …")
def _machine() -> lesson.Machine:
    return lesson.machine()


@st.cache_resource(max_entries=8, show_spinner="Training it again without each point …")
def _question(name: str) -> lesson.Question:
    return lesson.question(_machine(), name)
