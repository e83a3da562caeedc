import collections
import json
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.serialization import config

from ntkviz.errors import UploadRejected
from ntkviz.models import formats
from ntkviz.models.guess import guess_spec, guess_text
from ntkviz.models.limits import MODEL_LIMITS, ModelLimits
from ntkviz.models.loader import WeightsMismatch, load_into, read_weights
from ntkviz.models.spec import build_model, check_forward, parse_spec
from tests.models.hostile import CORPUS, Odd, members, network, packed, saved

LAYERS = {
    "layers": [
        {"type": "Linear", "in_features": 16, "out_features": 8},
        {"type": "ReLU"},
        {"type": "Linear", "in_features": 8, "out_features": 3},
    ]
}
NAMED = {"name": "mlp", "options": {"inputs": 16, "hidden": [8], "n_classes": 3}}
NORMED = {
    "layers": [
        {"type": "Linear", "in_features": 16, "out_features": 8},
        {"type": "BatchNorm1d", "num_features": 8},
        {"type": "ReLU"},
        {"type": "Linear", "in_features": 8, "out_features": 3},
    ]
}


def write(folder: Path, value: object, name: str = "weights.pt") -> Path:
    path = folder / name
    if name.endswith(".safetensors"):
        safetensors.torch.save_file(value, path)  # pyright: ignore[reportArgumentType]
    else:
        torch.save(value, path)
    return path


def same(model: nn.Module, state: dict[str, torch.Tensor]) -> bool:
    mine = model.state_dict()
    return mine.keys() == state.keys() and all(torch.equal(mine[name], state[name]) for name in state)


def read_or_refusal(path: Path) -> dict[str, torch.Tensor] | str:
    """The tensors, all of them finite, or the text of the refusal; any other exception is a fault of the loader."""
    try:
        found = read_weights(path)
    except UploadRejected as error:
        return str(error)
    if not all(torch.isfinite(tensor).all() for tensor in found.values()):
        raise ValueError("a tensor that is not finite was let through")
    return found


@pytest.mark.parametrize("odd", CORPUS, ids=lambda odd: odd.name)
def test_odd_files_are_refused_in_a_sentence_or_read_harmlessly(odd: Odd, tmp_path):
    path, canary = tmp_path / odd.name, tmp_path / "canary"
    odd.write(path, canary)
    if odd.says is None:
        assert all(torch.isfinite(tensor).all() for tensor in read_weights(path).values())
    else:
        with pytest.raises(UploadRejected) as caught:
            read_weights(path)
        message = str(caught.value)
        assert odd.says in message
        assert 10 < len(message) < 600
    assert not canary.exists()


def test_the_attack_of_the_corpus_would_work_on_an_unsafe_loader(tmp_path):
    # The canary proves something only if unpickling the file does create it.
    attack = next(odd for odd in CORPUS if odd.name == "attack_in_zip.pt")
    path, canary = tmp_path / attack.name, tmp_path / "canary"
    attack.write(path, canary)
    reduced = zipfile.ZipFile(path).read(next(name for name in zipfile.ZipFile(path).namelist() if name.endswith("data.pkl")))
    assert b"system" in reduced
    assert str(canary).encode() in reduced


