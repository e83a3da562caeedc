import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ntkviz.errors import BatchDependentModel, JobCancelled, NonDeterministicModel, UnsupportedModel
from ntkviz.models.normalised import Normalised
from ntkviz.models.outputs import as_inputs, as_logits, frozen_eval
from ntkviz.models.probes import ProbeReport, ProbeRow, logits_of, probe_model, require_sound
from ntkviz.models.untouched import untouched


@dataclass
class Output:
    logits: torch.Tensor


class Wrapped(nn.Module):
    """A network, and something done to its inputs, its output, or both."""

    def __init__(self, net, after=lambda out: out, before=lambda x: x):
        super().__init__()
        self.net, self.after, self.before = net, after, before

    def forward(self, x):
        return self.after(self.net(self.before(x)))


def mlp(classes: int = 3, width: int = 16) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, width), nn.ReLU(), nn.Linear(width, classes))


class Text(nn.Module):
    """Embedding and attention with a padding mask."""

    def __init__(self, batch_first: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.out = nn.Embedding(9, 8), nn.Linear(8, 3)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=batch_first)

    def forward(self, ids):
        x = self.embed(ids)
        return self.out(self.attend(x, x, x)[0].mean(1))


class AlwaysDropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        return F.dropout(self.net(x), 0.1)


class Counts(nn.Module):
    """Every pass differs from the one before, and changes the module."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.register_buffer("seen", torch.zeros(()))
        self.calls = 0
        self.seen: torch.Tensor

    def forward(self, x):
        self.seen = self.seen + 1
        self.calls += 1
        return self.net(x) * self.seen


class Branches(nn.Module):
    """The path depends on the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        return self.net(x) * (2.0 if x[:, 0].flatten()[0].item() > 0 else 1.0)


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.spare = mlp(), nn.Linear(4, 4)

    def forward(self, x):
        return self.net(x)


