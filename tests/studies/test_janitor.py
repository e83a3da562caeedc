"""The janitor takes away what nobody uses, and nothing else."""

import os
import subprocess
import sys

import numpy as np
import pytest

from ntkviz.errors import NtkvizError
from ntkviz.studies import janitor
from ntkviz.studies.job import new_job
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.shelf import Shelf, count_tiles

KERNEL = "ab" * 32


@pytest.fixture
def dead() -> int:
    """The number of a process that is gone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


def test_what_killed_processes_left_goes_and_what_living_ones_write_stays(store, dead):
    Shelf(store.home, KERNEL).put("a", values=np.zeros(2))
    for part in ("kernels", "studies", f"tiles/{KERNEL}"):
        (store.home / part).mkdir(parents=True, exist_ok=True)
        for pid in (dead, os.getpid()):
            (store.home / part / f".tmp-{pid}-00").write_text("half")
    assert janitor.tidy(store.home).temporary == 3
    left = sorted(path.name for path in store.home.glob("**/.tmp-*"))
    assert left == [f".tmp-{os.getpid()}-00"] * 3
    assert count_tiles(store.home) == 1


def test_tiles_wait_for_their_kernel_and_go_when_it_is_stored_or_they_are_old(spec, store, monkeypatch):
    study = run_study(spec(), store=store)
    for key in (study.kernel_key, KERNEL):
        Shelf(store.home, key).put("a", values=np.zeros(2))
    job = new_job(store.home, (spec(),), ({},))
    assert janitor.tidy(store.home).tiles == 0  # a job may be at them
    with janitor.opened(store.home) as connection:
        connection.execute("DELETE FROM job WHERE id = ?", (job.id,))
    assert janitor.tidy(store.home).tiles == 1
    assert Shelf(store.home, KERNEL).get("a") is not None
    monkeypatch.setattr(janitor, "TILE_SECONDS", -1.0)
    assert janitor.tidy(store.home).tiles == 1
    assert count_tiles(store.home) == 0


def test_the_longest_unused_studies_go_for_the_quota_and_pinned_ones_stay(spec, store, monkeypatch):
    made = [run_study(spec(surrogate=kind), store=store) for kind in ("ridge", "klr", "ridge_logits", "svm")]
    assert janitor.keep_quota(store.home) == ()
    store.pin(made[0].key)
    assert store.pinned() == {made[0].key}
    with janitor.opened(store.home) as connection:  # the second was opened last
        for used, study in enumerate((made[0], made[2], made[3], made[1])):
            connection.execute("UPDATE artefact SET used = ? WHERE key = ?", (used, study.key))
    monkeypatch.setenv("NTKVIZ_QUOTA_MB", "0.0001")
    assert janitor.keep_quota(store.home) == (made[2].key, made[3].key)
    assert {entry.key for entry in store.list_studies()} == {made[0].key, made[1].key}
    assert store.verify() == []
    store.pin(made[0].key, pinned=False)
    assert janitor.keep_quota(store.home) == (made[0].key,)
    assert [entry.key for entry in store.list_studies()] == [made[1].key]  # the newest stays, quota or not


def test_a_quota_that_is_no_number_is_refused(store, monkeypatch):
    monkeypatch.setenv("NTKVIZ_QUOTA_MB", "plenty")
    with pytest.raises(NtkvizError, match="NTKVIZ_QUOTA_MB is 'plenty'"):
        janitor.keep_quota(store.home)


def test_tidying_a_home_that_is_not_there_does_nothing(tmp_path):
    assert janitor.tidy(tmp_path / "none") == janitor.Tidied()
    assert not (tmp_path / "none").exists()
