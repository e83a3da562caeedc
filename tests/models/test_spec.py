"""Laws of specifications: what is accepted is built as torch would build it, what is refused is refused at its field."""

import json
import resource

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from ntkviz.errors import UploadRejected
from ntkviz.models.layers import LAYERS, Mean
from ntkviz.models.normalised import Normalised
from ntkviz.models.registry import architectures
from ntkviz.models.spec import MAX_PARAMETERS, ArchitectureSpec, build_model, check_forward, parse_spec

torch.set_num_threads(1)

# Arguments of each layer, and the layer that torch's user would write.
LAYER_CASES = {
    "Linear": ({"in_features": 3, "out_features": 4, "bias": False}, nn.Linear(3, 4, bias=False)),
    "Conv1d": ({"in_channels": 2, "out_channels": 4, "kernel_size": 3, "groups": 2}, nn.Conv1d(2, 4, 3, groups=2)),
    "Conv2d": (
        {"in_channels": 1, "out_channels": 2, "kernel_size": [3, 2], "stride": 2, "padding": [1, 0]},
        nn.Conv2d(1, 2, (3, 2), stride=2, padding=(1, 0)),
    ),
    "BatchNorm1d": ({"num_features": 3, "eps": 0.1}, nn.BatchNorm1d(3, eps=0.1)),
    "BatchNorm2d": ({"num_features": 3, "affine": False}, nn.BatchNorm2d(3, affine=False)),
    "LayerNorm": ({"normalized_shape": [3, 4], "bias": False}, nn.LayerNorm([3, 4], bias=False)),
    "GroupNorm": ({"num_groups": 2, "num_channels": 4}, nn.GroupNorm(2, 4)),
    "Embedding": ({"num_embeddings": 5, "embedding_dim": 3, "padding_idx": 0}, nn.Embedding(5, 3, padding_idx=0)),
    "ReLU": ({}, nn.ReLU()),
    "GELU": ({"approximate": "tanh"}, nn.GELU(approximate="tanh")),
    "Tanh": ({}, nn.Tanh()),
    "Sigmoid": ({}, nn.Sigmoid()),
    "SiLU": ({}, nn.SiLU()),
    "LeakyReLU": ({"negative_slope": 0.2}, nn.LeakyReLU(0.2)),
    "ELU": ({"alpha": 2}, nn.ELU(2.0)),
    "Softplus": ({"beta": 2}, nn.Softplus(2.0)),
    "MaxPool2d": ({"kernel_size": 3, "stride": 2, "padding": 1}, nn.MaxPool2d(3, 2, 1)),
    "AvgPool2d": ({"kernel_size": [2, 1]}, nn.AvgPool2d((2, 1))),
    "AdaptiveAvgPool2d": ({"output_size": [2, 3]}, nn.AdaptiveAvgPool2d((2, 3))),
    "Flatten": ({"start_dim": 2}, nn.Flatten(2)),
    "Unflatten": ({"dim": 1, "unflattened_size": [2, 3]}, nn.Unflatten(1, (2, 3))),
    "Dropout": ({"p": 0.3}, nn.Dropout(0.3)),
    "Identity": ({}, nn.Identity()),
    "Mean": ({"dim": 2}, Mean(2)),
}
LAYER_INPUTS = {
    "Linear": (4, 3),
    "Conv1d": (4, 2, 7),
    "Conv2d": (4, 1, 6, 6),
    "BatchNorm1d": (4, 3),
    "BatchNorm2d": (4, 3, 2, 2),
    "LayerNorm": (4, 3, 4),
    "GroupNorm": (4, 4, 2),
    "Unflatten": (4, 6),
}


def _refused(spec) -> str:
    with pytest.raises(UploadRejected) as caught:
        build_model(spec)
    return str(caught.value)


def test_every_layer_is_tried_here():
    assert set(LAYER_CASES) == set(LAYERS)


@pytest.mark.parametrize("kind", LAYER_CASES)
def test_a_layer_does_what_torchs_layer_of_that_name_does(kind):
    arguments, expected = LAYER_CASES[kind]
    layer = next(build_model({"layers": [{"type": kind, **arguments}]}).children())
    assert type(layer) is type(expected)
    layer.load_state_dict(expected.state_dict())
    torch.manual_seed(0)
    x = torch.randint(0, 5, (4, 3)) if kind == "Embedding" else torch.randn(LAYER_INPUTS.get(kind, (4, 2, 6, 6)))
    with torch.no_grad():
        torch.testing.assert_close(layer.eval()(x), expected.eval()(x), rtol=0, atol=0)


