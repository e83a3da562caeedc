"""Paired differences of imitation, and the Pareto front."""

import numpy as np
import pytest

from ntkviz.fidelity.fidelity import fidelity
from ntkviz.fidelity.front import dominated_by
from ntkviz.fidelity.paired import MEASURES, drawn, gap

RNG = np.random.default_rng(0)
NETWORK = RNG.normal(size=(80, 3)) * 2
LABELS = RNG.integers(0, 3, size=80)
NEAR, FAR = NETWORK + RNG.normal(size=NETWORK.shape) * 0.5, NETWORK + RNG.normal(size=NETWORK.shape) * 3


@pytest.mark.parametrize("name", MEASURES)
def test_values_and_intervals_are_those_of_a_study(name):
    found = drawn(name, NETWORK, NEAR, LABELS, n_draws=200, seed=4)
    study = fidelity(NETWORK, NEAR, LABELS, n_bootstrap=200, seed=4)
    assert found.value == pytest.approx(getattr(study, name))
    assert found.ends == pytest.approx(study.intervals[name])


@pytest.mark.parametrize("name", MEASURES)
def test_a_gap_is_the_difference_draw_by_draw(name):
    first, second = (drawn(name, NETWORK, one, LABELS) for one in (NEAR, FAR))
    found = gap(first, second)
    assert found.value == pytest.approx(first.value - second.value)
    assert found.low <= found.value <= found.high
    assert found.clear
    turned = gap(second, first)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_a_measure_differs_from_itself_by_nothing_however_wide_its_interval():
    one = drawn("kendall_tau", NETWORK, NEAR, LABELS)
    assert one.ends[1] - one.ends[0] > 0.05
    found = gap(one, one)
    assert (found.value, found.low, found.high, found.clear) == (0, 0, 0, False)


def test_pairing_is_narrower_than_two_independent_intervals():
    close = NEAR + RNG.normal(size=NEAR.shape) * 0.1
    first, second = (drawn("kendall_tau", NETWORK, one, LABELS) for one in (NEAR, close))
    found = gap(first, second)
    assert found.high - found.low < 0.6 * (first.ends[1] - first.ends[0])


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(ValueError, match="same resamples"):
        gap(drawn("agreement", NETWORK, NEAR, LABELS, n_draws=10), drawn("agreement", NETWORK, NEAR, LABELS, n_draws=20))
    with pytest.raises(ValueError, match="one of kendall_tau"):
        drawn("lds", NETWORK, NEAR, LABELS)
    with pytest.raises(ValueError, match="expected the same"):
        drawn("agreement", NETWORK, NEAR[:, :2], LABELS)


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_that_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    cost, value = rng.integers(1, 6, size=12).astype(float), rng.integers(0, 6, size=12).astype(float)
    value[rng.random(12) < 0.15] = np.nan
    by = dominated_by(cost, value)
    for k in range(12):
        better = [
            j for j in range(12) if cost[j] <= cost[k] and value[j] >= value[k] and (cost[j] < cost[k] or value[j] > value[k])
        ]
        if np.isnan(value[k]):
            assert by[k] == -2
        elif not better:
            assert by[k] == -1
        else:
            assert by[k] in better
            assert by[by[k]] != -2


def test_costs_and_values_go_together():
    with pytest.raises(ValueError, match="one cost and one value"):
        dominated_by(np.ones(3), np.ones(2))
