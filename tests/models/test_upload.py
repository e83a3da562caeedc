import contextlib
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from ntkviz.data.options import ReadOptions
from ntkviz.errors import StoreCorrupted, UploadRejected
from ntkviz.models import intake, sandbox, sandbox_entry, upload
from ntkviz.models.rejection import ArchitectureNeeded, WeightsMismatch
from ntkviz.models.sandbox import ChildResult
from ntkviz.models.spec import build_model, parse_spec
from ntkviz.models.upload import check_upload, load_uploaded_subject, open_upload
from ntkviz.models.upload_report import UploadReport
from tests.models.hostile import CORPUS, Odd, network

LAYERS = {
    "layers": [
        {"type": "Linear", "in_features": 16, "out_features": 8},
        {"type": "ReLU"},
        {"type": "Linear", "in_features": 8, "out_features": 3},
    ]
}

#: What is refused at the door, before a child is started.
AT_THE_DOOR = tuple(odd for odd in CORPUS if odd.says and not odd.name.endswith((".safetensors",)) and odd.name.split(".")[0] in {
    "empty", "garbage", "folder", "missing", "link", "pipe", "attack", "attack_protocol_0", "legacy", "tar", "graph", "keras",
    "pytorch_model",
})  # fmt: skip


def points() -> torch.Tensor:
    return torch.randn(90, 16, generator=torch.Generator().manual_seed(2))


def balanced() -> nn.Sequential:
    """A network that finds all three classes among the points."""
    net = network()
    with torch.no_grad():
        net.get_parameter("2.bias").sub_(net(points()).mean(0))
    return net


@pytest.fixture
def weights(tmp_path) -> Path:
    path = tmp_path / "weights.pt"
    torch.save(balanced().state_dict(), path)
    return path


