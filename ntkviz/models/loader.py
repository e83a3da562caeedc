"""The one place that reads a weights file.

SECURITY: the order is the point. Cheap gates on the container first (:mod:`ntkviz.models.formats`), then names, shapes and
dtypes without numbers (torch's ``meta`` device, or the header of safetensors), capped and compared with the architecture,
and only then the numbers. ``torch.load`` is called with ``weights_only=True`` and nothing else is ever tried when it
refuses. Whatever a parser raises becomes :class:`UploadRejected`. Strangers' files are read in a child process with limits
(:mod:`ntkviz.models.upload`); this module does not start one.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import torch
from torch import nn

from ntkviz.errors import UploadRejected
from ntkviz.models.formats import Format, check_file, check_torch_archive, read_header, refusal, sniff, whole_module
from ntkviz.models.limits import MODEL_LIMITS, ModelLimits
from ntkviz.models.matching import match_names
from ntkviz.models.normalised import Normalised
from ntkviz.models.rejection import MismatchRow, WeightsMismatch, clipped, quoted
from ntkviz.models.spec import ArchitectureSpec, build_model, distinct, parse_spec
from ntkviz.models.state_dict import FLOATS, TensorFacts, check_count, check_facts, facts_of, find_state_dict

__all__ = ["LoadedModel", "MismatchRow", "WeightsFile", "WeightsMismatch", "inspect_weights", "load_into", "read_weights"]

_SAFETENSORS_DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}


@dataclass(frozen=True)
class WeightsFile:
    """A weights file that passed every gate that needs no numbers.

    Attributes:
        path: the file.
        format: "safetensors" or "state_dict".
        facts: name -> shape and dtype, in the file's order.
        keys: where in a nested checkpoint the state dict is.
        notes: what was done to find it.
    """

    path: Path
    format: Format
    facts: dict[str, TensorFacts]
    keys: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ordered(self) -> bool:
        """Whether the order of the tensors is that in which the network registered them."""
        return self.format == "state_dict"

    def tensors(self) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
        """The numbers, on the CPU, as plain tensors of their own; floats as float32.

        Returns:
            Name -> tensor, and notes on conversions.

        Raises:
            UploadRejected: when a tensor cannot be read, is not what was announced, or holds NaN or infinity.
        """
        raw = _read_torch(self) if self.format == "state_dict" else _read_safetensors(self)
        converted: Counter[str] = Counter()
        tensors: dict[str, torch.Tensor] = {}
        for name in self.facts:
            tensor = raw.pop(name)
            dtype = str(tensor.dtype).removeprefix("torch.")
            if dtype in FLOATS and dtype != "float32":
                converted[dtype] += 1
            with _parsing(self.path.name):
                tensors[name] = _plain(name, tensor, self.path.name)
        notes = tuple(f"{count} tensors of dtype {dtype} were converted to float32." for dtype, count in converted.items())
        return tensors, notes


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights.

    Attributes:
        model: in eval mode.
        notes: what had to be done to the file's contents.
        mismatch: differences of names that do not matter (counters of BatchNorm); others are refused.
    """

    model: nn.Module
    notes: tuple[str, ...]
    mismatch: tuple[MismatchRow, ...] = ()


def read_weights(path: Path | str, *, limits: ModelLimits = MODEL_LIMITS["local"]) -> dict[str, torch.Tensor]:
    """The tensors of a ``.safetensors`` file or of a state dict written by torch.save.

    Args:
        path: the file. The state dict may stand under a usual key of a training checkpoint.
        limits: caps on the file and its tensors.

    Returns:
        Name as in the file -> tensor on the CPU that shares memory with no other; floats of any precision as float32.

    Raises:
        UploadRejected: when it is another kind of file, damaged, too large, or holds NaN, infinity or anything but plain
            tensors.
    """
    return inspect_weights(path, limits=limits).tensors()[0]


