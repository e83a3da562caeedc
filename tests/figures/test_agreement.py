from typing import Any

import numpy as np
import pytest

from ntkviz.explain.agreement import moved
from ntkviz.figures import agreement, palette
from ntkviz.figures import moved as figures
from tests.figures.cases import HOSTILE, NAMES

TITLES = ["trNTK", "CK", "inputs"]
#: Named with k = 2: 0 and 1; 0 and 2; 2 and 3.
VALUES = np.array([[9.0, -8, 1, 2], [9.0, 1, 8, 2], [1.0, 2, 9, -8]])


def draw(values: np.ndarray = VALUES, k: int = 2, **options: Any) -> Any:
    found = moved(values, k, signed=options.get("signed", True))
    labels = found.indices % 2
    ids = [f"id-{i}" for i in found.indices]
    return figures.moved_neighbours(
        found, TITLES[: len(values)], labels=labels, class_names=NAMES, unit="share", ids=ids, **options
    )


def marks(fig: Any) -> dict[tuple[str, int], tuple[float, str]]:
    """(id, column) -> rank and symbol."""
    return {
        (row[0], x): (y, symbol)
        for trace in fig.data
        if trace.customdata
        for row, x, y, symbol in zip(trace.customdata, trace.x, trace.y, trace.marker.symbol, strict=True)
    }


def segments(fig: Any) -> set[tuple[tuple[float, float], tuple[float, float]]]:
    found = set()
    for trace in fig.data:
        if trace.mode == "lines":
            points = list(zip(trace.x, trace.y, strict=True))
            found |= set(zip(points[::3], points[1::3], strict=True))
    return found


def test_each_kernel_has_its_strongest_in_order_and_no_other() -> None:
    found = marks(draw())
    assert {place: rank for place, (rank, _) in found.items()} == {
        ("id-0", 0): 1,
        ("id-1", 0): 2,
        ("id-0", 1): 1,
        ("id-2", 1): 2,
        ("id-2", 2): 1,
        ("id-3", 2): 2,
    }
    assert {place for place, (_, symbol) in found.items() if symbol.endswith("-open")} == {("id-1", 0), ("id-3", 2)}
    assert not any(symbol.endswith("-open") for _, symbol in marks(draw(signed=False)).values())


def test_lines_join_one_example_and_enter_and_leave_from_below() -> None:
    found = segments(draw())
    assert ((0, 1.0), (1, 1.0)) in found  # stays first
    assert ((1, 2.0), (2, 1.0)) in found  # rises
    below = 2 + 1.1
    leaves = [(start, end) for start, end in found if end[1] == below]
    enters = [(start, end) for start, end in found if start[1] == below]
    assert sorted(start for start, _ in leaves) == [(0, 2.0), (1, 1.0)]
    assert sorted(end for _, end in enters) == [(1, 2.0), (2, 2.0)]
    assert all(start[0] < end[0] for start, end in found)
    assert len(found) == 6


def test_hovering_tells_the_true_ranks_everywhere() -> None:
    row = next(row for trace in draw().data if trace.customdata for row in trace.customdata if row[0] == "id-3")
    assert row[1] == palette.short(NAMES[1], 40)
    assert row[4] == "ranks from the left: 3, 3, 2"


def test_the_reading_counts() -> None:
    found = moved(VALUES, 2)
    told = figures.reading_moved(found, TITLES, unit="share", ids=[f"id-{i}" for i in found.indices])
    assert "name 4 training examples among their 2 strongest by share: 0 of them in every column, 2 in one alone" in told
    assert "The longest way is that of id-0: rank 1 under trNTK, 4 under inputs" in told
    same = figures.reading_moved(moved(VALUES[[0, 0]], 2), TITLES[:2], unit="share")
    assert "2 of them in every column, 0 in one alone." in same
    assert "longest" not in same
    assert "No training example" in figures.reading_moved(moved(np.zeros((2, 3)), 2), TITLES[:2], unit="share")


def test_nothing_named_is_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match="no value"):
        draw(np.zeros((2, 3)))


HERE = np.array([[1.0, 0.5, 0.25], [0.5, 1.0, np.nan], [0.25, np.nan, 1.0]])


def test_cells_have_their_numbers_and_unknown_ones_stay_empty() -> None:
    fig: Any = agreement.overlap_heatmaps(TITLES, HERE, HERE.T, k=4, n_test=30)
    assert [list(row) for row in fig.data[0].z] == [[1.0, 0.5, 0.25], [0.5, 1.0, None], [0.25, None, 1.0]]
    assert fig.data[0].texttemplate == "%{z:.2f}"
    assert [panel.zmin for panel in fig.data] == [0, 0]
    assert [panel.zmax for panel in fig.data] == [1, 1]
    assert "Mean of 30 test points" in [note.text.strip("</b>") for note in fig.layout.annotations]
    with pytest.raises(ValueError, match="of 2 kernels"):
        agreement.overlap_heatmaps(TITLES[:2], HERE, HERE, k=4, n_test=30)


def test_the_reading_names_the_most_and_the_least_alike() -> None:
    told = agreement.reading_overlap(TITLES, HERE, np.full((3, 3), 0.4), k=4)
    assert (
        "trNTK and CK share 50 % (on average over all test points 40 %), no other two share more; trNTK and inputs share least, 25 %"
        in told
    )
    assert "no other" not in agreement.reading_overlap(TITLES[:2], HERE[:2, :2], HERE[:2, :2], k=4)
    assert "nothing to compare" in agreement.reading_overlap(TITLES[:2], np.full((2, 2), np.nan), HERE[:2, :2], k=4)


def test_the_histogram_counts_every_point_once() -> None:
    overlap = np.array([0.0, 0.1, 0.5, 1.0, 1.0, np.nan])
    fig: Any = agreement.overlap_histogram(overlap, k=10, reference="CK", mark=0.5)
    assert sum(fig.data[0].y) == 5
    assert fig.data[0].y[0] == 1
    assert fig.data[0].y[-1] == 2
    assert fig.layout.shapes[0].x0 == 0.5
    plain: Any = agreement.overlap_histogram(overlap, k=10, reference="CK")
    assert not plain.layout.shapes
    told = agreement.reading_histogram(overlap, k=10, mark=0.5)
    assert "At half of the 5 test points at least 50 %" in told
    assert "at 2 of them fewer than half do" in told
    assert "Here 50 % do, less than at 40 % of the test points" in told
    with pytest.raises(ValueError, match="no value"):
        agreement.overlap_histogram(np.array([np.nan]), k=10, reference="CK")


def test_names_of_people_are_made_harmless() -> None:
    fig: Any = agreement.overlap_heatmaps([HOSTILE, "CK"], HERE[:2, :2], HERE[:2, :2], k=4, n_test=3)
    assert "<img" not in str(fig.to_json())
