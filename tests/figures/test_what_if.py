from typing import Any

import numpy as np
import pytest

from ntkviz.explain.calibration import calibrate
from ntkviz.figures import behaviour, palette, what_if
from tests.figures.cases import CARRIERS, CHANGES, HOSTILE, NAMES, NETWORK, PROBABILITIES, REGIONS


def markers(figure: Any, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


def test_each_class_has_a_dot_before_and_one_after_and_a_line_between() -> None:
    before, after = PROBABILITIES
    figure: Any = what_if.before_after(before, after, NAMES, true_class=1)
    np.testing.assert_array_equal(markers(figure, "before").x, before)
    np.testing.assert_array_equal(markers(figure, "after").x, after)
    lines = [trace for trace in figure.data if trace.name == "change"]
    for trace, first, second in zip(lines, before, after, strict=True):
        assert tuple(trace.x) == (first, second)
        assert (trace.line.color == palette.POSITIVE) == (second >= first)
    assert figure.layout.yaxis.ticktext[1].startswith("✓ ")


def test_of_many_classes_the_probable_are_drawn_and_the_rest_is_said_to_be_left_out() -> None:
    before = np.zeros(40)
    before[7], before[3] = 0.9, 0.1
    after = np.roll(before, 1)
    names = [str(c) for c in range(40)]
    figure: Any = what_if.before_after(before, after, names)
    assert len(markers(figure, "before").x) == what_if.MAX_CLASSES
    assert {"7", "8", "3", "4"} <= set(figure.layout.yaxis.ticktext)
    assert "The 28 least probable classes are not drawn" in what_if.reading_before_after(before, after, names)


def test_the_reading_says_whether_the_class_changes() -> None:
    before, after = np.array([0.7, 0.3]), np.array([0.2, 0.8])
    names = ["cat", "dog"]
    changed = what_if.reading_before_after(before, after, names, margins=(0.85, -1.39))
    assert "after the edits it says dog with 0.800, and cat falls to 0.200" in changed
    assert "from 0.85 to -1.39" in changed
    assert "still, with 0.600" in what_if.reading_before_after(before, np.array([0.6, 0.4]), names)
    assert "nothing changes" in what_if.reading_before_after(before, before, names)


def test_the_way_to_a_flip_is_coloured_by_the_side_of_zero() -> None:
    sizes, gaps = np.array([0, 2, 5]), np.array([1.0, 0.3, -0.1])
    figure: Any = what_if.flip_path(sizes, gaps, label="cat", n_kept=4, flipped=True)
    assert list(figure.data[0].marker.color) == [palette.POSITIVE, palette.POSITIVE, palette.NEGATIVE]
    assert len(figure.layout.shapes) == 2
    stays: Any = what_if.flip_path(sizes[:2], gaps[:2], label="cat", n_kept=2, flipped=False)
    assert len(stays.layout.shapes) == 1
    told = what_if.reading_flip(sizes, gaps, label="cat", after="dog", n_kept=4, flipped=True)
    assert told.startswith("Without 4 training points the surrogate says dog and no longer cat")
    assert "one training point" in what_if.reading_flip(sizes, gaps, label="cat", after="dog", n_kept=1, flipped=True)
    assert "the class stays" in what_if.reading_flip(sizes[:2], gaps[:2], label="cat", after="cat", n_kept=2, flipped=False)


def test_the_calibration_plot_has_the_identity_the_fitted_lines_and_the_baseline_apart() -> None:
    figure: Any = what_if.calibration_plot(CHANGES)
    identity = markers(figure, "as predicted")
    assert list(identity.x) == list(identity.y)
    assert identity.x[0] <= min(NETWORK.min(), 0)
    assert identity.x[1] >= NETWORK.max()
    lines = [trace for trace in figure.data if trace.mode == "lines" and trace.name != "as predicted"]
    assert len(lines) == 1  # the baseline predicts no change: there is no line through one value
    assert (lines[0].y[1] - lines[0].y[0]) / (lines[0].x[1] - lines[0].x[0]) == pytest.approx(0.8)
    baseline = markers(figure, "random")
    assert baseline.marker.symbol == "x"
    assert baseline.marker.color == palette.NEUTRAL
    reading = what_if.reading_calibration(CHANGES)
    assert "slope 0.80 (0.80 to 0.80)" in reading
    assert "random: slope n/a" in reading


def test_a_set_without_pairs_is_refused() -> None:
    short = what_if.Changes("a", NETWORK, NETWORK[1:], calibrate(NETWORK, NETWORK, n_bootstrap=5))
    with pytest.raises(ValueError, match="shape"):
        what_if.calibration_plot([short])
    with pytest.raises(ValueError, match="got none"):
        what_if.calibration_plot([])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        what_if.before_after(np.array([1.2, 0.0]), np.array([1.0, 0.0]), ["a", "b"])


def test_groups_that_differ_most_come_first_and_the_interval_is_that_of_random_sets() -> None:
    figure: Any = behaviour.carrier_bars(CARRIERS, target="dog")
    bars = figure.data[0]
    assert list(bars.x) == [-2.0, 1.0, 0.1]
    assert list(bars.marker.color)[:2] == [palette.NEGATIVE, palette.POSITIVE]
    typical = figure.data[1]
    np.testing.assert_allclose(np.array(typical.x) + typical.error_x.array, [0.5, 1.4, 0.2])
    np.testing.assert_allclose(np.array(typical.x) - typical.error_x.arrayminus, [-0.4, 0.5, 0.0])


def test_the_reading_names_the_group_that_stands_out_or_says_that_none_does() -> None:
    from dataclasses import replace

    reading = behaviour.reading_carriers(CARRIERS, target="dog")
    assert f"the 4 training points of {HOSTILE} move the log-odds of dog by -2" in reading
    assert "lower than chance explains (p = 0.01" in reading
    none = behaviour.reading_carriers(replace(CARRIERS, p_values=np.full(3, 0.4)), target="dog")
    assert none.startswith("No group stands out")
    assert "nothing to test this against" in behaviour.reading_carriers(
        replace(CARRIERS, p_values=np.full(3, np.nan)), target="dog"
    )


def test_regions_without_test_points_are_left_out() -> None:
    figure: Any = behaviour.region_bars(REGIONS)
    np.testing.assert_allclose(figure.data[0].x, [100 * 4 / 6, 100 * 2 / 6])
    reading = behaviour.reading_regions(REGIONS)
    assert "3 of 6 test points (50 %)" in reading
    assert "Most of them (4) lie in a, which has 3 training points of their classes among 20" in reading
    assert "against" not in reading
