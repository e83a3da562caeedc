"""Zip archives of class folders: ``cat/001.png``, or ``train/cat/001.png`` and ``test/cat/001.png``.

Images are decoded from memory; no name of the archive ever becomes a path.
"""

import io
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ntkviz.data.guard import check_inputs, check_rows, explain, few, open_archive, read_member, short
from ntkviz.data.options import ReadOptions
from ntkviz.data.points import Points
from ntkviz.errors import UploadRejected

#: Suffixes that are read, and the decoders that may be tried; no others of Pillow's are let near a file from outside.
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".pgm", ".ppm")
_DECODERS = ("PNG", "JPEG", "BMP", "WEBP", "PPM")
_OTHER_IMAGES = (".gif", ".tif", ".tiff", ".heic", ".svg", ".ico", ".npy")

_GREY = ("1", "L", "LA")
_COLOUR = ("P", "RGB", "RGBA", "CMYK", "YCbCr")

#: A photograph that is to be brought to image_size may be this large; 25 megapixels are 75 MB while it is decoded.
_PHOTOGRAPH_PIXELS = 25_000_000

_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_LEFT_OUT = ("val", "valid", "validation", "dev")


@dataclass(frozen=True)
class _Entry:
    """One image of an archive."""

    member: zipfile.ZipInfo
    split: str
    label: str


def read_image_zip(path: Path, options: ReadOptions, *, name: str) -> Points:
    """The images of a zip archive; the folder is the class.

    Args:
        path: a file that was checked for its size.
        options: ``image_size`` and limits.
        name: a short name for titles.

    Returns:
        grey images when all are grey, else colour images; ``columns`` has the name of each file.

    Raises:
        UploadRejected: when the archive is no such one, or an image cannot be read or has another size.
    """
    with open_archive(path, options.limits) as archive:
        entries, notes = _entries(archive.infolist())
        check_rows(len(entries), options.limits)
        pictures, more = _pictures(archive, entries, options)
    split = np.array([entry.split == "test" for entry in entries], dtype=bool)
    has_split = bool(split.any() and not split.all())
    return Points(
        kind="image",
        x=pictures,
        labels=[entry.label for entry in entries],
        is_test=split if has_split else None,
        columns={"file": [entry.member.filename for entry in entries]},
        name=name,
        notes=(*notes, *more),
    )


def _entries(members: list[zipfile.ZipInfo]) -> tuple[list[_Entry], list[str]]:
    """The images of an archive, by name, with split and class.

    Raises:
        UploadRejected: when an image does not lie in a class folder, or is of a type that is not read.
    """
    files = {member: _parts(member.filename) for member in members if not member.is_dir()}
    files = {member: parts for member, parts in files.items() if parts and not _is_clutter(parts)}
    images = {member: parts for member, parts in files.items() if parts[-1].lower().endswith(_SUFFIXES)}
    for member, parts in files.items():
        if parts[-1].lower().endswith(_OTHER_IMAGES):
            raise UploadRejected(
                explain(
                    expected=f"images as {', '.join(_SUFFIXES)}", got=short(member.filename), todo="Convert them, best to PNG."
                )
            )
    if not images:
        raise UploadRejected(
            explain(
                expected=f"class folders of images ({', '.join(_SUFFIXES)}), such as cat/001.png",
                got=f"{len(files)} other files: {few([parts[-1] for parts in files.values()], 3)}" if files else "no files",
                todo="Put the images of each class into a folder of its name and zip the folders.",
            )
        )
    notes = []
    others = [member.filename for member in files if member not in images]
    if others:
        notes.append(f"{len(others):,} files that are no images were left out: {few(others, 3)}.")
    entries = [_entry(member, parts) for member, parts in _below_common_folder(images).items()]
    kept = sorted((entry for entry in entries if entry.split), key=lambda entry: entry.member.filename)
    if len(kept) != len(entries):
        notes.append(f"{len(entries) - len(kept):,} validation images were left out: there are a training and a test split.")
    return kept, notes


def _parts(filename: str) -> tuple[str, ...]:
    """Folders and file of a name; zips made on Windows may have backslashes."""
    return tuple(part for part in filename.replace("\\", "/").split("/") if part not in ("", "."))


def _is_clutter(parts: tuple[str, ...]) -> bool:
    """Whether a file is what operating systems leave behind."""
    return parts[0] == "__MACOSX" or parts[-1].startswith(".") or parts[-1].lower() in ("thumbs.db", "desktop.ini")


def _below_common_folder(images: dict[zipfile.ZipInfo, tuple[str, ...]]) -> dict[zipfile.ZipInfo, tuple[str, ...]]:
    """Names without the folders that all share, down to two levels: the class and the file."""
    while min(len(parts) for parts in images.values()) > 2 and len({parts[0] for parts in images.values()}) == 1:
        images = {member: parts[1:] for member, parts in images.items()}
    return images


