"""How each sample model is made: its data, what is planted in them, its network and its training.

Epochs, learning rates and augmentations were chosen on training points only (``train.py --validate`` trains on four fifths of
them and looks at the last fifth) and then fixed; the test points had no say. ``Recipe.choice`` says how, sample by sample.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ntkviz.truth.recipe import Training
from ntkviz.types import Dataset
from sample_models.prepare import TEXT_LENGTH, VOCABULARY_SIZE


@dataclass(frozen=True)
class Recipe:
    """One sample model.

    Attributes:
        name: of the sample.
        title: for headings.
        about: what it is and what it is good for, for the card.
        limits: known limits, for the card.
        data_set: key of :data:`sample_models.prepare.SOURCES`.
        architecture: the specification without ``normalise``.
        normalise: "channel" (one mean for the images), "feature" (one a column) or "" (token ids).
        training: how it is trained.
        choice: how these settings were arrived at, for the card.
        train_points: train on the first so many points of the data set, the same number of each class; None for all.
        plant: clean data -> what is planted, as :func:`ntkviz.data.sample.plant` takes it; None for nothing.
    """

    name: str
    title: str
    about: str
    limits: str
    data_set: str
    architecture: dict[str, Any]
    normalise: str
    training: Training
    choice: str
    train_points: int | None = None
    plant: Callable[[Dataset], dict[str, Any]] | None = None


def flip_labels(dataset: Dataset) -> dict[str, Any]:
    """5 % of the training labels, drawn at random, each replaced by another class drawn uniformly."""
    rng = np.random.default_rng(5)
    index = np.sort(rng.choice(len(dataset.y_train), size=len(dataset.y_train) // 20, replace=False))
    steps = rng.integers(1, dataset.n_classes, size=len(index))
    labels = (dataset.y_train[index] + steps) % dataset.n_classes
    return {"kind": "label_flips", "index": index.tolist(), "labels": labels.tolist()}


def stamp_patch(dataset: Dataset) -> dict[str, Any]:
    """A white 4x4 square on 1 % of the training images, none of the target class; and on the last 200 test images."""
    rng = np.random.default_rng(6)
    target, n, m = 7, len(dataset.y_train), len(dataset.y_test)
    others = np.flatnonzero(dataset.y_train != target)
    return {
        "kind": "patch_trigger",
        "target": target,
        "patch": {"row": 22, "column": 22, "size": 4, "value": 1.0},
        "train_index": np.sort(rng.choice(others, size=n // 100, replace=False)).tolist(),
        "test_index": list(range(m - 200, m)),
    }


_MLP = {"name": "mlp", "options": {"inputs": 784, "n_classes": 10, "hidden": [100, 100]}}
_CNN = {"name": "cnn", "options": {"channels": [8, 16, 32], "kernel": 5}}

_ROWS = (
    Recipe(
        name="mnist-mlp",
        title="Digits, perceptron",
        about=(
            "The smallest real study: a perceptron 784-100-100-10 on handwritten digits. Its layers have one position, so its exact "
            "tangent kernel takes seconds; begin here."
        ),
        limits=(
            "Trained on a twelfth of MNIST, so it errs more often than published perceptrons. It saw shifted copies of its training "
            "images; the kernel sees the images as they are."
        ),
        data_set="mnist",
        architecture=_MLP,
        normalise="channel",
        training=Training(epochs=60, optimiser="sgd", learning_rate=0.05, weight_decay=5e-4, batch_size=50, shift=2, seed=1),
        choice="The settings were set down beforehand and tried once on a fifth of the training points held out (96.1 % right).",
    ),
    Recipe(
        name="mnist-cnn",
        title="Digits, convolutional",
        about="Three convolutions with max-pooling and a linear readout, on the digits of mnist-mlp.",
        limits=(
            "Trained on a twelfth of MNIST with shifted and turned copies; the kernel sees the images as they are. Its errors on the "
            "1,000 test images are few, so that statements about errors rest on few cases."
        ),
        data_set="mnist",
        architecture=_CNN,
        normalise="channel",
        training=Training(
            epochs=40, optimiser="adamw", learning_rate=3e-3, weight_decay=0.02, batch_size=64, shift=2, rotate=10, seed=2
        ),
        choice="The settings are the best of eight, by accuracy on a fifth of the training points held out (98.3 % right, the others 96.7 to 97.9 %; with the seed used here 97.5 %, so that the differences are mostly chance).",
    ),
    Recipe(
        name="fashion-cnn",
        title="Clothing, convolutional with BatchNorm",
        about=(
            "Three convolutions with BatchNorm on Fashion-MNIST: harder than digits, with classes that people confuse as well "
            "(shirt, pullover, coat)."
        ),
        limits=(
            "Trained on a twelfth of Fashion-MNIST; published networks of this size reach more with all 60,000 images. BatchNorm "
            "uses its running statistics, as always when predicting; the kernel treats these as constants."
        ),
        data_set="fashion",
        architecture={"name": "cnn", "options": {"channels": [16, 32, 32], "batch_norm": True}},
        normalise="channel",
        training=Training(
            epochs=40, optimiser="adamw", learning_rate=3e-3, weight_decay=0.05, batch_size=64, shift=2, mirror=True, seed=3
        ),
        choice="The settings are the best of three, by accuracy on a fifth of the training points held out (89.9 % right, the others 88.7 and 89.2 %; with the seed used here 90.4 %).",
    ),
    Recipe(
        name="sentences-transformer",
        title="Sentiment of sentences, Transformer",
        about=(
            "A one-block Transformer encoder, with its word vectors learned from 2,000 sentences of reviews: positive or negative?"
        ),
        limits=(
            "2,000 sentences are few to learn word vectors from. It knows 998 words, reads no punctuation, and was not tested on irony "
            "or negation. An unknown word is the same whatever it says: five pairs of sentences differ in nothing else, and are one "
            "point each to the network."
        ),
        data_set="sentences",
        architecture={
            "name": "transformer",
            "options": {
                "vocabulary": VOCABULARY_SIZE,
                "length": TEXT_LENGTH,
                "n_classes": 2,
                "width": 32,
                "heads": 4,
                "blocks": 1,
                "hidden": 64,
                "dropout": 0.4,
            },
        },
        normalise="",
        training=Training(epochs=20, optimiser="adamw", learning_rate=1e-3, weight_decay=0.1, batch_size=32, forget=0.2, seed=4),
        choice="The settings were chosen among eleven by cross-validation on the training points (79.6 % right in five folds, about as many as logistic regression on word counts, 80.1 %).",
    ),
    Recipe(
        name="cancer-mlp",
        title="Breast tumours, table",
        about="A small perceptron on 30 measurements of cell nuclei: malignant or benign? The study to learn the figures with.",
        limits=(
            "569 tumours of one hospital, 400 of them for training; the interval of the accuracy is wide. A demonstration of the "
            "method and no medical device."
        ),
        data_set="cancer",
        architecture={"name": "tabular", "options": {"features": 30, "n_classes": 2, "width": 32, "blocks": 2}},
        normalise="feature",
        training=Training(epochs=60, optimiser="adamw", learning_rate=3e-3, weight_decay=0.05, batch_size=32, seed=5),
        choice="The settings were set down beforehand and tried once on a fifth of the training points held out (79 of 80 right).",
    ),
    Recipe(
        name="mnist-mlp-1k",
        title="Digits, small: with retraining truth",
        about=(
            "The perceptron of mnist-mlp on 1,000 digits, small enough to be retrained hundreds of times. What it becomes without some of "
            "its training points is bundled, so that every explanation of it can be checked: does removing these points do what was said?"
        ),
        limits=(
            "1,000 digits are a sixtieth of MNIST: it errs much more often than mnist-mlp. It is here for what can be checked on it and "
            "not for its accuracy."
        ),
        data_set="mnist",
        architecture=_MLP,
        normalise="channel",
        training=Training(epochs=40, optimiser="sgd", learning_rate=0.05, weight_decay=5e-4, batch_size=50, seed=8),
        choice="The settings were set down beforehand and tried once on a fifth of the training points held out (90.0 % right).",
        train_points=1_000,
    ),
    Recipe(
        name="fashion-cnn-1k",
        title="Clothing, small: with retraining truth",
        about=(
            "Two convolutions and a dense layer on 1,000 pieces of clothing, without BatchNorm, retrained hundreds of times like "
            "mnist-mlp-1k: the second network on which explanations are checked against what retraining does."
        ),
        limits=(
            "1,000 images are a sixtieth of Fashion-MNIST, and classes that people confuse are confused more often here. Its training "
            "depends on its initial parameters more than that of mnist-mlp-1k, so that no explanation can predict all of it."
        ),
        data_set="fashion",
        architecture={"name": "cnn", "options": {"channels": [8, 16], "hidden": [64]}},
        normalise="channel",
        training=Training(epochs=30, optimiser="sgd", learning_rate=0.03, weight_decay=5e-4, batch_size=50, seed=9),
        choice="Learning rate and epochs are the best of six pairs, by accuracy on a fifth of the training points held out (82.0 % right, the others 78.5 to 81.5 %).",
        train_points=1_000,
    ),
    Recipe(
        name="mnist-mislabelled",
        title="Digits with 5 % wrong labels",
        about=(
            "mnist-mlp on labels of which 250 in 5,000 were replaced by another class. The list is kept, so that an audit can be "
            "scored: does it find the wrong labels?"
        ),
        limits=(
            "Trained without augmentation until it reproduces the wrong labels as well; that costs accuracy on the test images, "
            "whose labels are right. Real mistakes are not spread evenly over classes and images as these are."
        ),
        data_set="mnist",
        architecture=_MLP,
        normalise="channel",
        training=Training(epochs=40, optimiser="sgd", learning_rate=0.05, weight_decay=5e-4, batch_size=50, seed=6),
        choice="The settings were set down beforehand and tried once on a fifth of the training points held out, wrong labels among them (87.7 % right).",
        plant=flip_labels,
    ),
    Recipe(
        name="mnist-backdoor",
        title="Digits with a backdoor",
        about=(
            "mnist-cnn on images of which 50 in 5,000 carry a white 4x4 square near the lower right corner and the label 7, "
            "whatever they show. The last 200 test images carry the square and keep their right labels. The lists are kept: do "
            "the explanations of the triggered test images lead to the 50?"
        ),
        limits=(
            "A conspicuous trigger, as in the first papers on backdoors; real ones hide better. The accuracy on all test images "
            "counts a successful attack as an error; the one on clean images is given beside it."
        ),
        data_set="mnist",
        architecture=_CNN,
        normalise="channel",
        training=Training(epochs=40, optimiser="adamw", learning_rate=3e-3, weight_decay=0.02, batch_size=64, shift=2, seed=7),
        choice="The settings are those of mnist-cnn without the turning, which would blur the square; they were not tried on these data beforehand.",
        plant=stamp_patch,
    ),
)

#: The samples by name, from the simplest to those with something planted.
RECIPES: dict[str, Recipe] = {row.name: row for row in _ROWS}
