"""Laws of zips of class folders, and of archives in general: checked by their directory, never unpacked to disk."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ntkviz.data.options import Limits, ReadOptions
from ntkviz.data.readers import read_dataset
from ntkviz.errors import UploadRejected
from ntkviz.types import Dataset
from tests.data.files import grey_images, image_bytes, put, valid_files, zip_bytes

GREY = grey_images(12)
COLOUR = np.random.default_rng(3).integers(0, 256, (12, 6, 6, 3), dtype=np.uint8)


def read(folder: Path, members: dict[str, bytes], **options: object) -> Dataset:
    return read_dataset(put(folder, "x.zip", zip_bytes(members)), options=ReadOptions(**options))  # type: ignore[arg-type]


def refused(folder: Path, members: dict[str, bytes], match: str, **options: object) -> None:
    with pytest.raises(UploadRejected, match=match):
        read(folder, members, **options)


def folders(images: np.ndarray, pattern: str = "{label}/{i:03}.png", form: str = "PNG") -> dict[str, bytes]:
    return {pattern.format(label="cat" if i % 2 else "dog", i=i): image_bytes(image, form=form) for i, image in enumerate(images)}


def by_file(dataset: Dataset) -> dict[str, tuple[np.ndarray, str]]:
    """What is shown of every file, and its class."""
    assert dataset.meta is not None
    shown = np.concatenate([dataset.display.train, dataset.display.test])
    labels = [dataset.class_names[y] for y in [*dataset.y_train, *dataset.y_test]]
    return dict(zip(dataset.meta["file"].tolist(), zip(shown, labels, strict=True), strict=True))


@pytest.mark.parametrize("images", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("form", ["PNG", "BMP", "PPM"])
def test_the_folder_is_the_class_and_pixels_are_kept(tmp_path: Path, images: np.ndarray, form: str) -> None:
    suffix = {"PNG": "png", "BMP": "bmp", "PPM": "ppm" if images.ndim == 4 else "pgm"}[form]
    dataset = read(tmp_path, folders(images, "{label}/{i:03}." + suffix, form))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.x_train.shape[1:] == ((1, 6, 6) if images.ndim == 3 else (3, 6, 6))
    for i, image in enumerate(images):
        shown, label = by_file(dataset)[f"{'cat' if i % 2 else 'dog'}/{i:03}.{suffix}"]
        assert label == ("cat" if i % 2 else "dog")
        np.testing.assert_array_equal(shown, image)


@pytest.mark.parametrize("top", ["", "set/", "a/b/"])
@pytest.mark.parametrize("train", ["train", "Training"])
def test_train_and_test_folders_are_the_split(tmp_path: Path, top: str, train: str) -> None:
    members = folders(GREY[:8], f"{top}{train}/{{label}}/{{i}}.png") | folders(GREY[8:], f"{top}test/{{label}}/{{i}}.png")
    dataset = read(tmp_path, members)
    assert (len(dataset.y_train), len(dataset.y_test)) == (8, 4)
    left_out = read(tmp_path, members | folders(GREY[:3], f"{top}val/{{label}}/{{i}}.png"))
    assert len(left_out.y_train) == 8
    assert any("3 validation images" in note for note in left_out.notes)


def test_what_systems_leave_behind_is_passed_over_and_other_files_are_noted(tmp_path: Path) -> None:
    clutter = {"__MACOSX/cat/._001.png": b"x", "cat/.DS_Store": b"x", "dog/Thumbs.db": b"x", "empty/": b""}
    assert len(read(tmp_path, folders(GREY) | clutter).notes) == 1
    dataset = read(tmp_path, folders(GREY) | {"README.txt": b"x"})
    assert any("1 files that are no images were left out: 'README.txt'" in note for note in dataset.notes)


def test_folder_names_that_are_numbers_are_the_labels(tmp_path: Path) -> None:
    members = {f"{i % 11}/{i}.png": image_bytes(GREY[0]) for i in range(33)}
    assert read(tmp_path, members).class_names == tuple(str(i) for i in range(11))


def test_mixed_sizes_are_refused_and_can_be_resized(tmp_path: Path) -> None:
    members = folders(GREY) | {"cat/zz.png": image_bytes(np.zeros((9, 4), dtype=np.uint8))}
    refused(tmp_path, members, r"one size, 6 x 6 as the first; got 9 x 4 for 'cat/zz\.png'")
    dataset = read(tmp_path, members, image_size=(6, 5))
    assert dataset.x_train.shape[2:] == (6, 5)
    assert any("13 of 13 images were resized to 6 x 5" in note for note in dataset.notes)


def test_grey_among_colour_is_noted(tmp_path: Path) -> None:
    dataset = read(tmp_path, folders(COLOUR) | {"cat/zz.png": image_bytes(GREY[0])})
    assert any("1 grey images were read as colour" in note for note in dataset.notes)
    np.testing.assert_array_equal(by_file(dataset)["cat/zz.png"][0], np.repeat(GREY[0][..., None], 3, axis=2))


def test_transparency_is_dropped_with_a_note(tmp_path: Path) -> None:
    clear = np.dstack([COLOUR[0], np.zeros((6, 6), dtype=np.uint8)])
    dataset = read(tmp_path, folders(COLOUR) | {"cat/zz.png": image_bytes(clear)})
    assert any("1 images have transparent parts" in note for note in dataset.notes)


def test_images_of_16_bits_are_refused(tmp_path: Path) -> None:
    refused(
        tmp_path, folders(GREY) | {"cat/zz.png": image_bytes(GREY[0].astype(np.uint16) * 250)}, r"8 bits a channel.*cat/zz\.png"
    )


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({}, "got no files"),
        ({"notes.txt": b"x"}, r"1 other files: 'notes\.txt'"),
        ({"001.png": b"x"}, "class folders"),
        ({"a/b/001.png": b"x", "c/001.png": b"x"}, r"'a/b/001\.png'"),
        ({"cat/001.gif": b"x"}, "Convert them, best to PNG"),
        ({"cat/001.png": b"no image", "dog/001.png": b"x"}, r"'cat/001\.png', which cannot be decoded"),
        ({"cat/001.png": image_bytes(GREY[0])[:40], "dog/1.png": b""}, "cannot be decoded"),
        ({"cat/1.png": image_bytes(GREY[0]), "cat/2.png": image_bytes(GREY[0])}, "at least two classes"),
    ],
)
def test_what_is_no_image_set_is_refused(tmp_path: Path, members: dict[str, bytes], match: str) -> None:
    refused(tmp_path, members, match)


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is large, with next to no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [None, (4, 4)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, size: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image.core, "new", lambda *_: pytest.fail("pixels were allocated"))
    refused(tmp_path, {"cat/1.png": bomb(60_000, 2_000)}, "2000 x 60000", image_size=size)
    refused(tmp_path, {"cat/1.png": bomb(2**31 - 1, 2**31 - 1)}, r"pixels; got|cannot be decoded", image_size=size)


def test_the_pixel_limit_counts_what_is_kept(tmp_path: Path) -> None:
    refused(tmp_path, folders(GREY), "at most 35 pixels; got 6 x 6", limits=Limits(pixels=35))
    assert read(tmp_path, folders(GREY), image_size=(5, 5), limits=Limits(pixels=35)).x_train.shape[2:] == (5, 5)


@pytest.mark.parametrize(
    "name", ["../cat/1.png", "/cat/1.png", "cat/../../1.png", "C:/cat/1.png", "..\\cat\\1.png", "\\cat\\1.png", "cat/1.png\0.x"]
)
def test_names_that_lead_out_of_the_archive_are_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    content = zip_bytes(folders(GREY) | {"Q" * len(name): image_bytes(GREY[0])}).replace(b"Q" * len(name), name.encode())
    path = put(tmp_path, "x.zip", content)
    with pytest.raises(UploadRejected, match="leads out of it"):
        read_dataset(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    content = zip_bytes(folders(GREY) | {"cat/QQQ.png": b"x"}).replace(b"cat/QQQ.png", b"cat/001.png")
    with pytest.raises(UploadRejected, match="stands twice"):
        read_dataset(put(tmp_path, "x.zip", content))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression_is_refused(tmp_path: Path, compression: int) -> None:
    with pytest.raises(UploadRejected, match="packed in an unusual way"):
        read_dataset(put(tmp_path, "x.zip", zip_bytes(folders(GREY), compression=compression)))


def test_encrypted_archives_are_refused(tmp_path: Path) -> None:
    content = bytearray(zip_bytes({"cat/1.png": b"x"}))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UploadRejected, match="encrypted"):
        read_dataset(put(tmp_path, "x.zip", bytes(content)))


def test_a_member_that_is_larger_than_it_says_is_read_no_further(tmp_path: Path) -> None:
    content = bytearray(zip_bytes({"cat/1.png": bytes(50_000_000)}))
    place = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, place + 24, 100)
    path = put(tmp_path, "x.zip", bytes(content))
    tracemalloc.start()
    try:
        with pytest.raises(UploadRejected, match=r"damaged|cannot be decoded"):
            read_dataset(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_member_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_bytes({"cat/1.png": image_bytes(GREY[0])}, compression=zipfile.ZIP_STORED))
    content[content.index(b"IDAT") + 6] ^= 1
    with pytest.raises(UploadRejected, match=r"'cat/1\.png' damaged"):
        read_dataset(put(tmp_path, "x.zip", bytes(content)))


@pytest.mark.parametrize("zip64", [False, True])
def test_a_directory_of_millions_of_entries_is_refused_before_it_is_read(
    tmp_path: Path, zip64: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile.ZipFile, "__init__", lambda *_: pytest.fail("the directory was read"))
    size = 1_000_000_000
    if zip64:
        record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 9**9, 9**9, size, 0)
        content = record + b"PK\x06\x07" + struct.pack("<IQI", 0, 0, 1) + b"PK\x05\x06" + b"\xff" * 16 + b"\0\0"
    else:
        content = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65_535, 65_535, size, 0, 0)
    with pytest.raises(UploadRejected, match="an archive of at most"):
        read_dataset(put(tmp_path, "x.zip", content))


@pytest.mark.parametrize("suffix", [".npz", ".zip"])
def test_every_truncation_is_refused(suffix: str, tmp_path: Path) -> None:
    whole = valid_files()[suffix]
    for length in range(1, len(whole), 23):
        with pytest.raises(UploadRejected):
            read_dataset(put(tmp_path, f"x{suffix}", whole[:length]))


def test_images_beyond_the_memory_limit_are_refused_by_the_first(tmp_path: Path) -> None:
    photograph = io.BytesIO()
    Image.new("RGB", (400, 400)).save(photograph, "PNG")
    members = {f"{'cat' if i % 2 else 'dog'}/{i}.png": photograph.getvalue() for i in range(20)}
    refused(tmp_path, members, "20 points of 480,000 numbers, 38 MB", limits=Limits(inflated_mb=20))
