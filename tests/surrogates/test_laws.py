"""Laws that every surrogate keeps, whatever its kind."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.registry import surrogates
from ntkviz.surrogates.surrogate import EMPTY_CLASS_INTERCEPT, RidgeSurrogate
from tests.surrogates.problems import Case, cases, make_case

KINDS = tuple(surrogates())
LABEL_KINDS = tuple(kind for kind, info in surrogates().items() if info.target == "labels")
#: Kinds that are solved to their optimum, so that order and rounding of the input do not show.
CONVERGENT = ("kglm", "klr", "ridge", "ridge_logits")
few = settings(max_examples=12, deadline=None)


def spread(scores: np.ndarray) -> float:
    return float(np.abs(scores).max())


@pytest.mark.parametrize("kind", KINDS)
@few
@given(case=cases())
def test_scores_are_weights_times_rows_plus_intercept(kind: str, case: Case):
    fit = fit_surrogate(case.kernel, case.targets(kind), kind=kind)
    assert fit.weights.shape == (case.logits.shape[1], len(case.kernel))
    assert fit.weights.dtype == fit.intercept.dtype == np.float64
    by_hand = np.array([[fit.weights[c] @ row + fit.intercept[c] for c in range(fit.n_classes)] for row in case.rows])
    np.testing.assert_allclose(fit.decision_function(case.rows), by_hand, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(case=cases())
def test_probabilities_are_a_distribution_in_the_order_of_the_scores(kind: str, case: Case):
    fit = fit_surrogate(case.kernel, case.targets(kind), kind=kind)
    chances = fit.predict_proba(case.rows)
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-12)
    assert (chances >= 0).all()
    assert (chances.argmax(axis=1) == fit.decision_function(case.rows).argmax(axis=1)).all()


@pytest.mark.parametrize("kind", KINDS)
@few
@given(case=cases(), power=st.integers(-12, 12))
def test_scale_of_the_kernel_changes_no_score(kind: str, case: Case, power: int):
    factor = 2.0**power  # exact in floating point, so this holds to the bit even where SGD would amplify rounding
    fit = fit_surrogate(case.kernel, case.targets(kind), kind=kind)
    scaled = fit_surrogate(case.kernel * factor, case.targets(kind), kind=kind)
    assert (scaled.decision_function(case.rows * factor) == fit.decision_function(case.rows)).all()
    assert scaled.scale == fit.scale * factor


@pytest.mark.parametrize("kind", CONVERGENT)
@few
@given(case=cases(), factor=st.floats(1e-6, 1e6))
def test_any_scale_of_the_kernel_changes_no_score_of_a_convergent_kind(kind: str, case: Case, factor: float):
    fit = fit_surrogate(case.kernel, case.targets(kind), kind=kind).decision_function(case.rows)
    scaled = fit_surrogate(case.kernel * factor, case.targets(kind), kind=kind).decision_function(case.rows * factor)
    np.testing.assert_allclose(scaled, fit, atol=1e-4 * spread(fit))


@pytest.mark.parametrize("kind", CONVERGENT)
@few
@given(case=cases(), order=st.integers(0, 1000))
def test_order_of_the_training_points_permutes_the_weights(kind: str, case: Case, order: int):
    places = np.random.default_rng(order).permutation(len(case.kernel))
    fit = fit_surrogate(case.kernel, case.targets(kind), kind=kind)
    turned = fit_surrogate(case.kernel[np.ix_(places, places)], case.targets(kind)[places], kind=kind)
    np.testing.assert_allclose(turned.weights, fit.weights[:, places], atol=1e-4 * spread(fit.weights))
    np.testing.assert_allclose(turned.intercept, fit.intercept, atol=1e-4 * max(1.0, spread(fit.intercept)))


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_gives_the_same_bits(kind: str):
    case = make_case(3, n=60)
    first, second = (fit_surrogate(case.kernel, case.targets(kind), kind=kind, seed=5) for _ in range(2))
    assert first.weights.tobytes() == second.weights.tobytes()
    assert first.intercept.tobytes() == second.intercept.tobytes()


def test_another_seed_moves_sgd_and_not_the_convergent_kinds():
    case = make_case(4, n=60)
    moved = {}
    for kind in ("kglm_sgd", *CONVERGENT):
        one, two = (
            fit_surrogate(case.kernel, case.targets(kind), kind=kind, seed=seed).decision_function(case.rows) for seed in (0, 1)
        )
        moved[kind] = spread(one - two) / spread(one)
    assert moved.pop("kglm_sgd") > 1e-3
    assert max(moved.values()) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_float32_kernels_serve(kind: str):
    case = make_case(5)
    fit = fit_surrogate(case.kernel, case.targets(kind), kind=kind)
    single = fit_surrogate(case.kernel.astype(np.float32), case.targets(kind), kind=kind)
    got, wanted = single.decision_function(case.rows.astype(np.float32)), fit.decision_function(case.rows)
    assert (got.argmax(axis=1) == wanted.argmax(axis=1)).all()


@pytest.mark.parametrize("kind", LABEL_KINDS)
def test_class_without_a_training_point_is_never_predicted_and_told(kind: str):
    case = make_case(6, n_classes=3)
    labels = np.where(case.labels >= 1, case.labels + 1, 0)  # classes 0, 2, 3 of 5
    fit, plain = fit_surrogate(case.kernel, labels, kind=kind, n_classes=5), fit_surrogate(case.kernel, case.labels, kind=kind)
    assert fit.weights.shape == (5, 30)
    assert not fit.weights[[1, 4]].any()
    assert (fit.intercept[[1, 4]] == EMPTY_CLASS_INTERCEPT).all()
    assert any("No training point has class 1, 4" in note for note in fit.notes)
    np.testing.assert_allclose(fit.decision_function(case.rows)[:, [0, 2, 3]], plain.decision_function(case.rows), atol=1e-6)


@pytest.mark.parametrize("kind", LABEL_KINDS)
@pytest.mark.parametrize("n_classes", [1, 4])
def test_training_points_of_one_class_give_a_constant_surrogate(kind: str, n_classes: int):
    case = make_case(7)
    fit = fit_surrogate(case.kernel, np.ones(30, dtype=int), kind=kind, n_classes=n_classes)
    assert np.abs(fit.weights).max() < 1e-12
    chances = fit.predict_proba(case.rows)
    assert (chances[:, 0] > 0.5).all() if n_classes == 1 else (chances.argmax(axis=1) == 1).all()


@pytest.mark.parametrize("kind", ["kglm", "kglm_sgd", "ridge", "svm"])
def test_one_logit_is_the_difference_of_two(kind: str):
    case = make_case(8, n_classes=2)
    one = fit_surrogate(case.kernel, case.labels, kind=kind, n_classes=1)
    two = fit_surrogate(case.kernel, case.labels, kind=kind, n_classes=2)
    pair = two.decision_function(case.rows)
    assert one.weights.shape == (1, 30)
    np.testing.assert_allclose(one.decision_function(case.rows)[:, 0], pair[:, 1] - pair[:, 0], atol=1e-9)
    if kind != "ridge":  # its two one-hot columns have intercepts of their own
        np.testing.assert_allclose(one.predict_proba(case.rows)[:, 0], two.predict_proba(case.rows)[:, 1], atol=1e-9)


def test_one_logit_of_klr_pays_twice_the_penalty_of_two_rows():
    # Rows -w/2 and w/2 have half the squared norm of w together: lam / 2 * |w|^2 / 2.
    case = make_case(9, n_classes=2)
    one = fit_surrogate(case.kernel, case.labels, kind="klr", n_classes=1, lam=0.1).decision_function(case.rows)
    pair = fit_surrogate(case.kernel, case.labels, kind="klr", n_classes=2, lam=0.2).decision_function(case.rows)
    np.testing.assert_allclose(one[:, 0], pair[:, 1] - pair[:, 0], atol=1e-5)


def test_one_logit_is_imitated_as_it_is():
    case = make_case(10, n_classes=2, n_features=60)
    logit = (case.logits[:, 1] - case.logits[:, 0])[:, None]
    fit = fit_surrogate(case.kernel, logit, kind="ridge_logits", n_classes=1)
    np.testing.assert_allclose(fit.decision_function(case.kernel), logit, atol=0.05)
    assert fit.predict_proba(case.rows).shape == (7, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_convergence_is_reported_in_a_sentence(kind: str):
    case = make_case(11)
    told = fit_surrogate(case.kernel, case.targets(kind), kind=kind).convergence
    assert told.converged
    assert np.isfinite(told.residual)
    assert told.residual >= 0
    assert len(told.message) > 20


@pytest.mark.parametrize("kind", ["kglm", "klr", "kglm_sgd"])
def test_a_fit_that_is_cut_short_says_so(kind: str):
    case = make_case(12, n=60)
    fit = fit_surrogate(case.kernel, case.labels, kind=kind, max_iter=1)
    assert not fit.convergence.converged
    assert "stopped" in fit.convergence.message


@pytest.mark.parametrize("kind", KINDS)
def test_options_are_kept_with_their_values(kind: str):
    case = make_case(13)
    fit = fit_surrogate(case.kernel, case.targets(kind), kind=kind)
    assert set(fit.options) == set(surrogates()[kind].options)
    assert fit.kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_progress_is_told_and_can_cancel(kind: str):
    case = make_case(14)
    seen: list[float] = []
    fit_surrogate(case.kernel, case.targets(kind), kind=kind, on_progress=lambda _, fraction: seen.append(fraction))
    assert seen
    assert all(0 <= fraction <= 1 for fraction in seen)
    assert seen == sorted(seen)

    def stop(stage: str, fraction: float) -> None:
        raise InterruptedError(stage)

    with pytest.raises(InterruptedError):
        fit_surrogate(case.kernel, case.targets(kind), kind=kind, on_progress=stop)


def test_the_ridges_can_leave_points_out():
    case = make_case(15)
    for kind in ("ridge", "ridge_logits"):
        assert isinstance(fit_surrogate(case.kernel, case.targets(kind), kind=kind), RidgeSurrogate)
