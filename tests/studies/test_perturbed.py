"""Small changes of test points: small, of the right kind, the same for a seed, and read by network and surrogate as any input."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.perturbed import perturbed_in_child, perturbed_inputs, perturbed_logits
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.subjects import load_subject_model, subject_data
from ntkviz.types import Dataset, Display


def images() -> Dataset:
    draw = np.random.default_rng(0)
    x, shown = draw.random((12, 1, 6, 6), dtype=np.float32), np.zeros((12, 6, 6), np.uint8)
    y = np.arange(12) % 2
    return Dataset(x, y, x, y, ("a", "b"), "image", Display(shown, shown))


def table() -> Dataset:
    draw = np.random.default_rng(0)
    x = np.column_stack([draw.normal(size=200), 100 * draw.normal(size=200), draw.integers(0, 2, size=200)]).astype(np.float32)
    y = np.arange(200) % 2
    return Dataset(x, y, x, y, ("a", "b"), "tabular", Display(pd.DataFrame(x), pd.DataFrame(x)))


def text() -> Dataset:
    x = np.random.default_rng(0).integers(2, 500, size=(40, 20))
    x[:, 12:] = 0
    x[0, 1:] = 0
    y = np.arange(40) % 2
    return Dataset(x, y, x, y, ("a", "b"), "text", Display([""] * 40, [""] * 40))


def test_images_move_by_a_pixel_at_most_and_get_noise() -> None:
    data = images()
    copies = perturbed_inputs(data, np.array([3, 5]), copies=40, strength=1e-6)
    assert copies.shape == (2, 40, 1, 6, 6)
    assert copies.dtype == np.float32
    seen = set()
    for copy in copies[0]:
        moves = [
            (down, right)
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if np.allclose(np.roll(data.x_test[3, 0], (down, right), (0, 1))[1:-1, 1:-1], copy[0, 1:-1, 1:-1], atol=1e-4)
        ]
        assert len(moves) == 1
        seen.update(moves)
    assert len(seen) == 9
    noisy = perturbed_inputs(data, np.array([3]), copies=5)
    assert noisy.min() >= 0
    assert noisy.max() <= 1


def test_columns_get_noise_in_their_own_units_and_yes_or_no_stays() -> None:
    data = table()
    moved = perturbed_inputs(data, np.arange(200), copies=20) - data.x_test[:, None]
    assert moved.std(axis=(0, 1))[:2] / data.x_train.std(axis=0)[:2] == pytest.approx([0.1, 0.1], rel=0.1)
    assert (moved[..., 2] == 0).all()


def test_a_few_words_are_replaced_one_at_least_and_padding_stays() -> None:
    data = text()
    copies = perturbed_inputs(data, np.arange(40), copies=6)
    assert copies.dtype == data.x_test.dtype
    assert ((copies == 0) == (data.x_test == 0)[:, None]).all()
    changed = (copies != data.x_test[:, None]).sum(axis=-1)
    assert changed.max() == 1  # a tenth of twelve words
    assert changed.mean() > 0.9  # a word may be replaced by itself
    many = (perturbed_inputs(data, np.arange(1, 40), strength=0.5) != data.x_test[1:, None]).sum(axis=-1)
    assert 5 < many.mean() <= 6


@pytest.mark.parametrize("make", [images, table, text])
def test_the_same_seed_gives_the_same_copies_and_no_strength_no_change(make) -> None:
    data = make()
    first, second = (perturbed_inputs(data, np.array([0, 1]), seed=2) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (perturbed_inputs(data, np.array([0, 1]), seed=3) != first).any()
    same = perturbed_inputs(data, np.array([0, 1]), strength=0)
    np.testing.assert_array_equal(same, np.repeat(data.x_test[:2, None], 8, axis=1))


@pytest.mark.parametrize(("copies", "strength"), [(0, 0.1), (4, -0.1), (4, 2.0)])
def test_no_copies_and_wild_strengths_are_refused(copies: int, strength: float) -> None:
    with pytest.raises(ValueError, match="at least one copy"):
        perturbed_inputs(table(), np.array([0]), copies=copies, strength=strength)


@pytest.mark.parametrize("kernel", ["trntk", "proj_trntk"])
def test_unchanged_copies_have_the_studys_own_logits(spec, store, home, kernel: str) -> None:
    study = run_study(spec(kernel=kernel, normalize=True), store=store)
    data = subject_data(study.spec.subject_id, home=home)
    model = load_subject_model(study.spec.subject_id, home=home)
    points = np.array([4, 7, 11])
    network, surrogate = perturbed_logits(study, data, model, points=points, copies=2, strength=0)
    for copy in (0, 1):
        np.testing.assert_allclose(network[:, copy], study.logits_test[points], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(surrogate[:, copy], study.surrogate_logits[points], rtol=1e-3, atol=1e-3)
    changed, _ = perturbed_logits(study, data, model, points=points, copies=2)
    assert (changed != network).any()


def test_a_process_of_its_own_says_the_same(spec, store, home) -> None:
    study = run_study(spec(), store=store)
    data, model = subject_data(study.spec.subject_id, home=home), load_subject_model(study.spec.subject_id, home=home)
    here = perturbed_logits(study, data, model, copies=2)
    there = perturbed_in_child(study, home=home, copies=2)
    for one, other in zip(here, there, strict=True):
        assert one.shape == (study.n_test, 2, study.logits_test.shape[1])
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_what_the_process_refuses_is_refused_here(spec, store, home) -> None:
    study = run_study(spec(kernel="lpntk"), store=store)
    with pytest.raises(InvalidStudy, match="needs labels"):
        perturbed_in_child(study, home=home, copies=1)


@pytest.mark.parametrize("module", ["perturbed", "control"])
def test_asking_imports_no_torch(module: str) -> None:
    code = f"import sys, ntkviz.studies.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_kernel_that_needs_labels_is_refused(spec, store, home) -> None:
    study = run_study(spec(kernel="lpntk"), store=store)
    data = subject_data(study.spec.subject_id, home=home)
    with pytest.raises(InvalidStudy, match="needs labels"):
        perturbed_logits(study, data, load_subject_model(study.spec.subject_id, home=home))
