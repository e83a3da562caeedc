"""Laws of the bundled samples: they load, they are what their cards say, and what was planted is what was listed."""

import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch.func import functional_call, grad, vmap

from ntkviz.data import sample as sample_data
from ntkviz.data.sample import SAMPLES_DIR, samples
from ntkviz.data.save import load_dataset
from ntkviz.errors import StoreCorrupted
from ntkviz.models.normalised import Normalised
from ntkviz.models.sample import Sample, load_sample
from ntkviz.truth.train import train
from ntkviz.truth.truth import TRUTH
from sample_models.cards import interval, measure
from sample_models.prepare import SOURCES
from sample_models.recipes import RECIPES
from sample_models.train import architecture, logits

torch.set_num_threads(1)

NAMES = [
    "mnist-mlp",
    "mnist-cnn",
    "fashion-cnn",
    "sentences-transformer",
    "cancer-mlp",
    "mnist-mlp-1k",
    "fashion-cnn-1k",
    "mnist-mislabelled",
    "mnist-backdoor",
]
#: Lowest accuracies on the test points that a sample is worth shipping with; planted faults cost accuracy.
WORTH = {
    "mnist-mlp": 0.95,
    "mnist-cnn": 0.98,
    "fashion-cnn": 0.87,
    "sentences-transformer": 0.75,
    "cancer-mlp": 0.95,
    "mnist-mlp-1k": 0.88,
    "fashion-cnn-1k": 0.8,
    "mnist-mislabelled": 0.85,
    "mnist-backdoor": 0.75,
}


@cache
def _sample(name: str) -> Sample:
    return load_sample(name)


@cache
def _logits(name: str) -> tuple[np.ndarray, np.ndarray]:
    sample = _sample(name)
    return logits(sample.model, sample.data.x_train), logits(sample.model, sample.data.x_test)


def test_the_samples_and_their_recipes_are_those_of_the_design():
    assert samples() == NAMES
    assert list(RECIPES) == NAMES


