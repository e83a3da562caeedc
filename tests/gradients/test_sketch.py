"""The fold sketch: what it is on average, what it keeps exactly, and how its error shrinks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ntkviz.gradients import engine
from ntkviz.gradients.differentiable import Differentiable
from ntkviz.gradients.engine import Gram, tangent_gram, unit_heads
from ntkviz.gradients.sketch import Sketch, fold, largest_prime
from tests.case_models.pitfalls import Twice

N, SEEDS = 12, 200
OFF = ~np.eye(N, dtype=bool)


class Net:
    """A network of which some layers are wider than a short sketch, prepared once for many sketches."""

    def __init__(self, model: nn.Module, x: torch.Tensor) -> None:
        self.x, self.function = x, Differentiable(model.eval(), x)
        self.exact = self.gram()

    def gram(self, sketch: Sketch | None = None) -> Gram:
        return tangent_gram(self.function, self.x, heads=unit_heads(self.function), sketch=sketch)

    def error(self, dim: int, seeds: int = 10, **options: int) -> float:
        """Relative error off the diagonal, root mean square over seeds."""
        grams = [self.gram(Sketch(dim, seed, **options)).train for seed in range(seeds)]
        squares = [((gram - self.exact.train)[OFF] ** 2).sum() for gram in grams]
        return float(np.sqrt(np.mean(squares) / (self.exact.train[OFF] ** 2).sum()))


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3)]
    return Net(nn.Sequential(*layers), torch.randn(N, 2, 6, 6))


@pytest.mark.parametrize("n_pilot", [0, 64])
def test_the_mean_over_seeds_is_the_exact_kernel_and_the_spread_is_as_predicted(net: Net, n_pilot: int):
    sketches = [Sketch(61, seed, n_pilot) for seed in range(SEEDS)]
    runs = np.stack([net.gram(sketch).train for sketch in sketches]).astype(np.float64)
    energy = sketches[0].energy.numpy()
    products = np.mean([(s.features @ s.features.T).double().numpy() for s in sketches], axis=0)
    variance = (np.outer(energy, energy) + products**2) / sketches[0].length
    pilot = np.isin(np.arange(N), sketches[0].pilot)
    np.testing.assert_allclose(runs[:, pilot], np.broadcast_to(net.exact.train[pilot], (SEEDS, pilot.sum(), N)), rtol=1e-3)
    others = OFF & ~pilot[:, None] & ~pilot  # what the pilot points span is exact
    gap = (runs.mean(0) - net.exact.train)[others] / np.sqrt(variance[others] / SEEDS)
    assert np.abs(gap).max() < 5
    assert 0.5 < (runs.var(0, ddof=1)[others] / variance[others]).mean() < 2


def test_fewer_places_than_heads_are_no_bias():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(24, 7))
    model[-1].weight.data[:] += model[-1].weight.data[0] * 2  # logits that go together: places shared by heads would show
    net = Net(model, torch.rand(N, 2, 8))
    runs = np.stack([net.gram(Sketch(3, seed, 0)).train for seed in range(2 * SEEDS)]).astype(np.float64)
    gap = (runs.mean(0) - net.exact.train)[OFF] / (runs.std(0, ddof=1)[OFF] / np.sqrt(len(runs)))
    assert np.abs(gap).max() < 5


def test_one_seed_gives_the_same_bits_and_another_others(net: Net):
    first, again, other = (net.gram(Sketch(61, seed)).train for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize("dim", [2, 61])
@pytest.mark.parametrize("n_pilot", [0, 3])
def test_the_diagonal_is_exact_and_the_matrix_symmetric(net: Net, dim: int, n_pilot: int):
    found = net.gram(Sketch(dim, 0, n_pilot))
    np.testing.assert_allclose(found.train_diagonal, net.exact.train_diagonal, rtol=1e-5)
    np.testing.assert_array_equal(np.diag(found.train), found.train_diagonal.astype(np.float32))
    np.testing.assert_array_equal(found.train, found.train.T)


def test_the_error_falls_with_the_square_root_of_the_length(net: Net):
    short, long = net.error(31, n_pilot=0), net.error(127, n_pilot=0)
    assert 0.35 < long / short < 0.7  # sqrt(31 / 127) is 0.49


def test_a_pilot_makes_the_error_smaller(net: Net):
    assert net.error(61) < 0.8 * net.error(61, n_pilot=0)


def test_a_sketch_longer_than_every_gradient_is_the_exact_kernel(net: Net):
    sketch = Sketch(10_000, 0)
    assert net.gram(sketch).train.tobytes() == net.exact.train.tobytes()
    assert not sketch.is_used


def test_a_weight_used_twice_is_folded_as_one_parameter():
    net = Net(Twice(), torch.randn(N, 6, generator=torch.Generator().manual_seed(0)))
    runs = np.stack([net.gram(Sketch(5, seed, 0)).train for seed in range(SEEDS)]).astype(np.float64)
    gap = (runs.mean(0) - net.exact.train)[OFF] / (runs.std(0, ddof=1)[OFF] / np.sqrt(SEEDS) + 1e-9)
    assert runs.std(0)[OFF].min() > 0
    assert np.abs(gap).max() < 5


@pytest.mark.parametrize("numbers", [40, 100, 140, 400])
def test_little_memory_takes_more_passes_and_gives_the_same_sketch(net: Net, numbers: int, monkeypatch):
    whole = net.gram(Sketch(31, 0, n_pilot=0)).train
    monkeypatch.setattr(engine, "room", lambda n, _held, _mb, itemsize: n * itemsize * numbers)
    np.testing.assert_allclose(net.gram(Sketch(31, 0, n_pilot=0)).train, whole, rtol=1e-4, atol=1e-5 * whole.max())


@pytest.mark.parametrize("dim", [1, 0, -3, 2.5, None])
def test_a_length_that_makes_no_sense_is_refused(dim):
    with pytest.raises(ValueError, match="sketch_dim must be an integer of at least 2"):
        Sketch(dim, 0)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed"):
        Sketch(16, -1)


@given(size=st.integers(1, 40), length=st.integers(1, 50), seed=st.integers(0, 99))
def test_a_fold_adds_up_what_shares_a_place(size: int, length: int, seed: int):
    values = torch.randn(2, 3, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = torch.zeros(2, 3, length, dtype=torch.float64)
    for place in range(size):
        expected[:, :, place % length] += values[:, :, place]
    torch.testing.assert_close(fold(values, length), expected)


@given(st.integers(2, 5000))
def test_the_largest_prime_is_prime_and_none_is_between(limit: int):
    found = largest_prime(limit)

    def is_prime(k: int) -> bool:
        return all(k % d for d in range(2, k))

    assert found <= limit
    assert is_prime(found)
    assert not any(is_prime(k) for k in range(found + 1, limit + 1))
