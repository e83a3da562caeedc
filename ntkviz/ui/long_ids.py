"""Lists of ids that are too long for the address: it carries their hash, and the ids lie in the person's folder."""

from typing import Any

import streamlit as st

from ntkviz.errors import NtkvizError
from ntkviz.studies.errors import NotFound
from ntkviz.studies.kept import find, keep
from ntkviz.studies.store import ntkviz_home
from ntkviz.ui.address import ID_LISTS, address_text

#: What such a hash begins with in the address.
MARK = "~"
_TEXTS = "_address_texts"


def text_of(name: str, value: Any) -> str:
    """A value as it stands in the address. Written out once for each list: a page asks at every rerun, and a lasso may hold a million ids.

    Args:
        name: one of :data:`ntkviz.ui.address.ID_LISTS`.
        value: its ids.
    """
    if not isinstance(value, list | tuple):
        return address_text(value)
    known = st.session_state.setdefault(_TEXTS, {})
    same = known.get(name)
    if same is None or same[0] is not value or same[1] != len(value):
        known[name] = (value, len(value), address_text(value) or _kept(value))
    return known[name][2]


def restored(name: str, text: str) -> list[int] | None:
    """The ids of a hash from the address; None, and a sentence for the page, when they are not here."""
    if name not in ID_LISTS:
        return None
    try:
        return find(ntkviz_home(), text.removeprefix(MARK))
    except NotFound as error:
        st.session_state["flash"] = str(error.args[0])
    except NtkvizError as error:
        st.session_state["flash"] = str(error)
    return None


def _kept(value: list[int] | tuple[int, ...]) -> str:
    """A hash of the ids; empty when they cannot be kept: then the session alone remembers them."""
    if not value:
        return ""
    try:
        return MARK + keep(ntkviz_home(), value)
    except (NtkvizError, ValueError):
        return ""
