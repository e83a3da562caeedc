import json
import shutil

import pytest

from ntkviz.errors import StoreCorrupted
from ntkviz.studies.artefact import MANIFEST
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.store import Store, ntkviz_home


def damage(path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(bytes(content[: len(content) // 2]))
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))


@pytest.mark.parametrize("how", ["missing", "truncated", "flipped"])
@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("studies", MANIFEST),
        ("studies", "surrogate__weights.npy"),
        ("kernels", MANIFEST),
        ("kernels", "blocks__train.npy"),
        ("kernels", "train_index.npy"),
    ],
)
def test_every_damage_is_detected_named_and_removed(spec, store, part, name, how):
    study = run_study(spec(), store=store)
    folder = store.home / part / (study.key if part == "studies" else study.kernel_key)
    damage(folder / name, how)
    with pytest.raises(StoreCorrupted, match=name):
        store.load_study(study.key)
    faults = store.verify()
    assert [found for found, _ in faults] == [folder]
    assert name in faults[0][1]
    store.discard(folder)
    if part == "kernels":  # what stood on it is of no use either
        ((orphan, reason),) = store.verify()
        assert "kernel" in reason
        store.discard(orphan)
    assert store.verify() == []
    assert run_study(spec(), store=store).key == study.key


def test_a_damaged_study_stays_in_the_list_with_its_problem(spec, store):
    whole, broken = run_study(spec(), store=store), run_study(spec(surrogate="klr"), store=store)
    damage(store.home / "studies" / broken.key / MANIFEST, "truncated")
    entries = {entry.key: entry for entry in store.list_studies()}
    assert entries[whole.key].problem == ""
    assert MANIFEST in entries[broken.key].problem
    assert store.find("latest") == whole.key


def test_the_list_is_newest_first_and_reads_no_array(spec, store, monkeypatch):
    keys = [run_study(spec(seed=seed), store=store).key for seed in (0, 1, 2)]
    monkeypatch.setattr("ntkviz.studies.artefact.np.load", None)
    entries = store.list_studies()
    assert [entry.key for entry in entries] == keys[::-1]
    assert entries[0].spec is not None
    assert entries[0].spec.seed == 2
    assert entries[0].summary["n_train"] == 40
    assert entries[0].n_bytes > 0


def test_a_study_is_found_by_the_beginning_of_its_key(spec, store):
    keys = [run_study(spec(seed=seed), store=store).key for seed in (0, 1)]
    assert store.find(keys[0][:12]) == keys[0]
    assert store.find("latest") == keys[1]
    for wrong in ("", "zz", "no"):
        with pytest.raises(KeyError, match="latest"):
            store.find(wrong)


def test_deleting_the_last_study_of_a_kernel_deletes_the_kernel(spec, store):
    first, second = run_study(spec(), store=store), run_study(spec(surrogate="klr"), store=store)
    store.delete(first.key)
    assert store.has_kernel(first.kernel_key)
    assert store.load_study(second.key).key == second.key
    store.delete(second.key)
    assert not store.has_kernel(first.kernel_key)
    usage = store.usage()
    assert (usage.n_studies, usage.n_kernels, usage.n_bytes) == (0, 0, 0)
    store.delete(first.key)


def test_a_study_without_its_kernel_is_neither_saved_nor_opened(spec, store, home):
    study = run_study(spec(), home=home)
    with pytest.raises(StoreCorrupted, match="is not in"):
        store.save_study(study)
    run_study(spec(), store=store)
    shutil.rmtree(store.home / "kernels" / study.kernel_key)
    with pytest.raises(StoreCorrupted, match="missing"):
        store.load_study(study.key)


@pytest.mark.parametrize("key", ["", "latest", "../../etc/passwd", "A" * 64, "0" * 63])
def test_only_keys_name_folders(store, key):
    with pytest.raises(KeyError, match="no key"):
        store.load_study(key)


def test_an_unknown_key_is_a_key_error(store):
    with pytest.raises(KeyError, match="no study 0000"):
        store.load_study("0" * 64)


def test_nothing_outside_the_store_is_discarded(store, tmp_path):
    with pytest.raises(ValueError, match="no kernel"):
        store.discard(tmp_path)


def test_a_manifest_of_another_format_is_told(spec, store):
    study = run_study(spec(), store=store)
    path = store.home / "studies" / study.key / MANIFEST
    entries = json.loads(path.read_text())
    assert entries["format"] == "ntkviz-artefact/1"
    assert entries["versions"]["numpy"]
    path.write_text(path.read_text().replace("artefact/1", "artefact/9"))
    with pytest.raises(StoreCorrupted, match="altered"):
        store.load_study(study.key)


def test_home_is_named_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NTKVIZ_HOME", str(tmp_path / "named"))
    assert ntkviz_home() == tmp_path / "named"
    assert Store().home == tmp_path / "named"
    monkeypatch.setenv("NTKVIZ_HOME", " ")
    assert ntkviz_home().name == "ntkviz"
    assert ntkviz_home().is_absolute()


def test_an_empty_home_has_an_empty_store(tmp_path):
    store = Store(tmp_path / "nowhere" / "deep")
    assert store.list_studies() == []
    assert store.verify() == []
    assert store.usage().free_bytes > 0
    assert not store.home.exists()


def test_usage_counts_what_retrainings_leave(tmp_path):
    for name in ("truth", "verified", "removed"):
        (tmp_path / name / "a").mkdir(parents=True)
        (tmp_path / name / "a" / "file.npz").write_bytes(bytes(100))
    assert Store(tmp_path).usage().n_bytes == 300
