"""Writing an exported program, and what a person is told when that cannot be done."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import ntkviz
from ntkviz import cli
from ntkviz.gradients.attention import exact_attention
from ntkviz.models.pt2.reader import read_pt2
from tests.models.pt2.programs import NETWORKS, network


@pytest.mark.parametrize("key", NETWORKS)
def test_what_is_written_is_the_network(key, tmp_path):
    model, x = network(key)
    path = ntkviz.export_model(model, x[:3], tmp_path / "model.pt2")
    with torch.no_grad(), exact_attention():
        assert torch.equal(read_pt2(path).model(x), model(x))
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt2"]


def test_training_mode_one_sample_double_precision_and_arrays_are_taken(tmp_path):
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 2)).double().train()
    found = read_pt2(ntkviz.export_model(model, np.ones((1, 4)), tmp_path / "m.pt2")).model
    assert model.training
    assert next(model.parameters()).dtype == torch.float64
    x = torch.randn(7, 4)
    torch.testing.assert_close(found(x), model.eval()(x.double()).float())


def test_an_object_with_logits_is_taken(tmp_path):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": x.sum(), "logits": self.fc(x)}

    model = Net().eval()
    x = torch.randn(5, 4)
    assert torch.equal(read_pt2(ntkviz.export_model(model, x, tmp_path / "m.pt2")).model(x), model(x)["logits"])


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x) if x.sum() > 0 else self.fc(-x)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.rnn(x)[0][:, -1])


@pytest.mark.parametrize(
    ("model", "shape", "says"), [(Branching(), (5, 4), "branches on values"), (Recurrent(), (5, 6, 4), "lstm")]
)
def test_what_cannot_be_exported_is_said_and_leaves_no_file(model, shape, says, tmp_path):
    with pytest.raises(ntkviz.UnsupportedModel, match=says) as caught:
        ntkviz.export_model(model, torch.randn(shape), tmp_path / "m.pt2")
    assert 10 < len(str(caught.value)) < 1200
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_named_by_its_format(tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.pt2"):
        ntkviz.export_model(nn.Linear(2, 2), torch.zeros(2, 2), tmp_path / "m.pt")


def test_the_command_writes_a_sample_a_specification_and_a_module(tmp_path, capsys):
    code = "from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(6, 2))\n"
    (tmp_path / "net.py").write_text(code)
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    torch.save(net.state_dict(), tmp_path / "w.pt")
    layers = [{"type": "Flatten"}, {"type": "Linear", "in_features": 6, "out_features": 2}]
    (tmp_path / "net.json").write_text(json.dumps({"layers": layers}))
    weights = ["--model", str(tmp_path / "w.pt")]
    for words in (
        ["--module", str(tmp_path / "net.py"), *weights, "--shape", "2,3"],
        [*weights, "--architecture", str(tmp_path / "net.json")],
        ["--sample", "cancer-mlp"],
    ):
        to = tmp_path / "out.pt2"
        assert cli.main(["export", *words, "--to", str(to), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        model = read_pt2(to).model
        assert (found["file"], found["bytes"]) == (str(to), to.stat().st_size)
        assert found["parameters"] == sum(p.numel() for p in model.parameters())
        if "--module" in words:
            x = torch.randn(4, 2, 3)
            assert torch.equal(model(x), net(x))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--to", "x.pt2"], "say which"),
        (["--sample", "none", "--to", "x.pt2"], "none"),
        (["--sample", "cancer-mlp", "--to", "x.pt"], "ends in .pt2"),
        (["--model", "w.pt", "--to", "x.pt2"], "Say one network"),
        (["--module", "net.py", "--to", "x.pt2"], "--shape"),
    ],
)
def test_the_command_says_what_is_missing(words, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", *words]) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_same_network_gives_the_same_file_whatever_process_writes_it(tmp_path, monkeypatch):
    net, x = nn.Linear(2, 2), torch.zeros(2, 2)
    first = ntkviz.export_model(net, x, tmp_path / "m.pt2").read_bytes()
    monkeypatch.setattr("os.getpid", lambda: 1)
    assert ntkviz.export_model(net, x, tmp_path / "m.pt2").read_bytes() == first
