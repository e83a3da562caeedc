"""Options of a network as typed, bounded fields, and faults in them as sentences.

One pydantic model holds type, default, help and bounds of each option. Its JSON schema is the only source of the registry's
rows, of the widgets drawn from them and of the error texts, so that the three cannot disagree.
"""

import difflib
from functools import cache
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

#: Activations by name, none of them in place: an in-place one overwrites the output whose gradient a kernel needs.
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "softplus": nn.Softplus,
    "sigmoid": nn.Sigmoid,
}

#: The keys of ACTIVATIONS, as a type.
Activation = Literal["relu", "gelu", "tanh", "silu", "elu", "leaky_relu", "softplus", "sigmoid"]

#: Largest width of a dense layer, of a feature vector and of a list in a specification.
MAX_WIDTH = 65_536
#: Largest number of channels of a convolution.
MAX_CHANNELS = 8_192
#: Largest number of logits.
MAX_CLASSES = 10_000

_SHOWN_FAULTS = 5
_LAYER = 'an object with a `type`, such as {"type": "ReLU"}'


class Options(BaseModel):
    """Base of every set of options: strict types, unknown names refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class OptionInfo(NamedTuple):
    """One option as the registry shows it.

    Attributes:
        type: "int", "float", "bool", "choice" or "ints" (a list of whole numbers).
        default: the value when it is not given.
        help: one sentence for the person who chooses.
        minimum: smallest value (of each entry, for a list), or None.
        maximum: largest value (of each entry, for a list), or None.
        choices: the values of a "choice", otherwise empty.
        max_items: the longest list, for "ints", otherwise None.
    """

    type: str
    default: object
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    max_items: int | None = None


_TYPES = {"integer": "int", "number": "float", "boolean": "bool", "array": "ints", "string": "choice"}


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model, which takes some 30 ms to make; read only."""
    return model.model_json_schema()


def option_table(model: type[Options]) -> dict[str, OptionInfo]:
    """The rows of the registry that stand for the fields of ``model``, in their order."""
    table: dict[str, OptionInfo] = {}
    for name, schema in _schema(model)["properties"].items():
        bounds = schema.get("items", schema)
        table[name] = OptionInfo(
            type=_TYPES[schema["type"]],
            default=schema["default"],
            help=schema["description"],
            minimum=bounds.get("minimum"),
            maximum=bounds.get("maximum"),
            choices=tuple(schema.get("enum", ())),
            max_items=schema.get("maxItems"),
        )
    return table


def faults(error: ValidationError, model: type[BaseModel], *, prefix: str = "") -> str:
    """What is wrong with a specification, one sentence a field.

    Args:
        error: what pydantic raised for ``model``.
        model: the model that was being filled.
        prefix: written before every field's path, such as ``"options."``.

    Returns:
        Sentences such as "`layers[2].in_features`: expected a whole number from 1 to 65536, got 'abc'."; the first five,
        and how many more there are.
    """
    schema = _schema(model)
    found = [_fault(dict(detail), schema, prefix) for detail in error.errors(include_url=False)]
    rest = len(found) - _SHOWN_FAULTS
    return " ".join(found[:_SHOWN_FAULTS]) + (f" And {rest} more of the kind." if rest > 0 else "")


def shown(value: object) -> str:
    """A value as an error text quotes it: at most 60 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested without end, or a number too long to print
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fault(detail: dict[str, Any], schema: dict[str, Any], prefix: str) -> str:
    """One error of pydantic as a sentence."""
    path, field, parent = _resolve(detail["loc"], schema)
    full = f"{prefix}{path}".rstrip(".")
    where = f"`{full}`" if full else "The specification"
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"{where} is not known here; {_known(str(detail['loc'][-1]), parent)}."
    if kind == "missing":
        return f"{where} is missing; expected {_expected(field, schema)}."
    if kind == "value_error":
        return f"{where}: {str(detail['ctx']['error']).rstrip('.')}."
    if kind == "union_tag_not_found":
        return f"{where}: expected {_LAYER}, got {shown(detail['input'])}."
    if kind == "union_tag_invalid":
        tags = [tag.strip().strip("'") for tag in detail["ctx"]["expected_tags"].split(",")]
        return f"`{full}.type`: {shown(detail['ctx']['tag'])} is no known layer; {_choice(str(detail['ctx']['tag']), tags)}."
    return f"{where}: expected {_expected(field, schema)}, got {shown(detail['input'])}."


def _resolve(loc: tuple[str | int, ...], schema: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The path as a person writes it, the schema of the field, and the schema of the object that holds it."""
    path, field, parent = "", schema, schema
    for key in loc:
        field = _plain(field, schema)
        if isinstance(key, int):
            path += f"[{key}]"
            field = field.get("items", {})
        elif key in field.get("discriminator", {}).get("mapping", {}):
            # The tag of a union stands in pydantic's path but in nobody's file.
            field = {"$ref": field["discriminator"]["mapping"][key]}
        else:
            parent = field
            path += f".{shown(key)[1:-1]}" if path else shown(key)[1:-1]
            field = field.get("properties", {}).get(key, {})
    return path, _plain(field, schema), _plain(parent, schema)


def _plain(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its reference followed, and without the "or null" of an optional field."""
    if "anyOf" in field and "expected" not in field:
        field = next((part for part in field["anyOf"] if part.get("type") != "null"), field)
    if "$ref" in field:
        return schema["$defs"][field["$ref"].rsplit("/", 1)[-1]]
    return field


def _expected(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """What a field takes, in words."""
    if "expected" in field:
        return field["expected"]
    if "enum" in field:
        return f"one of {', '.join(map(str, field['enum']))}"
    if "discriminator" in field:
        return _LAYER
    kind = field.get("type")
    if kind == "array":
        return f"a list of {_range(field, 'minItems', 'maxItems')}, each {_expected(_plain(field['items'], schema), schema)}"
    if kind in ("integer", "number"):
        bounds = _range(field, "minimum", "maximum")
        if "exclusiveMinimum" in field:
            bounds = f"above {field['exclusiveMinimum']}" + (f" up to {field['maximum']}" if "maximum" in field else "")
        return f"a {'whole number' if kind == 'integer' else 'number'} {bounds}".rstrip()
    return {"boolean": "true or false", "string": "a text", "object": "an object of named options"}.get(
        str(kind), "another value"
    )


def _range(field: dict[str, Any], low: str, high: str) -> str:
    """Two bounds of a schema in words."""
    first, last = field.get(low), field.get(high)
    if first is None and last is None:
        return ""
    if low == "minItems":
        return f"{first or 0} to {last} entries" if first != last else f"{first} entries"
    return f"from {first} to {last}"


def _known(name: str, parent: dict[str, Any]) -> str:
    """The names that an object takes."""
    names = [known for known in parent.get("properties", {}) if known not in {"type", "called"}]
    return _choice(name, names) if names else "this layer takes no arguments"


def _choice(name: str, names: list[str]) -> str:
    """All names that would do, and the one that was probably meant."""
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"expected one of {', '.join(names)}{hint}"
