"""Small sets that flip a prediction: sufficient, not needlessly large, and never smaller than what is proven."""

from itertools import combinations

import numpy as np
import pytest

from ntkviz.explain.flip import smallest_flip
from ntkviz.explain.what_if import WhatIfModel, remove
from ntkviz.scores import scores_of
from ntkviz.surrogates.fit import fit_surrogate
from tests.surrogates.problems import make_case


def model_of(kind: str, seed: int, *, n: int = 40, n_classes: int = 3, n_scores: int | None = None):
    case = make_case(seed, n=n, n_classes=n_classes, n_features=8)
    surrogate = fit_surrogate(case.kernel, case.labels, kind=kind, n_classes=n_scores)
    return case, WhatIfModel(surrogate, case.kernel, case.labels)


@pytest.mark.parametrize("kind", ["ridge", "klr"])
@pytest.mark.parametrize("seed", range(3))
def test_without_the_set_the_class_is_another(kind: str, seed: int):
    case, model = model_of(kind, seed)
    for row in case.rows[:4]:
        found = smallest_flip(model, row, max_size=25)
        after = model.fit(tuple(remove(i) for i in found.indices)).scores(row[None])
        assert int(scores_of(after).predicted[0]) == found.class_after
        assert found.flipped == (found.class_after != found.class_before)
        assert found.class_before == scores_of(model.surrogate.decision_function(row[None])).predicted[0]
        assert len(set(found.indices.tolist())) == len(found.indices) <= 25
        assert found.sizes[0] == 0
        assert len(found.sizes) == len(found.gaps)
        if found.flipped:
            assert found.gaps[0] > 0 >= found.gaps[-1]
            assert found.bound <= len(found.indices)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_below_the_proven_bound_flips_ridge_and_greedy_is_near_the_best(seed: int):
    case, model = model_of("ridge", seed, n=16)
    for row in case.rows[:4]:
        found = smallest_flip(model, row, max_size=12)
        smallest = next(
            (
                size
                for size in (1, 2, 3)
                for some in combinations(range(16), size)
                if scores_of(model.fit(tuple(map(remove, some))).scores(row[None])).predicted[0] != found.class_before
            ),
            4,
        )
        assert found.bound <= smallest
        if found.flipped and smallest < 4:
            assert len(found.indices) <= smallest + 1


def test_the_drops_are_never_larger_than_proven():
    case, model = model_of("ridge", 5, n=24)
    rng = np.random.default_rng(0)
    direction = np.array([[1.0, -1.0, 0.0]])
    before = model.surrogate.decision_function(case.rows) @ direction[0]
    for m, row in enumerate(case.rows):
        drops = model.largest_drops(row, direction, 8)
        assert drops is not None
        assert (np.diff(drops[0]) >= 0).all()
        for size in range(1, 9):
            for _ in range(20):
                chosen = rng.permutation(np.arange(3, 24))[:size]
                after = model.fit(tuple(map(remove, chosen.tolist()))).scores(row[None]) @ direction[0]
                assert before[m] - after[0] <= drops[0, size - 1] + 1e-9


def test_a_class_of_one_point_can_be_flipped_by_it_alone_and_the_bound_knows():
    case = make_case(3, n=40, n_classes=2, n_features=50)
    features = np.vstack([case.features, 60 * np.ones((1, 50))])
    kernel, labels = features @ features.T, np.append(case.labels, 2)
    model = WhatIfModel(fit_surrogate(kernel, labels, kind="ridge", lam=1e-6), kernel, labels)
    found = smallest_flip(model, kernel[-1], max_size=5)
    assert found.class_before == 2
    assert found.bound == 1
    assert found.flipped
    assert found.indices.tolist() == [40]


@pytest.mark.parametrize("kind", ["ridge", "klr"])
def test_one_logit_can_be_flipped_both_ways(kind: str):
    case, model = model_of(kind, 2, n_classes=2, n_scores=1)
    found = [smallest_flip(model, row, max_size=30) for row in case.rows]
    assert {one.class_before for one in found} == {0, 1}
    assert all(one.class_after == 1 - one.class_before for one in found if one.flipped)
    assert any(one.flipped for one in found)


def test_a_search_that_ends_without_a_flip_says_so():
    case, model = model_of("klr", 1)
    scores = model.surrogate.decision_function(case.rows)
    sure = int((np.sort(scores, axis=1)[:, -1] - np.sort(scores, axis=1)[:, -2]).argmax())
    found = smallest_flip(model, case.rows[sure], max_size=1)
    assert not found.flipped
    assert found.class_after == found.class_before
    assert any("did not change the class" in note for note in found.notes)


def test_when_effects_exceed_their_sum_the_note_says_it():
    case, model = model_of("klr", 3, n=60)
    found = [smallest_flip(model, row, max_size=40) for row in case.rows]
    told = [one for one in found if one.flipped and one.added is not None and one.added > len(one.indices)]
    assert told
    assert all(any("do more than the sum" in note for note in one.notes) for one in told)


@pytest.mark.parametrize("size", [0, -3, 2.5, True])
def test_an_unusable_size_is_refused(size):
    case, model = model_of("ridge", 0)
    with pytest.raises(ValueError, match="max_size"):
        smallest_flip(model, case.rows[0], max_size=size)
