"""From a sample to a finished study, and what may go wrong on the way."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import keyed, no_exception, settle


def choose_table(page: Page) -> None:
    """The smallest sample: seconds also on a busy machine."""
    keyed(page, "choose_cancer-mlp").get_by_role("button").click()
    expect(page.get_by_text("All points of the data set.")).to_be_visible()
    settle(page)


def start_slow(page: Page) -> None:
    """A job of a minute: dense projections draw their random numbers anew."""
    for name in ("Projected trace NTK", "Trace NTK"):  # one chosen, the other given up
        keyed(page, "_kernels").get_by_role("button", name=name, exact=True).click()
        settle(page)
    keyed(page, "run").get_by_role("button").click()


def test_sample_runs_to_its_end_and_leads_on(fresh, open_browser):
    page = open_browser(fresh)
    expect(keyed(page, "start").get_by_role("button")).to_contain_text("Start with MNIST")
    choose_table(page)
    keyed(page, "run").get_by_role("button").click()
    expect(keyed(page, "job").get_by_role("progressbar")).to_be_visible()
    expect(page).to_have_url(re.compile("[?&]job="))
    expect(page.get_by_text("Finished in")).to_be_visible(timeout=200_000)
    no_exception(page)
    keyed(page, "go_fidelity").get_by_role("button").click()
    expect(page.get_by_role("heading", name="Can I trust it?")).to_be_visible()
    expect(keyed(page, "study_bar")).to_contain_text("Breast tumours, table")
    assert "study=" in page.url
    settle(page)
    no_exception(page)


def test_refresh_during_a_job_finds_it_again_and_cancel_ends_it(fresh, open_browser):
    page = open_browser(fresh)
    start_slow(page)
    expect(keyed(page, "cancel_job")).to_be_visible()
    page.reload()
    expect(keyed(page, "cancel_job")).to_be_visible()
    other = open_browser(fresh)  # a new tab, without the job in its address
    expect(keyed(other, "cancel_job")).to_be_visible()
    keyed(other, "cancel_job").get_by_role("button").click()
    expect(other.get_by_text("Cancelled. Nothing was kept.")).to_be_visible()
    expect(page.get_by_text("Cancelled. Nothing was kept.")).to_be_visible()  # the first tab polls, and sees it too
    keyed(page, "dismiss_job").get_by_role("button").click()
    expect(keyed(page, "start").get_by_role("button")).to_be_visible()
    no_exception(page)


def test_a_job_is_seen_from_another_page(fresh, open_browser):
    page = open_browser(fresh)
    start_slow(page)
    expect(keyed(page, "cancel_job")).to_be_visible()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Server").click()
    expect(page.get_by_role("heading", name="Server", exact=True)).to_be_visible()
    page.get_by_test_id("stSidebar").get_by_text("A job runs").click()
    expect(keyed(page, "cancel_job")).to_be_visible()
    keyed(page, "cancel_job").get_by_role("button").click()
    expect(page.get_by_text("Cancelled.")).to_be_visible()


def test_first_visit_of_a_fresh_server_may_be_any_page(fresh, open_browser):
    page = open_browser(f"{fresh}/server")
    expect(page.get_by_role("heading", name="Server", exact=True)).to_be_visible()
    expect(page.get_by_test_id("stSidebarNavLink").filter(has_text="Can I trust it?")).to_be_visible()
    expect(page.get_by_test_id("stSidebarNavLink")).to_have_count(11)


def test_more_kernels_are_more_studies(fresh, open_browser):
    page = open_browser(fresh)
    for name in ("Pseudo NTK", "Conjugate kernel"):
        keyed(page, "_kernels").get_by_role("button", name=name, exact=True).click()
        settle(page)
    expect(keyed(page, "run")).to_contain_text("Run 3 studies")
