"""Exported programs that are hostile or odd, made here and never shipped: each is refused with a sentence, or read harmlessly."""

import io
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.models.hostile import Attack
from tests.models.pt2.programs import Parts, exported, file_of, network

MODEL = "models/model.json"
CONFIG = "data/weights/model_weights_config.json"


@dataclass(frozen=True)
class Odd:
    """A kind of file: what makes it (given the canary that a successful attack would create), and what its refusal says.

    ``says`` None: it is read, and computes what the untouched network computes.
    """

    name: str
    make: Callable[[Path], bytes]
    says: str | None


def mlp() -> Parts:
    return Parts.of(file_of("mlp"))


def graph(change: Callable[[Any], object]) -> Callable[[Path], bytes]:
    """The perceptron with another graph; ``change`` gets the JSON of the graph module."""
    return lambda canary: mlp().graph(lambda document: change(document["graph_module"])).bytes()


def document(change: Callable[[Any], object]) -> Callable[[Path], bytes]:
    return lambda canary: mlp().graph(change).bytes()


def node(index: int, change: Callable[[Any], object]) -> Callable[[Path], bytes]:
    """The perceptron with another operation: 0 flatten, 1 linear, 2 relu, 3 linear."""
    return graph(lambda module: change(module["graph"]["nodes"][index]))


def weights(change: Callable[[Any], object]) -> Callable[[Path], bytes]:
    return lambda canary: mlp().weights(change).bytes()


def meta(name: str, **fields: Any) -> Callable[[Path], bytes]:
    """The perceptron with another description of a tensor."""
    return weights(lambda config: config[name]["tensor_meta"].update(fields))


def argument(name: str, value: Any, *, keyword: bool = False) -> dict[str, Any]:
    return {"name": name, "arg": value, "kind": 2 if keyword else 1}


def made(name: str) -> list[dict[str, Any]]:
    return [{"as_tensor": {"name": name}}]


def tensor(name: str) -> dict[str, Any]:
    return {"as_tensor": {"name": name}}


def operation(target: str, inputs: list[dict[str, Any]], output: str = "new") -> dict[str, Any]:
    return {"target": target, "inputs": inputs, "outputs": made(output), "metadata": {}}


def before_the_end(*nodes: dict[str, Any], returns: str = "new") -> Callable[[Path], bytes]:
    """The perceptron with further operations, of which the last is returned."""

    def change(module: Any) -> None:
        module["graph"]["nodes"] += list(nodes)
        module["signature"]["output_specs"][0]["user_output"]["arg"]["as_tensor"]["name"] = returns

    return graph(change)


def sizes(*lengths: int) -> list[dict[str, int]]:
    return [{"as_int": n} for n in lengths]


def _from_file(canary: Path) -> bytes:
    inputs = [argument("filename", {"as_string": "/etc/passwd"}), argument("size", {"as_int": 10})]
    return before_the_end(operation("torch.ops.aten.from_file.default", inputs))(canary)


def _ones(canary: Path) -> bytes:
    cpu = {"as_device": {"type": "cpu", "index": None}}
    inputs = [argument("size", {"as_ints": [25_000_000_000]}), argument("device", cpu, keyword=True)]
    return before_the_end(operation("torch.ops.aten.ones.default", inputs))(canary)


def _pickled_weights(canary: Path) -> bytes:
    parts = mlp()
    parts.members["data/weights/weight_0"] = pickle.dumps(Attack(canary))
    return parts.weights(lambda config: config["1.weight"].update(use_pickle=True)).bytes()


def _sample_inputs(canary: Path) -> bytes:
    parts = mlp()
    parts.members["data/sample_inputs/model.pt"] = pickle.dumps(Attack(canary))
    return parts.bytes()