def test_layers_run_in_their_order_and_are_numbered_as_in_torchs_sequential():
    model = build_model(
        {"layers": [{"type": "Flatten"}, {"type": "Linear", "in_features": 4, "out_features": 2}, {"type": "Tanh"}]}
    )
    assert list(model.state_dict()) == ["1.weight", "1.bias"]
    assert not model.training


@pytest.mark.parametrize(
    ("spec", "messages"),
    [
        ({}, ["expected either `name` (with `options`) or `layers`", "got neither"]),
        ({"name": "mlp", "layers": [{"type": "ReLU"}]}, ["got both"]),
        ({"layers": [{"type": "ReLU"}], "options": {"a": 1}}, ["`options` belong to a named architecture"]),
        ({"name": "mpl"}, ["`name`: 'mpl' is no known architecture; expected one of mlp, cnn"]),
        ({"name": 3}, ["`name`: expected a text, got 3"]),
        ({"name": "mlp", "colour": 1}, ["`colour` is not known here; expected one of name, options, layers, normalise"]),
        ({"layers": []}, ["`layers`: expected a list of 1 to 500 entries", "got []"]),
        ({"layers": [{"type": "Flatten"}, {"type": "Lineer"}]}, ["`layers[1].type`: 'Lineer' is no known layer", "did you mean Linear?"]),
        ({"layers": [{"type": "Sequential"}]}, ["`layers[0].type`: 'Sequential' is no known layer"]),
        ({"layers": [{"type": "__init__"}]}, ["`layers[0].type`: '__init__' is no known layer"]),
        ({"layers": [{"type": ["Linear"]}]}, ["`layers[0].type`"]),
        ({"layers": [3]}, ["`layers[0]`: expected an object with a `type`", "got 3"]),
        ({"layers": [{"width": 3}]}, ["`layers[0]`: expected an object with a `type`"]),
        (
            {"layers": [{"type": "Linear", "in_features": "a", "out_features": True, "bais": False}]},
            [
                "`layers[0].in_features`: expected a whole number from 1 to 65536, got 'a'",
                "`layers[0].out_features`: expected a whole number from 1 to 65536, got True",
                "`layers[0].bais` is not known here",
                "did you mean bias?",
            ],
        ),
        ({"layers": [{"type": "ReLU"}, {"type": "ReLU"}, {"type": "Linear", "out_features": 1}]}, ["`layers[2].in_features` is missing"]),
        ({"layers": [{"type": "ReLU", "inplace": True}]}, ["`layers[0].inplace` is not known here; this layer takes no arguments"]),
        (
            {"layers": [{"type": "Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": [1, 2, 3]}]},
            ["`layers[0].kernel_size`: expected a whole number from 1 to 64, or a list of two (rows, columns), got [1, 2, 3]"],
        ),
        (
            {"layers": [{"type": "Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 3, "padding": 200_000}]},
            ["`layers[0].padding[0]`: expected a whole number from 0 to 32, got 200000"],
        ),
        (
            {"layers": [{"type": "Conv2d", "in_channels": 3, "out_channels": 4, "kernel_size": 3, "groups": 2}]},
            ["`layers[0]` (Conv2d) cannot be built: in_channels must be divisible by groups"],
        ),
        ({"layers": [{"type": "BatchNorm2d", "num_features": 3, "eps": 0}]}, ["`layers[0].eps`: expected a number above 0 up to 1, got 0"]),
        ({"layers": [{"type": "Flatten", "start_dim": 0}]}, ["`layers[0].start_dim`: expected a whole number from 1 to 8, got 0"]),
        ({"layers": [{"type": "Mean", "dim": 0}]}, ["`layers[0].dim`"]),
        ({"layers": [{"type": "Dropout", "p": float("nan")}]}, ["`layers[0].p`: expected a number from 0 to 1, got nan"]),
        ({"name": "mlp", "normalise": {"mean": 0}}, ["`normalise.std` is missing; expected a finite number above 0"]),
        ({"name": "mlp", "normalise": {"mean": float("inf"), "std": 1}}, ["`normalise.mean[0]`"]),
        ({"name": "mlp", "normalise": {"mean": [0, 0], "std": [1, 0]}}, ["`normalise.std[1]`: expected a number above 0, got 0"]),
        ({"name": "mlp", "normalise": {"mean": [1, 2], "std": [1, 2, 3]}}, ["`mean` has 2 entries and `std` 3"]),
        ({"name": "mlp", "normalise": {"mean": [1], "std": [1e-60]}}, ["`normalise`", "`std[0]` is 0"]),
        ({"name": "transformer", "normalise": {"mean": 0, "std": 1}}, ["reads token ids"]),
        ({"name": "mlp", "options": {"inputs": 10**400}}, ["`options.inputs`: expected a whole number from 1 to 65536"]),
    ],
)  # fmt: skip
def test_a_faulty_field_is_named_with_what_was_expected(spec, messages):
    text = _refused(spec)
    assert all(message in text for message in messages), text
    assert len(text) < 1200


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"name": "mlp", "name": "cnn"}', "the key 'name' stands twice"),
        ("NaN", "NaN is no number of JSON"),
        ("{", "this is none"),
        ("[" * 200_000, "this is none"),
        ("1" * 5_000, "this is none"),
        (" " * 2_000_000, "at most 1,000,000"),
        ("[1]", "expected an object"),
    ],
    ids=["twice", "nan", "cut", "nested", "digits", "long", "list"],
)
def test_text_that_is_no_specification_is_refused_in_a_sentence(text, reason):
    with pytest.raises(UploadRejected, match=reason) as caught:
        parse_spec(text)
    assert len(str(caught.value)) < 600


