"""The public API as DESIGN promises it to others: names, parameters, shapes."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ntkviz

SIGNATURES = {
    "kernel_matrix": ["model", "x", "z", "kind", "normalize", "y", "yz", "seed"],
    "layer_kernels": ["model", "x", "z", "kind"],
    "fit_surrogate": ["kernel", "targets", "kind", "seed"],
    "attribute": ["surrogate", "rows", "kind"],
    "fidelity": ["network_logits", "surrogate_logits", "labels"],
    "neighbours": ["rows", "k"],
    "open_upload": ["path", "mode", "architecture", "allow_code"],
    "run_study": ["spec", "store", "on_progress"],
    "samples": [],
    "load_sample": ["name"],
    "kernels": [],
    "surrogates": [],
    "attributions": [],
}


@pytest.mark.parametrize(("name", "parameters"), SIGNATURES.items())
def test_functions_are_documented_and_take_what_is_promised(name, parameters):
    function = getattr(ntkviz, name)
    assert inspect.getdoc(function)
    assert set(parameters) <= set(inspect.signature(function).parameters)


def test_all_names_exist_and_nothing_else_is_offered():
    assert all(getattr(ntkviz, name) is not None for name in ntkviz.__all__)
    with pytest.raises(AttributeError, match="public names"):
        ntkviz.kernel_matrx  # noqa: B018


@pytest.mark.parametrize(
    "name", [n for n in ntkviz.__all__ if isinstance(getattr(ntkviz, n), type) and issubclass(getattr(ntkviz, n), Exception)]
)
def test_errors_have_one_root(name):
    assert issubclass(getattr(ntkviz, name), ntkviz.NtkvizError)


@pytest.fixture(scope="module")
def setting():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 3)).eval()
    x, z = torch.randn(60, 4, 4), torch.randn(9, 4, 4)
    with torch.no_grad():
        return net, x, z, net(x).numpy(), net(z).numpy()


@pytest.mark.parametrize("kind", list(ntkviz.surrogates()))
def test_from_network_to_explanation(setting, kind):
    net, x, z, logits, logits_z = setting
    labels = logits.argmax(1)
    raw, rows = ntkviz.kernel_matrix(net, x, normalize=False), ntkviz.kernel_matrix(net, z, x, normalize=False)
    targets = logits if ntkviz.surrogates()[kind].target == "logits" else labels
    surrogate = ntkviz.fit_surrogate(raw, targets, kind=kind, seed=0)
    decision = surrogate.decision_function(rows)
    assert np.shape(surrogate.weights) == (3, 60)
    assert np.shape(surrogate.intercept) == (3,)
    assert decision.shape == (9, 3)
    shares = ntkviz.attribute(surrogate, rows)
    assert shares.shape == (9, 3, 60)
    np.testing.assert_allclose(shares.sum(-1) + surrogate.intercept, decision, atol=1e-5 * np.abs(decision).max())
    found = ntkviz.fidelity(logits_z, decision, logits_z.argmax(1))
    assert -1 <= found.kendall_tau <= 1
    scaled = ntkviz.fit_surrogate(raw * 1000, targets, kind=kind, seed=0).decision_function(rows * 1000)
    assert (scaled.argmax(1) == decision.argmax(1)).mean() > 0.85


def test_a_network_imitates_itself_perfectly(setting):
    *_, logits_z = setting
    same = ntkviz.fidelity(logits_z, logits_z, logits_z.argmax(1))
    assert (same.tad, same.kendall_tau, same.agreement) == (0, pytest.approx(1), 1)


def test_garbage_is_rejected_in_a_sentence(tmp_path: Path):
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"not a model")
    with pytest.raises(ntkviz.UploadRejected) as error:
        ntkviz.open_upload(bad, mode="team")
    assert 10 < len(str(error.value)) < 600


def test_the_command_line_lists_the_samples():
    run = subprocess.run(
        [sys.executable, "-m", "ntkviz", "samples", "--json"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=True,
    )
    assert len(json.loads(run.stdout)) >= 7