class Cancels(nn.Module):
    """One product in two orders of summation: their difference is nothing but noise, and is blown up."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.wide, self.out = nn.Linear(12, 2048), nn.Linear(2048, 3)

    def forward(self, x):
        h = torch.tanh(self.wide(x))
        out = self.out(h)
        return out + 1e5 * (out - (h[:, None] * self.out.weight).sum(-1) - self.out.bias)


def inputs(n: int = 12) -> torch.Tensor:
    return torch.randn(n, 12, generator=torch.Generator().manual_seed(1))


def tokens(n: int = 12) -> torch.Tensor:
    return torch.randint(0, 9, (n, 5), generator=torch.Generator().manual_seed(1))


def trained(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> nn.Module:
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(120):
        optimiser.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimiser.step()
    return net.eval()


def failed(report: ProbeReport, name: str) -> ProbeRow:
    return next(row for row in report.rows if row.name == name and not row.passed)


SOUND = {
    "mlp": (mlp, inputs),
    "one_logit": (lambda: mlp(1), inputs),
    "squeezed": (lambda: Wrapped(mlp(1), lambda out: out.squeeze(-1)), inputs),
    "object": (lambda: Wrapped(mlp(), Output), inputs),
    "mapping": (lambda: Wrapped(mlp(), lambda out: {"logits": out, "loss": None}), inputs),
    "batch_norm": (lambda: nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)), inputs),
    "conv": (
        lambda: nn.Sequential(
            nn.Unflatten(1, (1, 3, 4)),
            nn.Conv2d(1, 5, 3, padding=1),
            nn.BatchNorm2d(5),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(60, 3),
        ),
        inputs,
    ),
    "attention": (Text, tokens),
    "lstm": (lambda: Wrapped(nn.LSTM(4, 6, batch_first=True), lambda o: o[0][:, -1], lambda x: x.reshape(-1, 3, 4)), inputs),
    "double": (lambda: mlp().double(), inputs),
    "wide": (lambda: mlp(width=4096), lambda: inputs(300)),
    "constant_shift": (lambda: Wrapped(mlp(), lambda out: out + 1e4), inputs),
    "zero_readout": (lambda: nn.Sequential(*list(mlp())[:-1], _zero()), inputs),
    "cancelling": (Cancels, inputs),
}


def _zero() -> nn.Linear:
    layer = nn.Linear(16, 3)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_sound_models_raise_no_alarm(name, mode):
    build, data = SOUND[name]
    model = build().train(mode == "train")
    report = probe_model(model, data())
    assert report.sound, report.errors
    assert not [row for row in report.warnings if row.name not in {"responds"}]
    assert report.n_classes == (1 if name in {"one_logit", "squeezed"} else 6 if name == "lstm" else 3)
    assert report.n_parameters == sum(p.numel() for p in model.parameters())
    assert all(20 < len(row.message) < 600 for row in report.rows)
    require_sound(model, data())


BAD = {
    "dropout": (AlwaysDropout, "deterministic", NonDeterministicModel, "F.dropout"),
    "noise": (
        lambda: Wrapped(mlp(), lambda out: out + torch.randn_like(out)),
        "deterministic",
        NonDeterministicModel,
        "differ by",
    ),
    "state": (Counts, "deterministic", NonDeterministicModel, "forward()"),
    "numpy_noise": (
        lambda: Wrapped(mlp(), lambda out: out * np.random.rand()),  # noqa: NPY002
        "deterministic",
        NonDeterministicModel,
        "differ by",
    ),
    "batch_norm": (
        lambda: nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.ReLU(), nn.Linear(8, 3)),
        "batch",
        BatchDependentModel,
        "running statistics (1)",
    ),
    "centred": (lambda: Wrapped(mlp(), lambda out: out - out.mean(0)), "batch", BatchDependentModel, "other samples"),
    "small_leak": (lambda: Wrapped(mlp(), lambda out: out + 0.01 * out.mean(0)), "batch", BatchDependentModel, "other samples"),
    "branch": (Branches, "batch", BatchDependentModel, "whole batch"),
    "needs_a_batch": (lambda: Wrapped(mlp(), lambda out: out.squeeze()), "batch", BatchDependentModel, None),
    "no_gradient": (lambda: Wrapped(mlp(), lambda out: out.detach()), "coverage", UnsupportedModel, "no gradient"),
    "no_parameters": (nn.Flatten, "coverage", UnsupportedModel, "no parameters"),
    "nan": (lambda: Wrapped(mlp(), lambda out: out / 0 * 0), "finite", UnsupportedModel, "NaN"),
    "nan_gradient": (lambda: Wrapped(mlp(), lambda out: (out * 0).sqrt() + out), "coverage", UnsupportedModel, "NaN"),
    "labels": (lambda: Wrapped(mlp(), lambda out: out.argmax(1)), "output", UnsupportedModel, "int64"),
    "tuple": (lambda: Wrapped(mlp(), lambda out: (out, out)), "output", UnsupportedModel, "tuple of 2"),
    "map": (lambda: Wrapped(mlp(), lambda out: out[:, :, None].expand(-1, -1, 4)), "output", UnsupportedModel, "[12, 3, 4]"),
    "transposed": (lambda: Wrapped(mlp(), lambda out: out.T), "output", UnsupportedModel, "[3, 12]"),
    "wrong_size": (lambda: nn.Linear(13, 3), "output", UnsupportedModel, "[12]"),
    "lazy": (lambda: nn.LazyLinear(3), "output", UnsupportedModel, "lazy"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_models_fail_their_probe_and_are_refused(name):
    build, row, error, says = BAD[name]
    model = build().eval()
    if name == "needs_a_batch":
        model = Wrapped(mlp(1), lambda out: out.squeeze() if len(out) > 1 else out.squeeze()[None, None, None])
    report = probe_model(model, inputs())
    found = failed(report, row)
    assert found.severity == "error"
    assert not report.sound
    assert says is None or says in found.message
    with pytest.raises(error) as caught:
        require_sound(model, inputs())
    assert str(caught.value) == found.message


def test_attention_over_the_batch_axis_is_named():
    report = probe_model(Text(batch_first=False).eval(), tokens())
    assert "batch_first" in failed(report, "batch").message
    with pytest.raises(BatchDependentModel):
        require_sound(Text(batch_first=False).eval(), tokens())


def test_one_sample_is_enough_to_see_a_leak():
    with pytest.raises(BatchDependentModel):
        require_sound(Wrapped(mlp(), lambda out: out - out.mean(0)), inputs(1))
    require_sound(mlp(), inputs(1))


@pytest.mark.parametrize("name", [*SOUND, *(name for name in BAD if name != "lazy")])
def test_probes_leave_a_model_and_the_generators_as_they_were(name):
    build, data = SOUND[name] if name in SOUND else (BAD[name][0], inputs)
    model = build().train()
    for place, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(place % 2 == 0)
    modules = list(model.modules())
    modules[-1].training = False
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    flags = [module.training for module in modules]
    wanted = [p.requires_grad for p in model.parameters()]
    versions = [p._version for p in model.parameters()]
    calls = getattr(model, "calls", None)
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002 - the old generator is what models use
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 # pyright: ignore
    probe_model(model, data(), y=np.zeros(len(data()), dtype=np.int64))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]  # noqa: NPY002 # pyright: ignore
    assert [module.training for module in modules] == flags
    assert [p.requires_grad for p in model.parameters()] == wanted
    assert [p._version for p in model.parameters()] == versions
    assert all(p.grad is None for p in model.parameters())
    assert getattr(model, "calls", None) == calls
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_a_model_is_restored_after_an_error():
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()

    def spoil():
        with untouched(layer):
            layer.weight.data.fill_(3)
            layer.register_buffer("new", torch.zeros(1))
            raise KeyError

    with pytest.raises(KeyError):
        spoil()
    assert layer.training
    assert "new" not in layer.state_dict()
    assert torch.equal(layer.weight, before)


def test_eval_mode_is_held_without_calling_eval():
    class Stubborn(nn.Linear):
        def train(self, mode=True):
            return super().train(True)

    model = Stubborn(2, 2)
    with frozen_eval(model):
        assert not model.training
    assert model.training


def test_an_alarm_of_float_noise_is_checked_in_double_precision(monkeypatch):
    build, data = SOUND["cancelling"]
    monkeypatch.setattr(nn.Module, "double", lambda self: self)  # as if no exact copy could be made
    assert not probe_model(build().eval(), data()).sound


def test_unused_parameters_are_listed():
    report = probe_model(Unused().eval(), inputs())
    assert report.sound
    assert report.unused == ("spare.weight", "spare.bias")
    assert failed(report, "coverage").severity == "warning"


@pytest.mark.parametrize(
    ("end", "says"),
    [(nn.Softmax(-1), "softmax"), (nn.LogSoftmax(-1), "log_softmax"), (nn.Sigmoid(), "sigmoid")],
)
def test_probabilities_are_told_from_logits(end, says):
    row = failed(probe_model(nn.Sequential(mlp(), end).eval(), inputs()), "logits")
    assert row.severity == "warning"
    assert says in row.message


def test_a_dead_network_is_noticed():
    model = mlp().eval()
    with torch.no_grad():
        model.get_parameter("1.bias").fill_(-1e6)
    assert failed(probe_model(model, inputs()), "responds").severity == "warning"


def classes(n: int = 400, seed: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes, told apart by where the largest of three values is; inputs in [0, 1]."""
    x = torch.rand(n, 12, generator=torch.Generator().manual_seed(seed))
    return x, x[:, :3].argmax(1)


