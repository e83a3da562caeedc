"""Laws of ``fidelity`` as a whole, its result, its registry and its baselines."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from ntkviz.fidelity.baselines import null_baselines
from ntkviz.fidelity.fidelity import Fidelity, fidelity
from ntkviz.fidelity.registry import metrics
from tests.fidelity.test_measures import scipys_tau

few = settings(max_examples=15, deadline=None)
RATES = ("agreement", "r_miss", "r_miss_jaccard", "r_miss_p_value", "r_squared", "accuracy_network", "accuracy_surrogate")
SIGNED = ("tad", "kendall_tau", "tau_predicted", "tau_errors", "pearson", "pearson_probability")


def world(
    seed: int, *, m: int = 60, c: int = 4, noise: float = 1.0, wrong: float = 0.3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A network's logits, a surrogate's, and labels that the network gets wrong now and then."""
    rng = np.random.default_rng(seed)
    network = 3 * rng.standard_normal((m, c))
    labels = np.where(rng.random(m) < wrong, rng.integers(0, c, m), network.argmax(axis=1))
    return network, 0.5 * network + noise * rng.standard_normal((m, c)), labels


def figures(found: Fidelity) -> dict[str, float]:
    return {key: getattr(found, key) for key in metrics()}


@few
@given(seed=st.integers(0, 1000), c=st.integers(2, 5), noise=st.floats(0, 50))
def test_every_measure_keeps_its_range(seed: int, c: int, noise: float):
    found = fidelity(*world(seed, c=c, noise=noise), n_bootstrap=20)
    for name in RATES:
        assert math.isnan(getattr(found, name)) or 0 <= getattr(found, name) <= 1
    for name in SIGNED:
        assert math.isnan(getattr(found, name)) or -1 <= getattr(found, name) <= 1
    assert found.kl >= 0
    for low, high in found.intervals.values():
        assert math.isnan(low) or low <= high
    assert found.confusion.sum() == found.n_points == 60
    assert np.trace(found.confusion) / 60 == pytest.approx(found.agreement)


@few
@given(seed=st.integers(0, 1000), c=st.integers(1, 5))
def test_a_network_is_perfectly_faithful_to_itself(seed: int, c: int):
    network, _, labels = world(seed, c=max(c, 2))
    network, labels = network[:, :c], labels if c > 1 else labels % 2
    found = fidelity(network, network, labels, n_bootstrap=20)
    assert found.tad == 0
    assert found.agreement == found.kendall_tau == found.tau_predicted == 1
    assert found.r_squared == pytest.approx(1)
    assert found.pearson == pytest.approx(1)
    assert found.kl == pytest.approx(0, abs=1e-12)
    assert found.link_slope == pytest.approx(1)
    assert found.link_intercept == pytest.approx(0, abs=1e-9)
    assert found.r_miss == found.r_miss_jaccard == 1
    assert found.intervals["kendall_tau"] == (1, 1)
    assert all(entry.tau == 1 for entry in found.per_class)


@few
@given(seed=st.integers(0, 1000), shift=st.floats(-100, 100))
def test_a_shift_of_all_logits_of_a_point_changes_nothing(seed: int, shift: float):
    network, surrogate, labels = world(seed)
    moved = surrogate + shift * np.random.default_rng(seed).random((60, 1))
    one, two = fidelity(network, surrogate, labels, n_bootstrap=0), fidelity(network, moved, labels, n_bootstrap=0)
    for name, value in figures(one).items():
        assert getattr(two, name) == pytest.approx(value, abs=1e-7, nan_ok=True)


