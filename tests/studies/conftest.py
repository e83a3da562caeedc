"""A small subject of one's own: a perceptron for tables on three clouds of points, brought like any upload."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ntkviz.models.spec import build_model, parse_spec
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.subjects import Subject
from ntkviz.studies.uploads import register_upload

OPTIONS = {"features": 6, "n_classes": 3, "width": 16, "blocks": 2}


def clouds(n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return (2.0 * np.eye(6)[y] + rng.normal(size=(n, 6))).astype(np.float32), y


def write_files(folder: Path, *, width: int = 16, n_train: int = 240, seed: int = 0) -> dict[str, Path]:
    """Weights (a few steps of training), architecture and data."""
    architecture = {"name": "tabular", "options": {**OPTIONS, "width": width}}
    torch.manual_seed(seed)
    model = build_model(parse_spec(architecture))
    (x, y), (x_test, y_test) = clouds(n_train, seed=1), clouds(90, seed=2)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(30):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimiser.step()
    files = {"model": folder / "w.safetensors", "architecture": folder / "net.json", "data": folder / "points.npz"}
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, files["model"])
    files["architecture"].write_text(json.dumps(architecture))
    np.savez(files["data"], x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return files


@pytest.fixture(scope="session")
def brought(tmp_path_factory) -> tuple[Path, Subject]:
    """A home with one upload, to copy from."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("brought")
    files = write_files(folder)
    home = folder / "home"
    return home, register_upload(files["model"], files["data"], architecture=files["architecture"], home=home, title="Clouds")


@pytest.fixture
def home(brought, tmp_path) -> Path:
    """A fresh home with the upload and nothing else."""
    place = tmp_path / "home"
    shutil.copytree(brought[0] / "uploads", place / "uploads")
    return place


@pytest.fixture
def store(home) -> Store:
    return Store(home)


@pytest.fixture
def spec(brought) -> Callable[..., StudySpec]:
    """Makes small studies of the upload."""

    def make(**choices: object) -> StudySpec:
        return StudySpec(
            **{"upload": brought[1].id, "n_train": 40, "n_test": 20, "kernel": "trntk", "surrogate": "ridge", **choices}
        )

    return make


@pytest.fixture(scope="session")
def wide(tmp_path_factory) -> tuple[Path, Subject]:
    """A home with an upload whose projected kernel takes ten seconds and more, in many short steps."""
    folder = tmp_path_factory.mktemp("wide")
    files = write_files(folder, width=320, n_train=1200)
    home = folder / "home"
    return home, register_upload(files["model"], files["data"], architecture=files["architecture"], home=home, title="Wide")
