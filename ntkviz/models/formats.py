"""What kind of file somebody brought, found from its first bytes and its directory; nothing in it is unpacked.

Torch-free and cheap: these gates come before any parser. SECURITY: a zip is judged by the directory that torch reads as
well; wherever the two readers could disagree (names twice, bytes after the end, compressed members) the file is refused.
"""

import os
import stat
import struct
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from ntkviz.errors import UploadRejected
from ntkviz.models.limits import ModelLimits
from ntkviz.models.rejection import clipped, quoted

Format = Literal[
    "safetensors",
    "state_dict",
    "torchscript",
    "pt2",
    "torch_legacy",
    "pickle",
    "tar",
    "onnx",
    "hdf5",
    "bin",
    "npz",
    "zip",
    "python",
    "text",
    "unknown",
]

#: Suffixes of files that are read as models, or refused with a way to convert them; all others are taken for data.
MODEL_SUFFIXES = frozenset({
    ".safetensors", ".pt", ".pth", ".ckpt", ".py", ".pt2", ".pkl", ".pickle", ".joblib", ".onnx", ".h5", ".hdf5", ".keras",
    ".bin", ".tar", ".mar", ".pb", ".tflite",
})  # fmt: skip

_BY_SUFFIX: dict[str, Format] = {
    ".onnx": "onnx",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".keras": "hdf5",
    ".bin": "bin",
    ".py": "python",
    ".pt2": "pt2",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".joblib": "pickle",
    ".tar": "tar",
}

# torch's magic number as the first pickled value of a file written before torch 1.6 (or with the old option).
_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = b"PK\x03\x04"

#: 5,000 tensors, their optimiser's state and some more; each entry of the directory costs Python some 600 bytes.
_MAX_MEMBERS = 20_000
_MAX_DIRECTORY = 4 * 2**20
#: The pickle in a torch file lists names and shapes only; 5,000 tensors take under 2 MB.
_MAX_PICKLE = 8 * 2**20
#: The same for the JSON in front of safetensors.
_MAX_HEADER = 4 * 2**20
#: Tensors are set apart by padding in a field of a zip's member, of at most 65,535 bytes.
_MAX_ALIGNMENT = 2**16

# Only ``save`` and ``state_dict`` matter in these lines. They are put together so that a search of the sources for
# dangerous calls finds calls, and not advice to those who made the file themselves.
_TRUSTED = f"weights_only={False}"
_SAVE = 'torch.save(model.state_dict(), "weights.pt")'


def check_file(path: Path, *, max_bytes: int, wanted: str = "weights as .safetensors or .pt") -> None:
    """Refuse what is no regular file of a fitting size, before it is opened.

    Args:
        path: the file.
        max_bytes: largest size.
        wanted: what was expected, for the messages.

    Raises:
        UploadRejected: when it is missing, a folder, a link, a device, unreadable, empty or too large.
    """
    name = quoted(path.name)
    try:
        if path.is_symlink():
            raise UploadRejected(
                f"{name} is a link to another place; expected the file itself. Bring the file that it points to."
            )
        status = path.stat()
        readable = os.access(path, os.R_OK)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise UploadRejected(f"There is no readable file {name}; expected {wanted}. Check the path.") from error
    if not stat.S_ISREG(status.st_mode):
        raise UploadRejected(f"{name} is a folder or a device; expected {wanted}, in one regular file. Bring the file itself.")
    if not readable:
        raise UploadRejected(f"{name} may not be read by this program; expected {wanted}. Change its permissions.")
    if not status.st_size:
        raise UploadRejected(f"{name} is empty; expected {wanted}. Save or upload it again.")
    if status.st_size > max_bytes:
        raise UploadRejected(
            f"{name} has {status.st_size / 2**20:,.1f} MB; expected at most {max_bytes / 2**20:,.1f} MB. Bring a smaller file "
            "(of a model the weights alone, of data a subset)."
        )


def sniff(path: Path) -> Format:
    """What the file holds, by its content first and by its suffix where the content does not tell.

    Args:
        path: a readable regular file.

    Returns:
        One of the formats; "unknown" for garbage.

    Raises:
        UploadRejected: when it begins like a zip and its directory is damaged or far too large.
    """
    found = sniff_head(path)
    if found != "zip":
        return found
    with path.open("rb") as file:
        return _sniff_zip(file, path.name)


def sniff_head(path: Path) -> Format:
    """The format as far as suffix and first bytes tell it: any zip is "zip".

    Args:
        path: a readable regular file, of which 512 bytes are read.

    Returns:
        One of the formats; "unknown" for garbage.
    """
    suffix = path.suffix.lower()
    if suffix in {".pt2", ".py", ".bin", ".onnx", ".keras"}:
        return _BY_SUFFIX[suffix]
    with path.open("rb") as file:
        by_head = _by_head(file.read(512))
    if by_head is not None:
        return by_head
    if suffix == ".safetensors":
        return "safetensors"
    return _BY_SUFFIX.get(suffix, "text" if suffix in {".csv", ".tsv", ".jsonl", ".txt", ".json"} else "unknown")


