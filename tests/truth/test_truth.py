"""Laws of the truth: halves are halves, the file comes back whole, and one of another network is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkviz.data import sample as sample_data
from ntkviz.data.sample import SAMPLES_DIR, load_sample_data, sample_card, samples
from ntkviz.errors import JobCancelled, StoreCorrupted
from ntkviz.fidelity.ceiling import noise_ceiling
from ntkviz.models.probes import logits_of
from ntkviz.models.sample import load_sample
from ntkviz.truth import truth as room
from ntkviz.truth.make import make_truth, quote_truth
from ntkviz.truth.recipe import Training
from ntkviz.truth.retrain import ENSEMBLE, retrain
from ntkviz.truth.truth import (
    TRUTH,
    Truth,
    balanced,
    check_truth,
    data_sha256,
    half_subsets,
    has_truth,
    load_truth,
    margins_of,
    read_truth,
    save_truth,
)
from tests.test_architecture import imported_by
from tests.truth.made import MLP, SGD, images

SHIPPED = [name for name in samples() if has_truth(name)]


@pytest.fixture(scope="module")
def small() -> Truth:
    return make_truth(MLP, images(), SGD, sample="small", n_subsets=4, n_seeds=3, n_test=7)


@given(n=st.integers(2, 60), s=st.integers(1, 20), seed=st.integers(0, 2**32))
def test_half_subsets_are_halves_and_follow_their_seed(n, s, seed):
    masks = half_subsets(n, s, seed)
    assert masks.shape == (s, n)
    assert masks.dtype == bool
    assert (masks.sum(axis=1) == n // 2).all()
    np.testing.assert_array_equal(masks, half_subsets(n, s, seed))


def test_half_subsets_take_every_point_about_half_of_the_time():
    masks = half_subsets(200, 400, 0)
    assert np.abs(masks.mean(axis=0) - 0.5).max() < 0.13  # five standard deviations
    assert len(np.unique(masks, axis=0)) == 400
    assert not np.array_equal(masks, half_subsets(200, 400, 1))


def test_half_subsets_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least 2 points and 1 subset"):
        half_subsets(1, 3, 0)


def test_balanced_takes_the_first_of_each_class_in_turn():
    labels = np.array([0, 0, 0, 1, 0, 1, 2])
    assert balanced(labels, 4).tolist() == [0, 1, 3, 6]
    assert balanced(labels, 6).tolist() == [0, 1, 2, 3, 5, 6]
    assert balanced(labels, 100).tolist() == list(range(7))


def test_margins_are_log_odds_of_the_true_class():
    logits = np.random.default_rng(0).normal(size=(2, 5, 3)) * 3
    labels = np.array([0, 1, 2, 1, 0])
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    true = p[:, np.arange(5), labels]
    np.testing.assert_allclose(margins_of(logits, labels), np.log(true / (1 - true)))
    np.testing.assert_allclose(margins_of(logits[..., :1], labels % 2)[0], logits[0, :, 0] * [-1, 1, -1, 1, -1])


def test_a_truth_is_the_retrainings_it_says(small):
    data = images()
    assert small.margins.shape == (4, 3, 7)
    assert small.margins.dtype == np.float16
    assert small.seeds[0] == SGD.seed
    assert len(set(small.seeds.tolist())) == 3
    logits = retrain(MLP, data, small.masks[2:3], small.seeds[1:2], SGD, test=small.test_index)
    np.testing.assert_allclose(small.margins[2, 1], margins_of(logits[0], small.y_test), rtol=2e-3, atol=2e-3)
    whole = retrain(MLP, data, np.ones((1, 30), dtype=bool), small.seeds[:1], SGD, test=small.test_index)
    np.testing.assert_allclose(small.full[0], margins_of(whole[0], small.y_test), rtol=2e-3, atol=2e-3)


def test_a_truth_comes_back_from_its_file(small, tmp_path):
    path = save_truth(tmp_path / "new", replace(small, notes=("a note",)))
    found = read_truth(tmp_path / "new")
    for name in ("masks", "margins", "full", "y_test", "train_index", "test_index", "seeds"):
        np.testing.assert_array_equal(getattr(found, name), getattr(small, name))
        assert getattr(found, name).dtype == getattr(small, name).dtype
    for name in ("sample", "architecture", "recipe", "data_sha256"):
        assert getattr(found, name) == getattr(small, name)
    assert found.notes == ("a note",)
    assert [file.name for file in path.parent.iterdir()] == [TRUTH]


def test_a_truth_of_the_same_network_is_taken_and_others_are_refused(small):
    data = images()
    check_truth(small, data, MLP, SGD.to_dict())
    relabelled = replace(data, y_train=np.roll(data.y_train, 1))
    with pytest.raises(StoreCorrupted, match="stale: it was made on other data than"):
        check_truth(small, relabelled, MLP, SGD.to_dict())
    for architecture, recipe in ((MLP | {"normalise": None}, SGD.to_dict()), (MLP, SGD.to_dict() | {"seed": 4}), (MLP, None)):
        with pytest.raises(StoreCorrupted, match=r"by another recipe or architecture than.*Make it anew"):
            check_truth(small, data, architecture, recipe)


def test_a_damaged_file_is_refused(small, tmp_path):
    with pytest.raises(StoreCorrupted, match="cannot be read"):
        read_truth(tmp_path)
    path = save_truth(tmp_path, small)
    content = path.read_bytes()
    for damaged in (content[:200], content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 255]), b"", b"PK"):
        path.write_bytes(damaged)
        with pytest.raises(StoreCorrupted, match="Make it anew"):
            read_truth(tmp_path)


def test_an_altered_recipe_or_another_format_is_refused(small, tmp_path, monkeypatch):
    save_truth(tmp_path, small)
    monkeypatch.setattr(room, "_FORMAT", "ntkviz-truth/2")
    with pytest.raises(StoreCorrupted, match="another version"):
        read_truth(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(room, "_recipe_sha256", lambda *_: "0")
    with pytest.raises(StoreCorrupted, match="was altered"):
        read_truth(tmp_path)


def test_parts_that_do_not_fit_make_no_truth(small):
    with pytest.raises(ValueError, match="`margins` has the shape"):
        replace(small, margins=small.margins[:, :2])
    with pytest.raises(ValueError, match="expected bool"):
        replace(small, masks=small.masks.astype(int))


def test_the_hash_of_data_sees_inputs_labels_and_types():
    data = images()
    other = data.x_test.copy()
    other[0, 0, 0, 0] += 1e-6
    changed = [
        replace(data, x_test=other),
        replace(data, y_test=np.roll(data.y_test, 1)),
        replace(data, x_train=data.x_train.astype(np.float64)),
    ]
    assert len({data_sha256(one) for one in [data, *changed]}) == 4
    assert data_sha256(data) == data_sha256(images())


def test_making_a_truth_can_be_cancelled_and_reports_up_to_one():
    seen = []

    def stop(_stage: str, fraction: float) -> None:
        seen.append(fraction)
        if fraction > 0.5:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        make_truth(MLP, images(), SGD, sample="small", n_subsets=4, n_seeds=2, on_progress=stop)
    assert seen[-1] < 1
    seen.clear()
    make_truth(MLP, images(), SGD, sample="small", n_subsets=4, n_seeds=2, on_progress=lambda _, done: seen.append(done))
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_a_sample_without_truth_has_none_and_an_unknown_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_data, "SAMPLES_DIR", tmp_path)
    assert not has_truth("mnist-mlp-1k")
    assert not has_truth("../mnist-mlp-1k")
    with pytest.raises(ValueError, match="There is no sample"):
        load_truth("mnist-mlp-1k")


def test_a_stale_file_of_a_sample_is_refused(monkeypatch):
    monkeypatch.setattr(sample_data, "load_sample_data", lambda _name: images())
    with pytest.raises(StoreCorrupted, match="'cancer-mlp' is stale: it was made on other data"):
        load_truth("cancer-mlp")


def test_every_sample_is_shipped_with_its_truth_and_all_of_it_stays_small():
    assert set(SHIPPED) == set(samples())
    sizes = [(SAMPLES_DIR / name / TRUTH).stat().st_size for name in SHIPPED]
    assert max(sizes) <= 3e6
    assert sum(sizes) <= 25e6


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_truth_fits_its_sample_and_agrees_between_seeds(name):
    data, card = load_sample_data(name), sample_card(name)
    truth = load_truth(name, dataset=data)
    assert truth is not None
    s, r, m = truth.margins.shape
    assert (s, r, m) == (100, 5, min(500, len(data.y_test)))
    assert (truth.masks.sum(axis=1) == card.n_train // 2).all()
    np.testing.assert_array_equal(truth.masks, half_subsets(card.n_train, s, 20261122))
    assert truth.seeds[0] == Training.from_dict(card.recipe or {}).seed
    np.testing.assert_array_equal(truth.y_test, data.y_test[truth.test_index])
    assert np.isfinite(truth.margins).all()
    # Half of the points make a worse network, and a network all the same.
    right = (truth.margins > 0).mean()
    assert 0.6 < right < (truth.full > 0).mean() + 0.01
    ceiling = noise_ceiling(truth.margins[:, :, :: max(1, m // 60)].astype(np.float64))
    assert ceiling.seed_to_seed > 0.2
    assert ceiling.seed_to_seed < ceiling.value <= 1


@pytest.mark.parametrize("name", SHIPPED)
def test_training_on_everything_from_the_own_seed_is_the_explained_network(name):
    sample, truth = load_sample(name), load_truth(name)
    assert truth is not None
    margins = margins_of(logits_of(sample.model, sample.data.x_test[truth.test_index]), truth.y_test)
    difference = np.abs(margins - truth.full[0])
    others = np.abs(truth.full[1].astype(np.float64) - truth.full[0])
    # Another processor rounds otherwise, and that grows while training; another seed is further away.
    assert np.median(difference) < 0.3 * np.median(others)


def test_retraining_anew_gives_the_shipped_margins():
    truth = load_truth("cancer-mlp")
    assert truth is not None
    r = len(truth.seeds)
    subsets = ENSEMBLE // r
    logits = retrain(
        truth.architecture,
        load_sample_data("cancer-mlp"),
        truth.masks[:subsets].repeat(r, axis=0),
        np.tile(truth.seeds, subsets),
        Training.from_dict(truth.recipe),
        test=truth.test_index,
    )
    found = margins_of(logits, truth.y_test).reshape(subsets, r, -1)
    shipped = truth.margins[:subsets].astype(np.float64)
    # float16 has 11 bits; another processor rounds otherwise, and that grows while training.
    np.testing.assert_allclose(found, shipped, rtol=0.02, atol=0.05)


def test_reading_a_truth_needs_no_torch():
    assert imported_by("from ntkviz.truth import truth, recipe") == set()


def test_the_quote_is_in_proportion_to_what_is_to_be_trained():
    few, many = (quote_truth(MLP, images(), SGD, n_subsets=s, n_seeds=2) for s in (10, 1000))
    assert few > 0
    assert 20 < many / few < 500  # 84 times the work, measured twice on a machine that does other things as well


def test_no_truth_lies_where_no_sample_is():
    assert {path.parent.name for path in Path(SAMPLES_DIR).rglob(TRUTH)} == set(SHIPPED)
