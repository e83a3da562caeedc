"""The fix list, the planted truth and the registry."""

import numpy as np
import pytest

from ntkviz.audit.duplicates import Group
from ntkviz.audit.fix_list import Fix, actions, copies, merged, table
from ntkviz.audit.planted import score_found, score_ranking
from ntkviz.audit.registry import audits

FIXES = (
    Fix(4, "relabel", "suspicious label", 1.5, "loo_margin", label=2),
    Fix(1, "inspect", "outlier", 4.0, "outliers"),
    Fix(4, "remove", "copy", 0.99, "duplicates"),
    Fix(3, "relabel", "first thought", 0.5, "loo_margin", label=0),
    Fix(3, "relabel", "second thought", 0.7, "knn_disagreement", label=1),
)


def test_one_action_a_point_and_the_reasons_of_all():
    found = {fix.point: fix for fix in merged(FIXES)}
    assert list(found) == [1, 3, 4]
    assert found[4].action == "remove"
    assert found[4].label is None
    assert found[4].reason == "suspicious label; copy"
    assert found[3].label == 1


def test_the_order_of_decisions_does_not_change_the_action():
    assert [fix.action for fix in merged(FIXES[::-1])] == [fix.action for fix in merged(FIXES)]


def test_actions_for_a_what_if_leave_alone_what_is_to_be_inspected():
    assert actions(FIXES) == {"relabel": {3: 1}, "remove": [4]}
    assert actions(()) == {"relabel": {}, "remove": []}


def test_the_table_speaks_of_ids_and_class_names():
    rows = table(FIXES, ids=[10, 50, 20, 40, 30], labels=np.array([0, 1, 2, 2, 1]), class_names=["a", "b", "c"])
    assert rows["training point"].tolist() == [30, 40, 50]
    assert rows["action"].tolist() == ["remove", "relabel", "inspect"]
    assert rows["label"].tolist() == ["b", "c", "b"]
    assert rows["new label"].tolist() == ["", "b", ""]
    assert list(table((), ids=[], labels=np.array([]), class_names=[]).columns) == list(rows.columns)


def test_impossible_fixes_are_refused():
    with pytest.raises(ValueError, match="no action"):
        Fix(0, "burn", "", 0.0, "")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="belongs to 'relabel'"):
        Fix(0, "relabel", "", 0.0, "")
    with pytest.raises(ValueError, match="belongs to 'relabel'"):
        Fix(0, "remove", "", 0.0, "", label=1)
    with pytest.raises(ValueError, match="position 3"):
        table(FIXES, ids=[1, 2], labels=np.array([0, 0]), class_names=["a", "b", "c"])
    with pytest.raises(ValueError, match="no class 2"):
        table(FIXES[:1], ids=np.arange(5), labels=np.zeros(5, int), class_names=["a"])


def test_copies_go_and_conflicts_stay_for_a_person():
    assert copies(Group((3, 5, 9), (1,), 0.99, same=False)) == (5, 9)
    assert copies(Group((3, 5), (0, 1), 0.99, same=False)) == ()


def test_a_ranking_is_scored_by_hand():
    scores, planted = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    found = score_ranking(scores, planted)
    assert found.auc == pytest.approx(3 / 4)
    np.testing.assert_allclose(found.precision, [1, 1 / 2, 2 / 3, 2 / 4])
    np.testing.assert_allclose(found.recall, [1 / 2, 1 / 2, 1, 1])
    assert (found.precision_at(3), found.recall_at(1)) == (pytest.approx(2 / 3), 0.5)
    assert found.average_precision == pytest.approx((1 + 2 / 3) / 2)
    with pytest.raises(ValueError, match="k must lie"):
        found.precision_at(5)


def test_sets_are_scored_and_nothing_found_is_not_a_number():
    planted = np.array([True, False, True, False])
    found = score_found(np.array([0, 1]), planted)
    assert (found.precision, found.recall) == (0.5, 0.5)
    assert np.isnan(score_found(np.array([]), planted).precision)


def test_truth_that_cannot_score_is_refused():
    with pytest.raises(ValueError, match="True or False"):
        score_ranking(np.arange(3.0), np.array([0, 1, 1]))
    with pytest.raises(ValueError, match="some and not all"):
        score_ranking(np.arange(3.0), np.zeros(3, bool))
    with pytest.raises(ValueError, match="not finite"):
        score_ranking(np.array([0, np.nan]), np.array([True, False]))


def test_every_row_of_the_registry_says_all_it_has_to():
    rows = audits()
    assert {row.task for row in rows.values()} == {"mislabels", "backdoor", "duplicates", "prototypes"}
    for key, row in rows.items():
        assert row.key == key
        assert all(
            (
                row.title,
                row.question.endswith("?") or "For comparison" in row.question,
                row.formula,
                row.cost,
                row.source,
                row.caveat,
            )
        )
