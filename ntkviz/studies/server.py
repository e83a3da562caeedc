"""How this server is run: for one person, a team or a class, who says who somebody is, and what each may take.

Said by the environment or by the TOML file that NTKVIZ_CONFIG names (the environment wins), never by a browser, and read once.
"""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from ntkviz.errors import NtkvizError
from ntkviz.models.limits import Mode

#: "oidc": people sign in through Streamlit's st.login; "header": a proxy signs them in and names them in a header.
Auth = Literal["none", "oidc", "header"]
CONFIG = "NTKVIZ_CONFIG"
#: The entry of Streamlit's st.user that the proxy's header has to fill.
HEADER_KEY = "email"
#: Entry -> its variable; the entry's own name is that in the file.
VARIABLES = {
    "mode": "NTKVIZ_MODE",
    "auth": "NTKVIZ_AUTH",
    "most_jobs": "NTKVIZ_MOST_JOBS",
    "most_points": "NTKVIZ_MOST_POINTS",
    "most_minutes": "NTKVIZ_MOST_MINUTES",
    "quota_mb": "NTKVIZ_QUOTA_MB",
    "expiry_days": "NTKVIZ_EXPIRY_DAYS",
}
_CHOICES = {"mode": get_args(Mode), "auth": get_args(Auth)}
_UNITS = {"most_jobs": "jobs", "most_points": "points", "most_minutes": "minutes", "quota_mb": "MB", "expiry_days": "days"}
#: Options of Streamlit that a server for others must have, and what each is for.
_REQUIRED = {
    "server.enableXsrfProtection": (True, "other sites could act in a person's name"),
    "server.enableAgentApi": (False, "it answers whoever reaches the port"),
}


@dataclass(frozen=True)
class Server:
    """The configuration; a limit that is ``None`` does not exist.

    Attributes:
        mode: "local" for one person's own machine; "team" and "teaching" for several people, each with a folder of their own.
        auth: who says who somebody is.
        most_jobs: of a person, waiting or running at a time.
        most_points: training and test points of a study together.
        most_minutes: that a job may take by its quote.
        quota_mb: that a person's folder may take on the disk.
        expiry_days: for which a person's folder is kept unused.
    """

    mode: Mode = "local"
    auth: Auth = "none"
    most_jobs: float | None = 20
    most_points: float | None = None
    most_minutes: float | None = None
    quota_mb: float | None = None
    expiry_days: float | None = None

    @property
    def has_people(self) -> bool:
        """Whether several people are served, each in a folder of their own."""
        return self.mode != "local"


_DEFAULTS = {
    "local": Server(),
    "team": Server(mode="team", most_jobs=10, most_minutes=240, quota_mb=20_000),
    "teaching": Server(mode="teaching", most_jobs=3, most_points=3_000, most_minutes=15, quota_mb=2_000, expiry_days=30),
}


def server() -> Server:
    """The configuration of this process, read when it is first asked for and again only when a variable changed.

    Raises:
        NtkvizError: when an entry is not possible.
    """
    return _read(tuple(os.environ.get(name, "").strip() for name in (CONFIG, *VARIABLES.values())))


@cache
def _read(said: tuple[str, ...]) -> Server:
    config, *values = said
    entries = _file(Path(config)) if config else {}
    names = {entry: f"{entry} in {config}" for entry in entries}
    for (entry, variable), value in zip(VARIABLES.items(), values, strict=True):
        if value:
            entries[entry], names[entry] = value, variable
    return make_server(entries, names)


def make_server(entries: Mapping[str, Any], names: Mapping[str, str] | None = None) -> Server:
    """A configuration from what was said; what was not is as the mode has it.

    Args:
        entries: some of :data:`VARIABLES`, as numbers or text; 0 lifts a limit.
        names: entry -> what to call it in a message.

    Raises:
        NtkvizError: when an entry is not possible, or a server for others has nobody who says who somebody is.
    """
    names = names or {}
    for entry, choices in _CHOICES.items():
        if entry in entries and entries[entry] not in choices:
            raise NtkvizError(
                f"{names.get(entry, entry)} is {str(entries[entry])[:40]!r}; expected one of {', '.join(choices)}. Correct it or remove it."
            )
    base = _DEFAULTS[entries.get("mode", "local")]
    auth: Auth = entries.get("auth", "none")
    if base.has_people and auth == "none":
        raise NtkvizError(
            f"The mode {base.mode} needs to know who somebody is: set NTKVIZ_AUTH to oidc (people sign in at your identity provider) or "
            "to header (your reverse proxy names them). docs/server.md shows both."
        )
    if not base.has_people and auth != "none":
        raise NtkvizError(
            f"The mode local knows one person; NTKVIZ_AUTH={auth} belongs to NTKVIZ_MODE=team or teaching. Set both or neither."
        )
    limits = {
        entry: _number(names.get(entry, entry), entries[entry], unit) if entry in entries else getattr(base, entry)
        for entry, unit in _UNITS.items()
    }
    return Server(base.mode, auth, **limits)


