"""What a session remembers: values by name (:data:`KEYS`), some of them in the address so that a link restores them.

A widget's own value dies when the widget is not drawn, so each widget has the key ``_name`` and is copied to ``name``.
Big arrays are never kept here: they are in the store, by the study's key.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

from ntkviz.ui import long_ids
from ntkviz.ui.keys import ADDRESS, KEYS

__all__ = ["KEYS", "forget", "get", "put", "sticky", "sync_address"]

_SEEN = "_address_seen"


def get(name: str, default: Any = None) -> Any:
    """The value of a name, ``default`` when there is none.

    Raises:
        KeyError: when the name is not in :data:`KEYS`.
    """
    _require(name)
    return st.session_state.get(name, default)


def put(name: str, value: Any) -> None:
    """Remember a value; ``None`` forgets it. A name of :data:`ADDRESS` is written into the address as well.

    Raises:
        KeyError: when the name is not in :data:`KEYS`.
    """
    _require(name)
    if value is None:
        st.session_state.pop(name, None)
    else:
        st.session_state[name] = value
    if name in ADDRESS:
        _write(name, value)


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

    return widget(label, *args, key="_" + key, on_change=copy, **kw)


def sync_address() -> None:
    """Bring address and memory together; the app calls it at the start of every run.

    A value in the address that this session did not write there itself (a link, the browser's back button) wins. What the
    address lacks (Streamlit clears it when the page changes) is written into it.
    """
    seen = st.session_state.setdefault(_SEEN, {})
    for name, parse in ADDRESS.items():
        there = st.query_params.get(name)
        if there is not None and there != seen.get(name):
            value = long_ids.restored(name, there) if there.startswith(long_ids.MARK) else _parsed(parse, there)
            if value is None:
                del st.query_params[name]
            else:
                st.session_state[name] = value
                seen[name] = there
        if name in st.session_state:
            _write(name, st.session_state[name])


def _write(name: str, value: Any) -> None:
    seen = st.session_state.setdefault(_SEEN, {})
    text = long_ids.text_of(name, value)
    if not text:
        seen.pop(name, None)
        st.query_params.pop(name, None)
        return
    seen[name] = text
    if st.query_params.get(name) != text:
        st.query_params[name] = text


def _parsed(parse: Callable[[str], object], text: str) -> object:
    try:
        return parse(text)
    except ValueError:
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
