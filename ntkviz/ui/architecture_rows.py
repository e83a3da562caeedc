"""The registry of architectures for a form. The registry imports torch, so a child process reads it out."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from ntkviz.models.sandbox import run_limited

_SECONDS, _MEMORY_MB = 60, 4000


@dataclass(frozen=True)
class OptionRow:
    """An option of an architecture, as :class:`ntkviz.models.architectures.options.OptionInfo`."""

    type: str
    default: Any
    help: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    max_items: int | None


@dataclass(frozen=True)
class ArchitectureRow:
    """An architecture that a specification may name.

    Attributes:
        key: its name in a specification.
        title: for the picker.
        summary: one sentence.
        kinds: the data that it reads.
        source: paper.
        options: name -> option.
    """

    key: str
    title: str
    summary: str
    kinds: tuple[str, ...]
    source: str
    options: dict[str, OptionRow]


@st.cache_resource(show_spinner="Asking torch for its architectures …")
def architecture_rows() -> dict[str, ArchitectureRow]:
    """The architectures by key, read once in the life of the server.

    Raises:
        NtkvizError: when the child process cannot be started or fails.
    """
    found = run_limited(
        ["ntkviz.ui.architecture_child"], seconds=_SECONDS, memory_mb=_MEMORY_MB, what="The list of architectures"
    )
    rows = {}
    for key, row in found.value.items():
        options = {name: OptionRow(**{**option, "choices": tuple(option["choices"])}) for name, option in row["options"].items()}
        rows[key] = ArchitectureRow(key, row["title"], row["summary"], tuple(row["kinds"]), row["source"], options)
    return rows
