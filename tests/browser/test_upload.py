"""Files through the browser: a wrong one is explained, a good one becomes a study."""

import json
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from ntkviz.data.sample import SAMPLES_DIR, load_sample_data
from tests.browser.conftest import keyed, no_exception, settle

WEIGHTS = SAMPLES_DIR / "cancer-mlp" / "weights.safetensors"
ARCHITECTURE = json.loads((SAMPLES_DIR / "cancer-mlp" / "card.json").read_text())["architecture"]


@pytest.fixture
def data_file(tmp_path) -> Path:
    """A part of the table as somebody would bring it."""
    data = load_sample_data("cancer-mlp")
    path = tmp_path / "tumours.npz"
    np.savez(path, x_train=data.x_train[:80], y_train=data.y_train[:80], x_test=data.x_test[:40], y_test=data.y_test[:40])
    return path


def bring(page: Page, weights: Path, data: Path) -> None:
    """Fill the form and press Check."""
    keyed(page, "_source").get_by_text("Bring your own").click()
    expect(keyed(page, "upload")).to_be_visible()
    settle(page)
    for key, file in (("_upload_weights", weights), ("_upload_data", data)):
        keyed(page, key).locator("input[type=file]").set_input_files(file)
        expect(keyed(page, key)).to_contain_text(file.name)
        page.wait_for_timeout(700)  # the name stands there before the page begins to be drawn anew
        settle(page)
    keyed(page, "_upload_architecture").get_by_text("Specification (JSON)").click()
    box = keyed(page, "_upload_json").get_by_role("textbox")
    expect(box).to_be_visible()
    box.fill(json.dumps(ARCHITECTURE))
    box.press("Control+Enter")
    settle(page)
    keyed(page, "_upload_normalise").get_by_text("As the specification says").click()
    check = keyed(page, "check_upload").get_by_role("button")
    expect(check).to_be_enabled()
    check.click()


def test_a_wrong_file_gets_a_readable_answer(fresh, open_browser, tmp_path, data_file):
    wrong = tmp_path / "weights.pt"
    wrong.write_bytes(b"\x80\x04\x95this was never a model")
    page = open_browser(fresh)
    bring(page, wrong, data_file)
    answer = keyed(page, "upload").get_by_test_id("stAlert")
    expect(answer).to_be_visible(timeout=120_000)
    expect(answer).to_contain_text("weights.pt")
    expect(answer).not_to_contain_text("Traceback")
    no_exception(page)


def test_a_good_file_becomes_a_study(fresh, open_browser, data_file):
    page = open_browser(fresh)
    bring(page, WEIGHTS, data_file)
    expect(page.get_by_text("can be studied")).to_be_visible(timeout=120_000)
    settle(page)
    keyed(page, "run").get_by_role("button").click()
    expect(page.get_by_text("Finished in")).to_be_visible(timeout=200_000)
    keyed(page, "go_explain").get_by_role("button").click()
    expect(page.get_by_role("heading", name="Explain a prediction")).to_be_visible()
    settle(page)
    no_exception(page)
