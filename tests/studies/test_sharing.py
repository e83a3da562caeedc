"""A study shown by a link: that study, to be read, until the link is taken back."""

import shutil

import pytest

from ntkviz.errors import NtkvizError
from ntkviz.studies import jobs
from ntkviz.studies.errors import NotFound
from ntkviz.studies.people import Person, expire, workspace
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.sharing import open_share, revoke, share, shares_of, sweep_shares
from ntkviz.studies.store import Store
from ntkviz.studies.uploads import delete_upload, upload_subjects, upload_target


@pytest.fixture
def anna(tmp_path, home, spec):
    """Her folder with an upload and two studies of it; the key of the first is ``shown(anna)``."""
    own = workspace(tmp_path / "root", Person("anna@example.org", "Anna"))
    shutil.copytree(home / "uploads", own / "uploads")
    for kind in ("ridge", "klr"):
        run_study(spec(surrogate=kind), store=Store(own))
    return own


def shown(home):
    return Store(home).list_studies()[-1].key


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_link_leads_to_one_study_and_to_nothing_else(anna, tmp_path):
    one = share(anna, shown(anna))
    assert share(anna, shown(anna)) == one
    assert open_share(tmp_path / "root", one.token) == one
    assert len(one.token) == 32
    store = Store(one.home)
    assert [entry.key for entry in store.list_studies()] == [shown(anna)]
    assert (store.load_study(one.study).kernel == Store(anna).load_study(one.study).kernel).all()
    assert store.verify() == []
    assert [subject.id for subject in upload_subjects(one.home)] == [store.load_study(one.study).spec.subject_id]
    assert one.token not in str(anna)
    assert shares_of(anna) == [one]


def test_the_files_are_the_owners_own(anna):
    one = share(anna, shown(anna))
    name = f"studies/{one.study}/manifest.json"
    assert (one.home / name).stat().st_ino == (anna / name).stat().st_ino


def test_a_study_shown_by_a_link_is_not_changed(anna, spec, monkeypatch):
    one, before = share(anna, shown(anna)), files(anna / "studies")
    monkeypatch.setattr(jobs, "ensure_supervisor", lambda home: None)
    store = Store(one.home)
    for act in (
        lambda: store.delete(one.study),
        lambda: store.discard(one.home / "studies" / one.study),
        lambda: jobs.start([spec()], one.home),
        lambda: upload_target(one.home),
        lambda: delete_upload(one.home, "upload-0123456789abcdef"),
        lambda: share(one.home, one.study),
    ):
        with pytest.raises(NtkvizError, match=r"can be read and not changed|no upload"):
            act()
    assert store.has_study(one.study)
    assert files(anna / "studies") == before


def test_a_link_is_taken_back_by_its_owner_alone(anna, tmp_path):
    root, one = tmp_path / "root", share(anna, shown(anna))
    ben = workspace(root, Person("ben@example.org", "Ben"))
    assert shares_of(ben) == []
    with pytest.raises(NotFound, match="no such link"):
        revoke(ben, one.token)
    revoke(anna, one.token)
    with pytest.raises(NotFound, match="no such link"):
        open_share(root, one.token)
    assert shares_of(anna) == []
    assert not one.home.exists()
    assert Store(anna).verify() == []
    assert share(anna, one.study).token != one.token


@pytest.mark.parametrize("token", ["", "0" * 32, "..", "../people", "0" * 31, "0" * 32 + "\n", "A" * 32, "*"])
def test_whoever_guesses_finds_nothing(anna, tmp_path, token):
    share(anna, shown(anna))
    with pytest.raises(NotFound, match="no such link"):
        open_share(tmp_path / "root", token)


def test_a_link_ends_with_its_study_and_with_its_owners_folder(anna, tmp_path):
    root, entries = tmp_path / "root", Store(anna).list_studies()
    first, second = (share(anna, entry.key) for entry in entries)
    Store(anna).delete(first.study)
    with pytest.raises(NotFound):
        open_share(root, first.token)
    assert sweep_shares(root) == 1
    assert not first.home.exists()
    assert open_share(root, second.token) == second
    shutil.rmtree(anna)
    assert expire(root, 30) == 0
    assert sweep_shares(root) == 1
    assert sweep_shares(root) == 0


def test_a_damaged_link_leads_nowhere(anna, tmp_path):
    one = share(anna, shown(anna))
    (one.home / "share.json").write_text("{")
    with pytest.raises(NotFound, match="no such link"):
        open_share(tmp_path / "root", one.token)


def test_a_study_that_is_not_there_is_not_shown(anna, tmp_path):
    with pytest.raises(NotFound):
        share(anna, "0" * 64)
    assert list((tmp_path / "root" / "shares").glob("*")) == []