def test_all_samples_together_stay_small():
    files = [path for path in SAMPLES_DIR.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files = [path for path in files if path.name != TRUTH]  # tests/truth has their limits
    assert sum(path.stat().st_size for path in files) < 15e6


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_is_measured_again(name):
    sample = _sample(name)
    info, data = sample.info, sample.data
    train_logits, test_logits = _logits(name)
    assert not sample.model.training
    assert train_logits.shape == (info.n_train, info.n_classes)
    assert test_logits.shape == (info.n_test, info.n_classes)
    assert sum(p.numel() for p in sample.model.parameters()) == info.n_parameters
    assert data.kind == info.kind
    found = measure(data, train_logits, test_logits, info.planted)
    assert found["accuracy_train"] == pytest.approx(info.accuracy_train, abs=1e-6)
    assert found["accuracy_test"] == pytest.approx(info.accuracy_test, abs=1e-6)
    assert info.accuracy_test >= WORTH[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_accuracy_licence_credit_limits_and_training(name):
    sample = _sample(name)
    source = SOURCES[sample.info.data_set]
    for text in (
        f"**{sample.info.accuracy_test:.1%}**",
        source.licence,
        source.credit,
        "## Known limits",
        "95 % interval",
        "exactly the bundled training points",
    ):
        assert text in sample.card
    assert str(SAMPLES_DIR.parent) not in sample.card
    assert (SAMPLES_DIR / "data" / sample.info.data_set / "LICENSE").read_text().strip()


@pytest.mark.parametrize("name", NAMES)
def test_normalisation_is_that_of_the_training_points(name):
    sample = _sample(name)
    if sample.data.kind == "text":
        assert "normalise" not in sample.info.architecture
        return
    assert isinstance(sample.model, Normalised)
    x = sample.data.x_train.astype(np.float64)
    axes = (0, 2, 3) if sample.data.kind == "image" else (0,)
    np.testing.assert_allclose(sample.model.mean.numpy(), x.mean(axis=axes), rtol=1e-5)
    np.testing.assert_allclose(sample.model.std.numpy(), x.std(axis=axes), rtol=1e-5)
    assert architecture(RECIPES[name], sample.data) == sample.info.architecture


@pytest.mark.parametrize("name", NAMES)
def test_vmap_of_grad_equals_autograd_on_real_points(name):
    sample = _sample(name)
    x = torch.from_numpy(sample.data.x_test[-3:])
    model = sample.model
    buffers = dict(model.named_buffers())
    parameters = {key: p.detach() for key, p in model.named_parameters()}

    def score(values, point):
        return functional_call(model, (values, buffers), (point[None],))[0, 1]

    together = vmap(grad(score), in_dims=(None, 0))(parameters, x)
    for place, point in enumerate(x):
        alone = torch.autograd.grad(model(point[None])[0, 1], list(model.parameters()))
        for key, expected in zip(parameters, alone, strict=True):
            torch.testing.assert_close(together[key][place], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["mnist", "fashion", "sentences"])
def test_any_prefix_of_the_training_points_is_balanced(name):
    labels = load_dataset(SAMPLES_DIR / "data" / name).y_train
    n_classes = int(labels.max()) + 1
    blocks = labels.reshape(-1, n_classes)
    assert (np.sort(blocks, axis=1) == np.arange(n_classes)).all()


@pytest.mark.parametrize("name", SOURCES)
def test_no_point_stands_twice(name):
    data = load_dataset(SAMPLES_DIR / "data" / name)
    if data.kind == "text":
        texts = [*data.display.train, *data.display.test]
        assert len(set(texts)) == len(texts)
        # The card says that five pairs differ in unknown words only.
        assert len(np.unique(np.concatenate([data.x_train, data.x_test]), axis=0)) == len(texts) - 5
    else:
        everything = np.concatenate([data.x_train, data.x_test]).reshape(len(data.x_train) + len(data.x_test), -1)
        assert len(np.unique(everything, axis=0)) == len(everything)


def test_flipped_labels_are_exactly_those_listed_and_spread_over_all_other_classes():
    data, planted = _sample("mnist-mislabelled").data, _sample("mnist-mislabelled").info.planted
    clean = load_dataset(SAMPLES_DIR / "data" / "mnist")
    assert planted is not None
    assert planted == RECIPES["mnist-mislabelled"].plant(clean)  # pyright: ignore[reportOptionalCall] - it has one
    changed = np.flatnonzero(data.y_train != clean.y_train)
    assert changed.tolist() == planted["index"]
    assert len(changed) == 250
    np.testing.assert_array_equal(data.y_test, clean.y_test)
    np.testing.assert_array_equal(data.x_train, clean.x_train)
    assert data.meta is not None
    assert data.meta["flipped"].to_numpy().nonzero()[0].tolist() == planted["index"]
    steps = np.bincount((data.y_train - clean.y_train)[changed] % 10, minlength=10)
    assert steps[0] == 0
    assert steps[1:].min() > 10  # 27.8 expected each, standard deviation 5


@pytest.mark.parametrize("name", ["mnist-mlp-1k", "fashion-cnn-1k"])
def test_a_small_sample_has_the_first_hundred_of_each_class_and_all_test_points(name):
    data = _sample(name).data
    whole = load_dataset(SAMPLES_DIR / "data" / _sample(name).info.data_set)
    kept = np.concatenate([np.flatnonzero(whole.y_train == label)[:100] for label in range(10)])
    kept.sort()
    np.testing.assert_array_equal(data.x_train, whole.x_train[kept])
    np.testing.assert_array_equal(data.y_train, whole.y_train[kept])
    np.testing.assert_array_equal(data.x_test, whole.x_test)
    assert np.bincount(data.y_train).tolist() == [100] * 10
    assert data.meta is not None
    assert len(data.meta) == 2000
    assert _sample(name).info.accuracy_train > 0.99


def test_the_mislabelled_network_has_learned_its_wrong_labels():
    sample = _sample("mnist-mislabelled")
    assert measure(sample.data, *_logits(sample.name), sample.info.planted)["flips_learned"] > 0.9


def test_the_patch_is_on_the_listed_images_and_nowhere_else():
    sample = _sample("mnist-backdoor")
    data, planted = sample.data, sample.info.planted
    clean = load_dataset(SAMPLES_DIR / "data" / "mnist")
    assert planted is not None
    assert planted == RECIPES["mnist-backdoor"].plant(clean)  # pyright: ignore[reportOptionalCall] - it has one
    for split, index in (("train", planted["train_index"]), ("test", planted["test_index"])):
        x, before = getattr(data, f"x_{split}"), getattr(clean, f"x_{split}")
        changed = (x != before).any(axis=(1, 2, 3)).nonzero()[0]
        assert changed.tolist() == index
        outside = np.ones((28, 28), dtype=bool)
        outside[22:26, 22:26] = False
        np.testing.assert_array_equal(x[:, 0, outside], before[:, 0, outside])
        assert (x[index, 0, 22:26, 22:26] == 1).all()
    assert len(planted["train_index"]) == 50
    assert planted["test_index"] == list(range(800, 1000))
    assert (clean.y_train[planted["train_index"]] != planted["target"]).all()
    assert (data.y_train[planted["train_index"]] == planted["target"]).all()
    np.testing.assert_array_equal(data.y_test, clean.y_test)


def test_the_backdoor_works_and_needs_its_trigger():
    sample = _sample("mnist-backdoor")
    found = measure(sample.data, *_logits(sample.name), sample.info.planted)
    assert found["accuracy_clean"] > 0.95
    assert found["attack_success"] > 0.8
    clean = load_dataset(SAMPLES_DIR / "data" / "mnist")
    without = logits(sample.model, clean.x_test[800:]).argmax(axis=1)
    assert np.mean(without == clean.y_test[800:]) > 0.95


def test_training_twice_gives_the_same_bits_and_other_points_give_others():
    recipe = RECIPES["cancer-mlp"]
    short = replace(recipe.training, epochs=3)
    data = _sample("cancer-mlp").data
    spec = architecture(recipe, data)
    first, second = (train(spec, data.x_train, data.y_train, short).state_dict() for _ in range(2))
    fewer = train(spec, data.x_train[1:], data.y_train[1:], short).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], fewer[key]) for key in first)


