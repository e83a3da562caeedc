"""Zip archives that two readers would read differently, that lie about sizes, or are two kinds of file at once."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case, content
from tests.models.hostile import members, network, packed, saved

_CENTRAL, _LOCAL, _END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


def _state() -> bytes:
    return saved(network().state_dict())


def _with(change: Callable[[bytearray], None]) -> Callable[[Path, Path], None]:
    def made() -> bytes:
        data = bytearray(_state())
        change(data)
        return bytes(data)

    return content(made)


def _extra(name: str, data: bytes, **fields: int) -> Callable[[Path, Path], None]:
    """A sound file with one member more."""

    def made() -> bytes:
        parts = members(_state())
        folder = next(iter(parts)).split("/")[0]
        buffer = io.BytesIO(_state())
        with zipfile.ZipFile(buffer, "a") as archive:
            member = zipfile.ZipInfo(name.replace("FOLDER", folder))
            for key, value in fields.items():
                setattr(member, key, value)
            archive.writestr(member, data)
        return buffer.getvalue()

    return content(made)


def _other_name_inside(data: bytearray) -> None:
    """The name before the bytes is another one than that in the directory."""
    at = data.find(b"data.pkl")
    data[at : at + 8] = b"evil.pkl"


def _offset_beyond(data: bytearray) -> None:
    at = data.find(_CENTRAL)
    data[at + 42 : at + 46] = struct.pack("<I", 2**31 - 1)


def _wrong_checksum(data: bytearray) -> None:
    """A name in the pickle is another one, and the checksum of the directory no longer holds; torch does not look at it."""
    at = data.find(b"2.weight")
    data[at] ^= 1


def _entries(n: int) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        at = data.rfind(_END)
        data[at + 8 : at + 12] = struct.pack("<HH", n, n)
        wide = data.rfind(b"PK\x06\x06")
        if wide >= 0:
            data[wide + 24 : wide + 40] = struct.pack("<QQ", n, n)

    return change


def _directory_elsewhere(data: bytearray) -> None:
    """The wide end record is said to be far outside of the file."""
    at = data.rfind(b"PK\x06\x07")
    if at < 0:
        at = data.rfind(_END)
        data[at + 16 : at + 20] = b"\xfe\xff\xff\xff"
    else:
        data[at + 8 : at + 16] = struct.pack("<Q", 2**62)


def _record(name: str, value: bytes) -> Callable[[Path, Path], None]:
    """Another note for torch's reader, such as its byte order."""
    return content(lambda: _with_record(name, value))


def _with_record(name: str, value: bytes) -> bytes:
    parts = {key: data for key, data in members(_state()).items() if not key.endswith(f"/{name.casefold()}")}
    return packed([*parts.items(), (f"{next(iter(parts)).split('/')[0]}/{name}", value)])


def _alignment_zero(data: bytearray) -> None:
    """In the file as torch wrote it, with the checksum of what was there before; torch does not look at it."""
    at = data.find(b"64", data.find(b".storage_alignment"))
    data[at : at + 2] = b"00"


def _twin_directories() -> bytes:
    """The end tells a place at which a directory other than the one before the end stands: torch and Python read different ones."""
    seen_by_torch, seen_by_python = _with_record(".storage_alignment", b"00"), _with_record(".storage_alignment", b"64")
    return seen_by_torch[: seen_by_torch.rfind(_END)] + seen_by_python


def _twin_wide_ends() -> bytes:
    """As torch writes it, twice: what stands before the last end points to the first one's wide record."""
    first = bytearray(_state())
    _alignment_zero(first)
    return bytes(first[: first.rfind(b"PK\x06\x07")]) + _state()


def _packed_by(kind: int) -> Callable[[], bytes]:
    return lambda: packed(list(members(_state()).items()), compression=kind)


