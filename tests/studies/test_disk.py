"""Files are there whole or not at all, and the disk's refusals are told."""

import errno
import os
from pathlib import Path

import pytest

from ntkviz.errors import BudgetExceeded, NtkvizError
from ntkviz.studies.disk import replace_file, require_space, told


def test_replacing_a_file_leaves_only_the_file(tmp_path):
    for data in (b"one", b"two"):
        replace_file(tmp_path / "a", data)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"two")]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(("code", "said"), [(errno.ENOSPC, "is full"), (errno.EIO, "cannot be written")])
def test_a_failing_disk_leaves_the_old_file_and_a_sentence(tmp_path, monkeypatch, step, code, said):
    replace_file(tmp_path / "a", b"old")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail) if step == "fsync" else monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(BudgetExceeded if code == errno.ENOSPC else NtkvizError, match=said):
        replace_file(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_what_is_missing_is_the_callers_business(tmp_path):
    with pytest.raises(FileNotFoundError), told(tmp_path):
        (tmp_path / "none").read_bytes()


def test_space_is_asked_for_with_the_figures(tmp_path):
    with pytest.raises(BudgetExceeded, match="MB are free"):
        require_space(tmp_path, 2**60)
