"""Carriers of a behaviour: the poison and nothing else, with a cut that knows no list."""

import numpy as np
import pytest

from ntkviz.audit.backdoor import MIN_SUSPECTS, SEPARATE_FROM, BackdoorAudit, suspects_among
from ntkviz.audit.planted import score_found


def traced(case, kernel_scale: float = 1.0):
    audit = BackdoorAudit(kernel_scale * case.kernel, case.labels)
    target, suspects, clean = suspects_among(case.triggered, case.test_labels, case.said)
    return audit.of(kernel_scale * case.rows, suspects, clean, target)


def test_the_poison_is_found_exactly_and_the_behaviour_is_gone_without_it(poisoned):
    found = traced(poisoned)
    scored = score_found(found.group, poisoned.wrong)
    assert scored.precision == scored.recall == 1
    assert found.verdict == "separate group"
    assert found.suspects_before > 0.9
    assert found.suspects_after < 0.3
    assert found.clean_after == found.clean_before == 1


def test_the_blind_audit_names_the_class_and_nothing_but_poison(poisoned):
    """It may miss a little: its clean predictions hold triggered test points that are rightly of the target class."""
    found = BackdoorAudit(poisoned.kernel, poisoned.labels).every_class(poisoned.rows, poisoned.test_labels, poisoned.said)
    assert [one.target for one in found] == [0]
    assert found[0].verdict == "separate group"
    scored = score_found(found[0].group, poisoned.wrong)
    assert scored.precision == 1
    assert scored.recall >= 0.9


def test_the_cut_is_the_split_with_the_least_variance_within(poisoned):
    found = traced(poisoned)
    within = [size * found.scores[:size].var() + (40 - size) * found.scores[size:].var() for size in range(1, 21)]
    assert len(found.scores) == 40
    assert found.size == 1 + int(np.argmin(within))


def test_ordinary_errors_make_no_separate_group(poisoned):
    rng = np.random.default_rng(5)
    clean = poisoned.test_labels[:40]
    said = clean.copy()
    said[rng.choice(np.flatnonzero(clean != 1), 8, replace=False)] = 1
    found = BackdoorAudit(poisoned.kernel, poisoned.labels).every_class(poisoned.rows[:40], clean, said)
    assert [one.target for one in found] == [1]
    assert found[0].verdict == "no separate group"
    assert found[0].separation < SEPARATE_FROM


def test_too_few_suspects_are_said_to_be_too_few_and_stand_last(poisoned):
    said = poisoned.said.copy()
    said[:2] = 2
    found = BackdoorAudit(poisoned.kernel, poisoned.labels).every_class(poisoned.rows, poisoned.test_labels, said)
    assert [one.verdict for one in found] == ["separate group", "too few suspects"]
    assert len(found[-1].suspects) < MIN_SUSPECTS


def test_scale_and_order_do_not_matter(poisoned):
    one, other = traced(poisoned), traced(poisoned, 1e3)
    np.testing.assert_array_equal(one.points, other.points)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-6)
    assert one.separation == pytest.approx(other.separation, rel=1e-6)
    moved = np.random.default_rng(2).permutation(90)
    audit = BackdoorAudit(poisoned.kernel[np.ix_(moved, moved)], poisoned.labels[moved])
    third = audit.of(poisoned.rows[:, moved], one.suspects, one.clean, one.target)
    np.testing.assert_array_equal(moved[third.points], one.points)


def test_scores_add_up_to_what_the_ridge_says_of_the_suspects(poisoned):
    """Over all training points, not only those of the class, the parts sum to the difference of the mean predictions."""
    found = traced(poisoned)
    scale = np.diagonal(poisoned.kernel).mean()
    system = poisoned.kernel / scale + np.eye(90)
    contrast = (poisoned.rows[found.suspects].mean(0) - poisoned.rows[found.clean].mean(0)) / scale
    targets = (poisoned.labels == 0) - (poisoned.labels == 0).mean()
    parts = np.linalg.solve(system, contrast) * targets
    np.testing.assert_allclose(found.scores, parts[found.points], rtol=1e-9)
    assert parts.sum() == pytest.approx(contrast @ np.linalg.solve(system, targets))


def test_without_clean_predictions_the_suspects_stand_alone_and_a_note_says_so(poisoned):
    found = BackdoorAudit(poisoned.kernel, poisoned.labels).of(poisoned.rows, poisoned.triggered, np.array([], dtype=int), 0)
    assert set(found.group) == set(np.flatnonzero(poisoned.wrong))
    assert found.notes
    assert np.isnan(found.clean_before)


def test_what_cannot_be_traced_is_refused_with_the_reason(poisoned):
    audit = BackdoorAudit(poisoned.kernel, poisoned.labels, n_classes=4)
    with pytest.raises(ValueError, match="no suspect"):
        audit.of(poisoned.rows, np.array([], dtype=int), np.array([1]), 0)
    with pytest.raises(ValueError, match="both a suspect and clean"):
        audit.of(poisoned.rows, np.array([1, 2]), np.array([2]), 0)
    with pytest.raises(ValueError, match="labelled 3"):
        audit.of(poisoned.rows, np.array([1]), np.array([2]), 3)
    with pytest.raises(ValueError, match="0 to 59"):
        audit.of(poisoned.rows, np.array([60]), np.array([2]), 0)
    with pytest.raises(ValueError, match="Kernel rows"):
        audit.of(poisoned.rows[:, :-1], np.array([1]), np.array([2]), 0)
    with pytest.raises(ValueError, match="right on all"):
        suspects_among(np.arange(5), poisoned.test_labels, poisoned.said)
    with pytest.raises(ValueError, match="lam"):
        BackdoorAudit(poisoned.kernel, poisoned.labels, lam=-1.0)
