"""The files of deploy/ as far as a machine without these servers can check them."""

import base64
import hashlib
import re
import tomllib
from pathlib import Path

import pytest
import streamlit
from streamlit import config

from ntkviz.cli import _parser
from ntkviz.studies.server import CONFIG, HEADER_KEY, VARIABLES, make_server, require_safe

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
HEADERS = {
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Permissions-Policy",
    "Strict-Transport-Security",
}


def flat(path: Path) -> dict[str, object]:
    """The options of a file of Streamlit's by their dotted names."""
    found: dict[str, object] = {}

    def walk(prefix: str, entries: dict) -> None:
        for name, value in entries.items():
            dotted = f"{prefix}.{name}" if prefix else name
            if isinstance(value, dict) and dotted != "server.trustedUserHeaders":
                walk(dotted, value)
            else:
                found[dotted] = value

    walk("", tomllib.loads(path.read_text()))
    return found


TEAM, LOCAL = flat(DEPLOY / "team.toml"), flat(ROOT / ".streamlit" / "config.toml")
NGINX = (DEPLOY / "nginx.conf").read_text()
UNITS = sorted(DEPLOY.glob("*.service"))


@pytest.mark.parametrize("name", sorted({*TEAM, *LOCAL}))
def test_every_option_is_one_of_streamlits(name):
    option = config._config_options_template[name]
    assert not option.deprecated


def test_the_teams_options_are_safe_and_a_laptops_would_not_be():
    team = make_server({"mode": "team", "auth": "header"})
    require_safe(team, TEAM)
    with pytest.raises(Exception, match="needs to know the header"):
        require_safe(team, {"server.trustedUserHeaders": {}, **LOCAL})
    require_safe(make_server({}), LOCAL)
    assert TEAM["client.showErrorDetails"] == "none"
    assert "*" not in TEAM["server.corsAllowedOrigins"]
    assert not TEAM["browser.gatherUsageStats"]


def test_both_look_the_same():
    def theme(options):
        return {name: value for name, value in options.items() if name.startswith(("theme.", "runner."))}

    assert theme(TEAM) == theme(LOCAL) != {}


def blocks(text: str) -> dict[str, list[str]]:
    """The parts of an nginx file: head of each block -> its own directives.

    A parser of its own, since nginx is not here: words, quoted strings, semicolons and braces, as nginx reads them.
    """
    text = re.sub(r"(?m)^\s*#.*$", "", text)
    found: dict[str, list[str]] = {"": []}
    stack, words = [""], []
    for token in re.findall(r'"[^"]*"|\'[^\']*\'|[{};]|[^\s{};]+', text):
        if token == "{":
            stack.append(f"{stack[-1]} / {' '.join(words)}")
            found.setdefault(stack[-1], [])
            words = []
        elif token == "}":
            assert not words, f"{words} ends without a semicolon"
            stack.pop()
            assert stack, "a brace too many"
        elif token == ";":
            assert words, "an empty directive"
            found[stack[-1]].append(" ".join(words))
            words = []
        else:
            words.append(token)
    assert stack == [""], "a brace is not closed"
    assert not words
    return found


def test_the_proxy_signs_in_whoever_reaches_the_app_and_writes_the_header_itself():
    found = blocks(NGINX)
    app = next(lines for head, lines in found.items() if head.endswith("/ location /"))
    (header,) = [name for name, key in TEAM["server.trustedUserHeaders"].items() if key == HEADER_KEY]
    assert f"proxy_set_header {header} $signed_in" in app
    assert "auth_request /oauth2/auth" in app
    assert "auth_request_set $signed_in $upstream_http_x_auth_request_email" in app
    assert {"proxy_set_header Upgrade $http_upgrade", "proxy_http_version 1.1"} <= set(app)
    assert [head for head, lines in found.items() if "proxy_pass http://ntkviz" in lines] == [
        head for head in found if head.endswith("/ location /")
    ], "another location leads to the app without signing in"
    refused = next(head for head, lines in found.items() if lines == ["return 404"])
    pattern = re.compile(refused.partition("location ~ ")[2])
    for path in ("/_stcore/metrics", "/_stcore/agent/mcp", "/p1/_stcore/metrics", "/_stcore/script-health-check"):
        assert pattern.search(path)
    assert not pattern.search("/_stcore/stream")
    assert not pattern.search("/_stcore/host-config")


