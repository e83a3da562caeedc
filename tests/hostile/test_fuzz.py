"""A short run of the fuzzer: a reader reads or refuses, whatever is done to a file; ``benchmarks/fuzz.py`` goes on for hours."""

import random

import pytest

from benchmarks.fuzz import executed, mutated, readers

TIMES = 150


@pytest.mark.parametrize("name", ["torch", "safetensors", "pt2", "spec", "npz", "csv", "jsonl", "zip"])
def test_mutated_files_are_read_or_refused(name):
    found = executed(name, 20261123, TIMES)
    assert found["findings"] == []
    assert set(found["outcomes"]) <= {"read", "refused"}
    assert found["outcomes"].get("refused", 0) > TIMES / 5  # the changes do reach what the readers check


def test_every_sound_file_is_read_and_every_reader_is_fuzzed(tmp_path):
    assert set(readers()) == {"torch", "safetensors", "pt2", "spec", "npz", "csv", "jsonl", "zip"}
    for name, (suffix, sound, read) in readers().items():
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(sound)
        assert read(path) is not None


def test_the_same_seed_makes_the_same_file():
    sound = readers()["npz"][1]
    assert mutated(sound, random.Random("a")) == mutated(sound, random.Random("a")) != mutated(sound, random.Random("b"))
