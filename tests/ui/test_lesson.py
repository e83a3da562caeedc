"""The lesson's arithmetic: gradients against differences, sums against decisions, removal against real retraining."""

import numpy as np
import pytest

from ntkviz.ui import lesson, toy


@pytest.fixture(scope="module")
def machine() -> lesson.Machine:
    return lesson.machine()


@pytest.mark.parametrize("x", [-1.3, 0.0, 0.4, 2.0])
def test_two_parameter_gradient_is_the_limit_of_differences(x):
    net, step = toy.TwoParameters(), 1e-6
    by_a = (toy.TwoParameters(net.a + step, net.b)(x) - toy.TwoParameters(net.a - step, net.b)(x)) / (2 * step)
    by_b = (toy.TwoParameters(net.a, net.b + step)(x) - toy.TwoParameters(net.a, net.b - step)(x)) / (2 * step)
    np.testing.assert_allclose(net.gradient(np.array(x)), [by_a, by_b], atol=1e-9)


def test_the_error_of_the_kernels_forecast_shrinks_with_the_square_of_the_step():
    net = toy.TwoParameters()
    errors = []
    for rate in (0.1, 0.01):
        kernel = float(net.gradient(np.array(0.8)) @ net.gradient(np.array(2.0)))
        foretold = -rate * (float(net(np.array(2.0))) - 1.0) * kernel
        errors.append(abs(float(net.stepped(2.0, 1.0, rate)(np.array(0.8)) - net(np.array(0.8))) - foretold))
    assert errors[1] < errors[0] / 50


def test_the_planes_gradient_is_the_limit_of_differences(machine):
    x, step = np.array([[0.3, -0.4], [-1.0, 0.7]]), 1e-6
    found = machine.network.gradient(x)
    assert found.shape == (2, 4 * toy.HIDDEN + 1)
    sizes = {"w1": 2 * toy.HIDDEN, "b1": toy.HIDDEN, "w2": toy.HIDDEN, "b2": 1}
    column = 0
    for name, size in sizes.items():
        for place in range(size):
            moved = []
            for sign in (1, -1):
                parts = {key: getattr(machine.network, key).copy() for key in sizes}
                parts[name][0].reshape(-1)[place] += sign * step
                moved.append(toy.Plane(**parts).logits(x)[0])
            np.testing.assert_allclose(found[:, column], (moved[0] - moved[1]) / (2 * step), atol=1e-7)
            column += 1


@pytest.mark.parametrize("name", list(lesson.QUERIES))
def test_shares_and_intercept_add_up_to_the_score(machine, name):
    asked = lesson.question(machine, name)
    assert asked.shares.sum() + asked.intercept == pytest.approx(asked.score, abs=1e-12)
    np.testing.assert_allclose(asked.similarity, machine.row(asked.query))


@pytest.mark.parametrize("name", list(lesson.QUERIES))
def test_surrogate_and_network_name_the_same_class_where_the_lesson_asks(machine, name):
    asked = lesson.question(machine, name)
    assert (asked.score > 0) == (asked.logit > 0)


def test_networks_trained_together_are_those_trained_alone(machine):
    query = np.array([0.5, -0.2])
    full, effect = toy.removal_truth(machine.points, machine.labels, query)
    weight = np.ones((1, len(machine.points)))
    weight[0, 7] = 0
    alone = toy.train_plane(machine.points, machine.labels, weight).logits(query[None])[0, 0]
    assert full - effect[7] == pytest.approx(alone, rel=1e-6)


def test_the_toy_network_learns_its_points(machine):
    assert ((machine.network.logits(machine.points)[0] > 0) == machine.labels).all()


def test_the_answer_is_the_largest_share_and_among_the_letters(machine):
    for name in lesson.QUERIES:
        asked = lesson.question(machine, name)
        top = int(np.abs(asked.shares).argmax())
        assert asked.letters[top] == asked.answer
        assert list(asked.letters.values()) == sorted(asked.letters.values())


def test_rank_correlation_is_spearmans():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=40), rng.normal(size=40).round(1)
    assert lesson.rank_correlation(x, y) == pytest.approx(float(np.asarray(spearmanr(x, y))[0]))
    assert np.isnan(lesson.rank_correlation(np.ones(5), np.arange(5.0)))
