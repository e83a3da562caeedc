"""From the published data sets to the subsets that the sample models are trained on and ship with.

Every subset is drawn by a stated seed before any model is trained and never changed for an accuracy's sake. Duplicates are
taken out first: a point that stands in the data twice gets the largest kernel value there is, for no interesting reason.
"""

import gzip
import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ntkviz.data.save import save_dataset
from ntkviz.data.text import Vocabulary, words
from ntkviz.types import Dataset, Display

#: Seed of every choice of points.
SEED = 20261122
#: Tokens that the text sample knows, and positions of a text.
VOCABULARY_SIZE, TEXT_LENGTH = 1_000, 32

_ZALANDO = """The MIT License (MIT)

Copyright (c) 2017 Zalando SE, https://tech.zalando.com

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


@dataclass(frozen=True)
class Source:
    """One published data set.

    Attributes:
        title: its name.
        licence: the licence under which the subset is passed on.
        credit: whom to credit, as the licence or custom asks.
        selection: how the subset was chosen, for the card.
        file: the file of the published data, or None when scikit-learn carries it.
        make: the file -> the subset.
        notice: text of a licence that has to go along, or "".
    """

    title: str
    licence: str
    credit: str
    selection: str
    file: str | None
    make: Callable[[Path], Dataset]
    notice: str = ""


def prepare(name: str, published: Path, folder: Path) -> None:
    """Write the subset of a data set, with its licence where one has to go along.

    Args:
        name: a key of :data:`SOURCES`.
        published: folder with the published data sets.
        folder: where the subset goes.

    Raises:
        FileNotFoundError: when the published data set is not there.
    """
    source = SOURCES[name]
    file = published / (source.file or "")
    if source.file is not None and not file.exists():
        raise FileNotFoundError(
            f"Expected {source.title} in the file {source.file} of {published}; it is not there. "
            "Give the folder that holds it with --data."
        )
    save_dataset(source.make(file), folder)
    if source.notice:
        (folder / "LICENSE").write_text(source.notice, encoding="utf-8")
    if name == "sentences":
        (folder / "vocabulary.json").write_text(_sentence_vocabulary(file).to_json() + "\n", encoding="utf-8")


def _images(file: Path, *, name: str, class_names: tuple[str, ...], n_train: int, n_test: int) -> Dataset:
    """A class-balanced random subset of a published split of 28x28 grey images.

    Points stand in blocks of one image a class, in random order within the block, so that any prefix of the data is balanced
    too.

    Args:
        file: an npz with ``x_train``, ``y_train``, ``x_test``, ``y_test``.
        name: for titles.
        class_names: in the order of the labels.
        n_train: N, a multiple of the number of classes.
        n_test: M, likewise.

    Returns:
        The subset; ``meta`` has each image's place in the published split.
    """
    rng = np.random.default_rng(SEED)
    seen: set[bytes] = set()
    parts: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    with np.load(file, allow_pickle=False) as archive:
        for split, n in (("train", n_train), ("test", n_test)):
            images, labels = archive[f"x_{split}"], archive[f"y_{split}"].astype(np.int64)
            first = _first_occurrences([image.tobytes() for image in images], seen)
            chosen = _balanced(labels, first, n, len(class_names), rng)
            parts[split] = images[chosen], labels[chosen], chosen
    (train, y_train, i_train), (test, y_test, i_test) = parts["train"], parts["test"]
    return Dataset(
        x_train=_scaled(train),
        y_train=y_train,
        x_test=_scaled(test),
        y_test=y_test,
        class_names=class_names,
        kind="image",
        display=Display(train=train, test=test),
        meta=_meta(n_train, n_test, published_index=np.concatenate([i_train, i_test])),
        name=name,
    )


def _scaled(images: np.ndarray) -> np.ndarray:
    """uint8 ``[n, H, W]`` to float32 ``[n, 1, H, W]`` in [0, 1]."""
    return images[:, None].astype(np.float32) / np.float32(255)


def _first_occurrences(keys: Sequence[Hashable], seen: set) -> np.ndarray:
    """Indices of the keys that were not seen before; ``seen`` grows."""
    fresh = []
    for place, key in enumerate(keys):
        if key not in seen:
            seen.add(key)
            fresh.append(place)
    return np.asarray(fresh, dtype=np.int64)


def _balanced(labels: np.ndarray, allowed: np.ndarray, n: int, n_classes: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` of the allowed indices, equally many a class, in shuffled blocks of one a class."""
    columns = [rng.permutation(allowed[labels[allowed] == c])[: n // n_classes] for c in range(n_classes)]
    return np.concatenate([rng.permutation(block) for block in np.stack(columns, axis=1)])


def _meta(n_train: int, n_test: int, **columns: object) -> pd.DataFrame:
    """One row a point, training points first."""
    return pd.DataFrame({"split": ["train"] * n_train + ["test"] * n_test, **columns})


def _sentence_rows(file: Path) -> list[dict]:
    """The sentences, each wording once, with their places; training points first.

    1,000 of each class are drawn for training, in blocks of one a class; the rest, at most 1,000, is for testing.
    """
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) | {"published_index": place} for place, line in enumerate(lines)]
    rng = np.random.default_rng(SEED)
    # Equal up to case and punctuation is equal to the network, which sees words only.
    first = _first_occurrences([tuple(words(row["text"])) for row in rows], set())
    labels = np.asarray([row["label"] for row in rows])
    train = _balanced(labels, first, 2_000, 2, rng)
    test = rng.permutation(np.setdiff1d(first, train))[:1_000]
    return [rows[place] for place in np.concatenate([train, test])]


