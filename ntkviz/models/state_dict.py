"""State dicts: finding one in a checkpoint and capping it, by names, shapes and dtypes, before any number is read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ntkviz.errors import UploadRejected
from ntkviz.models.limits import ModelLimits
from ntkviz.models.rejection import quoted

FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
_OTHERS = frozenset({"int64", "int32", "int16", "int8", "uint8", "bool"})

#: Where training scripts put the state dict; the first that holds one is taken.
_NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "module")
_MAX_NESTING = 3


@dataclass(frozen=True)
class TensorFacts:
    """What is known of a tensor without its numbers.

    Attributes:
        shape: lengths of its axes.
        dtype: torch's name, such as "float32".
    """

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{list(self.shape)}" if self.dtype in FLOATS else f"{self.dtype} {list(self.shape)}"


def find_state_dict(loaded: object, file: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where in an unpickled checkpoint the flat state dict is.

    Args:
        loaded: what torch.load returned. Only its first levels are looked at, under known keys: it may be nested without end.
        file: name of the file, for the messages.

    Returns:
        The keys to follow, and notes.

    Raises:
        UploadRejected: when there is no flat dict of tensors.
    """
    keys: tuple[str, ...] = ()
    others: list[str] = []
    while isinstance(loaded, dict) and len(keys) < _MAX_NESTING:
        inner = next((key for key in _NESTED if _holds_tensors(loaded.get(key))), None)
        if inner is None or all(isinstance(value, torch.Tensor) for value in loaded.values()):
            break
        others = [str(key)[:40] for key in list(loaded)[:6] if key != inner]
        keys, loaded = (*keys, inner), loaded[inner]
    if not isinstance(loaded, dict):
        raise UploadRejected(
            f"{quoted(file)} holds {_kind(loaded)}; expected a state dict (names and tensors). "
            'Save one with torch.save(model.state_dict(), "weights.pt").'
        )
    if not loaded:
        raise UploadRejected(
            f"{quoted(file)} holds an empty dict; expected names and tensors. Save model.state_dict() after building it."
        )
    for key, value in loaded.items():
        if not isinstance(key, str) or type(value) not in (torch.Tensor, torch.nn.Parameter):
            raise UploadRejected(
                f"{quoted(file)} holds {_kind(value)} under {quoted(key) if isinstance(key, str) else _kind(key)}; expected a flat dict of "
                f"names and tensors, at the top or under one of {', '.join(_NESTED)}. Save model.state_dict() alone."
            )
    if not keys:
        return keys, ()
    beside = f"; left out: {', '.join(quoted(other, limit=40) for other in others)}" if others else ""
    return keys, (f"A checkpoint: the weights were taken from {'.'.join(map(repr, keys))}{beside}.",)


def _holds_tensors(value: object) -> bool:
    """Whether it is a dict in which, or one level below a known key, there is a tensor."""
    if not isinstance(value, dict):
        return False
    nested = (value.get(key) for key in _NESTED)
    return _has_tensor(value) or any(_has_tensor(inner) for inner in nested if isinstance(inner, dict))


def _has_tensor(value: Mapping[object, object]) -> bool:
    return any(isinstance(entry, torch.Tensor) for entry in value.values())


def _kind(value: object) -> str:
    """The type in words; never the value, of which the text may be endless."""
    return "a single tensor" if isinstance(value, torch.Tensor) else f"an object of type {quoted(type(value).__name__)}"


def facts_of(name: str, tensor: torch.Tensor, file: str) -> TensorFacts:
    """Shape and dtype of a tensor that stands for what it says.

    Args:
        name: of the tensor.
        tensor: on the meta device, or with numbers.
        file: name of the file, for the messages.

    Returns:
        The facts.

    Raises:
        UploadRejected: when it is sparse, nested or quantised, or a view that shows more numbers than are stored: 4 bytes can
            pose as 10^12 elements with strides of 0.
    """
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested or tensor.is_complex():
        raise UploadRejected(
            f"{quoted(name)} in {quoted(file)} is no plain dense tensor of real numbers ({tensor.dtype}, {tensor.layout}). "
            "Convert it with .dequantize(), .to_dense() or .float() and save again."
        )
    stored = tensor.untyped_storage().nbytes()
    if tensor.numel():
        last = tensor.storage_offset() + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
        if max(tensor.numel(), last + 1) * tensor.element_size() > stored:
            raise UploadRejected(
                f"{quoted(name)} in {quoted(file)} shows {tensor.numel():,} numbers and {stored:,} bytes are stored for it: a view that "
                "repeats numbers. Save it after .clone()."
            )
    return TensorFacts(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


def check_count(count: int, file: str, limits: ModelLimits) -> None:
    """Cap the number of tensors, before each is looked at.

    Args:
        count: how many there are.
        file: name of the file, for the messages.
        limits: the caps.

    Raises:
        UploadRejected: when there are too many.
    """
    if count > limits.n_tensors:
        raise UploadRejected(
            f"{quoted(file)} holds {count:,} tensors; expected at most {limits.n_tensors:,}. Bring the weights alone."
        )


def check_facts(facts: Mapping[str, TensorFacts], file: str, limits: ModelLimits) -> None:
    """Cap a state dict.

    Args:
        facts: by name.
        file: name of the file, for the messages.
        limits: the caps.

    Raises:
        UploadRejected: naming the tensor and the cap.
    """
    total = 0
    for name, fact in facts.items():
        if not name or len(name) > limits.name_length:
            raise UploadRejected(
                f"A tensor in {quoted(file)} has a name of {len(name):,} characters ({quoted(name)}); expected 1 to {limits.name_length}."
            )
        if len(fact.shape) > 8 or any(n >= limits.dimension for n in fact.shape):
            raise UploadRejected(
                f"{quoted(name)} in {quoted(file)} has the shape {str(list(fact.shape))[:100]}; expected at most 8 axes shorter than "
                f"{limits.dimension:,}."
            )
        if fact.dtype not in FLOATS | _OTHERS:
            raise UploadRejected(
                f"{quoted(name)} in {quoted(file)} is of dtype {quoted(fact.dtype)}; expected one of {', '.join(sorted(FLOATS))} "
                "(or whole numbers for a counter). Convert it with .float() and save again."
            )
        total += math.prod(fact.shape)
    if total > limits.n_parameters:
        raise UploadRejected(
            f"{quoted(file)} holds {total:,} numbers; expected at most {limits.n_parameters:,}. Bring a smaller network."
        )
