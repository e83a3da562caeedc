"""The graph of an exported program as steps in their order, checked without torch: who makes which value, and who uses it."""

from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from ntkviz.errors import UploadRejected
from ntkviz.models.pt2.archive import AGAIN
from ntkviz.models.pt2.schema import Argument, Document, Graph, InputSpec, Node, Size, Tensor, TensorMeta
from ntkviz.models.rejection import clipped, quoted

#: Newest schema that was tested, and PyTorch's own rule: a change that breaks readers raises the first number.
SCHEMA = (8, 20)
#: Version of the aten operators' meaning.
_OPSET = 10
#: PyTorch's numbers of dtypes (c10::ScalarType plus one).
DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 7: "float32", 8: "float64", 12: "bool"}

#: How a program with any number of samples is exported.
HOW = (
    "ep = torch.export.export(model.eval(), (x,), dynamic_shapes=({0: torch.export.Dim('batch', min=1)},))\n"
    "torch.export.save(ep, 'model.pt2')\n"
    "with x of two samples or more; ntkviz.export_model(model, x, 'model.pt2') does both."
)

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Ref:
    """A value that an earlier step made, or an input."""

    name: str


@dataclass(frozen=True)
class Special:
    """A constant that is an object of torch: a dtype, memory format, layout or the device."""

    kind: Literal["dtype", "memory_format", "layout", "device"]
    number: int = 0


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes:
        operator: its name in the file.
        positional: arguments by place: numbers, texts, None, Ref, Special, or lists of these.
        keyword: arguments by name.
        outputs: names of what it returns, None for what is nothing.
        several: whether it returns a list or a tuple.
    """

    operator: str
    positional: tuple[Any, ...]
    keyword: dict[str, Any]
    outputs: tuple[str | None, ...]
    several: bool

    def uses(self) -> set[str]:
        """The values that go in."""
        flat = [
            part
            for value in (*self.positional, *self.keyword.values())
            for part in (value if isinstance(value, list) else [value])
        ]
        return {part.name for part in flat if isinstance(part, Ref)}


@dataclass(frozen=True)
class Stored:
    """A tensor that comes with the program.

    Attributes:
        value: its name in the graph.
        name: its name in the network.
        kind: "parameter", "buffer" (kept with the weights) or "constant" (kept apart).
    """

    value: str
    name: str
    kind: Literal["parameter", "buffer", "constant"]


@dataclass(frozen=True)
class Program:
    """A checked graph.

    Attributes:
        input: name of the value that is given, ``[n, *input_shape]``.
        input_shape: of one sample.
        input_dtype: "float32" or "int64" (token ids).
        output: name of the value that is returned.
        stored: tensors that come with it.
        steps: in their order.
        document: what was read of the JSON; :func:`parse_program` takes it back.
    """

    input: str
    input_shape: tuple[int, ...]
    input_dtype: str
    output: str
    stored: tuple[Stored, ...]
    steps: tuple[Step, ...]
    document: dict[str, Any]

    @property
    def reads_tokens(self) -> bool:
        """Whether the input is int64 token ids."""
        return self.input_dtype == "int64"


def checked(model: type[_Model], raw: Any, what: str) -> _Model:
    """JSON as a declared type.

    Args:
        model: the type.
        raw: JSON types.
        what: for the message.

    Raises:
        UploadRejected: naming the first field that is not as declared.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        refuse(
            f"{what} of the exported program cannot be used: {quoted(where, limit=120)}: {quoted(first['msg'], limit=160)}. {AGAIN}"
        )
    except RecursionError:
        refuse(f"{what} of the exported program is nested too deeply. {AGAIN}")