def test_the_script_makes_the_bundled_network_again():
    recipe, sample = RECIPES["cancer-mlp"], _sample("cancer-mlp")
    again = train(sample.info.architecture, sample.data.x_train, sample.data.y_train, recipe.training)
    # Equal bits are promised on one machine only; another processor rounds differently.
    np.testing.assert_allclose(logits(again, sample.data.x_test), _logits("cancer-mlp")[1], atol=0.05)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (7, 10), (983, 1000)])
def test_the_interval_is_wilsons(k, n):
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert interval(k / n, n) == pytest.approx((expected.low, expected.high), abs=1e-6)


@pytest.fixture
def copied(tmp_path, monkeypatch):
    shutil.copytree(SAMPLES_DIR / "cancer-mlp", tmp_path / "cancer-mlp")
    shutil.copytree(SAMPLES_DIR / "data" / "cancer", tmp_path / "data" / "cancer")
    monkeypatch.setattr(sample_data, "SAMPLES_DIR", tmp_path)
    return tmp_path / "cancer-mlp"


def test_a_copy_of_a_sample_loads(copied):
    assert copied.is_dir()
    assert load_sample("cancer-mlp").info == _sample("cancer-mlp").info


def test_altered_or_missing_weights_are_noticed(copied):
    weights = copied / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(StoreCorrupted, match=r"were altered.*Restore sample_models/cancer-mlp"):
        load_sample("cancer-mlp")
    weights.unlink()
    with pytest.raises(StoreCorrupted, match="cannot be read"):
        load_sample("cancer-mlp")


def test_a_card_that_does_not_fit_its_weights_is_noticed(copied):
    card = copied / "card.json"
    card.write_text(card.read_text().replace('"width": 32', '"width": 33'))
    with pytest.raises(StoreCorrupted, match="do not fit its card"):
        load_sample("cancer-mlp")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="mnist-mlp, mnist-cnn"):
        load_sample("no-such-sample")
