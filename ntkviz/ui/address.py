"""What stands in the address, so that a link restores it: the study and the selection on every page, a page's own options on that page alone."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntkviz.explain.what_if import Edit

#: Characters that one value may take. Ids that take more stand in the address by a hash, and lie in the person's folder; other values do not stand there.
LONGEST = 1500
#: Digits of a study's key that name it in a list in the address.
SHORT_KEY = 12
#: Copies of a training point that an edit in the address may add.
_MOST_COPIES = 1000
_EDITS = {"remove": "r", "relabel": "l", "duplicate": "d"}


def address_text(value: object) -> str:
    """A value, or a list of ids, as it stands in the address; empty when it does not: nothing was chosen, or it is too long."""
    text = ".".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
    return text if len(text) <= LONGEST else ""


@dataclass(frozen=True)
class Entry:
    """How a value is read from the address, and written there.

    Attributes:
        parse: text -> value; raises ValueError or KeyError for what is none.
        text: value -> text; empty for what does not stand in the address.
    """

    parse: Callable[[str], object]
    text: Callable[[object], str] = address_text


def _text(value: str) -> str:
    return value[:128]


def _ids(value: str) -> list[int]:
    found = [int(word) for word in value.split(".")] if len(value) <= LONGEST else []
    if not found or not all(0 <= one < 2**31 for one in found):
        raise ValueError(f"Expected ids with dots between them, at most {LONGEST} characters; got {value[:40]!r}.")
    return found


def _keys(value: str) -> list[str]:
    found = value.split(".") if len(value) <= 20 * SHORT_KEY else []
    if not found or not all(len(one) == SHORT_KEY and set(one) <= set("0123456789abcdef") for one in found):
        raise ValueError(f"Expected beginnings of keys with dots between them; got {value[:40]!r}.")
    return found


def _packed(value: str) -> str:
    if len(value) > LONGEST or not value.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"Expected letters, digits, - and _, at most {LONGEST} characters; got {value[:40]!r}.")
    return value


def _flag(value: str) -> bool:
    return {"True": True, "False": False}[value]


def _number(value: str) -> float:
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"Expected a finite number; got {value[:40]!r}.")
    return found


def _range(value: str) -> tuple[float, ...]:
    low, high = map(_number, value.split("to"))
    return min(low, high), max(low, high)


def _names(value: str) -> list[str]:
    found = json.loads(value) if len(value) <= LONGEST else None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"Expected a JSON list of words; got {value[:40]!r}.")
    return found


def _names_text(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= LONGEST else ""


def _edits(value: str) -> dict[str, "tuple[Edit, ...]"]:
    """``KEY:r12.l40-3.d7-2`` is: remove 12, relabel 40 as class 3, add two copies of 7; several studies with ``_`` between them."""
    found = {}
    for part in value[:LONGEST].split("_"):
        key, _, words = part.partition(":")
        found[_keys(key)[0]] = tuple(_edit(word) for word in words.split("."))
    return found


def _edit(word: str) -> "Edit":
    from ntkviz.explain.what_if import Edit  # the surrogates behind it take a second to import, and few addresses have edits

    kind = {letter: kind for kind, letter in _EDITS.items()}[word[:1]]
    index, _, number = word[1:].partition("-")
    label, times = int(number) if kind == "relabel" else -1, int(number) if kind == "duplicate" else 1
    if not 1 <= times <= _MOST_COPIES:
        raise ValueError(f"Expected 1 to {_MOST_COPIES} copies; got {number[:40]!r}.")
    return Edit(kind, int(index), label=label, times=times)  # type: ignore[arg-type]


def _edits_text(value: object) -> str:
    assert isinstance(value, dict)
    number = {"remove": lambda edit: "", "relabel": lambda edit: f"-{edit.label}", "duplicate": lambda edit: f"-{edit.times}"}
    parts = [
        f"{key[:SHORT_KEY]}:{'.'.join(f'{_EDITS[edit.kind]}{edit.index}{number[edit.kind](edit)}' for edit in made)}"
        for key, made in value.items()
        if made
    ]
    text = "_".join(parts)
    return text if len(text) <= LONGEST else ""


_WORD, _INTEGER, _NUMBER, _NAMES = Entry(_text), Entry(int), Entry(_number), Entry(_names, _names_text)
_IDS, _STUDIES = Entry(_ids), Entry(_keys)

#: On all pages.
EVERYWHERE: dict[str, Entry] = {
    "study": _WORD,
    "point": _INTEGER,
    "example": _INTEGER,
    "test_set": _IDS,
    "train_set": _IDS,
    "job": _WORD,
    "share": _WORD,
    "fp": _WORD,
    "spec": Entry(_packed),
}
_SHARED = {"top": _INTEGER}
#: Address of a page -> the options that stand there as well.
OF_PAGE: dict[str, dict[str, Entry]] = {
    "kernels": {
        "kernels_shown": _STUDIES,
        "kernel_form": _WORD,
        "similarity_kernel": _WORD,
        "pair_first": _INTEGER,
        "pair_second": _INTEGER,
    },
    "compare": {
        "compare": _STUDIES,
        "compare_tab": _WORD,
        "compare_measure": _WORD,
        "compare_cost": _WORD,
        "compare_method": _WORD,
        "compare_k": _INTEGER,
    },
    "explain": {
        "explain_class": _INTEGER,
        "explain_against": _INTEGER,
        "explain_tab": _WORD,
        "shown": _WORD,
        "shown_class": _INTEGER,
        "order": _WORD,
        "layers_of": _WORD,
        "asked_studies": _STUDIES,
        "asked_kind": _WORD,
        **_SHARED,
    },
    "what_if": {"edits": Entry(_edits, _edits_text)},
    "behaviour": {"behaviour_kind": _WORD, "behaviour_cell": _WORD, "behaviour_group": _WORD, **_SHARED},
    "map": {
        "map_method": _NAMES,
        "map_colour": _WORD,
        "map_size": _INTEGER,
        "map_seed": _INTEGER,
        "map_edges": _INTEGER,
        "map_test": Entry(_flag),
        "map_filter": _WORD,
        "map_states": _NAMES,
        "map_range_of": _WORD,
        "map_range": Entry(_range, lambda value: "to".join(map(repr, value)) if isinstance(value, list | tuple) else ""),
    },
    "audit": {
        "audit_tab": _WORD,
        "audit_method": _WORD,
        "audit_shown": _INTEGER,
        "audit_suspects": _WORD,
        "audit_cell": _WORD,
        "audit_class": _INTEGER,
        "audit_threshold": _NUMBER,
        "audit_prototypes": _INTEGER,
    },
    "learn": {"docs_page": _WORD},
}
#: Lists of ids; one that is too long stands in the address by its hash, see :mod:`ntkviz.ui.long_ids`.
ID_LISTS = frozenset(name for name, entry in EVERYWHERE.items() if entry is _IDS)


def entries(page: str) -> dict[str, Entry]:
    """All that stands in the address of a page, by name."""
    return EVERYWHERE | OF_PAGE.get(page, {})
