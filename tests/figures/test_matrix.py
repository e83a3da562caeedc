from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkviz.figures import matrix
from ntkviz.kernels.diagnostics import class_contrast
from tests.figures.cases import KERNELS, LABELS, NAMES, SIMILARITY, N, kernel


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 70), n_classes=st.integers(1, 12), limit=st.integers(1, 30), seed=st.integers(0, 999))
def test_block_means_are_means_over_the_sorted_kernel(n: int, n_classes: int, limit: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, n_classes, n)
    values = np.random.default_rng(seed).normal(size=(n, n))
    gathered = matrix.blocks(labels, limit=limit)
    assert gathered.sizes.sum() == n
    assert len(gathered.sizes) <= max(limit, 1)
    sorted_values = values[np.ix_(gathered.order, gathered.order)]
    ends = np.cumsum(gathered.sizes)
    expected = [
        [sorted_values[a - p : a, b - q : b].mean() for b, q in zip(ends, gathered.sizes, strict=True)]
        for a, p in zip(ends, gathered.sizes, strict=True)
    ]
    np.testing.assert_allclose(matrix.block_means(values, gathered), expected, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(30, 200), n_classes=st.integers(1, 9), seed=st.integers(0, 999))
def test_a_block_never_mixes_classes(n: int, n_classes: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, n_classes, n)
    gathered = matrix.blocks(labels, limit=20)
    parts = np.split(labels[gathered.order], np.cumsum(gathered.sizes)[:-1])
    for part, label in zip(parts, gathered.classes, strict=True):
        assert set(part.tolist()) == {label}


def test_more_classes_than_cells_mix_and_say_so() -> None:
    gathered = matrix.blocks(np.arange(50), limit=10)
    assert (gathered.classes == -1).all()


def test_few_points_are_drawn_one_by_one() -> None:
    found: Any = matrix.kernel_panels({"k": kernel()}, LABELS, NAMES)
    order = np.argsort(LABELS, kind="stable")
    np.testing.assert_allclose(found.data[0].z, kernel()[np.ix_(order, order)], atol=1e-6)


def test_one_panel_a_kernel_with_its_borders_and_names() -> None:
    found: Any = matrix.kernel_panels(KERNELS, LABELS, NAMES)
    assert len(list(found.select_traces("heatmap"))) == len(found.layout.annotations) == 2
    assert len(found.layout.shapes) == 2 * 2 * (len(set(LABELS)) - 1)
    assert found.layout.xaxis.ticktext[0] == "cat"
    assert found.layout.xaxis.title.text == "training points, by class"
    assert len(set(found.data[0].x)) == N, "every cell has a name of its own, though two classes share one"


def test_every_panel_can_be_boxed() -> None:
    """Plotly lets nobody draw a box where no trace can be selected, and a heat map cannot."""
    found: Any = matrix.kernel_panels(KERNELS, LABELS, NAMES)
    for heat in found.select_traces("heatmap"):
        (diagonal,) = found.select_traces({"type": "scatter", "xaxis": heat.xaxis})
        assert list(diagonal.x) == list(diagonal.y) == list(heat.x)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 70),
    limit=st.integers(1, 30),
    seed=st.integers(0, 999),
    box=st.lists(st.floats(-3, 80, allow_nan=False), min_size=4, max_size=4),
)
def test_a_box_has_the_points_of_the_cells_that_it_touches(n: int, limit: int, seed: int, box: list[float]) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, n)
    gathered = matrix.blocks(labels, limit=limit)
    found = matrix.points_within(gathered, box[:2], box[2:])
    cell = np.empty(n, dtype=int)
    cell[gathered.order] = np.repeat(np.arange(len(gathered.sizes)), gathered.sizes)
    expected = [
        i for i in range(n) if any(min(ends) < cell[i] + 0.5 and max(ends) > cell[i] - 0.5 for ends in (box[:2], box[2:]))
    ]
    assert found.tolist() == expected


def test_shared_colours_have_one_scale_and_own_colours_one_each() -> None:
    kernels = {"a": kernel(), "b": kernel() * 0.01}
    shared: Any = matrix.kernel_panels(kernels, LABELS, NAMES, scale="shared")
    own: Any = matrix.kernel_panels(kernels, LABELS, NAMES)
    assert shared.data[0].zmax == shared.data[1].zmax
    assert [trace.showscale for trace in shared.select_traces("heatmap")] == [True, False]
    assert own.data[0].zmax == pytest.approx(100 * own.data[1].zmax)
    assert [trace.showscale for trace in own.select_traces("heatmap")] == [True, True]


def test_both_signs_are_drawn_around_zero() -> None:
    signed = kernel() - 0.6
    found: Any = matrix.kernel_panels({"k": signed}, LABELS, NAMES)
    assert found.data[0].zmin == -found.data[0].zmax


def test_a_constant_kernel_is_drawn() -> None:
    found: Any = matrix.kernel_panels({"k": np.ones((N, N))}, LABELS, NAMES)
    assert found.data[0].zmin < found.data[0].zmax


def test_six_large_kernels_stay_below_five_megabytes_and_the_reading_says_what_was_averaged() -> None:
    n = 500
    labels = np.arange(n) % 10
    names = [f"class {i}" for i in range(10)]
    one = kernel(n=n)
    kernels = {f"kernel {i}": one for i in range(6)}
    assert len(matrix.kernel_panels(kernels, labels, names).to_json() or "") < 5_000_000
    reading = matrix.reading_kernel_panels({"trNTK": one}, labels, names)
    assert "500 points drawn as 200 x 200 block means" in reading


def test_the_reading_holds_the_figures() -> None:
    contrast = class_contrast(kernel(), LABELS)
    reading = matrix.reading_kernel_panels({"trNTK": kernel()}, LABELS, NAMES)
    assert f"{contrast.within:.3g} within a class" in reading
    assert f"{contrast.between:.3g} across classes" in reading
    assert "each cell is one pair of points" in reading


@pytest.mark.parametrize(
    "kernels", [{}, {str(i): np.eye(N) for i in range(7)}, {"small": np.eye(3)}, {"nan": np.full((N, N), np.nan)}]
)
def test_kernels_that_do_not_fit_are_refused(kernels: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="kernel"):
        matrix.kernel_panels(kernels, LABELS, NAMES)


def test_class_similarity_shows_and_reads_the_most_alike_pair() -> None:
    values = np.array([[0.9, 0.2, 0.1], [0.2, 0.8, 0.4], [0.1, 0.4, np.nan]])
    found: Any = matrix.class_similarity_heatmap(values, ["a", "b", "c"])
    assert found.data[0].z[2][2] is None
    said = {row[0]: row[1:] for row in found.data[1].customdata}
    assert said["1:2"] == ["b", "c", 0.4]
    assert "2:2" not in said, "there is nothing to click on an empty cell"
    assert found.layout.xaxis.title.text
    reading = matrix.reading_class_similarity(values, ["a", "b", "c"])
    assert "mean similarity of 0.85" in reading
    assert "b and c (0.4)" in reading
    assert len(matrix.class_similarity_heatmap(SIMILARITY, NAMES).to_json() or "") > 0
    with pytest.raises(ValueError, match="at least one number"):
        matrix.reading_class_similarity(values, ["a"])