def _saved_sample_inputs(canary: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(Attack(canary), buffer)
    parts = mlp()
    parts.members["data/sample_inputs/model.pt"] = buffer.getvalue()
    return parts.bytes()


def _opaque(canary: Path, *, used: bool) -> bytes:
    parts = mlp()
    parts.members["data/constants/opaque_obj_0"] = pickle.dumps(Attack(canary))
    parts.put(
        "data/constants/model_constants_config.json",
        {"config": {"evil": {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}}},
    )
    spec = {"custom_obj": {"arg": {"name": "evil", "class_fqn": "x.Y"}, "custom_obj_name": "evil"}}
    return parts.graph(lambda d: d["graph_module"]["signature"]["input_specs"].append(spec) if used else None).bytes()


def _constant_pickle(canary: Path) -> bytes:
    """A constant tensor of which the numbers are said to be pickled."""
    parts = mlp()
    parts.members["data/constants/tensor_0"] = pickle.dumps(Attack(canary))
    entry = {"path_name": "tensor_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    parts.put("data/constants/model_constants_config.json", {"config": {"c": entry}})
    spec = {"tensor_constant": {"arg": {"name": "c_c"}, "tensor_constant_name": "c"}}
    return parts.graph(lambda d: d["graph_module"]["signature"]["input_specs"].append(spec)).bytes()


def _expressions(canary: Path) -> bytes:
    """Code in every place where PyTorch's loader evaluates a text."""
    code = f"__import__('os').system('touch {canary}')"

    def change(document: Any) -> None:
        module = document["graph_module"]
        for value in module["graph"]["tensor_values"].values():
            value["sizes"][0] = {"as_expr": {"expr_str": code, "hint": {"as_int": 6}}}
        module["graph"]["sym_int_values"] = {"s": {"as_expr": {"expr_str": code, "hint": None}}}
        document["guards_code"] = [code]
        document["range_constraints"] = {code: {"min_val": 1, "max_val": None}}
        module["metadata"] = {"custom": code}
        for step in module["graph"]["nodes"]:
            step["metadata"] = {"stack_trace": code, "nn_module_stack": code, "torch_fn": code}

    return mlp().graph(change).bytes()


def _size_expression(canary: Path) -> bytes:
    """Code as the shape of a weight."""
    code = f"__import__('os').system('touch {canary}')"
    return meta("1.weight", sizes=[{"as_expr": {"expr_str": code}}, {"as_int": 16}])(canary)


def _deflated(canary: Path) -> bytes:
    parts = mlp()
    parts.members["data/weights/weight_0"] = bytes(32 * 2**20)
    parts.compression = zipfile.ZIP_DEFLATED
    return parts.bytes()


def _more(*members: tuple[str, bytes]) -> Callable[[Path], bytes]:
    def make(canary: Path) -> bytes:
        parts = mlp()
        parts.more = list(members)
        return parts.bytes()

    return make


def _without(*members: str) -> Callable[[Path], bytes]:
    def make(canary: Path) -> bytes:
        parts = mlp()
        for member in members:
            del parts.members[member]
        return parts.bytes()

    return make


def _with(member: str, data: bytes) -> Callable[[Path], bytes]:
    def make(canary: Path) -> bytes:
        parts = mlp()
        parts.members[member] = data
        return parts.bytes()

    return make


def _many_nodes(canary: Path) -> bytes:
    steps = [operation("torch.ops.aten.relu.default", [argument("self", tensor("linear_1"))], f"r{i}") for i in range(5_001)]
    return before_the_end(*steps, returns="r0")(canary)


def _huge_json(canary: Path) -> bytes:
    return mlp().graph(lambda d: d.update(verifiers=["x" * 1000] * 17_000)).bytes()


def _not_a_number(canary: Path) -> bytes:
    parts = mlp()
    parts.members["data/weights/weight_3"] = torch.tensor([0.0, float("nan"), 1.0]).numpy().tobytes()
    return parts.bytes()


def _expanded(canary: Path) -> bytes:
    inputs = [argument("self", tensor("linear_1")), argument("size", {"as_ints": [10**6, 10**6, -1, -1]})]
    return before_the_end(operation("torch.ops.aten.expand.default", inputs))(canary)


def _squared_sizes(canary: Path) -> bytes:
    """x.shape[0] squared again and again: a number of 2**5000 digits."""
    sym = {"as_sym_int": {"as_name": "s0"}}
    steps = [
        {
            "target": "torch.ops.aten.sym_size.int",
            "inputs": [argument("self", tensor("input")), argument("dim", {"as_int": 0})],
            "outputs": [sym],
            "metadata": {},
        }
    ]
    for i in range(60):
        given = {"as_sym_int": {"as_name": f"s{i}"}}
        steps.append({
            "target": "_operator.mul",
            "inputs": [argument("a", given), argument("b", given)],
            "outputs": [{"as_sym_int": {"as_name": f"s{i + 1}"}}],
            "metadata": {},
        })  # fmt: skip
    return before_the_end(*steps, returns="linear_1")(canary)


def _cycle(module: Any) -> None:
    module["graph"]["nodes"][1]["inputs"][0]["arg"]["as_tensor"]["name"] = "relu"


def _double(module: Any) -> None:
    module["graph"]["nodes"][3]["outputs"] = made("linear")


def _overwrites_weight(canary: Path) -> bytes:
    inputs = [argument("self", tensor("p_3_bias")), argument("other", {"as_float": 1.0})]
    return before_the_end(operation("torch.ops.aten.add_.Scalar", inputs), returns="linear_1")(canary)


def _overwrites_used(canary: Path) -> bytes:
    steps = (
        operation("torch.ops.aten.relu_.default", [argument("self", tensor("linear_1"))], "over"),
        operation("torch.ops.aten.add.Tensor", [argument("self", tensor("linear_1")), argument("other", tensor("over"))], "new"),
    )
    return before_the_end(*steps)(canary)


def _training(canary: Path) -> bytes:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.norm = nn.Linear(4, 3), nn.BatchNorm1d(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.fc(x))

    return exported(Net().train(), torch.randn(5, 4))


def _dropout(canary: Path) -> bytes:
    return exported(nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)).train(), torch.randn(5, 4))


