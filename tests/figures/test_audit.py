"""Figures of audits say what was found."""

from typing import Any

import numpy as np
import pytest

from ntkviz.figures import audit
from tests.pages.charts import numbers

SCORES = np.array([0.1, 0.9, 0.5, 0.7, 0.2])
LABELS = np.array([0, 1, 0, 1, 0])
NAMES = ["cat", "dog"]
PLANTED = np.array([False, True, False, False, True])


def traces(fig) -> dict[str, Any]:
    return {trace.name: trace for trace in fig.select_traces()}


def test_planted_points_stand_at_their_ranks_with_their_ids():
    found = traces(
        audit.suspicion_curve(SCORES, labels=LABELS, class_names=NAMES, planted=PLANTED, ids=[10, 11, 12, 13, 14], cut=2)
    )
    assert [row[0] for row in found["planted"].customdata] == [11, 14]
    np.testing.assert_array_equal(numbers(found["planted"].x), [1, 4])
    np.testing.assert_allclose(numbers(found["planted"].y), [0.9, 0.2])
    assert [row[0] for row in found["not planted"].customdata] == [13, 12, 10]
    np.testing.assert_array_equal(numbers(found["2 flagged"].x), [2.5, 2.5])


def test_without_truth_nothing_is_called_planted():
    found = traces(audit.suspicion_curve(SCORES, labels=LABELS, class_names=NAMES))
    assert set(found) == {"all training points", "first in the ranking"}


def test_the_selected_point_is_ringed_at_its_place():
    ring = traces(audit.suspicion_curve(SCORES, labels=LABELS, class_names=NAMES, selected=3))["chosen"]
    assert (list(ring.x), list(ring.y)) == ([2], [0.7])
    fig = audit.class_density(
        SCORES, labels=LABELS, class_names=NAMES, outliers=np.array([0]), prototypes=np.array([1]), selected=4
    )
    assert (list(traces(fig)["chosen"].x), list(traces(fig)["chosen"].y)) == ([0.2], [0])


def test_readings_count_what_is_there():
    words = audit.reading_suspicion(SCORES, cut=2, planted=PLANTED)
    assert "2 are flagged, of which 1 are among the 2 that are known to be wrong" in words
    assert "for a person to see" in audit.reading_suspicion(SCORES)
    curves = {"margin": (np.array([1.0, 0.5]), np.array([1.0, 1.0])), "loss": (np.array([0.0, 0.5]), np.array([0.0, 1.0]))}
    assert audit.reading_precision_recall(curves, 1) == (
        "Of the 1 first of each ranking, as many as are planted, so many are planted: margin 100 %, loss 0 %."
    )
    words = audit.reading_density(SCORES, labels=LABELS, class_names=NAMES, outliers=np.array([0]))
    assert "Points of class dog are most alike" in words
    assert "1 of 5 training points are outliers" in words


def test_precision_is_drawn_over_recall_in_per_cent():
    fig = audit.precision_recall({"margin": (np.array([1.0, 0.5]), np.array([0.5, 1.0]))}, 2)
    line = traces(fig)["margin"]
    np.testing.assert_allclose(numbers(line.x), [50, 100])
    np.testing.assert_allclose(numbers(line.y), [100, 50])


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="True or False a point"):
        audit.suspicion_curve(SCORES, labels=LABELS, class_names=NAMES, planted=PLANTED[:-1])
    with pytest.raises(ValueError, match="finite"):
        audit.suspicion_curve(np.array([1.0, np.nan]), labels=LABELS[:2], class_names=NAMES)
    with pytest.raises(ValueError, match="no score"):
        audit.precision_recall({}, 3)
