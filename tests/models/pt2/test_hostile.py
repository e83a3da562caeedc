"""Strangers' exported programs: refused with a sentence or harmless, and no canary is ever touched."""

import copy
import json
from functools import cache

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from ntkviz import open_upload
from ntkviz.errors import UploadRejected
from ntkviz.models.brought import open_kept
from ntkviz.models.limits import MODEL_LIMITS
from ntkviz.models.pt2.operators import OPERATORS
from ntkviz.models.pt2.reader import read_pt2
from tests.models.hostile import Attack
from tests.models.pt2.hostile import CORPUS, MODEL, Odd
from tests.models.pt2.programs import NETWORKS, Parts, file_of, network


@pytest.mark.parametrize("odd", CORPUS, ids=lambda odd: odd.name)
def test_hostile_files_are_refused_in_a_sentence_or_harmless(odd: Odd, tmp_path):
    path, canary = tmp_path / "model.pt2", tmp_path / "canary"
    path.write_bytes(odd.make(canary))
    if odd.says is None:
        model, x = network("mlp")
        assert torch.equal(read_pt2(path).model(x), model(x))
    else:
        with pytest.raises(UploadRejected, match=odd.says) as caught:
            read_pt2(path, limits=MODEL_LIMITS["team"])
        assert 10 < len(str(caught.value)) < 600
    assert not canary.exists()


def test_the_canaries_would_be_touched_by_an_unpickler(tmp_path):
    import pickle

    pickle.loads(pickle.dumps(Attack(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize(("name", "mode"), [("from_file", "local"), ("pickled weights", "team"), ("expressions", "teaching")])
def test_in_the_child_process_of_every_mode(name, mode, tmp_path):
    odd = next(odd for odd in CORPUS if odd.name == name)
    path, canary = tmp_path / "model.pt2", tmp_path / "canary"
    path.write_bytes(odd.make(canary))
    if odd.says is None:
        assert open_upload(path, mode=mode).kind == "model"
    else:
        with pytest.raises(UploadRejected, match=odd.says):
            open_upload(path, mode=mode)
    assert not canary.exists()


def test_nothing_that_reads_or_draws_is_allowed():
    for word in (
        "file",
        "rand",
        "normal",
        "empty",
        "bernoulli",
        "storage",
        "set_",
        "as_strided",
        "item",
        "load",
        "save",
        "_out",
    ):
        assert not [name for name in OPERATORS if word in name.replace("aten", "")], word


@pytest.mark.parametrize("cap", [{"n_activations": 60}, {"n_parameters": 400}, {"n_tensors": 3}, {"file_mb": 0.01}])
def test_caps_are_kept(cap, tmp_path):
    from dataclasses import replace

    path = Parts.of(file_of("mlp")).write(tmp_path / "model.pt2")
    read_pt2(path)
    with pytest.raises(UploadRejected, match=r"expected at most|intermediate values"):
        read_pt2(path, limits=replace(MODEL_LIMITS["teaching"], **cap))


def test_what_is_kept_goes_through_the_same_gates(tmp_path):
    found = read_pt2(Parts.of(file_of("mlp")).write(tmp_path / "model.pt2"))
    found.save_weights(tmp_path / "weights.safetensors")
    kept = found.as_dict()
    kept["exported"]["document"]["graph_module"]["graph"]["nodes"][2]["target"] = "os.system"
    (tmp_path / "architecture.json").write_text(json.dumps(kept))
    with pytest.raises(UploadRejected, match=r"os\.system"):
        open_kept(tmp_path)


#: What may stand anywhere in JSON, and often where it should not.
_JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from(
        [0, 1, -1, 2**31, 2**62, 10**12, "linear", "relu", "input", "p_1_weight", "", "os.system", "__class__", "a.b"]
    ),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.lists(st.integers(-3, 10**6), max_size=4),
    st.sampled_from(sorted(OPERATORS)),
    st.dictionaries(st.sampled_from(["as_int", "as_ints", "as_tensor", "as_name", "name", "as_none"]), st.integers(), max_size=2),
)


def _places(value, path=()):
    """The paths of all values in JSON; metadata, which is never read, left out."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if key != "metadata":
            yield from _places(inner, (*path, key))


def _altered(document, places, data):
    """A copy with a few values replaced, dropped or repeated."""
    changed = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 3))):
        *above, key = data.draw(st.sampled_from(places))
        holder = changed
        try:
            for part in above:
                holder = holder[part]
            how = data.draw(st.sampled_from(["junk", "junk", "drop", "repeat"]))
            if how == "junk":
                holder[key] = data.draw(_JUNK)
            elif how == "drop":
                del holder[key]
            elif isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
        except (KeyError, IndexError, TypeError):  # an earlier change took the place away
            continue
    return changed


_MEMBERS = (MODEL, "data/weights/model_weights_config.json")


@cache
def _graph(key: str) -> Parts:
    return Parts.of(file_of(key))


@cache
def _document(key: str, member: str):
    """A member of an exported network, and all places within it."""
    found = _graph(key).json(member)
    return found, [path for path in _places(found) if path]


def _read_or_refusal(path) -> nn.Module | str:
    try:
        return read_pt2(path, limits=MODEL_LIMITS["teaching"]).model
    except UploadRejected as error:
        return str(error)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_altered_graphs_are_refused_or_read_and_nothing_else(tmp_path_factory, data):
    key, member = data.draw(st.sampled_from(["mlp", "resnet", "transformer"])), data.draw(st.sampled_from(_MEMBERS))
    parts = Parts(dict(_graph(key).members))
    parts.put(member, _altered(*_document(key, member), data))
    path = parts.write(tmp_path_factory.getbasetemp() / "altered.pt2")
    found = _read_or_refusal(path)
    if isinstance(found, str):
        assert 10 < len(found) < 600
        return
    with torch.no_grad():
        try:
            logits = found(network(key)[1])
        except (RuntimeError, IndexError, TypeError, ValueError):  # found out by the probes, in the child
            return
    assert len(logits) == 6


def test_the_mutations_start_from_files_that_are_read(tmp_path):
    for key in NETWORKS:
        read_pt2(Parts.of(file_of(key)).write(tmp_path / "model.pt2"))
