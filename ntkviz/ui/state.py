"""What a session remembers: values by name (:data:`KEYS`), some of them in the address (:mod:`ntkviz.ui.address`) so that a link restores them.

A widget's own value dies when the widget is not drawn, so each widget has the key ``_name`` and is copied to ``name``.
Big arrays are never kept here: they are in the store, by the study's key.
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from ntkviz.ui import long_ids
from ntkviz.ui.address import ID_LISTS, Entry, entries
from ntkviz.ui.keys import KEYS

__all__ = ["KEYS", "forget", "get", "put", "sticky", "sync_address", "tabs"]

#: Choices side by side: in a narrow window they go on below, where they would be cut off.
_ROWS = (st.pills, st.segmented_control)
_SEEN, _PAGE = "_address_seen", "_address_page"


def get(name: str, default: Any = None) -> Any:
    """The value of a name, ``default`` when there is none.

    Raises:
        KeyError: when the name is not in :data:`KEYS`.
    """
    _require(name)
    return st.session_state.get(name, default)


def put(name: str, value: Any) -> None:
    """Remember a value; ``None`` forgets it. What stands in this page's address is written there as well.

    Raises:
        KeyError: when the name is not in :data:`KEYS`.
    """
    _require(name)
    if value is None:
        st.session_state.pop(name, None)
    else:
        st.session_state[name] = value
    entry = entries(st.session_state.get(_PAGE, "")).get(name)
    if entry is not None:
        _write(name, entry, value)


def forget(*names: str) -> None:
    """Forget the values of some names.

    Raises:
        KeyError: when a name is not in :data:`KEYS`.
    """
    for name in names:
        put(name, None)


def sticky(widget: Callable[..., Any], label: str, *args: Any, key: str, default: Any, **kw: Any) -> Any:
    """Draw ``widget`` so that its value survives leaving the page.

    Args:
        widget: such as ``st.slider``; not a button, an uploader or a chart.
        label: its label.
        *args: passed on.
        key: a name of :data:`KEYS`; the widget's own key is that with ``_`` before it.
        default: the value while nobody chose one. It need not be constant: it counts as long as nothing was chosen.
        **kw: passed on. With ``options`` a remembered value that is no option any more gives way to the default; with
            ``min_value`` and ``max_value`` a number is brought back between them. ``on_change`` runs after the copy.

    Returns:
        What the widget returns.

    Raises:
        KeyError: when the name is not in :data:`KEYS`.
    """
    after = kw.pop("on_change", None)
    st.session_state["_" + key] = _possible(get(key, default), default, kw)

    def copy() -> None:
        put(key, st.session_state["_" + key])
        if after is not None:
            after()

    if widget in _ROWS:
        kw.setdefault("wrap", True)
    return widget(label, *args, key="_" + key, on_change=copy, **kw)


def tabs(labels: Sequence[str], *, key: str) -> Sequence[Any]:
    """Tabs of which the open one is remembered, and alone is drawn.

    Args:
        labels: of the tabs.
        key: a name of :data:`KEYS`.

    Returns:
        The containers; draw into those that are ``open``.
    """
    st.session_state["_" + key] = _possible(get(key), labels[0], {"options": labels})
    return st.tabs(labels, key="_" + key, on_change=lambda: put(key, st.session_state["_" + key]))


def sync_address(page: str = "") -> None:
    """Bring address and memory together; the app calls it at the start of every run.

    A value in the address that this session did not write there itself (a link, the browser's back button) wins. What the
    address lacks (Streamlit clears it when the page changes) is written into it.

    Args:
        page: address of the page that is drawn; its options stand there besides what all pages have.
    """
    st.session_state[_PAGE] = page
    seen = st.session_state.setdefault(_SEEN, {})
    for name, entry in entries(page).items():
        there = st.query_params.get(name)
        if there is not None and there != seen.get(name):
            value = long_ids.restored(name, there) if there.startswith(long_ids.MARK) else _parsed(entry, there)
            if value is None:
                del st.query_params[name]
            else:
                st.session_state[name] = value
                seen[name] = there
        if name in st.session_state:
            _write(name, entry, st.session_state[name])


def _write(name: str, entry: Entry, value: Any) -> None:
    seen = st.session_state.setdefault(_SEEN, {})
    text = long_ids.text_of(name, value) if name in ID_LISTS else "" if value is None else entry.text(value)
    if not text:
        seen.pop(name, None)
        st.query_params.pop(name, None)
        return
    seen[name] = text
    if st.query_params.get(name) != text:
        st.query_params[name] = text


def _parsed(entry: Entry, text: str) -> object:
    try:
        return entry.parse(text)
    except (KeyError, ValueError, RecursionError):  # the last by brackets within brackets
        return None


def _possible(value: Any, default: Any, kw: dict[str, Any]) -> Any:
    """The value as the widget can take it: Streamlit raises on a state that is none of its options."""
    if "options" in kw:
        options = list(kw["options"])
        if isinstance(value, list | tuple) and value not in options:
            kept = [entry for entry in value if entry in options]
            return kept if kept or not value else default
        return value if value in options else default
    low, high = kw.get("min_value"), kw.get("max_value")
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = max(value, low) if low is not None else value
        value = min(value, high) if high is not None else value
    return value


def _require(name: str) -> None:
    if name not in KEYS:
        raise KeyError(f"{name!r} is no name of the pages' memory; it has: {', '.join(KEYS)}. Add it to ntkviz/ui/keys.py.")
