"""Edits of the training set: ridge answers as a new fit does, klr by Newton steps that lead to one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.flip import class_gap
from ntkviz.explain.what_if import Edit, WhatIfModel, duplicate, edited, relabel, remove, what_if
from ntkviz.scores import log_odds_heads, log_odds_of, scores_of
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.surrogate import EMPTY_CLASS_INTERCEPT, RidgeSurrogate
from tests.surrogates.problems import Case, cases, make_case

few = settings(max_examples=25, deadline=None)


def fitted(case: Case, kind: str, n_classes: int | None = None, **options: object):
    if kind == "klr":
        options = {"lam": 0.1, "tol": 1e-10, **options}
    return fit_surrogate(case.kernel, case.targets(kind), kind=kind, n_classes=n_classes, **options)


def fitted_anew(case: Case, surrogate, edits: tuple[Edit, ...]) -> np.ndarray:
    """Scores of a surrogate that is fitted to the edited training set from scratch, points listed as often as they count."""
    n_classes = max(surrogate.n_classes, 2)
    counts, labels = edited(case.labels, edits, n_classes)
    listed = np.repeat(np.arange(len(counts)), counts)
    kernel = case.kernel[np.ix_(listed, listed)]
    targets = case.logits[listed] if surrogate.kind == "ridge_logits" else labels[listed]
    # The penalty stays the same number, whatever the mean diagonal of the points that are left.
    options = {**surrogate.options, "lam": surrogate.options["lam"] * surrogate.scale / np.diagonal(kernel).mean()}
    again = fit_surrogate(kernel, targets, kind=surrogate.kind, n_classes=surrogate.n_classes, **options)
    return again.decision_function(case.rows[:, listed])


def some_edits(seed: int, labels: np.ndarray, n_classes: int, *, relabelling: bool = True) -> tuple[Edit, ...]:
    rng = np.random.default_rng(seed)
    points = rng.permutation(np.arange(n_classes, len(labels)))[:5].tolist()  # one point of each class stays as it is
    edits = [remove(points[0]), duplicate(points[1], 2), remove(points[2]), duplicate(points[3])]
    if relabelling:
        edits += [relabel(points[3], int(rng.integers(n_classes))), relabel(points[4], int(rng.integers(n_classes)))]
    return tuple(edits)


@few
@given(case=cases(), seed=st.integers(0, 1000), kind=st.sampled_from(["ridge", "ridge_logits"]))
def test_ridge_equals_a_new_fit(case: Case, seed: int, kind: str):
    surrogate = fitted(case, kind, case.logits.shape[1], lam=0.5)
    edits = some_edits(seed, case.labels, case.logits.shape[1], relabelling=kind == "ridge")
    found = what_if(surrogate, case.kernel, case.labels, case.rows, edits)
    np.testing.assert_allclose(found.scores_after, fitted_anew(case, surrogate, edits), atol=1e-8)
    np.testing.assert_array_equal(found.scores_before, surrogate.decision_function(case.rows))
    assert found.method == "closed form"
    assert found.left == 0


@pytest.mark.parametrize("kind", ["ridge", "klr"])
def test_one_logit_equals_a_new_fit_too(kind: str):
    case = make_case(4, n=40, n_classes=2)
    surrogate = fitted(case, kind, 1)
    edits = some_edits(3, case.labels, 2)
    found = WhatIfModel(surrogate, case.kernel, case.labels).apply(case.rows, edits, steps=8)
    assert found.scores_after.shape == (7, 1)
    np.testing.assert_allclose(found.scores_after, fitted_anew(case, surrogate, edits), atol=1e-7)


def test_ridge_agrees_with_leaving_points_out_of_the_surrogate():
    case = make_case(0)
    surrogate = fitted(case, "ridge")
    assert isinstance(surrogate, RidgeSurrogate)
    refit = WhatIfModel(surrogate, case.kernel, case.labels).fit((remove(5), remove(9)))
    left_out = surrogate.without([5, 9])
    np.testing.assert_allclose(refit.weights, left_out.weights, atol=1e-12)
    np.testing.assert_allclose(refit.intercept, left_out.intercept, atol=1e-12)


@few
@given(case=cases(), seed=st.integers(0, 1000))
def test_newton_steps_of_klr_lead_to_a_new_fit(case: Case, seed: int):
    surrogate = fitted(case, "klr", case.logits.shape[1])
    edits = some_edits(seed, case.labels, case.logits.shape[1])
    model = WhatIfModel(surrogate, case.kernel, case.labels)
    again = fitted_anew(case, surrogate, edits)
    # Scores of klr are known up to a shift of all classes; the fit's own tolerance is relative to its norm.
    centred = again - again.mean(axis=1, keepdims=True)
    enough = model.apply(case.rows, edits).scores_after
    np.testing.assert_allclose(
        enough - enough.mean(axis=1, keepdims=True),
        centred,
        atol=0.05 * np.abs(centred - surrogate.decision_function(case.rows)).max(),
    )
    settled = model.fit(edits)
    for _ in range(6):
        settled = model.fit(edits, start=settled, steps=1)
    exact = settled.scores(case.rows)
    np.testing.assert_allclose(exact - exact.mean(axis=1, keepdims=True), centred, atol=1e-6 * max(1.0, np.abs(centred).max()))


@pytest.mark.parametrize("seed", range(4))
def test_one_newton_step_is_within_a_few_per_cent_for_small_edits(seed: int):
    case = make_case(seed, n=200, n_features=40)
    surrogate = fitted(case, "klr", 3)
    model = WhatIfModel(surrogate, case.kernel, case.labels)
    missed, moved = {1: 0.0, None: 0.0}, 0.0
    for point in range(20, 28):
        edits = (remove(point),)
        true = fitted_anew(case, surrogate, edits)
        for steps in missed:
            found = model.apply(case.rows, edits, steps=steps)
            missed[steps] += float(np.sum((found.scores_after - true) ** 2))
        moved += float(np.sum((true - found.scores_before) ** 2))
    assert missed[1] ** 0.5 <= 0.06 * moved**0.5
    assert missed[None] ** 0.5 <= 0.01 * moved**0.5


def test_a_relabelled_point_takes_more_steps_and_the_result_says_so():
    case = make_case(2, n=80, n_features=60, noise=0.2)
    surrogate = fitted(case, "klr", 3, lam=0.01)
    model = WhatIfModel(surrogate, case.kernel, case.labels)
    edits = tuple(relabel(i, int((case.labels[i] + 1) % 3)) for i in (10, 11, 12))
    once, enough = model.apply(case.rows, edits, steps=1), model.apply(case.rows, edits)
    assert once.left > 0.1
    assert any("of the gradient is left" in note for note in once.notes)
    assert enough.left <= 0.01
    assert enough.method.endswith("Newton steps")
    true = fitted_anew(case, surrogate, edits)
    assert np.linalg.norm(enough.scores_after - true) < 0.05 * np.linalg.norm(once.scores_after - true)


@pytest.mark.parametrize("kind", ["ridge", "klr"])
def test_in_the_limit_the_change_follows_the_gradient(kind: str):
    case = make_case(6, n=40)
    surrogate = fitted(case, kind, tol=1e-12) if kind == "klr" else fitted(case, kind)
    model = WhatIfModel(surrogate, case.kernel, case.labels)
    scores = surrogate.decision_function(case.rows)
    heads = log_odds_heads(scores, scores_of(scores).predicted)
    if kind == "klr":
        gradient = model._fit.first_order(case.rows, heads, model._fit.base)  # type: ignore[attr-defined]
    for point in (3, 17):
        size, counts = 1e-4, np.ones(40)
        counts[point] += size
        after = model.fit_counts(counts, case.labels, steps=1).scores(case.rows)
        counts[point] -= 2 * size
        before = model.fit_counts(counts, case.labels, steps=1).scores(case.rows)
        slope = (heads * (after - before)).sum(axis=1) / (2 * size)
        if kind == "klr":
            np.testing.assert_allclose(slope, gradient[:, point], rtol=1e-3, atol=1e-6)
        else:
            far = np.ones(40)
            far[point] = 0.999
            wide = (heads * (scores - model.fit_counts(far, case.labels).scores(case.rows))).sum(axis=1) / 1e-3
            np.testing.assert_allclose(slope, wide, rtol=0.01, atol=1e-6)


@few
@given(case=cases(), seed=st.integers(0, 1000))
def test_removal_effects_of_ridge_are_those_of_removing_each_point(case: Case, seed: int):
    surrogate = fitted(case, "ridge", case.logits.shape[1])
    model = WhatIfModel(surrogate, case.kernel, case.labels)
    at = model.fit(some_edits(seed, case.labels, case.logits.shape[1]))
    direction = np.random.default_rng(seed).standard_normal((7, case.logits.shape[1]))
    effects = model.score_effects(case.rows, direction, at=at)
    for point in range(len(case.labels)):
        counts = at.counts.copy()
        counts[point] = 0
        kept = np.bincount(at.labels[counts > 0], minlength=case.logits.shape[1])
        if at.counts[point] and (kept[at.labels[point]] == 0):
            continue  # a class whose last point goes is never named again; its score is not a ridge score any more
        fall = (direction * (at.scores(case.rows) - model.fit_counts(counts, at.labels).scores(case.rows))).sum(axis=1)
        np.testing.assert_allclose(effects[:, point], fall, atol=1e-8)


@pytest.mark.parametrize("n_scores", [1, 3])
def test_removal_effects_of_klr_are_a_newton_step_without_the_point(n_scores: int):
    case = make_case(1, n=60, n_classes=max(n_scores, 2), n_features=20)
    surrogate = fitted(case, "klr", n_scores)
    model = WhatIfModel(surrogate, case.kernel, case.labels)
    scores = surrogate.decision_function(case.rows)
    named = scores_of(scores).predicted
    effects = model.effects(case.rows, named)
    direct = RemovalEffects.of_surrogate(surrogate, case.kernel, case.labels, leave_one_out=True)
    np.testing.assert_allclose(effects, direct.on_log_odds(case.rows, scores, named), atol=0.002 * np.abs(effects).max())
    heads = log_odds_heads(scores, named)
    for point in (0, 7, 30):
        once = model.apply(case.rows, (remove(point),), steps=1)
        fall = (heads * (once.scores_before - once.scores_after)).sum(axis=1)
        np.testing.assert_allclose(effects[:, point], fall, atol=0.01 * np.abs(fall).max())


@pytest.mark.parametrize("kind", ["ridge", "klr"])
def test_effects_after_edits_start_from_the_edited_fit(kind: str):
    case = make_case(3, n=50, n_features=20)
    model = WhatIfModel(fitted(case, kind), case.kernel, case.labels)
    gone = tuple(remove(i) for i in range(10, 25))
    at = model.fit(gone)
    named = scores_of(at.scores(case.rows)).predicted
    effects = model.effects(case.rows, named, at=at)
    assert (effects[:, 10:25] == 0).all()
    for point in (5, 30):
        after = model.fit((*gone, remove(point)), start=at, steps=4)
        heads = log_odds_heads(at.scores(case.rows), named)
        fall = (heads * (at.scores(case.rows) - after.scores(case.rows))).sum(axis=1)
        np.testing.assert_allclose(effects[:, point], fall, atol=0.15 * np.abs(fall).max())


@pytest.mark.parametrize("kind", ["ridge", "klr"])
def test_no_edit_changes_nothing_and_undo_restores(kind: str):
    case = make_case(5)
    model = WhatIfModel(fitted(case, kind), case.kernel, case.labels)
    none = model.apply(case.rows, ())
    np.testing.assert_array_equal(none.scores_after, none.scores_before)
    assert len(none.changed) == none.n_edits == none.n_points == 0
    edits = (remove(4), relabel(6, 0))
    one = model.apply(case.rows, edits[:-1])
    model.apply(case.rows, edits)
    np.testing.assert_array_equal(model.apply(case.rows, edits[:-1]).scores_after, one.scores_after)


@pytest.mark.parametrize("kind", ["ridge", "klr"])
def test_copies_count_as_often_as_they_are_and_leave_with_their_point(kind: str):
    case = make_case(7)
    model = WhatIfModel(fitted(case, kind), case.kernel, case.labels)
    twice = model.apply(case.rows, (duplicate(8), duplicate(8)))
    at_once = model.apply(case.rows, (duplicate(8, 2),))
    np.testing.assert_allclose(twice.scores_after, at_once.scores_after, atol=1e-9)
    assert (twice.n_edits, twice.n_points) == (2, 1)
    removed = model.apply(case.rows, (duplicate(8, 3), remove(8)))
    np.testing.assert_allclose(removed.scores_after, model.apply(case.rows, (remove(8),)).scores_after, atol=1e-9)


@pytest.mark.parametrize("kind", ["ridge", "klr"])
def test_a_class_without_points_is_never_named(kind: str):
    case = make_case(8)
    members = np.flatnonzero(case.labels == 2)
    edits = tuple(remove(i) for i in members)
    surrogate = fitted(case, kind)
    found = WhatIfModel(surrogate, case.kernel, case.labels).apply(case.rows, edits, steps=8)
    assert (found.scores_after[:, 2] == EMPTY_CLASS_INTERCEPT).all()
    assert not (found.predicted_after == 2).any()
    again = fitted_anew(case, surrogate, edits)[:, :2]
    after = found.scores_after[:, :2]
    np.testing.assert_allclose(after[:, 0] - after[:, 1], again[:, 0] - again[:, 1], atol=1e-6)


def test_the_margin_is_that_of_the_class_named_before():
    case = make_case(9)
    found = what_if(fitted(case, "klr"), case.kernel, case.labels, case.rows, tuple(remove(i) for i in range(5, 15)))
    each = np.arange(7)
    for scores, margin in ((found.scores_before, found.margin_before), (found.scores_after, found.margin_after)):
        np.testing.assert_allclose(margin, scores_of(scores).log_odds[each, found.predicted_before], atol=1e-9)
    labels = np.zeros(7, dtype=int)
    np.testing.assert_allclose(found.margins(labels)[1], scores_of(found.scores_after).log_odds[:, 0], atol=1e-9)
    assert set(found.changed) == set(np.flatnonzero(found.scores_before.argmax(1) != found.scores_after.argmax(1)))


@pytest.mark.parametrize("n_scores", [1, 2, 4])
def test_margins_are_read_as_elsewhere(n_scores: int):
    scores = 5 * np.random.default_rng(n_scores).standard_normal((50, n_scores))
    read = scores_of(scores)
    np.testing.assert_allclose(log_odds_of(scores, read.predicted), read.log_odds[np.arange(50), read.predicted], atol=1e-9)
    assert (class_gap(scores, read.predicted) > 0).all()
    assert (class_gap(scores, (read.predicted + 1) % max(n_scores, 2)) < 0).all()


def test_a_twin_of_a_point_makes_the_system_ill_conditioned_and_it_is_said():
    case = make_case(10, n_features=60)
    features = np.vstack([case.features, case.features[[3]]])
    kernel = features @ features.T
    labels = np.append(case.labels, case.labels[3])
    twins = (remove(3), remove(len(labels) - 1))
    for lam, told in ((1e-11, True), (1.0, False)):
        found = what_if(fit_surrogate(kernel, labels, kind="ridge", lam=lam), kernel, labels, kernel[:4], twins)
        assert (found.condition > 1e8) == told
        assert any("ill-conditioned" in note for note in found.notes) == told


def test_what_cannot_be_edited_is_refused_in_words():
    case = make_case(11)
    ridge, klr, svm = (fitted(case, kind) for kind in ("ridge", "klr", "svm"))
    distilled = fitted(case, "ridge_logits")
    model = WhatIfModel(klr, case.kernel, case.labels)
    other = case.kernel + 0.5 * np.diag(np.arange(30.0))
    for call, told in (
        (lambda: WhatIfModel(svm, case.kernel, case.labels), "no quick answer"),
        (lambda: WhatIfModel(ridge, case.kernel[1:], case.labels), "the kernel of the fit"),
        (lambda: WhatIfModel(ridge, other, case.labels), "not those of the fit"),
        (lambda: WhatIfModel(klr, case.kernel, np.roll(case.labels, 1)), "not those of the fit"),
        (lambda: WhatIfModel(klr, case.kernel, case.labels + 1), "expected 0 to 2"),
        (lambda: WhatIfModel(klr, case.kernel, case.labels.astype(float)), "whole numbers"),
        (lambda: model.apply(case.rows, (remove(30),)), "expected 0 to 29"),
        (lambda: model.apply(case.rows, (remove(2), duplicate(2))), "removed by an earlier edit"),
        (lambda: model.apply(case.rows, (relabel(2, 3),)), "expected 0 to 2"),
        (lambda: model.apply(case.rows, (duplicate(2, 0),)), "above 0"),
        (lambda: model.apply(case.rows, (Edit("move", 2),)), "no edit"),  # type: ignore[arg-type]
        (lambda: model.apply(case.rows, tuple(remove(i) for i in range(30))), "leave some"),
        (lambda: model.apply(case.rows, tuple(remove(i) for i in np.flatnonzero(case.labels > 0))), "one class"),
        (lambda: model.apply(case.rows[:, 1:], ()), "30"),
        (
            lambda: what_if(distilled, case.kernel, case.labels, case.rows, (relabel(4, int(case.labels[4] + 1) % 3),)),
            "no effect",
        ),
    ):
        with pytest.raises(ValueError, match=told):
            call()


def test_a_class_that_no_point_had_is_out_of_reach_of_a_newton_step():
    case = make_case(12)
    surrogate = fitted(case, "klr", 5)
    with pytest.raises(ValueError, match="fit a surrogate anew"):
        what_if(surrogate, case.kernel, case.labels, case.rows, (relabel(2, 4),))