def _fixed(canary: Path) -> bytes:
    return exported(*network("mlp"), free=False)


def _fixed_inside(canary: Path) -> bytes:
    inputs = [argument("self", tensor("linear_1")), argument("size", {"as_ints": [6, 3]})]
    return before_the_end(operation("torch.ops.aten.view.default", inputs))(canary)


def _pixels(canary: Path) -> bytes:
    return exported(nn.Conv2d(1, 2, 3), torch.randn(5, 1, 6, 6))


def _double_precision(canary: Path) -> bytes:
    return exported(nn.Linear(4, 2).double(), torch.randn(5, 4).double())


def _cut(canary: Path) -> bytes:
    return file_of("mlp")[:-200]


def _flipped(canary: Path) -> bytes:
    """A bit of the weights; the archive's check sum notices."""
    data = bytearray(file_of("mlp"))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        place = archive.getinfo("archive/data/weights/weight_0").header_offset
    data[place + 1000] ^= 1
    return bytes(data)


def _names(document: Any) -> None:
    spec = document["graph_module"]["signature"]["input_specs"][0]
    spec["parameter"]["parameter_name"] = "forward.__class__"


def _climbing(config: Any) -> None:
    config["1.weight"]["path_name"] = "../sample_inputs/model.pt"


def _twice_named(data: Any) -> None:
    module = data["graph_module"]
    module["signature"]["input_specs"][1]["parameter"]["parameter_name"] = "1.weight"


def _two_keys(canary: Path) -> bytes:
    parts = mlp()
    parts.members[MODEL] = parts.members[MODEL].replace(b'{"graph_module"', b'{"opset_version": {"aten": 10}, "graph_module"', 1)
    return parts.bytes()


def _system(canary: Path) -> bytes:
    return node(2, lambda n: n.update(target="os.system", inputs=[argument("c", {"as_string": f"touch {canary.name}"})]))(canary)


