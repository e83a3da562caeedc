"""Programs that reproduce: they run as they are, agree with what was stored, and notice when they do not."""

import ast
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ntkviz.explain.effects import RemovalEffects
from ntkviz.models.upload_report import UploadReport
from ntkviz.reports.reproduce import cells, notebook, script
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.uploads import register_upload
from ntkviz.surrogates.surrogate import DistilledSurrogate

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_models"


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    return subprocess.run([sys.executable, str(path)], capture_output=True, text=True, cwd=ROOT, env=_environment(), timeout=200)


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("reproduce") / "home")
    return run_study(StudySpec(sample="cancer-mlp", surrogate="klr", n_train=60, n_test=20), store=store)


@pytest.mark.parametrize("against", [None, 0])
def test_the_script_of_a_sample_runs_and_agrees(small, tmp_path, against):
    done = run(tmp_path, script(cells(small, 3, label=1, against=against, k=5)))
    assert done.returncode == 0, done.stderr
    assert "REPRODUCED" in done.stdout
    assert "the same 5 examples in the same order: yes" in done.stdout
    assert "removal effects: largest difference" in done.stdout


def test_the_script_notices_what_differs(small, tmp_path):
    other = dataclasses.replace(small, logits_test=small.logits_test + 0.5)
    done = run(tmp_path, script(cells(other, 3, k=5)))
    assert done.returncode != 0
    assert "DIFFERENT" in done.stderr


def test_the_script_notices_another_removal_effect(small, tmp_path, monkeypatch):
    true = RemovalEffects.of
    monkeypatch.setattr(RemovalEffects, "of", lambda *asked: 1.03 * true(*asked))
    done = run(tmp_path, script(cells(small, 3, k=5)))
    assert done.returncode != 0
    assert "DIFFERENT: removal effects are off by 2.9e-02" in done.stderr


def test_the_notebook_holds_the_same_program(small, tmp_path):
    parts = cells(small, 2)
    made = json.loads(notebook(parts))
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in made["cells"]}) == len(made["cells"])
    code = ["".join(cell["source"]) for cell in made["cells"] if cell["cell_type"] == "code"]
    assert code == [part.code for part in parts]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in made["cells"] if cell["cell_type"] == "code")
    done = run(tmp_path, "\n\n".join(code))
    assert done.returncode == 0, done.stderr


def test_words_of_people_cannot_become_code(small):
    hostile = '"""\nimport os\nos.abort()\n"""\\'
    named = dataclasses.replace(
        small,
        name=hostile,
        class_names=(hostile, hostile),
        spec=dataclasses.replace(small.spec, surrogate_options={"lam": hostile}),
    )
    tree = ast.parse(script(cells(named, 1)))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"sys", "numpy"}
    assert "abort" not in {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_the_script_of_an_upload_asks_for_the_files_and_checks_them(tmp_path, monkeypatch):
    home = tmp_path / "home"
    weights = SAMPLES / "cancer-mlp" / "weights.safetensors"
    card = json.loads((SAMPLES / "cancer-mlp" / "card.json").read_text())
    rows = _rows_of(tmp_path)
    subject = register_upload(weights, rows, architecture=card["architecture"], home=home)
    store = Store(home)
    settings = {"lam": "auto", "distillation": 0.5}
    spec = StudySpec(upload=subject.id, surrogate="klr", surrogate_options=settings, n_train=40, n_test=12)
    study = run_study(spec, store=store)
    assert isinstance(store.load_study(study.key).surrogate, DistilledSurrogate)
    text = script(cells(study, 2, k=4, home=home))
    report = UploadReport.from_dict(json.loads((home / "uploads" / subject.id / "report.json").read_text()))
    here = text.replace(repr(report.name), repr(str(weights))).replace(repr(report.data_name), repr(str(rows)))
    done = run(tmp_path, here)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "REPRODUCED" in done.stdout
    other = run(tmp_path, here.replace(repr(str(weights)), repr(str(SAMPLES / "mnist-mlp" / "weights.safetensors"))))
    assert "is not the file of the study" in other.stderr


def _rows_of(folder: Path) -> Path:
    import numpy as np

    from ntkviz.data.sample import load_sample_data

    data = load_sample_data("cancer-mlp")
    path = folder / "rows.npz"
    np.savez(path, x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test)
    return path
