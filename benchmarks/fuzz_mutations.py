"""Random changes of a file that make the same file again from the same seed. No torch: children that only change files start at once."""

import io
import random
import struct
import zipfile

#: Numbers at which parsers go wrong.
_EDGES = (0, 1, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
_WORDS = (
    b"null",
    b"true",
    b"-1",
    b"1e309",
    b"NaN",
    b"[[[[",
    b"{}",
    b'"',
    b"\\u0000",
    b"\xff\xfe",
    b"9" * 30,
    b"../../x",
    b"\r\n",
    b",,,,",
)


def mutated(sound: bytes, seed: str) -> bytes:
    """A changed copy: one to eight changes of the bytes, for an archive half of the time of what one member holds.

    Args:
        sound: the file.
        seed: of all changes.
    """
    rng = random.Random(seed)
    if sound[:2] == b"PK" and rng.random() < 0.5:
        return _member_mutated(sound, rng)
    changed = bytearray(sound)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        _CHANGES[rng.randrange(len(_CHANGES))](changed, rng)
    return bytes(changed)


def _member_mutated(sound: bytes, rng: random.Random) -> bytes:
    """The archive with one member changed, its own lists and checksums in order."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sound)) as archive, zipfile.ZipFile(out, "w") as target:
        members = archive.infolist()
        chosen = rng.randrange(len(members))
        for place, member in enumerate(members):
            data = archive.read(member)
            if place == chosen:
                changed = bytearray(data or b"\0")
                for _ in range(rng.choice((1, 1, 2, 4))):
                    _CHANGES[rng.randrange(len(_CHANGES))](changed, rng)
                data = bytes(changed)
            target.writestr(zipfile.ZipInfo(member.filename), data)  # of a fixed date, stored without compression
    return out.getvalue()


def _at(data: bytearray, rng: random.Random) -> int:
    return rng.randrange(len(data) or 1)


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_at(data, rng)] ^= 1 << rng.randrange(8)


def _byte(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_at(data, rng)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _edge(data: bytearray, rng: random.Random) -> None:
    width, start = rng.choice((2, 4, 8)), _at(data, rng)
    data[start : start + width] = struct.pack("<Q", rng.choice(_EDGES))[:width]


def _cut(data: bytearray, rng: random.Random) -> None:
    start = _at(data, rng)
    del data[start : start + rng.choice((1, 4, 64, len(data)))]


def _double(data: bytearray, rng: random.Random) -> None:
    start, length = _at(data, rng), rng.choice((1, 8, 64, 300))
    data[start:start] = data[start : start + length] * rng.choice((1, 1, 3, 20))


def _swap(data: bytearray, rng: random.Random) -> None:
    a, b, length = _at(data, rng), _at(data, rng), rng.choice((1, 4, 30))
    data[a : a + length], data[b : b + length] = bytes(data[b : b + length]), bytes(data[a : a + length])


def _word(data: bytearray, rng: random.Random) -> None:
    start, word = _at(data, rng), rng.choice(_WORDS)
    data[start : start + rng.choice((0, len(word)))] = word


_CHANGES = (_flip, _flip, _byte, _edge, _cut, _double, _swap, _word)