def test_the_corpus_is_large():
    assert len(CORPUS) >= 25
    assert len({odd.name for odd in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("name", ["weights.pt", "weights.pth", "weights.safetensors"])
def test_reading_gives_the_tensors_that_were_written(tmp_path, name):
    state = network().state_dict()
    found = read_weights(write(tmp_path, state, name))
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_tensors_share_no_memory(tmp_path):
    base = torch.arange(12.0)
    found = read_weights(write(tmp_path, {"a": base[:6], "b": base[3:9].reshape(2, 3).T}))
    found["a"].fill_(7)
    assert torch.equal(found["b"], base[3:9].reshape(2, 3).T)
    assert found["b"].is_contiguous()


@pytest.mark.parametrize("spec", [LAYERS, NAMED], ids=["layers", "named"])
@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_loading_gives_the_network_that_was_saved(tmp_path, name, spec):
    net = network().eval()
    loaded = load_into(spec, write(tmp_path, net.state_dict(), name))
    x = torch.randn(5, 16)
    assert torch.equal(loaded.model(x), net(x))
    assert not loaded.model.training


def test_loading_does_not_disturb_a_seeded_program(tmp_path):
    path = write(tmp_path, network().state_dict())
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    load_into(LAYERS, path)
    assert torch.equal(torch.rand(3), wanted)


WRAPPED = {
    "data_parallel": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "compiled": lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
    "both": lambda state: {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()},
    "compiled_inside": lambda state: {name.replace(".", "._orig_mod.", 1): tensor for name, tensor in state.items()},
    "lightning": lambda state: {
        "epoch": 3,
        "pytorch-lightning_version": "2.5",
        "state_dict": {f"model.{name}": tensor for name, tensor in state.items()} | {"criterion.weight": torch.ones(3)},
    },
    "checkpoint": lambda state: {"model_state_dict": state, "optimizer_state_dict": {"state": {}}, "epoch": 3},
    "twice_nested": lambda state: {"model": {"state_dict": {f"net.{name}": tensor for name, tensor in state.items()}}},
    "half": lambda state: {name: tensor.half() for name, tensor in state.items()},
    "bfloat16": lambda state: {name: tensor.bfloat16() for name, tensor in state.items()},
    "double": lambda state: {name: tensor.double() for name, tensor in state.items()},
    "own_names": lambda state: {name.replace("0.", "fc1.").replace("2.", "fc2."): tensor for name, tensor in state.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_wrapped_weights_are_found_and_every_step_is_said(tmp_path, wrapping):
    state = network().state_dict()
    loaded = load_into(LAYERS, write(tmp_path, WRAPPED[wrapping](state)))
    tolerance = {"half": 1e-3, "bfloat16": 1e-2}.get(wrapping, 0)
    for name, tensor in loaded.model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.allclose(tensor, state[name], atol=tolerance, rtol=0)
    assert loaded.notes
    assert all(len(note) > 20 for note in loaded.notes)


def test_plain_weights_need_no_notes(tmp_path):
    assert load_into(LAYERS, write(tmp_path, network().state_dict())).notes == ()


FAULTY = {
    "missing": (lambda state: {k: v for k, v in state.items() if k != "2.bias"}, ("2.bias", "[3]", "")),
    "extra": (lambda state: state | {"4.bias": torch.zeros(3)}, ("4.bias", "", "[3]")),
    "shape": (lambda state: state | {"0.weight": torch.zeros(8, 17)}, ("0.weight", "[8, 16]", "[8, 17]")),
    "misspelt": (lambda state: {k.replace("2.bias", "2.bais"): v for k, v in state.items()}, ("2.bias", "[3]", "")),
    "integers": (lambda state: {k: v.long() for k, v in state.items()}, ("0.weight", "float32 [8, 16]", "int64 [8, 16]")),
}


@pytest.mark.parametrize("fault", FAULTY)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_mismatch_is_a_table_and_nothing_is_loaded(tmp_path, fault, prefix):
    change, row = FAULTY[fault]
    state = {f"{prefix}{name}": tensor for name, tensor in change(network().state_dict()).items()}
    with pytest.raises(WeightsMismatch) as caught:
        load_into(LAYERS, write(tmp_path, state))
    assert row in [(found.name, found.expected, found.found) for found in caught.value.table]
    assert row[0] in str(caught.value)
    assert len(str(caught.value)) < 600


def test_weights_of_another_network_are_never_taken(tmp_path):
    # Regression: rows read twice from a generator once let any weights pass and left the network random.
    with pytest.raises(WeightsMismatch) as caught:
        load_into({"name": "mlp"}, write(tmp_path, network().state_dict()))
    assert len(caught.value.table) == 10


def test_own_names_in_another_order_are_not_matched_by_order(tmp_path):
    square = {"layers": [{"type": "Linear", "in_features": 4, "out_features": 4, "bias": False}] * 2}
    path = write(tmp_path, {"second.weight": torch.ones(4, 4), "first.weight": torch.zeros(4, 4)}, "weights.safetensors")
    with pytest.raises(WeightsMismatch):  # safetensors keeps no order, and the shapes do not tell the layers apart
        load_into(square, path)


def test_counters_of_batch_norm_are_optional(tmp_path):
    net = nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    state = {name: tensor for name, tensor in net.state_dict().items() if "num_batches" not in name}
    loaded = load_into(NORMED, write(tmp_path, state))
    assert [row.name for row in loaded.mismatch] == ["1.num_batches_tracked"]
    assert any("num_batches_tracked" in note for note in loaded.notes)
    x = torch.randn(4, 16)
    assert torch.allclose(loaded.model(x), net.eval()(x))


def test_a_normalisation_in_the_file_must_be_that_of_the_specification(tmp_path):
    spec = LAYERS | {"normalise": {"mean": 0.5, "std": 2.0}}
    model = build_model(parse_spec(spec))
    path = write(tmp_path, model.state_dict())
    assert same(load_into(spec, path).model, model.state_dict())
    with pytest.raises(UploadRejected, match="normalis"):
        load_into(LAYERS, path)
    with pytest.raises(UploadRejected, match="normalis"):
        load_into(LAYERS | {"normalise": {"mean": 0.4, "std": 2.0}}, path)


def test_caps_of_the_mode_hold(tmp_path):
    small = ModelLimits(file_mb=0.001, n_parameters=100, memory_mb=1000, seconds=10)
    path = write(tmp_path, network().state_dict())
    with pytest.raises(UploadRejected, match="MB"):
        read_weights(path, limits=small)
    with pytest.raises(UploadRejected, match="at most 100"):
        read_weights(path, limits=ModelLimits(file_mb=1, n_parameters=100, memory_mb=1000, seconds=10))
    assert MODEL_LIMITS["teaching"].n_parameters < MODEL_LIMITS["team"].n_parameters <= MODEL_LIMITS["local"].n_parameters


def test_a_network_too_large_for_the_mode_is_not_built(tmp_path):
    spec = {"layers": [{"type": "Linear", "in_features": 60_000, "out_features": 60_000}]}
    with pytest.raises(UploadRejected, match="parameters"):
        load_into(spec, write(tmp_path, {"0.weight": torch.zeros(1)}))


def test_a_file_is_never_opened_by_an_unsafe_call(tmp_path, monkeypatch):
    calls = []
    original = torch.load

    def watched(*args, **kwargs):
        calls.append(kwargs)
        return original(*args, **kwargs)

    monkeypatch.setattr(torch, "load", watched)
    read_weights(write(tmp_path, network().state_dict()))
    with pytest.raises(UploadRejected):
        read_weights(write(tmp_path, network(), "whole.pt"))
    assert [call["weights_only"] for call in calls] == [True] * 3
    assert [str(call["map_location"]) for call in calls] == ["meta", "cpu", "meta"]


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
    kind=st.sampled_from(["pt", "safetensors"]),
)
def test_damaged_files_are_read_or_refused_and_nothing_else(changes, kind, tmp_path):
    state = network().state_dict()
    data = bytearray(saved(state) if kind == "pt" else safetensors.torch.save(state))
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    path = tmp_path / f"damaged.{kind}"
    path.write_bytes(data)
    found = read_or_refusal(path)
    assert isinstance(found, dict) or 10 < len(found) < 600


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), value=st.binary(min_size=1, max_size=4))
def test_damaged_pickles_are_read_or_refused_and_nothing_else(place, value, tmp_path):
    parts = members(saved(network().state_dict()))
    name = next(name for name in parts if name.endswith("data.pkl"))
    at = int(place * (len(parts[name]) - 1))
    parts[name] = parts[name][:at] + value + parts[name][at + len(value) :]
    path = tmp_path / "damaged.pt"
    path.write_bytes(packed(list(parts.items())))
    found = read_or_refusal(path)
    assert isinstance(found, dict) or 10 < len(found) < 600


def test_names_from_a_file_cannot_break_a_message(tmp_path):
    with pytest.raises(UploadRejected) as caught:
        load_into(LAYERS, write(tmp_path, {"\x1b[31m\n<script>" + "x" * 200: torch.zeros(2)}))
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["torchscript", "torch_legacy", "bin", "pickle", "tar", "onnx", "hdf5"])
def test_a_refused_format_comes_with_two_lines_of_python(kind):
    lines = str(formats.refusal(kind, "model.x")).splitlines()
    assert len(lines) == 3
    for line in lines[1:]:
        compile(line, "advice", "exec")


