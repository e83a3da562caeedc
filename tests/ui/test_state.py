import pytest
from streamlit.testing.v1 import AppTest

from ntkviz.ui import state
from ntkviz.ui.address import EVERYWHERE, OF_PAGE
from ntkviz.ui.keys import KEYS, STUDY_KEYS, VIEW_KEYS


def script():
    import streamlit as st

    from ntkviz.ui import state

    state.sync_address()
    if st.toggle("show", value=True, key="show"):
        state.sticky(st.number_input, "Seed", key="seed", default=3, min_value=0, max_value=10)
        state.sticky(st.pills, "Kernels", key="kernels", default=["a"], options=["a", "b"], selection_mode="multi")


@pytest.fixture
def app():
    return AppTest.from_function(script, default_timeout=60)


def test_value_survives_while_the_widget_is_not_drawn(app):
    app.run().number_input(key="_seed").set_value(7).run()
    app.toggle(key="show").set_value(False).run()
    app.toggle(key="show").set_value(True).run()
    assert app.number_input(key="_seed").value == 7


def test_a_plain_widget_would_forget_it():
    def plain():
        import streamlit as st

        if st.toggle("show", value=True, key="show"):
            st.number_input("Seed", value=3, key="seed")

    app = AppTest.from_function(plain, default_timeout=60).run()
    app.number_input(key="seed").set_value(7).run()
    app.toggle(key="show").set_value(False).run()
    app.toggle(key="show").set_value(True).run()
    assert app.number_input(key="seed").value == 3


def test_a_number_out_of_its_range_is_brought_back(app):
    app.session_state["seed"] = 99
    assert app.run().number_input(key="_seed").value == 10


def test_a_choice_that_is_gone_gives_way_to_the_default(app):
    app.session_state["kernels"] = ["b", "gone"]
    assert app.run().pills(key="_kernels").value == ["b"]
    app.session_state["kernels"] = ["gone"]
    assert app.run().pills(key="_kernels").value == ["a"]


def test_choosing_nothing_is_a_choice(app):
    app.run().pills(key="_kernels").set_value([]).run()
    assert app.run().pills(key="_kernels").value == []


def test_address_is_read(app):
    app.query_params["point"] = "12"
    assert app.run().session_state["point"] == 12


def test_nonsense_in_the_address_is_dropped(app):
    app.query_params["point"] = "twelve"
    app.run()
    assert "point" not in app.session_state
    assert "point" not in app.query_params


def test_what_is_remembered_is_written_into_an_empty_address(app):
    app.session_state["study"] = "abc"
    assert app.run().query_params["study"] == "abc"


def test_another_address_wins_over_memory(app):
    app.query_params["point"] = "1"
    app.run()
    app.query_params["point"] = "2"
    assert app.run().session_state["point"] == 2


def test_memory_wins_over_its_own_old_address(app):
    app.query_params["point"] = "1"
    app.run()
    app.session_state["point"] = 5
    app.run()
    assert app.session_state["point"] == 5
    assert app.query_params["point"] == "5"


def test_ids_stand_in_the_address_and_come_back(app):
    app.session_state["test_set"] = [3, 12, 57]
    assert app.run().query_params["test_set"] == "3.12.57"
    again = AppTest.from_function(script, default_timeout=60)
    again.query_params["test_set"] = "3.12.57"
    assert again.run().session_state["test_set"] == [3, 12, 57]


def test_very_many_ids_stand_in_the_address_by_their_hash(app):
    app.session_state["test_set"] = [1, 2]
    app.run()
    many = list(range(1000, 1400))
    app.session_state["test_set"] = many
    app.run()
    text = "".join(app.query_params["test_set"])
    assert text.startswith("~")
    assert len(text) < 20
    assert app.run().session_state["test_set"] == many
    other = AppTest.from_function(script, default_timeout=60)
    other.query_params["test_set"] = text
    assert other.run().session_state["test_set"] == many


def test_a_hash_that_leads_nowhere_is_dropped_and_said(app):
    app.query_params["test_set"] = "~" + "0" * 16
    app.query_params["point"] = "~" + "0" * 16  # no list of ids
    app.run()
    assert "test_set" not in app.session_state
    assert "point" not in app.session_state
    assert "test_set" not in app.query_params
    assert "not here" in app.session_state["flash"]


@pytest.mark.parametrize("nonsense", ["", "3.", "3.x", "-3", "3,4", "9" * 30, ".".join(["1"] * 1000)])
def test_ids_that_are_none_are_dropped(app, nonsense):
    app.query_params["test_set"] = nonsense
    app.run()
    assert "test_set" not in app.session_state
    assert "test_set" not in app.query_params


@pytest.mark.parametrize("call", [state.get, lambda name: state.put(name, 1), state.forget])
def test_unknown_names_are_refused(call):
    with pytest.raises(KeyError, match="no name of the pages' memory"):
        call("colour_of_the_sky")


def test_every_name_says_what_it_means():
    assert len(KEYS) == len(STUDY_KEYS) + len(VIEW_KEYS)
    assert all(len(meaning) > 10 for meaning in KEYS.values())
    assert {*EVERYWHERE, *(name for entries in OF_PAGE.values() for name in entries)} <= set(KEYS)
