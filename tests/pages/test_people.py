"""Two people on one server: each sees their own and nothing of the other's, and a link shows one study."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from ntkviz.studies import jobs
from ntkviz.studies.job import finish, new_job, write_job
from ntkviz.studies.people import Person, workspace
from ntkviz.studies.sharing import open_share, share, shares_of
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store, ntkviz_home
from ntkviz.ui import sharing
from tests.pages.conftest import APP, TIMEOUT, texts
from tests.pages.made import SPECS

PAGES = ("studies", "kernels", "fidelity", "explain", "what_if", "behaviour", "map", "audit", "server")


@dataclass(frozen=True)
class Somebody:
    """A person with their folder.

    Attributes:
        user: what Streamlit knows of them.
        home: their folder.
        job: id of a job of theirs that has failed.
    """

    user: dict
    home: Path
    job: str


@pytest.fixture
def team(monkeypatch, home):
    """A team's server whose proxy names people; its folder."""
    monkeypatch.setenv("NTKVIZ_MODE", "team")
    monkeypatch.setenv("NTKVIZ_AUTH", "header")
    before = {name: config.get_option(name) for name in ("server.trustedUserHeaders", "server.address", "server.allowedHosts")}
    config.set_option("server.trustedUserHeaders", {"X-Auth-Email": "email"})
    config.set_option("server.address", "127.0.0.1")
    config.set_option("server.allowedHosts", ["localhost"])
    yield home
    for name, value in before.items():
        config.set_option(name, value)


def _somebody(root: Path, name: str, studies: dict[str, Path]) -> Somebody:
    email = f"{name.lower()}@example.org"
    own = workspace(root, Person(email, email))
    for folder in studies.values():
        shutil.copytree(folder, own / folder.parent.name / folder.name)
    spec = StudySpec(sample="mnist-mlp", kernel="ck", surrogate="ridge", n_train=50, n_test=10)
    job = new_job(own, (spec,), ({},))
    write_job(own, finish(job, "failed", f"The secret of {name}."))
    return Somebody({"email": email}, own, job.id)


@pytest.fixture
def anna(team, made_once) -> Somebody:
    """She has all studies."""
    return _somebody(
        team,
        "Anna",
        {
            f"{folder.parent.name}/{folder.name}": folder
            for part in ("kernels", "studies")
            for folder in (made_once.home / part).glob("*/")
        },
    )


@pytest.fixture
def ben(team, made_once) -> Somebody:
    """He has one study, of the table."""
    store, key = Store(made_once.home), made_once.keys["table"]
    kernel = store.load_study(key).kernel_key
    return _somebody(team, "Ben", {"kernel": made_once.home / "kernels" / kernel, "study": made_once.home / "studies" / key})


def open_as(user: dict, name: str = "studies", **address: object) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
    app.user = user
    if name != "studies":
        app.run().switch_page(f"pages/{name}.py")
    for parameter, value in address.items():
        app.query_params[parameter] = str(value)
    return app.run()


@pytest.mark.parametrize("user", [{}, {"email": None}, {"email": " "}, {"name": "Anna", "is_logged_in": True}])
@pytest.mark.parametrize("page", ["studies", "server"])
def test_whoever_is_not_signed_in_is_told_how_and_sees_nothing(anna, made_once, user, page):
    app = open_as(user, page, study=made_once.keys["digits"], job=anna.job)
    assert "You are not signed in" in texts(app)
    assert len(app.error) == 1
    assert not app.exception
    assert not [element for kind in ("button", "metric", "dataframe", "subheader", "selectbox") for element in getattr(app, kind)]
    assert "MNIST" not in texts(app)


def test_outside_of_a_persons_run_there_is_no_folder(team):
    open_as({"email": "anna@example.org"})
    with pytest.raises(Exception, match="not signed in"):
        ntkviz_home()
    with pytest.raises(Exception, match="not signed in"):
        Store()


def test_each_sees_their_own_studies_and_jobs(anna, ben):
    hers, his = open_as(anna.user), open_as(ben.user)
    assert len([b for b in hers.button if (b.key or "").startswith("open_")]) == len(SPECS)
    assert len([b for b in his.button if (b.key or "").startswith("open_")]) == 1
    assert "The secret of Anna" in texts(open_as(anna.user, "server")).replace("\\", "")
    assert "The secret of Anna" not in texts(open_as(ben.user, "server")).replace("\\", "")


