"""Two people in two browsers on a team's server: each tries every id, link and file name of the other, and sees nothing.

The browsers also send the header by which the proxy names people, with the other's name in it: it must not count.
"""

import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from ntkviz.studies.job import finish, new_job, write_job
from ntkviz.studies.people import Person, workspace
from ntkviz.studies.sharing import share
from ntkviz.studies.store import Store
from tests.browser.conftest import TIMEOUT_MS, no_exception, serving, watch
from tests.browser.proxy import HEADER, proxy
from tests.pages.made import SPECS, Made, make


@dataclass(frozen=True)
class Somebody:
    """A person with what is theirs.

    Attributes:
        name: in short.
        email: who they are.
        home: their folder.
        study: key of their only study.
        subject: words of it that no page shows to others.
        job: id of a job of theirs.
        upload: a folder that looks like an upload of theirs.
        token: of a link that they gave to nobody.
    """

    name: str
    email: str
    home: Path
    study: str
    subject: str
    job: str
    upload: str
    token: str


def _somebody(root: Path, made: Made, name: str, study: str) -> Somebody:
    email = f"{name}@example.org"
    home, key = workspace(root, Person(email, email)), made.keys[study]
    stored = Store(made.home).load_study(key)
    for part, folder in (("kernels", stored.kernel_key), ("studies", key)):
        shutil.copytree(made.home / part / folder, home / part / folder)
    job = new_job(home, (SPECS[study],), ({},))
    write_job(home, finish(job, "failed", f"secret of {name}"))
    upload = home / "uploads" / f"upload-{os.urandom(8).hex()}"
    upload.mkdir(parents=True)
    (upload / f"weights-of-{name}.pt").write_text(f"secret of {name}")
    return Somebody(name, email, home, key, stored.name, job.id, upload.name, share(home, key).token)


@pytest.fixture(scope="module")
def team(tmp_path_factory) -> Iterator[tuple[int, Somebody, Somebody]]:
    """A team's server with two people; its port and they."""
    folder = tmp_path_factory.mktemp("team")
    made = make(folder / "made", ("digits", "table"))
    root = folder / "root"
    anna = _somebody(root, made, "anna", "digits")
    ben = _somebody(root, made, "ben", "table")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NTKVIZ_MODE", "team")
        patch.setenv("NTKVIZ_AUTH", "header")
        for name, value in (("TRUSTED_USER_HEADERS", f'{{"{HEADER}": "email"}}'), ("ADDRESS", "127.0.0.1")):
            patch.setenv(f"STREAMLIT_SERVER_{name}", value)
        with serving(root, folder / "server.txt") as url:
            yield urlsplit(url).port or 0, anna, ben


def browse(chromium: Browser, url: str, pretends: str, faults: list[str]) -> Page:
    """A browser of its own, which claims to be somebody."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, extra_http_headers={HEADER: pretends})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    watch(page, urlsplit(url).netloc, faults)
    return page


def visit(page: Page, address: str) -> str:
    """Open a page and wait until it stands, if only as a warning without a heading; its words."""
    page.goto(address)
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
        " && document.querySelector('[data-testid=stMain] :is([data-testid=stHeading], [data-testid=stAlert])')"
        " && !document.querySelector('[data-testid=stSkeleton]')"
    )
    no_exception(page)
    return page.locator("body").inner_text()


def files_of(other: Somebody) -> list[str]:
    """Paths by which a careless server would hand out what is theirs."""
    return [
        f"people/{other.home.name}/ntkviz.sqlite",
        f"app/static/{other.upload}",
        f"media/{other.study}.npy",
        f"_stcore/upload_file/{other.home.name}/{other.upload}",
        f"{other.upload}/weights-of-{other.name}.pt",
        f"shares/{other.token}/share.json",
        "people.key",
        "..%2fpeople.key",
    ]


def fetched(address: str) -> tuple[int, bytes]:
    """Status and contents of an address, asked for without a browser."""
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_each_tries_everything_of_the_other(team, chromium):
    port, anna, ben = team
    faults: list[str] = []
    for me, other in ((anna, ben), (ben, anna)):
        with proxy(port, me.email) as url:
            page = browse(chromium, url, other.email, faults)
            assert me.subject in visit(page, f"{url}/explain?study={me.study}")
            for address in (
                f"explain?study={other.study}",
                f"kernels?study={other.study[:12]}",
                f"explain?share={other.study[:32]}",
                f"explain?share=../people/{other.home.name}",
                f"server?job={other.job}&study={other.study}",
            ):
                words = visit(page, f"{url}/{address}")
                for theirs in (f"secret of {other.name}", other.subject, other.email, other.upload, other.home.name, other.token):
                    assert theirs not in words, address
            assert f"secret of {me.name}" in words  # the last page lists one's own jobs
            page.context.close()
            for path in files_of(other):
                status, body = fetched(f"{url}/{path}")
                # Streamlit answers an unknown path with its empty page, which then asks for a page of that name.
                assert status in {400, 403, 404, 405} or b"<title>Streamlit</title>" in body, path
                assert b"secret" not in body
                assert b"SQLite format" not in body
    assert [fault for fault in faults if "status of 404" not in fault] == []


def test_a_link_shows_one_study_until_it_is_taken_back(team, chromium):
    port, anna, ben = team
    faults: list[str] = []
    with proxy(port, ben.email) as at_ben, proxy(port, anna.email) as at_anna, proxy(port, None) as at_nobody:
        his, hers = browse(chromium, at_ben, "x", faults), browse(chromium, at_anna, "x", faults)
        words = visit(his, f"{at_ben}/explain?share={anna.token}")
        assert f"{anna.email} shows you this study" in words
        assert anna.subject in words
        assert "secret" not in visit(his, f"{at_ben}/server?share={anna.token}")
        expect(his.locator(".st-key-make_link")).to_have_count(0)
        visit(hers, f"{at_anna}/server")
        hers.locator(f".st-key-revoke_{anna.token[:8]} button").click()
        expect(hers.get_by_text("The link leads nowhere now")).to_be_visible()
        assert "There is no such link" in visit(his, f"{at_ben}/explain?share={anna.token}")
        nobody = browse(chromium, at_nobody, anna.email, faults)
        assert "You are not signed in" in visit(nobody, f"{at_nobody}/explain?share={ben.token}")
        for page in (his, hers, nobody):
            page.context.close()
    assert faults == []
