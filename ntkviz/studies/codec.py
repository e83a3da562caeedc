"""Results to files and back: a frozen dataclass becomes JSON plus named arrays, losslessly and without pickle.

Reading back builds only the classes that the caller lists, so a file can never name code to run.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ntkviz.errors import StoreCorrupted

_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
#: Arrays up to this many numbers are kept in the JSON: a file of its own for a [C] vector costs a disk block and an fsync.
INLINE_NUMBERS = 64


def encode(value: object, arrays: dict[str, np.ndarray], *, name: str) -> object:
    """JSON for ``value``; its larger arrays are put into ``arrays`` under names that begin with ``name``.

    Args:
        value: a dataclass instance, array, number, text, ``None``, or mappings (with text keys) and sequences of these.
        arrays: receives the arrays; a key is ``name`` and the path of fields, joined by ``__``.
        name: lower-case prefix.

    Raises:
        TypeError: when something else is met, which would be lost.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: encode(getattr(value, f.name), arrays, name=f"{name}__{f.name}") for f in dataclasses.fields(value)}
        return {"class": type(value).__name__, "fields": fields}
    if isinstance(value, np.ndarray):
        return _encode_array(value, arrays, name)
    if isinstance(value, np.generic):
        return {"scalar": _number(value.item()), "dtype": value.dtype.str}
    if isinstance(value, Mapping):
        # Keys stay as they are (a class number must come back as a number), hence pairs and not a JSON object.
        pairs = [[_key(key), encode(entry, arrays, name=f"{name}__{i}")] for i, (key, entry) in enumerate(value.items())]
        return {"pairs": pairs}
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [encode(entry, arrays, name=f"{name}__{i}") for i, entry in enumerate(value)]}
    if value is None or isinstance(value, str | bool | int | float):
        return _number(value)
    raise TypeError(
        f"{name} is a {type(value).__name__}; expected a dataclass, an array, a number, a text or collections of these."
    )


def decode(value: object, arrays: Mapping[str, np.ndarray], *, classes: Sequence[type]) -> object:
    """What :func:`encode` was given.

    Args:
        value: the JSON.
        arrays: the arrays by name.
        classes: the dataclasses that may be built, by the name they were written under.

    Raises:
        StoreCorrupted: when the JSON names a class or an array that is not there, or fields that the class has not.
    """
    known = {cls.__name__: cls for cls in classes}

    def read(entry: object) -> object:
        if not isinstance(entry, dict):
            return entry
        (tag, body), *rest = entry.items()
        if tag == "class":
            return _build(known, body, {key: read(field) for key, field in dict(rest)["fields"].items()})
        if tag == "file":
            if body not in arrays:
                raise StoreCorrupted(f"The array {body} is named but not stored; delete the study and run it again.")
            return arrays[body]
        return _decode_plain(tag, body, dict(rest), read)

    return read(value)


def _build(known: dict[str, type], name: str, fields: dict[str, object]) -> object:
    if name not in known:
        raise StoreCorrupted(f"The file holds a {name}; expected one of {sorted(known)}. Delete the study and run it again.")
    try:
        return known[name](**fields)
    except TypeError as error:
        raise StoreCorrupted(
            f"The stored {name} has other fields than this version of ntkviz ({error}); run the study again."
        ) from error


def _decode_plain(tag: str, body: object, rest: dict, read: Callable[[object], object]) -> object:
    match tag:
        case "float":
            return _SPECIAL[str(body)]
        case "array":
            return np.array(read({"list": body}), dtype=np.dtype(rest["dtype"])).reshape(rest["shape"])
        case "scalar":
            return np.dtype(rest["dtype"]).type(read(body))
        case "pairs":
            return {key: read(entry) for key, entry in body}  # type: ignore[union-attr]
        case "list":
            return [read(entry) for entry in body]  # type: ignore[union-attr]
        case "tuple":
            return tuple(read(entry) for entry in body)  # type: ignore[union-attr]
    raise StoreCorrupted(
        f"The file holds an entry of kind {tag!r}, which this version of ntkviz does not know; run the study again."
    )


def _encode_array(value: np.ndarray, arrays: dict[str, np.ndarray], name: str) -> object:
    if value.dtype.kind not in "biuf":
        raise TypeError(f"{name} is an array of {value.dtype}; expected numbers, which are stored without pickle.")
    if value.size > INLINE_NUMBERS:
        arrays[name] = value
        return {"file": name}
    return {"array": [_number(entry) for entry in value.ravel().tolist()], "dtype": value.dtype.str, "shape": list(value.shape)}


def _number(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


def _key(key: object) -> object:
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise TypeError(f"A mapping has the key {key!r}; expected texts or whole numbers.")
    return key
