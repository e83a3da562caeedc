from typing import Any

import numpy as np
import pytest

from ntkviz.figures import fidelity, log_odds
from ntkviz.figures.log_odds import Imitation
from tests.figures.cases import COUNTS, LOG_ODDS, METRICS, NAMES, NETWORK, RIGHT, SURROGATES, TEST_IDS, M


def clouds(figure: Any, prefix: tuple[str, ...] = ("same", "other")) -> list[Any]:
    return [trace for trace in figure.data if trace.name.startswith(prefix)]


def test_every_point_is_drawn_once_in_the_group_it_belongs_to() -> None:
    figure = log_odds.log_odds_scatter(NETWORK, SURROGATES[:1], **LOG_ODDS)
    ids = [row[0] for trace in clouds(figure) for row in trace.customdata]
    assert sorted(ids) == sorted(TEST_IDS)
    for trace in clouds(figure):
        for x, row in zip(trace.x, trace.customdata, strict=True):
            index = TEST_IDS.index(row[0])
            assert x == NETWORK[index]
            assert trace.name.startswith("same") == bool(SURROGATES[0].agrees[index])
            assert trace.name.endswith("right") == bool(RIGHT[index])


def test_agreement_is_colour_and_error_is_symbol() -> None:
    for (agrees, right), (_, colour, symbol) in log_odds.GROUPS.items():
        assert (colour == log_odds.GROUPS[True, True][1]) == agrees
        assert (symbol == "circle") == right


def test_the_selected_point_is_ringed_and_an_unknown_one_is_not() -> None:
    ringed: Any = log_odds.log_odds_scatter(NETWORK, SURROGATES[:1], selected="test-4", **LOG_ODDS)
    rings = [trace for trace in ringed.data if trace.name == "selected"]
    assert rings[0].x[0] == NETWORK[4]
    plain: Any = log_odds.log_odds_scatter(NETWORK, SURROGATES[:1], selected="gone", **LOG_ODDS)
    assert not [trace for trace in plain.data if trace.name == "selected"]


def test_each_group_has_one_legend_entry_over_all_panels() -> None:
    figure: Any = log_odds.log_odds_scatter(NETWORK, SURROGATES, **LOG_ODDS)
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert len(shown) == len(set(shown))
    assert set(shown) == {trace.name for trace in figure.data}


def test_the_fitted_line_is_least_squares_and_none_for_a_constant() -> None:
    x = np.array([0.0, 1.0, 2.0])
    assert log_odds.fit_line(x, 2 * x + 1) == pytest.approx((2, 1))
    assert log_odds.fit_line(np.ones(3), x) is None


def test_the_reading_counts_agreement_and_shared_errors() -> None:
    network = np.array([2.0, 1.0, -1.0, -2.0])
    right = network > 0
    surrogate = Imitation("kGLM", network * 0.5, np.array([True, False, True, False]), tau=0.77)
    reading = log_odds.reading_log_odds(network, [surrogate], network_right=right)
    assert "2 of 4 test points (50.0 %)" in reading
    assert "1 of the network's 2 errors" in reading
    assert "0.77" in reading
    assert "slope 0.5" in reading


def test_many_points_are_drawn_by_the_graphics_card() -> None:
    n = log_odds.MAX_SVG_POINTS + 1
    values = np.linspace(-1, 1, n)
    given = Imitation("s", values, values > 0)
    figure: Any = log_odds.log_odds_scatter(
        values, [given], network_right=values > -2, labels=np.zeros(n, int), class_names=["a"]
    )
    assert {trace.type for trace in clouds(figure)} == {"scattergl"}


@pytest.mark.parametrize(
    "surrogates",
    [
        [],
        [SURROGATES[0]] * 7,
        [Imitation("short", np.zeros(2), np.zeros(2, bool))],
        [Imitation("nan", np.full(M, np.nan), RIGHT)],
    ],
)
def test_surrogates_that_do_not_fit_are_refused(surrogates: list[Imitation]) -> None:
    with pytest.raises(ValueError, match=r"surrogates|expected|finite"):
        log_odds.log_odds_scatter(NETWORK, surrogates, **LOG_ODDS)


def test_metrics_stand_on_one_row_a_title_and_are_clipped_in_sight_of_their_number() -> None:
    figure: Any = fidelity.metric_intervals(METRICS)
    assert list(figure.layout.yaxis.tickvals) == [0, 1, 2]
    assert figure.data[0].name == "ideal"
    dots = figure.data[1]
    assert list(dots.x) == [0.7, -1.0]
    assert dots.text[1] == "-3.500"
    assert list(dots.error_x.array) == pytest.approx([0.1, 0.0])
    assert list(dots.error_x.arrayminus) == pytest.approx([0.1, 0.0])


def test_the_reading_of_metrics_holds_each_value_and_interval() -> None:
    reading = fidelity.reading_metrics(METRICS[:2])
    assert "0.700 (0.600 to 0.800)" in reading
    assert "-3.500 (-5.000 to -2.000)" in reading
    with pytest.raises(ValueError, match="at least one metric"):
        fidelity.metric_intervals([])


def test_classes_without_tau_have_no_dot_and_are_counted() -> None:
    tau, counts = np.array([0.5, np.nan, -0.25, 0.1]), np.array([10, 1, 20, 30])
    figure: Any = fidelity.per_class_tau(NAMES, tau, counts, low=tau - 0.1, high=tau + 0.1)
    assert list(figure.data[0].y) == [0, 2, 3]
    assert "(10)" in figure.layout.yaxis.ticktext[0]
    np.testing.assert_allclose(figure.data[0].error_x.array, 0.1)
    reading = fidelity.reading_per_class_tau(["a", "b", "c", "d"], tau, counts)
    assert "class a (tau 0.50, 10 points)" in reading
    assert "inside c (tau -0.25, 20 points)" in reading
    assert "1 classes have too few" in reading
    assert "No class" in fidelity.reading_per_class_tau(["a"], np.array([np.nan]), np.array([1]))
    with pytest.raises(ValueError, match="one tau and one count"):
        fidelity.per_class_tau(["a"], tau, counts)


def test_confusion_splits_agreement_from_difference_and_leaves_zero_cells_empty() -> None:
    counts = np.array([[5, 0], [2, 3]])
    figure: Any = fidelity.confusion_heatmap(counts, ["a", "b"])
    assert [list(row) for row in figure.data[0].z] == [[5, None], [None, 3]]
    assert [list(row) for row in figure.data[1].z] == [[None, None], [2, None]]
    reading = fidelity.reading_confusion(counts, ["a", "b"])
    assert "8 of 10 test points (80.0 %)" in reading
    assert "network says b and the surrogate a (2 points)" in reading
    assert "never differ" in fidelity.reading_confusion(np.diag([3, 4]), ["a", "b"])
    assert "no test point" in fidelity.reading_confusion(np.zeros((2, 2)), ["a", "b"])
    assert COUNTS.shape == (len(NAMES), len(NAMES))
    with pytest.raises(ValueError, match="negative"):
        fidelity.confusion_heatmap(-counts, ["a", "b"])
