"""Every page on a finished study, light and dark: no exception, no console error, nothing asked of another host."""

import csv

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ARTIFACTS, ROOT, keyed, no_exception, settle

HEADINGS = {
    "": "Studies",
    "kernels": "Kernels",
    "fidelity": "Can I trust it?",
    "compare": "Compare",
    "explain": "Explain a prediction",
    "what_if": "What if?",
    "behaviour": "Behaviours",
    "audit": "Audit the training set",
    "map": "Map",
    "learn": "Learn",
    "server": "Server",
}


@pytest.mark.parametrize("name", HEADINGS)
def test_page_is_sound_in_both_looks(server, finished, open_browser, name):
    page = open_browser(f"{server}/{name}?study={finished.keys['digits']}")
    for dark, width in ((False, 1280), (True, 1920)):
        if dark:
            page.screenshot(path=ARTIFACTS / f"{name or 'studies'}-light.png", full_page=True)
            page.emulate_media(color_scheme="dark")
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_function("getComputedStyle(document.querySelector('[data-testid=stApp]')).colorScheme === 'dark'")
        expect(page.get_by_role("heading", name=HEADINGS[name], exact=True, level=1)).to_be_visible()
        settle(page)
        no_exception(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_page_opened_in_the_dark_is_sound(server, finished, open_browser):
    page = open_browser(f"{server}/explain?study={finished.keys['digits']}", dark=True, width=1920)
    settle(page)
    no_exception(page)


def test_every_page_is_looked_at():
    names = {path.stem for path in (ROOT / "pages").glob("*.py")}
    assert set(HEADINGS) == names - {"studies"} | {""}


@pytest.mark.parametrize("kind", ["table", "text"])
@pytest.mark.parametrize("name", ["kernels", "fidelity", "explain", "map"])
def test_page_is_sound_for_other_kinds_of_data(server, finished, open_browser, name, kind):
    page = open_browser(f"{server}/{name}?study={finished.keys[kind]}")
    expect(page.get_by_role("heading", name=HEADINGS[name], exact=True, level=1)).to_be_visible()
    settle(page)
    no_exception(page)


def test_the_list_of_studies_is_downloaded(server, open_browser, tmp_path):
    page = open_browser(server)
    with page.expect_download() as waiting:
        keyed(page, "studies_csv").get_by_role("button").click()
    waiting.value.save_as(tmp_path / "studies.csv")
    rows = list(csv.DictReader((tmp_path / "studies.csv").open(newline="")))
    assert len(rows) == 4
    assert {row["surrogate"] for row in rows} >= {"Kernel GLM (converged)", "Kernel ridge on labels"}


def test_a_link_opens_the_same_study_and_point(server, finished, open_browser):
    page = open_browser(f"{server}/explain?study={finished.keys['digits']}")
    settle(page)
    there = page.url
    again = open_browser(there)
    assert keyed(again, "study_bar").inner_text() == keyed(page, "study_bar").inner_text()
    no_exception(again)


def test_the_keyboard_reaches_the_pages(server, open_browser):
    page = open_browser(server)
    page.get_by_test_id("stSidebarNavLink").first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Kernels", exact=True, level=1)).to_be_visible()