@pytest.mark.parametrize("page", [page for page in PAGES if page not in {"studies", "server"}])
def test_the_others_study_is_not_there(anna, ben, made_once, page):
    app = open_as(ben.user, page, study=made_once.keys["digits"])
    assert not app.exception
    assert "There is no study" in texts(app)
    assert "MNIST" not in texts(app)


def test_the_others_job_is_not_there(anna, ben):
    app = open_as(ben.user, job=anna.job)
    assert not app.exception
    assert "secret" not in texts(app)
    for act in (jobs.status, jobs.cancel, jobs.delete_job):
        with pytest.raises(KeyError, match="no job"):
            act(anna.job, ben.home)


def test_what_one_deletes_the_other_keeps(anna, ben, made_once):
    key = made_once.keys["table"]
    app = open_as(ben.user)
    app.button(key=f"delete_{key[:12]}").click().run()
    assert not app.exception
    assert not Store(ben.home).has_study(key)
    assert Store(anna.home).has_study(key)


def test_a_job_that_one_starts_is_theirs(anna, ben, monkeypatch):
    monkeypatch.setattr(jobs, "ensure_supervisor", lambda home: None)
    app = open_as(ben.user)
    app.button(key="run").click().run()
    assert not app.exception
    assert [job.state for job in jobs.list_jobs(ben.home)] == ["queued", "failed"]
    assert [job.state for job in jobs.list_jobs(anna.home)] == ["failed"]
    assert jobs.list_jobs(ben.home.parents[1]) == []


def test_a_link_is_made_opened_and_taken_back(anna, ben, made_once):
    hers = open_as(anna.user, "server")
    hers.selectbox(key="_shared_study").set_value(made_once.keys["digits"]).run()
    hers.button(key="make_link").click().run()
    (one,) = shares_of(anna.home)
    assert one.study == made_once.keys["digits"]
    assert f"?share={one.token}" in hers.code[0].value
    his = open_as(ben.user, "explain", share=one.token)
    assert not his.exception
    assert "anna\\@example\\.org shows you this study" in texts(his)
    assert his.query_params["study"] == one.study
    hers.button(key=f"revoke_{one.token[:8]}").click().run()
    assert shares_of(anna.home) == []
    his.run()
    assert "There is no such link" in texts(his)
    assert "shows you" not in texts(his)
    his.button(key="leave_share").click().run()
    assert not his.exception
    assert his.query_params["study"] == made_once.keys["table"]


@pytest.mark.parametrize(
    ("here", "link"),
    [
        ("https://a.example/server", "https://a.example/?share=t"),
        ("https://a.example/p2/server", "https://a.example/?share=t"),
        ("https://a.example/ntkviz/p12/server?study=1", "https://a.example/ntkviz/?share=t"),
        ("http://127.0.0.1:8501/ntkviz/server", "http://127.0.0.1:8501/ntkviz/?share=t"),
        (None, "/?share=t"),
    ],
)
def test_a_link_leads_to_no_process_of_its_own(monkeypatch, here, link):
    monkeypatch.setattr(sharing.st, "context", SimpleNamespace(url=here))
    assert sharing.link_of("t") == link


def test_whoever_waits_is_told_of_their_own_jobs_alone(anna, ben, monkeypatch):
    monkeypatch.setattr(jobs, "ensure_supervisor", lambda home: None)
    spec = StudySpec(sample="mnist-mlp", kernel="ck", surrogate="ridge", n_train=50, n_test=10)
    for _ in range(3):
        new_job(anna.home, (spec,), ({},))
    waiting = new_job(ben.home, (spec,), ({},))
    app = open_as(ben.user, job=waiting.id)
    assert [bar.proto.text for bar in app.get("progress")] == ["Waits for its turn"]
    last = new_job(anna.home, (spec,), ({},))
    app = open_as(anna.user, job=last.id)
    assert [bar.proto.text for bar in app.get("progress")] == ["Waits for its turn: 3 of yours before it"]


