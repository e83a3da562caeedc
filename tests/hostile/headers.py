"""safetensors files whose header lies, in every field."""

import json
import struct
from dataclasses import replace

from tests.hostile.case import ONE_LAYER, Case, content, safetensors
from tests.models.hostile import entry

_FOUR = bytes(16)


def _one(**change: object) -> dict[str, object]:
    return {"0.weight": entry([2, 2], 0, 16) | change}


def _many_then_twice() -> bytes:
    """Sixty thousand names of which the last stands twice: a search of all pairs would take minutes."""
    names = [f'"{i}":0' for i in range(60_000)]
    text = ("{" + ",".join([*names, names[-1]]) + "}").encode()
    return struct.pack("<Q", len(text)) + text


CASES = tuple(
    replace(case, architecture=ONE_LAYER)
    for case in (
        Case("length_of_all.safetensors", content(b"\xff" * 8 + b"{}"), "cut off"),
        Case("length_zero.safetensors", content(bytes(8) + b"{}"), "damaged"),
        Case("length_4_gb.safetensors", content(b"\xff\xff\xff\xff\0\0\0\0{" + b" " * 100), "cut off"),
        Case("twice.safetensors", safetensors(b'{"0.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"0.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}', _FOUR), "stands twice"),
        Case("twice_at_the_end.safetensors", content(_many_then_twice), "stands twice"),
        Case("nan.safetensors", safetensors(b'{"0.weight":{"dtype":"F32","shape":[NaN],"data_offsets":[0,16]}}', _FOUR), "other bytes"),
        Case("infinite_shape.safetensors", safetensors(b'{"0.weight":{"dtype":"F32","shape":[1e999],"data_offsets":[0,16]}}', _FOUR), "other bytes"),
        Case("fraction.safetensors", safetensors(_one(shape=[4.0]), _FOUR), "other bytes"),
        Case("truth.safetensors", safetensors(_one(shape=[True, 4]), _FOUR), "other bytes"),
        Case("text_shape.safetensors", safetensors(_one(shape="4"), _FOUR), "other bytes"),
        Case("object_shape.safetensors", safetensors(_one(shape={"0": 4}), _FOUR), "other bytes"),
        Case("null_shape.safetensors", safetensors(_one(shape=None), _FOUR), "cannot be read"),
        Case("text_offsets.safetensors", safetensors(_one(data_offsets="ab"), _FOUR), "other bytes"),
        Case("one_offset.safetensors", safetensors(_one(data_offsets=[16]), _FOUR), "cannot be read"),
        Case("turned_offsets.safetensors", safetensors(_one(data_offsets=[16, 0]), _FOUR), "other bytes"),
        Case("offsets_below_zero.safetensors", safetensors(_one(data_offsets=[-16, 0]), _FOUR), "other bytes"),
        Case("offsets_beyond.safetensors", safetensors(_one(data_offsets=[2**62, 2**62 + 16]), _FOUR), "cannot be read"),
        Case("overflowing.safetensors", safetensors(_one(shape=[2**31 - 1] * 8), _FOUR), "other bytes"),
        Case("number_of_5000_digits.safetensors", safetensors(b'{"0.weight":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,16]}}', _FOUR), "cannot be read"),
        Case("many_axes.safetensors", safetensors(_one(shape=[1] * 1000 + [4]), _FOUR), "other bytes"),
        Case("nine_axes.safetensors", safetensors(_one(shape=[1] * 8 + [4]), _FOUR), "at most 8 axes"),
        Case("no_dtype.safetensors", safetensors({"0.weight": {"shape": [2, 2], "data_offsets": [0, 16]}}, _FOUR), "cannot be read"),
        Case("dtype_list.safetensors", safetensors(_one(dtype=["F32"]), _FOUR), "cannot be read"),
        Case("dtype_code.safetensors", safetensors(_one(dtype="__import__('os')"), _FOUR), "is of dtype"),
        Case("text_tensor.safetensors", safetensors({"0.weight": "F32"}, _FOUR), "cannot be read"),
        Case("list_tensor.safetensors", safetensors({"0.weight": [1, 2, 3]}, _FOUR), "cannot be read"),
        Case("metadata_is_a_tensor.safetensors", safetensors({"__metadata__": entry([2, 2], 0, 16), "0.weight": entry([2, 2], 0, 16)}, _FOUR), "cannot be read"),
        Case("metadata_nested.safetensors", safetensors({"__metadata__": {"a": {"b": []}}, "0.weight": entry([2, 2], 0, 16)}, _FOUR), "cannot be read"),
        Case("control_name.safetensors", safetensors({"a\x00\x1b[31m\n": entry([2, 2], 0, 16)}, _FOUR), "do not fit"),
        Case("bidi_name.safetensors", safetensors({"\u202egnp.exe": entry([2, 2], 0, 16)}, _FOUR), "do not fit"),
        Case("html_name.safetensors", safetensors({"<img src=x onerror=window.PWN=1>": entry([2, 2], 0, 16)}, _FOUR), "do not fit"),
        Case("empty_name.safetensors", safetensors({"": entry([2, 2], 0, 16)}, _FOUR), "0 characters"),
        Case("surrogate_name.safetensors", safetensors(b'{"\\ud800":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}', _FOUR), "do not fit"),
        Case("utf16.safetensors", safetensors(json.dumps(_one()).encode("utf-16-le"), _FOUR), "cannot be read"),
        Case("comments.safetensors", safetensors(b'{/* */"0.weight":1}', _FOUR), "cannot be read"),
        Case("trailing.safetensors", safetensors(_one(), _FOUR + b"MZ" + bytes(100)), "not fully covered"),
        Case("deep_lists.safetensors", safetensors(b'{"0.weight":' + b"[" * 200_000 + b"]" * 200_000 + b"}"), "damaged"),
    )
)  # fmt: skip
