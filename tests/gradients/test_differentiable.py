"""Which path a model takes, what is refused, and that nothing is left changed."""

import numpy as np
import pytest
import torch
from torch import nn

from ntkviz.errors import BudgetExceeded, JobCancelled, SelfCheckFailed, UnsupportedModel
from ntkviz.gradients import selfcheck, stream
from ntkviz.gradients.differentiable import Differentiable, held
from ntkviz.gradients.engine import layer_grams, tangent_gram, unit_heads
from ntkviz.gradients.selfcheck import self_check
from ntkviz.gradients.stream import plan_groups
from tests.cases import CASES, Case, Detached


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_model_takes_vmap_where_it_can_and_the_loop_where_it_must(case: Case):
    with held(case.model(), case.inputs(5)) as (model, (x,)):
        coverage = Differentiable(model, x).generic_coverage
    assert coverage.path == case.path, coverage.reason
    assert bool(coverage.reason) == (coverage.path == "loop")


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_case_passes_its_self_check(case: Case):
    found = self_check(case.model(), case.inputs(4))
    assert found.passed
    assert found.max_relative_error < 2e-5
    assert found.n_points == 3


def test_a_wrong_gradient_fails_the_self_check(monkeypatch):
    case = next(c for c in CASES if c.name == "mlp")
    truth = selfcheck.jacobian_reference
    monkeypatch.setattr(selfcheck, "jacobian_reference", lambda *a, **k: truth(*a, **k) * 1.001)
    with pytest.raises(SelfCheckFailed, match="float64 reference"):
        self_check(case.model(), case.inputs(4))


def test_a_model_without_gradients_is_refused():
    with pytest.raises(UnsupportedModel, match="no gradient"), held(Detached(), torch.randn(3, 6)) as (model, (x,)):
        Differentiable(model, x)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(6, 3).half(), "float\\(\\)"),
        (nn.Sequential(nn.Flatten()), "no floating point parameters"),
        (nn.LazyLinear(3), "no shape yet"),
        (nn.Linear(5, 3), "does not run on one sample"),
    ],
)
def test_unusable_models_are_refused_with_a_way_out(model, message):
    with pytest.raises(UnsupportedModel, match=message), held(model) as (module, _):
        Differentiable(module, torch.randn(3, 6, dtype=next(module.parameters(), torch.zeros(())).dtype))


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(4, 3)).train()
    model[0].weight.requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.random.get_rng_state()
    self_check(model, torch.randn(3, 6, generator=torch.Generator().manual_seed(0)))
    assert all(m.training for m in model.modules())
    assert not model[0].weight.requires_grad
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(state, torch.random.get_rng_state())


def test_frozen_parameters_count_as_parameters():
    model = nn.Linear(6, 3).requires_grad_(False)
    assert self_check(model, torch.randn(3, 6)).n_parameters == 21


def test_a_checkpoint_of_frozen_layers_runs_again_as_it_ran_at_first():
    case = next(c for c in CASES if c.name == "checkpoint")
    model = case.model().requires_grad_(False)
    assert self_check(model, case.inputs(3)).max_relative_error < 2e-5
    assert not any(p.requires_grad for p in model.parameters())


def test_the_self_check_has_a_row_for_every_parameter():
    model = nn.Sequential(nn.Linear(6, 5), nn.PReLU(), nn.Linear(5, 3))
    model.register_parameter("spare", nn.Parameter(torch.ones(2)))
    rows = {row.name: row for row in self_check(model, torch.randn(3, 6)).parameters}
    assert {name: row.size for name, row in rows.items()} == {name: p.numel() for name, p in model.named_parameters()}
    assert (rows["spare"].path, rows["0.weight"].path, rows["1.weight"].path) == ("unused", "structured", "vmap")
    assert rows["1.weight"].reason
    assert not rows["0.weight"].reason


def test_unused_parameters_are_named():
    model = nn.Linear(6, 3)
    model.register_module("spare", nn.Linear(2, 2))
    assert self_check(model, torch.randn(3, 6)).unused == ("spare.weight", "spare.bias")


@pytest.mark.parametrize("max_width", [1, 3, 7, 21, 1000])
@pytest.mark.parametrize("by_layer", [False, True])
def test_groups_cover_every_parameter_once_and_in_order(max_width, by_layer):
    sizes = {"a.weight": 12, "a.bias": 4, "b.weight": 5}
    groups = plan_groups(sizes, max_width, by_layer=by_layer)
    covered = [p.offset + i for g in groups for p in g.pieces for i in range(p.start, p.stop)]
    assert covered == list(range(21))
    assert all(g.width <= max_width for g in groups)
    if by_layer:
        assert all(len({p.name.split(".")[0] for p in g.pieces}) == 1 for g in groups)


@pytest.mark.parametrize("case", [c for c in CASES if c.name in ("conv", "branch on data")], ids=lambda c: c.name)
def test_memory_and_chunks_do_not_change_the_kernel(case: Case, monkeypatch):
    def gram(width: int, chunk: int):
        with held(case.model(), case.inputs(9)) as (model, (x,)):
            function = Differentiable(model, x)
            function.give_up_structure("to try the generic path")
            monkeypatch.setattr(Differentiable, "chunk_size", lambda *_: chunk)
            monkeypatch.setattr(stream, "plan_groups", lambda sizes, _w, **k: plan_groups(sizes, width, **k))
            return tangent_gram(function, x[:6], x[6:], heads=unit_heads(function))

    whole = gram(10**6, 100)
    for width, chunk in ((17, 1), (40, 5)):
        part = gram(width, chunk)
        np.testing.assert_allclose(part.train, whole.train, rtol=1e-5, atol=1e-6 * np.abs(whole.train).max())
        np.testing.assert_allclose(part.rows, whole.rows, rtol=1e-5, atol=1e-6 * np.abs(whole.train).max())


def test_too_little_memory_is_refused_with_figures():
    case = CASES[2]
    with held(case.model(), case.inputs(300)) as (model, (x,)):
        function = Differentiable(model, x)
        with pytest.raises(BudgetExceeded, match="memory_mb=0"):
            tangent_gram(function, x, heads=unit_heads(function), memory_mb=0)


def test_cancelling_stops_the_work():
    def cancel(stage: str, fraction: float) -> None:
        raise JobCancelled("stopped")

    case = CASES[2]
    with held(case.model(), case.inputs(5)) as (model, (x,)):
        function = Differentiable(model, x)
        with pytest.raises(JobCancelled):
            tangent_gram(function, x, heads=unit_heads(function), on_progress=cancel)


def test_layers_add_up():
    case = next(c for c in CASES if c.name == "residual with BatchNorm")
    with held(case.model(), case.inputs(6)) as (model, (x,)):
        function = Differentiable(model, x)
        parts = layer_grams(function, x, heads=unit_heads(function))
        total = tangent_gram(function, x, heads=unit_heads(function))
    assert list(parts) == ["conv1", "norm1", "conv2", "norm2", "shortcut", "out"]
    np.testing.assert_allclose(sum(p.train for p in parts.values()), total.train, rtol=1e-5)
