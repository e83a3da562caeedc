"""The server's configuration: what it may say, and every bind and option that is refused."""

import pytest

from ntkviz.errors import NtkvizError
from ntkviz.studies.doctor import Finding, examine
from ntkviz.studies.server import CONFIG, VARIABLES, Server, is_loopback, make_server, require_safe, server
from ntkviz.studies.store import Store

#: Streamlit's options as deploy/team.toml sets them.
SAFE = {
    "server.address": "127.0.0.1",
    "server.enableXsrfProtection": True,
    "server.enableAgentApi": False,
    "server.allowedHosts": ["ntkviz.example.org"],
    "server.trustedUserHeaders": {"X-Auth-Email": "email"},
}
HEADER = make_server({"mode": "team", "auth": "header"})
OIDC = make_server({"mode": "teaching", "auth": "oidc"})


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    for name in (CONFIG, *VARIABLES.values()):
        monkeypatch.delenv(name, raising=False)


def test_nothing_said_is_one_person_on_their_own_machine():
    assert server() == Server()
    assert not server().has_people


def test_each_mode_has_its_limits(monkeypatch):
    monkeypatch.setenv("NTKVIZ_AUTH", "header")
    monkeypatch.setenv("NTKVIZ_MODE", "team")
    team = server()
    monkeypatch.setenv("NTKVIZ_MODE", " teaching ")
    teaching = server()
    assert (team.expiry_days, teaching.expiry_days) == (None, 30)
    for limit in ("most_jobs", "most_minutes", "quota_mb"):
        assert getattr(teaching, limit) < getattr(team, limit)
    assert team.most_points is None
    assert teaching.most_points == 3_000


def test_the_environment_wins_over_the_file_and_0_lifts_a_limit(tmp_path, monkeypatch):
    config = tmp_path / "ntkviz.toml"
    config.write_text('mode = "teaching"\nauth = "header"\nquota_mb = 500\nexpiry_days = 7\nmost_points = 0\n')
    monkeypatch.setenv(CONFIG, str(config))
    monkeypatch.setenv("NTKVIZ_EXPIRY_DAYS", "90")
    found = server()
    assert (found.mode, found.quota_mb, found.expiry_days, found.most_points, found.most_jobs) == ("teaching", 500, 90, None, 3)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"mode": "cloud"}, "mode is 'cloud'; expected one of local, team, teaching"),
        ({"mode": "team"}, "mode team needs to know who somebody is: set NTKVIZ_AUTH"),
        ({"mode": "teaching", "auth": "none"}, "mode teaching needs to know"),
        ({"mode": "team", "auth": "password"}, "auth is 'password'; expected one of none, oidc, header"),
        ({"auth": "header"}, "The mode local knows one person"),
        ({"quota_mb": "plenty"}, "quota_mb is 'plenty'; expected a number of MB"),
        ({"most_jobs": -1}, "most_jobs is '-1'; expected a number of jobs"),
        ({"most_points": True}, "most_points is 'True'"),
        ({"most_minutes": "inf"}, "expected a number of minutes"),
        ({"expiry_days": "nan"}, "expected a number of days"),
        ({"quota_mb": [1]}, "expected a number of MB"),
        ({"mode": ["team"]}, "expected one of local"),
    ],
)
def test_what_is_not_possible_is_refused(entries, words):
    with pytest.raises(NtkvizError, match=words):
        make_server(entries)


@pytest.mark.parametrize(
    ("text", "words"), [("mode = team", "cannot be read as TOML"), ("modus = 'team'", "has the entry 'modus'; expected mode")]
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path, monkeypatch, text, words):
    config = tmp_path / "ntkviz.toml"
    config.write_text(text)
    monkeypatch.setenv(CONFIG, str(config))
    with pytest.raises(NtkvizError, match=words):
        server()
    monkeypatch.setenv(CONFIG, str(tmp_path / "none.toml"))
    with pytest.raises(NtkvizError, match="cannot be read as TOML"):
        server()


def test_a_wrong_variable_is_named(monkeypatch):
    monkeypatch.setenv("NTKVIZ_MODE", "Team")
    with pytest.raises(NtkvizError, match="NTKVIZ_MODE is 'Team'"):
        server()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost", "unix:///run/ntkviz.sock"])
def test_addresses_that_only_this_machine_reaches(address):
    assert is_loopback(address)
    require_safe(Server(), {"server.address": address})


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "::", "192.168.1.2", "example.org", "127.0.0.1.example.org"])
def test_one_person_is_not_served_to_others(address):
    assert not is_loopback(address)
    with pytest.raises(NtkvizError, match="serves one person only"):
        require_safe(Server(), {"server.address": address})
    with pytest.raises(NtkvizError, match="would let anybody write that header"):
        require_safe(HEADER, {**SAFE, "server.address": address})
    require_safe(OIDC, {**SAFE, "server.address": address, "server.trustedUserHeaders": {}})


def test_the_doctor_says_whom_a_server_would_serve(tmp_path, monkeypatch):
    def found():
        return next(finding for finding in examine(Store(tmp_path)) if finding.name == "mode")

    monkeypatch.setattr("ntkviz.studies.doctor._torch", lambda: Finding("torch", True, "not looked at here"))
    monkeypatch.setattr("ntkviz.studies.doctor._gemm", lambda: Finding("matrix products", True, "nor this"))
    assert found().ok
    assert found().found.startswith("local: one person; NTKVIZ_MOST_JOBS=20")
    monkeypatch.setenv("NTKVIZ_MODE", "teaching")
    assert not found().ok
    assert "needs to know who somebody is" in found().found
    monkeypatch.setenv("NTKVIZ_AUTH", "oidc")
    monkeypatch.setattr("ntkviz.models.sandbox_layers.active_layers", lambda: ("limits",))
    monkeypatch.delenv("NTKVIZ_ACCEPT_WEAK_SANDBOX", raising=False)
    assert "Install bubblewrap" in found().found


def test_what_the_deployment_sets_is_accepted():
    require_safe(HEADER, SAFE)
    require_safe(HEADER, {})


@pytest.mark.parametrize(
    ("configured", "options", "words"),
    [
        (HEADER, {"server.enableXsrfProtection": False}, "server.enableXsrfProtection must be true"),
        (HEADER, {"server.enableAgentApi": True}, "server.enableAgentApi must be false"),
        (HEADER, {"server.allowedHosts": []}, "server.allowedHosts must list"),
        (HEADER, {"server.allowedHosts": ["a.example", "*"]}, "server.allowedHosts must list"),
        (HEADER, {"server.trustedUserHeaders": None}, "set server.trustedUserHeaders"),
        (HEADER, {"server.trustedUserHeaders": {"X-Auth-Name": "name"}}, "set server.trustedUserHeaders"),
        (OIDC, {}, "a header must not say who somebody is"),
    ],
)
def test_options_that_let_strangers_in_are_refused(configured, options, words):
    with pytest.raises(NtkvizError, match=words):
        require_safe(configured, {**SAFE, **options})
