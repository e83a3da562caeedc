"""The tensors of an exported program: raw bytes with a shape, strides and an offset, all checked before they are read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ntkviz.models.limits import ModelLimits
from ntkviz.models.pt2.archive import AGAIN, Archive
from ntkviz.models.pt2.program import DTYPES, Program, Stored, checked, fixed, refuse
from ntkviz.models.pt2.schema import Payload, PayloadConfig
from ntkviz.models.rejection import quoted
from ntkviz.models.state_dict import TensorFacts, check_count, check_facts

_BYTES = {"uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "float32": 4, "bool": 1}
_TORCH = {
    "uint8": torch.uint8,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "float32": torch.float32,
    "bool": torch.bool,
}
_STRIDED = 7


@dataclass(frozen=True)
class Placed:
    """A tensor in the archive, its bounds checked.

    Attributes:
        facts: shape and dtype.
        member: that holds its bytes.
        strides: in numbers.
        offset: in numbers.
    """

    facts: TensorFacts
    member: str
    strides: tuple[int, ...]
    offset: int


def placed_tensors(archive: Archive, program: Program, limits: ModelLimits) -> dict[str, Placed]:
    """Where the tensors of a program are; no number is read.

    Args:
        archive: the archive.
        program: whose tensors.
        limits: caps on their number and sizes.

    Returns:
        Name -> place, in the program's order.

    Raises:
        UploadRejected: when one is missing, pickled, of a dtype that is not taken, outside its bytes, or they are too many.
    """
    check_count(len(program.stored), archive.file, limits)
    weights = _config(archive, "weights")
    constants = _config(archive, "constants")
    placed = {}
    for entry in program.stored:
        table, folder = (constants, "constants") if entry.kind == "constant" else (weights, "weights")
        if entry.name not in table:
            refuse(f"{quoted(archive.file)} lacks the numbers of {quoted(entry.name)}. {AGAIN}")
        placed[entry.name] = _place(archive, entry, table[entry.name], folder)
    check_facts({name: place.facts for name, place in placed.items()}, archive.file, limits)
    if not any(entry.kind == "parameter" for entry in program.stored):
        refuse(f"{quoted(archive.file)} has no parameters; expected a trained network. {AGAIN}")
    return placed


def aliases(program: Program, placed: Mapping[str, Placed]) -> dict[str, str]:
    """Parameters that are one tensor under two names: the later name -> the first."""
    first: dict[Placed, str] = {}
    same = {}
    for entry in program.stored:
        if entry.kind == "parameter" and math.prod(placed[entry.name].facts.shape):
            name = first.setdefault(placed[entry.name], entry.name)
            if name != entry.name:
                same[entry.name] = name
    return same


def empty_tensors(placed: Mapping[str, Placed]) -> dict[str, torch.Tensor]:
    """Tensors without numbers, on the meta device."""
    return {
        name: torch.empty(place.facts.shape, dtype=_TORCH[place.facts.dtype], device="meta") for name, place in placed.items()
    }


def read_tensors(archive: Archive, placed: Mapping[str, Placed], names: list[str]) -> dict[str, torch.Tensor]:
    """The numbers, each tensor contiguous and with memory of its own.

    Args:
        archive: the archive.
        placed: where they are.
        names: which.

    Returns:
        Name -> tensor on the CPU.

    Raises:
        UploadRejected: when a value is NaN or infinite.
    """
    by_member: dict[str, list[str]] = {}
    for name in names:
        by_member.setdefault(placed[name].member, []).append(name)
    tensors = {}
    for member, wanted in by_member.items():
        data = bytearray(archive.read(member))
        for name in wanted:
            tensors[name] = _tensor(data, placed[name])
            if tensors[name].is_floating_point() and not torch.isfinite(tensors[name]).all():
                refuse(
                    f"{quoted(name)} in {quoted(archive.file)} holds values that are NaN or infinite: the training diverged, or the file is "
                    "damaged. Bring an earlier checkpoint (a mask takes torch.finfo(torch.float32).min as well)."
                )
    return {name: tensors[name] for name in names}


def _config(archive: Archive, folder: str) -> dict[str, Payload]:
    """The list of tensors in a folder; none when there is no list."""
    member = f"data/{folder}/{archive.model}_{folder}_config.json"
    if member not in archive.sizes:
        if folder == "weights":
            refuse(f"{quoted(archive.file)} has no list of weights as PyTorch 2.9 and later write it. {AGAIN}")
        return {}
    return checked(PayloadConfig, archive.json(member), f"The list of {folder}").config


def _place(archive: Archive, entry: Stored, payload: Payload, folder: str) -> Placed:
    """One tensor, checked against the bytes that are there."""
    name = quoted(entry.name)
    meta = payload.tensor_meta
    if payload.use_pickle or meta is None:
        refuse(
            f"The numbers of {name} in {quoted(archive.file)} are pickled; expected raw bytes. A pickle can run any code. {AGAIN}"
        )
    dtype = DTYPES.get(meta.dtype, str(meta.dtype))
    if dtype not in _BYTES or (entry.kind == "parameter" and dtype != "float32"):
        refuse(
            f"{name} in {quoted(archive.file)} is of dtype {quoted(dtype)}; expected float32. Call model.float() and export again."
        )
    shape, strides, offset = fixed(meta.sizes), fixed(meta.strides), fixed([meta.storage_offset])
    if meta.layout != _STRIDED or shape is None or strides is None or offset is None or len(shape) != len(strides):
        refuse(f"{name} in {quoted(archive.file)} is no plain dense tensor of a fixed shape. {AGAIN}")
    if min((*shape, *strides, *offset)) < 0:
        refuse(f"{name} in {quoted(archive.file)} has a negative size, stride or offset: the file is damaged. {AGAIN}")
    member = f"data/{folder}/{payload.path_name}"
    stored = archive.sizes.get(member)
    if stored is None:
        refuse(f"{quoted(archive.file)} lacks the member {quoted(member)} with the numbers of {name}. {AGAIN}")
    count = math.prod(shape)
    last = offset[0] + sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) if count else -1
    if max(count, last + 1) * _BYTES[dtype] > stored:
        refuse(
            f"{name} in {quoted(archive.file)} shows {count:,} numbers, and {stored:,} bytes are stored for it: a view beyond its memory, or "
            f"one that repeats numbers. {AGAIN}"
        )
    return Placed(TensorFacts(shape, dtype), member, strides, offset[0])


def _tensor(data: bytearray, place: Placed) -> torch.Tensor:
    """A copy of the view, which has been found to lie within the data."""
    shape, dtype = place.facts.shape, place.facts.dtype
    if not math.prod(shape):
        return torch.zeros(shape, dtype=_TORCH[dtype])
    whole = len(data) // _BYTES[dtype]
    flat = torch.frombuffer(data, dtype=torch.uint8 if dtype == "bool" else _TORCH[dtype], count=whole)
    view = flat.as_strided(shape, place.strides, place.offset)
    # A byte that is neither 0 nor 1 is no bool to torch.
    return view != 0 if dtype == "bool" else view.clone(memory_format=torch.contiguous_format)
