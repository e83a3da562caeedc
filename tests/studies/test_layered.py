"""A row's layers come from a process of their own, add up to the study's row, and what cannot be split says why."""

import subprocess
import sys

import numpy as np
import pytest

from ntkviz.errors import NtkvizError, UnsupportedModel
from ntkviz.kernels.matrix import layer_kernels
from ntkviz.kernels.registry import kernels
from ntkviz.studies import child, costs, layered, measuring
from ntkviz.studies.costs import costs_of
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.layered import answer, layer_rows, layer_seconds, why_not_layered
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.subjects import find_subject, load_subject_model, subject_data


@pytest.fixture
def made(spec, store):
    def make(**choices: object):
        study = run_study(spec(**choices), store=store)
        return study, store.load_kernel(study.kernel_key)

    return make


@pytest.fixture
def here(monkeypatch):
    """The work is done in this process; the last request is kept."""
    asked: list[dict] = []
    monkeypatch.setattr(layered, "_ask", lambda request: asked.append(request) or answer(request)["layers"])
    return asked


@pytest.mark.parametrize("normalize", [True, False])
def test_the_rows_are_those_that_the_model_has(made, home, request, normalize: bool):
    if not normalize:  # once by the process of its own is enough
        request.getfixturevalue("here")
    study, run = made(normalize=normalize)
    found = layer_rows(study, run, 3, home=home)
    np.testing.assert_allclose(found.row, study.rows[3], atol=1e-5 * np.abs(study.rows).max())
    assert found.gap == pytest.approx(np.abs(found.row - study.rows[3]).max())
    data, model = subject_data(study.spec.subject_id, home=home), load_subject_model(study.spec.subject_id, home=home)
    raw = layer_kernels(model, data.x_test[study.test_index[3:4]], data.x_train[study.train_index])
    assert list(found.rows) == list(raw)
    scale = np.sqrt(run.blocks.rows_diagonal[3] * run.blocks.train_diagonal) if normalize else 1.0
    for name, row in raw.items():
        np.testing.assert_allclose(found.rows[name] * scale, row[0], rtol=1e-5, atol=1e-5 * np.abs(row).max())


@pytest.mark.parametrize("kernel", ["pntk", "em"])
def test_every_layered_kernel_adds_up(made, home, here, kernel: str):
    study, run = made(kernel=kernel)
    found = layer_rows(study, run, 0, home=home)
    np.testing.assert_allclose(np.sum(list(found.rows.values()), axis=0), study.rows[0], atol=1e-5)
    assert here[0]["test"] == study.test_index[0]
    assert here[0]["train"] == study.train_index.tolist()


def test_the_options_of_the_kernel_are_those_of_the_study(made, home, here):
    study, run = made(kernel="em")
    named = list(layer_rows(study, run, 0, home=home).rows)[:2]
    fewer, its = made(kernel="em", kernel_options={"layers": named})
    assert list(layer_rows(fewer, its, 0, home=home).rows) == named


def test_a_kernel_that_is_no_sum_over_layers_says_which_are(made, home, here):
    study, run = made(kernel="ck")
    told = why_not_layered(study)
    assert all((info.title in told) == info.layered for key, info in kernels().items() if key != "ck")
    with pytest.raises(InvalidStudy, match="not a sum over layers"):
        layer_rows(study, run, 0, home=home)
    assert not here


def test_layers_that_do_not_add_up_are_refused(made, home, monkeypatch):
    study, run = made()

    def other(request: dict) -> list[str]:
        names = answer(request)["layers"]
        np.save(request["place"], 1.01 * np.load(request["place"]))
        return names

    monkeypatch.setattr(layered, "_ask", other)
    with pytest.raises(NtkvizError, match="another kernel row than the study's"):
        layer_rows(study, run, 0, home=home)


def test_what_the_child_refuses_is_refused_here(made, home, monkeypatch):
    study, run = made()
    told = '{"error": {"type": "UnsupportedModel", "message": "No gradient."}}'
    monkeypatch.setattr(
        child.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, stdout=f"a print\n{told}\n", stderr="")
    )
    with pytest.raises(UnsupportedModel, match="No gradient"):
        layer_rows(study, run, 0, home=home)


def test_a_child_that_dies_or_takes_too_long_is_told_of(made, home, monkeypatch):
    study, run = made()
    monkeypatch.setattr(layered, "MAX_SECONDS", 0.01)
    with pytest.raises(NtkvizError, match=r"not computed within 0\.01 s"):
        layer_rows(study, run, 0, home=home)
    monkeypatch.setattr(layered, "MAX_SECONDS", 60)
    monkeypatch.setattr(layered.sys, "executable", "/bin/false")
    with pytest.raises(NtkvizError, match="could not be computed: exit code 1"):
        layer_rows(study, run, 0, home=home)


def test_asking_imports_no_torch():
    code = "import sys, ntkviz.studies.layered; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_time_is_told_beforehand(made, home, here, monkeypatch):
    monkeypatch.setattr(layered, "_took", {})
    monkeypatch.setattr(costs, "_known", {})
    monkeypatch.setattr(costs, "ask_child", measuring.answer)
    study, run = made()
    unknown = layer_seconds(study, home=home)
    assert unknown >= study.seconds["load"] + study.seconds["kernel"]
    costs_of(find_subject(study.spec.subject_id, home=home), [("trntk", study.spec.kernel_options)], home=home)
    measured = layer_seconds(study, home=home)
    assert measured != unknown
    layer_rows(study, run, 0, home=home)
    assert layer_seconds(study, home=home) not in {unknown, measured}
