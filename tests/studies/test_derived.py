"""What is computed of a kernel once is kept beside it, made again where it was damaged, and goes with the kernel."""

from dataclasses import dataclass

import numpy as np
import pytest

from ntkviz.studies import artefact
from ntkviz.studies.derived import folder_of, kept
from ntkviz.studies.pipeline import run_study


@dataclass(frozen=True, eq=False)
class Found:
    values: np.ndarray
    level: float


@pytest.fixture
def made():
    """How often it was computed, and the call."""
    times = []

    def go(home, *, identity=None, kernel_key="0" * 64):
        def make():
            times.append(1)
            return Found(np.linspace(0, 1, 500), 0.5)

        folder = folder_of(home, "facts", identity or {"what": "test"})
        return kept(folder, make, kind="facts", kernel_key=kernel_key, classes=[Found])

    return times, go


def test_it_is_computed_once_for_each_identity(home, made):
    times, go = made
    first = go(home)
    again = go(home)
    assert len(times) == 1
    np.testing.assert_array_equal(first.values, again.values)
    go(home, identity={"what": "test", "version": 2})
    assert len(times) == 2


def test_a_damaged_one_is_made_again(home, made):
    times, go = made
    go(home)
    next((home / "facts").rglob("*.npy")).write_bytes(b"nothing")
    assert go(home).level == 0.5
    assert len(times) == 2
    go(home)
    assert len(times) == 2


def test_a_full_disk_costs_only_the_keeping(home, made, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    times, go = made
    monkeypatch.setattr(artefact, "write_artefact", full)
    assert go(home).level == go(home).level == 0.5
    assert len(times) == 2


def test_it_goes_with_its_kernel(spec, store, made):
    _, go = made
    study = run_study(spec(), store=store)
    go(store.home, kernel_key=study.kernel_key)
    go(store.home, kernel_key="f" * 64, identity={"what": "of another"})
    store.delete(study.key)
    assert len(list((store.home / "facts").iterdir())) == 1
