"""The door: what is refused, and in which words."""

import numpy as np
import pytest

from ntkviz.errors import SurrogateDiverged
from ntkviz.surrogates import fit as door
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.registry import surrogates
from ntkviz.surrogates.surrogate import Convergence, Surrogate
from tests.surrogates.problems import make_case

CASE = make_case(0)
K, Y, F = CASE.kernel, CASE.labels, CASE.logits


def changed(kernel: np.ndarray, at: tuple[int, int], value: float) -> np.ndarray:
    other = kernel.copy()
    other[at] = value
    return other


@pytest.mark.parametrize(
    ("kernel", "targets", "options", "told"),
    [
        (K, Y, {"kind": "nonsense"}, "choose one of: kglm, kglm_sgd, klr, ridge, ridge_logits, svm"),
        (K, Y, {"kind": "klr", "alpha": 1.0}, "no option 'alpha'; it has: lam, distillation, tol, max_iter"),
        (K, Y, {"seed": -1}, "seed"),
        (K, Y, {"seed": True}, "seed"),
        (K[:, :-1], Y, {}, "N, N"),
        (K[0], Y, {}, "N, N"),
        (K.astype(str), Y, {}, "numbers"),
        (changed(K, (3, 4), np.nan), Y, {}, "1 of 900 kernel entries"),
        (changed(K, (3, 4), K[3, 4] + 1), Y, {}, "not symmetric: an entry differs from its mirror image by"),
        (changed(K, (3, 3), -1.0), Y, {}, "diagonal"),
        (np.zeros((30, 30)), Y, {}, "diagonal"),
        (changed(changed(K, (3, 4), 1e9), (4, 3), 1e9), Y, {}, "exceeds the largest diagonal entry"),
        (K, Y[:-1], {}, "29 labels for a kernel of 30"),
        (K, Y.astype(float), {}, "whole numbers"),
        (K, F, {"kind": "klr"}, "ridge_logits"),
        (K, Y, {"kind": "ridge_logits"}, "logits \\[N, C\\]"),
        (K, F[:-1], {"kind": "ridge_logits"}, "29 points"),
        (K, F, {"kind": "ridge_logits", "n_classes": 4}, "3 columns"),
        (K, changed(F, (0, 0), np.inf), {"kind": "ridge_logits"}, "1 logits are not finite"),
        (K, Y, {"n_classes": 2}, "0 to 2; expected 0 to 1"),
        (K, Y - 1, {}, "from -1"),
        (K, Y, {"n_classes": 1}, "expected 0 to 1"),
        (K, Y, {"n_classes": 0}, "n_classes"),
        (K, np.zeros(30, dtype=int), {}, "pass n_classes"),
        (K, Y, {"kind": "klr", "lam": 0}, "above 0"),
        (K, Y, {"kind": "klr", "lam": "best"}, "or 'auto'"),
        (K, Y, {"kind": "klr", "distillation": 0.5}, "asks for the network's answers: pass network="),
        (K, Y, {"kind": "klr", "distillation": 1.0}, "from 0 up to, but not, 1"),
        (K, Y, {"kind": "klr", "distillation": True}, "from 0 up to, but not, 1"),
        (K, Y, {"kind": "klr", "validation": (K, Y), "network": (F[:-1], F)}, r"logits \[30, 3\] of the training points"),
        (
            K,
            Y,
            {"kind": "klr", "validation": (K, Y), "network": (F, changed(F, (0, 0), np.nan))},
            "validation points.*1 that are not finite",
        ),
        (K, Y, {"kind": "kglm", "alpha": float("nan")}, "above 0"),
        (K, Y, {"kind": "kglm", "max_iter": 2.5}, "whole number"),
        (K, Y, {"kind": "kglm", "class_weight": "all"}, "balanced"),
        (K, Y, {"kind": "kglm_sgd", "fit_intercept": 1}, "True or False"),
        (K, Y, {"kind": "svm", "C": True}, "above 0"),
        (K, F, {"kind": "ridge_logits", "lam": -1.0}, "above 0"),
    ],
)
def test_unusable_input_is_refused_in_words(kernel: np.ndarray, targets: np.ndarray, options: dict, told: str):
    with pytest.raises(ValueError, match=told):
        fit_surrogate(kernel, targets, **options)


@pytest.mark.parametrize("kind", ["klr", "ridge", "ridge_logits"])
def test_a_kernel_that_is_no_gram_matrix_is_refused(kind: str):
    rng = np.random.default_rng(0)
    other = rng.standard_normal((30, 30))
    other = np.clip(other + other.T, -1, 1)
    other[np.diag_indices(30)] = 1.0
    with pytest.raises(ValueError, match=r"not positive semi-definite.*eigenvalue of -"):
        fit_surrogate(other, F if kind == "ridge_logits" else Y, kind=kind)


def test_small_asymmetry_is_mended_and_told():
    fit = fit_surrogate(changed(K, (3, 4), K[3, 4] + 1e-6 * np.abs(K).max()), Y, kind="ridge")
    assert any("made symmetric" in note and "1.0e-06" in note for note in fit.notes)
    assert not fit_surrogate(K, Y, kind="ridge").notes


def test_the_callers_kernel_is_not_changed():
    before = K.copy()
    for kind in surrogates():
        fit_surrogate(K, CASE.targets(kind), kind=kind)
    assert (before == K).all()


def test_values_that_are_not_finite_are_never_returned(monkeypatch: pytest.MonkeyPatch):
    def broken(problem, *, seed, on_progress, options):
        weights = np.full((3, 30), np.nan)
        return Surrogate(weights, np.zeros(3), "klr", options, 1.0, Convergence(False, 1, 1.0, "stopped early"))

    monkeypatch.setitem(door._FITS, "klr", broken)
    with pytest.raises(SurrogateDiverged, match="stopped early"):
        fit_surrogate(K, Y, kind="klr")


@pytest.mark.parametrize(("kind", "solver"), [("kglm_sgd", "linear_model.SGDClassifier"), ("svm", "svm.SVC")])
def test_a_solver_that_overflows_has_diverged(kind: str, solver: str, monkeypatch: pytest.MonkeyPatch):
    def overflow(self, x, y):
        raise ValueError("Floating-point under-/overflow occurred at epoch #3.")

    monkeypatch.setattr(f"sklearn.{solver}.fit", overflow)
    with pytest.raises(SurrogateDiverged, match="overflow occurred at epoch #3"):
        fit_surrogate(K, Y, kind=kind)


@pytest.mark.parametrize("rows", [K[:, :-1], K[0], changed(K, (0, 0), np.inf), K.astype(str)])
def test_rows_that_do_not_fit_are_refused(rows: np.ndarray):
    fit = fit_surrogate(K, Y, kind="ridge")
    with pytest.raises(ValueError, match=r"rows|finite"):
        fit.decision_function(rows)


def test_transposed_rows_are_recognised():
    fit = fit_surrogate(K, Y, kind="ridge")
    with pytest.raises(ValueError, match="transposed"):
        fit.decision_function(CASE.rows.T)


def test_registry_rows_are_filled_in():
    rows = surrogates()
    assert list(rows) == ["kglm", "kglm_sgd", "klr", "ridge", "ridge_logits", "svm"]
    for key, info in rows.items():
        assert info.key == key
        assert info.title
        assert all(len(text) > 10 for text in (info.formula, info.summary, info.cost, info.source, info.use_when, info.caveat))
        assert all(len(text) > 10 for _, text in info.options.values())
    assert {key for key, info in rows.items() if info.target == "logits"} == {"ridge_logits"}
