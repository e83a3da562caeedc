"""A network as data: what a JSON specification may say, and the network made from it.

Two forms, both with an optional ``normalise``:

    {"name": "cnn", "options": {"channels": [16, 32]}, "normalise": {"mean": 0.13, "std": 0.31}}
    {"layers": [{"type": "Flatten"}, {"type": "Linear", "in_features": 784, "out_features": 10}]}

Nothing in a specification is run or looked up in a module. Sizes are counted on torch's ``meta`` device, which holds shapes
and no numbers, before anything is allocated.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from torch import nn

from ntkviz.errors import UnsupportedModel, UploadRejected
from ntkviz.models.architectures.options import MAX_WIDTH, faults, shown
from ntkviz.models.layers import AnyLayer
from ntkviz.models.normalised import Normalised
from ntkviz.models.outputs import as_logits
from ntkviz.models.registry import architectures

#: 200 MB of float32: beyond it neither an upload nor a kernel is reasonable on the machines this is for.
MAX_PARAMETERS = 50_000_000
#: Values that the layers of one sample may hold together, 80 MB of float32: a specification without any weights can ask for
#: more memory than there is.
MAX_ACTIVATIONS = 20_000_000
#: A specification is a page of text; far longer ones are attacks on the parser.
MAX_SPEC_BYTES = 1_000_000

_NEXT = "Correct the specification and try again."


def _as_list(value: object) -> object:
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class Normalise(BaseModel):
    """Mean and standard deviation, one for all or one for each entry of axis 1 (channel or feature)."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    mean: Annotated[
        list[Annotated[float, Field(allow_inf_nan=False)]],
        BeforeValidator(_as_list),
        Field(min_length=1, max_length=MAX_WIDTH, json_schema_extra={"expected": "a finite number, or a list of them"}),
    ]
    std: Annotated[
        list[Annotated[float, Field(gt=0, allow_inf_nan=False)]],
        BeforeValidator(_as_list),
        Field(min_length=1, max_length=MAX_WIDTH, json_schema_extra={"expected": "a finite number above 0, or a list of them"}),
    ]


