"""The page Server: health, jobs with their logs, storage."""

import shutil
import subprocess

import pytest

from ntkviz.errors import NtkvizError
from ntkviz.studies import jobs
from ntkviz.studies.job import log_path
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.ui import health
from tests.pages.conftest import texts


def test_figures_of_the_store(made, open_page):
    app = open_page("server")
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Mode"] == "local"
    assert shown["Store"].endswith("MB")
    assert str(made.home) in texts(app).replace("\\", "")


def test_kernels_are_listed_with_their_studies(made, open_page):
    app = open_page("server")
    table = next(frame.value for frame in app.dataframe if "studies" in frame.value.columns)
    assert len(table) == 4
    assert table["studies"].sum() == len(Store(made.home).list_studies())


def test_studies_are_deleted_only_when_chosen(made, open_page):
    app = open_page("server")
    app.multiselect(key="_doomed").set_value([made.keys["text"], made.keys["table"]]).run()
    app.button(key="delete_doomed").click().run()
    assert not app.exception
    assert {entry.key for entry in Store(made.home).list_studies()} == {made.keys["digits"], made.keys["digits_ck"]}


def test_kernels_without_a_study_can_be_deleted(made, open_page):
    shutil.rmtree(made.home / "studies" / made.keys["text"])
    app = open_page("server")
    app.button(key="delete_unused").click().run()
    assert not app.exception
    assert len(list((made.home / "kernels").iterdir())) == 3
    assert "delete_unused" not in {button.key for button in app.button}
    assert [folder.name for folder, _ in Store(made.home).verify()] == [made.keys["text"]]  # removed behind the store's back


def test_a_job_shows_its_state_and_its_log(open_page, home):
    job = jobs.start([StudySpec(sample="cancer-mlp", kernel="ck", n_train=20, n_test=10, surrogate_options={"alpha": -1.0})])
    assert jobs.wait(job.id, seconds=200).state == "failed"
    app = open_page("server")
    assert "alpha must be a finite number above 0" in texts(app).replace("\\", "")
    assert "alpha" in log_path(home, job.id).read_text()
    app.button(key=f"forget_{job.id}").click().run()
    assert jobs.list_jobs() == []


def test_a_running_job_can_be_cancelled(open_page):
    job = jobs.start([StudySpec(sample="mnist-mlp", n_train=5000, n_test=1000)])
    app = open_page("server")
    app.button(key=f"stop_{job.id}").click().run()
    assert jobs.status(job.id).state == "cancelled"


def test_the_examination_names_every_part(open_page):
    app = open_page("server")
    app.button(key="examine").click().run(timeout=200)
    assert not app.exception
    found = {finding["name"] for finding in app.session_state["health"]}
    assert {"python", "torch", "samples", "store", "memory", "disk"} <= found


def test_an_examination_without_an_answer_is_explained(monkeypatch):
    def nothing(*args: object, **kw: object) -> subprocess.CompletedProcess:
        return subprocess.CompletedProcess([], 1, stdout="", stderr="")

    monkeypatch.setattr(health.subprocess, "run", nothing)
    with pytest.raises(NtkvizError, match="python -m ntkviz doctor"):
        health.examine()


def test_limits_and_versions_are_shown(open_page):
    app = open_page("server")
    limits = next(frame.value for frame in app.dataframe if "limit" in frame.value.columns)
    assert limits.set_index("what").loc["A file through the browser", "limit"] == "64 MB"
    versions = next(frame.value for frame in app.dataframe if "version" in frame.value.columns)
    assert {"torch", "numpy", "streamlit"} <= set(versions["package"])
