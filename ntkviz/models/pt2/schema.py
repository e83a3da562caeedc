"""The JSON of an exported program, field by field: what may stand in it, and of which type. Torch-free.

Fields that decide nothing (traces, tree specifications, guards, expressions for shapes) are dropped unread. Unions such as an
argument admit the listed kinds and no other: there is no kind for objects, graphs within graphs, or operators as values.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_NODES = 5_000
_MAX_LIST = 4_096

Name = Annotated[str, Field(min_length=1, max_length=256)]
#: Names of parameters become names of modules.
Path = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)*$")]
Int = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
#: JSON has no infinity; torch writes it as a text.
Float = Annotated[float, Field(allow_inf_nan=False)] | Literal["Infinity", "-Infinity"]


class _Record(BaseModel):
    """An object of which only the declared fields are kept."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Union(BaseModel):
    """An object with exactly one field, whose name is the kind."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        """Refuse none and several.

        Raises:
            ValueError: in these cases.
        """
        if len(self.model_fields_set) != 1:
            raise ValueError("expected exactly one kind")
        return self

    @property
    def kind(self) -> str:
        """The name of the field that is set."""
        return next(iter(self.model_fields_set))

    @property
    def value(self) -> Any:
        """What it holds."""
        return self.__dict__[self.kind]


class Tensor(_Record):
    """A tensor by the name of the value."""

    name: Name


class SymInt(_Union):
    """A whole number, or the name of a value that is one."""

    as_name: Name = ""
    as_int: Int = 0


class OptionalTensor(_Union):
    """A tensor or nothing."""

    as_tensor: Tensor | None = None
    as_none: bool = True


class Argument(_Union):
    """An argument or a result of an operation."""

    as_none: bool = True
    as_tensor: Tensor | None = None
    as_tensors: Annotated[list[Tensor], Field(max_length=_MAX_LIST)] = []
    as_int: Int = 0
    as_ints: Annotated[list[Int], Field(max_length=_MAX_LIST)] = []
    as_float: Float = 0.0
    as_floats: Annotated[list[Float], Field(max_length=_MAX_LIST)] = []
    as_string: Annotated[str, Field(max_length=64)] = ""
    as_sym_int: SymInt | None = None
    as_sym_ints: Annotated[list[SymInt], Field(max_length=_MAX_LIST)] = []
    as_scalar_type: int = 0
    as_memory_format: int = 0
    as_layout: int = 0
    as_device: dict[str, Any] = {}
    as_bool: bool = False
    as_bools: Annotated[list[bool], Field(max_length=_MAX_LIST)] = []
    as_optional_tensors: Annotated[list[OptionalTensor], Field(max_length=_MAX_LIST)] = []
    as_optional_tensor: OptionalTensor | None = None


class NamedArgument(_Record):
    """An argument under its name in the operator's signature; ``kind`` 2 is given by keyword."""

    name: Name
    arg: Argument
    kind: int | None = None


class Node(_Record):
    """One operation."""

    target: Name
    inputs: Annotated[list[NamedArgument], Field(max_length=64)]
    outputs: Annotated[list[Argument], Field(max_length=64)]


class Graph(_Record):
    """Operations in their order."""

    nodes: Annotated[list[Node], Field(max_length=MAX_NODES)]
    tensor_values: dict[str, Any]


class UserValue(_Record):
    """An input or an output of the whole."""

    arg: Argument


class ParameterInput(_Record):
    """The value that stands for a parameter."""

    arg: Tensor
    parameter_name: Path


class BufferInput(_Record):
    """The value that stands for a buffer."""

    arg: Tensor
    buffer_name: Path
    persistent: bool


class ConstantInput(_Record):
    """The value that stands for a constant tensor."""

    arg: Tensor
    tensor_constant_name: Path


class FixedInput(_Record):
    """An argument of ``forward`` that was fixed when the program was exported."""

    name: Name


class InputSpec(_Union):
    """What goes in; tokens and custom objects have no kind here."""

    user_input: UserValue | None = None
    parameter: ParameterInput | None = None
    buffer: BufferInput | None = None
    tensor_constant: ConstantInput | None = None
    constant_input: FixedInput | None = None


class OutputSpec(_Union):
    """What comes out; the kinds that change something are known here to be refused by name."""

    user_output: UserValue | None = None
    loss_output: dict[str, Any] = {}
    buffer_mutation: dict[str, Any] = {}
    gradient_to_parameter: dict[str, Any] = {}
    gradient_to_user_input: dict[str, Any] = {}
    user_input_mutation: dict[str, Any] = {}
    token: dict[str, Any] = {}
    parameter_mutation: dict[str, Any] = {}


class Signature(_Record):
    """Inputs and outputs."""

    input_specs: Annotated[list[InputSpec], Field(max_length=10_000)]
    output_specs: Annotated[list[OutputSpec], Field(max_length=1_000)]


class GraphModule(_Record):
    """The graph with its signature."""

    graph: Graph
    signature: Signature


class Version(_Record):
    """Of the schema."""

    major: int
    minor: int


class Document(_Record):
    """``models/model.json``."""

    graph_module: GraphModule
    opset_version: dict[str, int]
    schema_version: Version


class Size(_Union):
    """The length of an axis: a number, or an expression, which is never looked at."""

    as_int: Int = 0
    as_expr: dict[str, Any] = {}


class TensorMeta(_Record):
    """Dtype (a number), shape and place in the storage of a tensor."""

    dtype: int
    sizes: Annotated[list[Size], Field(max_length=8)]
    strides: Annotated[list[Size], Field(max_length=8)]
    storage_offset: Size
    layout: int


class Payload(_Record):
    """Where the bytes of a tensor are."""

    path_name: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9_]+$")]
    use_pickle: bool
    tensor_meta: TensorMeta | None


class PayloadConfig(_Record):
    """Name of a parameter, buffer or constant -> its bytes."""

    config: Annotated[dict[str, Payload], Field(max_length=10_000)]
