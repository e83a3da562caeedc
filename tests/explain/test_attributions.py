"""Shares add up; similarity stands alone; both say what they are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkviz.errors import BudgetExceeded
from ntkviz.explain import share
from ntkviz.explain.attribute import attribute
from ntkviz.explain.groups import class_totals
from ntkviz.explain.registry import attributions
from ntkviz.explain.share import contrast, share_of
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.registry import surrogates
from ntkviz.surrogates.surrogate import Convergence, Surrogate

few = settings(max_examples=20, deadline=None)


def machine(seed: int, *, c: int = 3, n: int = 20) -> tuple[Surrogate, np.ndarray]:
    rng = np.random.default_rng(seed)
    told = Convergence(converged=True, n_iterations=0, residual=0.0, message="drawn at random")
    fit = Surrogate(rng.standard_normal((c, n)), rng.standard_normal(c), "ridge", {}, 1.0, told)
    return fit, rng.standard_normal((6, n))


@few
@given(seed=st.integers(0, 1000), c=st.integers(1, 5), n=st.integers(1, 30), power=st.integers(-8, 8))
def test_shares_and_intercept_add_up_to_the_decision(seed: int, c: int, n: int, power: int):
    fit, rows = machine(seed, c=c, n=n)
    rows = rows * 10.0**power
    a, decision = attribute(fit, rows), fit.decision_function(rows)
    assert a.shape == (6, c, n)
    assert a.dtype == np.float64
    assert np.abs(a.sum(axis=-1) + fit.intercept - decision).max() <= 1e-5 * max(1e-12, np.abs(decision).max())


@pytest.mark.parametrize("kind", list(surrogates()))
def test_shares_of_every_surrogate_add_up_in_float32_too(kind: str):
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((40, 8)).astype(np.float32), np.arange(40) % 3
    kernel, rows = 1e4 * features @ features.T, 1e4 * features[:5] @ features.T
    fit = fit_surrogate(kernel, np.eye(3)[labels] if kind == "ridge_logits" else labels, kind=kind)
    decision = fit.decision_function(rows)
    np.testing.assert_allclose(attribute(fit, rows).sum(axis=-1) + fit.intercept, decision, atol=1e-9 * np.abs(decision).max())


@few
@given(seed=st.integers(0, 1000))
def test_one_point_at_a_time_gives_the_same_shares(seed: int):
    fit, rows = machine(seed)
    a = attribute(fit, rows)
    for m, row in enumerate(rows):
        np.testing.assert_array_equal(share_of(fit, row), a[m])
        np.testing.assert_array_equal(share_of(fit, row, classes=[2, 0]), a[m, [2, 0]])


@few
@given(seed=st.integers(0, 1000))
def test_contrast_adds_up_to_the_difference_of_two_scores(seed: int):
    fit, rows = machine(seed)
    a, decision = attribute(fit, rows), fit.decision_function(rows)
    difference = contrast(a, 2, 0)
    assert difference.shape == (6, 20)
    np.testing.assert_allclose(
        difference.sum(axis=-1) + fit.intercept[2] - fit.intercept[0], decision[:, 2] - decision[:, 0], atol=1e-9
    )
    np.testing.assert_allclose(contrast(a[0], 0, 2), -difference[0])


def test_similarity_is_the_row_for_every_class():
    fit, rows = machine(1)
    a = attribute(fit, rows, kind="kernel")
    assert a.shape == (6, 3, 20)
    assert (a == rows[:, None, :]).all()


@few
@given(seed=st.integers(0, 1000))
def test_class_totals_and_intercept_add_up_to_the_decision(seed: int):
    fit, rows = machine(seed)
    labels = np.random.default_rng(seed).integers(0, 4, 20)
    totals = class_totals(attribute(fit, rows)[0], labels, 4)
    assert totals.shape == (3, 4)
    np.testing.assert_allclose(totals.sum(axis=1) + fit.intercept, fit.decision_function(rows)[0], atol=1e-9)
    own = attribute(fit, rows)[0][:, labels == 2].sum(axis=1)
    np.testing.assert_allclose(totals[:, 2], own, atol=1e-12)


def test_too_large_an_array_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch):
    fit, rows = machine(2)
    monkeypatch.setattr(share, "MAX_BYTES", 8 * 3 * 20 * 5)
    for kind in ("share", "kernel", "same_class"):
        with pytest.raises(BudgetExceeded, match=r"at most 5 test points.*share_of"):
            attribute(fit, rows, kind=kind, **({"labels": np.arange(20) % 3} if kind == "same_class" else {}))
        assert attribute(fit, rows[:5], kind=kind, **({"labels": np.arange(20) % 3} if kind == "same_class" else {})).shape == (
            5,
            3,
            20,
        )


def test_unusable_input_is_refused_in_words():
    fit, rows = machine(3)
    for call, told in (
        (lambda: attribute(fit, rows, kind="removal"), "choose one of: removal_klr"),
        (lambda: attribute(fit, rows, lam=1.0), "no option 'lam'"),
        (lambda: attribute(fit, rows[:, 1:]), "20"),
        (lambda: share_of(fit, rows), "one test point"),
        (lambda: share_of(fit, rows[0], classes=[3]), "expected 0 to 2"),
        (lambda: contrast(attribute(fit, rows), 0, 3), "expected 0 to 2"),
        (lambda: contrast(attribute(fit, rows), True, 0), "expected 0 to 2"),
        (lambda: contrast(rows[0], 0, 1), "C, N"),
        (lambda: contrast(rows[:, None, :], 0, 0), "one score"),
        (lambda: class_totals(rows, np.zeros(20), 2), "whole numbers"),
        (lambda: class_totals(rows, np.full(20, 2), 2), "expected 0 to 1"),
        (lambda: class_totals(rows[0], np.zeros(20, dtype=int), 2), "C, N"),
        (lambda: class_totals(rows, np.zeros(20, dtype=int), 0), "n_classes"),
    ):
        with pytest.raises(ValueError, match=told):
            call()


def test_registry_says_what_each_kind_answers_and_what_it_does_not():
    rows = attributions()
    assert {"removal_klr", "removal_ridge", "additive_removal", "share", "kernel", "trak", "tracin", "grad_cos"} <= set(rows)
    assert next(iter(rows)) == "removal_klr"  # what pickers offer first
    for key, info in rows.items():
        assert info.key == key
        assert info.question.endswith("?")
    assert "adds up to the logit" in rows["share"].caveat
    assert "NOT what happens when the point is removed" in rows["share"].caveat
