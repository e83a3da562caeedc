"""Copied links, what they restore and what they say; reports and files from the buttons of the pages."""

import io

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from ntkviz.studies.fingerprint import Fingerprint, fingerprint
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.ui import links
from ntkviz.ui.chart import parquet_bytes
from tests.pages.conftest import texts
from tests.pages.made import SPECS


def shared(made, kind: str = "digits", **changed: str) -> str:
    """What a link carries of a study, with some parts of the fingerprint changed."""
    key = made.keys[kind]
    found = fingerprint(Store(made.home), key)
    parts = {name: changed.get(name, getattr(found, name)) for name in ("model", "data", "spec", "versions", "results")}
    return f"{key[:8]}-{Fingerprint(**parts)}"


def badges(app: AppTest) -> str:
    return "\n".join(str(element.value) for element in app.markdown)


def test_a_link_to_the_same_results_says_identical(made, open_page):
    app = open_page("explain", study=made.keys["digits"], fp=shared(made))
    assert not app.exception
    assert "Identical to what was shared" in badges(app)
    assert not [w for w in app.warning if "identical" in w.value]


@pytest.mark.parametrize("part", ["model", "data", "spec", "results"])
def test_a_link_says_what_differs(made, open_page, part):
    app = open_page("fidelity", study=made.keys["digits"], fp=shared(made, **{part: "00000000"}))
    assert "Identical to what was shared" not in badges(app)
    (said,) = [w.value for w in app.warning if "not identical" in w.value]
    assert {"spec": "request"}.get(part, part) in said.split("What differs:")[1]


def test_other_versions_with_the_same_results_are_identical(made, open_page):
    app = open_page("fidelity", study=made.keys["digits"], fp=shared(made, versions="00000000"))
    assert "Identical to what was shared" in badges(app)


def test_a_fingerprint_of_another_study_says_nothing(made, open_page):
    app = open_page("fidelity", study=made.keys["digits_ck"], fp=shared(made, "digits", results="00000000"))
    assert "Identical to what was shared" not in badges(app)
    assert not [w for w in app.warning if "identical" in w.value]


@pytest.mark.parametrize("nonsense", ["x", "-", "00000000-", "<script>"])
def test_nonsense_is_ignored(made, open_page, nonsense):
    app = open_page("fidelity", study=made.keys["digits"], fp=made.keys["digits"][:8] + nonsense, spec="!!")
    assert not app.exception
    assert "Identical to what was shared" not in badges(app)


@pytest.mark.parametrize("name", SPECS)
def test_a_packed_study_is_the_study(name):
    spec = SPECS[name]
    assert links.unpacked(links.packed(spec)) == spec
    assert len(links.packed(spec)) < 400


@pytest.mark.parametrize("text", ["", "a", "!", links.packed(SPECS["table"])[:-5], "e30", "W10"])
def test_what_is_no_packed_study_is_none(text):
    assert links.unpacked(text) is None


def test_an_upload_is_never_offered():
    assert links.unpacked(links.packed(StudySpec(upload="upload-0123456789abcdef"))) is None


def test_where_the_study_is_missing_the_link_offers_to_compute_it(home, open_page):
    spec = StudySpec(sample="cancer-mlp", surrogate="ridge", n_train=30, n_test=10)
    app = open_page("explain", study=spec.key(), spec=links.packed(spec), fp=f"{spec.key()[:8]}-x.x.x.x.x")
    assert not app.exception
    assert "which is not on this machine" in texts(app) or "There is no study" in texts(app)
    assert "cancer" in texts(app)
    assert app.button(key="compute_link").label.startswith("Compute it here")


def test_without_a_recipe_nothing_is_offered(home, open_page):
    app = open_page("explain", study="0" * 64)
    assert not [button for button in app.button if button.key == "compute_link"]


def test_every_figure_can_be_taken_away(made, open_page):
    app = open_page("fidelity", study=made.keys["digits"])
    keys = {str(button.key) for button in app.get("download_button")} if app.get("download_button") else set()
    labels = [str(button.proto.label) for button in app.get("download_button")]
    assert labels.count("Interactive HTML") >= 2, keys
    assert "Table as Parquet" in labels


def test_parquet_keeps_the_numbers_and_takes_mixed_columns():
    table = pd.DataFrame({"n": [1, 2], "x": [0.1, 1e-300], "mixed": [1, "one"], 3: ["=1+1", None]})
    back = pd.read_parquet(io.BytesIO(parquet_bytes(table)))
    assert back["x"].tolist() == [0.1, 1e-300]
    assert back["n"].tolist() == [1, 2]
    assert back["mixed"].tolist() == ["1", "one"]
    assert back["3"].tolist()[0] == "=1+1"