@pytest.fixture
def table(tmp_path) -> Path:
    """A csv with points of which the network's own answers are the labels, and one row twice."""
    x, y = points(), balanced()(points()).argmax(1)
    rows = [
        ",".join([*(f"{value:.9g}" for value in row), f"class{label}"]) for row, label in zip(x.tolist(), y.tolist(), strict=True)
    ]
    path = tmp_path / "points.csv"
    header = ",".join([*(f"f{i}" for i in range(16)), "label"])
    path.write_text("\n".join([header, *rows, rows[0]]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def no_child(monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("a child was started")

    monkeypatch.setattr(upload, "run_limited", refuse)


@pytest.fixture
def inline(monkeypatch):
    """The child's work in this process: its answer still goes through JSON, and its errors through the sandbox's."""

    def run(args, *, folder, what, memory_mb, **limits):
        with contextlib.chdir(folder):
            answer = json.loads(json.dumps(sandbox_entry.run(args[0], list(args[1:]))))
        if "error" in answer:
            raise sandbox._told(answer["error"], what, memory_mb=memory_mb)
        return ChildResult(answer["value"], 0.1, None, ())

    monkeypatch.setattr(upload, "run_limited", run)


@pytest.mark.parametrize("odd", AT_THE_DOOR, ids=lambda odd: odd.name)
@pytest.mark.parametrize("mode", ["local", "team", "teaching"])
def test_the_door_refuses_without_a_parser(odd: Odd, mode, tmp_path, no_child):
    path, canary = tmp_path / odd.name, tmp_path / "canary"
    odd.write(path, canary)
    with pytest.raises(UploadRejected) as caught:
        open_upload(path, mode=mode)
    assert 10 < len(str(caught.value)) < 600
    assert odd.says is not None
    assert odd.says in str(caught.value)
    assert not canary.exists()


def test_the_door_is_tested_with_many_files():
    assert len(AT_THE_DOOR) >= 12


def test_an_attack_that_only_a_parser_sees_is_refused_in_the_child(tmp_path):
    odd = next(odd for odd in CORPUS if odd.name == "attack_in_zip.pt")
    path, canary = tmp_path / odd.name, tmp_path / "canary"
    odd.write(path, canary)
    report = check_upload(path, LAYERS, mode="team", folder=tmp_path / "subject")
    assert not report.ok
    assert "system" in report.message
    assert not canary.exists()
    assert not (tmp_path / "subject").exists()


def test_weights_with_an_architecture_become_the_network(weights):
    opened = open_upload(weights, mode="team", architecture=LAYERS)
    x = torch.randn(5, 16)
    assert torch.equal(opened.model(x), balanced()(x))
    assert opened.kind == "model"
    assert opened.name == "weights.pt"
    assert opened.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert opened.size == weights.stat().st_size
    assert opened.architecture == parse_spec(LAYERS).as_dict()
    assert opened.report is not None
    assert opened.report.sound
    assert not opened.model.training
    with pytest.raises(UploadRejected, match="not data"):
        _ = opened.dataset


def test_weights_alone_are_answered_with_architectures_and_a_guess(weights, inline):
    with pytest.raises(ArchitectureNeeded) as caught:
        open_upload(weights, mode="team")
    message = str(caught.value)
    assert "mlp, cnn, resnet, transformer, tabular" in message
    assert "Linear 16-8, ReLU, Linear 8-3" in message
    assert len(message) < 600
    assert caught.value.guess == LAYERS


def test_a_mismatch_comes_through_the_child_with_its_table(weights, inline):
    wrong = {"layers": [LAYERS["layers"][0], {"type": "ReLU"}, {"type": "Linear", "in_features": 8, "out_features": 4}]}
    with pytest.raises(WeightsMismatch) as caught:
        open_upload(weights, architecture=wrong)
    assert [(row.name, row.expected, row.found) for row in caught.value.table] == [
        ("2.weight", "[4, 8]", "[3, 8]"),
        ("2.bias", "[4]", "[3]"),
    ]


def test_data_are_opened_as_data(table):
    opened = open_upload(table, mode="teaching")
    assert opened.kind == "dataset"
    assert opened.report is None
    assert opened.dataset.class_names == ("class0", "class1", "class2")
    assert len(opened.dataset.y_train) + len(opened.dataset.y_test) == 91
    with pytest.raises(UploadRejected, match="not a model"):
        _ = opened.model


def test_a_page_without_torch_checks_an_upload_that_can_be_studied(weights, table, tmp_path):
    folder = tmp_path / "home" / "subject"
    code = f"""
import json, sys
from ntkviz.data.options import ReadOptions
from ntkviz.models.upload import check_upload
report = check_upload({str(weights)!r}, {LAYERS!r}, {str(table)!r}, mode="teaching", folder={str(folder)!r},
                      options=ReadOptions(label_column="label", seed=3), drop_duplicates=True)
print(json.dumps([report.as_dict(), "torch" in sys.modules]))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, has_torch = json.loads(ran.stdout)
    assert not has_torch
    report = UploadReport.from_dict(found)
    assert report.ok, report.message
    assert report.as_dict() == UploadReport.from_dict(json.loads(json.dumps(report.as_dict()))).as_dict()
    assert report.accuracy_test == report.accuracy_train == 1.0
    assert report.n_classes == 3
    assert report.n_parameters == 163
    assert report.duplicates is not None
    assert report.duplicates["n_groups"] == 1
    assert report.dataset is not None
    assert report.dataset["n_train"] + report.dataset["n_test"] == 90
    assert all(row.passed for row in report.rows)
    assert sorted(path.name for path in folder.iterdir()) == ["architecture.json", "data", "report.json", "weights.safetensors"]
    assert [path.name for path in folder.parent.iterdir()] == ["subject"]

    model, data = load_uploaded_subject(folder)
    x = torch.randn(5, 16)
    assert torch.equal(model(x), balanced()(x))
    assert len(data.y_train) == report.dataset["n_train"]
    assert data.x_train.dtype == np.float32

    with pytest.raises(ValueError, match="not empty"):
        check_upload(weights, LAYERS, mode="team", folder=folder)
    with (folder / "weights.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(StoreCorrupted, match="altered"):
        load_uploaded_subject(folder)


def test_a_model_without_data_is_checked_but_cannot_be_studied(weights, tmp_path, inline):
    report = check_upload(weights, LAYERS, mode="team", folder=tmp_path / "subject")
    assert report.ok
    assert report.accuracy_test is None
    assert any("random inputs" in note for note in report.notes)
    with pytest.raises(StoreCorrupted, match="without data"):
        load_uploaded_subject(tmp_path / "subject")


def test_the_whole_corpus_is_refused_or_harmless_on_the_way_of_a_page(tmp_path, inline):
    for odd in CORPUS:
        path, canary = tmp_path / odd.name, tmp_path / "canary"
        odd.write(path, canary)
        report = check_upload(path, LAYERS, mode="team")
        assert report.ok == (odd.says is None), odd.name
        assert report.ok or 10 < len(report.message) < 600, odd.name
        assert not canary.exists()


def test_text_without_its_vocabulary_is_said(tmp_path, inline):
    spec = {
        "name": "transformer",
        "options": {"vocabulary": 30, "length": 6, "width": 8, "heads": 2, "hidden": 8, "n_classes": 2},
    }
    weights, texts = tmp_path / "text.safetensors", tmp_path / "texts.jsonl"
    safetensors.torch.save_file(build_model(parse_spec(spec)).state_dict(), weights)
    lines = [
        json.dumps({"text": f"{word} film number {i}", "label": label})
        for i in range(8)
        for word, label in (("good", 1), ("bad", 0))
    ]
    texts.write_text("\n".join(lines), encoding="utf-8")
    report = check_upload(weights, spec, texts, mode="team")
    assert report.ok, report.message
    assert report.dataset is not None
    assert report.dataset["shape"] == [6]
    assert any("vocabulary" in note for note in report.notes)
    wrong = check_upload(weights, spec, texts, mode="team", options=ReadOptions(text_length=2000))
    assert not wrong.ok
    assert "text_length" in wrong.message


def test_data_that_do_not_fit_the_network_are_refused(weights, tmp_path, inline):
    path = tmp_path / "narrow.csv"
    path.write_text("a,b,label\n" + "1,2,x\n2,3,y\n5,4,z\n" * 5, encoding="utf-8")
    report = check_upload(weights, LAYERS, path, mode="team")
    assert not report.ok
    assert "shape [2]" in report.message


def test_an_unsound_network_is_not_delivered(tmp_path, monkeypatch, weights):
    row = {"name": "batch", "passed": False, "severity": "error", "message": "The logits of a sample change with its batch."}
    monkeypatch.setattr(upload, "run_limited", lambda *args, **kwargs: ChildResult({"rows": [row], "notes": []}, 0.1, None, ()))
    report = check_upload(weights, LAYERS, mode="team", folder=tmp_path / "subject")
    assert not report.ok
    assert report.message == row["message"]
    assert not (tmp_path / "subject").exists()


@pytest.mark.parametrize(
    "value", [None, [], {"notes": []}, {"rows": [{"name": 1}], "notes": []}, {"rows": 3, "notes": []}, {"rows": [], "notes": 4}]
)
def test_nonsense_from_the_child_is_a_refusal(value, weights, monkeypatch):
    monkeypatch.setattr(upload, "run_limited", lambda *args, **kwargs: ChildResult(value, 0.1, None, ()))
    report = check_upload(weights, LAYERS, mode="team")
    assert not report.ok
    assert "nonsense" in report.message


@pytest.mark.parametrize(
    ("name", "mode", "says"),
    [
        ("points.npz", "teaching", ".csv"),
        ("points.xyz", "team", ".safetensors"),
        ("points", "local", ".safetensors"),
    ],
)
def test_files_of_no_use_are_refused_by_their_name(name, mode, says, tmp_path, no_child):
    (tmp_path / name).write_bytes(b"0,1,2")
    with pytest.raises(UploadRejected, match=says):
        open_upload(tmp_path / name, mode=mode)


def test_a_file_beyond_the_cap_of_the_mode_is_not_copied(tmp_path, no_child):
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.write(b"\x10\0\0\0\0\0\0\0{")
        file.truncate(300 * 2**20)  # sparse
    with pytest.raises(UploadRejected, match="at most 256"):
        open_upload(path, mode="team")
    with pytest.raises(UploadRejected, match="at most 32"):
        open_upload(path, mode="teaching")


def test_the_copy_is_of_one_moment_and_follows_no_link(tmp_path):
    source = tmp_path / "a b;c.pt"
    source.write_bytes(b"12345")
    where, sha256, size = intake.snapshot(source, tmp_path / "copy")
    assert where == "copy/a_b_c.pt"
    assert (tmp_path / where).read_bytes() == b"12345"
    assert (sha256, size) == (hashlib.sha256(b"12345").hexdigest(), 5)
    link = tmp_path / "link.pt"
    link.symlink_to(source)
    with pytest.raises(UploadRejected):
        intake.snapshot(link, tmp_path / "second")


@pytest.mark.parametrize(
    "name", ["model.pt", "..pt", "x" * 250 + ".safetensors", "-rf.pt", "a\nb.pt", "ü.npz", "d.csv.gz", "../../etc/passwd.pt"]
)
def test_a_copy_has_a_plain_name_with_the_same_ending(name):
    safe = intake._safe_name(name)
    assert len(safe) <= 80
    assert set(safe) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert not safe.startswith((".", "-"))
    assert Path(safe).suffix == Path(name).suffix or name == "..pt"


@pytest.mark.parametrize("wanted", ["mlp", {"name": "mlp"}, '{"name": "mlp"}', parse_spec({"name": "mlp"})])
def test_an_architecture_may_be_named_in_several_ways(wanted):
    text = intake.architecture_json(wanted)
    assert text is not None
    assert parse_spec(text) == parse_spec({"name": "mlp"})


def test_an_architecture_may_be_a_file(tmp_path):
    path = tmp_path / "net.json"
    path.write_text('{"name": "mlp"}', encoding="utf-8")
    assert intake.architecture_json(path) == intake.architecture_json(str(path)) == '{"name": "mlp"}'
    path.write_bytes(b"\xff\xfe")
    for bad in (path, tmp_path / "missing.json", {"a": {1}}, 7):
        with pytest.raises(UploadRejected):
            intake.architecture_json(bad)  # pyright: ignore[reportArgumentType]


CODE = {
    "variable": "import torch\nmodel = torch.nn.Linear(4, 2)\n",
    "function": "import torch\ndef build():\n    return torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(4, 2))\n",
}


@pytest.mark.parametrize("kind", CODE)
def test_code_is_run_only_locally_and_after_consent(kind, tmp_path):
    marker = tmp_path / "ran"
    path = tmp_path / "net.py"
    path.write_text(f"open({str(marker)!r}, 'w').close()\n{CODE[kind]}", encoding="utf-8")
    for mode, allowed in (("local", False), ("team", True), ("teaching", True)):
        with pytest.raises(UploadRejected, match="code"):
            open_upload(path, mode=mode, allow_code=allowed)  # pyright: ignore[reportArgumentType]
    assert not marker.exists()
    opened = open_upload(path, mode="local", allow_code=True)
    assert marker.exists()
    assert isinstance(opened.model, nn.Module)
    assert not opened.model.training
    assert opened.notes


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("x = 1", "defines no model"),
        ("model = 3", "defines no model"),
        ("def build(): return 3", "defines no model"),
        ("raise KeyError('a\\nb')", "KeyError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("def (", "SyntaxError"),
    ],
)
def test_code_that_gives_no_model_is_refused(code, says, tmp_path):
    path = tmp_path / "net.py"
    path.write_text(code, encoding="utf-8")
    with pytest.raises(UploadRejected, match=says) as caught:
        open_upload(path, allow_code=True)
    assert 10 < len(str(caught.value)) < 600


def test_code_is_never_run_for_a_page(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("raise SystemExit", encoding="utf-8")
    report = check_upload(path, None, mode="local")
    assert not report.ok
    assert "weights" in report.message


def test_an_unknown_mode_is_a_fault_of_the_program(weights):
    with pytest.raises(ValueError, match="mode"):
        open_upload(weights, mode="root")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="not both"):
        check_upload(weights, LAYERS, weights, sample="mnist-mlp", mode="team")


def test_an_empty_folder_holds_no_subject(tmp_path):
    with pytest.raises(StoreCorrupted, match="no checked upload"):
        load_uploaded_subject(tmp_path)
