"""Where several people are served: who one is, how long one's folder is kept, and the links by which one shows studies to others."""

from functools import partial
from urllib.parse import urlsplit

import streamlit as st

from ntkviz.errors import NtkvizError
from ntkviz.studies.server import server
from ntkviz.studies.sharing import Share, revoke, share, shares_of
from ntkviz.studies.store import StudyEntry
from ntkviz.ui import layout, person, state
from ntkviz.ui.gates import finished
from ntkviz.ui.text import ago, escape


def show_people() -> None:
    """Draw nothing on a person's own machine.

    Raises:
        NtkvizError: when the person's folder cannot be read.
    """
    me = person.who() if server().has_people else None
    if me is None:
        return
    st.subheader("You and others", anchor="people")
    days = server().expiry_days
    kept = f" It is deleted when you have not come for {days:,.0f} days." if days is not None else ""
    st.markdown(
        f"You are {escape(me.name, limit=80)}. Your studies, jobs and uploads lie in a folder of your own, which pages show to nobody else. "
        f"Whoever runs this server can read it.{kept}"
    )
    entries = finished()
    _offer(entries)
    titles = {entry.key: _title(entry) for entry in entries}
    for one in shares_of(person.own_home()):
        _link(one, titles.get(one.study, one.study[:8]))


def _offer(entries: list[StudyEntry]) -> None:
    """Make a link to one of one's studies."""
    if not entries:
        return
    titles = {entry.key: _title(entry) for entry in entries}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Show a study to others", list(titles), format_func=lambda key: titles[key], key="_shared_study")
        st.button("Make a link", key="make_link", icon=":material/add_link:", on_click=partial(_share, chosen))
    st.caption(
        "Whoever signs in here and has the link can look at that study, its data and what was retrained of it, and nothing else of yours. It ends when you "
        "take it back or delete the study."
    )


def _link(one: Share, title: str) -> None:
    what, address, gone = st.columns([3, 5, 1.2], vertical_alignment="center")
    what.markdown(escape(title, limit=90))
    what.caption(ago(one.created))
    address.code(link_of(one.token), language=None)
    gone.button("Take back", key=f"revoke_{one.token[:8]}", on_click=partial(_revoke, one.token))


def link_of(token: str) -> str:
    """The address that opens a shared study.

    Without the segment that names one of several processes (/p1/): a class that follows one link is to be spread over all of them.
    """
    here = urlsplit(st.context.url or "")
    above = person.without_process(here.path.rpartition("/")[0])
    place = f"{here.scheme}://{here.netloc}{above}/" if here.netloc else "/"
    return f"{place}?share={token}"


def _share(key: str) -> None:
    try:
        share(person.own_home(), key)
    except NtkvizError as error:
        state.put("flash", escape(error))


def _revoke(token: str) -> None:
    try:
        revoke(person.own_home(), token)
    except NtkvizError as error:
        state.put("flash", escape(error))
    else:
        state.put("flash", "The link leads nowhere now.")


def _title(entry: StudyEntry) -> str:
    return f"{entry.summary['subject']} · {layout.title_of(entry)}"
