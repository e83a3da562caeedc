"""A folder a person: found again, told apart, forgotten when unused."""

import os
import shutil
import stat
import time

import pytest

from ntkviz.errors import BudgetExceeded, NtkvizError, StoreCorrupted
from ntkviz.studies import jobs
from ntkviz.studies.janitor import require_room
from ntkviz.studies.job import new_job
from ntkviz.studies.people import Person, expire, name_of, unused_days, workspace
from ntkviz.studies.server import Server
from ntkviz.studies.supervisor import Supervisor
from ntkviz.studies.workspace import homes_below, require_own, root_of

ANNA, BEN = Person("anna@example.org", "Anna"), Person("ben@example.org", "Ben")


def age(home, days):
    then = time.time() - 86400 * days
    os.utime(home / "person.json", (then, then))


def test_a_person_finds_their_folder_again_and_nobody_elses(tmp_path):
    anna, ben = workspace(tmp_path, ANNA), workspace(tmp_path, BEN)
    assert workspace(tmp_path, Person("anna@example.org", "Anna B.")) == anna != ben
    assert workspace(tmp_path, Person("Anna@example.org", "Anna")) not in {anna, ben}
    assert root_of(anna) == tmp_path
    assert homes_below(tmp_path)[0] == tmp_path
    assert {anna, ben} < set(homes_below(tmp_path))
    assert name_of(anna) == "Anna"
    assert name_of(tmp_path) == "somebody"


def test_a_folders_name_says_nothing_without_the_key_of_the_server(tmp_path):
    here, there = workspace(tmp_path / "a", ANNA), workspace(tmp_path / "b", ANNA)
    assert here.name != there.name
    assert "anna" not in str(here.relative_to(tmp_path))
    key = tmp_path / "a" / "people.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.write_bytes(b"short")
    with pytest.raises(StoreCorrupted, match="expected 32"):
        workspace(tmp_path / "a", ANNA)


def test_a_second_process_takes_the_key_that_is_there(tmp_path, monkeypatch):
    """Both saw no key; the one that comes second must not put its own in place."""
    exists, first = type(tmp_path).exists, workspace(tmp_path, ANNA)
    monkeypatch.setattr(type(tmp_path), "exists", lambda path: False if path.name == "people.key" else exists(path))
    assert workspace(tmp_path, ANNA) == first
    assert [path.name for path in tmp_path.glob(".people*")] == []


@pytest.mark.parametrize("identity", ["", "x" * 321, "a\nb", "a\x00b"])
def test_an_identity_that_is_none_gets_no_folder(tmp_path, identity):
    with pytest.raises(NtkvizError, match="no usable identity"):
        workspace(tmp_path, Person(identity, "x"))
    assert not (tmp_path / "people").exists()


def test_unused_folders_expire_and_others_stay(tmp_path):
    anna, ben = workspace(tmp_path, ANNA), workspace(tmp_path, BEN)
    age(anna, 40)
    age(ben, 20)
    assert unused_days(anna) == pytest.approx(40, abs=0.01)
    assert expire(tmp_path, None) == 0
    assert expire(tmp_path, 30) == 1
    assert homes_below(tmp_path) == [tmp_path, ben]
    assert expire(tmp_path, 30) == 0


def test_coming_back_counts_as_use(tmp_path):
    anna = workspace(tmp_path, ANNA)
    age(anna, 40)
    assert workspace(tmp_path, ANNA) == anna
    assert expire(tmp_path, 30) == 0


def test_a_folder_with_a_job_under_way_stays(tmp_path, spec):
    anna = workspace(tmp_path, ANNA)
    new_job(anna, (spec(),), ({},))
    age(anna, 40)
    assert expire(tmp_path, 30) == 0


def test_what_a_killed_deletion_left_is_no_persons_folder_and_goes(tmp_path):
    left = tmp_path / "people" / ".tmp-999999999-ab"
    left.mkdir(parents=True)
    assert homes_below(tmp_path) == [tmp_path]
    expire(tmp_path, None)
    assert not left.exists()


def test_the_supervisor_forgets_unused_folders(tmp_path, monkeypatch):
    anna = workspace(tmp_path, ANNA)
    age(anna, 40)
    monkeypatch.setattr("ntkviz.studies.supervisor.server", lambda: Server(expiry_days=30))
    Supervisor(tmp_path).look()
    assert not anna.exists()


def test_a_person_has_as_many_jobs_points_and_minutes_as_the_server_grants(tmp_path, home, spec, monkeypatch):
    anna, ben = workspace(tmp_path, ANNA), workspace(tmp_path, BEN)
    for one in (anna, ben):
        shutil.copytree(home / "uploads", one / "uploads")
    monkeypatch.setattr(jobs, "ensure_supervisor", lambda home: None)
    monkeypatch.setattr(jobs, "server", lambda: Server(most_jobs=1))
    jobs.start([spec()], anna)
    with pytest.raises(BudgetExceeded, match="1 jobs wait or run already"):
        jobs.start([spec(seed=1)], anna)
    jobs.start([spec()], ben)  # their own, whatever Anna does
    monkeypatch.setattr(jobs, "server", lambda: Server(most_points=20))
    with pytest.raises(BudgetExceeded, match="training and test points; 20 are granted"):
        jobs.start([spec()], anna)
    with pytest.raises(BudgetExceeded, match="20 are granted"):
        jobs.start([spec(n_train=None)], anna)
    monkeypatch.setattr(jobs, "server", lambda: Server(most_minutes=1e-6))
    with pytest.raises(BudgetExceeded, match="a job may take 0 min on this server"):
        jobs.start([spec()], anna)


def test_uploads_do_not_outgrow_the_quota(tmp_path, monkeypatch):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "x").write_bytes(b"0" * 2**20)
    require_room(tmp_path)
    monkeypatch.setenv("NTKVIZ_QUOTA_MB", "1.5")
    with pytest.raises(BudgetExceeded, match="at most half of it uploads"):
        require_room(tmp_path)
    monkeypatch.setenv("NTKVIZ_QUOTA_MB", "4")
    require_room(tmp_path)


def test_what_somebody_else_shows_is_not_changed(tmp_path):
    require_own(tmp_path / "people" / "ab")
    with pytest.raises(NtkvizError, match="can be read and not changed"):
        require_own(tmp_path / "shares" / "ab")