def parse_program(raw: Any) -> Program:
    """Check a graph.

    Args:
        raw: the JSON of ``models/model.json``, or ``Program.document``.

    Returns:
        The program. Whether its operations are allowed and fit together, the interpreter finds out.

    Raises:
        UploadRejected: when a field is missing or of another type, the version is not known, a value is used before it is made
            or made twice, or the program takes or gives anything but one tensor with a free number of samples.
    """
    _versions(checked(_Versions, raw, "The version"))
    document = checked(Document, raw, "The graph")
    graph, signature = document.graph_module.graph, document.graph_module.signature
    given, stored = _inputs(signature.input_specs)
    shape, dtype, meta = _input_facts(graph, given)
    steps = tuple(_step(node) for node in graph.nodes)
    known = _defined_once([given, *(entry.value for entry in stored)], steps)
    output = _output(document)
    if output not in known:
        refuse(f"The exported program returns {quoted(output)}, which nothing in it makes. {AGAIN}")
    kept = document.model_dump(mode="json", exclude_unset=True)
    kept["graph_module"]["graph"]["tensor_values"] = {given: meta}
    return Program(given, shape, dtype, output, stored, steps, kept)


class _Version(BaseModel):
    major: int
    minor: int


class _Versions(BaseModel):
    """Looked at first: a later schema should be called so, and not a wrong one."""

    schema_version: _Version
    opset_version: dict[str, int]


def _versions(found: _Versions) -> None:
    version = (found.schema_version.major, found.schema_version.minor)
    if version[0] != SCHEMA[0] or not 0 <= version[1] <= SCHEMA[1]:
        refuse(
            f"The exported program follows version {version[0]}.{version[1]} of PyTorch's schema; expected {SCHEMA[0]}.0 to "
            f"{SCHEMA[0]}.{SCHEMA[1]}. Export it with PyTorch 2.13 or update ntkviz."
        )
    if found.opset_version.get("aten") != _OPSET:
        refuse(
            f"The exported program uses version {str(found.opset_version.get('aten'))[:20]} of the operators; expected {_OPSET}. "
            "Export it with PyTorch 2.13."
        )


def _inputs(specs: list[InputSpec]) -> tuple[str, tuple[Stored, ...]]:
    """The name of the input and what is stored."""
    given, stored = [], []
    for spec in specs:
        value = spec.value
        if spec.kind == "user_input":
            given.append(value.arg)
        elif spec.kind == "parameter":
            stored.append(Stored(value.arg.name, value.parameter_name, "parameter"))
        elif spec.kind == "buffer":
            stored.append(Stored(value.arg.name, value.buffer_name, "buffer" if value.persistent else "constant"))
        elif spec.kind == "tensor_constant":
            stored.append(Stored(value.arg.name, value.tensor_constant_name, "constant"))
    if len(given) != 1 or given[0].kind != "as_tensor":
        refuse(
            f"The exported program takes {len(given)} inputs; expected one tensor with a row a sample. Wrap the network in a module that "
            "takes one tensor, and export that."
        )
    names = [entry.name for entry in stored]
    if len(set(names)) != len(names):
        refuse(f"The exported program names a parameter or buffer twice. {AGAIN}")
    return given[0].value.name, tuple(stored)


def _input_facts(graph: Graph, given: str) -> tuple[tuple[int, ...], str, dict[str, Any]]:
    """Shape of one sample, dtype, and the JSON that says so."""
    if given not in graph.tensor_values:
        refuse(f"The exported program does not tell the shape of its input. {AGAIN}")
    meta = checked(TensorMeta, graph.tensor_values[given], "The input")
    shape = fixed(meta.sizes[1:])
    if not meta.sizes or meta.sizes[0].kind == "as_int":
        refuse(f"The program was exported for a fixed number of samples. Export it for any number with:\n{HOW}")
    if shape is None or any(not 0 < side < 2**31 for side in shape):
        refuse(
            "The program was exported with another free axis than the samples' (a text's length?), or an empty one; expected the first axis "
            f"free and the others fixed. Export it with:\n{HOW}"
        )
    dtype = DTYPES.get(meta.dtype)
    if dtype not in {"float32", "int64"}:
        refuse(
            f"The exported program takes inputs of dtype {dtype or meta.dtype}; expected float32, or int64 for token ids. {AGAIN}"
        )
    return shape, dtype, meta.model_dump(mode="json", exclude_unset=True)


def fixed(sizes: list[Size]) -> tuple[int, ...] | None:
    """Lengths as numbers, or None when one of them is an expression."""
    return tuple(size.value for size in sizes) if all(size.kind == "as_int" for size in sizes) else None


