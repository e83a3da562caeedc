"""The approximate trace NTKs: when they are exact, what they are on average, and that the error they state is the error they have."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from ntkviz.gradients.reference import gram_reference, relative_error
from ntkviz.kernels.blocks import KernelBlocks
from ntkviz.kernels.matrix import kernel_blocks, kernel_matrix
from ntkviz.kernels.sketched import random_mixes
from tests.cases import CASES, Case

N, M, SEEDS = 6, 4, 100
WORST = 2e-5
#: Longer than every gradient of every case.
LONG = 100_003


def case_named(name: str) -> Case:
    return next(c for c in CASES if c.name == name)


def network() -> nn.Module:
    """A small convolutional classifier of five classes, 12 x 12 -> 5."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 16), nn.ReLU(), nn.Linear(16, 5)).eval()


def pictures(n: int, seed: int) -> torch.Tensor:
    """Blurred noise: pictures whose gradients are alike to various degrees, as those of data are."""
    noise = torch.randn(n, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(noise, 5, 1) * 3


X, Z = pictures(80, 1), pictures(20, 2)


def off_diagonal_error(found: np.ndarray, exact: np.ndarray) -> float:
    off = ~np.eye(len(exact), dtype=bool)
    return float(np.linalg.norm((found - exact)[off].astype(np.float64)) / np.linalg.norm(exact[off].astype(np.float64)))


@pytest.fixture(scope="module")
def exact() -> KernelBlocks:
    return kernel_blocks(network(), X, Z).normalised()


SKETCHES: list[tuple[str, dict[str, int]]] = [
    ("hybrid_trntk", {"sketch_dim": 127}),
    ("hybrid_trntk", {"sketch_dim": 127, "n_mixes": 2}),
    ("class_sketch_trntk", {"n_mixes": 2}),
]


def errors(kind: str, options: dict[str, int], exact: KernelBlocks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True, predicted and measured error of every seed."""
    found = []
    for seed in range(SEEDS):
        blocks = kernel_blocks(network(), X, Z, kind=kind, seed=seed, **options)
        assert any("approximation" in note and f"{100 * blocks.predicted_error:.2g} %" in note for note in blocks.notes)
        cosine = blocks.normalised()
        of_rows = float(np.linalg.norm(cosine.rows - exact.rows) / np.linalg.norm(exact.rows))
        true = max(of_rows, off_diagonal_error(cosine.train, exact.train))
        found.append((true, blocks.predicted_error, blocks.measured_error))
        assert blocks.stated_error == 2 * max(blocks.predicted_error, blocks.measured_error)
    true, predicted, measured = np.transpose(found)
    return true, predicted, measured


def test_the_error_of_a_fold_is_within_twice_the_predicted_one(exact: KernelBlocks):
    true, predicted, measured = errors("hybrid_trntk", {"sketch_dim": 127}, exact)
    assert (true <= 2 * predicted).sum() >= 99
    assert 0.5 < np.median(true / predicted) < 1.5
    assert 0.5 < np.median(measured / true) < 1.5


@pytest.mark.parametrize(("kind", "options"), SKETCHES[1:], ids=str)
def test_the_error_of_mixes_is_the_predicted_one_on_average_and_the_measured_one_each_time(
    kind: str, options: dict[str, int], exact: KernelBlocks
):
    true, predicted, measured = errors(kind, options, exact)
    assert 0.6 < np.sqrt((true**2).mean()) / predicted.mean() < 1.5
    assert (true <= 2 * predicted).mean() > 0.9  # all pairs share the mixes: a bad draw is bad for all of them
    assert (true <= 2 * np.maximum(predicted, measured)).sum() >= 99


@pytest.mark.parametrize(("kind", "options"), SKETCHES, ids=str)
def test_the_mean_over_seeds_is_the_trace_ntk(kind: str, options: dict[str, int]):
    model, x, z = network(), X[:12], Z[:4]
    truth, truth_rows = kernel_matrix(model, x, normalize=False), kernel_matrix(model, z, x, normalize=False)
    runs = [kernel_blocks(model, x, z, kind=kind, seed=seed, **options) for seed in range(60)]
    off = ~np.eye(len(x), dtype=bool)
    for found, exact in (([b.train[off] for b in runs], truth[off]), ([b.rows for b in runs], truth_rows)):
        found = np.stack(found).astype(np.float64)
        standard_error = found.std(0, ddof=1) / np.sqrt(len(found))
        assert np.all(np.abs(found.mean(0) - exact) < 5 * standard_error + 1e-4 * np.abs(exact).max())


@pytest.mark.parametrize("kind", ["hybrid_trntk", "class_sketch_trntk"])
@pytest.mark.parametrize("n_mixes", [5, 6, 100])
def test_as_many_mixes_as_logits_and_more_are_exact(kind: str, n_mixes: int):
    long = {"sketch_dim": LONG} if kind == "hybrid_trntk" else {}
    blocks = kernel_blocks(network(), X[:20], Z, kind=kind, n_mixes=n_mixes, **long)
    truth = kernel_blocks(network(), X[:20], Z)
    np.testing.assert_array_equal(blocks.train, truth.train)
    np.testing.assert_array_equal(blocks.rows, truth.rows)
    assert blocks.predicted_error == 0
    assert blocks.measured_error < 1e-5


@pytest.mark.parametrize("c", [1, 2, 7])
@pytest.mark.parametrize("r", [1, 2, 6])
def test_mixes_are_orthogonal_and_keep_the_trace(c: int, r: int):
    mixes = random_mixes(c, r, seed=3)
    r = min(r, c)
    np.testing.assert_allclose(mixes @ mixes.T, np.eye(r) * c / r, atol=1e-12)


@pytest.mark.parametrize("n_mixes", [0, -1, 1.5])
def test_a_number_of_mixes_that_makes_no_sense_is_refused(n_mixes):
    with pytest.raises(ValueError, match="n_mixes must be an integer from 1"):
        kernel_matrix(network(), X[:4], kind="class_sketch_trntk", n_mixes=n_mixes)


@pytest.mark.parametrize(("kind", "options"), SKETCHES, ids=str)
def test_rows_alone_are_an_estimate_with_its_error_stated(kind: str, options: dict[str, int], exact: KernelBlocks):
    rows = kernel_matrix(network(), Z, X, kind=kind, seed=5, **options)
    blocks = kernel_blocks(network(), X, Z, kind=kind, seed=5, **options)
    assert rows.shape == (len(Z), len(X))
    assert np.linalg.norm(rows - exact.rows) <= 2 * blocks.predicted_error * np.linalg.norm(exact.rows)
    np.testing.assert_allclose(rows, blocks.normalised().rows, atol=1e-5)  # the seed decides, not what was asked for beside


@pytest.mark.parametrize("name", ["mlp", "mlp with ten classes", "linear", "BatchNorm on features", "more classes than features"])
def test_where_all_layers_have_one_position_the_hybrid_is_the_exact_kernel(name: str):
    model, x = case_named(name).model(), case_named(name).inputs(20)
    blocks = kernel_blocks(model, x, x[:5], kind="hybrid_trntk")
    np.testing.assert_array_equal(blocks.train, kernel_blocks(model, x, x[:5]).train)
    assert blocks.predicted_error == 0
    assert blocks.measured_error == 0
    assert not any("approximation" in note for note in blocks.notes)


@pytest.mark.parametrize("case", CASES[::3], ids=lambda c: c.name)
def test_a_sketch_longer_than_all_gradients_is_the_reference(case: Case):
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    blocks = kernel_blocks(model, x, z, kind="hybrid_trntk", sketch_dim=LONG)
    truth, rows = gram_reference(model, x), gram_reference(model, z, x)
    assert relative_error(blocks.train, truth, np.diag(truth), np.diag(truth)) < WORST
    assert relative_error(blocks.rows, rows, np.diag(gram_reference(model, z)), np.diag(truth)) < WORST


@pytest.mark.parametrize("case", CASES[1::3], ids=lambda c: c.name)
def test_however_short_the_sketch_the_diagonal_is_the_reference(case: Case):
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    blocks = kernel_blocks(model, x, z, kind="hybrid_trntk", sketch_dim=5)
    own = np.diag(gram_reference(model, x))
    np.testing.assert_array_equal(blocks.train, blocks.train.T)
    np.testing.assert_allclose(np.diag(blocks.train), own, rtol=1e-4)
    np.testing.assert_allclose(blocks.rows_diagonal, np.diag(gram_reference(model, z)), rtol=1e-4)
    assert np.isfinite(blocks.rows).all()


def test_where_nothing_can_be_compared_that_is_said():
    blocks = kernel_blocks(network(), X[:1], Z[:3], kind="hybrid_trntk", sketch_dim=31)
    assert np.isnan([blocks.predicted_error, blocks.measured_error]).all()
    assert "not known" in blocks.notes[0]
    assert not any("nan" in note for note in blocks.notes)


def test_many_classes_need_no_more_memory_to_be_checked_than_to_be_computed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 300)).eval()
    k = kernel_matrix(model, torch.randn(20, 5), kind="class_sketch_trntk", memory_mb=48)
    assert k.shape == (20, 20)


class TestEightBits:
    """Gradients rounded to eight bits before they are multiplied."""

    @pytest.mark.parametrize("build", [network, lambda: case_named("conv").model()], ids=["network", "conv"])
    def test_the_error_is_within_twice_the_stated_one(self, build: Callable[[], nn.Module]):
        model = build()
        x, z = (X, Z) if model[0].in_channels == 1 else (case_named("conv").inputs(40), case_named("conv").inputs(9, seed=3))
        exact, rounded = kernel_blocks(model, x, z), kernel_blocks(model, x, z, arithmetic="int8")
        np.testing.assert_array_equal(exact.train_diagonal, rounded.train_diagonal)
        np.testing.assert_array_equal(np.diag(exact.train), np.diag(rounded.train))
        assert 0 < rounded.predicted_error < 0.01
        assert off_diagonal_error(rounded.normalised().train, exact.normalised().train) <= 2 * rounded.predicted_error
        assert 0.3 < rounded.measured_error / rounded.predicted_error < 2

    def test_rows_alone_are_those_of_the_whole(self):
        rows = kernel_matrix(network(), Z, X, arithmetic="int8")
        np.testing.assert_allclose(rows, kernel_matrix(network(), Z, X), atol=2e-3)

    def test_networks_without_columns_are_exact(self):
        case = case_named("mlp")
        blocks = kernel_blocks(case.model(), case.inputs(20), case.inputs(3), arithmetic="int8")
        np.testing.assert_array_equal(blocks.train, kernel_blocks(case.model(), case.inputs(20), case.inputs(3)).train)
        assert blocks.predicted_error == 0

    def test_another_arithmetic_is_refused(self):
        with pytest.raises(ValueError, match="arithmetic must be 'float32' or 'int8', got 'int4'"):
            kernel_matrix(network(), X[:4], arithmetic="int4")
