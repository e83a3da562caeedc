"""What leaves the browser: a link that shows the same elsewhere, and files that open without a server."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from ntkviz.figures import palette
from tests.browser.conftest import keyed, no_exception, settle


def saved(page: Page, menu: str, label: str, folder: Path) -> Path:
    """Open a menu, press what it offers, and keep the file."""
    button = page.get_by_role("button", name=label, exact=True)
    if not button.is_visible():
        keyed(page, menu).get_by_role("button").first.click()
    button.wait_for()
    with page.expect_download() as download:
        button.click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    page.keyboard.press("Escape")
    return path


@pytest.fixture
def offline(chromium):
    """Opens a file with no network at all; afterwards nothing was asked for and nothing was complained of."""
    opened: list[tuple[object, list[str]]] = []

    def go(path: Path, *, dark: bool = False) -> Page:
        context = chromium.new_context(viewport={"width": 1000, "height": 900}, color_scheme="dark" if dark else "light")
        context.set_offline(True)
        page, faults = context.new_page(), []
        page.on("console", lambda message: faults.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url) if request.url.startswith(("http", "ws")) else None)
        opened.append((context, faults))
        page.goto(path.as_uri())
        page.wait_for_function("document.querySelectorAll('.chart .main-svg').length > 0")
        return page

    yield go
    found = []
    for context, faults in opened:
        context.close()
        found += faults
    assert found == []


def test_a_copied_link_shows_the_same_in_another_browser(server, finished, open_browser):
    key = finished.keys["digits"]
    page = open_browser(f"{server}/explain?study={key}&explain_class=3")
    keyed(page, "copy_link").get_by_role("button").first.click()
    link = page.get_by_test_id("stCode").locator("code").first.inner_text()
    asked = parse_qs(urlsplit(link).query)
    assert asked["study"] == [key]
    assert asked["explain_class"] == ["3"]
    assert asked["fp"][0].startswith(key[:8])
    other = open_browser(link)
    no_exception(other)
    expect(other.get_by_text("Identical to what was shared").first).to_be_visible()
    for words in ("probabilities", "removal_distribution"):
        here, there = (keyed(one, words).first for one in (page, other))
        expect(there.locator(".js-plotly-plot")).to_be_visible()
        data = "chart => JSON.stringify(chart.querySelector('.js-plotly-plot').data.map(trace => [trace.name, trace.customdata]))"
        assert here.evaluate(data) == there.evaluate(data)
    tampered = open_browser(link.replace(asked["fp"][0], asked["fp"][0][:-8] + "00000000"))
    expect(tampered.get_by_text("This is not identical to what was shared").first).to_be_visible()
    expect(tampered.get_by_text("Identical to what was shared", exact=True)).to_have_count(0)


def test_a_link_restores_what_the_map_was_set_to(server, finished, open_browser):
    page = open_browser(f"{server}/map?study={finished.keys['digits']}&map_colour=network%27s+log-odds+of+its+class")
    keyed(page, "_map_method").get_by_text("t-SNE").click()
    settle(page)
    page.wait_for_url("**map_method=**")
    keyed(page, "copy_link").get_by_role("button").first.click()
    link = page.get_by_test_id("stCode").locator("code").first.inner_text()
    other = open_browser(link)
    no_exception(other)
    layout = "box => box.querySelector('.js-plotly-plot').layout"
    for look in ("annotations.map(one => one.text)", "coloraxis.colorbar.title.text"):
        here, there = (keyed(one, "map_chart").first.evaluate(f"{layout}.{look}") for one in (page, other))
        assert here == there
        assert here in (["<b>Kernel PCA</b>", "<b>t-SNE</b>"], palette.short("log-odds of the network's class", 28))


@pytest.mark.parametrize("dark", [False, True])
def test_reports_open_offline(server, finished, open_browser, offline, tmp_path, dark):
    page = open_browser(f"{server}/explain?study={finished.keys['digits']}", dark=dark)
    for menu, label in (("study_report", "Report of this study"), ("explanation_report", "Report of this explanation")):
        report = offline(saved(page, menu, label, tmp_path), dark=dark)
        charts = report.locator(".chart").count()
        assert charts >= 3
        expect(report.locator(".chart .main-svg:first-child")).to_have_count(charts)
        ink, paper = report.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
        assert (sum(_rgb(ink)) > sum(_rgb(paper))) is dark
        with report.expect_download() as download:
            report.locator(".chart").first.hover()
            report.locator(".chart").first.locator("[data-title='Save as SVG']").click()
        assert download.value.suggested_filename.endswith(".svg")


def test_a_figure_leaves_as_picture_page_and_table(server, finished, open_browser, offline, tmp_path):
    page = open_browser(f"{server}/explain?study={finished.keys['digits']}")
    settle(page)
    begins = {"Picture as PNG": b"\x89PNG", "Picture as SVG": b"<svg", "Table as CSV": b"class,", "Table as Parquet": b"PAR1"}
    for label, head in begins.items():
        path = saved(page, "probabilities_export", label, tmp_path)
        assert path.stem == "probabilities"
        assert path.read_bytes().startswith(head), label
    alone = offline(saved(page, "probabilities_export", "Interactive HTML", tmp_path))
    expect(alone.locator(".chart .main-svg").first).to_be_visible()
    expect(alone.get_by_text(finished.keys["digits"][:12])).to_be_visible()


def _rgb(colour: str) -> list[int]:
    return [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
