"""When the pseudo NTK loses its hidden layers: closed forms, and what its notes say."""

import numpy as np
import pytest
import torch
from torch import nn

from ntkviz.kernels.degeneracy import LOW, row_sum_share, sentence
from ntkviz.kernels.matrix import kernel_blocks, kernel_matrix, layer_kernels
from tests.cases import CASES

PSEUDO = ("pntk", "proj_pntk")


def with_readout(weight: torch.Tensor) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, weight.shape[1]), nn.Tanh(), nn.Linear(weight.shape[1], len(weight)))
    model[2].weight = nn.Parameter(weight)
    return model


def notes(model: nn.Module, kind: str = "pntk", x: torch.Tensor | None = None) -> str:
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)) if x is None else x
    options = {"proj_dim": 8} if kind.startswith("proj") else {}
    return " ".join(kernel_blocks(model, x, x, kind=kind, **options).notes)


def test_independent_rows_have_a_share_of_about_one():
    shares = [row_sum_share(np.random.default_rng(seed).normal(size=(10, 200))) for seed in range(50)]
    assert np.mean(shares) == pytest.approx(1, abs=0.05)
    assert np.min(shares) > 0.6


def test_rows_that_cancel_have_none_and_equal_rows_have_c():
    w = np.random.default_rng(0).normal(size=(7, 30))
    assert row_sum_share(w - w.mean(0)) == pytest.approx(0, abs=1e-12)
    assert row_sum_share(np.tile(w[:1], (7, 1))) == pytest.approx(7)


@pytest.mark.parametrize("weight", [np.ones((1, 5)), np.zeros((3, 5))])
def test_nothing_to_cancel_has_no_share(weight):
    assert row_sum_share(weight) is None


def test_gradients_of_cross_entropy_keep_the_sum_of_the_rows():
    model, x, y = with_readout(torch.randn(5, 8)), torch.randn(20, 6), torch.arange(20) % 5
    before = model[2].weight.sum(0).detach().clone()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    for _ in range(20):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    torch.testing.assert_close(model[2].weight.sum(0), before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", PSEUDO)
def test_a_pseudo_kernel_tells_its_share_and_what_a_low_one_means(kind):
    w = torch.randn(10, 40, generator=torch.Generator().manual_seed(0))
    share = row_sum_share(w.numpy())
    assert sentence(share) in notes(with_readout(w), kind)
    assert "keeps its hidden layers" in notes(with_readout(w), kind)
    assert "close to the conjugate kernel" in notes(with_readout(w - w.mean(0)), kind)


def test_the_reading_turns_where_it_says():
    assert "keeps" in sentence(LOW)
    assert "conjugate" in sentence(LOW * 0.99)


def test_without_a_share_the_hidden_layers_are_not_in_the_kernel():
    w = torch.randn(4, 8)
    model, x = with_readout(w - w.mean(0)), torch.randn(5, 6)
    assert np.abs(layer_kernels(model, x, kind="pntk")["0"]).max() < 1e-9
    ck = kernel_matrix(model, x, kind="ck", normalize=False)
    np.testing.assert_allclose(kernel_matrix(model, x, kind="pntk", normalize=False), ck + 1, rtol=1e-4)


@pytest.mark.parametrize("kind", PSEUDO)
@pytest.mark.parametrize("name", ["one logit", "conv as readout", "functional linear on a raw parameter"])
def test_nothing_is_said_but_where_a_linear_layer_puts_out_several_logits(kind, name):
    case = next(c for c in CASES if c.name == name)
    said = "rows of the readout" in notes(case.model(), kind, case.inputs(4))
    assert said == (name == "functional linear on a raw parameter")


@pytest.mark.parametrize("kind", ["trntk", "ck", "inputs"])
def test_other_kernels_say_nothing_of_it(kind):
    assert "readout" not in notes(with_readout(torch.randn(4, 8)), kind)
