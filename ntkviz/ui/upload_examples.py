"""Small files to download and imitate: one of each format that can be brought, and a specification."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

#: A network that no name of the registry stands for.
SPECIFICATION = {
    "layers": [
        {"type": "Conv2d", "in_channels": 1, "out_channels": 8, "kernel_size": 3, "padding": 1},
        {"type": "ReLU"},
        {"type": "MaxPool2d", "kernel_size": 2},
        {"type": "Flatten"},
        {"type": "Linear", "in_features": 1568, "out_features": 10},
    ],
    "normalise": {"mean": [0.1307], "std": [0.3081]},
}
#: The other form: a name of the registry with options.
NAMED = {
    "name": "mlp",
    "options": {"inputs": 784, "hidden": [100, 100], "n_classes": 10},
    "normalise": {"mean": 0.1307, "std": 0.3081},
}

_SAVE_WEIGHTS = """\
import numpy as np
import ntkviz
from safetensors.torch import save_file

ntkviz.export_model(model, x_test[:8], "model.pt2")  # any architecture, with its weights
save_file(model.state_dict(), "weights.safetensors")  # or the weights alone, for an architecture of the list
np.savez_compressed("data.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
"""


@dataclass(frozen=True)
class Example:
    """A file to imitate.

    Attributes:
        name: of the file.
        about: what it shows, a sentence.
        make: its bytes.
        mime: media type.
    """

    name: str
    about: str
    make: Callable[[], bytes]
    mime: str


def save_lines() -> str:
    """The Python that saves a model and its data in a form that can be brought."""
    return _SAVE_WEIGHTS


def specification_json() -> bytes:
    """The specification as a file."""
    return json.dumps(SPECIFICATION, indent=1).encode()


def _pictures(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bright squares on the left (class 0) or the right (class 1) of 28 x 28 grey images."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    pictures = rng.integers(0, 60, size=(n, 28, 28), dtype=np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        row, column = int(rng.integers(2, 18)), 3 + 14 * int(label)
        picture[row : row + 8, column : column + 8] = 220
    return pictures, labels.astype(np.int64)


def npz() -> bytes:
    """Images with a split of their own."""
    (x_train, y_train), (x_test, y_test) = _pictures(40, 0), _pictures(12, 1)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, class_names=np.array(["left", "right"])
    )
    return buffer.getvalue()


def table() -> bytes:
    """A table: numbers, a category, the split and the label."""
    rng = np.random.default_rng(0)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["length", "width", "colour", "split", "label"])
    for i in range(40):
        large = i % 2
        length, width = rng.normal(4 + 2 * large, 0.5), rng.normal(2 + large, 0.3)
        colour, split = ["red", "blue", "green"][i % 3], "test" if i % 5 == 4 else "train"
        writer.writerow([f"{length:.2f}", f"{width:.2f}", colour, split, ["small", "large"][large]])
    return buffer.getvalue().encode()


def texts() -> bytes:
    """Texts, one a line."""
    good, bad = (
        ["I loved every minute", "A great phone", "Wonderful food"],
        ["I want my money back", "It broke at once", "Cold food"],
    )
    lines = [
        {
            "text": f"{(good if i % 2 else bad)[i % 3]}, {['really', 'honestly', 'as it is'][i % 3]}.",
            "label": ["bad", "good"][i % 2],
        }
        for i in range(24)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def pictures_zip() -> bytes:
    """Pictures in a folder for each class."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for split, n, seed in (("train", 20, 0), ("test", 8, 1)):
            for index, (picture, label) in enumerate(zip(*_pictures(n, seed), strict=True)):
                png = io.BytesIO()
                Image.fromarray(picture).save(png, format="PNG")
                archive.writestr(f"{split}/{['left', 'right'][label]}/{index:03d}.png", png.getvalue())
    return buffer.getvalue()


EXAMPLES = (
    Example("example.npz", "NumPy arrays x_train, y_train, x_test, y_test: images, tables or token ids.", npz, "application/zip"),
    Example("example.csv", "A table with a header; columns named label and split are understood.", table, "text/csv"),
    Example("example.jsonl", "One JSON object a line, with text and label.", texts, "application/jsonl"),
    Example("example.zip", "Pictures in folders: train/cat/001.png, test/dog/007.png.", pictures_zip, "application/zip"),
)