class ArchitectureSpec(BaseModel):
    """A named architecture with options, or a list of layers that run one after the other.

    Attributes:
        name: a key of :func:`ntkviz.models.registry.architectures`.
        options: that architecture's options; checked by :func:`build_model`, and by :func:`parse_spec` already.
        layers: layers in their order, instead of ``name``.
        normalise: subtract a mean and divide by a standard deviation first.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    layers: list[AnyLayer] | None = Field(None, min_length=1, max_length=500)
    normalise: Normalise | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        """Refuse a mixture of the two forms, and normalised token ids.

        Raises:
            ValueError: in these cases.
        """
        if (self.name is None) == (self.layers is None):
            raise ValueError(
                "expected either `name` (with `options`) or `layers`, " + ("got both" if self.name else "got neither")
            )
        if self.layers is not None and self.options:
            raise ValueError("`options` belong to a named architecture; with `layers` each layer has its own")
        names = Counter(self.called.get(str(place), str(place)) for place in range(len(self.layers or ())))
        twice = [name for name, times in names.items() if times > 1]
        if twice:
            raise ValueError(f"two layers are `called` {twice[0][:80]!r}; each is called as its own weights in the file are")
        if self.normalise is not None and self.reads_tokens:
            raise ValueError("`normalise` is for numbers; this network reads token ids, which have no mean")
        return self

    @property
    def called(self) -> dict[str, str]:
        """What the weights file calls layers that it does not call by their place, by their place."""
        return {str(place): layer.called for place, layer in enumerate(self.layers or ()) if layer.called is not None}

    @property
    def reads_tokens(self) -> bool:
        """Whether the input is int64 token ids."""
        return self.name == "transformer" or bool(self.layers and self.layers[0].type == "Embedding")

    def as_dict(self) -> dict[str, Any]:
        """The specification as JSON types, without what was left out; :func:`parse_spec` takes it back."""
        return self.model_dump(exclude_none=True, exclude_defaults=True)


@dataclass(frozen=True)
class ForwardCheck:
    """What a network would do with one sample, found without allocating anything.

    Attributes:
        n_parameters: numbers in all parameters.
        n_activations: numbers in the outputs of all layers, for one sample.
        n_classes: C, the logits that come out.
    """

    n_parameters: int
    n_activations: int
    n_classes: int


def parse_spec(source: "str | dict[str, Any] | Path | ArchitectureSpec") -> ArchitectureSpec:
    """A checked specification.

    Args:
        source: JSON text, a dict of JSON types, the path of a JSON file, or a specification.

    Returns:
        The specification; its options and layers are within their bounds. Whether the layers fit together shows in
        :func:`check_forward`.

    Raises:
        UploadRejected: when it is no JSON, or a field is missing, unknown, of another type or out of bounds; the message
            points at the field and says what was expected.
    """
    if isinstance(source, ArchitectureSpec):
        spec = source
    else:
        raw = source if isinstance(source, dict) else _read_json(source)
        try:
            spec = ArchitectureSpec.model_validate(raw)
        except ValidationError as error:
            raise UploadRejected(f"The architecture cannot be built. {faults(error, ArchitectureSpec)} {_NEXT}") from error
        except RecursionError as error:
            raise UploadRejected(
                f"The architecture is nested too deeply; expected an object with `name` or `layers`. {_NEXT}"
            ) from error
    if spec.name is not None:
        _named(spec.name, spec.options)
    return spec


def build_model(
    spec: "ArchitectureSpec | dict[str, Any]",
    *,
    device: torch.device | str | None = None,
    max_parameters: int = MAX_PARAMETERS,
) -> nn.Module:
    """The network of a specification, in eval mode.

    Parameters are fresh, drawn from torch's global generator (``torch.manual_seed`` first for the same ones again); weights
    files are read by :mod:`ntkviz.models.loader`.

    Args:
        spec: the specification.
        device: where to build; None is the CPU. ``"meta"`` gives names and shapes without numbers.
        max_parameters: refuse a network with more, before allocating it.

    Returns:
        The bare network, or :class:`Normalised` around it when the specification says ``normalise``.

    Raises:
        UploadRejected: when the specification is faulty or the network would be too large.
    """
    spec = parse_spec(spec)
    count = sum(parameter.numel() for parameter in _make(spec, torch.device("meta")).parameters())
    if count > max_parameters:
        raise UploadRejected(
            f"The architecture has {count:,} parameters; expected at most {max_parameters:,}. Use a smaller network."
        )
    return _make(spec, torch.device("cpu" if device is None else device)).eval()


def check_forward(spec: "ArchitectureSpec | dict[str, Any]", input_shape: tuple[int, ...]) -> ForwardCheck:
    """Find out whether the layers fit together and fit the data, on shapes alone.

    Args:
        spec: the specification.
        input_shape: of one sample, such as (1, 28, 28); for a network that reads token ids (T,).

    Returns:
        Sizes and the number of logits.

    Raises:
        UploadRejected: when a layer does not take what the one before it gives (the message names the layer and the shape),
            when the output is no row of logits, or when the sizes exceed MAX_PARAMETERS or MAX_ACTIVATIONS.
    """
    spec = parse_spec(spec)
    model = build_model(spec, device="meta")
    x = torch.zeros(2, *input_shape, device="meta", dtype=torch.int64 if spec.reads_tokens else torch.float32)
    outputs: list[int] = []

    def note(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        outputs.append(output.numel() // 2)
        if sum(outputs) > MAX_ACTIVATIONS:
            raise UploadRejected(
                f"One sample of shape {list(input_shape)} needs more than {MAX_ACTIVATIONS:,} intermediate values in this "
                "architecture. Use fewer channels, or pool earlier."
            )

    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(note)
    output = _run(spec, model, x)
    try:
        logits = as_logits(output, 2)
    except UnsupportedModel as error:
        raise UploadRejected(f"With inputs of shape {list(input_shape)} this architecture gives no logits. {error}") from error
    return ForwardCheck(sum(p.numel() for p in model.parameters()), sum(outputs), logits.shape[1])


def _run(spec: ArchitectureSpec, model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Forward on shapes; a list of layers one by one, to tell which of them does not fit.

    Raises:
        UploadRejected: when a layer does not fit.
    """
    steps: list[tuple[str, Callable[[torch.Tensor], torch.Tensor]]] = [("", model)]
    if spec.layers is not None:
        net = model
        steps = []
        if isinstance(model, Normalised):
            steps, net = [("`normalise`", _only_normalise(model))], model.net
        named = zip(spec.layers, net.children(), strict=True)
        steps += [(f"`layers[{place}]` ({layer.type})", module) for place, (layer, module) in enumerate(named)]
    for where, step in steps:
        shape = list(x.shape[1:])
        try:
            x = step(x)
        except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
            reason = str(error).split("\n", 1)[0][:300].rstrip(".")
            raise UploadRejected(
                f"{where or 'The architecture'} does not take what it is given, one sample of shape {shape}: {reason}. "
                "Change the sizes in the specification so that they follow from the layer before."
            ) from error
    return x


