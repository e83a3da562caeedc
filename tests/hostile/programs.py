"""Programs and other formats under a model's name. Exported programs (.pt2) have their own reader and a module of their own."""

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import torch
from torch import nn

from tests.hostile.case import Case, attack, content
from tests.models.hostile import network, packed, saved


class _Writes(nn.Module):
    """A program that writes a file when it runs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "ntkviz-canary")
        return x


def _script() -> bytes:
    """A real TorchScript archive."""
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(network()), buffer)
    return buffer.getvalue()


def _compressed() -> bytes:
    return packed([("net/code/__torch__.py", b"x" * 5000), ("net/data.pkl", b"}.")], compression=zipfile.ZIP_DEFLATED)


class _Evil(nn.Linear):
    def __init__(self, canary: str) -> None:
        super().__init__(2, 2)
        self.canary = canary

    def __reduce__(self):
        return exec, (f"open({self.canary!r}, 'w').close()",)


CASES = (
    Case("script.pt", content(_script), "TorchScript"),
    Case("script_as.pth", content(_script), "TorchScript"),
    Case("script_as.safetensors", content(_script), "TorchScript"),
    Case("compressed_program.pt", content(_compressed), "TorchScript"),
    Case("module_with_code.pt", attack(lambda c: saved(_Evil(c))), "'exec'"),
    Case("module_in_checkpoint.pt", attack(lambda c: saved({"model": _Evil(c), "epoch": 3})), "'exec'"),
    Case("writing_module.pt", content(lambda: saved(_Writes())), "weights_only"),
    Case("loss_object.pt", content(lambda: saved({"state_dict": network().state_dict(), "loss": nn.CrossEntropyLoss()})), "CrossEntropyLoss"),
    Case("model.onnx", content(b"\x08\x08\x12\x04evil:\x00"), "ONNX"),
    Case("external_data.onnx", content(b"\x08\x08location../../../etc/passwd"), "ONNX"),
    Case("archive.mar", content(lambda: packed([("MAR-INF/MANIFEST.json", b"{}"), ("handler.py", b"import os")])), "looks like data"),
    Case("model.keras", content(lambda: packed([("config.json", b'{"class_name":"Lambda"}'), ("model.weights.h5", b"")])), "Keras"),
    Case("saved_model.pb", content(b"\x08\x01\x12\x04evil"), "not a model file"),
    Case("model.tflite", content(b"\x1c\x00\x00\x00TFL3" + bytes(40)), "not a model file"),
    Case("weights.h5", content(b"\x89HDF\r\n\x1a\n" + bytes(600)), "h5py"),
    Case("sklearn.joblib", attack(lambda c: pickle.dumps(_Evil(c))), "pickle"),
    Case("compressed.joblib", content(b"x\x9c" + bytes(100)), "pickle"),
    Case("library.pt", content(b"\x7fELF\x02\x01\x01" + bytes(500)), "no format known"),
    Case("windows.pt", content(b"MZ\x90\x00" + bytes(500)), "no format known"),
    Case("page.safetensors", content("<html><script>window.PWN=1</script></html>"), "cut off"),
    Case("yaml.pt", content("!!python/object/apply:os.system ['touch x']\n"), "no format known"),
    Case("xml.pt", content('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'), "no format known"),
    Case("shell.pt", content("#!/bin/sh\ntouch canary\n"), "no format known"),
    Case("code.py", attack(lambda c: f"open({c!r}, 'w').close()\nmodel = None\n".encode()), "code.py"),
    Case("arrays.pt", content(lambda: saved({"w": np.zeros(3)})), "numpy"),
    Case("gguf.pt", content(b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60)), "no format known"),
    Case("numpy.pt", content(b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), "no format known"),
    Case("json.safetensors", content(json.dumps({"w": 1})), "cut off"),
)  # fmt: skip
