"""Laws of predicted costs; no machine enters."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from ntkviz.errors import BudgetExceeded
from ntkviz.kernels.budget import candidates, choose
from ntkviz.kernels.cost import KernelProfile, Layout, Rates, tile_pairs
from ntkviz.kernels.profile import profile_kernel
from ntkviz.kernels.registry import kernels

RATES = Rates(((8, 1e-9), (128, 4e-9), (8192, 1e-7)), 1e-10, 2e-10, 1e-9, 1e-9)
LAYOUT = Layout(1000, 32, 1e-3, 1e-4, 1e-8, (500, 20_000), ((60, 40), (10, 0)), ((30, 20, 9),), 4000, 20_000)


def profile(*layouts: Layout) -> KernelProfile:
    return KernelProfile(0.1, 50.0, layouts or (LAYOUT,))


def test_an_inner_product_is_on_lines_between_the_depths_and_in_blocks_beyond():
    assert RATES.inner(8) == 1e-9
    assert RATES.inner(68) == pytest.approx(2.5e-9)
    assert RATES.inner(3 * 8192) == pytest.approx(3e-7)
    assert RATES.inner(8192 + 128) == pytest.approx(1.04e-7)
    assert RATES.flops == pytest.approx(2 * 8192 / 1e-7)


@pytest.mark.parametrize(("n", "m"), [(2, 0), (63, 5), (512, 0), (1000, 500), (5000, 100)])
def test_pairs_are_those_of_the_tiles_that_are_multiplied(n, m):
    from ntkviz.gradients.gram import GramSum

    computed = sum(tile.numel() for tile, _, _ in GramSum(n, m, device="meta").tiles())
    assert tile_pairs(n, m) == computed


def test_more_points_cost_more_seconds_and_memory():
    sizes = [(20, 10), (20, 60), (200, 60), (2000, 60), (2000, 600)]
    seconds = [profile().seconds(n, m, RATES) for n, m in sizes]
    memory = [profile().memory_mb(n, m) for n, m in sizes]
    assert seconds == sorted(set(seconds))
    assert memory == sorted(set(memory))


def test_what_a_layer_costs_adds_up():
    whole = LAYOUT.a_pair(RATES)
    parts = [
        Layout(1000, columns=(500,)),
        Layout(1000, columns=(20_000,)),
        Layout(1000, products=LAYOUT.products),
        Layout(1000, positions=LAYOUT.positions),
    ]
    assert whole == pytest.approx(sum(part.a_pair(RATES) for part in parts))


def test_the_layout_is_that_of_the_number_of_points():
    small, large = LAYOUT, Layout(8000, point_seconds=1.0)
    both = profile(small, large)
    assert both.seconds(500, 100, RATES) == profile(small).seconds(500, 100, RATES)
    assert both.seconds(4000, 100, RATES) == profile(large).seconds(4000, 100, RATES)
    assert both.seconds(40_000, 100, RATES) == profile(large).seconds(40_000, 100, RATES)


def test_a_profile_is_read_back_as_it_was_written():
    written = json.loads(json.dumps(profile().to_dict()))
    assert KernelProfile.from_dict(written) == profile()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 4, 3), nn.Linear(4 * 36, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.conv(x)).flatten(1))


def test_widths_are_noted_and_nothing_is_multiplied():
    """Readout: inputs and a one against a constant; convolution: 40 numbers for each of three heads, as columns or positions."""
    torch.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((40, 1, 8, 8)).astype(np.float32)
    found = profile_kernel(Net(), x, "trntk", {}, rates=RATES, memory_mb=100)
    layout = found.layouts[0]
    assert layout.products == ((145, 0),)
    assert sum(layout.columns) == 3 * 40 or layout.positions
    assert layout.point_seconds > 0
    assert layout.point_bytes > 4 * 145


@pytest.mark.parametrize("kind", [key for key, info in kernels().items() if info.block == "point"])
def test_every_kernel_has_a_profile(kind):
    x = np.random.default_rng(0).standard_normal((40, 1, 8, 8)).astype(np.float32)
    options = {name: default for name, (default, _) in kernels()[kind].options.items()} | (
        {"n_mixes": 2} if kind == "class_sketch_trntk" else {"sketch_dim": 32} if kind == "hybrid_trntk" else {}
    )
    found = profile_kernel(Net(), x, kind, options, rates=RATES, memory_mb=100)
    assert 0 < found.seconds(100, 50, RATES) < found.seconds(1000, 50, RATES)
    assert KernelProfile.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_less_memory_means_more_passes():
    """The same gradients are held in parts, and every part goes through the network again."""
    x = np.random.default_rng(0).standard_normal((40, 1, 8, 8)).astype(np.float32)
    roomy, tight = (profile_kernel(Net(), x, "trntk", {}, rates=RATES, memory_mb=mb).layouts[0] for mb in (100, 1))
    assert tight.point_bytes < roomy.point_bytes


def seconds_of(table):
    return lambda candidate: table.get((candidate.kind, *candidate.options.values()), table.get(candidate.kind, 99.0))


@pytest.mark.parametrize(
    ("table", "chosen"),
    [
        ({"trntk": 5.0}, ("trntk", {})),
        ({"trntk": 50.0, "hybrid_trntk": 6.0}, ("hybrid_trntk", {"sketch_dim": 8192})),
        ({("hybrid_trntk", 2048): 9.0, ("hybrid_trntk", 512): 1.0}, ("hybrid_trntk", {"sketch_dim": 2048})),
        ({("hybrid_trntk", 512, 5): 9.0, ("hybrid_trntk", 512, 2): 1.0}, ("hybrid_trntk", {"sketch_dim": 512, "n_mixes": 5})),
        ({("hybrid_trntk", 512, 1): 9.0, "pntk": 1.0}, ("hybrid_trntk", {"sketch_dim": 512, "n_mixes": 1})),
        ({"pntk": 1.0}, ("pntk", {})),
    ],
)
def test_a_budget_buys_the_exact_kernel_or_the_best_sketch_that_fits(table, chosen):
    found = choose(10.0, candidates(10), seconds_of(table))
    assert (found.candidate.kind, found.candidate.options) == chosen
    assert found.exact == (chosen[0] == "trntk")
    assert ("instead" in found.sentence()) != found.exact
    assert found.candidate.words in found.sentence() or found.exact


def test_a_budget_for_nothing_is_refused_with_the_cheapest():
    with pytest.raises(BudgetExceeded, match=r"1\.0 s: .* about 2 min, and the pseudo NTK.* about 40 s"):
        choose(1.0, candidates(10), seconds_of({"trntk": 100.0, "pntk": 40.0}))


def test_candidates_are_asked_only_as_far_as_needed():
    asked = []
    choose(10.0, candidates(10), lambda candidate: asked.append(candidate.kind) or 1.0)
    assert asked == ["trntk"]


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_every_candidate_is_a_kernel_with_options_it_has(n_classes):
    for candidate in candidates(n_classes):
        assert set(candidate.options) <= set(kernels()[candidate.kind].options)
        assert (candidate.options.get("n_mixes") or 1) < n_classes
