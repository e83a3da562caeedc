"""What no kernel is made of, and what it is told: models, inputs and arguments."""

import numpy as np
import pytest
import torch
from torch import nn

from ntkviz.errors import BatchDependentModel, BudgetExceeded, NonDeterministicModel, UnsupportedModel
from ntkviz.gradients.reference import gram_reference, relative_error
from ntkviz.kernels.matrix import kernel_blocks, kernel_matrix
from tests.cases import CASES, AlwaysDropout, BatchMean, Case, Overwritten, ReentrantCheckpoint

N = 6


def case_named(name: str) -> Case:
    return next(c for c in CASES if c.name == name)


def test_the_conjugate_kernel_refuses_a_model_without_linear_readout():
    case = case_named("tied embedding and readout")
    assert kernel_matrix(case.model(), case.inputs(3), kind="ck").shape == (3, 3)
    pooled = nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UnsupportedModel, match="layer="):
        kernel_matrix(pooled, torch.randn(3, 1, 5, 5), kind="ck")


def test_the_embedding_kernel_refuses_modules_that_run_for_some_samples_only():
    case = case_named("branch on data")
    x = torch.cat([case.inputs(4).abs(), -case.inputs(4).abs()])
    for order in (x, x.flip(0), x[[0, 4, 1, 2, 3, 5]]):
        with pytest.raises(UnsupportedModel, match="some samples"):
            kernel_matrix(case.model(), order, kind="em")


@pytest.mark.parametrize("case", [c for c in CASES if c.ragged], ids=lambda c: c.name)
def test_the_embedding_kernel_refuses_modules_that_put_out_more_for_some_samples(case: Case):
    with pytest.raises(UnsupportedModel, match=r"more numbers for some samples|some samples and not"):
        kernel_matrix(case.model(), case.inputs(N), kind="em")


@pytest.mark.parametrize("odd_one", [4, 70])
def test_a_sample_with_more_activations_is_found_wherever_it_is(odd_one: int):
    class Doubling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.out = nn.Tanh(), nn.Linear(6, 3)

        def forward(self, x):
            return torch.stack([self.out(self.net(row.repeat(2 if row[0] > 0 else 1))[:6]) for row in x])

    x = -torch.rand(80, 6) - 0.1
    x[odd_one] *= -1
    with pytest.raises(UnsupportedModel, match="'net' puts out more"):
        kernel_matrix(Doubling(), x, kind="em")


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (AlwaysDropout(), NonDeterministicModel),
        (BatchMean(), BatchDependentModel),
        (nn.BatchNorm1d(6, track_running_stats=False), BatchDependentModel),
        (ReentrantCheckpoint(), UnsupportedModel),
        (ReentrantCheckpoint(first=False), UnsupportedModel),
        (Overwritten(), UnsupportedModel),
    ],
)
@pytest.mark.parametrize("kind", ["trntk", "ck", "em", "proj_pntk"])
def test_what_is_no_function_of_one_sample_or_has_no_gradient_is_refused(model, error, kind):
    with pytest.raises(error):
        kernel_matrix(model, torch.randn(8, 6), kind=kind)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: ReentrantCheckpoint(), "use_reentrant=False"),
        (lambda: ReentrantCheckpoint(first=False), "use_reentrant=False"),
        (lambda: torch.jit.trace(case_named("mlp").model(), torch.randn(2, 6)), "The model is TorchScript"),
        (lambda: nn.Sequential(nn.Linear(6, 6), torch.jit.script(case_named("mlp").model())), "'1' is TorchScript"),
    ],
    ids=["checkpoint inside", "checkpoint on the inputs", "traced", "scripted part"],
)
@pytest.mark.parametrize("kind", ["trntk", "em"])
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_gradients_cannot_be_followed_through_is_refused_with_a_way_out(model, message, kind):
    with pytest.raises(UnsupportedModel, match=message):
        kernel_matrix(model(), torch.randn(8, 6), kind=kind)


@pytest.mark.parametrize("table", [nn.Embedding, nn.EmbeddingBag])
def test_sparse_gradients_are_refused_and_switching_them_off_mends_it(table):
    model = nn.Sequential(table(9, 4, sparse=True), nn.Flatten(), nn.LazyLinear(3))
    ids = case_named("embedding").inputs(N)
    model(ids)
    with pytest.raises(UnsupportedModel, match=r"0\.weight are sparse.*sparse=False"):
        kernel_matrix(model, ids)
    model[0].sparse = False
    truth = gram_reference(model, ids)
    assert relative_error(kernel_matrix(model, ids, normalize=False), truth, np.diag(truth), np.diag(truth)) < 2e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "ntk"}, "expected one of trntk"),
        ({"kind": "trntk", "proj_dim": 5}, "no option 'proj_dim'"),
        ({"kind": "lpntk"}, "needs the points' labels"),
        ({"kind": "lpntk", "y": np.array([0, 1, 9, 0])}, "0..2"),
        ({"kind": "proj_trntk", "proj_dim": 0}, "positive integer"),
        ({"kind": "em", "layers": ["nothing"]}, "no module 'nothing'"),
        ({"z": torch.randn(2, 5)}, "one shape"),
    ],
)
def test_wrong_arguments_are_explained(arguments, message):
    case = case_named("mlp")
    with pytest.raises(ValueError, match=message):
        kernel_matrix(case.model(), case.inputs(4), **arguments)


def test_inputs_that_are_not_finite_are_named():
    case = case_named("mlp")
    x = case.inputs(4)
    x[2, 0] = torch.nan
    with pytest.raises(ValueError, match="first: sample 2"):
        kernel_matrix(case.model(), x)


def test_gradients_that_are_not_finite_are_refused():
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.out = nn.Parameter(torch.zeros(6)), nn.Linear(6, 3)

        def forward(self, x):
            return self.out(torch.sqrt((x * self.w).abs()))

    with pytest.raises(UnsupportedModel, match="NaN"):
        kernel_matrix(Root(), torch.randn(4, 6))


def test_the_full_ntk_refuses_what_does_not_fit():
    case = case_named("mlp")
    with pytest.raises(BudgetExceeded, match="trntk"):
        kernel_matrix(case.model(), case.inputs(400), kind="entk", memory_mb=8)


def test_a_study_needs_a_kernel_of_points():
    case = case_named("mlp")
    with pytest.raises(ValueError, match="C rows a point"):
        kernel_blocks(case.model(), case.inputs(3), case.inputs(2), kind="entk")