def _output(document: Document) -> str:
    """The name of the one value that is returned."""
    specs = document.graph_module.signature.output_specs
    changes = [spec.kind for spec in specs if spec.kind != "user_output"]
    if "buffer_mutation" in changes:
        refuse(
            "The exported program changes its buffers when it runs, as BatchNorm does in training mode. Export it in evaluation mode: call "
            f"model.eval() first. {AGAIN}"
        )
    if changes:
        refuse(f"The exported program does more than give logits ({quoted(changes[0])}). Export the network's forward() alone.")
    if len(specs) != 1 or specs[0].value.arg.kind != "as_tensor":
        refuse(
            f"The exported program gives {len(specs)} results; expected one tensor of logits [n, C]. Wrap the network so that forward() "
            "returns only the logits, and export that."
        )
    return specs[0].value.arg.value.name


def _step(node: Node) -> Step:
    positional: list[Any] = []
    keyword: dict[str, Any] = {}
    for entry in node.inputs:
        if entry.kind == 2:
            keyword[entry.name] = _constant(entry.arg)
        elif keyword:
            refuse(f"The operation {quoted(node.target)} has an argument by place after one by name. {AGAIN}")
        else:
            positional.append(_constant(entry.arg))
    outputs, several = _outputs(node)
    return Step(node.target, tuple(positional), keyword, outputs, several)


def _outputs(node: Node) -> tuple[tuple[str | None, ...], bool]:
    """Names of what a node returns, and whether they come in a list."""
    if len(node.outputs) == 1 and node.outputs[0].kind == "as_tensors":
        return tuple(tensor.name for tensor in node.outputs[0].value), True
    return tuple(_output_name(node, output) for output in node.outputs), len(node.outputs) > 1


def _output_name(node: Node, output: Argument) -> str | None:
    if output.kind == "as_none":
        return None
    if output.kind == "as_tensor":
        return output.value.name
    if output.kind == "as_sym_int" and output.value.kind == "as_name":
        return output.value.value
    refuse(f"The operation {quoted(node.target)} returns {quoted(output.kind)}; expected tensors. {AGAIN}")


_FLOATS = {"Infinity": float("inf"), "-Infinity": float("-inf")}
_SPECIAL: dict[str, Literal["dtype", "memory_format", "layout"]] = {
    "as_scalar_type": "dtype",
    "as_memory_format": "memory_format",
    "as_layout": "layout",
}


def _constant(argument: Argument) -> Any:
    """An argument as numbers, texts, None, Ref, Special, or a list of these."""
    kind, value = argument.kind, argument.value
    if kind == "as_none":
        return None
    if kind == "as_device":
        return Special("device")
    if kind in _SPECIAL:
        return Special(_SPECIAL[kind], value)
    return [_single(part) for part in value] if isinstance(value, list) else _single(value)


def _single(value: Any) -> Any:
    if isinstance(value, str):
        return _FLOATS.get(value, value)
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    if isinstance(value, Tensor):
        return Ref(value.name)
    if value.kind == "as_none":
        return None
    return Ref(value.value) if value.kind == "as_name" else _single(value.value)


def _defined_once(first: list[str], steps: tuple[Step, ...]) -> set[str]:
    """All values; each is made once, before it is used, so that there is no cycle."""
    known: set[str] = set()
    for name in first:
        _define(name, known)
    for step in steps:
        missing = sorted(step.uses() - known)
        if missing:
            refuse(f"The operation {quoted(step.operator)} uses {quoted(missing[0])} before anything made it. {AGAIN}")
        for name in step.outputs:
            if name is not None:
                _define(name, known)
    return known


def _define(name: str, known: set[str]) -> None:
    if name in known:
        refuse(f"The exported program makes the value {quoted(name)} twice. {AGAIN}")
    known.add(name)


def refuse(message: str) -> NoReturn:
    """Refuse an exported program.

    Args:
        message: a sentence that says what was expected, what came, and what to do.

    Raises:
        UploadRejected: always.
    """
    raise UploadRejected(clipped(message))
