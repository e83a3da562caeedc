"""The zip around an exported program: gates before anything in it is read, and members as bytes. Torch-free.

SECURITY: only Python's zipfile opens it. Sample inputs, compiled libraries, custom objects and extra files are never read.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from ntkviz.errors import UploadRejected
from ntkviz.models.formats import check_file, check_torch_archive, open_directory
from ntkviz.models.limits import ModelLimits
from ntkviz.models.rejection import quoted

#: What a person does about a file that cannot be read.
AGAIN = "Export the network again: ntkviz.export_model(model.eval(), example, 'model.pt2')."
#: The graph of a ResNet-50 with its traces takes some 3 MB.
_MAX_JSON = 16 * 2**20
_FORMAT, _VERSION = b"pt2", b"0"


@dataclass(frozen=True)
class Archive:
    """An archive that passed the gates.

    Attributes:
        file: its name, for messages.
        root: the folder inside that holds everything.
        model: name of the one model in it.
        sizes: member below the root -> bytes.
    """

    file: str
    root: str
    model: str
    sizes: dict[str, int]
    _zip: ZipFile

    def read(self, member: str) -> bytes:
        """The bytes of a member.

        Raises:
            UploadRejected: when there is none.
        """
        if member not in self.sizes:
            raise UploadRejected(f"{quoted(self.file)} lacks the member {quoted(member)} of an exported program. {AGAIN}")
        return self._zip.read(f"{self.root}/{member}")

    def json(self, member: str) -> Any:
        """A member as JSON.

        Raises:
            UploadRejected: when there is none, or it is too large, or no JSON of distinct keys and finite numbers.
        """
        if self.sizes.get(member, 0) > _MAX_JSON:
            raise UploadRejected(
                f"{quoted(member)} in {quoted(self.file)} has {self.sizes[member]:,} bytes; expected at most {_MAX_JSON:,}. "
                "Bring a smaller network."
            )
        data = self.read(member)
        try:
            return json.loads(data, object_pairs_hook=_distinct, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            reason = quoted(error, limit=120) if isinstance(error, ValueError) else "nested too deeply"
            raise UploadRejected(f"{quoted(member)} in {quoted(self.file)} is no JSON ({reason}). {AGAIN}") from error


@contextmanager
def open_archive(path: Path, limits: ModelLimits) -> Iterator[Archive]:
    """Open an exported program.

    Args:
        path: the file.
        limits: caps on its size.

    Yields:
        The archive, as long as the context lasts.

    Raises:
        UploadRejected: when it is no such archive, or a member is compressed, named twice, elsewhere, or larger than the file.
    """
    check_file(path, max_bytes=limits.file_bytes, wanted="an exported program (.pt2)")
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise UploadRejected(f"{quoted(path.name)} is no exported program: it is no zip archive. {AGAIN}")
        check_torch_archive(file, path.name, limits, again=AGAIN)
        with open_directory(file, path.name) as found:
            yield _checked(found, path.name)


def _checked(found: ZipFile, file: str) -> Archive:
    """The archive, its format and version looked at.

    Raises:
        UploadRejected: when it is of another kind.
    """
    members = found.infolist()
    root = members[0].filename.split("/", 1)[0] if members else ""
    sizes = {member.filename.removeprefix(f"{root}/"): member.file_size for member in members}
    if "serialized_exported_program.json" in sizes:
        raise UploadRejected(f"{quoted(file)} was exported by an old PyTorch, in a format that pickles the weights. {AGAIN}")
    library = next(
        (name for name in sizes if name.startswith("data/aotinductor/") or name.endswith((".so", ".dll", ".dylib"))), ""
    )
    if library:
        raise UploadRejected(f"{quoted(file)} holds compiled code ({quoted(library)}), which is not run here. {AGAIN}")
    models = [name for name in sizes if name.startswith("models/") and name.endswith(".json")]
    if len(models) != 1:
        raise UploadRejected(f"{quoted(file)} holds {len(models)} exported models; expected one. {AGAIN}")
    archive = Archive(file, root, models[0].removeprefix("models/").removesuffix(".json"), sizes, found)
    for member, wanted in (("archive_format", _FORMAT), ("archive_version", _VERSION)):
        if sizes.get(member, 0) > 64 or archive.read(member).strip() != wanted:
            raise UploadRejected(
                f"{quoted(member)} of {quoted(file)} is not {wanted.decode()!r}, the only one that is read here. {AGAIN}"
            )
    return archive


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object without repeated keys.

    Raises:
        ValueError: when a key stands twice; two readers could take different ones.
    """
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def _no_constant(text: str) -> float:
    """Refuse NaN and Infinity, which are no JSON.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{text} is no number of JSON")
