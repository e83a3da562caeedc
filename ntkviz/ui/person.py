"""Who is served, and from which folder.

Asked anew for everything that is read or written, so that no rerun, callback or fragment of one person ever works in another's folder.
"""

import re
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import streamlit as st

from ntkviz.errors import NtkvizError
from ntkviz.models.sandbox_layers import require_layers
from ntkviz.studies.errors import NotFound
from ntkviz.studies.people import Person, workspace
from ntkviz.studies.server import HEADER_KEY, Server, require_safe, server
from ntkviz.studies.sharing import Share, open_share
from ntkviz.studies.store import ask_for_home, root_home
from ntkviz.ui import state
from ntkviz.ui.text import escape

_OPTIONS = (
    "server.address",
    "server.enableXsrfProtection",
    "server.enableAgentApi",
    "server.allowedHosts",
    "server.trustedUserHeaders",
)


_PROCESS = re.compile(r"/p\d+$")


class NotSignedIn(NtkvizError):
    """Nobody is signed in, or not any more."""


def who() -> Person | None:
    """Who is signed in; ``None`` for nobody. On a person's own machine nobody has to be.

    Raises:
        NtkvizError: when the server's configuration is not possible.
    """
    # Without a script run (another thread) this is empty, and so is the answer.
    claims = st.user.to_dict()
    if server().auth == "header":
        named = claims.get(HEADER_KEY)
        return Person(named.strip(), named.strip()) if isinstance(named, str) and named.strip() else None
    if server().auth == "oidc" and claims.get("is_logged_in") is True:
        return _signed_in(claims)
    return None


def _signed_in(claims: dict) -> Person | None:
    """The person of an identity token, unless it has run out: Streamlit's cookie lasts longer than the token, and does not look."""
    issuer, subject, ends = claims.get("iss"), claims.get("sub"), claims.get("exp")
    if not (isinstance(issuer, str) and isinstance(subject, str) and issuer and subject):
        return None
    if isinstance(ends, bool) or not isinstance(ends, int | float) or ends <= time.time():
        return None
    name = next((str(claims[key]) for key in ("name", "email", "preferred_username") if claims.get(key)), "somebody")
    return Person(f"{issuer} {subject}", name)


def own_home() -> Path:
    """The folder of whoever is signed in; on a person's own machine the only one.

    Raises:
        NotSignedIn: when nobody is.
        NtkvizError: when the server's configuration is not possible, or the folder cannot be written.
    """
    if not server().has_people:
        return root_home()
    person = who()
    if person is None:
        raise NotSignedIn("You are not signed in, or not any more. Reload this page.")
    return workspace(root_home(), person)


def looking_at() -> Share | None:
    """The study of somebody else that the session was led to by a link; ``None`` in one's own folder.

    Raises:
        NotFound: when the link leads nowhere.
    """
    token = state.get("share") if server().has_people else None
    return open_share(root_home(), str(token)) if token else None


def home() -> Path:
    """The folder that pages read: one's own, or the study that one was led to. What :func:`ntkviz_home` answers in this process.

    Raises:
        NotSignedIn: when nobody is signed in.
        NotFound: when the session was led to a study by a link, and the link leads nowhere.
        NtkvizError: when the server's configuration is not possible, or the folder cannot be written.
    """
    own, shared = own_home(), looking_at()
    return own if shared is None else shared.home


def may_change() -> bool:
    """Whether the pages show one's own folder."""
    return looking_at() is None


ask_for_home(home)


@cache
def _require_ready(configured: Server, options: tuple[tuple[str, object], ...]) -> None:
    """Check once that this process may serve as it is configured.

    Raises:
        NtkvizError: when it may not.
    """
    require_safe(configured, {name: dict(value) if name.endswith("Headers") else value for name, value in options})  # type: ignore[call-overload]
    if configured.auth == "oidc" and find_spec("authlib") is None:
        raise NtkvizError("NTKVIZ_AUTH=oidc needs the package Authlib: pip install 'streamlit[auth]'.")
    require_layers(configured.mode)


def _options() -> tuple[tuple[str, object], ...]:
    """Streamlit's options as values that can be compared."""
    found = []
    for name in _OPTIONS:
        value = st.get_option(name)
        plain = tuple(sorted(value.items())) if isinstance(value, dict) else tuple(value) if isinstance(value, list) else value
        found.append((name, () if plain is None and name.endswith("Headers") else plain))
    return tuple(found)


def welcome_or_stop() -> None:
    """Let a person in, or say why not and end the run: nothing of ntkviz is drawn or read before this."""
    try:
        _require_ready(server(), _options())
        if not server().has_people:
            return
        if who() is None:
            _sign_in()
        own_home()
    except NtkvizError as error:
        st.title("ntkviz does not serve", anchor=False)
        st.error(escape(error, limit=1200), icon=":material/gpp_bad:")
        st.stop()
    try:
        shared = looking_at()
    except NotFound as error:
        st.title("No such link", anchor=False)
        st.warning(escape(error, limit=400), icon=":material/link_off:")
        st.button("My own studies", key="leave_share", type="primary", on_click=leave)
        st.stop()
    if shared is not None and state.get("study") != shared.study:
        state.forget("point", "job", "watched")
        state.put("study", shared.study)


def several() -> bool:
    """Whether this server knows several people."""
    return server().has_people


def without_process(path: str) -> str:
    """A path of this server without the segment that names one of several processes (/p1)."""
    return _PROCESS.sub("", path)


def leave() -> None:
    """Back from a shared study to one's own."""
    state.forget("share", "study", "point")


def _sign_in() -> None:
    """Say how to sign in, and end the run."""
    st.title("ntkviz", anchor=False)
    if server().auth == "oidc":
        st.write(
            "Sign in to work with your studies. What you bring and make is seen by nobody else, unless you give them a link to it."
        )
        st.button("Sign in", key="sign_in", type="primary", icon=":material/login:", on_click=st.login)
    else:
        st.error(
            "You are not signed in. Come in through the address that whoever runs this server gave you: it signs you in and says who you are.",
            icon=":material/lock:",
        )
    st.stop()


def in_sidebar() -> None:
    """Who is signed in, and how to leave."""
    person = who() if server().has_people else None
    if person is None:
        return
    st.caption(f":material/person: {escape(person.name, limit=80)}")
    if server().auth == "oidc":
        st.button("Sign out", key="sign_out", type="tertiary", icon=":material/logout:", on_click=st.logout)


def banner(shared: Share, owner: str) -> None:
    """Above every page of a study that somebody else shows."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="shared"):
        st.markdown(
            f":material/link: {escape(owner, limit=80)} shows you this study. It can be looked at and not changed.",
            width="stretch",
        )
        st.button("Leave", key="leave_share", icon=":material/logout:", on_click=leave)
