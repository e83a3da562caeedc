"""Small valid data files of every format, for tests."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def npz_bytes(**arrays: object) -> bytes:
    """An npz file of arrays."""
    buffer = io.BytesIO()
    # NumPy pickles object arrays here, as a person's script would; the readers have to refuse them.
    np.savez_compressed(buffer, **{key: np.asarray(value) for key, value in arrays.items()})  # type: ignore[arg-type]
    return buffer.getvalue()


def zip_bytes(members: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def image_bytes(pixels: np.ndarray, *, form: str = "PNG") -> bytes:
    """An encoded image of uint8 pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def grey_images(n: int, *, side: int = 6, seed: int = 0) -> np.ndarray:
    """uint8 [n, side, side] of noise, with both extremes in it."""
    pixels = np.random.default_rng(seed).integers(0, 256, (n, side, side), dtype=np.uint8)
    pixels[0, 0, :2] = 0, 255
    return pixels


def put(folder: Path, name: str, content: bytes | str) -> Path:
    """A file with a content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(records: list[dict[str, object]]) -> str:
    """JSON lines."""
    return "".join(json.dumps(record) + "\n" for record in records)


def valid_files() -> dict[str, bytes]:
    """One valid file of each accepted ending."""
    images = grey_images(12)
    labels = np.arange(12) % 3
    table = "a,b,colour,label\n" + "".join(f"{i},{i / 7},{'red' if i % 2 else 'blue'},{i % 3}\n" for i in range(12))
    texts = jsonl(
        [
            {"text": f"this is text number {i}", "label": "yes" if i % 2 else "no", "split": "train" if i < 8 else "test"}
            for i in range(12)
        ]
    )
    folders = {f"{'cat' if i % 2 else 'dog'}/{i:03}.png": image_bytes(image) for i, image in enumerate(images)}
    return {
        ".npz": npz_bytes(
            x_train=images[:9], y_train=labels[:9], x_test=images[9:], y_test=labels[9:], class_names=["p", "q", "r"]
        ),
        ".csv": table.encode(),
        ".csv.gz": gzip.compress(table.encode()),
        ".jsonl": texts.encode(),
        ".jsonl.gz": gzip.compress(texts.encode()),
        ".zip": zip_bytes(folders),
    }