@few
@given(seed=st.integers(0, 1000), factor=st.floats(0.01, 100))
def test_an_odd_increasing_map_of_one_logit_changes_no_rank(seed: int, factor: float):
    network, surrogate, labels = world(seed, c=2)
    network, surrogate = network[:, :1], surrogate[:, :1]
    one = fidelity(network, surrogate, labels, n_bootstrap=0)
    two = fidelity(network, np.arcsinh(factor * surrogate), labels, n_bootstrap=0)
    for name in ("kendall_tau", "tau_predicted", "tau_errors", "agreement", "tad", "r_miss"):
        assert getattr(two, name) == pytest.approx(getattr(one, name), abs=1e-12, nan_ok=True)


@few
@given(seed=st.integers(0, 1000))
def test_one_logit_reads_like_two_of_opposite_sign(seed: int):
    network, surrogate, labels = world(seed, c=2)
    one = fidelity(network[:, :1], surrogate[:, :1], labels, n_bootstrap=10)
    two = fidelity(network[:, :1] * [-0.5, 0.5], surrogate[:, :1] * [-0.5, 0.5], labels, n_bootstrap=10)
    for name, value in figures(one).items():
        assert getattr(two, name) == pytest.approx(value, abs=1e-9, nan_ok=True)
    assert one.n_classes == two.n_classes == len(one.per_class) == 2
    assert (one.confusion == two.confusion).all()


@few
@given(seed=st.integers(0, 1000))
def test_order_of_the_points_changes_nothing(seed: int):
    network, surrogate, labels = world(seed)
    places = np.random.default_rng(seed).permutation(60)
    one, two = fidelity(network, surrogate, labels), fidelity(network[places], surrogate[places], labels[places])
    for name, value in figures(one).items():
        assert getattr(two, name) == pytest.approx(value, abs=1e-9, nan_ok=True)


@few
@given(seed=st.integers(0, 1000))
def test_measures_are_their_definitions(seed: int):
    network, surrogate, y = world(seed)
    found = fidelity(network, surrogate, y, n_bootstrap=0)
    at = np.arange(60), y
    p, q = softmax(network, axis=1), softmax(surrogate, axis=1)
    wrong_n, wrong_s = network.argmax(axis=1) != y, surrogate.argmax(axis=1) != y
    assert found.tad == pytest.approx(wrong_n.mean() - wrong_s.mean())
    assert found.kendall_tau == pytest.approx(scipys_tau(p[at], q[at]))  # no ties at this size: the paper's own formula
    assert found.tau_errors == pytest.approx(scipys_tau(p[at][wrong_n], q[at][wrong_n]))
    predicted = np.arange(60), network.argmax(axis=1)
    assert found.tau_predicted == pytest.approx(scipys_tau(p[predicted], q[predicted]))
    assert found.r_miss == pytest.approx((wrong_n & wrong_s).sum() / wrong_n.sum())
    assert found.r_miss_jaccard == pytest.approx((wrong_n & wrong_s).sum() / (wrong_n | wrong_s).sum())
    assert found.kl == pytest.approx((p * np.log(p / q)).sum(axis=1).mean())
    assert found.pearson_probability == pytest.approx(np.corrcoef(p[at], q[at])[0, 1])
    x, z = (np.log(chance / (1 - chance)) for chance in (p[at], q[at]))
    slope, offset = np.polyfit(z, x, 1)
    assert (found.link_slope, found.link_intercept) == pytest.approx((slope, offset), abs=1e-6)
    assert found.r_squared == pytest.approx(1 - ((x - slope * z - offset) ** 2).sum() / ((x - x.mean()) ** 2).sum(), abs=1e-9)
    for entry in found.per_class:
        own = y == entry.label
        assert entry.n_points == own.sum()
        assert entry.tau == pytest.approx(scipys_tau(p[:, entry.label], q[:, entry.label]))
        assert entry.accuracy_network == pytest.approx((~wrong_n[own]).mean())
        assert entry.agreement == pytest.approx((network.argmax(axis=1) == surrogate.argmax(axis=1))[own].mean())