CORPUS = (
    Odd("from_file", _from_file, "from_file"),
    Odd("ones", _ones, "intermediate values"),
    Odd("expand", _expanded, "intermediate values"),
    Odd("squared sizes", _squared_sizes, "beyond"),
    Odd("pickled weights", _pickled_weights, "pickled"),
    Odd("pickled constant", _constant_pickle, "pickled"),
    Odd("pickled sample inputs", _sample_inputs, None),
    Odd("saved sample inputs", _saved_sample_inputs, None),
    Odd("opaque object", lambda canary: _opaque(canary, used=True), "custom_obj"),
    Odd("opaque object that nobody uses", lambda canary: _opaque(canary, used=False), None),
    Odd("expressions", _expressions, None),
    Odd("expression as a shape", _size_expression, "fixed shape"),
    Odd("system", _system, "os.system"),
    Odd("eval", node(2, lambda n: n.update(target="builtins.eval")), "builtins.eval"),
    Odd("private operation", node(2, lambda n: n.update(target="torch.ops.aten.relu.default.__class__")), "not among"),
    Odd("custom operation", node(2, lambda n: n.update(target="torch.ops.mine.f.default")), "not among"),
    Odd("as_strided", node(2, lambda n: n.update(target="torch.ops.aten.as_strided.default")), "not among"),
    Odd("random numbers", node(2, lambda n: n.update(target="torch.ops.aten.rand_like.default")), "not among"),
    Odd("empty memory", node(2, lambda n: n.update(target="torch.ops.aten.empty_like.default")), "not among"),
    Odd("library", _more(("data/aotinductor/model/m.so", b"\x7fELF")), "compiled code"),
    Odd("library elsewhere", _more(("extra/m.so", b"\x7fELF")), "compiled code"),
    Odd("deflated", _deflated, "compressed"),
    Odd("member twice", _more((MODEL, b"{}")), "twice"),
    Odd("two models", _more(("models/other.json", b"{}")), "2 exported models"),
    Odd("no model", _without(MODEL), "no exported program|0 exported models"),
    Odd("no list of weights", _without(CONFIG), "no list of weights"),
    Odd("no weights", _without("data/weights/weight_0"), "lacks the member"),
    Odd("weights not listed", weights(lambda config: config.pop("1.weight")), "lacks the numbers"),
    Odd("other archive version", _with("archive_version", b"7"), "archive_version"),
    Odd("other format", _with("archive_format", b"zip"), "archive_format"),
    Odd("big endian", _with("byteorder", b"big"), "byte order"),
    Odd("old format", _more(("serialized_exported_program.json", b"{}")), "old PyTorch"),
    Odd("later schema", document(lambda d: d["schema_version"].update(minor=99)), "8.99"),
    Odd("next schema", document(lambda d: d["schema_version"].update(major=9)), "9.20"),
    Odd("other operators", document(lambda d: d["opset_version"].update(aten=11)), "version 11"),
    Odd("version of another type", document(lambda d: d.update(schema_version="8.20")), "schema_version"),
    Odd("no JSON", _with(MODEL, b"\x80\x04N."), "no JSON"),
    Odd("a list", _with(MODEL, b"[]"), "cannot be used"),
    Odd("deep JSON", _with(MODEL, b'{"a":' * 100_000), "nested too deeply|no JSON"),
    Odd("long number", _with(MODEL, b'{"schema_version": ' + b"9" * 5000 + b"}"), "no JSON"),
    Odd("NaN in JSON", _with(MODEL, b'{"schema_version": NaN}'), "no JSON"),
    Odd("huge JSON", _huge_json, "expected at most"),
    Odd("two keys", _two_keys, "twice"),
    Odd("many operations", _many_nodes, "5000 items|at most"),
    Odd("cycle", graph(_cycle), "before anything made it"),
    Odd("made twice", graph(_double), "twice"),
    Odd("parameter twice", document(_twice_named), "twice"),
    Odd("undefined value", node(3, lambda n: n["inputs"][0].update(arg=tensor("nowhere"))), "before anything made it"),
    Odd("undefined result", before_the_end(returns="nowhere"), "nothing in it makes"),
    Odd("operation as an argument", node(2, lambda n: n["inputs"][0].update(arg={"as_operator": "aten::relu"})), "as_operator"),
    Odd("graph as an argument", node(2, lambda n: n["inputs"][0].update(arg={"as_graph": {}})), "as_graph"),
    Odd("object as an argument", node(2, lambda n: n["inputs"][0].update(arg={"as_custom_obj": {}})), "as_custom_obj"),
    Odd("two kinds of argument", node(2, lambda n: n["inputs"][0]["arg"].update(as_int=3)), "exactly one"),
    Odd(
        "unknown argument", node(2, lambda n: n["inputs"].append(argument("out", tensor("linear"), keyword=True))), "does not fit"
    ),
    Odd("text as a tensor", node(2, lambda n: n["inputs"][0].update(arg={"as_string": "linear"})), "does not fit"),
    Odd("too few arguments", node(1, lambda n: n["inputs"].clear()), "does not fit"),
    Odd("too many results", node(2, lambda n: n["outputs"].append(tensor("more"))), "does not fit"),
    Odd("changed logits' shape", _fixed_inside, "fixed number"),
    Odd("fixed number of samples", _fixed, "export_model"),
    Odd("pixels", _pixels, "logits"),
    Odd("trained BatchNorm", _training, "model.eval"),
    Odd("dropout", _dropout, "model.eval"),
    Odd("double precision", _double_precision, "float32"),
    Odd("overwrites a weight", _overwrites_weight, "overwrites"),
    Odd("overwrites what is used", _overwrites_used, "overwrites"),
    Odd("view beyond", meta("1.weight", storage_offset={"as_int": 1}), "beyond its memory"),
    Odd("repeats by strides", meta("1.weight", strides=sizes(0, 0), sizes=sizes(10**6, 10**6)), "repeats numbers"),
    Odd("long strides", meta("1.weight", strides=sizes(10**9, 1)), "beyond its memory"),
    Odd("negative stride", meta("1.weight", strides=sizes(-1, 1)), "negative"),
    Odd("negative size", meta("1.weight", sizes=sizes(-24, 16)), "negative"),
    Odd("huge empty", meta("1.weight", sizes=sizes(0, 2**62)), "shorter than"),
    Odd("overflowing size", meta("1.weight", sizes=sizes(2**63, 2)), "cannot be used"),
    Odd("other shape", meta("1.weight", sizes=sizes(16, 24), strides=sizes(24, 1)), "does not fit"),
    Odd("complex", meta("1.weight", dtype=10), "float32"),
    Odd("unknown dtype", meta("1.weight", dtype=999), "float32"),
    Odd("sparse", meta("1.weight", layout=1), "dense"),
    Odd("dtype of another type", meta("1.weight", dtype="float"), "dtype"),
    Odd("climbing name", weights(_climbing), "path_name"),
    Odd("name of a method", document(_names), "lacks the numbers|cannot be read"),
    Odd("NaN weights", _not_a_number, "NaN"),
    Odd("cut", _cut, "cut off"),
    Odd("flipped bit", _flipped, "damaged"),
    Odd("garbage", lambda canary: b"not a model", "no zip"),
    Odd("pickle", lambda canary: pickle.dumps(Attack(canary)), "no zip"),
)