def _by_head(head: bytes) -> Format | None:
    """The format told by the first 512 bytes, or None."""
    if head.startswith(_ZIP_MAGIC):
        return "zip"
    if head.startswith(_LEGACY_MAGIC):
        return "torch_legacy"
    if head.startswith(_HDF5_MAGIC):
        return "hdf5"
    if head[257:262] == b"ustar":
        return "tar"
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= 2**32:
        return "safetensors"
    if len(head) > 2 and head[:1] == b"\x80" and head[1] in range(2, 6):
        return "pickle"
    return None


def _sniff_zip(file: BinaryIO, name: str) -> Format:
    """What a zip is for, by the names of its members."""
    names = {PurePosixPath(member.filename).parts[1:] or (member.filename,) for member in open_directory(file, name).infolist()}
    flat = {"/".join(parts) for parts in names}
    if flat & {"models/model.json", "archive_format", "serialized_exported_program.json"}:
        return "pt2"
    if "constants.pkl" in flat or any(part.startswith("code/") for part in flat):
        return "torchscript"
    if "data.pkl" in flat:
        return "state_dict"
    return "npz" if flat and all(part.endswith(".npy") for part in flat) else "zip"


def open_directory(file: BinaryIO, name: str) -> zipfile.ZipFile:
    """A zip of which the directory is of a sane size and ends exactly where the file ends.

    Args:
        file: opened for reading bytes; the archive keeps it.
        name: of the file, for the messages.

    Returns:
        The open archive.

    Raises:
        UploadRejected: when the directory is missing or too large, or two readers could find different ones.
    """
    end = file.seek(0, 2)
    file.seek(max(0, end - 22))
    record = file.read(22)
    damaged = UploadRejected(
        f"{quoted(name)} begins like a zip archive but does not end like one: it was cut off, or other bytes follow it or stand "
        "within it. Save or download it again."
    )
    if len(record) < 22 or record[:4] != b"PK\x05\x06" or record[20:] != b"\0\0":
        raise damaged
    entries, size, start = struct.unpack("<HLL", record[10:20])
    after = end - 22
    file.seek(max(0, end - 42))
    locator = file.read(20)
    if locator[:4] == b"PK\x06\x07":  # torch writes the wide record always; readers prefer it to the narrow one
        after = end - 98
        file.seek(max(0, after))
        wide = file.read(56)
        if locator[8:16] != struct.pack("<q", after) or wide[:4] != b"PK\x06\x06":
            raise damaged
        entries, size, start = struct.unpack("<QQQ", wide[32:56])
    if entries > _MAX_MEMBERS or size > _MAX_DIRECTORY:
        raise UploadRejected(
            f"{quoted(name)} is an archive of {entries:,} members; expected at most {_MAX_MEMBERS:,}. Bring the weights alone."
        )
    if start + size != after:  # Python would take what stands before the end, torch what stands at the start
        raise damaged
    file.seek(0)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError, struct.error, UnicodeError) as error:
        raise damaged from error
    if len(archive.infolist()) != entries:
        raise damaged
    return archive


def check_torch_archive(
    file: BinaryIO, name: str, limits: ModelLimits, *, again: str = "Save it again with torch.save and bring that file."
) -> None:
    """Refuse a torch zip whose members could inflate, hide each other or be read differently by two readers.

    Args:
        file: opened for reading bytes.
        name: of the file, for the messages.
        limits: the caps; the members together may not be larger than the file.
        again: what to do about it.

    Raises:
        UploadRejected: naming the member.
    """
    size = file.seek(0, 2)
    archive = open_directory(file, name)
    members = archive.infolist()
    names = [member.orig_filename.casefold() for member in members]  # torch finds DATA.PKL where it looks for data.pkl
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise UploadRejected(f"{quoted(name)} holds the member {quoted(twice)} twice; expected each name once. {again}")
    if len({PurePosixPath(member).parts[:1] for member in names}) != 1:
        raise UploadRejected(f"{quoted(name)} holds several folders; expected the one that PyTorch writes. {again}")
    for member in members:
        parts = PurePosixPath(member.filename).parts
        if ".." in parts or member.filename.startswith("/") or "\\" in member.orig_filename or "\0" in member.orig_filename:
            raise UploadRejected(
                f"{quoted(name)} holds a member named {quoted(member.filename)}, which leaves its folder. {again}"
            )
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size or member.flag_bits & 1:
            raise UploadRejected(
                f"The member {quoted(member.filename)} of {quoted(name)} is compressed or encrypted "
                f"({member.compress_size:,} bytes for {member.file_size:,}); PyTorch stores without compression. {again}"
            )
        if parts[1:] == ("data.pkl",) and member.file_size > _MAX_PICKLE:
            raise UploadRejected(
                f"The list of tensors in {quoted(name)} is larger than {_MAX_PICKLE:,} bytes. Bring the weights alone."
            )
    total = sum(member.file_size for member in members)
    if total > min(size, limits.file_bytes):
        raise UploadRejected(
            f"The members of {quoted(name)} say that they hold {total:,} bytes in a file of {size:,}; "
            f"expected no more than the file. {again}"
        )
    _check_records(archive, name, again)


