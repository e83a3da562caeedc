"""What stands in the address comes back as it was, and nothing else comes in."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ntkviz.explain.what_if import duplicate, relabel, remove
from ntkviz.ui.address import EVERYWHERE, LONGEST, OF_PAGE, Entry, entries

PAGES = Path(__file__).parents[2] / "pages"
VALUES = {
    "study": "0f" * 32,
    "test_set": [3, 5, 8],
    "train_set": [0],
    "spec": "eyJzYW1wbGUiOiJkaWdpdHMifQ",
    "kernels_shown": ["0123456789ab", "ba9876543210"],
    "compare": ["0123456789ab"],
    "asked_studies": ["0123456789ab", "ba9876543210"],
    "edits": {"0123456789ab": (remove(12), relabel(40, 3), duplicate(7, 2)), "ba9876543210": (remove(0),)},
    "map_method": ["umap", "tsne"],
    "map_states": ["T-shirt/top", "a.b & c=d", "Ä"],
    "map_test": False,
    "map_range": (-1.5, 0.1 + 0.2),
    "audit_threshold": 0.985,
    "explain_class": 0,
}
ALL = {(page, name): entry for page in ["", *OF_PAGE] for name, entry in entries(page).items()}


@pytest.mark.parametrize(("page", "name"), ALL)
def test_what_is_written_is_read_back(page, name):
    entry = ALL[page, name]
    value = VALUES[name] if name in VALUES else entry.parse("7")
    assert value in (VALUES.get(name), "7", 7)
    assert entry.text(value)
    assert entry.parse(entry.text(value)) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map_test", "yes"),
        ("map_range", "1to"),
        ("map_range", "nanto2"),
        ("map_range", "1to2to3"),
        ("map_method", "umap"),
        ("map_method", '{"umap": 1}'),
        ("map_method", "[1]"),
        ("map_method", '["' + "u" * LONGEST + '"]'),
        ("map_seed", "1.5"),
        ("audit_threshold", "inf"),
        ("edits", "r12"),
        ("edits", "0123456789ab:x12"),
        ("edits", "0123456789ab:l12"),
        ("edits", "0123456789ab:"),
        ("edits", "0123456789ab:r-4"),
        ("edits", "0123456789ab:d7--5"),
        ("edits", "0123456789ab:d7-99999999999999999999"),
        ("edits", "../../etc/pass:r1"),
    ],
)
def test_nonsense_is_refused(name, text):
    with pytest.raises((KeyError, ValueError)):
        entry(name).parse(text)


def test_a_backward_range_is_turned():
    assert entry("map_range").parse("2to-1e-3") == (-0.001, 2.0)


def test_what_is_too_long_does_not_stand_in_the_address():
    assert entry("map_states").text(["u" * LONGEST]) == ""
    assert entry("edits").text({"0" * 12: tuple(map(remove, range(1000)))}) == ""
    assert entry("edits").text({"0" * 12: ()}) == ""


def test_pages_with_options_are_pages():
    assert set(OF_PAGE) <= {path.stem for path in PAGES.glob("*.py")}
    assert not set(EVERYWHERE) & {name for known in OF_PAGE.values() for name in known}


def two_pages():
    import streamlit as st

    from ntkviz.ui import state

    page = st.segmented_control("Page", ["map", "explain"], default="map", key="page")
    state.sync_address(page or "")
    if page == "map":
        state.sticky(st.slider, "Size", key="map_size", default=15, min_value=2, max_value=50)


def test_options_stand_in_the_address_of_their_page_alone_and_are_not_forgotten():
    app = AppTest.from_function(two_pages, default_timeout=60).run()
    assert "map_size" not in app.query_params
    app.slider(key="_map_size").set_value(30).run()
    assert app.query_params["map_size"] == "30"
    app.query_params.clear()  # as Streamlit does when the page changes
    app.segmented_control(key="page").set_value("explain").run()
    assert "map_size" not in app.query_params
    app.segmented_control(key="page").set_value("map").run()
    assert app.slider(key="_map_size").value == 30
    assert app.query_params["map_size"] == "30"


def test_an_option_out_of_its_range_in_a_link_is_brought_back():
    app = AppTest.from_function(two_pages, default_timeout=60)
    app.query_params["map_size"] = "9" * 30
    assert app.run().slider(key="_map_size").value == 50


@pytest.mark.parametrize("text", ["[" * 1400, "nan", "", "{}"])
def test_what_no_parser_takes_is_dropped_by_the_page(text):
    app = AppTest.from_function(two_pages, default_timeout=60)
    app.query_params["map_method"] = text
    assert not app.run().exception
    assert "map_method" not in app.query_params


def entry(name: str) -> Entry:
    return next(known[name] for known in OF_PAGE.values() if name in known)