def _entry(member: zipfile.ZipInfo, parts: tuple[str, ...]) -> _Entry:
    """Split and class of an image; a validation image has the split "".

    Raises:
        UploadRejected: when its folders say neither.
    """
    if len(parts) == 2:
        return _Entry(member, "train", parts[0])
    top = parts[0].casefold()
    if len(parts) == 3 and (top in _SPLITS or top in _LEFT_OUT):
        return _Entry(member, _SPLITS.get(top, ""), parts[1])
    raise UploadRejected(
        explain(
            expected="images in class folders: cat/001.png, or train/cat/001.png and test/cat/001.png",
            got=short("/".join(parts), 100),
            todo="Put every image directly into the folder of its class.",
        )
    )


def _pictures(archive: zipfile.ZipFile, entries: list[_Entry], options: ReadOptions) -> tuple[np.ndarray, list[str]]:
    """uint8 ``[n, H, W]`` when all images are grey, else ``[n, H, W, 3]``, and notes.

    Raises:
        UploadRejected: when an image cannot be read or has another size than the first.
    """
    pictures: np.ndarray | None = None
    grey = np.zeros(len(entries), dtype=bool)
    clear = resized = 0
    for place, entry in enumerate(entries):
        image = _decode(read_member(archive, entry.member), entry.member.filename, options)
        clear += image.mode in ("LA", "RGBA") or "transparency" in image.info
        resized += options.image_size is not None and image.size != options.image_size[::-1]
        grey[place] = image.mode in _GREY
        pixels = _pixels(image, options.image_size)
        if pictures is None:
            check_inputs(len(entries), pixels.size, options.limits)
            pictures = np.zeros((len(entries), *pixels.shape), dtype=np.uint8)
        if pixels.shape != pictures.shape[1:]:
            raise UploadRejected(
                explain(
                    expected=f"images of one size, {pictures.shape[1]} x {pictures.shape[2]} as the first",
                    got=f"{pixels.shape[0]} x {pixels.shape[1]} for {short(entry.member.filename)} (height x width)",
                    todo="Choose an image size to which all are resized.",
                )
            )
        pictures[place] = pixels
    notes = _picture_notes(int(grey.sum()), len(entries), clear, resized, options)
    found = pictures if pictures is not None else np.zeros((0, 1, 1, 3), dtype=np.uint8)
    return (np.ascontiguousarray(found[..., 0]) if grey.all() else found), notes


def _picture_notes(grey: int, n: int, clear: int, resized: int, options: ReadOptions) -> list[str]:
    """What was done to the images."""
    notes = []
    if resized and options.image_size is not None:
        notes.append(
            f"{resized:,} of {n:,} images were resized to {options.image_size[0]} x {options.image_size[1]} (height x width)."
        )
    if 0 < grey < n:
        notes.append(f"{grey:,} grey images were read as colour images, since {n - grey:,} others are coloured.")
    if clear:
        notes.append(f"{clear:,} images have transparent parts; the transparency was dropped.")
    return notes


def _decode(data: bytes, filename: str, options: ReadOptions) -> Image.Image:
    """A decoded image, whose size was checked before it was decoded.

    Raises:
        UploadRejected: when it is too large, damaged, or of 16 bits.
    """
    most = _PHOTOGRAPH_PIXELS if options.image_size is not None else options.limits.pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of sizes; they are checked below
            image = Image.open(io.BytesIO(data), formats=_DECODERS)
            size, mode = image.size, image.mode
            if size[0] * size[1] <= most and mode in _GREY + _COLOUR:
                image.load()
    except Exception as error:  # decoders fail on hostile bytes in every way a parser can
        raise UploadRejected(
            explain(
                expected=f"an image ({', '.join(_DECODERS)})",
                got=f"{short(filename)}, which cannot be decoded ({type(error).__name__})",
                todo="Export the image again.",
            )
        ) from error
    if size[0] * size[1] > most:
        raise UploadRejected(
            explain(
                expected=f"images of at most {most:,} pixels",
                got=f"{size[1]} x {size[0]} for {short(filename)}",
                todo="Bring smaller images, or choose an image size to which they are resized.",
            )
        )
    if mode not in _GREY + _COLOUR:
        raise UploadRejected(
            explain(
                expected="images of 8 bits a channel",
                got=f"the mode {short(mode)} of {short(filename)}",
                todo="Convert the images to 8-bit grey or RGB.",
            )
        )
    return image


def _pixels(image: Image.Image, size: tuple[int, int] | None) -> np.ndarray:
    """uint8 ``[H, W, 3]``; a grey image has three equal channels."""
    image = image.convert("L").convert("RGB") if image.mode in _GREY else image.convert("RGB")
    if size is not None and image.size != size[::-1]:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image)
