"""Figures of the page Compare: the Pareto plot, the sweep, the overlap."""

from typing import Any

import numpy as np
import pytest

from ntkviz.figures import palette, pareto, sweep
from ntkviz.figures.overlap import overlap_heatmap, reading_overlap
from ntkviz.figures.pareto import Priced
from ntkviz.studies.sweep import Swept, spread

NAN = float("nan")
ROWS = [
    Priced("a", "cheap", 1.0, 0.5, 0.4, 0.6),
    Priced("b", "dear and worse", 5.0, 0.45, 0.3, 0.5),
    Priced("c", "dear", 9.0, 0.8, 0.75, 0.9),
    Priced("d", "control", 2.0, 0.3, control=True),
    Priced("e", "unknown", 2.0, NAN),
]
RNG = np.random.default_rng(0)
DIMS = np.array([64, 256, 1024])
SWEPT = Swept(
    dims=DIMS,
    error=2.0 / np.sqrt(DIMS)[:, None] * (1 + 0.05 * RNG.normal(size=(3, 5))),
    overlap=np.array([0.5, 0.7, 0.9])[:, None] + 0.01 * RNG.normal(size=(3, 5)),
    tau=np.full((3, 5), 0.7) + 0.01 * RNG.normal(size=(3, 5)),
    exact_tau=0.72,
    seconds=np.ones((3, 5)),
    exact_seconds=0.5,
    n_neighbours=10,
    n_train=256,
    n_test=64,
)


def test_every_study_stands_at_its_cost_and_value_and_the_front_joins_those_that_nothing_beats():
    fig: Any = pareto.pareto(ROWS, cost="seconds", value="tau")
    line, *dots = fig.data
    assert [(dot.customdata[0][0], dot.x[0], dot.y[0]) for dot in dots] == [(r.key, r.cost, r.value) for r in ROWS[:4]]
    assert (list(line.x), list(line.y)) == ([1.0, 9.0], [0.5, 0.8])
    assert fig.layout.xaxis.type == "log"
    assert dots[0].y[0] - dots[0].error_y.arrayminus[0] == pytest.approx(0.4)
    assert dots[3].marker.color == palette.NEUTRAL
    assert "dominated" in dots[1].customdata[0][2]
    assert "on the front" in dots[2].customdata[0][2]


def test_the_reading_names_front_and_dominated_with_who_beats_them():
    text = pareto.reading_pareto(ROWS, cost="seconds", value="tau")
    assert "On the front, from cheap to dear: cheap (0.5 at 1), dear (0.8 at 9)" in text
    assert "dear and worse (by cheap), control (by cheap)" in text
    assert "1 without a value" in text
    assert "None is dominated" in pareto.reading_pareto([ROWS[0], ROWS[2]], cost="s", value="tau")
    with pytest.raises(ValueError, match="at least one study with a value"):
        pareto.pareto(ROWS[4:], cost="seconds", value="tau")


def test_the_sweep_draws_means_with_their_intervals_and_theory_as_such():
    fig: Any = sweep.sweep_panels(SWEPT)
    theory, means = fig.data[:2]
    assert "theory" in theory.name
    np.testing.assert_allclose(np.array(theory.y) * np.sqrt(DIMS), theory.y[0] * np.sqrt(DIMS[0]))
    found = spread(SWEPT.error)
    np.testing.assert_allclose(means.y, found.mean)
    np.testing.assert_allclose(np.array(means.y) + np.array(means.error_y.array), found.high)
    exact = [trace for trace in fig.data if trace.name == "exact kernel"]
    assert [set(trace.y) for trace in exact] == [{1.0}, {0.72}]
    reading = sweep.reading_sweep(SWEPT)
    assert f"power {sweep.slope(SWEPT):.2f} (theory: -0.50)" in reading
    assert sweep.slope(SWEPT) == pytest.approx(-0.5, abs=0.05)
    assert "against 0.720 with the exact kernel" in reading


def test_a_spread_is_students_interval():
    found = spread(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]))
    assert found.mean[0] == 3
    assert found.high[0] - 3 == pytest.approx(2.776 * np.sqrt(2.5) / np.sqrt(5), rel=1e-3)
    assert found.mean[0] - found.low[0] == pytest.approx(found.high[0] - found.mean[0])
    with pytest.raises(ValueError, match="two seeds"):
        spread(np.ones((3, 1)))


def test_overlap_is_drawn_pair_by_pair_and_read_beside_chance():
    values = np.array([[1.0, 0.8, 0.2], [0.8, 1.0, 0.4], [0.2, 0.4, 1.0]])
    fig: Any = overlap_heatmap(["a", "b", "c"], values, 10)
    np.testing.assert_allclose(np.array(fig.data[0].z, dtype=float), values)
    assert "overlap@10" in fig.data[0].hovertemplate
    text = reading_overlap(["a", "b", "c"], values, 10, 400)
    assert "b and a share 80%" in text
    assert "c and a 20%" in text
    assert "Chance, unrelated kernels: 2.5%" in text
