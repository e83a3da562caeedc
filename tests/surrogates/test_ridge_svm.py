"""The closed forms of the ridges against refits, and the SVM against libsvm's own decision."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC

from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.surrogate import EMPTY_CLASS_INTERCEPT, RidgeSurrogate, Surrogate
from tests.surrogates.problems import Case, cases, make_case

few = settings(max_examples=15, deadline=None)


def fitted(case: Case, kind: str, lam: float) -> RidgeSurrogate:
    found = fit_surrogate(case.kernel, case.targets(kind), kind=kind, lam=lam)
    assert isinstance(found, RidgeSurrogate)
    return found


def refitted(case: Case, kind: str, lam: float, kept: np.ndarray, n_classes: int) -> Surrogate:
    """A fit to some points, with the penalty of the fit to all of them as a number."""
    kernel = case.kernel[np.ix_(kept, kept)]
    same = lam * np.diag(case.kernel).mean() / np.diag(kernel).mean()
    return fit_surrogate(kernel, case.targets(kind)[kept], kind=kind, lam=float(same), n_classes=n_classes)


@pytest.mark.parametrize("kind", ["ridge", "ridge_logits"])
@few
@given(case=cases(), lam=st.sampled_from([1e-3, 0.1, 1.0]))
def test_ridge_is_the_textbook_solution(kind: str, case: Case, lam: float):
    targets = (
        np.eye(case.logits.shape[1])[case.labels] if kind == "ridge" else case.logits - case.logits.mean(axis=1, keepdims=True)
    )
    mean = targets.mean(axis=0)
    scale = np.diag(case.kernel).mean()
    wanted = case.rows / scale @ np.linalg.solve(case.kernel / scale + lam * np.eye(len(case.kernel)), targets - mean) + mean
    np.testing.assert_allclose(
        fitted(case, kind, lam).decision_function(case.rows), wanted, atol=1e-8 * max(1, np.abs(wanted).max())
    )


@pytest.mark.parametrize("kind", ["ridge", "ridge_logits"])
@few
@given(case=cases(), lam=st.sampled_from([1e-3, 0.1, 1.0, 10.0]))
def test_leaving_one_out_is_refitting(kind: str, case: Case, lam: float):
    fit, n, c = fitted(case, kind, lam), len(case.kernel), case.logits.shape[1]
    refits = np.empty((n, c))
    for i in range(n):
        kept = np.delete(np.arange(n), i)
        refits[i] = refitted(case, kind, lam, kept, c).decision_function(case.kernel[[i]][:, kept])[0]
    np.testing.assert_allclose(fit.leave_one_out(), refits, atol=1e-7 * max(1.0, np.abs(case.logits).max()))


@pytest.mark.parametrize("kind", ["ridge", "ridge_logits"])
@few
@given(case=cases(), lam=st.sampled_from([1e-3, 0.1, 1.0]), data=st.data())
def test_removing_points_is_refitting(kind: str, case: Case, lam: float, data: st.DataObject):
    n, c = len(case.kernel), case.logits.shape[1]
    out = data.draw(st.lists(st.integers(0, n - 1), unique=True, max_size=n - 2))
    kept = np.setdiff1d(np.arange(n), out)
    without, again = fitted(case, kind, lam).without(out), refitted(case, kind, lam, kept, c)
    assert not without.weights[:, out].any()
    scale = max(1.0, np.abs(case.logits).max())
    np.testing.assert_allclose(
        without.decision_function(case.rows), again.decision_function(case.rows[:, kept]), atol=1e-6 * scale
    )
    np.testing.assert_allclose(without.weights[:, kept], again.weights, atol=1e-6 * max(scale, np.abs(again.weights).max()))
    assert any(f"{len(out)} of {n}" in note for note in without.notes)


def test_removing_the_last_point_of_a_class_empties_it_as_a_refit_does():
    case = make_case(1, n=20, n_classes=3)
    labels = np.array([0] * 10 + [1] * 9 + [2])
    fit = fit_surrogate(case.kernel, labels, kind="ridge")
    assert isinstance(fit, RidgeSurrogate)
    assert fit.leave_one_out()[19, 2] == EMPTY_CLASS_INTERCEPT
    gone = fit.without([19])
    assert gone.intercept[2] == EMPTY_CLASS_INTERCEPT
    assert not gone.weights[2].any()


def test_leaving_one_out_of_one_logit_is_refitting():
    case = make_case(2, n=20, n_classes=2)
    fit = fit_surrogate(case.kernel, case.labels, kind="ridge", n_classes=1)
    assert isinstance(fit, RidgeSurrogate)
    kept = np.arange(1, 20)
    lam = float(np.diag(case.kernel).mean() / np.diag(case.kernel)[1:].mean())
    again = fit_surrogate(case.kernel[1:, 1:], case.labels[1:], kind="ridge", n_classes=1, lam=lam)
    np.testing.assert_allclose(fit.leave_one_out()[0], again.decision_function(case.kernel[:1, kept])[0], atol=1e-9)


@pytest.mark.parametrize(
    ("indices", "told"),
    [([30], "0 to 29"), ([-1], "0 to 29"), ([1, 1], "twice"), (list(range(30)), "all 30"), ([0.5], "whole"), ([[1]], "shape")],
)
def test_impossible_removals_are_refused(indices: list, told: str):
    with pytest.raises(ValueError, match=told):
        fitted(make_case(3), "ridge", 1.0).without(indices)


def test_a_stored_ridge_needs_its_kernel_again_and_knows_a_stranger():
    case, other = make_case(4), make_case(5)
    fit = fitted(case, "ridge", 1.0)
    stored = RidgeSurrogate(**{f.name: getattr(fit, f.name) for f in dataclasses.fields(fit)})  # as a store does: fields only
    assert "factor" not in {f.name for f in dataclasses.fields(fit)}
    with pytest.raises(ValueError, match="with_kernel"):
        stored.leave_one_out()
    with pytest.raises(ValueError, match="with_kernel"):
        stored.without([0])
    np.testing.assert_allclose(stored.with_kernel(case.kernel).leave_one_out(), fit.leave_one_out(), atol=1e-12)
    with pytest.raises(ValueError, match="not the kernel of the fit"):
        stored.with_kernel(other.kernel)
    with pytest.raises(ValueError, match="shape"):
        stored.with_kernel(case.kernel[:5, :5])


def test_imitation_follows_the_logits_and_stiffens_with_lam():
    case = make_case(6, n=40, n_features=60)
    wanted = case.logits - case.logits.mean(axis=1, keepdims=True)
    errors = [
        np.abs(fitted(case, "ridge_logits", lam).decision_function(case.kernel) - wanted).max() for lam in (1e-6, 1e-2, 1.0)
    ]
    assert errors[0] < 1e-3 < errors[1] < errors[2]


@pytest.mark.parametrize("weighting", [None, "balanced"])
def test_svm_scores_are_libsvms_one_against_the_rest(weighting: str | None):
    case = make_case(7, n=50)
    scale = np.diag(case.kernel).mean()
    fit = fit_surrogate(case.kernel, case.labels, kind="svm", C=0.5, class_weight=weighting)
    for label in range(3):
        machine = SVC(kernel="precomputed", C=0.5, class_weight=weighting).fit(case.kernel / scale, case.labels == label)
        wanted = machine.decision_function(case.rows / scale)
        np.testing.assert_allclose(fit.decision_function(case.rows)[:, label], wanted, atol=1e-9)
        assert set(np.flatnonzero(fit.weights[label])) == set(machine.support_)
    assert fit.convergence.residual < 2e-3  # libsvm's tolerance is on the gap between two points' conditions
    assert "support vectors" in fit.notes[-1]


def test_svm_of_two_classes_is_one_machine_in_two_halves():
    case = make_case(8, n=40, n_classes=2)
    fit = fit_surrogate(case.kernel, case.labels, kind="svm")
    assert (fit.weights[0] == -fit.weights[1]).all()
    machine = SVC(kernel="precomputed").fit(case.kernel / fit.scale, case.labels)
    got = fit.decision_function(case.rows) @ [-1, 1]
    np.testing.assert_allclose(got, machine.decision_function(case.rows / fit.scale), atol=1e-9)
