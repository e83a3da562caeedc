"""``kglm``, ``klr`` and ``kglm_sgd`` against scikit-learn and against their own optimality conditions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, SGDClassifier

from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.klr import AUTO_GRID
from tests.surrogates.problems import Case, cases, make_case

few = settings(max_examples=15, deadline=None)


def centred(scores: np.ndarray) -> np.ndarray:
    return scores - scores.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("alpha", [1e-2, 1e-4])
@pytest.mark.parametrize("class_weight", ["balanced", None])
def test_kglm_is_scikit_learns_logistic_regression_on_kernel_rows(n_classes: int, alpha: float, class_weight: str | None):
    case = make_case(1, n=50, n_classes=n_classes, mean=1.0)
    scale = np.diag(case.kernel).mean()
    reference = LogisticRegression(
        C=1 / (alpha * 50), class_weight=class_weight, solver="newton-cholesky", tol=1e-10, max_iter=1000
    ).fit(case.kernel / scale, case.labels)
    fit = fit_surrogate(case.kernel, case.labels, kind="kglm", alpha=alpha, class_weight=class_weight, tol=1e-9)
    wanted, got = reference.decision_function(case.rows / scale), fit.decision_function(case.rows)
    if n_classes == 2:
        np.testing.assert_allclose(got[:, 1] - got[:, 0], wanted, atol=1e-4 * np.abs(wanted).max())
    else:
        np.testing.assert_allclose(centred(got), centred(wanted), atol=1e-4 * np.abs(wanted).max())


@few
@given(case=cases(), alpha=st.sampled_from([1e-2, 1e-4, 1e-6]))
def test_kglm_ends_where_its_gradient_is_zero(case: Case, alpha: float):
    n, n_classes = len(case.kernel), case.logits.shape[1]
    fit = fit_surrogate(case.kernel, case.labels, kind="kglm", alpha=alpha)
    kernel, weights = case.kernel / fit.scale, fit.weights * fit.scale
    balanced = (n / (n_classes * np.bincount(case.labels, minlength=n_classes)))[case.labels]
    chances = softmax(kernel @ weights.T + fit.intercept, axis=1)
    errors = balanced[:, None] * (chances - np.eye(n_classes)[case.labels]) / n
    # Two classes have one row w, split in halves: the penalty on w is twice that on its halves.
    penalty = alpha * (2 if n_classes == 2 else 1)
    gradient = errors.T @ kernel + penalty * weights
    assert np.abs(gradient).max() < 1e-5
    assert fit.convergence.converged
    assert fit.convergence.residual < 1e-5


@few
@given(case=cases(), lam=st.sampled_from([1e-3, 1e-2, 0.1, 1.0, 10.0]))
def test_klr_weights_are_what_is_left_to_explain(case: Case, lam: float):
    fit = fit_surrogate(case.kernel, case.labels, kind="klr", lam=lam)
    chances = fit.predict_proba(case.kernel)
    left = np.eye(fit.n_classes)[case.labels] - chances
    assert np.abs(lam * fit.weights.T * fit.scale - left).max() < 1e-4
    assert np.abs(left.sum(axis=0)).max() < 1e-3  # the intercept is not penalised
    assert fit.convergence.residual < 1e-4
    assert fit.convergence.converged


@pytest.mark.parametrize("lam", [1e-2, 1.0])
@pytest.mark.parametrize("n_classes", [3, 4])
def test_klr_is_logistic_regression_in_the_feature_space(lam: float, n_classes: int):
    case = make_case(2, n=60, n_classes=n_classes, n_features=8)
    scale = np.diag(case.kernel).mean()
    features = case.features / np.sqrt(scale)
    reference = LogisticRegression(C=1 / lam, solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(features, case.labels)
    others = np.linalg.lstsq(case.features, case.rows.T, rcond=None)[0].T  # rows = others @ features^T
    wanted = reference.decision_function(others / np.sqrt(scale))
    got = fit_surrogate(case.kernel, case.labels, kind="klr", lam=lam, tol=1e-9).decision_function(case.rows)
    np.testing.assert_allclose(centred(got), centred(wanted), atol=1e-5 * np.abs(wanted).max())


def test_klr_serves_a_kernel_of_rank_one():
    case = make_case(3, n=40, n_features=1)
    fit = fit_surrogate(case.kernel, case.labels, kind="klr")
    assert fit.convergence.converged
    assert fit.convergence.residual < 1e-6


@pytest.mark.parametrize("kind", ["kglm", "klr"])
def test_constant_kernel_gives_the_class_frequencies(kind: str):
    labels = np.array([0] * 20 + [1] * 6 + [2] * 4)
    fit = fit_surrogate(np.ones((30, 30)), labels, kind=kind)
    wanted = [1 / 3] * 3 if kind == "kglm" else [20 / 30, 6 / 30, 4 / 30]  # kglm balances the classes
    np.testing.assert_allclose(fit.predict_proba(np.ones((1, 30)))[0], wanted, atol=1e-6)
    assert fit.convergence.converged


@few
@given(case=cases(), copied=st.integers(0, 11))
def test_duplicates_get_equal_weights(case: Case, copied: int):
    places = np.append(np.arange(len(case.kernel)), copied)
    kernel, labels = case.kernel[np.ix_(places, places)], case.labels[places]
    for kind in ("klr", "ridge", "kglm"):
        weights = fit_surrogate(kernel, labels, kind=kind).weights
        np.testing.assert_allclose(weights[:, -1], weights[:, copied], atol=1e-6 * np.abs(weights).max())


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n", [50, 1000])
def test_kglm_sgd_is_scikit_learns_to_the_bit(n_classes: int, n: int):
    case = make_case(4, n=n, n_classes=n_classes, n_features=5)
    scale = np.diag(case.kernel).mean()
    reference = SGDClassifier(
        loss="log_loss", penalty="l2", alpha=1e-4, fit_intercept=True, class_weight="balanced", random_state=7
    )  # the paper's call, all else default
    if n < 1000:
        reference.set_params(n_iter_no_change=100, max_iter=20_000)
    reference.fit(case.kernel / scale, case.labels)
    fit = fit_surrogate(case.kernel, case.labels, kind="kglm_sgd", seed=7)
    if n_classes == 2:
        assert (fit.weights[1] - fit.weights[0] == np.asarray(reference.coef_)[0] / scale).all()
        np.testing.assert_allclose(fit.predict_proba(case.rows), reference.predict_proba(case.rows / scale), atol=1e-12)
    else:
        assert (fit.weights == reference.coef_ / scale).all()
        assert (fit.intercept == reference.intercept_).all()
    assert fit.convergence.n_iterations == reference.n_iter_
    assert any("more epochs" in note for note in fit.notes) == (n < 1000)


@pytest.mark.parametrize("seed", range(5))
def test_rounding_of_a_small_kernel_does_not_decide_for_sgd(seed: int):
    case = make_case(seed, n=60, n_features=16, mean=1.0)
    kernel, rows = case.kernel.astype(np.float32), case.rows.astype(np.float32)
    one = fit_surrogate(kernel, case.labels, kind="kglm_sgd").decision_function(rows)
    two = fit_surrogate(1000 * kernel, case.labels, kind="kglm_sgd").decision_function(1000 * rows)
    assert (one.argmax(axis=1) == two.argmax(axis=1)).all()


def test_kglm_beats_sgd_at_their_common_objective():
    case = make_case(5, n=60, n_classes=2)
    scale = np.diag(case.kernel).mean()
    counts = np.bincount(case.labels)
    balanced = (60 / (2 * counts))[case.labels]

    def objective(fit) -> float:
        margin = (fit.decision_function(case.kernel) @ [-1, 1]) * np.where(case.labels == 1, 1, -1)
        w = (fit.weights[1] - fit.weights[0]) * scale
        return float((balanced * np.logaddexp(0, -margin)).mean() + 1e-4 / 2 * w @ w)

    exact, rough = (fit_surrogate(case.kernel, case.labels, kind=kind) for kind in ("kglm", "kglm_sgd"))
    assert objective(exact) < objective(rough)
    assert exact.convergence.residual < 1e-6 < rough.convergence.residual


def test_auto_takes_the_most_likely_penalty_and_says_so():
    case = make_case(6, n=80, noise=4.0)
    fit = fit_surrogate(case.kernel, case.labels, kind="klr", lam="auto", seed=3)
    assert fit.options["lam"] in AUTO_GRID
    assert all(f"{lam:g}: -" in fit.notes[-1] for lam in AUTO_GRID)
    same = fit_surrogate(case.kernel, case.labels, kind="klr", lam=fit.options["lam"], seed=3)
    assert (same.weights == fit.weights).all()
    # With labels that are mostly noise a loose fit must lose.
    assert fit.options["lam"] in {0.1, 0.3, 1.0}


def test_auto_works_with_one_logit_and_refuses_without_points_to_hold_out():
    case = make_case(7, n=40, n_classes=2)
    assert fit_surrogate(case.kernel, case.labels, kind="klr", n_classes=1, lam="auto").options["lam"] in AUTO_GRID
    small = make_case(8, n=8, n_classes=4)
    with pytest.raises(ValueError, match="five training points"):
        fit_surrogate(small.kernel, np.arange(8) % 4, kind="klr", lam="auto")


def test_auto_asks_the_validation_points_where_there_are_any():
    case = make_case(6, n=60)
    rng = np.random.default_rng(1)
    rows = case.kernel[:25] + 0.05 * rng.standard_normal((25, 60))
    labels = np.where(rng.uniform(size=25) < 0.4, rng.integers(0, 3, 25), case.labels[:25])
    fit = fit_surrogate(case.kernel, case.labels, kind="klr", lam="auto", validation=(rows, labels))
    likelihood = {}
    for lam in AUTO_GRID:
        one = fit_surrogate(case.kernel, case.labels, kind="klr", lam=lam)
        likelihood[lam] = np.log(one.predict_proba(rows)[np.arange(25), labels]).mean()
    assert fit.options["lam"] == max(likelihood, key=likelihood.__getitem__)
    assert any("25 points that the network was not trained on" in note for note in fit.notes)
    with pytest.raises(ValueError, match="one a row"):
        fit_surrogate(case.kernel, case.labels, kind="klr", lam="auto", validation=(rows, labels[:3]))
    with pytest.raises(ValueError, match="leave validation out"):
        fit_surrogate(case.kernel, case.labels, kind="klr", lam="auto", validation=(rows, np.full(25, 9)))