def test_the_two_lines_for_a_whole_module_convert_it(tmp_path, monkeypatch):
    path = write(tmp_path, network(), "whole.pt")
    with pytest.raises(UploadRejected) as caught:
        read_weights(path)
    code = "\n".join(str(caught.value).splitlines()[1:])
    monkeypatch.chdir(tmp_path)
    program = compile(code, "advice", "exec")
    names = {name for name in program.co_names if not name.startswith("_")}
    assert names == {"torch", "load", "model", "save", "state_dict"}


GUESSABLE = {
    "mlp": (nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)), (16,)),
    "flattened": (nn.Sequential(nn.Flatten(), nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)), (4, 4)),
    "cnn": (
        nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(6 * 49, 10),
        ),
        (1, 28, 28),
    ),
    "pooled": (
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
        (3, 8, 8),
    ),
}


@pytest.mark.parametrize("name", GUESSABLE)
def test_a_guess_fits_the_weights_that_it_was_made_from(tmp_path, name):
    net, shape = GUESSABLE[name]
    guess = guess_spec({key: tuple(tensor.shape) for key, tensor in net.state_dict().items()})
    assert guess is not None
    assert [layer["type"] for layer in guess["layers"]] == [type(module).__name__ for module in net]
    assert check_forward(parse_spec(guess), shape).n_classes == net(torch.zeros(2, *shape)).shape[1]
    assert same(load_into(guess, write(tmp_path, net.state_dict())).model, net.state_dict())
    assert "Linear" in guess_text(guess)
    json.dumps(guess)


def named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(collections.OrderedDict(modules))