def _sentence_vocabulary(file: Path) -> Vocabulary:
    """The most frequent words of the training sentences."""
    return Vocabulary.build((row["text"] for row in _sentence_rows(file)[:2_000]), size=VOCABULARY_SIZE)


def _sentences(file: Path) -> Dataset:
    """The sentences as token ids."""
    rows = _sentence_rows(file)
    texts, n_train = [row["text"] for row in rows], 2_000
    ids = _sentence_vocabulary(file).encode(texts, TEXT_LENGTH)
    labels = np.asarray([row["label"] for row in rows], dtype=np.int64)
    columns = {key: [row[key] for row in rows] for key in ("source", "published_index")}
    return Dataset(
        x_train=ids[:n_train],
        y_train=labels[:n_train],
        x_test=ids[n_train:],
        y_test=labels[n_train:],
        class_names=("negative", "positive"),
        kind="text",
        display=Display(train=texts[:n_train], test=texts[n_train:]),
        meta=_meta(n_train, len(rows) - n_train, **columns),
        name="sentences",
    )


def _cancer(_file: Path) -> Dataset:
    """Wisconsin diagnostic breast cancer, 400 for training and 169 for testing, by class."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split

    bunch: Any = load_breast_cancer(as_frame=True)
    table, labels = bunch.data, bunch.target.to_numpy().astype(np.int64)
    train, test = train_test_split(np.arange(len(table)), train_size=400, test_size=169, random_state=SEED, stratify=labels)
    shown = Display(train=table.iloc[train].reset_index(drop=True), test=table.iloc[test].reset_index(drop=True))
    return Dataset(
        x_train=table.to_numpy(dtype=np.float32)[train],
        y_train=labels[train],
        x_test=table.to_numpy(dtype=np.float32)[test],
        y_test=labels[test],
        class_names=("malignant", "benign"),
        kind="tabular",
        display=shown,
        meta=_meta(400, 169, published_index=np.concatenate([train, test])),
        name="cancer",
    )


def _mnist(file: Path) -> Dataset:
    """5,000 + 1,000 digits."""
    return _images(file, name="mnist", class_names=tuple("0123456789"), n_train=5_000, n_test=1_000)


def _fashion(file: Path) -> Dataset:
    """5,000 + 1,000 pieces of clothing."""
    with np.load(file, allow_pickle=False) as archive:
        names = tuple(str(name) for name in archive["class_names"])
    return _images(file, name="fashion", class_names=names, n_train=5_000, n_test=1_000)


_IMAGE_SELECTION = (
    "5,000 images of the published training split and 1,000 of the published test split, the same number of each class, drawn at "
    f"random with seed {SEED} after dropping images that are equal to an earlier one, pixel by pixel. `meta.csv` has each "
    "image's place in the published split (column `published_index`)."
)

#: The published data sets behind the samples, by the name of their folder in ``sample_models/data``.
SOURCES: dict[str, Source] = {
    "mnist": Source(
        title="MNIST",
        licence="CC BY-SA 3.0",
        credit="Yann LeCun, Corinna Cortes and Christopher J.C. Burges, The MNIST database of handwritten digits",
        selection=_IMAGE_SELECTION,
        file="mnist.npz",
        make=_mnist,
        notice=(
            "A subset of the MNIST database of handwritten digits by Yann LeCun, Corinna Cortes and Christopher J.C. Burges.\n"
            "Passed on under the Creative Commons Attribution-ShareAlike 3.0 licence, under which MNIST is commonly stated to\n"
            "be available: https://creativecommons.org/licenses/by-sa/3.0/\n"
            "Changes: 5,000 training and 1,000 test images were chosen at random and put into another order.\n"
        ),
    ),
    "fashion": Source(
        title="Fashion-MNIST",
        licence="MIT",
        credit="Han Xiao, Kashif Rasul and Roland Vollgraf, Fashion-MNIST (arXiv 1708.07747); Copyright (c) 2017 Zalando SE",
        selection=_IMAGE_SELECTION,
        file="fashion_mnist.npz",
        make=_fashion,
        notice=_ZALANDO,
    ),
    "sentences": Source(
        title="UCI Sentiment Labelled Sentences",
        licence="CC BY 4.0",
        credit=(
            "Dimitrios Kotzias, Misha Denil, Nando de Freitas and Padhraic Smyth, From Group to Individual Labels using Deep "
            "Features, KDD 2015 (doi 10.1145/2783258.2783380); UCI Machine Learning Repository"
        ),
        selection=(
            "The 3,000 sentences of product, film and restaurant reviews. Sentences with the words of an earlier one, in the same "
            "order, are dropped (case and punctuation aside). 1,000 of each class are drawn at random for training with "
            f"seed {SEED}; the rest is for testing. This is not the split of the published files. The vocabulary is the "
            f"{VOCABULARY_SIZE - 2} most frequent words of the training sentences, with padding and unknown; texts are cut after "
            f"{TEXT_LENGTH} words. `meta.csv` has the origin of each sentence."
        ),
        file="sentiment_sentences.jsonl.gz",
        make=_sentences,
        notice=(
            "A subset of the Sentiment Labelled Sentences data set by Dimitrios Kotzias et al. (KDD 2015), from the UCI Machine\n"
            "Learning Repository (doi 10.24432/C57604). Passed on under the Creative Commons Attribution 4.0 International\n"
            "licence: https://creativecommons.org/licenses/by/4.0/\n"
            "Changes: repeated sentences were dropped, the rest was split into training and test sentences anew.\n"
        ),
    ),
    "cancer": Source(
        title="Breast Cancer Wisconsin (Diagnostic)",
        licence="CC BY 4.0",
        credit=(
            "William Wolberg, Olvi Mangasarian, Nick Street and W. Street, Breast Cancer Wisconsin (Diagnostic), UCI Machine "
            "Learning Repository, 1993 (doi 10.24432/C5DW2B)"
        ),
        selection=(
            "All 569 tumours, as scikit-learn carries them: 400 for training and 169 for testing, drawn at random by class with "
            f"seed {SEED}. There are no more; the other samples have 5,000 or 2,000 training points."
        ),
        file=None,
        make=_cancer,
        notice=(
            "Breast Cancer Wisconsin (Diagnostic) by William Wolberg, Olvi Mangasarian, Nick Street and W. Street, from the UCI\n"
            "Machine Learning Repository (doi 10.24432/C5DW2B). Passed on under the Creative Commons Attribution 4.0\n"
            "International licence: https://creativecommons.org/licenses/by/4.0/\n"
            "Changes: split into training and test points.\n"
        ),
    ),
}
