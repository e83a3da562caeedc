"""``klr`` with ``distillation``: labels and the network's calibrated answers together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.klr_refit import KlrRefit
from ntkviz.surrogates.distillation import calibrated_temperature
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.logistic import one_hot, solve_logistic
from ntkviz.surrogates.surrogate import DistilledSurrogate
from tests.surrogates.problems import Case, cases, make_case

few = settings(max_examples=12, deadline=None)
LAM = 0.1


def distil(case: Case, share: float, *, lam: float | str = LAM, one_logit: bool = False, **options: object) -> DistilledSurrogate:
    """A fit whose validation points are the case's rows, labelled by a plain fit."""
    plain = fit_surrogate(case.kernel, case.labels, kind="klr", n_classes=1 if one_logit else None)
    scores = plain.decision_function(case.rows)
    labels = (scores[:, 0] > 0).astype(int) if one_logit else scores.argmax(axis=1)
    labels[0] = case.labels[0]
    logits = case.logits[:, 1:] - case.logits[:, :1] if one_logit else case.logits
    fit = fit_surrogate(
        case.kernel,
        case.labels,
        kind="klr",
        n_classes=plain.n_classes,
        lam=lam,
        distillation=share,
        validation=(case.rows, labels),
        network=(logits, 0.7 * scores + 0.3),
        **options,
    )
    assert isinstance(fit, DistilledSurrogate)
    return fit


@pytest.mark.parametrize("one_logit", [False, True])
@few
@given(case=cases(), share=st.sampled_from([0.2, 0.6, 0.9]))
def test_weights_are_what_is_left_of_labels_and_answers(one_logit: bool, case: Case, share: float):
    case = make_case(len(case.kernel), n_classes=2) if one_logit else case
    fit = distil(case, share, one_logit=one_logit)
    left = one_hot(case.labels, fit.n_classes) - fit.predict_proba(case.kernel)
    assert np.abs(LAM * fit.weights.T * fit.scale - left - fit.correction).max() < 1e-3
    assert fit.convergence.converged
    if not one_logit:
        np.testing.assert_allclose(fit.correction.sum(axis=1), 0, atol=1e-9)


def test_it_is_the_optimum_of_both_losses_together():
    """Soft targets are copies of each point, one a class, weighted by their chances: scikit-learn's fit to these is the reference."""
    case, share = make_case(2, n=60, n_features=8), 0.6
    fit = distil(case, share, tol=1e-9)
    answers = softmax(case.logits / fit.temperature, axis=1)
    mixed = (1 - share) * np.eye(3)[case.labels] + share * answers
    scale = np.sqrt(fit.scale)
    copies, labels = np.repeat(case.features / scale, 3, axis=0), np.tile(np.arange(3), 60)
    reference = LogisticRegression(C=1 / ((1 - share) * LAM), solver="newton-cholesky", tol=1e-10, max_iter=1000)
    reference.fit(copies, labels, sample_weight=mixed.ravel())
    others = np.linalg.lstsq(case.features, case.rows.T, rcond=None)[0].T
    wanted, got = reference.decision_function(others / scale), fit.decision_function(case.rows)
    np.testing.assert_allclose(
        got - got.mean(1, keepdims=True), wanted - wanted.mean(1, keepdims=True), atol=1e-4 * np.abs(wanted).max()
    )


def test_the_penalty_auto_is_that_of_the_labels_alone():
    case = make_case(4, n=80)
    labels = (0.7 * case.rows @ np.zeros(80)).astype(int)
    settings_ = {"kind": "klr", "lam": "auto", "validation": (case.rows, labels), "network": (case.logits, case.logits[:7])}
    alone, both = (fit_surrogate(case.kernel, case.labels, **settings_, distillation=share) for share in (0.0, 0.6))
    assert alone.options["lam"] == both.options["lam"]
    assert not isinstance(alone, DistilledSurrogate)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("n_classes", [1, 4])
def test_the_temperature_is_that_of_the_labels(temperature: float, n_classes: int):
    rng = np.random.default_rng(0)
    logits = 3 * rng.standard_normal((20_000, n_classes))
    both = np.hstack([np.zeros_like(logits), logits]) if n_classes == 1 else logits
    chances = softmax(both / temperature, axis=1)
    labels = (chances.cumsum(axis=1) < rng.random(20_000)[:, None]).sum(axis=1)
    assert calibrated_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


