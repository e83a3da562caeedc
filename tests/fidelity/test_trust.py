"""The trust badge: it finds planted error without labels, is judged on points that did not teach it, and says why."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from ntkviz.fidelity.evidence import PARTS, conditioning, evidence, fit_link, held_out_gap, observe, strength
from ntkviz.fidelity.trust import AVOID, MIN_POINTS, TRUST, VERDICTS, calibrate, reliability, trust

N, M, C, P = 60, 300, 3, 6


def world(n_points: int = M, *, seed: int = 0, copies: bool = True) -> dict[str, Any]:
    """Points on a line; the surrogate follows the network on the left and is wild on the right."""
    draw = np.random.default_rng(seed)
    place = draw.uniform(size=n_points)
    wild = 0.1 + 3 * expit(20 * (place - 0.7))
    train = np.linspace(0, 1, N)
    logits = draw.normal(size=(n_points, C)) * 3
    shift = wild[:, None] * draw.normal(size=(n_points, C))
    found: dict[str, Any] = {
        "network_logits": logits,
        "surrogate_logits": 0.3 * (logits + shift),
        "rows": np.exp(-20 * (place[:, None] - train) ** 2),
        "kernel": np.exp(-20 * (train[:, None] - train) ** 2),
        "effects": np.exp(-50 * (place[:, None] - train) ** 2) * (1 + place[:, None]),
    }
    if copies:
        near = logits[:, None] + 0.1 * draw.normal(size=(n_points, P, C))
        noisy = near + shift[:, None] + 0.3 * wild[:, None, None] * draw.normal(size=near.shape)
        found["perturbed"] = (near, 0.3 * noisy)
    return {**found, "wild": wild}


def observed(**choices: Any):
    made = world(**choices)
    wild = made.pop("wild")
    return observe(**made), wild


def test_the_badge_finds_where_the_surrogate_is_wild() -> None:
    points, wild = observed()
    found = trust(points, wild, "planted error")
    assert found.calibrated
    assert found.ratio > 3
    assert found.ratio_low > 2
    assert found.ratio_low <= found.ratio <= found.ratio_high
    rows = {row.verdict: row for row in found.reliability}
    assert list(rows) == list(VERDICTS)
    assert sum(row.n_points for row in found.reliability) == M
    assert rows[TRUST].error < rows["caution"].error < rows[AVOID].error
    assert rows[TRUST].n_points > 0.2 * M
    assert rows[TRUST].low <= rows[TRUST].error <= rows[TRUST].high
    assert found.ratio == pytest.approx(rows[AVOID].error / rows[TRUST].error)


def test_an_error_that_has_nothing_to_do_with_the_evidence_gives_a_ratio_of_one() -> None:
    made = {key: value for key, value in world().items() if key != "wild"}
    quiet = observe(**made | {"surrogate_logits": made["network_logits"] * 0.3})
    assert quiet.agrees.all()
    ratios = [trust(quiet, np.random.default_rng(s).uniform(0.5, 1.5, size=M)).ratio for s in range(6)]
    assert np.mean(ratios) == pytest.approx(1, abs=0.15)


def test_where_classes_differ_the_badge_is_do_not_use() -> None:
    points, wild = observed()
    found = trust(points, wild)
    assert (~points.agrees).any()
    assert set(found.verdict[~points.agrees]) == {AVOID}
    assert all("names another class" in found.reasons[m][0] for m in np.flatnonzero(~points.agrees))
    assert not any("names another class" in text for m in np.flatnonzero(points.agrees) for text in found.reasons[m])


def test_each_verdict_comes_from_a_calibration_that_has_not_seen_its_error() -> None:
    points, wild = observed()
    found = trust(points, wild, seed=4)
    half = np.random.default_rng(4).permutation(M)[: M // 2]
    other = wild.copy()
    other[half] = 5 - other[half]  # what the first half taught the second is now another lesson
    changed = trust(points, other, seed=4)
    np.testing.assert_array_equal(found.score[half], changed.score[half])
    rest = np.setdiff1d(np.arange(M), half)
    assert (found.score[rest] != changed.score[rest]).any()


def test_no_evidence_falls_with_error_and_weights_are_not_negative() -> None:
    points, wild = observed()
    found = trust(points, wild)
    assert set(found.parts) == set(PARTS) == set(found.weights)
    assert all(weight >= 0 for weight in found.weights.values())
    made, parts = calibrate(points, wild, np.arange(M))
    worse = {name: values + (name == "gap") for name, values in parts.items()}
    assert (made.score(worse) >= made.score(parts)).all()


def test_labels_are_nowhere_in_what_the_badge_is_made_of() -> None:
    assert not any("label" in field.name for field in dataclasses.fields(observed()[0]))


def test_without_an_error_the_gap_at_what_was_kept_out_is_measured() -> None:
    points, wild = observed()
    name, gap = held_out_gap(points)
    assert "small changes of the input that the badge did not see" in name
    assert np.corrcoef(gap, wild)[0, 1] > 0.4
    found = trust(points)
    assert found.error_name == name
    assert found.ratio > 3
    without, _ = observed(copies=False)
    assert "near test points that the badge did not see" in held_out_gap(without)[0]
    assert not [part for part in trust(without).parts if part.startswith("perturbed")]


def test_evidence_and_error_look_at_different_neighbours_and_copies() -> None:
    points, _ = observed()
    assert points.copies is not None
    link = fit_link(points, np.arange(M))
    base, error = evidence(points, link), held_out_gap(points)[1]
    spoiled = tuple(part.copy() for part in points.copies)
    spoiled[0][:, 1::2] += 50
    changed = dataclasses.replace(points, copies=spoiled)
    for name, values in evidence(changed, link).items():
        np.testing.assert_array_equal(values, base[name])
    assert (held_out_gap(changed)[1] > error + 20).all()


def test_neighbours_are_other_points_that_the_kernel_sees_alike() -> None:
    made = world()
    points, place = observed()[0], made["rows"] @ np.linspace(0, 1, N) / made["rows"].sum(axis=1)
    assert (points.neighbours != np.arange(M)[:, None]).all()
    assert np.abs(place[points.neighbours] - place[:, None]).max() < 0.1
    assert points.neighbours.shape == (M, 20)


def test_the_link_takes_scale_and_shift_of_the_surrogate_away() -> None:
    made = {k: v for k, v in world().items() if k != "wild"}
    link = fit_link(observe(**made), np.arange(M))
    scaled = {**made, "surrogate_logits": made["surrogate_logits"]}
    points = observe(**scaled)
    moved = dataclasses.replace(points, surrogate=5 * points.surrogate - 7, copies=None)
    again = fit_link(moved, np.arange(M))
    assert again.spread == pytest.approx(link.spread)
    np.testing.assert_allclose(again.gap(moved.network, moved.surrogate), link.gap(points.network, points.surrogate), atol=1e-9)


def test_conditioning_is_that_of_the_eigenvalues() -> None:
    made = world()
    kernel, rows = made["kernel"], made["rows"]
    below, few, notes = conditioning(kernel, rows, lam=0.5)
    values, vectors = np.linalg.eigh(kernel)
    shares = (rows @ vectors) ** 2
    np.testing.assert_allclose(below, (shares * 0.5 / (values + 0.5)).sum(axis=1) / shares.sum(axis=1), rtol=1e-8)
    weights = rows @ np.linalg.inv(kernel + 0.5 * np.eye(N))
    np.testing.assert_allclose(few, (weights**2).sum(axis=1) / np.abs(weights).sum(axis=1) ** 2, rtol=1e-8)
    assert notes == ()
    scaled = conditioning(7 * kernel, 7 * rows, lam=0.5)
    np.testing.assert_allclose(scaled[0], below, rtol=1e-8)


def test_conditioning_of_many_points_is_measured_on_some_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    made = world()
    whole, *_ = conditioning(made["kernel"], made["rows"], lam=0.5)
    monkeypatch.setitem(conditioning.__globals__, "CONDITIONING_POINTS", 30)
    part, _, notes = conditioning(made["kernel"], made["rows"], lam=0.5)
    assert "30 of the 60 training points" in notes[0]
    assert np.corrcoef(part, whole)[0, 1] > 0.5


def test_the_strength_of_effects_is_the_spread_of_random_halves() -> None:
    made, draw = world(), np.random.default_rng(1)
    weak, spread = strength(made["effects"], (M, N))
    halves = draw.random((4000, N)) < 0.5
    np.testing.assert_allclose(1 / weak, (halves @ made["effects"].T).std(axis=0), rtol=0.1)
    even = strength(np.ones((2, 8)), (2, 8))[1]
    assert even.tolist() == [8, 8]
    assert strength(np.zeros((1, 8)), (1, 8))[1].tolist() == [8]
    assert (spread >= 1).all()
    assert (spread <= N).all()


def test_few_points_are_not_calibrated_and_nobody_is_trusted() -> None:
    points, wild = observed(n_points=MIN_POINTS - 1)
    found = trust(points, wild)
    assert not found.calibrated
    assert TRUST not in set(found.verdict)
    assert np.isnan(found.ratio)
    assert "are needed to calibrate the badge" in found.notes[0]


def test_points_whose_error_was_not_measured_are_judged_and_do_not_count() -> None:
    points, wild = observed()
    partly = np.where(np.arange(M) % 3 == 0, np.nan, wild)
    found = trust(points, partly)
    assert (found.verdict != "").all()
    assert sum(row.n_points for row in found.reliability) == np.isfinite(partly).sum()
    assert "100 of 300 test points have no measured error" in found.notes[0]


def test_reliability_is_the_mean_error_of_each_verdict() -> None:
    verdict = np.array([TRUST, TRUST, AVOID, AVOID])
    rows, ratio, low, high = reliability(verdict, np.array([1.0, 2.0, 6.0, 3.0]))
    assert [row.error for row in rows][::2] == [1.5, 4.5]
    assert np.isnan(rows[1].error)
    assert ratio == 3
    assert low <= ratio <= high


def test_the_same_seed_gives_the_same_badges() -> None:
    points, wild = observed()
    first, second = trust(points, wild, seed=1), trust(points, wild, seed=1)
    np.testing.assert_equal(dataclasses.asdict(first), dataclasses.asdict(second))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"surrogate_logits": np.zeros((M, C + 1))}, "the same M >= 3 points"),
        ({"rows": np.zeros((M - 1, N))}, "the same M >= 3 points"),
        ({"rows": np.full((M, N), np.nan)}, "not finite"),
        ({"effects": np.zeros((M, N + 1))}, "effects must be"),
        ({"perturbed": (np.zeros((M, P, C)), np.zeros((M, P - 1, C)))}, "perturbed copies"),
    ],
)
def test_what_cannot_be_observed_is_refused(change: dict[str, Any], words: str) -> None:
    made = {k: v for k, v in world().items() if k != "wild"}
    with pytest.raises(ValueError, match=words):
        observe(**made | change)


@pytest.mark.parametrize(("error", "words"), [(np.ones(3), "one error a test point"), (-np.ones(M), "not negative")])
def test_errors_that_are_none_are_refused(error: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        trust(observed()[0], error)