def test_a_good_accuracy_passes():
    x, y = classes()
    report = probe_model(trained(mlp(), x, y), x, y=y)
    assert report.accuracy is not None
    assert report.accuracy > 0.9
    assert not report.warnings


def test_an_untrained_network_is_no_better_than_chance():
    x, _ = classes()
    y = torch.randint(0, 3, (len(x),), generator=torch.Generator().manual_seed(9))
    assert "no better" in failed(probe_model(mlp().eval(), x, y=y), "accuracy").message


def test_renumbered_classes_are_noticed():
    x, y = classes()
    report = probe_model(trained(mlp(), x, y), x, y=(y + 1) % 3)
    assert "renumbered" in failed(report, "labels").message


def test_one_logit_is_judged_by_its_sign():
    x, _ = classes()
    y = (x[:, 0] > x[:, 1]).long()
    net = mlp(1)
    trained(Wrapped(net, lambda out: torch.cat([-out, out], 1)), x, y)
    accuracy = probe_model(net, x, y=y).accuracy
    assert accuracy is not None
    assert accuracy > 0.9


@pytest.mark.parametrize(
    ("scale", "shift", "says"),
    [(1.0, 0.0, None), (255.0, 0.0, "255"), (3.0, -7.0, "normalise")],
)
def test_wrong_scaling_is_noticed(scale, shift, says):
    x, y = classes()
    net = trained(mlp(), x * scale + shift if scale != 3 else (x - x.mean(0)) / x.std(0), y)
    given = x if scale != 3 else x * scale + shift
    report = probe_model(net, given, y=y)
    if says is None:
        assert not [row for row in report.rows if row.name == "normalisation"]
    else:
        assert says in failed(report, "normalisation").message