def test_r_squared_forgives_an_affine_link_and_not_a_reversal():
    rng = np.random.default_rng(0)
    odds, labels = rng.standard_normal((50, 1)), np.ones(50, dtype=int)
    assert fidelity(3 * odds - 1, odds, labels).r_squared == pytest.approx(1)
    reversed_ = fidelity(-odds, odds, labels)
    assert reversed_.r_squared == reversed_.link_slope == 0
    assert reversed_.pearson == pytest.approx(-1)
    assert reversed_.kendall_tau == -1


def test_a_surrogate_of_shuffled_points_is_found_out():
    network, surrogate, labels = world(1, m=600, noise=0.2)
    honest, shuffled = (
        fidelity(network, scores, labels) for scores in (surrogate, surrogate[np.random.default_rng(0).permutation(600)])
    )
    assert honest.kendall_tau > 0.8
    assert honest.r_miss_p_value < 1e-6
    assert abs(shuffled.kendall_tau) < 0.1
    assert shuffled.intervals["kendall_tau"][0] < 0 < shuffled.intervals["kendall_tau"][1] + 0.1
    assert shuffled.r_miss_p_value > 0.01


def test_extremes_hold_up_pearson_on_probabilities_where_tau_falls():
    # Two groups far apart, each in random order: the reason why the paper rejects Pearson.
    rng = np.random.default_rng(0)
    group = np.repeat([-8.0, 8.0], 200)
    found = fidelity(
        (group + rng.standard_normal(400))[:, None], (group + rng.standard_normal(400))[:, None], np.ones(400, dtype=int)
    )
    assert found.pearson_probability > 0.99
    assert found.kendall_tau < 0.6


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    network, surrogate, labels = world(10_000, m=4000, c=2)
    truth = fidelity(network, surrogate, labels, n_bootstrap=0)
    held = {"agreement": 0, "kendall_tau": 0}
    for trial in range(100):
        found = fidelity(*world(trial, m=150, c=2), n_bootstrap=100, seed=trial)
        for name in held:
            low, high = found.intervals[name]
            held[name] += low <= getattr(truth, name) <= high
    assert all(85 <= times <= 100 for times in held.values())


def test_constant_scores_give_a_reason_and_no_number():
    network, _, labels = world(2)
    found = fidelity(network, np.zeros_like(network), labels)
    assert math.isnan(found.kendall_tau)
    assert "surrogate's log-odds are equal on all 60 points" in found.reasons["kendall_tau"]
    assert math.isnan(found.r_squared)
    assert found.reasons["r_squared"]
    assert "undefined" in found.reading()
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_network_without_errors_gives_a_reason_and_no_number():
    network, surrogate, _ = world(3)
    found = fidelity(network, surrogate, network.argmax(axis=1))
    for name in ("r_miss", "r_miss_p_value", "tau_errors"):
        assert math.isnan(getattr(found, name))
        assert "no errors" in found.reasons[name]
    assert found.counts["r_miss"] == 0
    assert "made no error" in found.reading()
    perfect = fidelity(network, network, network.argmax(axis=1))
    assert "neither" in perfect.reasons["r_miss_jaccard"]


def test_one_point_gives_no_rank_and_no_crash():
    found = fidelity(np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]]), np.array([1]))
    assert math.isnan(found.kendall_tau)
    assert "two points" in found.reasons["kendall_tau"]
    assert found.agreement == 1


def test_every_nan_has_a_reason_and_every_measure_its_points():
    network, surrogate, _ = world(4)
    found = fidelity(network, surrogate, np.zeros(60, dtype=int))
    for name, value in figures(found).items():
        assert name in found.counts
        assert math.isfinite(value) or found.reasons[name]
        assert not (math.isfinite(value) and name in found.reasons)
    for entry in found.per_class:
        for name in ("tad", "agreement", "r_miss", "tau", "tau_within"):
            assert math.isfinite(getattr(entry, name)) or entry.reasons[name]
    assert found.per_class[1].reasons["agreement"] == "no test point has class 1"


