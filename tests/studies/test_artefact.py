import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ntkviz.errors import BudgetExceeded, StoreCorrupted
from ntkviz.studies.artefact import MANIFEST, read_arrays, read_manifest, write_artefact

KEY = "ab" * 32


def write(parent: Path) -> Path:
    folder = parent / "kernels" / KEY
    arrays = {"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.array([np.nan, -0.0, np.inf])}
    assert write_artefact(folder, kind="kernel", content={"x": 1.5}, arrays=arrays, summary={})
    return folder


def read(folder: Path, *, verify: bool = True) -> dict[str, np.ndarray]:
    return read_arrays(folder, read_manifest(folder), verify=verify)


def test_what_is_written_comes_back_bit_for_bit(tmp_path):
    found = read(write(tmp_path))
    assert found["a"].dtype == np.float32
    assert found["a"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert found["b"].tobytes() == np.array([np.nan, -0.0, np.inf]).tobytes()


def test_arrays_that_come_back_cannot_be_written_to(tmp_path):
    found = read(write(tmp_path))
    with pytest.raises(ValueError, match="read-only"):
        found["a"][0, 0] = 1


def test_no_temporary_folder_is_left(tmp_path):
    assert [path.name for path in write(tmp_path).parent.iterdir()] == [KEY]


def test_writing_twice_keeps_the_first(tmp_path):
    folder = write(tmp_path)
    before = (folder / MANIFEST).read_text()
    assert not write_artefact(folder, kind="kernel", content={}, arrays={"a": np.zeros(2)}, summary={})
    assert (folder / MANIFEST).read_text() == before


def test_a_damaged_artefact_is_replaced_by_a_new_one(tmp_path):
    folder = write(tmp_path)
    (folder / "a.npy").unlink()
    assert write(tmp_path) == folder
    assert set(read(folder)) == {"a", "b"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_flipped_bit_is_detected(tmp_path_factory, data):
    folder = write(tmp_path_factory.mktemp("flip"))
    path = folder / data.draw(st.sampled_from(["a.npy", "b.npy", MANIFEST]))
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    whole = json.loads(path.read_text()) if path.name == MANIFEST else None
    path.write_bytes(bytes(content))
    if whole is not None and _json(path) == whole:
        return  # a bit of the manifest's white space turned into another: the same JSON
    with pytest.raises(StoreCorrupted, match=f"{path.name}(.|\n)*--discard"):
        read(folder)


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except ValueError:
        return None


@pytest.mark.parametrize("name", ["a.npy", "b.npy", MANIFEST])
def test_a_missing_file_is_detected(tmp_path, name):
    folder = write(tmp_path)
    (folder / name).unlink()
    with pytest.raises(StoreCorrupted, match=f"{name}.*missing"):
        read(folder)


@pytest.mark.parametrize("name", ["a.npy", "b.npy", MANIFEST])
@pytest.mark.parametrize("keep", [0, 1, 100])
@pytest.mark.parametrize("verify", [True, False])
def test_a_truncated_file_is_detected(tmp_path, name, keep, verify):
    folder = write(tmp_path)
    (folder / name).write_bytes((folder / name).read_bytes()[:keep])
    with pytest.raises(StoreCorrupted, match=name):
        read(folder, verify=verify)


def test_without_verify_only_sizes_are_checked(tmp_path):
    folder = write(tmp_path)
    content = bytearray((folder / "a.npy").read_bytes())
    content[-1] ^= 1
    (folder / "a.npy").write_bytes(bytes(content))
    assert set(read(folder, verify=False)) == {"a", "b"}
    with pytest.raises(StoreCorrupted, match=r"a\.npy.*altered"):
        read(folder)


def test_a_renamed_folder_is_detected(tmp_path):
    folder = write(tmp_path)
    moved = folder.rename(folder.with_name("cd" * 32))
    with pytest.raises(StoreCorrupted, match="renamed"):
        read(moved)


def test_an_unknown_artefact_is_a_key_error(tmp_path):
    with pytest.raises(KeyError, match="no kernel"):
        read_manifest(tmp_path / "kernels" / KEY)


def test_no_room_is_told_with_figures_and_nothing_is_left(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10 * 2**20)
    monkeypatch.setattr("ntkviz.studies.disk.shutil.disk_usage", lambda _: usage)
    with pytest.raises(BudgetExceeded, match=r"needs 16 MB .* 10 MB are free"):
        write(tmp_path)
    assert not list((tmp_path / "kernels").iterdir())


def test_a_failing_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ntkviz.studies.artefact.np.save", full)
    with pytest.raises(BudgetExceeded, match="is full"):
        write(tmp_path)
    assert not list((tmp_path / "kernels").iterdir())


def test_a_short_write_is_detected(tmp_path, monkeypatch):
    def lose_a_byte(handle: int) -> None:
        monkeypatch.undo()
        os.ftruncate(handle, os.fstat(handle).st_size - 1)

    monkeypatch.setattr("ntkviz.studies.disk.os.fsync", lose_a_byte)
    with pytest.raises(StoreCorrupted, match=r"a\.npy was not written in full"):
        write(tmp_path)
    assert not list((tmp_path / "kernels").iterdir())


def test_object_arrays_are_refused(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_artefact(tmp_path / KEY, kind="kernel", content={}, arrays={"a": np.array([{}], dtype=object)}, summary={})


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_stays(tmp_path):
    parent = tmp_path / "kernels"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid in (gone.pid, os.getpid()):
        (parent / f".tmp-{pid}-00").mkdir(parents=True)
    write(tmp_path)
    assert {path.name for path in parent.iterdir()} == {KEY, f".tmp-{os.getpid()}-00"}