def load_into(
    spec: ArchitectureSpec | dict[str, Any],
    path: Path | str,
    *,
    limits: ModelLimits = MODEL_LIMITS["local"],
    device: torch.device | str | None = None,
) -> LoadedModel:
    """The network of a specification with the weights of a file.

    Args:
        spec: the architecture.
        path: the weights of the bare network (without the specification's ``normalise``).
        limits: caps on the file and its tensors.
        device: where the network goes; None is the CPU.

    Returns:
        The network in eval mode, and what was done to names and dtypes.

    Raises:
        UploadRejected: as :func:`read_weights` and :func:`ntkviz.models.spec.build_model`; when names, shapes or dtypes
            differ it is a :class:`WeightsMismatch` with the table of differences. No number is read before that.
    """
    spec = parse_spec(spec)
    file = inspect_weights(path, limits=limits)
    shell = _bare(build_model(spec, device="meta", max_parameters=limits.n_parameters))
    own = {_as_called(name, spec.called): name for name in shell.state_dict()}
    expected = {name: facts_of(name, shell.state_dict()[mine], "the architecture") for name, mine in own.items()}
    matching = match_names(file.facts, expected, file=file.path.name, ordered=file.ordered)
    tensors, converted = file.tensors()
    _check_normalisation(spec, tensors, matching.dropped, file.path.name)
    with torch.random.fork_rng(devices=[]):  # building draws initial values that are overwritten at once
        model = build_model(spec, device=device, max_parameters=limits.n_parameters)
    net = _bare(model)
    state = {own[name]: tensors[old] for name, old in matching.names.items()}
    # Only counters that were tolerated keep their fresh value; strict, so that no weight can stay random unseen.
    state |= {own[row.name]: net.state_dict()[own[row.name]] for row in matching.tolerated if row.expected}
    net.load_state_dict(state, strict=True)
    return LoadedModel(model, (*file.notes, *matching.notes, *converted), matching.tolerated)


def inspect_weights(path: Path | str, *, limits: ModelLimits = MODEL_LIMITS["local"]) -> WeightsFile:
    """Pass a weights file through every gate that needs no numbers.

    Args:
        path: the file.
        limits: caps on the file and its tensors.

    Returns:
        Names, shapes and dtypes, and the means to read the numbers.

    Raises:
        UploadRejected: as :func:`read_weights`.
    """
    path = Path(path)
    with _parsing(path.name):
        check_file(path, max_bytes=limits.file_bytes)
        kind = sniff(path)
        if kind not in {"state_dict", "safetensors"}:
            refused = refusal(kind, path.name)
            raise refused
        file = _inspect_torch(path, limits) if kind == "state_dict" else _inspect_safetensors(path, limits)
    if not file.facts:
        raise UploadRejected(f"{quoted(path.name)} holds no tensors; expected the weights of a network. Save model.state_dict().")
    check_facts(file.facts, path.name, limits)
    return file


def _as_called(name: str, called: Mapping[str, str]) -> str:
    """The name of a parameter with what the file calls its layer in place of the layer's number."""
    place, _, part = name.partition(".")
    return f"{called[place]}.{part}" if place in called else name


def _bare(model: nn.Module) -> nn.Module:
    """The network that weights files are about."""
    return model.net if isinstance(model, Normalised) else model


def _check_normalisation(
    spec: ArchitectureSpec, tensors: Mapping[str, torch.Tensor], dropped: tuple[str, ...], file: str
) -> None:
    """A file that brings its own mean and std must agree with the specification; leaving them out would change the function.

    Raises:
        UploadRejected: when it does not.
    """
    for key in ("mean", "std"):
        name = next((name for name in dropped if name.rsplit(".", 1)[-1] == key), None)
        if name is None:
            continue
        given = None if spec.normalise is None else torch.tensor(getattr(spec.normalise, key))
        if (
            given is None
            or given.shape != tensors[name].reshape(-1).shape
            or not torch.allclose(given, tensors[name].reshape(-1))
        ):
            values = ", ".join(f"{value:.6g}" for value in tensors[name].reshape(-1)[:4].tolist())
            raise UploadRejected(
                f"{quoted(file)} brings a normalisation ({quoted(name)} = {values}{', ...' if tensors[name].numel() > 4 else ''}) that the "
                f"architecture does not have. Give the same values in `normalise.{key}` of the architecture."
            )


@contextmanager
def _parsing(file: str) -> Iterator[None]:
    """Turn whatever a parser raises on a stranger's bytes into one refusal.

    Yields:
        Nothing.

    Raises:
        UploadRejected: instead of any other exception.
    """
    try:
        yield
    except UploadRejected:
        raise
    except Exception as error:
        text = str(error)
        asked = re.search(r"GLOBAL (\S+)|Unsupported class (\S+)", text)
        if asked:
            refused = whole_module(file, asked.group(1) or asked.group(2))
            raise refused from error
        if isinstance(error, MemoryError) or "allocate memory" in text:
            raise UploadRejected(
                f"{quoted(file)} needs more memory to read than is granted here. Bring a smaller file."
            ) from error
        reason = quoted(" ".join(text.split()), limit=160) if text else "no further reason"
        raise UploadRejected(
            clipped(
                f"{quoted(file)} cannot be read: it is damaged, or not what its name says ({type(error).__name__}: {reason}). "
                "Save it again as a state dict or as safetensors."
            )
        ) from error