def require_safe(server: Server, options: Mapping[str, Any]) -> None:
    """Refuse to serve where strangers could come in, or somebody could pass for another.

    Args:
        server: the configuration.
        options: Streamlit's options by name. One that is missing is not looked at.

    Raises:
        NtkvizError: with what to change.
    """
    if "server.address" in options:
        _require_address(server, options["server.address"])
    if not server.has_people:
        return
    for name, (value, why) in _REQUIRED.items():
        if options.get(name, value) != value:
            raise NtkvizError(
                f"In the mode {server.mode} {name} must be {str(value).lower()}: otherwise {why}. Start from deploy/team.toml."
            )
    if "server.allowedHosts" in options and set(options["server.allowedHosts"] or ["*"]) & {"*"}:
        raise NtkvizError(
            f"In the mode {server.mode} server.allowedHosts must list the names under which people reach this server. Start from deploy/team.toml."
        )
    if "server.trustedUserHeaders" in options:
        _require_headers(server, options["server.trustedUserHeaders"] or {})


def _require_address(server: Server, address: str | None) -> None:
    """Check where the server listens.

    Raises:
        NtkvizError: when others could reach it who may not.
    """
    if is_loopback(address):
        return
    where = f"the address {address}" if address else "all addresses of this machine"
    if not server.has_people:
        raise NtkvizError(
            f"ntkviz would listen on {where}, where others can reach it, and serves one person only. Set server.address to 127.0.0.1, "
            "or set NTKVIZ_MODE=team with NTKVIZ_AUTH; see docs/server.md."
        )
    if server.auth == "header":
        raise NtkvizError(
            f"With NTKVIZ_AUTH=header ntkviz may listen on 127.0.0.1 only, where just your proxy reaches it; {where} would let anybody "
            "write that header. Set server.address to 127.0.0.1."
        )


def _require_headers(server: Server, headers: Mapping[str, str]) -> None:
    """Check that the header of the proxy, and no other one, says who somebody is.

    Raises:
        NtkvizError: when it does not.
    """
    if server.auth == "header" and HEADER_KEY not in headers.values():
        raise NtkvizError(
            f'NTKVIZ_AUTH=header needs to know the header: set server.trustedUserHeaders to {{"X-Auth-Email" = "{HEADER_KEY}"}}. '
            "Start from deploy/team.toml."
        )
    if server.auth == "oidc" and headers:
        raise NtkvizError("With NTKVIZ_AUTH=oidc a header must not say who somebody is. Remove server.trustedUserHeaders.")


def is_loopback(address: str | None) -> bool:
    """Whether only this machine reaches an address; no address means all of them."""
    if not address:
        return False
    if address == "localhost" or address.startswith("unix://"):
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def _file(path: Path) -> dict[str, Any]:
    """The entries of the file.

    Raises:
        NtkvizError: when it cannot be read, or has an entry that nobody knows.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NtkvizError(f"{CONFIG} names {path}, which cannot be read as TOML ({error}). Correct it or remove it.") from error
    unknown = sorted(set(entries) - set(VARIABLES))
    if unknown:
        raise NtkvizError(f"{path} has the entry {unknown[0][:40]!r}; expected {', '.join(VARIABLES)}. Correct it or remove it.")
    return entries


def _number(name: str, value: object, unit: str) -> float | None:
    """A limit; ``None`` for 0.

    Raises:
        NtkvizError: when it is no number of 0 or more.
    """
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise NtkvizError(
            f"{name} is {str(value)[:40]!r}; expected a number of {unit}, or 0 for no limit. Correct it or remove it."
        )
    return number or None
