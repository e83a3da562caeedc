"""One kind of hostile file, and what has to become of it."""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

MODES = ("local", "team", "teaching")

#: The architecture of the network of which sound weights are brought.
LAYERS: dict[str, Any] = {
    "layers": [
        {"type": "Linear", "in_features": 16, "out_features": 8},
        {"type": "ReLU"},
        {"type": "Linear", "in_features": 8, "out_features": 3},
    ]
}


#: That of a file with the one tensor "0.weight", [2, 2], so that damaged ones are read to their numbers.
ONE_LAYER: dict[str, Any] = {"layers": [{"type": "Linear", "in_features": 2, "out_features": 2, "bias": False}]}


@dataclass(frozen=True)
class Case:
    """One kind.

    Attributes:
        file: its name as somebody would bring it; unique in its family.
        write: makes it; takes its path, and that of the canary that a successful attack would create.
        says: a text that the refusal contains; None: the file is read, and nothing comes of it.
        role: whether it is brought as weights, as their architecture, or as data.
        modes: what a mode says instead.
        architecture: what weights are said to be of.
        bomb: only to be read in a child, for what it would take here if it went off.
    """

    file: str
    write: Callable[[Path, Path], None]
    says: str | None
    role: Literal["weights", "architecture", "data"] = "weights"
    modes: Mapping[str, str | None] = field(default_factory=dict)
    architecture: Mapping[str, Any] = field(default_factory=lambda: LAYERS)
    bomb: bool = False

    def expected(self, mode: str) -> str | None:
        """What a mode has to say; teaching takes no data but small tables."""
        if mode in self.modes:
            return self.modes[mode]
        if mode == "teaching" and self.role == "data" and not self.file.lower().endswith(".csv"):
            return "small .csv files"
        return self.says


def content(data: Callable[[], bytes | str] | bytes | str) -> Callable[[Path, Path], None]:
    """Writes bytes, or what a function makes; it makes them once, for all modes."""
    once = cache(data) if callable(data) else None

    def write(path: Path, canary: Path) -> None:
        made = once() if once is not None else data
        path.write_bytes(made.encode("utf-8", "surrogatepass") if isinstance(made, str) else made)

    return write


def attack(data: Callable[[str], bytes]) -> Callable[[Path, Path], None]:
    """Writes what a function makes of the canary's path."""

    def write(path: Path, canary: Path) -> None:
        path.write_bytes(data(str(canary)))

    return write


def as_json(value: object) -> Callable[[Path, Path], None]:
    """Writes JSON."""
    return content(lambda: json.dumps(value).encode())


def safetensors(header: object, data: bytes = b"") -> Callable[[Path, Path], None]:
    """Writes a safetensors file with this header, JSON types or raw bytes."""

    def made() -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data

    return content(made)
