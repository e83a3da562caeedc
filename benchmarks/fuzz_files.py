"""Sound small files of every kind that people bring, and what reads them; their bytes are the same in every run."""

import io
import json
import re
import struct
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import nn

import ntkviz
from ntkviz.data.readers import read_dataset
from ntkviz.models.loader import read_weights
from ntkviz.models.pt2.reader import read_pt2
from ntkviz.models.spec import build_model, parse_spec


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).eval()


def _zip_of_pictures() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for split in ("train", "test"):
            for name in ("a", "b"):
                for i in range(3):
                    picture = io.BytesIO()
                    Image.fromarray(np.full((4, 4), 40 * i, np.uint8)).save(picture, format="PNG")
                    archive.writestr(f"{split}/{name}/{i}.png", picture.getvalue())
    return out.getvalue()


def _saved(write: Callable[[Path], object], suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        write(path)
        return path.read_bytes()


def _undated(archive: bytes) -> bytes:
    """A zip of which every member is of the first of January 1980, whenever it was made."""
    new_year = struct.pack("<HH", 0, 1 << 5 | 1)
    for start in (rb"PK\x03\x04.{6}", rb"PK\x01\x02.{8}"):
        archive = re.sub(b"(" + start + b").{4}", lambda found: found[1] + new_year, archive, flags=re.DOTALL)
    return archive


def _npz(path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((8, 4)).astype(np.float32), np.arange(8) % 2
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)


def _spec(path: Path) -> object:
    return build_model(parse_spec(path), device="meta")


@cache
def readers() -> dict[str, tuple[str, bytes, Callable[[Path], object]]]:
    """Name -> (suffix, a sound file, what reads it)."""
    rows = "".join(f"{i},{i % 3},{'ab'[i % 2]}\n" for i in range(20))
    lines = "".join(
        json.dumps({"text": f"word {i}", "label": "ab"[i % 2], "split": ["train", "test"][i % 4 == 0]}) + "\n" for i in range(20)
    )
    spec = {
        "layers": [{"type": "Linear", "in_features": 4, "out_features": 3}, {"type": "ReLU"}],
        "normalise": {"mean": [0.5], "std": [0.2]},
    }
    state = {name: tensor.contiguous() for name, tensor in _network().state_dict().items()}
    return {
        "torch": (".pt", _saved(lambda path: torch.save(state, path), ".pt"), read_weights),
        "safetensors": (".safetensors", safetensors.torch.save(state), read_weights),
        "pt2": (".pt2", _saved(lambda path: ntkviz.export_model(_network(), torch.zeros(2, 4), path), ".pt2"), read_pt2),
        "spec": (".json", json.dumps(spec).encode(), _spec),
        "npz": (".npz", _undated(_saved(_npz, ".npz")), read_dataset),
        "csv": (".csv", f"one,two,label\n{rows}".encode(), read_dataset),
        "jsonl": (".jsonl", lines.encode(), read_dataset),
        "zip": (".zip", _undated(_zip_of_pictures()), read_dataset),
    }
