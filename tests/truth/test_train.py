"""Laws of one training: minibatches hold every point once, and BatchNorm never sees a minibatch of one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ntkviz.errors import UnsupportedModel
from ntkviz.models.probes import logits_of
from ntkviz.truth import train as room
from ntkviz.truth.retrain import retrain
from ntkviz.truth.train import batch_sizes, train
from ntkviz.truth.truth import half_subsets
from tests.truth.made import MLP, SGD, images

NORMED = {"name": "tabular", "options": {"features": 36, "n_classes": 3, "width": 8, "blocks": 1, "norm": "batch"}}


@pytest.fixture
def table():
    data = images(33)
    return replace(data, x_train=data.x_train.reshape(33, 36), x_test=data.x_test.reshape(-1, 36), kind="tabular")


@pytest.fixture
def seen(monkeypatch):
    """The sizes of the minibatches that losses were computed on."""
    sizes: list[int] = []
    loss_of = room.loss_of
    monkeypatch.setattr(room, "loss_of", lambda logits, labels: sizes.append(len(labels)) or loss_of(logits, labels))
    return sizes


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize(("n", "size"), [(33, 8), (32, 8), (7, 8), (8, 8), (9, 8), (5, 2)])
def test_minibatches_hold_every_point(n, size, normed):
    sizes = batch_sizes(n, size, normed=normed)
    assert sum(sizes) == n
    assert set(sizes[:-1]) <= {size}
    assert sizes[-1] <= size + normed
    assert (1 in sizes) == (not normed and n % size == 1)


def test_a_last_point_alone_joins_the_minibatch_before_it(table, seen):
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        torch.nn.BatchNorm1d(3)(torch.zeros(1, 3))  # what would be said without
    model = train(NORMED, table.x_train, table.y_train, replace(SGD, epochs=2))
    assert seen == [8, 8, 8, 9] * 2
    assert np.isfinite(logits_of(model, table.x_test)).all()


def test_without_batch_norm_the_last_point_stays_alone(seen):
    data = images(33)
    train(MLP, data.x_train, data.y_train, replace(SGD, epochs=1))
    assert seen == [8, 8, 8, 8, 1]


def test_the_learning_rate_ends_at_zero_in_either_case(table, monkeypatch):
    made = []
    make = room.make_schedule
    monkeypatch.setattr(room, "make_schedule", lambda *given: made.append(make(*given)) or made[-1])
    train(NORMED, table.x_train, table.y_train, replace(SGD, epochs=3))
    assert made[0].get_last_lr() == pytest.approx([0.0], abs=1e-12)


def test_retraining_on_parts_works_whatever_is_left_over(table):
    masks = half_subsets(33, 3, 0)
    size = int(masks[0].sum()) - 1  # the second minibatch of each part has one point
    found = retrain(NORMED, table, masks, np.arange(3), replace(SGD, epochs=1, batch_size=size))
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("n", "size"), [(33, 1), (1, 8)])
def test_one_point_a_minibatch_is_refused_before_training(table, seen, n, size):
    with pytest.raises(UnsupportedModel, match="two points or more"):
        train(NORMED, table.x_train[:n], table.y_train[:n], replace(SGD, batch_size=size))
    assert not seen
