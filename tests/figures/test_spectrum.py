from typing import Any

import numpy as np
import pytest

from ntkviz.figures import spectrum
from ntkviz.kernels.diagnostics import Alignment
from ntkviz.kernels.diagnostics import spectrum as spectrum_of
from tests.figures.cases import ALIGNMENTS, CKA, KERNELS, SPECTRA


def test_the_curve_is_the_share_of_each_eigenvalue_above_rounding() -> None:
    found = spectrum_of(np.diag([4.0, 3.0, 1.0, 0.0, -0.5]))
    figure: Any = spectrum.eigenvalue_decay({"k": found})
    np.testing.assert_allclose(figure.data[0].y, [0.5, 0.375, 0.125])
    np.testing.assert_array_equal(figure.data[0].x, [1, 2, 3])
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    reading = spectrum.reading_eigenvalue_decay({"k": found})
    assert "first eigenvalue holds 50.0 %" in reading
    assert "2 eigenvalues are zero up to rounding or negative" in reading
    assert "k has 1 below zero" in reading


def test_long_curves_are_thinned_and_keep_both_ends() -> None:
    values = np.linspace(1, 2, 700)[::-1]
    found = spectrum_of(np.diag(values))
    figure: Any = spectrum.eigenvalue_decay({"k": found})
    assert len(figure.data[0].x) <= spectrum.MAX_RANKS
    assert figure.data[0].x[0] == 1
    assert figure.data[0].x[-1] == 700


def test_kernels_differ_by_dash_and_colour() -> None:
    figure: Any = spectrum.eigenvalue_decay({str(i): SPECTRA["trNTK"] for i in range(6)})
    assert len({(trace.line.color, trace.line.dash) for trace in figure.data}) == 6


def test_rank_bars_hold_both_measures() -> None:
    figure: Any = spectrum.effective_rank_bars(SPECTRA)
    assert [len(trace.x) for trace in figure.data] == [2, 2]
    assert figure.data[0].x[0] == pytest.approx(SPECTRA["trNTK"].effective_rank)
    reading = spectrum.reading_effective_rank({"trNTK": SPECTRA["trNTK"]})
    assert f"{SPECTRA['trNTK'].effective_rank:.3g}" in reading


def test_cka_is_shown_and_the_extreme_pairs_are_read() -> None:
    values = np.array([[1.0, 0.9, 0.2], [0.9, 1.0, 0.3], [0.2, 0.3, np.nan]])
    figure: Any = spectrum.cka_heatmap(["a", "b", "c"], values)
    assert figure.data[0].z[2][2] is None
    assert spectrum.reading_cka(["a", "b", "c"], values) == "b and a see the points most alike (CKA 0.90), c and a least (0.20)."
    assert "0.9" in spectrum.reading_cka(["a", "b"], values[:2, :2])
    assert "no pair" in spectrum.reading_cka(["a"], values[:1, :1])
    assert len(spectrum.cka_heatmap(list(KERNELS), CKA).to_json() or "") > 0
    with pytest.raises(ValueError, match="CKA must be"):
        spectrum.cka_heatmap(["a"], values)


def test_alignment_without_a_value_has_no_bar() -> None:
    rows = ALIGNMENTS | {"constant": Alignment(kta=0.7, centred=float("nan"), n_points=60)}
    figure: Any = spectrum.alignment_bars(rows)
    assert [len(trace.x) for trace in figure.data] == [2, 3]
    assert f"(centred {max(a.centred for a in ALIGNMENTS.values()):.2f})" in spectrum.reading_alignment(rows)
    assert "No centred alignment" in spectrum.reading_alignment({"constant": rows["constant"]})


def test_cost_turns_logarithmic_when_kernels_differ_much() -> None:
    far: Any = spectrum.cost_bars({"a": 1.0, "b": 400.0}, {"a": 100.0, "b": 110.0})
    assert far.layout.xaxis.type == "log"
    assert far.layout.xaxis2.type != "log"
    assert "(s)" in far.layout.xaxis.title.text
    assert "(MB)" in far.layout.xaxis2.title.text
    assert spectrum.reading_cost({"a": 1.0, "b": 400.0}) == "a took 1 s, the least; b took 400 s, the most."
    assert "110 MB, by b" in spectrum.reading_cost({"a": 1.0, "b": 400.0}, {"a": 100.0, "b": 110.0})


def test_costs_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="not be negative"):
        spectrum.cost_bars({"a": -1.0})
    with pytest.raises(ValueError, match="same kernels"):
        spectrum.cost_bars({"a": 1.0}, {"b": 1.0})


@pytest.mark.parametrize(
    "draw", [spectrum.eigenvalue_decay, spectrum.effective_rank_bars, spectrum.alignment_bars, spectrum.cost_bars]
)
def test_an_empty_comparison_is_refused(draw: Any) -> None:
    with pytest.raises(ValueError, match="at least one"):
        draw({})
