from typing import Any

import numpy as np
import pytest

from ntkviz.fidelity.lds import Lds
from ntkviz.fidelity.trust import Reliability
from ntkviz.figures import palette, plane, trust
from ntkviz.studies.faithfulness import Measured

NAN = float("nan")


def measured(kernel: str, attribution: str, tau: float, lds: float, *, seconds: float = 1.0, control: bool = False) -> Measured:
    found = Lds(lds, lds - 0.05, lds + 0.04, lds - 0.01, lds + 0.01, np.array([lds]), 0.94, 0.6, within=0.3)
    ends = (tau - 0.02, tau + 0.03)
    surrogate = "klr" if tau == tau else ""
    return Measured(kernel, surrogate, attribution, f"{kernel} · {attribution}", tau, *ends, found, seconds, control)


ROWS = [
    measured("trntk", "removal_klr", 0.8, 0.65, seconds=5.0),
    measured("ck", "removal_klr", 0.9, 0.4, seconds=2.0),
    measured("trntk", "share", 0.8, 0.3, seconds=0.1),
    measured("trntk", "kernel", NAN, 0.19),
    measured("rbf", "inputs", 0.6, 0.7, control=True),
    measured("", "same_class", NAN, 0.2, control=True),
]
TITLES = {"removal_klr": "Removal effect"}
VERDICTS = [
    Reliability("trust", 50, 0.2, 0.15, 0.25),
    Reliability("caution", 0, NAN, NAN, NAN),
    Reliability("do not use", 9, 0.9, 0.7, 1.2),
]


def dots(fig: Any) -> dict[str, tuple[float, float]]:
    return {
        row[0]: (x, y)
        for trace in fig.data
        if trace.mode == "markers" and trace.name != "selected"
        for row, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    }


def test_every_row_stands_at_its_tau_and_lds_and_those_without_a_surrogate_apart() -> None:
    found = dots(plane.imitation_truth(ROWS, TITLES))
    assert set(found) == {row.key for row in ROWS}
    for row in ROWS:
        x, y = found[row.key]
        assert y == row.lds
        assert x == row.tau if row.surrogate else x < 0


def test_controls_are_told_by_symbol_and_colour_and_no_other_has_them() -> None:
    fig: Any = plane.imitation_truth(ROWS, TITLES)
    for trace in fig.data:
        if trace.mode != "markers":
            continue
        control = trace.customdata[0][0].split("/")[-1] in {"inputs", "same_class"}
        assert (trace.marker.symbol == plane.CONTROL_SYMBOL) == control
        assert (trace.marker.color == palette.NEUTRAL) == control
    symbols = [(t.marker.symbol, t.marker.color) for t in fig.data if t.mode == "markers" and t.marker.color != palette.NEUTRAL]
    assert len(set(symbols)) == len(symbols)


def test_error_bars_end_where_the_intervals_end_and_size_grows_with_cost() -> None:
    fig: Any = plane.imitation_truth(ROWS, TITLES)
    trace = next(t for t in fig.data if t.name == "Removal effect")
    assert np.array(trace.y) - np.array(trace.error_y.arrayminus) == pytest.approx([0.6, 0.35])
    assert np.array(trace.y) + np.array(trace.error_y.array) == pytest.approx([0.69, 0.44])
    assert np.array(trace.x) + np.array(trace.error_x.array) == pytest.approx([0.83, 0.93])
    assert trace.marker.size[0] > trace.marker.size[1]


def test_the_ceiling_is_a_line_at_its_height_and_absent_when_unknown() -> None:
    fig: Any = plane.imitation_truth(ROWS, TITLES)
    line = next(trace for trace in fig.data if trace.mode == "lines")
    assert set(line.y) == {0.94}
    assert "ceiling" in line.name
    without = measured("trntk", "share", 0.5, 0.3)
    object.__setattr__(without.truth, "ceiling", NAN)
    assert not [t for t in plane.imitation_truth([without], TITLES).data if t.mode == "lines"]  # pyright: ignore[reportAttributeAccessIssue]


def test_the_selected_row_is_ringed() -> None:
    fig: Any = plane.imitation_truth(ROWS, TITLES, selected="ck/klr/removal_klr")
    ring = next(trace for trace in fig.data if trace.name == "selected")
    assert (ring.x[0], ring.y[0]) == (0.9, 0.4)
    assert not [t for t in plane.imitation_truth(ROWS, TITLES, selected="gone").data if t.name == "selected"]  # pyright: ignore[reportAttributeAccessIssue]


def test_the_reading_names_the_best_the_best_control_and_the_best_imitation() -> None:
    reading = plane.reading_plane(ROWS)
    assert "Highest: trntk · removal_klr, LDS 0.65" in reading
    assert "Best control: rbf · inputs, LDS 0.70" in reading
    assert "Furthest right: ck · removal_klr, tau 0.90, LDS 0.40" in reading
    assert "ceiling is 0.94" in reading


def test_rows_without_an_lds_are_left_out_and_nothing_at_all_is_refused() -> None:
    lost = measured("ck", "share", 0.5, NAN)
    assert lost.key not in dots(plane.imitation_truth([*ROWS, lost], TITLES))
    with pytest.raises(ValueError, match="at least one attribution with an LDS"):
        plane.imitation_truth([lost], TITLES)


def test_reliability_has_a_bar_for_each_verdict_with_points() -> None:
    fig: Any = trust.reliability_bars(VERDICTS, "one minus LDS")
    bar = fig.data[0]
    assert list(bar.y) == [0.2, 0.9]
    assert [row[:2] for row in bar.customdata] == [["trust", 50], ["do not use", 9]]
    assert np.array(bar.y) + np.array(bar.error_y.array) == pytest.approx([0.25, 1.2])
    assert len(set(bar.marker.color)) == 2
    reading = trust.reading_reliability(VERDICTS, (4.5, 3.0, 6.0), "one minus LDS")
    assert "4.5 times (3.0 to 6.0)" in reading
    assert "caution" not in reading
    with pytest.raises(ValueError, match="at least one verdict"):
        trust.reliability_bars(VERDICTS[1:2], "")
