"""Behaviours: totals add up, only particular groups stand out, thin regions are found; predicted changes are calibrated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkviz.explain.behaviour import carriers, top_carriers
from ntkviz.explain.calibration import calibrate
from ntkviz.explain.regions import cluster_names, coverage, kernel_clusters, regions

few = settings(max_examples=20, deadline=None)
M, N, G = 60, 40, 4


def drawn(seed: int):
    """Effects without any pattern, groups and classes."""
    rng = np.random.default_rng(seed)
    members = np.zeros(M, dtype=bool)
    members[rng.permutation(M)[:9]] = True
    return rng.standard_normal((M, N)), members, np.arange(M) % 3, np.arange(N) % G


@few
@given(seed=st.integers(0, 1000))
def test_totals_over_all_groups_are_the_mean_of_the_summed_effects(seed: int):
    effects, members, strata, groups = drawn(seed)
    found = carriers(effects, members, strata, groups, list("abcd"), n_draws=50)
    assert found.totals.sum() == pytest.approx(effects[members].sum(axis=1).mean())
    assert found.sizes.sum() == N
    one = carriers(effects, members, strata, np.zeros(N, dtype=int), ["all"], n_draws=50)
    assert one.totals[0] == pytest.approx(found.totals.sum())
    assert (found.low <= found.typical + 1e-12).all()
    assert (found.typical <= found.high + 1e-12).all()


@few
@given(seed=st.integers(0, 1000))
def test_the_typical_total_is_that_of_the_classes_in_the_behaviours_own_mix(seed: int):
    effects, members, strata, groups = drawn(seed)
    found = carriers(effects, members, strata, groups, list("abcd"), n_draws=4000)
    belongs = groups[:, None] == np.arange(G)
    expected = sum((strata[members] == c).mean() * (effects[strata == c] @ belongs).mean(axis=0) for c in range(3))
    spread = (effects @ belongs).std() / np.sqrt(members.sum())
    np.testing.assert_allclose(found.typical, expected, atol=5 * spread / np.sqrt(4000) * 2)


def test_a_group_that_carries_the_behaviour_stands_out_and_others_do_not():
    effects, members, strata, groups = drawn(0)
    effects[np.ix_(members, groups == 2)] += 1.5
    found = carriers(effects, members, strata, groups, list("abcd"))
    assert found.order[0] == 2
    assert found.excess[2] > 0
    assert found.p_values[2] < 0.01
    assert found.totals[2] > found.high[2]
    assert (np.delete(found.p_values, 2) > 0.05).all()


def test_without_a_pattern_few_groups_are_called_particular():
    called = sum(
        bool((carriers(*drawn(seed)[:3], drawn(seed)[3], list("abcd"), n_draws=400).p_values <= 0.05).any()) for seed in range(60)
    )
    assert called <= 10  # 5 % of 60 are 3; ten or more come about once in a thousand times


def test_a_difference_between_classes_is_no_finding():
    """Group 1 carries class 0 at large; the behaviour is a random part of class 0."""
    effects, _, strata, groups = drawn(3)
    effects[np.ix_(strata == 0, groups == 1)] += 5.0
    members = np.zeros(M, dtype=bool)
    members[np.flatnonzero(strata == 0)[::3]] = True
    found = carriers(effects, members, strata, groups, list("abcd"))
    assert found.totals[1] > 20
    assert found.p_values[1] > 0.05


def test_a_behaviour_that_is_its_whole_class_cannot_be_tested_and_says_so():
    effects, _, strata, groups = drawn(1)
    found = carriers(effects, strata == 1, strata, groups, list("abcd"))
    assert np.isnan(found.p_values).all()
    np.testing.assert_allclose(found.totals, found.typical)
    assert any("no other set" in note for note in found.notes)


def test_points_of_no_group_count_nowhere():
    effects, members, strata, groups = drawn(2)
    groups = np.where(groups == 3, -1, groups)
    found = carriers(effects, members, strata, groups, list("abc"), n_draws=20)
    assert found.sizes.sum() == N - 10
    assert found.totals.sum() == pytest.approx(effects[members][:, groups >= 0].sum(axis=1).mean())


def test_top_carriers_are_the_largest_means_with_their_typical_effect():
    effects, members, strata, _ = drawn(4)
    mean = effects[members].mean(axis=0)
    top, against = top_carriers(effects, members, strata, k=5), top_carriers(effects, members, strata, k=5, opposing=True)
    np.testing.assert_array_equal(top.indices, np.argsort(-mean)[:5])
    np.testing.assert_array_equal(against.indices, np.argsort(mean)[:5])
    assert (top.effects > 0).all()
    assert (against.effects < 0).all()
    point = top.indices[0]
    expected = sum((strata[members] == c).mean() * effects[strata == c, point].mean() for c in range(3))
    assert top.typical[0] == pytest.approx(expected)
    assert top.reached[0] == (effects[members, point] > 0).sum()
    assert against.reached[0] == (effects[members, against.indices[0]] < 0).sum()
    only = top_carriers(np.abs(effects), members, strata, opposing=True)
    assert not len(only.indices)


def blobs(seed: int = 0):
    """Three far clusters of training points, the second with two classes; a test point beside each, and one far from its class."""
    rng = np.random.default_rng(seed)
    centres = 10 * np.eye(3)
    train = np.vstack([centre + 0.3 * rng.standard_normal((12, 3)) for centre in centres])
    y_train = np.repeat([0, 1, 2], 12)
    test = np.vstack([np.repeat(centres, 6, axis=0) + 0.3 * rng.standard_normal((18, 3)), centres[[1]]])
    y_test = np.append(np.repeat([0, 1, 2], 6), 0)
    return train @ train.T, test @ train.T, y_train, y_test


def test_clusters_are_those_of_the_kernel():
    kernel, _, y_train, _ = blobs()
    clusters = kernel_clusters(kernel, n_clusters=3)
    assert len(np.unique(clusters * 3 + y_train)) == 3
    np.testing.assert_array_equal(clusters, kernel_clusters(kernel, n_clusters=3))
    names = cluster_names(clusters, y_train, ("a", "b", "c"))
    assert sorted(name.split("(")[1] for name in names) == ["100 % a)", "100 % b)", "100 % c)"]
    assert kernel_clusters(kernel, n_clusters=1).max() == 0
    assert kernel_clusters(kernel[:2, :2], n_clusters=12).max() <= 1


def test_a_point_far_from_its_class_is_under_represented_and_its_region_named():
    kernel, rows, y_train, y_test = blobs()
    found = coverage(rows, y_train, y_test, k=5)
    assert found.low[-1]
    assert found.rank[-1] == 0
    assert found.own_share[-1] == 0
    assert (found.own_share[:-1] == 1).all()
    assert found.low.sum() == 3  # the lowest of each class: with seven points a tenth is none but the last
    members = np.zeros(19, dtype=bool)
    members[-1] = True
    clusters = kernel_clusters(kernel, n_clusters=3)
    names = cluster_names(clusters, y_train, ("a", "b", "c"))
    where = regions(rows, clusters, names, members, found, y_train=y_train, y_test=y_test)
    home = int(clusters[12])
    assert where.n_points[home] == where.n_low[home] == 1
    assert where.n_own[home] == 0
    assert where.n_train.sum() == 36
    assert where.share[home] == 1
    assert where.share_rest[home] == 0
    assert where.low_share == 1
    assert where.low_share_rest == 0


def test_a_class_without_training_points_has_no_mass():
    _, rows, y_train, y_test = blobs()
    found = coverage(rows, y_train, np.append(y_test[:-1], 7), k=5)
    assert np.isnan(found.mass[-1])
    assert found.low[-1]


@few
@given(seed=st.integers(0, 1000), slope=st.floats(-3, 3), intercept=st.floats(-2, 2))
def test_a_perfect_line_is_found(seed: int, slope: float, intercept: float):
    x = np.random.default_rng(seed).standard_normal(40)
    found = calibrate(x, intercept + slope * x, n_bootstrap=50)
    assert found.slope.value == pytest.approx(slope, abs=1e-9)
    assert found.intercept.value == pytest.approx(intercept, abs=1e-9)
    if abs(slope) > 1e-3:
        assert found.correlation.value == pytest.approx(np.sign(slope))
        assert found.slope.low == pytest.approx(slope, abs=1e-6)


def test_calibration_is_that_of_numpy_and_its_interval_covers():
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(80)
        y = 0.8 * x + rng.standard_normal(80)
        found = calibrate(x, y, n_bootstrap=300, seed=seed)
        assert (found.slope.value, found.intercept.value) == pytest.approx(np.polyfit(x, y, 1))
        assert found.correlation.value == pytest.approx(np.corrcoef(x, y)[0, 1])
        assert found.error == pytest.approx(np.sqrt(np.mean((y - x) ** 2)))
        covered += found.slope.low <= 0.8 <= found.slope.high
    assert covered >= 50


def test_changes_of_one_retraining_stand_or_fall_together():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.standard_normal(12), 50)
    y = x + np.repeat(rng.standard_normal(12), 50)  # the noise is the retraining's, not the point's
    groups = np.repeat(np.arange(12), 50)
    single, grouped = calibrate(x, y), calibrate(x, y, groups=groups)
    assert grouped.slope.value == pytest.approx(single.slope.value)
    assert grouped.slope.high - grouped.slope.low > 3 * (single.slope.high - single.slope.low)
    assert (grouped.n_changes, grouped.n_groups) == (600, 12)
    alone = calibrate(x, y, groups=np.zeros(600, dtype=int))
    assert np.isnan(alone.slope.low)
    assert any("one retraining" in note for note in alone.notes)
    flat = calibrate(np.zeros(10), rng.standard_normal(10))
    assert np.isnan(flat.slope.value)
    assert any("do not vary" in note for note in flat.notes)


def test_unusable_input_is_refused_in_words():
    effects, members, strata, groups = drawn(0)
    kernel, rows, y_train, y_test = blobs()
    for call, told in (
        (lambda: carriers(effects[0], members, strata, groups, "abcd"), r"\[M, N\]"),
        (lambda: carriers(effects * np.nan, members, strata, groups, "abcd"), "not finite"),
        (lambda: carriers(effects, members[1:], strata, groups, "abcd"), "truth values"),
        (lambda: carriers(effects, members & False, strata, groups, "abcd"), "choose some"),
        (lambda: carriers(effects, members, strata, groups[1:], "abcd"), "40 whole numbers"),
        (lambda: carriers(effects, members, strata, groups, "abc"), "expected -1"),
        (lambda: top_carriers(effects, members, strata, k=0), "above 0"),
        (lambda: kernel_clusters(kernel[1:]), r"\[N, N\]"),
        (lambda: kernel_clusters(kernel, n_clusters=0), "above 0"),
        (lambda: coverage(rows.T, y_train, y_test), "test points against"),
        (lambda: calibrate(np.ones(3), np.ones(4)), "as many"),
        (lambda: calibrate(np.ones(3), np.array([1, 2, np.inf])), "finite"),
        (lambda: calibrate(np.ones(3), np.ones(3), groups=np.ones(2)), "expected 3"),
    ):
        with pytest.raises(ValueError, match=told):
            call()