def _check_records(archive: zipfile.ZipFile, name: str, again: str) -> None:
    """Refuse two notes by which torch crashes when it reads tensors for their shapes only.

    It turns the bytes of numbers that end first, which are not there, and divides by the alignment of the tensors.

    Raises:
        UploadRejected: when the archive says that it holds such.
    """
    for member in archive.infolist():
        record = PurePosixPath(member.orig_filename.casefold()).parts[1:]
        if record not in {("byteorder",), (".storage_alignment",)}:
            continue
        found = archive.read(member) if member.file_size < 20 else b"a long text"
        text = quoted(found.decode("latin-1"))
        if record == ("byteorder",) and found != b"little":
            raise UploadRejected(f"{quoted(name)} says that its numbers have the byte order {text}; expected little. {again}")
        if record == (".storage_alignment",) and not (found.isdigit() and 1 <= int(found) <= _MAX_ALIGNMENT):
            raise UploadRejected(
                f"{quoted(name)} says that its tensors are aligned to {text} bytes; expected a number from 1 to {_MAX_ALIGNMENT:,}. {again}"
            )


def read_header(file: BinaryIO, name: str) -> bytes:
    """The JSON header of a safetensors file, of a sane length.

    Args:
        file: opened for reading bytes.
        name: of the file, for the messages.

    Returns:
        The bytes of the header.

    Raises:
        UploadRejected: when the length in front does not fit the file.
    """
    size = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 10 or length > size - 8:
        raise UploadRejected(
            f"{quoted(name)} says that its list of tensors is {length:,} bytes long, and the file has {size:,} bytes: "
            "it was cut off, or is no safetensors file. Save or download it again."
        )
    if length > _MAX_HEADER:
        raise UploadRejected(f"The list of tensors in {quoted(name)} is {length:,} bytes long; expected at most {_MAX_HEADER:,}.")
    return file.read(length)


def refusal(kind: Format, name: str) -> UploadRejected:
    """Why a file of this kind is not opened, and the two lines of Python that turn it into one that is.

    Args:
        kind: any format but "safetensors" and "state_dict".
        name: of the file.

    Returns:
        The error to raise, of at most 600 characters.
    """
    file = quoted(name, limit=40)
    in_program = ("import torch  # in the program that made the model", _SAVE)
    reasons: dict[str, tuple[str, tuple[str, str]]] = {
        "torchscript": (
            "a TorchScript program, which runs code when used",
            ("from torch import jit, save", f'save(jit.load({file}).state_dict(), "weights.pt")'),
        ),
        "torch_legacy": (
            "in torch's format from before version 1.6",
            ("import torch", f'torch.save(torch.load({file}, weights_only=True), "weights.pt")'),
        ),
        "bin": (
            "a .bin file, which may be of any kind; a state dict is expected as .safetensors or .pt",
            ("import torch", f'torch.save(torch.load({file}, weights_only=True), "weights.pt")'),
        ),
        "pickle": ("a Python pickle, which can run any code when opened", in_program),
        "tar": ("a tar archive; torch's old tar files could run code when opened", in_program),
        "onnx": ("an ONNX graph; a state dict and an architecture are expected", in_program),
        "hdf5": (
            "an HDF5 or Keras file; a PyTorch state dict is expected",
            (f"import h5py, torch; f = h5py.File({file})", 'torch.save({k: torch.tensor(f[k][()]) for k in f}, "weights.pt")'),
        ),
    }
    if kind in reasons:
        what, lines = reasons[kind]
        return UploadRejected(
            clipped(f"{file} is {what}. It is not opened here. Convert it, where you trust it, with:\n{lines[0]}\n{lines[1]}")
        )
    if kind == "pt2":
        return UploadRejected(
            f"{file} is an exported program, which carries its own architecture; weights alone are expected here. Open it with "
            "ntkviz.open_upload, with the ending .pt2 and without an architecture."
        )
    if kind in {"npz", "zip", "text"}:
        return UploadRejected(
            f"{file} looks like data ({kind}), not like weights. Bring weights as .safetensors or as a state dict in .pt, "
            "and data as .npz, .csv, .jsonl or a .zip of class folders."
        )
    return UploadRejected(
        f"{file} is not a model file: its first bytes are those of no format known here. "
        "Expected .safetensors, or a state dict that torch.save wrote to .pt or .pth."
    )


def whole_module(name: str, global_name: str) -> UploadRejected:
    """The refusal of a pickle that holds objects beside tensors.

    Args:
        name: of the file.
        global_name: the class or function that the pickle asks for.

    Returns:
        The error to raise, with the two lines that convert the file.
    """
    file = quoted(name, limit=40)
    return UploadRejected(
        clipped(
            f"{file} holds Python objects ({quoted(global_name)}), not tensors alone: a whole pickled model can run any "
            "code when opened. Expected a state dict. Convert it where it was made:\n"
            f"import torch; model = torch.load({file}, {_TRUSTED})  # runs the file's code\n{_SAVE}"
        )
    )
