"""The reader's network is the exported one, in every bit of its logits and gradients, and kernels of it are those of the network."""

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ntkviz import kernel_matrix, layer_kernels
from ntkviz.gradients.attention import exact_attention
from ntkviz.models.brought import open_kept
from ntkviz.models.probes import probe_model
from ntkviz.models.pt2.reader import read_pt2
from tests.models.pt2.programs import NETWORKS, exported, file_of, network


def read(data: bytes, tmp_path):
    path = tmp_path / "model.pt2"
    path.write_bytes(data)
    return read_pt2(path)


def jacobian(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Gradients of all logits for each sample on its own."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    with sdpa_kernel(SDPBackend.MATH):
        return vmap(jacrev(lambda p, one: functional_call(model, p, (one[None],))[0]), (None, 0))(parameters, x)


@pytest.mark.parametrize("key", NETWORKS)
def test_logits_and_gradients_are_equal_to_the_last_bit(key, tmp_path):
    model, x = network(key)
    found = read(file_of(key), tmp_path).model
    with torch.no_grad(), exact_attention():  # without it PyTorch fuses whole Transformer layers, and rounds otherwise
        for n in (6, 1, 4):
            assert torch.equal(found(x[:n]), model(x[:n]))
    assert [name for name, _ in found.named_parameters()] == [name for name, _ in model.named_parameters()]
    mine, wanted = jacobian(found, x), jacobian(model, x)
    assert all(torch.equal(mine[name], wanted[name]) for name in wanted)
    assert any(tensor.abs().max() > 0 for tensor in wanted.values())


@pytest.mark.parametrize("key", NETWORKS)
def test_a_decomposed_graph_gives_the_same_up_to_rounding(key, tmp_path):
    model, x = network(key)
    found = read(exported(model, x, decomposed=True), tmp_path).model
    with torch.no_grad():
        torch.testing.assert_close(found(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("key", NETWORKS)
def test_what_is_kept_is_the_same_network(key, tmp_path):
    model, x = network(key)
    first = read(file_of(key), tmp_path)
    (tmp_path / "architecture.json").write_text(json.dumps(first.as_dict()))
    first.save_weights(tmp_path / "weights.safetensors")
    again = open_kept(tmp_path)
    with torch.no_grad(), exact_attention():
        assert torch.equal(again(x), model(x))
    assert len(list(again.parameters())) == len(list(model.parameters()))


@pytest.mark.parametrize("key", ["mlp", "resnet", "transformer"])
@pytest.mark.parametrize("kind", ["trntk", "ck"])
def test_kernels_are_equal(key, kind, tmp_path):
    model, x = network(key)
    found = read(file_of(key), tmp_path).model
    np.testing.assert_array_equal(kernel_matrix(found, x, kind=kind), kernel_matrix(model, x, kind=kind))


def test_layers_and_their_kernels_have_the_networks_names(tmp_path):
    model, x = network("resnet")
    mine, wanted = layer_kernels(read(file_of("resnet"), tmp_path).model, x), layer_kernels(model, x)
    assert list(mine) == list(wanted)
    assert all(np.array_equal(mine[name], wanted[name]) for name in wanted)


def test_activations_are_found_where_the_network_has_layers_for_them(tmp_path):
    model, x = network("mlp")
    found = read(file_of("mlp"), tmp_path).model
    np.testing.assert_allclose(kernel_matrix(found, x, kind="em"), kernel_matrix(model, x, kind="em"), rtol=1e-6)


@pytest.mark.parametrize("key", NETWORKS)
def test_the_probes_find_it_sound_and_can_copy_it(key, tmp_path):
    _, x = network(key)
    found = read(file_of(key), tmp_path).model
    assert probe_model(found, x).sound
    twin = copy.deepcopy(found)
    with torch.no_grad():
        next(twin.parameters()).add_(1.0)
        assert not torch.equal(twin(x), found(x))


def test_a_shared_matrix_is_one_parameter(tmp_path):
    found = read(file_of("tied"), tmp_path)
    assert found.same == {"second.weight": "first.weight"}
    assert found.model.get_parameter("second.weight") is found.model.get_parameter("first.weight")


def test_a_summary_says_what_it_is(tmp_path):
    found = read(file_of("transformer"), tmp_path)
    assert found.vocabulary == 30
    assert found.sizes.n_classes == 3
    summary = found.summary()["exported"]
    assert (summary["input"], summary["reads_tokens"]) == ([7], True)
    assert "scaled_dot_product_attention" in summary["kinds"]


def test_another_shape_is_refused_in_a_sentence(tmp_path):
    found = read(file_of("mlp"), tmp_path).model
    with pytest.raises(ValueError, match=r"samples of shape \[4, 4\]; got \[16\]"):
        found(torch.zeros(2, 16))