def _unpickle(file: BinaryIO, device: str) -> Any:
    """What torch's restricted unpickler makes of an archive that passed its gates."""
    file.seek(0)
    return torch.load(file, map_location=device, weights_only=True)


def _inspect_torch(path: Path, limits: ModelLimits) -> WeightsFile:
    """Names and shapes of a file of torch.save, with no memory for the numbers.

    Raises:
        UploadRejected: when a gate refuses it.
    """
    with path.open("rb") as file:
        check_torch_archive(file, path.name, limits)
        loaded = _unpickle(file, "meta")
        keys, notes = find_state_dict(loaded, path.name)
        for key in keys:
            loaded = loaded[key]
        check_count(len(loaded), path.name, limits)
        facts = {name: facts_of(name, tensor, path.name) for name, tensor in loaded.items()}
    return WeightsFile(path, "state_dict", facts, keys, notes)


def _read_torch(weights: WeightsFile) -> dict[str, torch.Tensor]:
    """The tensors of a file of torch.save.

    Raises:
        UploadRejected: when they are not those that were inspected.
    """
    name = weights.path.name
    with weights.path.open("rb") as file, _parsing(name):
        loaded = _unpickle(file, "cpu")
        for key in weights.keys:
            loaded = loaded[key]
        if {key: facts_of(key, tensor, name) for key, tensor in loaded.items()} != weights.facts:
            raise UploadRejected(f"{quoted(name)} changed while it was being read. Bring it again when nothing writes to it.")
        return dict(loaded)


def _inspect_safetensors(path: Path, limits: ModelLimits) -> WeightsFile:
    """Names and shapes in the header of a safetensors file.

    Raises:
        UploadRejected: when the header is no JSON of that format.
    """
    with path.open("rb") as file:
        header = json.loads(read_header(file, path.name), object_pairs_hook=distinct)
        if not isinstance(header, dict):
            raise UploadRejected(f"The list of tensors in {quoted(path.name)} is no JSON object. Save it again as safetensors.")
        header.pop("__metadata__", None)
        check_count(len(header), path.name, limits)
        facts = {name: _header_facts(name, entry, path.name) for name, entry in header.items()}
    return WeightsFile(path, "safetensors", facts, (), ())


def _header_facts(name: str, entry: Any, file: str) -> TensorFacts:
    """One entry of the header.

    Raises:
        UploadRejected: when the bytes set aside for it are not those that its shape needs.
    """
    dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in _SAFETENSORS_DTYPES:
        return TensorFacts(tuple(shape), str(dtype)[:40])  # refused by check_facts, which says what is expected
    torch_name, item = _SAFETENSORS_DTYPES[dtype]
    whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    if not whole or len(shape) > 64 or end - begin != math.prod(shape) * item:
        raise UploadRejected(
            f"{quoted(name)} in {quoted(file)} sets aside other bytes than its shape needs: the file is damaged. Save it again."
        )
    return TensorFacts(tuple(shape), torch_name)


def _read_safetensors(weights: WeightsFile) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file; the library checks overlaps, holes and bounds once more."""
    with _parsing(weights.path.name), safetensors.safe_open(weights.path, framework="pt", device="cpu") as file:
        return {name: file.get_tensor(name) for name in weights.facts}


def _plain(name: str, tensor: torch.Tensor, file: str) -> torch.Tensor:
    """A contiguous copy of finite numbers, floats as float32.

    Raises:
        UploadRejected: when a number is NaN or infinite, also when it became so on conversion.
    """
    tensor = tensor.detach()
    plain = tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True).contiguous()
    if plain.is_floating_point() and not torch.isfinite(plain).all():
        count = int((~torch.isfinite(plain)).sum())
        raise UploadRejected(
            f"{quoted(name)} in {quoted(file)} holds {count:,} of {plain.numel():,} values that are NaN or infinite: the training "
            "diverged, or the file is damaged. Bring an earlier checkpoint."
        )
    return plain
