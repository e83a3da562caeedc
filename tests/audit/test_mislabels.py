"""Scores for wrong labels: they find what is planted, and nothing else about the kernel matters."""

import numpy as np
import pytest

from ntkviz.audit.mislabels import INFOS, mislabels
from ntkviz.audit.planted import score_found, score_ranking
from ntkviz.surrogates.fit import fit_surrogate

KERNEL_METHODS = ["loo_margin", "dual_weight", "knn_disagreement"]


@pytest.mark.parametrize("method", KERNEL_METHODS)
def test_planted_flips_stand_first_and_their_class_is_suggested(flipped, method):
    found = mislabels(flipped.kernel, flipped.labels, method=method)
    assert score_ranking(found.scores, flipped.wrong).auc > 0.99
    assert set(found.order[:9]) == set(np.flatnonzero(flipped.wrong))
    np.testing.assert_array_equal(found.suggested[flipped.wrong], flipped.right[flipped.wrong])


def test_the_cut_of_the_left_out_margin_needs_no_list(flipped):
    scored = score_found(np.flatnonzero(mislabels(flipped.kernel, flipped.labels).contradicted), flipped.wrong)
    assert scored.precision == scored.recall == 1


def test_the_margin_is_that_of_a_fit_without_the_point(flipped):
    found = mislabels(flipped.kernel, flipped.labels, lam=0.5)
    scale = np.diagonal(flipped.kernel).mean()
    for i in (0, int(np.flatnonzero(flipped.wrong)[0])):
        kept = np.delete(np.arange(90), i)
        inner = flipped.kernel[np.ix_(kept, kept)]
        lam = 0.5 * scale / np.diagonal(inner).mean()
        scores = fit_surrogate(inner, flipped.labels[kept], kind="ridge", lam=lam).decision_function(
            flipped.kernel[[i]][:, kept]
        )[0]
        others = np.delete(scores, flipped.labels[i])
        assert found.scores[i] == pytest.approx(others.max() - scores[flipped.labels[i]], abs=1e-9)


@pytest.mark.parametrize("method", KERNEL_METHODS)
def test_the_scale_of_the_kernel_does_not_matter(flipped, method):
    one = mislabels(flipped.kernel, flipped.labels, method=method)
    other = mislabels(1e4 * flipped.kernel, flipped.labels, method=method)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(one.suggested, other.suggested)


@pytest.mark.parametrize("method", KERNEL_METHODS)
def test_points_in_another_order_get_the_same_scores(flipped, method):
    moved = np.random.default_rng(3).permutation(90)
    one = mislabels(flipped.kernel, flipped.labels, method=method)
    other = mislabels(flipped.kernel[np.ix_(moved, moved)], flipped.labels[moved], method=method)
    np.testing.assert_allclose(one.scores[moved], other.scores, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(one.contradicted[moved], other.contradicted)


def test_a_dual_weight_ranks_as_the_doubt_of_the_fit(flipped):
    found = mislabels(flipped.kernel, flipped.labels, method="dual_weight")
    chances = fit_surrogate(flipped.kernel, flipped.labels, kind="klr", lam=0.1).predict_proba(flipped.kernel)
    doubt = 1 - chances[np.arange(90), flipped.labels]
    np.testing.assert_allclose(found.scores, doubt**2 / 0.1, rtol=1e-2, atol=1e-4)


def test_the_networks_own_loss_needs_no_kernel_and_knows_one_logit():
    logits = np.array([[2.0], [-1.0], [3.0]])
    found = mislabels(np.eye(3), np.array([1, 1, 0]), method="network_loss", logits=logits)
    np.testing.assert_allclose(found.scores, np.log1p(np.exp([-2.0, 1.0, 3.0])))
    np.testing.assert_array_equal(found.suggested, [0, 0, 1])
    np.testing.assert_array_equal(found.contradicted, [False, True, True])


def test_the_networks_loss_is_the_cross_entropy_also_where_float32_is_sure():
    logits = np.array([[200.0, 0.0, -5.0], [0.0, 1.0, 3.0]])
    found = mislabels(np.eye(2), np.array([1, 1]), method="network_loss", logits=logits)
    np.testing.assert_allclose(found.scores, [200.0, np.log(1 + np.e + np.e**3) - 1])
    assert found.cut == 2


def test_a_cut_is_given_only_where_the_contradicted_are_the_first(flipped):
    assert mislabels(flipped.kernel, flipped.labels).cut == 9
    logits = np.array([[0.0, 0.5, -9.0], [1.0, 0.9, 0.95]])  # the second is right and its loss the larger
    found = mislabels(np.eye(2), np.array([0, 0]), method="network_loss", logits=logits)
    assert found.contradicted.tolist() == [True, False]
    assert found.cut is None


def test_ties_among_neighbours_are_broken_below_one_vote(flipped):
    found = mislabels(flipped.kernel, flipped.labels, method="knn_disagreement", k=10)
    cosines = flipped.kernel - 2 * np.eye(90)
    near = np.argsort(-cosines, axis=1)[:, :10]
    votes = (flipped.labels[near][:, :, None] == np.arange(3)).sum(1)
    own = votes[np.arange(90), flipped.labels]
    votes[np.arange(90), flipped.labels] = -1
    assert np.abs(found.scores - (votes.max(1) - own) / 10).max() < 0.05


def test_the_only_point_of_its_class_is_no_suspect_and_a_note_says_so(flipped):
    labels = flipped.labels.copy()
    labels[4] = 3
    found = mislabels(flipped.kernel, labels)
    assert not found.contradicted[4]
    assert found.scores[4] == found.scores.min()
    assert any("only ones of their class" in note for note in found.notes)


def test_what_cannot_be_scored_is_refused_with_the_reason(flipped):
    with pytest.raises(ValueError, match="no score 'magic'"):
        mislabels(flipped.kernel, flipped.labels, method="magic")
    with pytest.raises(ValueError, match="one label"):
        mislabels(flipped.kernel, np.zeros(90, dtype=int))
    with pytest.raises(ValueError, match="square"):
        mislabels(flipped.rows, flipped.labels)
    with pytest.raises(ValueError, match="one label a point"):
        mislabels(flipped.kernel, flipped.labels[:-1])
    with pytest.raises(ValueError, match="whole numbers"):
        mislabels(flipped.kernel, flipped.labels + 0.5)
    with pytest.raises(ValueError, match="lam"):
        mislabels(flipped.kernel, flipped.labels, lam=0.0)
    with pytest.raises(ValueError, match="k must be"):
        mislabels(flipped.kernel, flipped.labels, method="knn_disagreement", k=0)
    with pytest.raises(ValueError, match="logits"):
        mislabels(flipped.kernel, flipped.labels, method="network_loss")
    with pytest.raises(ValueError, match="mean diagonal"):
        mislabels(np.zeros((90, 90)), flipped.labels)
    assert {info.key for info in INFOS} == {*KERNEL_METHODS, "network_loss"}