#: Networks as people write them, and one sample's shape.
NAMED = {
    "equal layers": (
        named(fc1=nn.Linear(16, 8), a=nn.ReLU(), fc2=nn.Linear(8, 8), b=nn.ReLU(), fc3=nn.Linear(8, 8), out=nn.Linear(8, 3)),
        (16,),
    ),
    "parts in alphabetical disorder": (
        named(
            features=nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            flat=nn.Flatten(),
            classifier=nn.Sequential(nn.Linear(4 * 49, 12), nn.ReLU(), nn.Linear(12, 5)),
        ),
        (1, 14, 14),
    ),
    "ten and more": (named(**{f"fc{i}": nn.Linear(6, 6) for i in range(11)}, head=nn.Linear(6, 2)), (6,)),
}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_guess_of_layers_with_names_of_their_own_takes_their_weights(tmp_path, name, prefix):
    from safetensors.torch import save_file

    net, shape = NAMED[name]
    weights = {f"{prefix}{key}": tensor.detach() for key, tensor in sorted(net.state_dict().items())}  # as safetensors sorts them
    guess = guess_spec({key: tuple(tensor.shape) for key, tensor in weights.items()})
    assert guess is not None
    assert check_forward(parse_spec(guess), shape).n_classes == net(torch.zeros(2, *shape)).shape[1]
    save_file(weights, tmp_path / "weights.safetensors")
    loaded = load_into(guess, tmp_path / "weights.safetensors").model
    linear = [[m for m in one.modules() if isinstance(m, nn.Linear | nn.Conv2d)] for one in (net, loaded)]
    for mine, theirs in zip(*linear, strict=True):
        torch.testing.assert_close(mine.weight, theirs.weight)
        torch.testing.assert_close(mine.bias, theirs.bias)


@pytest.mark.parametrize("second", ["a", "0"])
def test_two_layers_that_are_called_the_same_are_refused(second):
    layers = [{"type": "Linear", "in_features": 2, "out_features": 2}] * 3
    with pytest.raises(UploadRejected, match="called"):
        parse_spec({"layers": [layers[0], {**layers[1], "called": "a"}, {**layers[2], "called": second}]})


def test_layers_are_matched_as_a_whole_where_their_biases_look_alike(tmp_path):
    net = named(first=nn.Linear(16, 8), act=nn.ReLU(), second=nn.Linear(8, 8), act2=nn.ReLU(), third=nn.Linear(8, 3))
    path = write(tmp_path, dict(sorted(net.state_dict().items(), reverse=True)))
    loaded = load_into({"name": "mlp", "options": {"inputs": 16, "n_classes": 3, "hidden": [8, 8]}}, path)
    torch.testing.assert_close(loaded.model(torch.ones(2, 16)), net(torch.ones(2, 16)))
    assert any("matched by last part" in note for note in loaded.notes)


@pytest.mark.parametrize(
    "shapes",
    [
        {"a.in_proj_weight": (3, 3)},
        {"0.weight": (8, 16), "2.weight": (3, 9)},
        {"0.weight": (8, 16), "99999999999.weight": (3, 8)},
        {f"{i}.weight": (4, 4) for i in range(200)},
        {},
        {"0.weight": (0, 16)},
        {"0.bias": (3,)},
    ],
)
def test_no_guess_is_made_where_shapes_do_not_chain(shapes):
    assert guess_spec(shapes) is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    shapes=st.dictionaries(
        st.from_regex(r"([a-z]{0,3}\.)?[0-9]{1,2}\.(weight|bias|running_mean)", fullmatch=True),
        st.lists(st.integers(0, 5), max_size=4).map(tuple),
        max_size=6,
    )
)
def test_a_guess_is_none_or_a_specification(shapes):
    guess = guess_spec(collections.OrderedDict(shapes))
    if guess is not None:
        parse_spec(guess)


@pytest.mark.parametrize("alignment", [1, 64, 4096, 2**15])
def test_any_alignment_that_torch_writes_is_read(alignment, tmp_path):
    net = network()
    with config.patch("save.storage_alignment", alignment):
        path = write(tmp_path, net.state_dict())
    assert same(net, read_weights(path))


@pytest.mark.parametrize("value", [b"0", b"00", b"-1", b"", b" 64", b"65537", b"\xb2"])
def test_an_alignment_by_which_torch_would_crash_is_refused(value, tmp_path):
    parts = members(saved(network().state_dict()))
    name = next(name for name in parts if name.endswith(".storage_alignment"))
    path = tmp_path / "weights.pt"
    path.write_bytes(packed([(key, value if key == name else data) for key, data in parts.items()]))
    with pytest.raises(UploadRejected, match=r"aligned to .* expected a number from 1 to 65,536"):
        read_weights(path)