def test_the_proxy_sets_every_header_and_no_location_drops_them():
    found = blocks(NGINX)
    server = next(lines for head, lines in found.items() if head.endswith("/ server") and any("ssl" in line for line in lines))
    assert {line.split()[1] for line in server if line.startswith("add_header")} == HEADERS
    assert all(line.endswith(" always") for line in server if line.startswith("add_header"))
    # nginx drops the outer headers where an inner block has one of its own.
    assert not [head for head, lines in found.items() if "location" in head and any("add_header" in line for line in lines)]
    assert int(re.search(r"client_max_body_size (\d+)m", NGINX)[1]) >= TEAM["server.maxUploadSize"]


def policy() -> str:
    return re.search(r'Content-Security-Policy "([^"]+)"', NGINX)[1]


def test_the_policy_knows_streamlits_inline_script():
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text()
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert scripts
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy()
    assert "'unsafe-inline'" not in policy().partition("script-src")[2].partition(";")[0]
    assert "frame-ancestors 'none'" in policy()


@pytest.mark.parametrize(
    "broken", [NGINX + "}", NGINX + "server {", NGINX + "listen 1", NGINX + ";", NGINX.replace("buffering off;", "buffering off")]
)
def test_a_broken_proxy_file_would_be_seen(broken):
    with pytest.raises((AssertionError, IndexError)):
        blocks(broken)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_is_confined_and_starts_a_command_that_is_there(unit):
    entries: dict[str, str] = {}
    for line in unit.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, found, value = line.partition("=")
            assert found, line
            assert name not in entries, name
            entries[name] = value
    assert entries["User"] not in {"", "root"}
    assert entries["ProtectSystem"] == "strict"
    for hardening in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "RestrictSUIDSGID", "LockPersonality"):
        assert entries[hardening] == "yes"
    words = entries["ExecStart"].split()
    options = _parser().parse_args(words[words.index("ntkviz") + 1 :])
    assert callable(options.command)
    assert entries["StateDirectory"] == "ntkviz"


def test_the_units_share_one_environment_that_is_possible():
    said = dict(
        line.split("=", 1) for line in (DEPLOY / "ntkviz.env").read_text().splitlines() if line and not line.startswith("#")
    )
    assert said["NTKVIZ_HOME"] == "/var/lib/ntkviz"
    assert make_server({entry: said[name] for entry, name in VARIABLES.items() if name in said}).auth == "header"
    used = {*VARIABLES.values(), CONFIG, "NTKVIZ_HOME", "NTKVIZ_MEMORY_MB", "NTKVIZ_WORKERS", "OMP_NUM_THREADS"}
    assert set(said) <= used
    for unit in UNITS:
        assert "EnvironmentFile=/etc/ntkviz/ntkviz.env" in unit.read_text()


def test_the_container_is_made_of_files_that_are_there_and_runs_as_nobody():
    text = re.sub(r"(?m)^#.*$", "", (DEPLOY / "Containerfile").read_text()).replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line.strip()]
    assert lines[0][0] == "FROM"
    assert {line[0] for line in lines} <= {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "VOLUME", "HEALTHCHECK", "CMD"}
    for _copy, *sources, _target in (line for line in lines if line[0] == "COPY"):
        for source in sources:
            assert (ROOT / source).exists(), source
    assert next(line[1] for line in reversed(lines) if line[0] == "USER") == "ntkviz"
    command = [word.strip('[],"') for word in lines[-1][1:]]
    assert _parser().parse_args(command[command.index("ntkviz") + 1 :]).host == "127.0.0.1"
