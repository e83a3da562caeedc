"""Selections under a short hash: they come back as they were, and only so many are kept."""

import os
import time
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkviz.errors import NtkvizError, StoreCorrupted
from ntkviz.studies import kept
from ntkviz.studies.errors import NotFound
from ntkviz.studies.janitor import tidy
from ntkviz.studies.kept import FOLDER, find, keep


@given(ids=st.lists(st.integers(0, 2**31 - 1), max_size=60))
def test_what_is_kept_comes_back_in_its_order(ids, tmp_path_factory):
    home = tmp_path_factory.mktemp("kept")
    name = keep(home, ids)
    assert find(home, name) == ids
    assert keep(home, ids) == name


def test_a_million_ids(tmp_path):
    ids = np.arange(1_000_000)
    assert find(tmp_path, keep(tmp_path, ids)) == ids.tolist()


@pytest.mark.parametrize("ids", [[-1], np.zeros((2, 2), dtype=int), range(kept.MOST_IDS + 1)])
def test_what_is_no_selection_is_refused(tmp_path, ids):
    with pytest.raises(ValueError, match="Expected a list"):
        keep(tmp_path, ids)


@pytest.mark.parametrize("name", ["0" * 16, "../../etc/passwd", "", "A" * 16, "0" * 64])
def test_a_name_that_leads_nowhere(tmp_path, name):
    with pytest.raises(NotFound):
        find(tmp_path, name)


def test_an_altered_file_is_noticed(tmp_path):
    name = keep(tmp_path, [1, 2, 3])
    (tmp_path / FOLDER / name).write_bytes(zlib.compress(b"\0" * 24))
    with pytest.raises(StoreCorrupted):
        find(tmp_path, name)
    (tmp_path / FOLDER / name).write_bytes(b"junk")
    with pytest.raises(StoreCorrupted):
        find(tmp_path, name)


def test_only_so_many_are_kept_and_the_janitor_drops_old_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MOST_KEPT", 3)
    names, before = [], time.time() - 100
    for i in range(5):
        names.append(keep(tmp_path, [i]))
        os.utime(tmp_path / FOLDER / names[-1], (before + i, before + i))
    keep(tmp_path, [99])
    assert len(list((tmp_path / FOLDER).iterdir())) == 3
    old = keep(tmp_path, [100])
    os.utime(tmp_path / FOLDER / old, (1, 1))
    tidy(tmp_path)
    with pytest.raises(NotFound):
        find(tmp_path, old)


def test_nothing_is_kept_in_somebody_elses_home(tmp_path):
    with pytest.raises(NtkvizError, match="somebody else's"):
        keep(tmp_path / "shares" / ("0" * 32), [1])
