"""Zips of pictures: names that leave the archive, decoders that should not be asked, sizes that are not true."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.data.files import image_bytes, zip_bytes
from tests.hostile.case import Case, content

_GREY = np.arange(36, dtype=np.uint8).reshape(6, 6)


def _png() -> bytes:
    return image_bytes(_GREY)


def _good() -> dict[str, bytes]:
    return {f"{name}/{i}.png": _png() for name in ("cat", "dog") for i in range(4)}


def _with(members: Callable[[], dict[str, bytes]], *, stored: bool = False) -> Callable[[Path, Path], None]:
    """Good pictures, and these members."""
    compression = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    return content(lambda: zip_bytes(_good() | members(), compression=compression))


def _case(name: str, write: Callable[[Path, Path], None], says: str | None, **options: Any) -> Case:
    return Case(f"{name}.zip", write, says, role="data", **options)


def _named(name: str, says: str | None, file: str) -> Case:
    return _case(file, _with(lambda: {name: _png()}), says)


def _as_picture(
    file: str, data: Callable[[], bytes] | bytes, says: str | None = "cannot be decoded", ending: str = ".png"
) -> Case:
    return _case(file, _with(lambda: {f"cat/9{ending}": data() if callable(data) else data}), says)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_of(width: int, height: int, data: bytes = b"", *, bits: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    """A PNG that says it is of this size, whatever its data are."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + extra + _chunk(b"IDAT", zlib.compress(data, 9)) + _chunk(b"IEND", b"")


def _encoded(form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.stack([_GREY] * 3, axis=-1)).save(buffer, form, **options)
    return buffer.getvalue()