def test_a_file_is_read_like_its_text_and_what_is_no_file_is_refused(tmp_path):
    path = tmp_path / "spec.json"
    path.write_text('{"name": "mlp", "options": {"hidden": [3]}}')
    assert parse_spec(path) == parse_spec(path.read_text())
    path.write_bytes(b"\xff\xfe\x00")
    for bad in (path, tmp_path, tmp_path / "none.json"):
        with pytest.raises(UploadRejected, match="Expected an architecture as JSON"):
            parse_spec(bad)
    path.write_bytes(b" " * 1_000_001)
    with pytest.raises(UploadRejected, match="at most 1,000,000 bytes"):
        parse_spec(path)


@pytest.mark.parametrize(
    "spec",
    [
        *({"name": key} for key in architectures()),
        {"layers": [{"type": kind, **arguments} for kind, (arguments, _) in LAYER_CASES.items()]},
        {"name": "cnn", "options": {"channels": [3]}, "normalise": {"mean": 0.5, "std": [0.25]}},
    ],
    ids=lambda spec: spec.get("name", "layers"),
)
def test_a_specification_survives_a_round_trip_through_json(spec):
    parsed = parse_spec(spec)
    assert parse_spec(json.dumps(parsed.as_dict())) == parsed
    assert parse_spec(parsed) is parsed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([*LAYERS, *architectures()]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "options", "layers", "normalise", "type", "mean", "std", "hidden", "in_features"])
            | st.text(max_size=6),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(options=JSON, layers=JSON, normalise=JSON, name=st.sampled_from(list(architectures())))
def test_any_json_gives_a_network_or_a_sentence_and_nothing_else(options, layers, normalise, name):
    for spec in (
        options,
        {"name": name, "options": options},
        {"layers": layers},
        {"layers": [layers]},
        {"name": name, "normalise": normalise},
    ):
        try:
            outcome = parse_spec(json.dumps(spec))
        except UploadRejected as error:
            outcome = str(error)
        assert isinstance(outcome, ArchitectureSpec) or 10 < len(outcome) < 3000


@pytest.mark.parametrize(
    "spec",
    [
        {"layers": [{"type": "Linear", "in_features": 65_536, "out_features": 65_536}] * 50},
        {"name": "mlp", "options": {"hidden": [65_536] * 32}},
        {"name": "cnn", "options": {"channels": [8192] * 3, "kernel": 15}},
        {"name": "resnet", "options": {"widths": [8192] * 3, "blocks": [32] * 3}},
        {"name": "transformer", "options": {"vocabulary": 1_000_000, "width": 4096, "blocks": 24}},
        {"name": "tabular", "options": {"width": 65_536, "blocks": 32}},
    ],
    ids=lambda spec: spec.get("name", "layers"),
)
def test_a_network_beyond_the_cap_is_refused_before_it_is_allocated(spec):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert f"expected at most {MAX_PARAMETERS:,}" in _refused(spec)
    # The smallest of them would take a gigabyte.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_the_cap_on_parameters_is_exact():
    spec = {"layers": [{"type": "Linear", "in_features": 9, "out_features": 1}]}
    assert build_model(spec, max_parameters=10)
    with pytest.raises(UploadRejected, match="has 10 parameters; expected at most 9"):
        build_model(spec, max_parameters=9)


