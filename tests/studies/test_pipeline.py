import dataclasses
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from ntkviz.errors import JobCancelled, SelfCheckFailed, StoreCorrupted
from ntkviz.studies.pipeline import STAGES, run_study
from ntkviz.studies.spec import InvalidStudy, StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.study import Study, compact_check
from ntkviz.studies.subjects import subject_data

ARRAYS = (
    "train_index",
    "test_index",
    "y_train",
    "y_test",
    "kernel",
    "rows",
    "logits_train",
    "logits_test",
    "surrogate_logits",
)


def same(a: Study, b: Study) -> bool:
    arrays = all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in ARRAYS)
    fits = all(getattr(a.surrogate, name).tobytes() == getattr(b.surrogate, name).tobytes() for name in ("weights", "intercept"))
    return arrays and fits and a.key == b.key and repr(a.fidelity) == repr(b.fidelity)


def no_kernels(monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a kernel was computed")

    monkeypatch.setattr(import_module("ntkviz.kernels.matrix"), "kernel_blocks", refuse)


@pytest.mark.parametrize("surrogate", ["ridge", "ridge_logits", "klr", "kglm"])
def test_a_study_is_reproducible_bit_for_bit(spec, home, store, surrogate):
    first = run_study(spec(surrogate=surrogate), home=home)
    assert same(first, run_study(spec(surrogate=surrogate), home=home))
    assert same(first, run_study(spec(surrogate=surrogate), store=store))
    assert same(first, run_study(spec(surrogate=surrogate), store=store))
    assert same(first, store.load_study(first.key))


def test_a_finished_study_is_opened_and_not_made_again(spec, store, monkeypatch):
    first = run_study(spec(), store=store)
    no_kernels(monkeypatch)
    monkeypatch.setattr(import_module("ntkviz.surrogates.fit"), "fit_surrogate", None)
    assert same(first, run_study(spec(), store=store))


def test_other_surrogates_and_the_raw_kernel_reuse_the_kernel(spec, store, monkeypatch):
    first = run_study(spec(), store=store)
    no_kernels(monkeypatch)
    assert run_study(spec(surrogate="klr"), store=store).kernel_key == first.kernel_key
    raw = run_study(spec(normalize=False), store=store)
    assert raw.kernel_key == first.kernel_key
    assert not np.allclose(raw.kernel, first.kernel)
    scale = np.sqrt(np.diag(raw.kernel))
    np.testing.assert_allclose(raw.kernel / np.outer(scale, scale), first.kernel, atol=1e-5)
    assert store.usage().n_kernels == 1
    assert store.usage().n_studies == 3


def test_points_carry_the_ids_of_the_full_data(spec, home):
    study = run_study(spec(), home=home)
    data = subject_data(spec().upload, home=home)
    assert study.n_train == 40
    assert study.n_test == 20
    np.testing.assert_array_equal(study.y_train, data.y_train[study.train_index])
    np.testing.assert_array_equal(study.y_test, data.y_test[study.test_index])
    larger = run_study(spec(n_train=80), home=home)
    assert set(study.train_index) <= set(larger.train_index)
    place = np.searchsorted(larger.train_index, study.train_index)
    np.testing.assert_allclose(larger.kernel[np.ix_(place, place)], study.kernel, atol=1e-5)


def test_every_stage_is_reported_from_0_to_1_and_timed(spec, store):
    told: dict[str, list[float]] = {}
    study = run_study(spec(), store=store, on_progress=lambda stage, fraction: told.setdefault(stage, []).append(fraction))
    assert tuple(told) == ("load", "probe", "logits", "self-check", "kernel", "save", "surrogate", "fidelity")
    for fractions in told.values():
        assert fractions[0] == 0
        assert fractions[-1] == 1
        assert all(0 <= fraction <= 1 for fraction in fractions)
    assert set(study.seconds) == set(STAGES)
    assert all(seconds >= 0 for seconds in study.seconds.values())
    assert study.peak_mb > 50


def test_cancelling_passes_through_and_keeps_no_half_study(spec, store):
    def cancel(stage: str, _: float) -> None:
        if stage == "surrogate":
            raise JobCancelled("enough")

    with pytest.raises(JobCancelled, match="enough"):
        run_study(spec(), store=store, on_progress=cancel)
    assert store.list_studies() == []
    assert store.usage().n_kernels == 1


def test_a_kernel_that_fails_its_check_is_not_made(spec, home, monkeypatch):
    from ntkviz.gradients import selfcheck

    real = selfcheck.self_check
    monkeypatch.setattr(selfcheck, "self_check", lambda *a, **k: dataclasses.replace(real(*a, **k), passed=False))
    no_kernels(monkeypatch)
    with pytest.raises(SelfCheckFailed, match="float64 reference"):
        run_study(spec(), home=home)


def test_an_option_out_of_range_is_an_invalid_study(spec, home):
    with pytest.raises(InvalidStudy, match="lam"):
        run_study(spec(surrogate_options={"lam": -1.0}), home=home)


def test_a_damaged_kernel_is_not_used(spec, store):
    study = run_study(spec(), store=store)
    path = store.home / "kernels" / study.kernel_key / "blocks__train.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    for other in (spec(), spec(surrogate="klr")):
        with pytest.raises(StoreCorrupted, match=r"blocks__train\.npy"):
            run_study(other, store=store)


def test_what_was_asked_too_much_is_noted_each_time(spec, store):
    for _ in range(2):
        assert any("5,000 training points" in note for note in run_study(spec(n_train=5000), store=store).notes)
    assert not any("asked" in note for note in run_study(spec(n_train=None), store=store).notes)


def test_how_each_parameter_is_computed_is_kept_and_summed_up(spec, store):
    study = run_study(spec(), store=store)
    rows = Store(store.home).load_study(study.key).self_check["parameters"]
    assert sum(row["size"] for row in rows) == study.self_check["n_parameters"]
    assert {"name", "size", "path", "reason"} == set(rows[0])
    summed = study.summary()["self_check"]
    assert summed["coverage"] == {"structured": pytest.approx(1)}
    assert "parameters" not in summed
    assert summed["max_relative_error"] == study.self_check["max_relative_error"]


def test_a_self_check_from_before_rows_is_passed_on():
    old = {"max_relative_error": 1e-7, "path": "vmap"}
    assert compact_check(old) == old


def test_the_summary_is_strict_json(spec, home):
    study = run_study(spec(), home=home)
    summary = study.summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert {"study", "kernel", "surrogate", "n_train", "n_test", "fidelity", "seconds", "peak_mb", "self_check"} <= set(summary)
    assert StudySpec.from_dict(summary["spec"]).key(home=home) == study.key
    no_number = dataclasses.replace(study, peak_mb=float("nan")).summary()
    assert no_number["peak_mb"] is None


def test_a_stored_kernel_needs_no_torch(spec, store):
    study = run_study(spec(), store=store)
    code = f"""
import sys
from importlib import import_module
from pathlib import Path
from ntkviz.studies.pipeline import STAGES, run_study
from ntkviz.studies.quote import quote
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.subjects import subject_data, subjects
store = Store({str(store.home)!r})
store.load_study(store.find("latest"))
again = run_study(StudySpec.from_json({spec(surrogate="klr").to_json()!r}), store=store)
quote([again.spec], home=store.home)
subject_data(subjects(store)[-1].id, home=store.home)
print(again.kernel_key, "torch" in sys.modules)
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.split() == [study.kernel_key, "False"]
