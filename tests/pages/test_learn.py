"""The page Learn: figures computed live, questions that are answered once, words that are found."""

import numpy as np
import pytest

from ntkviz.studies.store import Store
from ntkviz.ui import learn_text, lesson
from ntkviz.ui.points import outcomes
from tests.pages.charts import chart, numbers, table
from tests.pages.conftest import texts


def metrics(app) -> dict[str, float]:
    return {metric.label: float(metric.value) for metric in app.metric}


@pytest.fixture(scope="module")
def machine() -> lesson.Machine:
    return lesson.machine()


def guess(app, memory: str, question: str, letter: str):
    """Answer a question of the page."""
    radios = [radio for radio in app.radio if radio.label == "Your guess"]
    radio = radios[0 if memory == "lesson_guess" else -1]
    radio.set_value(letter)
    button = next(b for b in app.button if memory in (b.form_id or "") or memory in str(b.proto.form_id))
    return button.click().run()


def test_the_lesson_needs_no_study(open_page):
    app = open_page("learn")
    assert not app.exception
    assert "When a study is finished, the same question is asked about it here" in texts(app)


def test_the_kernel_foretells_a_small_step(open_page):
    app = open_page("learn")
    app.slider(key="_lesson_rate").set_value(0.01).run()
    found = metrics(app)
    assert found["By the kernel"] != 0
    assert found["Really"] == pytest.approx(found["By the kernel"], abs=2e-4)


def test_moving_the_point_moves_its_arrow(open_page):
    app = open_page("learn")

    def arrow() -> list[float]:
        trace = next(t for t in chart(app, "arrows")["data"] if t["name"] == "asked about")
        return [float(numbers(trace["x"])[1]), float(numbers(trace["y"])[1])]

    before = arrow()
    app.slider(key="_lesson_x").set_value(-1.5).run()
    assert arrow() != before


def test_shares_stay_hidden_until_somebody_guesses(open_page, machine):
    app = open_page("learn")
    name = next(iter(lesson.QUERIES))
    plain = [numbers(t["marker"]["size"]) for t in chart(app, "plane")["data"] if t.get("name") in {"class A", "class B"}]
    assert len({float(v) for sizes in plain for v in np.ravel(sizes)}) == 1
    assert "share_and_truth" not in str([c.proto.id for c in app.get("plotly_chart")])
    app.session_state["lesson_guess"] = {name: "A"}
    app.run()
    asked = lesson.question(machine, name)
    rows = table(app, "point", "share", "effect of leaving it out").set_index("point")
    by_letter = {letter: i for i, letter in asked.letters.items()}
    for letter in rows.index:
        assert rows.loc[letter, "share"] == pytest.approx(asked.shares[by_letter[letter]])
        assert rows.loc[letter, "effect of leaving it out"] == pytest.approx(asked.truth[by_letter[letter]])
    assert any(c.proto.id.endswith("share_and_truth") for c in app.get("plotly_chart"))


def test_a_guess_by_the_form_is_remembered_and_judged(open_page, machine):
    app = open_page("learn")
    name = next(iter(lesson.QUERIES))
    right = lesson.question(machine, name).answer
    app = guess(app, "lesson_guess", name, right)
    assert app.session_state["lesson_guess"] == {name: right}
    assert f"Right: {right} has the largest share" in texts(app)


@pytest.mark.parametrize("kind", ["digits", "table", "text"])
def test_the_own_question_is_judged_by_the_largest_share(made, open_page, kind):
    study = Store(made.home).load_study(made.keys[kind])
    asked = lesson.own_question(study, outcomes(study), 0)
    assert asked is not None
    app = open_page("learn", study=study.key)
    key, letter = f"{study.key[:16]}:0", lesson.LETTERS[asked.answer]
    app.session_state["lesson_own"] = {key: letter}
    app.run()
    assert f"Right: {letter} has the largest share" in texts(app)
    assert "1 of 1 right so far" in texts(app)
    rows = table(app, "share", "it is")
    assert int(rows["share"].abs().to_numpy().argmax()) == asked.answer
    assert "largest share in size" in rows["it is"].iloc[asked.answer]


def test_another_question_is_another_point(made, open_page):
    study = Store(made.home).load_study(made.keys["digits"])
    asked = [lesson.own_question(study, outcomes(study), turn) for turn in range(6)]
    assert len({question.m for question in asked if question}) > 1
    app = open_page("learn", study=study.key)
    app.button(key="lesson_next").click().run()
    assert app.session_state["_lesson_turn"] == 1


def test_the_glossary_finds_words(open_page):
    app = open_page("learn")
    app.text_input(key="glossary_filter").set_value("trustworthiness").run()
    shown = [term.name for term in learn_text.GLOSSARY if f"**{term.name}.**" in texts(app)]
    assert shown == ["Trustworthiness, continuity"]


def test_the_glossary_is_in_order_and_has_every_name_once():
    names = [term.name for term in learn_text.GLOSSARY]
    assert len(set(names)) == len(names)
    assert names == sorted(names, key=str.lower)


def test_the_documentation_is_read_in_place_without_dead_links(open_page):
    app = open_page("learn")
    app.button_group(key="_docs_page").set_value("concepts/fidelity.md").run()
    assert not app.exception
    assert "docs/concepts/fidelity.md" in texts(app)
    assert "](" not in next(
        str(block.value) for block in app.markdown if "Does the surrogate do what the network does" in str(block.value)
    )
