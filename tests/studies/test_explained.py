"""One prediction as a sum, for many classes, for two compared, and for a network with one logit."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkviz.studies.explained import explanation, runner_up
from ntkviz.surrogates.surrogate import Convergence, Surrogate
from ntkviz.ui.points import ORDERS, SHOWN, outcomes, select_points


@dataclass(frozen=True, eq=False)
class Small:
    """The fields of a study that these functions read."""

    rows: np.ndarray
    logits_test: np.ndarray
    surrogate: Surrogate
    surrogate_logits: np.ndarray
    class_names: tuple[str, ...]
    y_test: np.ndarray
    test_index: np.ndarray


def small(n_logits: int, seed: int = 0, n: int = 12, m: int = 20) -> Small:
    rng = np.random.default_rng(seed)
    fit = Surrogate(
        rng.normal(size=(n_logits, n)), rng.normal(size=n_logits), "klr", {}, 1.0, Convergence(True, 1, 0.0, "as given")
    )
    rows = rng.normal(size=(m, n)).astype(np.float32)
    n_classes = max(2, n_logits)
    return Small(
        rows,
        rng.normal(size=(m, n_logits)).astype(np.float32),
        fit,
        fit.decision_function(rows),
        tuple("abcdefgh"[:n_classes]),
        rng.integers(0, n_classes, m),
        rng.permutation(200)[:m],
    )


@given(st.integers(2, 6), st.integers(0, 50), st.data())
def test_shares_and_intercept_are_the_score(n_logits, seed, data):
    study = small(n_logits, seed)
    m, label = data.draw(st.integers(0, 19)), data.draw(st.integers(0, n_logits - 1))
    against = data.draw(st.one_of(st.none(), st.integers(0, n_logits - 1).filter(lambda c: c != label)))
    found = explanation(study, m, label, against)  # type: ignore[arg-type]
    assert abs(found.gap) < 1e-9
    np.testing.assert_allclose(found.shares, found.weight * found.similarity)
    wanted = study.surrogate_logits[m, label] - (0 if against is None else study.surrogate_logits[m, against])
    assert found.score == pytest.approx(wanted)


def test_one_logit_speaks_for_class_1_and_turned_round_for_class_0():
    study = small(1)
    one, zero = explanation(study, 3, 1), explanation(study, 3, 0)  # type: ignore[arg-type]
    assert one.score == pytest.approx(float(study.surrogate_logits[3, 0]))
    assert one.network == pytest.approx(float(study.logits_test[3, 0]))
    np.testing.assert_allclose(one.shares, -zero.shares)
    assert (one.score, one.network, one.intercept) == pytest.approx((-zero.score, -zero.network, -zero.intercept))
    assert abs(one.gap) < 1e-9
    assert runner_up(study, 3, 1) is None  # type: ignore[arg-type]


def test_a_class_is_not_compared_with_itself():
    with pytest.raises(ValueError, match="compared with itself"):
        explanation(small(3), 0, 1, 1)  # type: ignore[arg-type]


def test_runner_up_is_the_second_best():
    study = small(4)
    order = np.argsort(-study.logits_test[5])
    assert runner_up(study, 5, int(order[0])) == order[1]  # type: ignore[arg-type]


@pytest.mark.parametrize("n_logits", [1, 2, 5])
@pytest.mark.parametrize("shown", list(SHOWN))
@pytest.mark.parametrize("order", list(ORDERS))
def test_lists_hold_what_they_say_in_the_order_they_say(n_logits, shown, order):
    points = outcomes(small(n_logits))  # type: ignore[arg-type]
    found = select_points(points, shown=shown, order=order)
    kept = {"all": points.right | True, "network wrong": ~points.right, "surrogate differs": ~points.agrees}[shown]
    assert sorted(found) == np.flatnonzero(kept).tolist()
    values = {
        "least sure first": points.margin,
        "most sure first": -points.margin,
        "furthest apart": -np.abs(points.network_odds - points.surrogate_odds),
        "by id": points.ids,
    }[order][found]
    assert (np.diff(values) >= 0).all()


def test_margin_is_never_negative_and_zero_odds_are_the_boundary():
    for n_logits in (1, 2):
        points = outcomes(small(n_logits))  # type: ignore[arg-type]
        assert (points.margin >= 0).all()  # with two classes the class named is the likelier one


def test_an_unknown_filter_is_refused():
    with pytest.raises(ValueError, match="network wrong"):
        select_points(outcomes(small(2)), shown="some")  # type: ignore[arg-type]


def test_a_label_known_to_be_wrong_is_told_from_a_right_one():
    from ntkviz.data.sample import load_sample_data
    from ntkviz.ui.point_picker import true_class

    data = load_sample_data("mnist-mislabelled")
    assert data.meta is not None
    flipped = data.meta["flipped"].to_numpy()[: len(data.y_train)]
    named = np.array([data.class_names[c] for c in data.y_train])
    really = np.array([true_class(data, "train", i) for i in range(len(named))])
    np.testing.assert_array_equal(named != really, flipped)
    plain = load_sample_data("mnist-mlp")
    assert true_class(plain, "test", 3) == plain.class_names[plain.y_test[3]]
