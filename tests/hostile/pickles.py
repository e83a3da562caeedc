"""Pickles put together opcode by opcode, inside of a torch archive and bare: every way to name a function, and lies about tensors."""

import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import torch

from tests.hostile.case import ONE_LAYER, Case, attack, content
from tests.models.hostile import members, network, packed, saved, with_pickle

_HEAD = b"\x80\x02"


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _called(module: str, name: str, argument: str) -> bytes:
    """A function called with one text, the way of protocol 2."""
    return f"c{module}\n{name}\n".encode() + _text(argument) + b"\x85R"


def _code(canary: str) -> str:
    return f"open({canary!r}, 'w').close()"


def _stack_global(module: str, name: str, argument: str) -> bytes:
    def short(value: str) -> bytes:
        return b"\x8c" + bytes([len(value)]) + value.encode()

    return b"\x80\x04" + short(module) + short(name) + b"\x93" + _text(argument) + b"\x85R."


def _inside(payload: Callable[[str], bytes]) -> Callable[[Path, Path], None]:
    return attack(lambda canary: with_pickle(payload(canary)))


def _tensor(
    shape: str = "(K\x02K\x02t", stride: str = "(K\x02K\x01t", offset: bytes = b"K\x00", count: bytes = b"K\x04"
) -> bytes:
    """A dict with one tensor by hand: its storage says that it holds ``count`` numbers."""
    storage = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu") + count + b"tQ"
    parts = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape.encode("latin-1") + stride.encode("latin-1") + b"\x89"
    )
    return _HEAD + b"}" + _text("0.weight") + parts + b"ccollections\nOrderedDict\n)RtRs."


def _lying(file: str, pickled: bytes, says: str) -> Case:
    return Case(file, _one_tensor(pickled), says, architecture=ONE_LAYER)


def _one_tensor(pickled: bytes) -> Callable[[Path, Path], None]:
    """An archive with that pickle and a storage of four numbers."""

    def made() -> bytes:
        parts = members(saved({"w": torch.zeros(2, 2)}))
        folder = next(iter(parts)).split("/")[0]
        return packed([(name, pickled if name == f"{folder}/data.pkl" else data) for name, data in parts.items()])

    return content(made)


def _whole_state_then(extra: Callable[[str], bytes]) -> Callable[[Path, Path], None]:
    """A sound state dict, and after its end another pickle that a careless reader would go on to."""

    def made(canary: str) -> bytes:
        parts = members(saved(network().state_dict()))
        name = next(name for name in parts if name.endswith("/data.pkl"))
        return packed([(key, data + extra(canary) if key == name else data) for key, data in parts.items()])

    return attack(made)


class _Legacy:
    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self):
        return torch.storage._load_from_bytes, (pickle.dumps(_Opens(self.canary)),)


class _Opens:
    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self):
        return open, (self.canary, "w")