def _only_normalise(model: Normalised) -> Callable[[torch.Tensor], torch.Tensor]:
    """The first half of a normalised model."""
    return Normalised(nn.Identity(), model.mean.new_zeros(model.mean.shape, device="cpu"), [1.0] * len(model.std)).to("meta")


def _named(name: str, options: dict[str, Any]) -> Callable[[], nn.Module]:
    """A function that makes the named architecture with these options, which have been checked.

    Raises:
        UploadRejected: when the name is unknown or an option is faulty.
    """
    known = architectures()
    if name not in known:
        raise UploadRejected(f"`name`: {shown(name)} is no known architecture; expected one of {', '.join(known)}. {_NEXT}")
    row = known[name]
    try:
        checked = row.check(options)
    except ValueError as error:
        raise UploadRejected(f"The architecture {name!r} cannot be built. {error} {_NEXT}") from error
    return lambda: row.module(checked)


def _make(spec: ArchitectureSpec, device: torch.device) -> nn.Module:
    """The network on a device.

    Raises:
        UploadRejected: when torch refuses a layer (groups that do not divide channels, ...).
    """
    with device:
        if spec.name is not None:
            net = _named(spec.name, spec.options)()
        else:
            net = nn.Sequential(*[_layer(layer, place) for place, layer in enumerate(spec.layers or ())])
    if spec.normalise is None:
        return net
    try:
        return Normalised(net, spec.normalise.mean, spec.normalise.std).to(device)
    except ValueError as error:
        raise UploadRejected(f"`normalise`: {error}") from error


def _layer(layer: Any, place: int) -> nn.Module:
    """One layer of a list.

    Raises:
        UploadRejected: when torch refuses the arguments together.
    """
    try:
        return layer.module()
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UploadRejected(f"`layers[{place}]` ({layer.type}) cannot be built: {str(error).rstrip('.')}. {_NEXT}") from error


def _read_json(source: "str | Path") -> Any:
    """JSON from text or from a file.

    Raises:
        UploadRejected: when it is too long or no JSON of finite numbers and distinct keys.
    """
    expected = 'Expected an architecture as JSON, such as {"name": "mlp", "options": {"hidden": [100]}}'
    try:
        if isinstance(source, Path):
            if source.stat().st_size > MAX_SPEC_BYTES:
                raise UploadRejected(f"{expected}, of at most {MAX_SPEC_BYTES:,} bytes; got {source.stat().st_size:,}.")
            source = source.read_text(encoding="utf-8")
        if len(source) > MAX_SPEC_BYTES:
            raise UploadRejected(f"{expected}, of at most {MAX_SPEC_BYTES:,} characters; got {len(source):,}.")
        return json.loads(source, object_pairs_hook=distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError, OSError) as error:
        reason = str(error)[:200] if isinstance(error, ValueError) else type(error).__name__
        raise UploadRejected(f"{expected}; this is none ({reason}).") from error


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object without repeated keys.

    Raises:
        ValueError: when a key stands twice; taking the last one would be a silent repair.
    """
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"the key {shown(key)} stands twice in one object")
        made[key] = value
    return made


def _no_constant(text: str) -> float:
    """Refuse NaN and Infinity, which are no JSON.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{text} is no number of JSON")