def test_result_is_json_and_the_seed_repeats_it():
    network, surrogate, labels = world(5)
    one, two, other = (fidelity(network, surrogate, labels, seed=seed) for seed in (1, 1, 2))
    assert json.dumps(one.to_dict(), allow_nan=False) == json.dumps(two.to_dict(), allow_nan=False)
    assert one.intervals != other.intervals
    told = one.to_dict()
    assert told["kendall_tau"] == one.kendall_tau
    assert isinstance(told["confusion"], list)
    assert isinstance(told["per_class"], list)


def test_reading_says_what_it_found_and_what_it_did_not_ask():
    network, surrogate, labels = world(6, noise=0.05)
    told = fidelity(network, surrogate, labels).reading()
    assert told.endswith(".")
    assert "almost exactly as" in told
    assert "60 test points" in told
    assert "not whether removing training points" in told


@pytest.mark.parametrize(
    ("network", "surrogate", "labels", "options", "told"),
    [
        (np.zeros((3, 2)), np.zeros((3, 3)), [0, 1, 0], {}, "same"),
        (np.zeros(3), np.zeros(3), [0, 1, 0], {}, "M, C"),
        (np.zeros((0, 2)), np.zeros((0, 2)), [], {}, "M, C"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), [0, 1, 0], {}, "6 of the network's logits are not finite"),
        (np.zeros((3, 2)), np.zeros((3, 2)), [0, 1, 2], {}, "expected 0 to 1"),
        (np.zeros((3, 1)), np.zeros((3, 1)), [0, 1, 2], {}, "expected 0 to 1"),
        (np.zeros((3, 2)), np.zeros((3, 2)), [0, 1], {}, "2 labels for 3 points"),
        (np.zeros((3, 2)), np.zeros((3, 2)), [0.0, 1.0, 0.0], {}, "whole numbers"),
        (np.zeros((3, 2)), np.zeros((3, 2)), [0, 1, 0], {"n_bootstrap": -1}, "n_bootstrap"),
    ],
)
def test_unusable_input_is_refused_in_words(network, surrogate, labels, options: dict, told: str):
    with pytest.raises(ValueError, match=told):
        fidelity(network, surrogate, np.asarray(labels), **options)


def test_registry_has_a_full_row_for_each_measure():
    for key, info in metrics().items():
        assert info.key == key
        assert key in Fidelity.__dataclass_fields__
        assert all(len(text) > 4 for text in (info.title, info.formula, info.range, info.good, info.caveat, info.source))
    assert {"tad", "kendall_tau", "agreement", "r_miss", "r_squared"} <= set(metrics())


def test_baselines_say_what_labels_alone_earn():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    sure = np.array([1.0, 3.0, 9.0])[labels]  # the network is surer of some classes than of others
    network = rng.standard_normal((100, 3))
    network[np.arange(100), labels] += sure
    prior, true, mean = null_baselines(network, labels)
    assert (prior.key, true.key, mean.key) == ("class_prior", "true_label", "class_mean")
    assert prior.agreement == pytest.approx((network.argmax(axis=1) == 0).mean())
    assert true.agreement == pytest.approx((network.argmax(axis=1) == labels).mean())
    assert math.isnan(true.kendall_tau)
    assert true.reason
    assert mean.kendall_tau > 0.4  # without any look at an input
    assert prior.kendall_tau < 0  # the frequent class is the one it is least sure of


def test_baselines_serve_one_logit_and_take_frequencies_from_training():
    odds = np.random.default_rng(1).standard_normal((40, 1))
    rows = null_baselines(odds, (odds[:, 0] > 0).astype(int), train_labels=np.ones(10, dtype=int))
    assert rows[0].agreement == pytest.approx((odds > 0).mean())
    assert rows[1].agreement == 1
    assert expit(0) == 0.5
    with pytest.raises(ValueError, match="empty"):
        null_baselines(odds, np.zeros(40, dtype=int), train_labels=np.empty(0, dtype=int))
