"""A server that strangers could reach does not start."""

import pytest

from ntkviz.cli import main
from ntkviz.errors import NtkvizError
from ntkviz.serving import serve as serving
from ntkviz.serving.serve import serve


@pytest.fixture(autouse=True)
def _would_start(monkeypatch):
    """What is not refused gets as far as this."""

    def reached(*_):
        raise RuntimeError("it would listen")

    monkeypatch.setattr(serving, "_require_free", reached)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2"])
@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "serves one person only"),
        ({"NTKVIZ_MODE": "team"}, "needs to know who somebody is"),
        ({"NTKVIZ_MODE": "teaching", "NTKVIZ_AUTH": "header"}, "would let anybody write that header"),
    ],
)
def test_where_others_reach_it_and_nobody_signs_in(monkeypatch, capsys, host, said, words):
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NtkvizError, match=words):
        serve(host=host)
    assert main(["serve", "--host", host]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("127.0.0.1", {}),
        ("127.0.0.1", {"NTKVIZ_MODE": "team", "NTKVIZ_AUTH": "header"}),
        ("0.0.0.0", {"NTKVIZ_MODE": "team", "NTKVIZ_AUTH": "oidc"}),
    ],
)
def test_what_is_safe_goes_on(monkeypatch, host, said):
    monkeypatch.setattr(serving, "require_layers", lambda mode: None)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match="it would listen"):
        serve(host=host)


def test_without_walls_around_uploads_a_team_is_not_served(monkeypatch):
    monkeypatch.setenv("NTKVIZ_MODE", "team")
    monkeypatch.setenv("NTKVIZ_AUTH", "header")
    monkeypatch.delenv("NTKVIZ_ACCEPT_WEAK_SANDBOX", raising=False)
    monkeypatch.setattr("ntkviz.models.sandbox_layers.active_layers", lambda: ("limits",))
    with pytest.raises(NtkvizError, match="Install bubblewrap"):
        serve()
