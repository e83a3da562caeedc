"""From the list of test points where kernels disagree to the explanation of one of them."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import no_exception, settle


def test_a_point_where_kernels_disagree_becomes_the_point_explained(server, finished, open_browser):
    page = open_browser(f"{server}/explain?study={finished.keys['digits']}", height=4200)
    page.get_by_role("tab", name="Other kernels").click()
    rows = page.locator('[class*="st-key-apart_"] canvas').first
    expect(rows).to_be_visible()
    settle(page)
    before, box = page.url, rows.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 18, box["y"] + 36 + 44 * 2.5)  # the box of the third row, below the head
    page.wait_for_function("before => location.href !== before", arg=before)
    settle(page)
    point = re.search(r"point=(\d+)", page.url)
    assert point is not None
    expect(page.get_by_text(re.compile(rf"^Test point {point[1]}, labelled")).first).to_be_visible()
    expect(page.get_by_text("Where do kernels disagree most?")).to_be_visible()  # the tab stays open
    no_exception(page)
