"""The parts: log-odds, tau-b and its resamples, ratios, correlations, the chance of shared errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp
from scipy.stats import kendalltau

from ntkviz.fidelity import kendall
from ntkviz.fidelity.bootstrap import correlation, interval, ratio, resample_counts
from ntkviz.fidelity.misses import coincidence_p_value
from ntkviz.scores import log_odds, scores_of

#: Few distinct values, so that ties of every kind occur.
tied = st.integers(2, 25).flatmap(lambda n: st.tuples(*[arrays(np.int64, n, elements=st.integers(0, 5)) for _ in range(2)]))


def scipys_tau(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.asarray(kendalltau(x, y))[0])


@given(pair=tied)
def test_tau_is_scipys(pair: tuple[np.ndarray, np.ndarray]):
    x, y = pair
    got, _ = kendall.kendall_taus(x, y, np.empty((0, len(x))))
    np.testing.assert_allclose(got, scipys_tau(x, y), atol=1e-12)


@given(pair=tied, seed=st.integers(0, 100))
def test_resampled_tau_is_tau_of_the_resample_written_out(pair: tuple[np.ndarray, np.ndarray], seed: int):
    x, y = pair
    counts = resample_counts(len(x), 5, seed)
    _, taus = kendall.kendall_taus(x, y, counts)
    for tau, row in zip(taus, counts.astype(int), strict=True):
        np.testing.assert_allclose(tau, scipys_tau(np.repeat(x, row), np.repeat(y, row)), atol=1e-6)


def test_linear_part_of_the_resampled_tau_is_close_and_its_value_exact(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(800)
    y = x + rng.standard_normal(800)
    counts = resample_counts(800, 200, 1)
    exact, exact_taus = kendall.kendall_taus(x, y, counts)
    monkeypatch.setattr(kendall, "EXACT_UP_TO", 10)
    linear, linear_taus = kendall.kendall_taus(x, y, counts)
    assert linear == exact == pytest.approx(scipys_tau(x, y), abs=1e-12)
    np.testing.assert_allclose(interval(linear_taus), interval(exact_taus), atol=0.003)
    assert np.corrcoef(linear_taus, exact_taus)[0, 1] > 0.99


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(1)
    x, y, counts = rng.standard_normal(50), rng.standard_normal(50), resample_counts(50, 4, 0)
    whole = kendall.kendall_taus(x, y, counts)[1]
    monkeypatch.setattr(kendall, "_BLOCK", 7)
    np.testing.assert_array_equal(kendall.kendall_taus(x, y, counts)[1], whole)


@given(
    logits=arrays(np.float64, (4, 3), elements=st.floats(-20, 20)), shift=arrays(np.float64, (4, 1), elements=st.floats(-50, 50))
)
def test_log_odds_are_their_definition_and_ignore_a_shift_of_all_classes(logits: np.ndarray, shift: np.ndarray):
    wanted = np.array([[row[c] - logsumexp(np.delete(row, c)) for c in range(3)] for row in logits])
    np.testing.assert_allclose(log_odds(logits), wanted, atol=1e-9)
    np.testing.assert_allclose(log_odds(logits + shift), wanted, atol=1e-9)


def test_log_odds_keep_an_order_that_float32_probabilities_lose():
    logits = np.array([[40.0, 0.0, -1.0], [60.0, 0.0, -1.0], [300.0, 0.0, -1.0]], dtype=np.float32)
    odds = scores_of(logits).log_odds[:, 0]
    assert (np.diff(odds) > 1).all()
    chances = np.exp(scores_of(logits).log_probability[:, 0]).astype(np.float32)
    assert (chances == 1).all()


def test_one_logit_is_two_classes():
    scores = scores_of(np.array([[2.0], [-3.0], [0.0]]))
    np.testing.assert_allclose(scores.log_odds, [[-2, 2], [3, -3], [0, 0]])
    assert scores.predicted.tolist() == [1, 0, 0]
    np.testing.assert_allclose(np.exp(scores.log_probability).sum(axis=1), 1)


def test_resamples_draw_as_many_points_as_there_are_and_repeat_with_the_seed():
    counts = resample_counts(37, 11, 5)
    assert counts.shape == (11, 37)
    assert (counts.sum(axis=1) == 37).all()
    assert (counts == resample_counts(37, 11, 5)).all()
    assert (counts != resample_counts(37, 11, 6)).any()


@given(seed=st.integers(0, 1000))
def test_resampled_ratio_and_correlation_are_those_of_the_resample_written_out(seed: int):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal(20) + 1e6, rng.standard_normal(20)
    counts = resample_counts(20, 4, seed)
    value, ratios = ratio(counts, y, np.abs(y))
    assert value == pytest.approx(y.sum() / np.abs(y).sum())
    r, correlations = correlation(counts, x, y)
    assert r == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-7)
    for place, row in enumerate(counts.astype(int)):
        a, b = np.repeat(x, row), np.repeat(y, row)
        assert ratios[place] == pytest.approx(b.sum() / np.abs(b).sum())
        assert correlations[place] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-6)


def test_interval_needs_half_of_the_resamples():
    assert np.isnan(interval(np.array([0.1, np.nan, np.nan]))).all()
    assert np.isnan(interval(np.empty(0))).all()
    low, high = interval(np.append(np.linspace(0, 1, 101), np.nan))
    assert (low, high) == pytest.approx((0.025, 0.975))


@pytest.mark.parametrize(("w", "v", "shared"), [(30, 20, 3), (30, 20, 15), (5, 5, 0), (40, 40, 16)])
def test_chance_of_shared_errors_is_that_of_independent_classifiers(w: int, v: int, shared: int):
    n = 100
    network = np.arange(n) < w
    surrogate = np.zeros(n, dtype=bool)
    surrogate[w - shared : w - shared + v] = True
    assert (network & surrogate).sum() == shared
    drawn = np.random.default_rng(0).random((20_000, n)) < w * v / n**2
    assert coincidence_p_value(network, surrogate) == pytest.approx((drawn.sum(axis=1) >= shared).mean(), abs=0.012)


def test_chance_of_shared_errors_is_uniform_or_larger_under_independence():
    rng = np.random.default_rng(2)
    values = [coincidence_p_value(rng.random(300) < 0.2, rng.random(300) < 0.2) for _ in range(400)]
    assert np.mean(np.array(values) <= 0.05) <= 0.07
    assert np.isnan(coincidence_p_value(np.zeros(5, dtype=bool), np.ones(5, dtype=bool)))
