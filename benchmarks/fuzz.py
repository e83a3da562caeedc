"""Mutated uploads, for hours: ``python benchmarks/fuzz.py [--seconds 600] [--readers NAME ...] [--workers 2] [--seed 0]``.

Sound small files of every kind are changed at random (bits, bytes, numbers, pieces cut out, doubled or exchanged, also inside of what a zip holds) and given to the readers that uploads go
through. A reader has two answers: what it read, or a refusal of ntkviz. Anything else is a finding: another error, a crash of the process, a file that takes more than ten
seconds. Findings are kept beside the results with the seed that makes them again. A nightly run does it for ten minutes; the test suite for seconds.
"""

import argparse
import faulthandler
import io
import json
import random
import resource
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import nn

import ntkviz
from benchmarks.machine import keep
from ntkviz.data.readers import read_dataset
from ntkviz.errors import NtkvizError
from ntkviz.models.loader import read_weights
from ntkviz.models.pt2.reader import read_pt2
from ntkviz.models.spec import build_model, parse_spec

SLOW = 10.0
_MEMORY = 4 * 2**30
_ROUND = 500
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
        "npz": (".npz", _saved(_npz, ".npz"), read_dataset),
        "csv": (".csv", f"one,two,label\n{rows}".encode(), read_dataset),
        "jsonl": (".jsonl", lines.encode(), read_dataset),
        "zip": (".zip", _zip_of_pictures(), read_dataset),
    }


def mutated(sound: bytes, rng: random.Random) -> bytes:
    """A changed copy: one to eight changes of the bytes, for an archive half of the time of what one member holds."""
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
            target.writestr(member.filename, data, zipfile.ZIP_STORED)
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


def executed(name: str, seed: int, times: int) -> dict[str, Any]:
    """Read some mutated files; counts of outcomes, and findings.

    Args:
        name: of the reader.
        seed: file i is made from (seed, i).
        times: how many.
    """
    suffix, sound, read = readers()[name]
    outcomes: Counter[str] = Counter()
    findings: list[dict[str, Any]] = []
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"a{suffix}"
        for i in range(times):
            path.write_bytes(mutated(sound, random.Random(f"{name} {seed} {i}")))
            began = time.perf_counter()
            outcome = _outcome(read, path)
            seconds = time.perf_counter() - began
            slowest = max(slowest, seconds)
            outcomes[outcome.partition(":")[0]] += 1
            if outcome not in ("read", "refused") or seconds > SLOW:
                findings.append({"reader": name, "seed": seed, "file": i, "outcome": outcome[:200], "seconds": round(seconds, 1)})
    return {"outcomes": dict(outcomes), "findings": findings, "slowest": slowest}


def _outcome(read: Callable[[Path], object], path: Path) -> str:
    try:
        read(path)
    except NtkvizError:
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def _prepare() -> None:
    """In each worker: little output, one thread, the memory of a reader's child."""
    faulthandler.enable()
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def fuzz(names: list[str], *, seconds: float, workers: int, seed: int) -> list[dict[str, Any]]:
    """All readers in turn, for some time; a row a reader."""
    end = time.monotonic() + seconds
    rows = {
        name: {"reader": name, "executions": 0, "crashes": 0, "outcomes": Counter(), "findings": [], "slowest_s": 0.0}
        for name in names
    }
    start = seed * 1_000_000
    while time.monotonic() < end:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_prepare) as pool:
            try:
                while time.monotonic() < end:
                    jobs = {pool.submit(executed, name, start, _ROUND): name for name in names}
                    start += 1
                    for job in as_completed(jobs):
                        row, found = rows[jobs[job]], job.result()
                        row["executions"] += sum(found["outcomes"].values())
                        row["outcomes"].update(found["outcomes"])
                        row["findings"] += found["findings"]
                        row["slowest_s"] = max(row["slowest_s"], round(found["slowest"], 2))
            except BrokenProcessPool:  # which of the files it was, the seeds of this round tell
                for name in names:
                    rows[name]["crashes"] += 1
                    rows[name]["findings"].append({"reader": name, "seed": start - 1, "outcome": "a process died in this round"})
    return list(rows.values())


def main() -> None:
    """Fuzz, print, keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--readers", nargs="+", choices=list(readers()), default=list(readers()))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = fuzz(arguments.readers, seconds=arguments.seconds, workers=arguments.workers, seed=arguments.seed)
    for row in rows:
        print({**row, "outcomes": dict(row["outcomes"]), "findings": row["findings"][:5]})
    total = sum(row["executions"] for row in rows)
    print(f"{total:,} executions, {sum(len(row['findings']) for row in rows)} findings")
    keep("fuzz", [{"executions": total, "seconds": arguments.seconds, "seed": arguments.seed}, *rows])


if __name__ == "__main__":
    main()
