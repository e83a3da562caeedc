"""Architectures that want more than there is, or to be more than data."""

import json
from typing import Any

from tests.hostile.case import LAYERS, Case, as_json, content


def _layers(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"layers": list(layers)}


def _named(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "options": options}


_IN, _RELU, _OUT = LAYERS["layers"]
_INSIDE = json.dumps(LAYERS)[1:-1]


def _case(name: str, spec: Any, says: str, **options: Any) -> Case:
    write = content(spec) if isinstance(spec, (str, bytes)) else as_json(spec)
    return Case(f"{name}.json", write, says, role="architecture", **options)


CASES = (
    _case("upsample_50000", _layers(_IN, _RELU, {"type": "Unflatten", "dim": 1, "sizes": [1, 1, 8]}, {"type": "Upsample", "scale_factor": 50_000}, {"type": "Flatten"}, _OUT), "cannot be built"),
    _case("pad_200000", _layers(_IN, {"type": "ZeroPad2d", "padding": 200_000}, _OUT), "cannot be built"),
    _case("linear_10_18", _layers({"type": "Linear", "in_features": 10**9, "out_features": 10**9}), "in_features"),
    _case("linear_large", _layers(*[{"type": "Linear", "in_features": 60_000, "out_features": 60_000}] * 50), "parameters"),
    _case("linear_below_zero", _layers({"type": "Linear", "in_features": -1, "out_features": 3}), "in_features"),
    _case("linear_zero", _layers({"type": "Linear", "in_features": 0, "out_features": 3}), "in_features"),
    _case("linear_fraction", _layers({"type": "Linear", "in_features": 16.5, "out_features": 3}), "in_features"),
    _case("linear_truth", _layers({"type": "Linear", "in_features": True, "out_features": 3}), "in_features"),
    _case("linear_text", _layers({"type": "Linear", "in_features": "16", "out_features": 3}), "in_features"),
    _case("linear_1e400", '{"layers": [{"type": "Linear", "in_features": 1e400, "out_features": 3}]}', "in_features"),
    _case("number_of_5000_digits", '{"layers": [{"type": "Linear", "in_features": ' + "9" * 5000 + ', "out_features": 3}]}', "this is none"),
    _case("nan_option", '{"layers": [{"type": "Linear", "in_features": NaN, "out_features": 3}]}', "NaN is no number"),
    _case("infinite_option", '{"layers": [{"type": "Dropout", "p": -Infinity}]}', "is no number"),
    _case("dropout_2", _layers(_IN, {"type": "Dropout", "p": 2.0}, _OUT), "p"),
    _case("code_as_type", _layers({"type": "__import__('os').system('touch x')"}), "layers[0]"),
    _case("module_path_as_type", _layers({"type": "torch.nn.Linear", "in_features": 16, "out_features": 3}), "layers[0]"),
    _case("class_as_option", _layers({**_IN, "__class__": "os.system"}), "__class__"),
    _case("type_list", _layers({"type": ["Linear"]}), "layers[0]"),
    _case("five_hundred_and_one", _layers(*[_RELU] * 501), "500"),
    _case("no_layers", {"layers": []}, "layers"),
    _case("layers_object", {"layers": {"0": _IN}}, "layers"),
    _case("layers_text", {"layers": "Linear"}, "layers"),
    _case("layers_null", {"layers": [None]}, "layers"),
    _case("conv_groups", _layers({"type": "Conv2d", "in_channels": 3, "out_channels": 4, "kernel_size": 3, "groups": 2}), "cannot be built"),
    _case("conv_kernel", _layers({"type": "Conv2d", "in_channels": 3, "out_channels": 4, "kernel_size": 10**9}), "kernel_size"),
    _case("conv_padding", _layers({"type": "Conv2d", "in_channels": 3, "out_channels": 4, "kernel_size": 3, "padding": 10**9}), "padding"),
    _case("pool_zero", _layers({"type": "MaxPool2d", "kernel_size": 0}), "kernel_size"),
    _case("embedding", _layers({"type": "Embedding", "num_embeddings": 10**12, "embedding_dim": 10**6}), "num_embeddings"),
    _case("deep_list", "[" * 100_000 + "]" * 100_000, "this is none"),
    _case("deep_object", '{"layers":' * 50_000 + "1" + "}" * 50_000, "this is none"),
    _case("deep_but_legal", '{"layers":' + "[" * 900 + "]" * 900 + "}", "layers"),
    _case("a_megabyte", json.dumps({"name": "x" * 1_100_000}), "expected at most"),
    _case("key_twice", "{" + _INSIDE + ", " + _INSIDE + "}", "stands twice"),
    _case("many_keys_and_one_twice", "{" + ",".join([*(f'"{i}":0' for i in range(60_000)), '"59999":0']) + "}", "stands twice"),
    _case("many_keys", {str(i): 0 for i in range(20_000)}, "cannot be built"),
    _case("both_forms", {**LAYERS, "name": "mlp"}, "got both"),
    _case("neither_form", {}, "got neither"),
    _case("path_as_name", _named("../../etc/passwd"), "no known architecture"),
    _case("html_as_name", _named("<img src=x onerror=window.PWN=1>"), "no known architecture"),
    _case("bidi_as_name", _named("\u202epml"), "no known architecture"),
    _case("control_as_name", _named("mlp\x00\x1b[31m"), "no known architecture"),
    _case("surrogate_as_name", '{"name": "\\ud800"}', "architecture"),
    _case("unknown_option", _named("mlp", shell="touch x"), "shell"),
    _case("mlp_hidden", _named("mlp", hidden=[1000] * 10_000), "hidden"),
    _case("mlp_wide", _named("mlp", hidden=[10**9]), "hidden"),
    _case("resnet_deep", _named("resnet", blocks=[10**6]), "blocks"),
    _case("transformer_vocabulary", _named("transformer", vocabulary=10**12), "vocabulary"),
    _case("transformer_heads", _named("transformer", vocabulary=30, width=8, heads=3), "heads"),
    _case("transformer_length", _named("transformer", vocabulary=30, length=10**9), "length"),
    _case("std_zero", {**LAYERS, "normalise": {"mean": 0.0, "std": 0.0}}, "std"),
    _case("std_infinite", "{" + _INSIDE + ', "normalise": {"mean": 0, "std": 1e999}}', "std"),
    _case("std_of_a_million", {**LAYERS, "normalise": {"mean": 0.0, "std": [1.0] * 150_000}}, "std"),
    _case("other_lengths", {**LAYERS, "normalise": {"mean": [0.0, 1.0], "std": [1.0] * 3}}, "normalise"),
    _case("list", [1, 2, 3], "cannot be built"),
    _case("null", "null", "cannot be built"),
    _case("text", '"mlp"', "cannot be built"),
    _case("empty_file", b"", "is empty"),
    _case("utf16", json.dumps(LAYERS).encode("utf-16"), "UTF-8"),
    _case("zeros", b"\0" * 100, "this is none"),
    _case("trailing", json.dumps(LAYERS) + "; import os", "this is none"),
    _case("yaml", "!!python/object/apply:os.system ['touch x']", "this is none"),
)  # fmt: skip