CASES = (
    Case("bzip2.pt", content(_packed_by(zipfile.ZIP_BZIP2)), "compressed"),
    Case("lzma.pt", content(_packed_by(zipfile.ZIP_LZMA)), "compressed"),
    Case("other_name_inside.pt", _with(_other_name_inside), None),
    Case("offset_beyond.pt", _with(_offset_beyond), "cannot be read"),
    Case("wrong_checksum.pt", _with(_wrong_checksum), "do not fit"),
    Case("more_entries.pt", _with(_entries(60_000)), "members"),
    Case("many_members_and_one_twice.pt", content(lambda: packed([(f"a/{i}", b"") for i in range(19_999)] + [("a/19998", b"")])), "twice"),
    Case("no_entries.pt", _with(_entries(0)), "cut off"),
    Case("fewer_entries.pt", _with(_entries(3)), "cut off"),
    Case("twin_directories.pt", content(_twin_directories), "cut off"),
    Case("twin_wide_ends.pt", content(_twin_wide_ends), "cut off"),
    Case("directory_elsewhere.pt", _with(_directory_elsewhere), "cut off"),
    Case("comment_with_an_end.pt", content(lambda: _state()[:-2] + struct.pack("<H", 22) + _END + bytes(18)), "cut off"),
    Case("two_archives.pt", content(lambda: packed([("a/data.pkl", b"}.")]) + _state()), "cut off"),
    Case("picture_before.pt", content(lambda: b"\x89PNG\r\n\x1a\n" + bytes(64) + _state()), "no format known"),
    Case("page_before.pt", content(lambda: b"<!doctype html><script>window.PWN=1</script>" + _state()), "no format known"),
    Case("program_before.pt", content(lambda: b"\x7fELF" + bytes(60) + _state()), "no format known"),
    Case("shell_before.pt", content(lambda: b"#!/bin/sh\nexit 1\n" + _state()), "no format known"),
    Case("archive_inside.pt", content(lambda: packed([("a/data.pkl", _state()), ("a/version", b"3\n")])), "cannot be read"),
    Case("only_folders.pt", content(lambda: packed([("a/", b""), ("a/data/", b"")])), "looks like data"),
    Case("no_members.pt", content(lambda: _END + bytes(18)), "no format known"),
    Case("no_storages.pt", content(lambda: packed([(k, v) for k, v in members(_state()).items() if "/data/" not in k])), "cannot be read"),
    Case("huge_version.pt", _extra("FOLDER/version2", b"9" * 100_000), None),
    Case("link_member.pt", _extra("FOLDER/data/link", b"/etc/passwd", external_attr=0xA1FF << 16, create_system=3), None),
    Case("absolute.pt", _extra("/etc/cron.d/evil", b"x"), "several folders"),
    Case("backslashes.pt", content(lambda: packed([("a\\..\\..\\evil", b"x"), ("a\\data.pkl", b"}.")])), "looks like data"),
    Case("case_twins.pt", _extra("FOLDER/DATA.PKL", b"cos\nsystem\n"), "twice"),
    Case("big_endian.pt", _record("byteorder", b"big"), "byte order"),  # torch 2.13 crashes on it
    Case("big_endian_in_capitals.pt", _record("BYTEORDER", b"big"), "byte order"),
    Case("odd_byte_order.pt", _record("byteorder", b"evil"), "byte order"),
    Case("long_byte_order.pt", _record("byteorder", b"little" * 1000), "byte order"),
    Case("aligned_to_zero.pt", _record(".storage_alignment", b"0"), "aligned to '0'"),  # torch 2.13 divides by it
    Case("aligned_to_zero_in_capitals.pt", _record(".STORAGE_ALIGNMENT", b"00"), "aligned to '00'"),
    Case("aligned_to_zero_with_another_checksum.pt", _with(_alignment_zero), "cannot be read"),
    Case("aligned_to_minus_one.pt", _record(".storage_alignment", b"-1"), "aligned to '-1'"),
    Case("aligned_to_gigabytes.pt", _record(".storage_alignment", b"2147483647"), "aligned to"),  # torch makes a padding of that length
    Case("aligned_to_a_word.pt", _record(".storage_alignment", b"wide"), "aligned to 'wide'"),
    Case("aligned_to_nothing.pt", _record(".storage_alignment", b""), "aligned to ''"),
    Case("library_member.pt", _extra("FOLDER/extra/evil.so", b"\x7fELF" + bytes(100)), None),
    Case("truncated_directory.pt", content(lambda: _state()[:-40] + _state()[-22:]), "cut off"),
)  # fmt: skip