def test_a_network_on_meta_has_all_names_and_no_numbers():
    model = build_model({"name": "cnn", "options": {"batch_norm": True}, "normalise": {"mean": 0.1, "std": 0.3}}, device="meta")
    assert all(tensor.is_meta for tensor in model.state_dict().values())


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ({"layers": [{"type": "Flatten"}, {"type": "Linear", "in_features": 5, "out_features": 2}]}, (2, 3), r"`layers\[1\]` \(Linear\).*shape \[6\]"),
        ({"name": "cnn"}, (3, 28, 28), r"one sample of shape \[3, 28, 28\]"),
        ({"name": "mlp", "normalise": {"mean": [1, 2], "std": [1, 2]}}, (1, 28, 28), r"expected 2 entries along axis 1"),
        ({"layers": [{"type": "ReLU"}], "normalise": {"mean": [1, 2], "std": [1, 2]}}, (3,), r"`normalise` does not take"),
        ({"layers": [{"type": "ReLU"}]}, (3, 4), "gives no logits"),
        ({"name": "transformer", "options": {"length": 5}}, (6,), "have 6 positions; expected at most 5"),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit_are_found_without_running_them(spec, shape, message):
    with pytest.raises(UploadRejected, match=message):
        check_forward(spec, shape)


def test_a_network_without_many_weights_but_with_huge_outputs_is_refused():
    grow = {"type": "Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 1, "padding": 32}
    with pytest.raises(UploadRejected, match="more than 20,000,000 intermediate values"):
        check_forward({"layers": [grow] * 300}, (1, 28, 28))
    with pytest.raises(UploadRejected, match="more than 20,000,000 intermediate values"):
        check_forward({"name": "transformer", "options": {"length": 1024, "width": 64, "heads": 64}}, (1024,))


@pytest.mark.parametrize("key", architectures())
def test_sizes_found_on_shapes_are_those_of_the_real_network(key):
    shape = {"mlp": (1, 28, 28), "cnn": (1, 28, 28), "resnet": (3, 32, 32), "transformer": (32,), "tabular": (30,)}[key]
    found = check_forward({"name": key}, shape)
    model = build_model({"name": key})
    x = torch.ones(1, *shape, dtype=torch.int64 if key == "transformer" else torch.float32)
    assert found.n_classes == model(x).shape[1]
    assert found.n_parameters == sum(p.numel() for p in model.parameters())


@settings(deadline=None, max_examples=50)
@given(data=st.data(), channels=st.integers(1, 4), image=st.booleans(), one=st.booleans())
def test_normalised_equals_normalising_by_hand(data, channels, image, one):
    k = 1 if one else channels
    mean = data.draw(st.lists(st.floats(-10, 10, width=32), min_size=k, max_size=k))
    std = data.draw(st.lists(st.floats(0.125, 10, width=32), min_size=k, max_size=k))
    torch.manual_seed(0)
    x = torch.randn((3, channels, 2, 5) if image else (3, channels))
    shape = (1, k, 1, 1) if image else (1, k)
    by_hand = (x.numpy() - np.float32(mean).reshape(shape)) / np.float32(std).reshape(shape)
    np.testing.assert_allclose(Normalised(nn.Identity(), mean, std)(x).numpy(), by_hand, rtol=1e-6, atol=1e-6)


def test_normalised_never_broadcasts_one_channel_to_three():
    with pytest.raises(ValueError, match=r"\[4, 1, 2, 2\]; expected 3 entries along axis 1"):
        Normalised(nn.Flatten(), [0.0, 0.0, 0.0], [1.0, 1.0, 1.0])(torch.zeros(4, 1, 2, 2))


@pytest.mark.parametrize(
    ("mean", "std"),
    [(0.0, 0.0), (0.0, -1.0), (float("nan"), 1.0), ([0.0], [1.0, float("inf")]), ([], [1.0]), ([0.0, 0.0], [1.0] * 3)],
)
def test_normalised_refuses_what_cannot_be_divided_by(mean, std):
    with pytest.raises(ValueError, match="expected"):
        Normalised(nn.Identity(), mean, std)


def test_a_normalised_network_holds_the_bare_one_as_net_and_two_buffers():
    model = build_model({"name": "mlp", "options": {"inputs": 4}, "normalise": {"mean": 0.5, "std": 2}})
    assert isinstance(model, Normalised)
    assert {name for name, _ in model.named_buffers()} == {"mean", "std"}
    assert set(model.net.state_dict()) == set(build_model({"name": "mlp", "options": {"inputs": 4}}).state_dict())
