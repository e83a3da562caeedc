"""A corpus of hostile and odd model files, made here and never shipped: each is refused with a sentence or read harmlessly."""

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


@dataclass(frozen=True)
class Odd:
    """A file of the corpus: how it is made, and a text that its refusal contains (None: it may be read)."""

    name: str
    write: Callable[[Path, Path], None]  # (file, canary that a successful attack would create)
    says: str | None


class Attack:
    """Creates the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def saved(value: object) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {member.filename: archive.read(member) for member in archive.infolist()}


def packed(parts: list[tuple[str, bytes]], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in parts:
            archive.writestr(name, data)
    return buffer.getvalue()


def with_pickle(payload: bytes) -> bytes:
    """A torch archive with another data.pkl."""
    parts = members(saved(network().state_dict()))
    folder = next(iter(parts)).split("/")[0]
    return packed([(name, payload if name == f"{folder}/data.pkl" else data) for name, data in parts.items()])


def safetensors_bytes(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def _raw(data: Callable[[], bytes]) -> Callable[[Path, Path], None]:
    def write(path: Path, canary: Path) -> None:
        path.write_bytes(data())

    return write


def _evil(data: Callable[[Path], bytes]) -> Callable[[Path, Path], None]:
    def write(path: Path, canary: Path) -> None:
        path.write_bytes(data(canary))

    return write


def _duplicate() -> bytes:
    parts = list(members(saved(network().state_dict())).items())
    return packed([*parts, parts[0]])


def _second_pickle(canary: Path) -> bytes:
    parts = members(saved(network().state_dict()))
    folder = next(iter(parts)).split("/")[0]
    return packed([*parts.items(), (f"{folder}/data2.pkl", pickle.dumps(Attack(canary)))])


def _state_with(canary: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"0.weight": torch.zeros(2, 2), "evil": Attack(canary)}, buffer)
    return buffer.getvalue()


def _deflated() -> bytes:
    parts = members(saved({"w": torch.zeros(1)}))
    bomb = [(name, bytes(32 * 2**20) if name.endswith("/data/0") else data) for name, data in parts.items()]
    return packed(bomb, compression=zipfile.ZIP_DEFLATED)


def _encrypted() -> bytes:
    data = bytearray(saved(network().state_dict()))
    place = data.find(b"PK\x01\x02")
    data[place + 8] |= 1
    return bytes(data)


def _overlapping() -> bytes:
    """Directory entries that all stand for the same bytes: each is honest alone, together they are larger than the file."""
    data = packed([("a/data.pkl", b"x" * 5000), ("a/v1", b""), ("a/v2", b"")])
    first = data.find(b"PK\x01\x02")
    for at in (data.find(b"PK\x01\x02", first + 4), data.rfind(b"PK\x01\x02")):
        data = data[: at + 16] + data[first + 16 : first + 28] + data[at + 28 :]  # checksum and sizes
        data = data[: at + 42] + struct.pack("<I", 0) + data[at + 46 :]
    return data


def _torchscript() -> bytes:
    parts = members(saved(network().state_dict()))
    folder = next(iter(parts)).split("/")[0]
    extra = [(f"{folder}/constants.pkl", b"\x80\x02)."), (f"{folder}/code/__torch__/net.py", b"def forward(self): pass")]
    return packed([*parts.items(), *extra])


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("sys_info", "storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return buffer.getvalue()


def _legacy() -> bytes:
    buffer = io.BytesIO()
    torch.save(network().state_dict(), buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def _nested_lists() -> bytes:
    return with_pickle(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")


def _laughs() -> bytes:
    """Lists of lists of lists, 10^12 entries if somebody walks them."""
    payload = b"\x80\x02]q\x00"
    for level in range(12):
        payload += b"]" + b"q" + bytes([level + 1]) + b"(" + (b"h" + bytes([level])) * 10 + b"e"
    return with_pickle(payload + b".")


def _npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros(3))
    return buffer.getvalue()


def _fifo(path: Path, canary: Path) -> None:
    os.mkfifo(path)


def _link(path: Path, canary: Path) -> None:
    target = path.with_name("target.pt")
    target.write_bytes(saved(network().state_dict()))
    path.symlink_to(target)


def _nan() -> dict[str, torch.Tensor]:
    state = network().state_dict()
    state["2.weight"][0, 3] = float("nan")
    return state


def _truncated_safetensors() -> bytes:
    import safetensors.torch

    return safetensors.torch.save(network().state_dict())[:-17]


def _sparse() -> bytes:
    return saved({"w": torch.eye(3).to_sparse()})


CORPUS = (
    Odd("empty.pt", _raw(lambda: b""), "is empty"),
    Odd("garbage.pt", _raw(lambda: b"not a model"), "no format known"),
    Odd("noise.safetensors", _raw(lambda: np.random.default_rng(0).bytes(4096)), "safetensors"),
    Odd("folder.pt", lambda path, canary: path.mkdir(), "folder"),
    Odd("missing.pt", lambda path, canary: None, "no readable file"),
    Odd("link.pt", _link, "link"),
    Odd("pipe.pt", _fifo, "folder or a device"),
    Odd("deflated.pt", _raw(_deflated), "compressed"),
    Odd("encrypted.pt", _raw(_encrypted), "encrypted"),
    Odd("overlapping.pt", _raw(_overlapping), "no more than the file"),
    Odd("twice.pt", _raw(_duplicate), "twice"),
    Odd("climbing.pt", _raw(lambda: packed([("a/data.pkl", b"."), ("a/../../evil", b"x")])), "leaves its folder"),
    Odd("two_folders.pt", _raw(lambda: packed([("a/data.pkl", b"."), ("b/data.pkl", b".")])), "several folders"),
    Odd("many_members.pt", _raw(lambda: packed([(f"a/{i}", b"") for i in range(20_001)])), "members"),
    Odd("cut.pt", _raw(lambda: saved(network().state_dict())[:-100]), "cut off"),
    Odd("trailing.pt", _raw(lambda: saved(network().state_dict()) + b"MZ extra"), "other bytes follow"),
    Odd("view_bomb.pt", _raw(lambda: saved({"w": torch.zeros(1).as_strided((10**6, 10**6), (0, 0))})), "repeats numbers"),
    Odd("nested.pt", _raw(_nested_lists), "expected a state dict"),
    Odd("laughs.pt", _raw(_laughs), "expected a state dict"),
    Odd("big_pickle.pt", _raw(lambda: with_pickle(b"\x80\x02" + b"N0" * 5_000_000 + b"N.")), "larger than"),
    Odd("attack.pkl", _evil(lambda canary: pickle.dumps(Attack(canary))), "pickle"),
    Odd("attack.pt", _evil(lambda canary: pickle.dumps(Attack(canary))), "pickle"),
    Odd("attack_protocol_0.pt", _evil(lambda canary: pickle.dumps(Attack(canary), protocol=0)), "no format known"),
    Odd("attack_in_zip.pt", _evil(lambda canary: with_pickle(pickle.dumps(Attack(canary), protocol=2))), "system"),
    Odd("attack_beside_tensor.pt", _evil(_state_with), "system"),
    Odd("attack_second_member.pt", _evil(_second_pickle), None),
    Odd("whole_module.pt", _raw(lambda: saved(network())), "weights_only=False"),
    Odd("torchscript.pt", _raw(_torchscript), "jit.load"),
    Odd("exported.pt2", _raw(lambda: packed([("m/models/model.json", b"{}")])), "open_upload"),
    Odd("exported_as.pt", _raw(lambda: packed([("m/models/model.json", b"{}")])), "open_upload"),
    Odd("legacy.pt", _raw(_legacy), "version 1.6"),
    Odd("tar.pt", _raw(_tar), "tar"),
    Odd("graph.onnx", _raw(lambda: b"\x08\x07\x12\x07pytorch"), "ONNX"),
    Odd("keras.h5", _raw(lambda: b"\x89HDF\r\n\x1a\n" + bytes(100)), "h5py"),
    Odd("pytorch_model.bin", _raw(lambda: saved(network().state_dict())), ".bin"),
    Odd("data.pt", _raw(_npz), "looks like data"),
    Odd("a_list.pt", _raw(lambda: saved([torch.zeros(2)])), "expected a state dict"),
    Odd("one_tensor.pt", _raw(lambda: saved(torch.zeros(2))), "a single tensor"),
    Odd("no_tensors.pt", _raw(lambda: saved({"epoch": 3, "lr": 0.1})), "epoch"),
    Odd("empty_dict.pt", _raw(lambda: saved({})), "empty dict"),
    Odd("number_keys.pt", _raw(lambda: saved({3: torch.zeros(2)})), "int"),
    Odd("mixed.pt", _raw(lambda: saved({"0.weight": torch.zeros(2, 2), "step": 4})), "step"),
    Odd("complex.pt", _raw(lambda: saved({"w": torch.zeros(2, dtype=torch.complex64)})), "real numbers"),
    Odd("sparse.pt", _raw(_sparse), "dense"),
    Odd("nan.pt", _raw(lambda: saved(_nan())), "'2.weight'"),
    Odd("many_tensors.pt", _raw(lambda: saved({str(i): torch.zeros(0) for i in range(5_001)})), "5,001 tensors"),
    Odd("long_name.pt", _raw(lambda: saved({"x" * 300: torch.zeros(1)})), "300 characters"),
    Odd("cut.safetensors", _raw(_truncated_safetensors), "damaged"),
    Odd("short.safetensors", _raw(lambda: b"\x02\0\0\0\0\0\0\0{"), "safetensors"),
    Odd("huge_header.safetensors", _raw(lambda: struct.pack("<Q", 2**63) + b"{}"), "cut off"),
    Odd("long_header.safetensors", _raw(lambda: safetensors_bytes(b"{" + b" " * (5 * 2**20) + b"}")), "at most"),
    Odd("list_header.safetensors", _raw(lambda: safetensors_bytes([1, 2])), "no JSON object"),
    Odd("deep_header.safetensors", _raw(lambda: safetensors_bytes(b'{"a":' * 100_000)), "damaged"),
    Odd("no_fields.safetensors", _raw(lambda: safetensors_bytes({"w": {}})), "damaged"),
    Odd("no_tensor.safetensors", _raw(lambda: safetensors_bytes({"__metadata__": {"a": "b"}})), "no tensors"),
    Odd(
        "overlap.safetensors",
        _raw(lambda: safetensors_bytes({"a": entry([4], 0, 16), "b": entry([4], 0, 16)}, bytes(16))),
        "damaged",
    ),
    Odd("hole.safetensors", _raw(lambda: safetensors_bytes({"a": entry([4], 8, 24)}, bytes(24))), "damaged"),
    Odd("liar.safetensors", _raw(lambda: safetensors_bytes({"a": entry([10**9], 0, 16)}, bytes(16))), "other bytes"),
    Odd("negative.safetensors", _raw(lambda: safetensors_bytes({"a": entry([-4], 0, 16)}, bytes(16))), "other bytes"),
    Odd("flat.safetensors", _raw(lambda: safetensors_bytes({"a": entry([0, 2**62], 0, 0)})), "axes shorter"),
    Odd("float8.safetensors", _raw(lambda: safetensors_bytes({"a": entry([4], 0, 4, "F8_E4M3")}, bytes(4))), "F8_E4M3"),
    Odd(
        "megabyte_name.safetensors",
        _raw(lambda: safetensors_bytes({"n" * 10**6: entry([1], 0, 4)}, bytes(4))),
        "1,000,000 characters",
    ),
    Odd(
        "fifty_thousand.safetensors",
        _raw(lambda: safetensors_bytes({f"t{i}": entry([0], 0, 0) for i in range(50_000)})),
        "50,000 tensors",
    ),
    Odd(
        "infinite.safetensors",
        _raw(lambda: safetensors_bytes({"a": entry([1], 0, 4)}, struct.pack("<f", float("inf")))),
        "infinite",
    ),
)
