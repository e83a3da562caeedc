"""Laws of the architectures that are built by name."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, grad, vmap

from ntkviz.models.architectures.options import ACTIVATIONS
from ntkviz.models.registry import architectures
from ntkviz.models.spec import build_model

torch.set_num_threads(1)

# Small networks that use every branch: (name, options, shape of one sample).
CASES = {
    "mlp": ("mlp", {"inputs": 12, "n_classes": 3, "hidden": [7, 5], "activation": "tanh", "dropout": 0.5}, (3, 4)),
    "mlp-linear": ("mlp", {"inputs": 12, "n_classes": 1, "hidden": [], "bias": False}, (12,)),
    "cnn": ("cnn", {"height": 8, "width": 9, "n_classes": 3, "channels": [4, 5], "hidden": [6], "dropout": 0.2}, (1, 8, 9)),
    "cnn-norm-gap": (
        "cnn",
        {"in_channels": 3, "height": 8, "width": 8, "channels": [4, 5], "batch_norm": True, "readout": "gap", "pooling": "avg"},
        (3, 8, 8),
    ),
    "cnn-no-pooling": ("cnn", {"height": 4, "width": 4, "channels": [2], "pooling": "none", "kernel": 5}, (1, 4, 4)),
    "resnet": ("resnet", {"widths": [4, 6], "blocks": [1, 2], "n_classes": 3}, (3, 8, 8)),
    "transformer": ("transformer", {"vocabulary": 20, "length": 6, "width": 8, "heads": 2, "hidden": 10, "dropout": 0.3}, (6,)),
    "transformer-deep": (
        "transformer",
        {"vocabulary": 9, "length": 5, "width": 6, "heads": 3, "blocks": 2, "n_classes": 4},
        (4,),
    ),
    "tabular": ("tabular", {"features": 5, "width": 6, "norm": "batch", "dropout": 0.1}, (5,)),
    "tabular-residual": ("tabular", {"features": 5, "width": 6, "norm": "layer", "residual": True, "activation": "silu"}, (5,)),
}


def _network(case: str) -> nn.Module:
    name, options, _ = CASES[case]
    torch.manual_seed(0)
    model = build_model({"name": name, "options": options})
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):  # fresh statistics (0 and 1) would hide a slip
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    return model.double()


def _inputs(case: str, n: int) -> torch.Tensor:
    name, options, shape = CASES[case]
    torch.manual_seed(1)
    if name != "transformer":
        return torch.randn(n, *shape, dtype=torch.float64)
    tokens = torch.randint(1, options["vocabulary"], (n, *shape))
    for row in range(n):  # texts of different lengths, padded with 0
        tokens[row, 1 + row % shape[0] :] = 0
    return tokens


def _per_sample_gradients(model: nn.Module, x: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """By plain autograd, one sample at a time."""
    gradients = []
    for sample in x:
        model.zero_grad()
        model(sample[None]).square().sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    return gradients


def test_every_architecture_of_the_registry_is_tried_here():
    assert {name for name, _, _ in CASES.values()} == set(architectures())


@pytest.mark.parametrize("case", CASES)
def test_vmap_of_grad_equals_autograd_sample_by_sample(case):
    model, x = _network(case), _inputs(case, 5)
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())

    def score(values, sample):
        return functional_call(model, (values, buffers), (sample[None],)).square().sum()

    detached = {name: p.detach() for name, p in parameters.items()}
    together = vmap(grad(score), in_dims=(None, 0))(detached, x)
    for place, expected in enumerate(_per_sample_gradients(model, x)):
        assert set(expected) == set(together), "a parameter took no part in the output"
        for name, value in expected.items():
            torch.testing.assert_close(together[name][place], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_output_of_a_sample_does_not_depend_on_its_batch(case):
    model, x = _network(case), _inputs(case, 5)
    with torch.no_grad():
        whole = model(x)
        alone = torch.cat([model(sample[None]) for sample in x])
    assert whole.shape == (5, CASES[case][1].get("n_classes", architectures()[CASES[case][0]].options["n_classes"].default))
    torch.testing.assert_close(whole, alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_no_activation_works_in_place(case):
    assert not any(getattr(module, "inplace", False) for module in _network(case).modules())


def test_equal_seeds_give_equal_parameters_whether_built_by_registry_or_by_specification():
    for key, row in architectures().items():
        torch.manual_seed(3)
        first = row.build().state_dict()
        torch.manual_seed(3)
        second = build_model({"name": key}).state_dict()
        assert list(first) == list(second)
        assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_by_name_is_used(name):
    model = build_model({"name": "mlp", "options": {"inputs": 3, "hidden": [4], "activation": name}})
    assert any(type(module) is ACTIVATIONS[name] for module in model.modules())


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    words=st.lists(st.integers(1, 19), min_size=1, max_size=6),
    other=st.lists(st.integers(1, 19), min_size=6, max_size=6),
)
def test_padding_never_reaches_a_text(words, other):
    model = _network("transformer")
    padded = torch.tensor([words + [0] * (6 - len(words))])
    with torch.no_grad():
        short, long = model(torch.tensor([words])), model(padded)
        beside = model(torch.cat([padded, torch.tensor([other])]))[:1]
        torch.testing.assert_close(short, long, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(long, beside, rtol=1e-9, atol=1e-12)
        dict(model.named_parameters())["embedding.weight"][0] += 100.0
        torch.testing.assert_close(model(padded), long, rtol=1e-9, atol=1e-12)


def test_word_order_matters_to_the_transformer():
    model = _network("transformer")
    with torch.no_grad():
        assert not torch.allclose(model(torch.tensor([[3, 4, 5]])), model(torch.tensor([[5, 4, 3]])))


def test_a_text_of_padding_alone_stays_finite():
    model = _network("transformer").float()
    out = model(torch.zeros(2, 6, dtype=torch.int64))
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_a_text_longer_than_the_positions_is_refused():
    with pytest.raises(ValueError, match=r"have 7 positions; expected at most 6"):
        _network("transformer")(torch.ones(1, 7, dtype=torch.int64))


def test_resnet_20_has_its_published_number_of_parameters():
    # He et al. give 0.27 M for ResNet-20; option B adds two 1x1 shortcuts to the 269,722 of option A, which is counted with BatchNorm.
    shortcuts = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert sum(p.numel() for p in architectures()["resnet"].build().parameters()) == 269_722 + shortcuts


@pytest.mark.parametrize("key", sorted(architectures()))
def test_each_option_row_agrees_with_what_build_takes(key):
    row = architectures()[key]
    assert row.build(**{name: option.default for name, option in row.options.items()})
    for name, option in row.options.items():
        assert option.help.endswith(".")
        for bound, step in ((option.minimum, -1), (option.maximum, 1)):
            if bound is not None:
                beyond = bound + step if option.type != "float" else bound + step * 0.5
                with pytest.raises(ValueError, match=f"options.{name}"):
                    row.check({name: [int(beyond)] if option.type == "ints" else beyond})
        if option.type == "choice":
            assert option.default in option.choices
            with pytest.raises(ValueError, match=f"options.{name}.*expected one of {option.choices[0]}"):
                row.check({name: "no such choice"})
        with pytest.raises(ValueError, match=f"options.{name}"):
            row.check({name: None})


@pytest.mark.parametrize(
    ("key", "options", "message"),
    [
        ("cnn", {"kernel": 4}, r"`kernel` must be odd.*got 4"),
        ("cnn", {"channels": [1] * 5}, r"5 poolings by 2 leave nothing of an image of 28 x 28"),
        ("resnet", {"widths": [4, 4], "blocks": [1]}, r"`widths` has 2 entries and `blocks` 1"),
        ("transformer", {"width": 10, "heads": 4}, r"4 does not divide 10"),
        ("mlp", {"hiden": [3]}, r"`options.hiden` is not known here.*did you mean hidden"),
        ("mlp", {"hidden": [3, 0]}, r"`options.hidden\[1\]`: expected a whole number from 1 to 65536, got 0"),
    ],
)
def test_options_that_do_not_fit_each_other_are_refused_with_the_reason(key, options, message):
    with pytest.raises(ValueError, match=message):
        architectures()[key].build(**options)