CASES = (
    Case("eval.pt", _inside(lambda c: _HEAD + _called("builtins", "eval", _code(c)) + b"."), "'eval'"),
    Case("exec.pt", _inside(lambda c: _HEAD + _called("builtins", "exec", _code(c)) + b"."), "'exec'"),
    Case("open.pt", _inside(lambda c: _HEAD + b"cio\nopen\n(" + _text(c) + _text("w") + b"tR."), "io.open"),
    Case("python2_name.pt", _inside(lambda c: _HEAD + _called("__builtin__", "eval", _code(c)) + b"."), "eval"),
    Case("posix.pt", _inside(lambda c: _HEAD + _called("posix", "system", f"touch {c}") + b"."), "posix.system"),
    Case("stack_global.pt", _inside(lambda c: _stack_global("builtins", "eval", _code(c))), "cannot be read"),
    Case("runpy.pt", _inside(lambda c: _HEAD + _called("runpy", "_run_code", _code(c)) + b"."), "runpy._run_code"),
    Case("import.pt", _inside(lambda c: _HEAD + _called("importlib", "import_module", "this") + b"."), "importlib"),
    Case("getattr.pt", _inside(lambda c: _HEAD + b"cbuiltins\ngetattr\n(" + _text("a") + _text("b") + b"tR."), "getattr"),
    Case("inst.pt", _inside(lambda c: _HEAD + b"(" + _text(_code(c)) + b"ibuiltins\neval\n."), "cannot be read"),
    Case("obj.pt", _inside(lambda c: _HEAD + b"(cbuiltins\neval\n" + _text(_code(c)) + b"o."), "'eval'"),
    Case("newobj.pt", _inside(lambda c: _HEAD + b"csubprocess\nPopen\n" + _text(f"touch {c}") + b"\x85\x81."), "subprocess.Popen"),
    Case("extension.pt", _inside(lambda c: _HEAD + b"\x82\x01)R."), "cannot be read"),
    Case("dotted.pt", _inside(lambda c: _HEAD + _called("torch", "os.system", f"touch {c}") + b"."), "torch.os.system"),
    Case("load_from_bytes.pt", attack(lambda c: saved({"w": torch.zeros(2), "x": _Legacy(c)})), "_load_from_bytes"),
    Case("compile.pt", _inside(lambda c: _HEAD + _called("torch.jit", "load", c) + b"."), "torch.jit.load"),
    Case("hub.pt", _inside(lambda c: _HEAD + _called("torch.hub", "load", c) + b"."), "torch.hub.load"),
    Case("numpy_load.pt", _inside(lambda c: _HEAD + _called("numpy", "load", c) + b"."), "numpy.load"),
    Case("rebuilt_by_eval.pt", _inside(lambda c: _HEAD + b"ctorch._tensor\n_rebuild_from_type_v2\n(cbuiltins\neval\n" + _text(_code(c)) + b"tR."), "eval"),
    Case("set_state.pt", _inside(lambda c: _HEAD + b"ccollections\nOrderedDict\n)R}" + _text("__class__") + _text(c) + b"sb."), "expected"),
    Case("build_on_tensor.pt", _inside(lambda c: _HEAD + b"ctorch\nTensor\n)\x81}" + _text("data") + _text(c) + b"sb."), "cannot be read"),
    Case("persistent_line.pt", _inside(lambda c: _HEAD + b"Pos.system\n."), "cannot be read"),
    Case("persistent_function.pt", _inside(lambda c: _HEAD + b"(" + _text("module") + b"cos\nsystem\ntQ."), "os.system"),
    Case("persistent_nonsense.pt", _inside(lambda c: _HEAD + b"(K\x01K\x02tQ."), "cannot be read"),
    Case("set_item_on_list.pt", _inside(lambda c: _HEAD + b"]" + _text("a") + _text("b") + b"s."), "cannot be read"),
    _lying("set_item_on_tensor.pt", _tensor()[:-2] + b"K\x00K\x01s" + _tensor()[-2:], "cannot be read"),
    Case("append_to_dict.pt", _inside(lambda c: _HEAD + b"}K\x01a."), "cannot be read"),
    Case("no_stop.pt", _inside(lambda c: _HEAD + b"}"), "cannot be read"),
    Case("empty_stack.pt", _inside(lambda c: _HEAD + b"."), "cannot be read"),
    Case("many_marks.pt", _inside(lambda c: _HEAD + b"(" * 100_000 + b"t."), "expected a state dict"),
    Case("nested_tuples.pt", _inside(lambda c: _HEAD + b")" + b"\x85" * 300_000 + b"."), "expected a state dict"),
    Case("nested_dicts.pt", _inside(lambda c: _HEAD + (b"}" + _text("model")) * 50_000 + b"}" + b"s" * 50_000 + b"."), "expected"),
    Case("in_itself.pt", _inside(lambda c: _HEAD + b"}q\x00" + _text("model") + b"h\x00s."), "expected"),
    Case("text_of_4_gb.pt", _inside(lambda c: _HEAD + b"X\xff\xff\xff\xffabc."), "cannot be read"),
    Case("memo_of_4_billion.pt", _inside(lambda c: _HEAD + b"}r\xff\xff\xff\xff."), "empty dict"),
    Case("number_of_2_gb.pt", _inside(lambda c: _HEAD + b"\x8b\xff\xff\xff\x7f."), "cannot be read"),
    Case("number_of_a_megabyte.pt", _inside(lambda c: _HEAD + b"\x8b" + struct.pack("<i", 10**6) + b"\x01" * 10**6 + b"."), "cannot be read"),
    Case("protocol_9.pt", _inside(lambda c: b"\x80\x09}."), "expected"),
    Case("second_pickle.pt", _whole_state_then(lambda c: pickle.dumps(_Opens(c))), None),
    _lying("storage_lies.pt", _tensor(count=b"\x8a\x05\xff\xff\xff\xff\x7f"), "cannot be read"),
    _lying("storage_is_short.pt", _tensor(shape="(K\x20K\x20t", stride="(K\x20K\x01t", count=b"M\x00\x04"), "do not fit"),
    _lying("offset_below_zero.pt", _tensor(offset=b"J\xff\xff\xff\xff"), "cannot be read"),
    _lying("offset_beyond.pt", _tensor(offset=b"J\xff\xff\xff\x7f"), "cannot be read"),
    _lying("stride_below_zero.pt", _tensor(stride="(J\xff\xff\xff\xffK\x01t"), "cannot be read"),
    _lying("stride_zero.pt", _tensor(shape="(J\x00\x00\x00\x40J\x00\x00\x00\x40t", stride="(K\x00K\x00t"), "repeats numbers"),
    _lying("shape_below_zero.pt", _tensor(shape="(J\xff\xff\xff\xffK\x02t"), "cannot be read"),
    _lying("shape_of_texts.pt", _tensor(shape="(X\x01\x00\x00\x00aK\x02t"), "cannot be read"),
    Case("bare_protocol_4.pt", attack(lambda c: pickle.dumps(_Opens(c), protocol=4)), "pickle"),
    Case("bare_protocol_5.pth", attack(lambda c: pickle.dumps(_Opens(c), protocol=5)), "pickle"),
    Case("as.ckpt", attack(lambda c: pickle.dumps(_Opens(c), protocol=3)), "pickle"),
    Case("as.joblib", attack(lambda c: pickle.dumps(_Opens(c), protocol=4)), "pickle"),
    Case("as.safetensors", attack(lambda c: pickle.dumps(_Opens(c), protocol=4)), "pickle"),
)  # fmt: skip
