"""A real server in a process of its own and Debian's chromium. Screenshots of every test are kept in test-artifacts/."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, expect, sync_playwright

from tests.pages.made import Made, make

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "test-artifacts"
CHROMIUM = "/usr/bin/chromium"
#: No sandbox (CI runs as root), no GPU, no calls home; WebGL in software.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
#: Generous: two cores may be shared by the server, the worker and the browser.
TIMEOUT_MS = 90_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All browser tests go to one worker: a second browser beside the first only makes both slow."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


expect.set_options(timeout=30_000)


@contextmanager
def serving(home: Path, log: Path, *, script: Path = ROOT / "app.py") -> Iterator[str]:
    """The dashboard (or another script) on a folder; its address. What it prints goes to a file: a full pipe would stop it."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port), "--server.headless", "true"]
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "NTKVIZ_HOME": str(home)}
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_up(url, server, log)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait_until_up(url: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.read() == b"ok":
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"The server did not come up:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Made:
    """Some finished studies."""
    return make(tmp_path_factory.mktemp("finished") / "home")


@pytest.fixture(scope="session")
def server(finished, tmp_path_factory) -> Iterator[str]:
    """A server with finished studies, for tests that only read."""
    with serving(finished.home, tmp_path_factory.mktemp("log") / "server.txt") as url:
        yield url


@pytest.fixture
def fresh(tmp_path) -> Iterator[str]:
    """A server on an empty folder. Its jobs are cancelled when it goes."""
    home = tmp_path / "home"
    with serving(home, tmp_path / "server.txt") as url:
        yield url
        from ntkviz.studies import jobs

        for job in jobs.list_jobs(home):
            jobs.cancel(job.id, home)


@pytest.fixture
def open_browser(chromium, request) -> Iterator[Callable[..., Page]]:
    """Opens pages. When the test ends, each has had no console error, no dialog and no request to another host."""
    opened: list[tuple[Page, list[str]]] = []

    def go(url: str, *, dark: bool = False, width: int = 1280, height: int = 900) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", accept_downloads=True
        )
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        faults: list[str] = []
        watch(page, urlsplit(url).netloc, faults)
        opened.append((page, faults))
        page.goto(url)
        settle(page)
        return page

    yield go
    ARTIFACTS.mkdir(exist_ok=True)
    found = []
    for number, (page, faults) in enumerate(opened):
        name = "".join(c if c.isalnum() or c in "-_" else "-" for c in request.node.name)
        page.screenshot(path=ARTIFACTS / f"{name}{f'-{number}' if number else ''}.png", full_page=True)
        found += faults
        page.context.close()
    assert found == []


def watch(page: Page, host: str, faults: list[str]) -> None:
    """Collect what must not happen."""

    def on_console(message: ConsoleMessage) -> None:
        # Streamlit first asks for its own health below a page's address; these 404s are its own.
        if message.type == "error" and "/_stcore/" not in message.location.get("url", ""):
            faults.append(f"console: {message.text}")

    def on_dialog(dialog: Dialog) -> None:
        faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def on_request(request: Request) -> None:
        if request.url.startswith("http") and urlsplit(request.url).netloc != host:
            faults.append(f"request: {request.url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))
    page.on("dialog", on_dialog)
    page.on("request", on_request)


def settle(page: Page) -> None:
    """Wait until the script has run and its page is drawn."""
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
        " && document.querySelector('[data-testid=stMain] [data-testid=stHeading]')"
        " && !document.querySelector('[data-testid=stSkeleton]')"
    )


def no_exception(page: Page) -> None:
    """No box with an error of ours on the page."""
    expect(page.get_by_test_id("stException")).to_have_count(0)


def keyed(page: Page, key: str):
    """The element that was given a key."""
    return page.locator(f".st-key-{key}")
