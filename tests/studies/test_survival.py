"""The k-th write, sync, rename or commit fails, for every k of a small study: no wrong result, a clear message, and the next run goes on."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ntkviz.errors import NtkvizError
from ntkviz.studies import database, disk, tiled
from ntkviz.studies.pipeline import run_study


class Faults:
    """Counts the calls that reach the disk, and fails the k-th.

    Args:
        patch: undoes what this puts in place.
        step: "write", "fsync", "rename" or "commit".
        code: of the system's error.
    """

    def __init__(self, patch: pytest.MonkeyPatch, step: str, code: int) -> None:
        self.code, self.calls, self.failing = code, 0, 0
        wrap = {"write": self._writes, "fsync": self._fsyncs, "rename": self._renames, "commit": self._commits}
        wrap[step](patch)

    def meet(self) -> None:
        self.calls += 1
        if self.calls == self.failing:
            raise self.error()

    def error(self) -> Exception:
        return OSError(self.code, os.strerror(self.code))

    def _writes(self, patch: pytest.MonkeyPatch) -> None:
        real = disk.create

        class Half:
            def __init__(self, file) -> None:
                self.file = file

            def write(_self, data) -> int:
                _self.file.write(bytes(data)[: len(bytes(data)) // 2])
                self.meet()
                return _self.file.write(bytes(data)[len(bytes(data)) // 2 :]) and len(data)

        @contextmanager
        def create(path: Path) -> Iterator[object]:
            with real(path) as file:
                yield Half(file)

        for module in ("disk", "artefact"):
            patch.setattr(f"ntkviz.studies.{module}.create", create)

    def _fsyncs(self, patch: pytest.MonkeyPatch) -> None:
        real = os.fsync
        patch.setattr(os, "fsync", lambda handle: (self.meet(), real(handle)))

    def _renames(self, patch: pytest.MonkeyPatch) -> None:
        for name in ("rename", "replace"):
            real = getattr(Path, name)
            patch.setattr(Path, name, lambda *paths, real=real: (self.meet(), real(*paths))[1])

    def _commits(self, patch: pytest.MonkeyPatch) -> None:
        faults = self

        class Connection(sqlite3.Connection):
            def execute(self, statement, *values):
                if statement.startswith(("INSERT", "DELETE", "UPDATE", "BEGIN")):
                    faults.calls += 1
                    if faults.calls == faults.failing:
                        error = sqlite3.OperationalError("database is locked")
                        error.sqlite_errorname = "SQLITE_BUSY"
                        raise error
                return super().execute(statement, *values)

        real = sqlite3.connect
        patch.setattr(database.sqlite3, "connect", lambda *a, **k: real(*a, **k, factory=Connection))


SAID = {
    errno.ENOSPC: ["is full"],
    errno.EIO: ["cannot be written", "cannot be used"],
    errno.EBUSY: ["Try again"],
}


def refusal(spec, store) -> NtkvizError | None:
    """What a study was refused with."""
    try:
        run_study(spec, store=store)
    except NtkvizError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("write", errno.ENOSPC),
        ("write", errno.EIO),
        ("fsync", errno.EIO),
        ("rename", errno.ENOSPC),
        ("commit", errno.EBUSY),
    ],
)
def test_every_failure_is_told_and_the_next_run_gives_the_same_bits(spec, store, monkeypatch, step, code):
    monkeypatch.setattr(tiled, "SIDE", 32)
    alone = run_study(spec(surrogate="klr"), home=store.home)
    k = 0
    while True:
        k += 1
        with monkeypatch.context() as patch:
            faults = Faults(patch, step, code)
            faults.failing = k
            told = refusal(spec(surrogate="klr"), store)
            if faults.calls < k:
                assert told is None
                break  # the study needs no more of them
        # A failure after the result stood in its place may leave nothing to tell.
        assert told is None or any(words in str(told) for words in SAID[code]), told
        assert [fault for fault in store.verify() if "missing" not in fault[1]] == []
        study = run_study(spec(surrogate="klr"), store=store)
        assert study.kernel.tobytes() == alone.kernel.tobytes()
        assert study.surrogate_logits.tobytes() == alone.surrogate_logits.tobytes()
        assert store.verify() == []
        store.delete(study.key)
    assert k > 5  # it did fail some
