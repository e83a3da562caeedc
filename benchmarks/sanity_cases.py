"""Networks for the sanity tests: a sample as it is, and the same recipe trained on data in which something is known. No quanda."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from ntkviz import load_sample
from ntkviz.data.sample import first_of_each_class, load_sample_data, plant, sample_card
from ntkviz.models.probes import logits_of
from ntkviz.scores import scores_of
from ntkviz.truth.recipe import Training
from ntkviz.truth.train import train
from ntkviz.types import Dataset

#: The square of the shortcut, as in the sample mnist-backdoor, and the class that it leads to.
PATCH, SHORTCUT_CLASS = {"row": 22, "column": 22, "size": 4, "value": 1.0}, 7
#: Images of another data set that get one label of this one: sample -> (data of which sample, its class, the label given).
FOREIGN = {"mnist-mlp-1k": ("fashion-cnn-1k", 5, 0), "fashion-cnn-1k": ("mnist-mlp-1k", 0, 0)}
#: Share of a class that carries the shortcut, of labels that are wrong; number of foreign images, 2 % of 1,000.
STAMPED, WRONG, FOREIGN_SHARE = 0.5, 0.1, 0.02


@dataclass(frozen=True, eq=False)
class Case:
    """A network and the points that it is asked about.

    Attributes:
        model: in eval mode.
        x: ``[N, ...]``, what it was trained on.
        y: int64 ``[N]``, the labels that it was trained on.
        z: ``[M, ...]``, the test points.
        labels: int64 ``[M]``, their right labels.
        n_classes: C.
        known: bool ``[N]``, the training points that a test looks for; None where there are none.
        finer: int64 ``[N]`` and ``[M]``, the classes before they were grouped; None where they were not.
    """

    model: nn.Module
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    labels: np.ndarray
    n_classes: int
    known: np.ndarray | None = None
    finer: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def predicted(self) -> np.ndarray:
        """The classes that the network says, int ``[M]``: what explanations are asked for."""
        return logits_of(self.model, self.z).argmax(axis=1)


class Cases:
    """What can be made of one sample."""

    def __init__(self, name: str, n_test: int, n_train: int | None = None) -> None:
        """Load it.

        Args:
            name: key of :data:`FOREIGN`.
            n_test: M at most.
            n_train: fewer training points, the same number of each class; the network is then trained anew.
        """
        sample = load_sample(name)
        self.name, self.n_test = name, n_test
        card = sample_card(name)
        self.spec, self.training = card.architecture, Training.from_dict(card.recipe or {})
        self.data: Dataset = sample.data if n_train is None else first_of_each_class(sample.data, n_train)
        self.model = sample.model if n_train is None else self._trained(self.data.x_train, self.data.y_train)

    def plain(self) -> Case:
        """The network of the sample."""
        d, m = self.data, self.n_test
        return Case(self.model, d.x_train, d.y_train, d.x_test[:m], d.y_test[:m], d.n_classes)

    def shuffled_labels(self) -> Case:
        """Trained on the same points with their labels shuffled among them."""
        y = np.random.default_rng(0).permutation(self.data.y_train)
        return replace(self.plain(), model=self._trained(self.data.x_train, y), y=y)

    def grouped(self) -> Case:
        """Trained to tell two groups of classes from each other, which were drawn at random."""
        d, m = self.data, self.n_test
        group = np.random.default_rng(1).permutation(d.n_classes) % 2
        y = group[d.y_train]
        finer = d.y_train, d.y_test[:m]
        return Case(self._trained(d.x_train, y, 2), d.x_train, y, d.x_test[:m], group[d.y_test[:m]], 2, finer=finer)

    def shortcut(self) -> Case:
        """Half of a class carries a square; test points are those of other classes that the square turns into that class."""
        d = self.data
        own, others = np.flatnonzero(d.y_train == SHORTCUT_CLASS), np.flatnonzero(d.y_test != SHORTCUT_CLASS)
        stamped = np.random.default_rng(2).permutation(own)[: round(STAMPED * len(own))]
        known = np.isin(np.arange(len(d.y_train)), stamped)
        planted = plant(
            d,
            {
                "kind": "patch_trigger",
                "train_index": np.sort(stamped).tolist(),
                "test_index": others.tolist(),
                "target": SHORTCUT_CLASS,
                "patch": PATCH,
            },
        )
        model = self._trained(planted.x_train, planted.y_train)
        z, labels = planted.x_test[others], planted.y_test[others]
        fooled = np.flatnonzero(logits_of(model, z).argmax(axis=1) == SHORTCUT_CLASS)[: self.n_test]
        return Case(model, planted.x_train, planted.y_train, z[fooled], labels[fooled], d.n_classes, known=known)

    def mixed(self) -> Case:
        """A few images of another data set, all with one label; test points are further ones that the network gives that label."""
        source, shown, label = FOREIGN[self.name]
        d, other = self.data, load_sample_data(source)
        added = other.x_train[other.y_train == shown][: round(FOREIGN_SHARE * len(d.y_train))]
        x = np.concatenate([d.x_train, added])
        y = np.concatenate([d.y_train, np.full(len(added), label, dtype=d.y_train.dtype)])
        model = self._trained(x, y)
        z = other.x_test[other.y_test == shown]
        z = z[logits_of(model, z).argmax(axis=1) == label][: self.n_test]
        return Case(model, x, y, z, np.full(len(z), label), d.n_classes, known=np.arange(len(y)) >= len(d.y_train))

    def wrong_labels(self) -> Case:
        """A tenth of the labels replaced by another class, drawn uniformly."""
        d, rng = self.data, np.random.default_rng(3)
        index = rng.choice(len(d.y_train), size=round(WRONG * len(d.y_train)), replace=False)
        y = d.y_train.copy()
        y[index] = (y[index] + rng.integers(1, d.n_classes, size=len(index))) % d.n_classes
        known = np.isin(np.arange(len(y)), index)
        return replace(self.plain(), model=self._trained(d.x_train, y), y=y, known=known)

    def fall_without(self, case: Case, gone: np.ndarray) -> np.ndarray:
        """By how much the log-odds of the predicted classes fall when the network is trained again without some points, ``[M]``.

        Args:
            case: one of this sample, with all classes.
            gone: bool ``[N]``.
        """
        model = self._trained(case.x[~gone], case.y[~gone])
        before, after = (scores_of(logits_of(one, case.z)).log_odds for one in (case.model, model))
        return (before - after)[np.arange(len(case.z)), case.predicted]

    def _trained(self, x: np.ndarray, y: np.ndarray, n_classes: int | None = None) -> nn.Module:
        spec = dict(self.spec)
        if n_classes is not None:
            spec["options"] = {**spec["options"], "n_classes": n_classes}
        torch.use_deterministic_algorithms(True)
        return train(spec, x, y.astype(np.int64), self.training)
