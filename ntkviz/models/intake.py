"""Gates before any parser: what a file is meant to be, a copy that nobody else writes to, an architecture as JSON text.

Torch-free, and nothing here looks further into a file than its first 512 bytes.
"""

import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ntkviz.data.options import Limits
from ntkviz.data.readers import ACCEPTED
from ntkviz.errors import UploadRejected
from ntkviz.models.formats import MODEL_SUFFIXES, check_file, refusal, sniff_head
from ntkviz.models.limits import limits_of
from ntkviz.models.rejection import quoted

if TYPE_CHECKING:
    from ntkviz.models.spec import ArchitectureSpec

_MAX_SPEC = 1_000_000


def kind_of(path: Path, mode: str) -> Literal["model", "dataset"]:
    """What the file is, after the gates that need no parser.

    Raises:
        UploadRejected: when it is neither, or no regular file of a fitting size, or begins like a format that is not opened.
    """
    limits = limits_of(mode)
    name = path.name.lower()
    if path.suffix.lower() in MODEL_SUFFIXES:
        check_file(path, max_bytes=limits.file_bytes)
        found = sniff_head(path)
        if found not in {"safetensors", "zip", "python", "pt2"}:  # which member a zip has, the child finds out
            refused = refusal(found, path.name)
            raise refused
        return "model"
    wanted = f"a model (.pt2, .safetensors, .pt, .pth) or data ({', '.join(ACCEPTED)})"
    if not name.endswith(ACCEPTED):
        check_file(path, max_bytes=2**62, wanted=wanted)
        raise UploadRejected(f"Expected {wanted}; got {quoted(path.name)}. Name the file by its format, or convert it.")
    if mode == "teaching" and not name.endswith(".csv"):
        raise UploadRejected(
            f"In teaching mode data are brought as small .csv files; got {quoted(path.name)}. Use a bundled sample."
        )
    check_file(path, max_bytes=int(Limits.for_mode(mode).file_mb * 1_000_000), wanted=wanted)
    return "dataset"


def snapshot(path: Path, folder: Path) -> tuple[str, str, int]:
    """Copy a file to where nobody else writes; its path from the working folder, its sha256 and size.

    Raises:
        UploadRejected: when it became something else than a regular file since it was looked at.
    """
    folder.mkdir(mode=0o700)
    copy = folder / _safe_name(path.name)
    digest = hashlib.sha256()
    try:
        # Opened without following a link and without waiting for a pipe's other end.
        handle = os.open(
            path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
        with os.fdopen(handle, "rb") as source, copy.open("wb") as target:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UploadRejected(f"{quoted(path.name)} is no regular file any more. Bring it again.")
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                target.write(chunk)
    except OSError as error:
        raise UploadRejected(
            f"{quoted(path.name)} cannot be copied for a check ({error.strerror}). Free disk space or bring it again."
        ) from error
    return f"{folder.name}/{copy.name}", digest.hexdigest(), copy.stat().st_size


def _safe_name(name: str) -> str:
    """A file name of plain characters with the same endings, for the copy and for messages."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".-") or "file"
    return plain if len(plain) <= 80 else f"{plain[:60]}{''.join(Path(plain).suffixes[-2:])[-16:]}"


def architecture_json(architecture: "str | dict[str, Any] | Path | ArchitectureSpec | None") -> str | None:
    """The architecture as JSON text; whether it is a good one, the child finds out.

    Raises:
        UploadRejected: when a file that was named cannot be read, or the value is no JSON.
    """
    if architecture is None:
        return None
    if isinstance(architecture, str) and not architecture.lstrip().startswith("{") and not architecture.endswith(".json"):
        return json.dumps({"name": architecture})
    if isinstance(architecture, str) and architecture.lstrip().startswith("{"):
        return architecture
    if isinstance(architecture, (str, Path)):
        path = Path(architecture)
        check_file(path, max_bytes=_MAX_SPEC, wanted="an architecture as JSON")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UploadRejected(
                f"{quoted(path.name)} is no text in UTF-8; expected an architecture as JSON. Save it again."
            ) from error
    try:
        return json.dumps(architecture if isinstance(architecture, dict) else architecture.as_dict())
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise UploadRejected(
            f"Expected an architecture as a name, a dict of JSON types or a JSON file; got {type(architecture).__name__}."
        ) from error


def sha256_of(path: Path) -> str:
    """The hash of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