def _bmp_of(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def _entry(name: str, data: bytes = b"x", **fields: Any) -> Callable[[Path, Path], None]:
    """Good pictures and one member with odd fields in the directory."""

    def made() -> bytes:
        buffer = io.BytesIO(zip_bytes(_good()))
        with zipfile.ZipFile(buffer, "a") as archive:
            member = zipfile.ZipInfo(name)
            for key, value in fields.items():
                setattr(member, key, value)
            archive.writestr(member, data)
        return buffer.getvalue()

    return content(made)


def _patched(change: Callable[[bytearray], None]) -> Callable[[Path, Path], None]:
    def made() -> bytes:
        data = bytearray(zip_bytes(_good()))
        change(data)
        return bytes(data)

    return content(made)


def _encrypt(data: bytearray) -> None:
    data[data.find(b"PK\x01\x02") + 8] |= 1


def _grow(data: bytearray) -> None:
    """The directory says that a picture is of a gigabyte."""
    at = data.find(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 2**30)


def _shrink(data: bytearray) -> None:
    """The directory says that a picture is of a few bytes only."""
    at = data.find(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)


def _zero_in_name(data: bytearray) -> None:
    at = data.rfind(b"cat/0.png")
    data[at : at + 9] = b"cat/0\0png"


CASES = (
    _named("../../evil.png", "leads out", "climbing"),
    _named("/etc/cron.d/evil.png", "leads out", "absolute"),
    _named("..\\..\\evil.png", "leads out", "climbing_backwards"),
    _named("C:\\evil.png", "leads out", "drive"),
    _named("cat/../../dog/9.png", "leads out", "climbing_inside"),
    _named("\\\\server\\share\\9.png", "leads out", "share"),
    _named("cat/" + "x" * 5000 + ".png", None, "long_file"),
    _named("cat/deeper/and/deeper/9.png", "class folder", "too_deep"),
    _named("9.png", "class folder", "no_folder"),
    _named("<img src=x onerror=window.PWN=1>/9.png", "of each class", "markup_class"),
    _named("\u202egnp/9.png", "of each class", "bidi_class"),
    _named("a\x1b[31m\n/9.png", "of each class", "control_class"),
    _named("=1+1/9.png", "of each class", "formula_class"),
    _named("con/9.png", "of each class", "device_class"),
    _named("__MACOSX/cat/._9.png", None, "clutter"),
    _case("markup_classes", content(lambda: zip_bytes({f"{name}/{i}.png": _png() for name in ("<script>window.PWN=1<\\script>", "=1+1", "\u202ex") for i in range(4)})), "class folder"),
    _case("odd_classes", content(lambda: zip_bytes({f"{name}/{i}.png": _png() for name in ("<b>x", "=1+1", "\u202ex") for i in range(4)})), None),
    _case("link", _entry("cat/link.png", b"/etc/passwd", external_attr=0xA1FF << 16, create_system=3), "cannot be decoded"),
    _case("device", _entry("cat/dev.png", b"", external_attr=0x21B6 << 16, create_system=3), "cannot be decoded"),
    _case("encrypted", _patched(_encrypt), "encrypted"),
    _case("grown", _patched(_grow), "bomb"),
    _case("shrunk", _patched(_shrink), "Expected"),
    _case("zero_in_name", _patched(_zero_in_name), "Expected"),
    _case("bzip2", content(lambda: zip_bytes(_good(), compression=zipfile.ZIP_BZIP2)), "unusual"),
    _case("lzma", content(lambda: zip_bytes(_good(), compression=zipfile.ZIP_LZMA)), "unusual"),
    _case("bomb", _with(lambda: {"cat/9.png": bytes(64 << 20)}), "bomb", bomb=True),
    _case("other_files_bomb", _with(lambda: {"readme.txt": bytes(64 << 20)}), "bomb", bomb=True),
    _case("nested", content(lambda: zip_bytes({"cat/1.zip": zip_bytes(_good())})), "class folders"),
    _case("many_members", content(lambda: zip_bytes({f"cat/{i}": b"" for i in range(30_000)}, compression=zipfile.ZIP_STORED)), "class folders"),
    _case("no_members", content(b"PK\x05\x06" + bytes(18)), "no files"),
    _case("cut", content(lambda: zip_bytes(_good())[:-40]), "zip archive"),
    _case("one_class", content(lambda: zip_bytes({f"cat/{i}.png": _png() for i in range(4)})), "two classes"),
    _as_picture("60000_by_60000", lambda: _png_of(60_000, 60_000), "DecompressionBomb"),
    _as_picture("600_by_600", lambda: _png_of(600, 600), "600 x 600"),
    _as_picture("two_billion_wide", lambda: _png_of(2**31 - 1, 1), "Expected"),
    _as_picture("four_billion_wide", lambda: _png_of(2**32 - 1, 2**32 - 1), "Expected"),
    _as_picture("no_pixels", lambda: _png_of(0, 0)),
    _as_picture("pixels_bomb", lambda: _png_of(6, 6, bytes(8 << 20)), None),
    _as_picture("few_pixels", lambda: _png_of(6, 6, b"\0")),
    _as_picture("text_bomb", lambda: _png_of(6, 6, bytes(42), extra=_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(64 << 20), 9)))),
    _as_picture("profile_bomb", lambda: _png_of(6, 6, bytes(42), extra=_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(64 << 20), 9)))),
    _as_picture("wrong_checksum", lambda: _png()[:-20] + bytes(20)),
    _as_picture("sixteen_bits", lambda: _png_of(6, 6, bytes(78), bits=16), "8 bits"),
    _as_picture("other_size", lambda: _png_of(5, 5, bytes(30)), "one size"),
    _as_picture("svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="window.PWN=1"/>'),
    _as_picture("svg_by_name", b"<svg/>", "Convert", ending=".svg"),
    _as_picture("page", b"<html><script>window.PWN=1</script></html>"),
    _as_picture("postscript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 6\n(%pipe%touch x) (w) file\n"),
    _as_picture("pdf", b"%PDF-1.7\n1 0 obj\n"),
    _as_picture("gif", lambda: _encoded("GIF")),
    _as_picture("tiff", lambda: _encoded("TIFF")),
    _as_picture("icon", lambda: _encoded("ICO", sizes=[(6, 6)])),
    _as_picture("jpeg_of_65535", lambda: b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03\x01\x22\0\x02\x11\x01\x03\x11\x01\xff\xd9", "Expected", ending=".jpg"),
    _as_picture("jpeg_cut", lambda: _encoded("JPEG")[:-200], ending=".jpg"),
    _as_picture("bmp_of_two_billion", lambda: _bmp_of(2**31 - 1, 2**31 - 1), "Expected", ending=".bmp"),
    _as_picture("bmp_below_zero", lambda: _bmp_of(-6, -6), "Expected", ending=".bmp"),
    _as_picture("ppm_of_10_10", b"P6\n100000 100000\n255\n", "Expected", ending=".ppm"),
    _as_picture("ppm_of_5000_digits", b"P6\n" + b"9" * 5000 + b" 1\n255\n", "Expected", ending=".ppm"),
    _as_picture("webp_cut", lambda: _encoded("WEBP")[:20], ending=".webp"),
    _as_picture("empty", b""),
    _as_picture("picture_and_archive", lambda: _png() + zip_bytes({"evil": b"x"}), None),
    _as_picture("picture_and_page", lambda: _png() + b"<script>window.PWN=1</script>", None),
)  # fmt: skip
