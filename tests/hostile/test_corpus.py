"""Whatever is brought, in every mode: a sentence or a harmless reading, and no attack touches its canary."""

import pickle
from pathlib import Path

import pytest

from ntkviz.models import upload
from ntkviz.models.limits import limits_of
from ntkviz.models.sandbox import run_limited
from tests.hostile.case import MODES, Case, content
from tests.hostile.corpus import children_inside, families, outcome, outcomes, write_family

#: Where the layers of the sandbox would hide that a reader ran code, this one, which has none, shows it.
BARE_MODE = "team"


@pytest.mark.parametrize("family", families())
def test_no_reader_runs_code_or_fails_in_another_way_than_by_a_sentence(family, tmp_path):
    write_family(family, tmp_path / "given")
    found = list(outcomes(family, BARE_MODE, tmp_path / "given", bombs=False))
    assert found
    assert [f"{case.file!a}: {result.fault}" for case, result in found if result.fault] == []
    assert list(tmp_path.glob("canary-*")) == []


@pytest.mark.parametrize("mode", MODES)
def test_in_its_sandbox_every_kind_keeps_to_the_limits_of_the_mode(mode, tmp_path):
    for family in families():
        write_family(family, tmp_path / "given")
    limits = limits_of(mode)
    # Hundreds of files share what is otherwise granted to a single one.
    result = run_limited(
        ["tests.hostile.corpus", mode, *families()],
        seconds=limits.seconds,
        memory_mb=limits.memory_mb,
        file_mb=4096,
        folder=tmp_path,
    )
    assert [f"{row['family']} {row['file']}: {row['fault']}" for row in result.value if row["fault"]] == []
    assert len(result.value) == sum(map(len, families().values()))
    assert list(tmp_path.glob("canary-*")) == []


def test_there_are_hundreds_of_kinds_and_each_has_its_own_name():
    for family, cases in families().items():
        assert len({case.file for case in cases}) == len(cases), family
    assert sum(map(len, families().values())) >= 400
    assert {case.role for cases in families().values() for case in cases} == {"weights", "architecture", "data"}


class _Touches:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_careless_reader_would_be_caught(tmp_path, monkeypatch):
    path, canary = tmp_path / "x.pt", tmp_path / "canary"
    path.write_bytes(pickle.dumps(_Touches(canary)))
    monkeypatch.setattr(upload, "check_upload", lambda path, *args, **options: pickle.loads(path.read_bytes()))
    found = outcome(Case("x.pt", content(b""), "pickle"), "team", path, canary)
    assert found.canary
    assert found.fault


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("Expected a state dict; got a pickle.", ""),
        ("Bad.", "characters"),
        ("Expected another thing; got a pickle.", "expected 'state dict'"),
        ("Expected a state dict; got \x1b[31m.", "control characters"),
        ("Expected a state dict; got a Traceback (most recent call last).", "traceback"),
        (None, "it was read"),
    ],
)
def test_an_answer_that_is_no_good_sentence_would_be_caught(message, fault, tmp_path, monkeypatch):
    class Report:
        ok = message is None

    Report.message = message or ""  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(upload, "check_upload", lambda *args, **options: Report)
    with children_inside():
        found = outcome(Case("x.pt", content(b""), "state dict"), "team", tmp_path / "x.pt", tmp_path / "canary")
    assert bool(found.fault) == bool(fault)
    assert fault in found.fault
