"""File names that want to be a path, a command, an option, a tag, or not to be seen; the contents are sound or nonsense."""

import torch

from tests.hostile.case import Case, content
from tests.models.hostile import network, saved

_TABLE = "a,b,label\n" + "1,2,x\n3,4,y\n" * 6


def _sound() -> bytes:
    return saved(network().state_dict())


def _other() -> bytes:
    return saved({"elsewhere": torch.zeros(3)})


_NAMES = (
    "a\nb", "tab\there", "\x1b[31mred", "bell\x07", "\u202egnp", "\u2066x\u2069", "zero\u200bwidth", "<img src=x onerror=window.PWN=1>",
    "![p](http:outside.example)", "[a](javascript:alert(1))", "-rf", "--help", "; touch x", "$(touch x)", "`touch x`", "|cat", "%s%n",
    "{0.__class__}", "con", "nul", "..", "...", " ", "~", "*", "x" * 200, "e\u0301", "\U0001f4a3", "'\"", "\\..\\..\\x", "=1+1",
)  # fmt: skip

CASES = (
    *(Case(f"{name}.csv", content(_TABLE), "Expected" if not name.strip(".") else None, role="data") for name in _NAMES),
    *(Case(f"{name}.pth", content(_other), "do not fit") for name in _NAMES),
    Case("<b>table.xyz", content(b"x"), "Expected", role="data", modes={"teaching": "Expected"}),
    Case(".pt", content(_sound), "Expected"),
    Case("pt", content(_sound), "Expected"),
    Case("model.PT", content(_sound), None),
    Case("model.pt ", content(_sound), "Expected"),
    Case("model.pt.exe", content(_sound), "Expected"),
    Case("model.safetensors", content(_sound), None),
)  # fmt: skip
