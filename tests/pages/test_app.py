"""What holds for every page: it opens, in an empty folder and on a study, and never loads torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages.conftest import texts

ROOT = Path(__file__).parents[2]
PAGES = ("studies", "kernels", "fidelity", "explain", "what_if", "behaviour", "map", "learn", "server")
NEED_STUDY = ("kernels", "fidelity", "explain", "what_if", "behaviour", "map")


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_in_an_empty_folder(open_page, name):
    app = open_page(name)
    assert not app.exception
    assert not app.error


@pytest.mark.parametrize("name", NEED_STUDY)
def test_page_without_a_study_says_how_to_get_one(open_page, name):
    app = open_page(name)
    assert "No study yet" in texts(app)
    assert app.button(key="open_sample").label.startswith("Start with MNIST")


def test_how_long_the_first_study_takes_is_said_once_that_was_measured(open_page):
    app = open_page("studies").switch_page("pages/explain.py").run()
    assert app.button(key="open_sample").label.startswith("Start with MNIST (about ")


@pytest.mark.parametrize("kind", ["digits", "table", "text"])
@pytest.mark.parametrize("name", PAGES)
def test_page_opens_on_a_study_of_each_kind_of_data(made, open_page, name, kind):
    app = open_page(name, study=made.keys[kind])
    assert not app.exception
    assert not app.error
    assert app.session_state["study"] == made.keys[kind]


def test_without_a_choice_the_newest_study_is_shown(made, open_page):
    app = open_page("fidelity")
    assert app.session_state["study"] == made.keys["digits"]
    assert app.query_params["study"] == made.keys["digits"]


def test_a_short_key_in_the_address_is_completed(made, open_page):
    app = open_page("fidelity", study=made.keys["text"][:10])
    assert app.session_state["study"] == made.keys["text"]


def test_an_unknown_key_in_the_address_is_explained(made, open_page):
    app = open_page("explain", study="f" * 64)
    assert not app.exception
    assert "There is no study ffffffffffff on this machine" in texts(app)
    app.button(key="open_newest").click().run()
    assert app.session_state["study"] == made.keys["digits"]


def test_markup_in_the_address_stays_text(made, open_page):
    app = open_page("explain", study="![x](http://a/b.png)<b>")
    assert "\\!\\[x\\]" in app.warning[0].value


def test_a_damaged_study_is_explained_and_not_opened(made, open_page):
    folder = made.home / "studies" / made.keys["digits"]
    array = next(folder.glob("*.npy"))
    data = bytearray(array.read_bytes())
    data[-1] ^= 0xFF
    array.write_bytes(bytes(data))
    app = open_page("fidelity", study=made.keys["digits"])
    assert not app.exception
    assert array.name in app.error[0].value.replace("\\", "")


def test_the_switcher_offers_studies_of_the_same_subject_only(made, open_page):
    app = open_page("fidelity", study=made.keys["digits"])
    switch = app.selectbox(key="_study")
    assert len(switch.options) == 2
    switch.set_value(made.keys["digits_ck"]).run()
    assert app.session_state["study"] == made.keys["digits_ck"]
    assert app.query_params["study"] == made.keys["digits_ck"]


_TORCH_FREE = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=120).run()
assert not app.exception, app.exception
for name in sys.argv[1:]:
    app.switch_page(f"pages/{name}.py").run()
    assert not app.exception, (name, app.exception)
    assert "torch" not in sys.modules, name
app.switch_page("pages/fidelity.py").run()
app.button(key="measure_changes").click().run()
assert not app.exception, app.exception
assert not app.error, app.error
assert "torch" not in sys.modules, "small changes"
print("torch-free")
"""


def test_no_page_loads_torch(made):
    run = subprocess.run(
        [sys.executable, "-c", _TORCH_FREE, *PAGES],
        cwd=ROOT,
        env={**os.environ, "NTKVIZ_HOME": str(made.home)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.stdout.strip() == "torch-free", run.stderr[-3000:]
