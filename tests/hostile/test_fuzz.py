"""A short run of the fuzzer: a reader reads or refuses, whatever is done to a file; ``benchmarks/fuzz.py`` goes on for hours."""

import base64
import hashlib
import time
import zlib

import pytest

from benchmarks import fuzz_files
from benchmarks.fuzz import fuzz
from benchmarks.fuzz_children import Job, executed, watched
from benchmarks.fuzz_files import readers
from benchmarks.fuzz_mutations import mutated
from tests.hostile.faulty_readers import SOUND, faulty

TIMES = 150


@pytest.mark.parametrize("name", ["torch", "safetensors", "pt2", "spec", "npz", "csv", "jsonl", "zip"])
def test_mutated_files_are_read_or_refused(name, tmp_path):
    found = executed(Job(name, 20261123, range(TIMES)), tmp_path, table=readers)
    assert found.findings == []
    assert set(found.outcomes) <= {"read", "refused"}
    assert found.outcomes["refused"] > TIMES / 5  # the changes do reach what the readers check


def test_every_sound_file_is_read_and_every_reader_is_fuzzed(tmp_path):
    assert set(readers()) == {"torch", "safetensors", "pt2", "spec", "npz", "csv", "jsonl", "zip"}
    for name, (suffix, sound, read) in readers().items():
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(sound)
        assert read(path) is not None


def test_the_same_seed_makes_the_same_file_at_any_time(monkeypatch):
    before = {name: sound for name, (_, sound, _) in readers().items()}
    assert mutated(before["npz"], "a") != mutated(before["npz"], "b")
    monkeypatch.setattr(time, "time", lambda: 2e9)
    after = {name: sound for name, (_, sound, _) in fuzz_files.readers.__wrapped__().items()}
    assert before == after
    for name, sound in before.items():
        for i in range(20):
            now = mutated(sound, f"{name} 0 {i}")
            monkeypatch.setattr(time, "time", lambda i=i: 1e9 + 1e6 * i)
            assert mutated(sound, f"{name} 0 {i}") == now


def odd(job):
    """Files on which a faulty reader goes wrong."""
    return {i for i in job.files if sum(job.made(i, SOUND)) % 4 == 0}


@pytest.mark.parametrize(("name", "signal"), [("dying", "SIGSEGV"), ("killed", "SIGKILL")])
def test_a_crash_is_found_with_its_reader_file_and_signal_and_the_others_are_still_read(name, signal):
    job = Job(name, 5, range(12))
    wrong = odd(job)
    assert 0 < len(wrong) < 8
    rows = [found for _, found in watched(iter([job]), table=faulty, workers=1)]
    crashes = {row.findings[0]["file"]: row.findings[0] for row in rows if row.findings}
    assert set(crashes) == wrong
    assert sum(row.outcomes.total() for row in rows) == 12
    assert sum(row.outcomes["read"] for row in rows) == 12 - len(wrong)
    for i, crash in crashes.items():
        data = job.made(i, SOUND)
        assert (crash["kind"], crash["reader"], crash["seed"], crash["outcome"]) == ("crash", name, 5, signal)
        assert crash["sha256"] == hashlib.sha256(data).hexdigest()
        assert zlib.decompress(base64.b64decode(crash["input"])) == data
        if signal == "SIGSEGV":  # nothing is told of its end to a process that is killed
            assert crash["said"] == "Fatal Python error: Segmentation fault"
            assert crash["where"][0].startswith("hostile/faulty_readers.py:")
            assert crash["where"][0].endswith(" dying")


@pytest.mark.parametrize("name", ["endless", "endless_in_c"])
def test_a_hang_is_ended_and_found_with_its_place(name):
    job = Job(name, 5, range(8))
    wrong = odd(job)
    assert wrong
    began = time.monotonic()
    rows = [found for _, found in watched(iter([job]), table=faulty, workers=1, limit=1.0)]
    assert time.monotonic() - began < 60
    hangs = [row.findings[0] for row in rows if row.findings]
    assert {hang["file"] for hang in hangs} == wrong
    assert sum(row.outcomes.total() for row in rows) == 8
    for hang in hangs:
        assert (hang["kind"], hang["outcome"]) == ("hang", "SIGABRT")
        assert any(name in frame for frame in hang["where"])
        assert hang["seconds"] >= 1


def test_a_run_counts_what_it_found_and_keeps_the_content_of_some(monkeypatch):
    monkeypatch.setattr("benchmarks.fuzz._ROUND", 12)
    run, *rows = fuzz(["good", "failing", "dying"], seconds=60, executions=36, seed=0, table=faulty)
    found = {row["reader"]: row for row in rows}
    assert run["executions"] == sum(row["executions"] for row in rows) >= 36
    assert {row["executions"] % 12 for row in rows} == {0}
    assert (found["good"]["findings"], found["good"]["outcomes"]["refused"] > 0) == ([], True)
    assert found["failing"]["errors"] == len(found["failing"]["findings"]) == found["failing"]["outcomes"]["KeyError"] > 0
    assert found["dying"]["crashes"] == len(found["dying"]["findings"]) > 0
    assert (run["crashes"], run["errors"], run["hangs"]) == (found["dying"]["crashes"], found["failing"]["errors"], 0)
    monkeypatch.setattr("benchmarks.fuzz._CONTENTS", 1)
    _, row = fuzz(["failing"], seconds=60, executions=12, seed=0, table=faulty)
    assert ["input" in finding for finding in row["findings"]] == [True] + [False] * (row["errors"] - 1)


def unfit():
    raise OSError("no sound files")


def test_children_that_cannot_start_are_told():
    with pytest.raises(RuntimeError, match="no sound files"):
        list(watched(iter([Job("good", 0, [0])]), table=unfit))
