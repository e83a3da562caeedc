"""While a large study is made, the first look at it can be opened."""

from dataclasses import replace

import pytest

from ntkviz.studies import jobs, preview
from ntkviz.studies.job import Job, now
from tests.pages.conftest import texts
from tests.pages.made import SPECS


@pytest.fixture
def running(made, monkeypatch) -> Job:
    """A job at its second study; the first one is the finished study of digits."""
    monkeypatch.setattr(preview, "TRAIN", 60)
    first = SPECS["digits"]
    job = Job("20260101T000000-1", "running", (first, replace(first, n_train=5000)), now(), current=1, stage="kernel")
    job = replace(job, results=(made.keys["digits"], None), errors=(None, None), fraction=0.4)
    monkeypatch.setattr(jobs, "status", lambda *_: job)
    monkeypatch.setattr(jobs, "list_jobs", lambda *_: [job])
    return job


def test_the_job_card_opens_the_first_look(open_page, running):
    app = open_page()
    assert not app.exception
    assert "A first look with 60 points is ready:" in texts(app)
    links = {link.proto.label: link.proto for link in app.get("page_link")}
    assert running.results[0] in links["Map"].query_string
    assert running.results[0] in links["Can I trust it?"].query_string


def test_before_it_is_ready_the_card_says_what_is_being_made(open_page, running, monkeypatch):
    job = replace(running, current=0, results=(None, None))
    monkeypatch.setattr(jobs, "status", lambda *_: job)
    monkeypatch.setattr(jobs, "list_jobs", lambda *_: [job])
    app = open_page()
    assert not app.exception
    assert "is ready:" not in texts(app)
    assert ", a first look with 60 points" in texts(app)