@pytest.mark.parametrize("page", PAGES)
def test_a_shared_study_can_be_looked_at_and_not_changed(anna, ben, made_once, page):
    one = share(anna.home, made_once.keys["digits"])
    app = open_as(ben.user, page, share=one.token)
    assert not app.exception
    assert "There is no study" not in texts(app)
    keys = {button.key or "" for button in app.button}
    assert not {
        key for key in keys if key.startswith(("delete", "run", "stop", "forget", "make_link", "revoke", "check_upload", "start"))
    }
    assert not app.get("file_uploader")
    assert "secret" not in texts(app)
    assert len(Store(anna.home).list_studies()) == len(SPECS)


def test_the_list_of_studies_has_the_shared_one_alone(anna, ben, made_once):
    one = share(anna.home, made_once.keys["digits"])
    app = open_as(ben.user, share=one.token)
    assert [button.key for button in app.button if (button.key or "").startswith("open_")] == [f"open_{one.study[:12]}"]


def test_a_link_needs_somebody_who_is_signed_in(anna, made_once):
    one = share(anna.home, made_once.keys["digits"])
    app = open_as({}, "explain", share=one.token)
    assert "You are not signed in" in texts(app)
    assert "shows you" not in texts(app)


def test_a_link_leads_to_that_study_alone(anna, ben, made_once):
    one = share(anna.home, made_once.keys["digits"])
    for study in (made_once.keys["text"], made_once.keys["table"]):
        app = open_as(ben.user, "explain", share=one.token, study=study)
        assert app.query_params["study"] == one.study
    assert open_share(ben.home.parents[1], one.token).study == one.study


def test_a_token_that_has_run_out_signs_out(team, monkeypatch):
    monkeypatch.setenv("NTKVIZ_AUTH", "oidc")
    config.set_option("server.trustedUserHeaders", {})
    monkeypatch.setattr("ntkviz.ui.person.find_spec", lambda name: object())
    claims = {"is_logged_in": True, "iss": "https://id.example.org", "sub": "7", "name": "Anna", "exp": time.time() + 60}
    assert "Anna" in texts(open_as(claims, "server"))
    for broken in (
        {"exp": time.time() - 1},
        {"exp": None},
        {"exp": True},
        {"exp": "never"},
        {"sub": ""},
        {"iss": None},
        {"is_logged_in": False},
    ):
        app = open_as({**claims, **broken}, "server")
        assert [button.key for button in app.button] == ["sign_in"]
        assert "Anna" not in texts(app)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("server.address", "0.0.0.0", "let anybody write that header"),
        ("server.address", None, "all addresses of this machine"),
        ("server.allowedHosts", [], "must list the names"),
        ("server.trustedUserHeaders", {}, "needs to know the header"),
    ],
)
def test_a_server_that_is_not_safe_serves_nothing(anna, option, value, words):
    config.set_option(option, value)
    app = open_as(anna.user, "server")
    assert words in texts(app).replace("\\", "")
    assert not [element for kind in ("button", "metric", "subheader") for element in getattr(app, kind)]


def test_a_server_without_walls_around_uploads_serves_nothing(anna, monkeypatch):
    monkeypatch.setattr("ntkviz.models.sandbox_layers.active_layers", lambda: ("limits",))
    monkeypatch.delenv("NTKVIZ_ACCEPT_WEAK_SANDBOX", raising=False)
    monkeypatch.setenv("NTKVIZ_QUOTA_MB", "777")  # a configuration that was not checked before
    app = open_as(anna.user)
    assert "Install bubblewrap" in texts(app)
    assert not app.button


def test_a_class_brings_small_tables_and_has_small_limits(anna, monkeypatch):
    monkeypatch.setenv("NTKVIZ_MODE", "teaching")
    app = open_as(anna.user, "server")
    assert {metric.label: metric.value for metric in app.metric}["Mode"] == "teaching"
    limits = next(frame.value for frame in app.dataframe if "limit" in frame.value.columns).set_index("what")["limit"]
    assert limits["Training and test points of a study"] == "3,000"
    assert limits["Jobs of a person at a time"] == "3"
    assert "not come for 30 days" in texts(app)