@few
@given(case=cases())
def test_more_distillation_is_nearer_to_the_networks_answers(case: Case):
    missed = []
    for share in (0.1, 0.5, 0.9):
        fit = distil(case, share)
        answers = softmax(case.logits / fit.temperature, axis=1)
        missed.append(-(answers * np.log(fit.predict_proba(case.kernel))).sum())
    assert missed[0] >= missed[1] - 1e-6 >= missed[2] - 2e-6


def fitted_anew(case: Case, fit: DistilledSurrogate, counts: np.ndarray) -> np.ndarray:
    """Scores of the rows when labels count otherwise and the pull of the network's answers stays: ``s (y + e / s - p) = s (y - p) + e``."""
    counts = np.maximum(counts, 1e-9)
    solved = solve_logistic(
        case.kernel / fit.scale,
        one_hot(case.labels, fit.n_classes) + fit.correction / counts[:, None],
        lam=LAM,
        sample_weight=counts,
        tol=1e-12,
        max_iter=200,
        on_progress=lambda *_: None,
    )
    scores = case.rows / fit.scale @ solved.coefficients + solved.offset
    return scores - (scores.mean(axis=1, keepdims=True) if fit.n_classes > 1 else 0)


@pytest.mark.parametrize("one_logit", [False, True])
def test_removal_takes_the_labels_pull_and_leaves_the_answers(one_logit: bool):
    case = make_case(7, n=40, n_classes=2 if one_logit else 3)
    fit = distil(case, 0.6, one_logit=one_logit, tol=1e-10)
    heads = np.zeros((7, fit.n_classes))
    heads[:, 0] = 1.0
    if not one_logit:
        heads[:, 1] = -1.0
    a_little_less = np.ones(40)
    a_little_less[3] -= 1e-4
    fall = (fitted_anew(case, fit, np.ones(40)) - fitted_anew(case, fit, a_little_less)) @ heads[0] / 1e-4
    direct = RemovalEffects.of_surrogate(fit, case.kernel, case.labels).of(case.rows, heads)
    np.testing.assert_allclose(direct[:, 3], fall, rtol=1e-2, atol=1e-5)
    one_by_one = RemovalEffects.of_surrogate(fit, case.kernel, case.labels, few=True).of(case.rows, heads)
    np.testing.assert_allclose(one_by_one, direct, atol=1e-4 * np.abs(direct).max())


def test_without_points_it_is_fitted_to_the_other_labels_and_all_answers():
    case = make_case(8, n=40)
    fit = distil(case, 0.6, tol=1e-10)
    counts = np.ones(40)
    counts[5:9] = 0.0
    refit = KlrRefit(fit, case.kernel, case.labels).refit(counts, case.labels, steps=12)
    wanted, got = fitted_anew(case, fit, counts), refit.scores(case.rows)
    np.testing.assert_allclose(got - got.mean(axis=1, keepdims=True), wanted, atol=1e-5 * np.abs(wanted).max())


def test_a_whole_step_without_a_point_is_that_of_the_refit():
    case = make_case(11, n=40)
    fit = distil(case, 0.6, tol=1e-10)
    counts = np.ones(40)
    counts[3] = 0.0
    heads = np.tile([1.0, -1.0, 0.0], (7, 1))
    refit = KlrRefit(fit, case.kernel, case.labels).refit(counts, case.labels, steps=1)
    fall = ((fit.decision_function(case.rows) - refit.scores(case.rows)) * heads).sum(axis=1)
    effects = RemovalEffects.of_surrogate(fit, case.kernel, case.labels, leave_one_out=True).of(case.rows, heads)
    np.testing.assert_allclose(effects[:, 3], fall, rtol=1e-4, atol=1e-5)


def test_a_class_that_is_gone_leaves_a_fit_that_still_answers():
    case = make_case(9, n=40)
    fit = distil(case, 0.6)
    counts = (case.labels != 2).astype(float)
    refit = KlrRefit(fit, case.kernel, case.labels).refit(counts, case.labels)
    assert np.isfinite(refit.scores(case.rows)).all()
    assert (refit.scores(case.rows).argmax(axis=1) != 2).all()
    assert refit.left < 0.02