def test_a_normalisation_that_should_not_be_there_is_noticed():
    x, y = classes()
    model = Normalised(trained(mlp(), x, y), 5.0, 0.01).eval()
    assert "Leave `normalise` out" in failed(probe_model(model, x, y=y), "normalisation").message


@pytest.mark.parametrize("labels", [[0, 7], [-1, 0], [0.5, 1.0], [0]])
def test_labels_that_do_not_fit_are_said(labels):
    report = probe_model(mlp().eval(), inputs(2), y=np.asarray(labels))
    assert failed(report, "accuracy").severity == "error"
    assert report.accuracy is None


def test_a_report_survives_json():
    report = probe_model(Unused(), inputs(), y=torch.zeros(12, dtype=torch.long))
    assert ProbeReport.from_dict(report.as_dict()) == report


@pytest.mark.parametrize("batch_size", [1, 5, 256])
@pytest.mark.parametrize("kind", ["tensor", "array", "reversed", "float64", "read_only"])
def test_logits_do_not_depend_on_the_batch_size_or_on_the_container(batch_size, kind):
    model, x = mlp(), inputs(12)
    array = x.numpy().copy()
    array.flags.writeable = kind != "read_only"
    given = {
        "tensor": x,
        "array": array,
        "reversed": array[::-1].copy()[::-1],
        "float64": array.astype(np.float64),
        "read_only": array,
    }[kind]
    found = logits_of(model, given, batch_size=batch_size)
    assert found.dtype == np.float32
    assert np.allclose(found, model.eval()(x).detach().numpy(), atol=1e-6)


def test_logits_report_progress_and_let_a_cancellation_through():
    seen = []
    logits_of(mlp(), inputs(10), batch_size=4, on_progress=lambda stage, fraction: seen.append((stage, fraction)))
    assert seen == [("logits", 0.4), ("logits", 0.8), ("logits", 1.0)]

    def cancel(stage, fraction):
        raise JobCancelled("stop")

    model = mlp().train()
    with pytest.raises(JobCancelled):
        logits_of(model, inputs(), on_progress=cancel)
    assert model.training


@pytest.mark.parametrize("x", [np.array(["a"]), np.zeros((0, 3)), np.float32(3), [1, 2], np.zeros(2, dtype=complex), None])
def test_inputs_that_are_none_are_refused(x):
    with pytest.raises(UnsupportedModel, match="Expected inputs"):
        as_inputs(mlp(), x)


def test_outputs_are_brought_to_rows_of_logits():
    rows = torch.zeros(4, 3, requires_grad=True)
    assert as_logits(rows, 4) is rows
    assert as_logits(torch.zeros(4), 4).shape == (4, 1)
    assert as_logits(Output(rows), 4) is rows
    assert as_logits({"logits": rows}, 4).requires_grad
    for bad in (
        torch.zeros(4, 3, 2),
        torch.zeros(3, 4),
        torch.zeros(4, 0),
        torch.zeros(()),
        (rows,),
        {"out": rows},
        None,
        rows.long(),
    ):
        with pytest.raises(UnsupportedModel):
            as_logits(bad, 4)
