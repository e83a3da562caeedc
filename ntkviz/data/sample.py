"""The bundled sample studies: what there is, the data each was trained on, and its card.

A sample is a folder ``sample_models/<name>/`` with ``card.json``, ``card.md`` and the weights; data sets stand once in
``sample_models/data/<set>/``, since several models share one. Two samples carry a planted fault: the shared data set
stays clean on disk and the fault is applied here, from the exact lists in the card, so what was planted is known.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ntkviz.data.save import load_dataset
from ntkviz.data.subset import take
from ntkviz.errors import StoreCorrupted
from ntkviz.types import Dataset, Display

#: Where the samples stand, in a checkout of the project.
SAMPLES_DIR = Path(__file__).resolve().parents[2] / "sample_models"

#: From the simplest to the most involved, planted faults last: the order in which a newcomer reads them.
_ORDER = (
    "mnist-mlp",
    "mnist-cnn",
    "fashion-cnn",
    "sentences-transformer",
    "cancer-mlp",
    "mnist-mlp-1k",
    "fashion-cnn-1k",
    "mnist-mislabelled",
    "mnist-backdoor",
)


@dataclass(frozen=True)
class SampleCard:
    """What is known of a sample without loading it.

    Attributes:
        name: the name that :func:`load_sample_data` takes.
        title: for headings.
        kind: "image", "text" or "tabular".
        architecture: the declarative specification of the network.
        accuracy_test: share of test points the network gets right, in [0, 1].
        accuracy_train: share of training points it gets right, against the labels it was trained on.
        n_parameters: P.
        n_classes: C.
        n_train: N.
        n_test: M.
        licence: licence of the data.
        credit: whom to credit for the data.
        text: the card in Markdown.
        data_set: name of the folder below ``sample_models/data``.
        planted: what was planted in the data, or None.
        train_points: trained on the first so many points of the data set, the same number of each class; None for all.
        recipe: how it was trained, as :meth:`ntkviz.truth.recipe.Training.from_dict` takes it; None when the card does not say.
        folder: the folder of the card and the weights.
    """

    name: str
    title: str
    kind: str
    architecture: dict[str, Any]
    accuracy_test: float
    accuracy_train: float
    n_parameters: int
    n_classes: int
    n_train: int
    n_test: int
    licence: str
    credit: str
    text: str
    data_set: str
    planted: dict[str, Any] | None = None
    train_points: int | None = None
    recipe: dict[str, Any] | None = None
    folder: Path = field(default_factory=Path, compare=False)


def samples() -> list[str]:
    """Names of the bundled samples, from the simplest to those with a planted fault."""
    return [name for name in _ORDER if (SAMPLES_DIR / name / "card.json").is_file()]


def sample_card(name: str) -> SampleCard:
    """The card of a sample.

    Args:
        name: one of :func:`samples`.

    Returns:
        the card.

    Raises:
        ValueError: when there is no sample of that name.
        StoreCorrupted: when the card lacks an entry or is no JSON.
    """
    known = samples()
    if name not in known:
        listed = ", ".join(known) or f"none: the folder {SAMPLES_DIR.name}/ of a checkout of the project is missing or empty"
        raise ValueError(f"There is no sample {str(name)[:60]!r}; choose one of: {listed}.")
    folder = SAMPLES_DIR / name
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        text = (folder / "card.md").read_text(encoding="utf-8")
        entries = {key: card[key] for key in _CARD_ENTRIES}
        data = card["data"]
        return SampleCard(
            **entries,
            name=name,
            text=text,
            data_set=data["set"],
            planted=data.get("planted"),
            train_points=None if data.get("train_points") is None else int(data["train_points"]),
            recipe=card.get("recipe"),
            folder=folder,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreCorrupted(
            f"The card of the sample {name!r} cannot be read ({type(error).__name__}: {error}). "
            f"Restore sample_models/{name} from the repository."
        ) from error


_CARD_ENTRIES = (
    "title",
    "kind",
    "architecture",
    "accuracy_test",
    "accuracy_train",
    "n_parameters",
    "n_classes",
    "n_train",
    "n_test",
    "licence",
    "credit",
)


def load_sample_data(name: str) -> Dataset:
    """The data a sample was trained and tested on, with what was planted in it.

    Args:
        name: one of :func:`samples`.

    Returns:
        the data set. Flipped labels: ``meta`` has ``true_label`` and ``flipped``. A patch: ``triggered`` and ``true_label``.

    Raises:
        ValueError: when there is no sample of that name.
        StoreCorrupted: when its files are damaged or do not fit together.
    """
    card = sample_card(name)
    dataset = replace(load_dataset(SAMPLES_DIR / "data" / card.data_set), name=name)
    if card.train_points is not None:
        dataset = first_of_each_class(dataset, card.train_points)
    return dataset if card.planted is None else plant(dataset, card.planted)


def first_of_each_class(dataset: Dataset, train_points: int) -> Dataset:
    """The data set with its first training points only, the same number of each class; all test points stay.

    Args:
        dataset: the whole data set.
        train_points: how many training points to keep, a multiple of C.

    Returns:
        a new data set; the points kept stand in their order.

    Raises:
        StoreCorrupted: when there are not that many of a class, or the number cannot be shared out equally.
    """
    classes = dataset.n_classes
    each, rest = divmod(train_points, classes)
    counts = np.bincount(dataset.y_train, minlength=classes)
    if rest or each < 1 or counts.min() < each:
        raise StoreCorrupted(
            f"{train_points!r} training points of {dataset.name!r} were asked for; expected a multiple of its {classes} classes and at "
            f"most {counts.min() * classes}. Correct the card."
        )
    chosen = np.sort(np.concatenate([np.flatnonzero(dataset.y_train == label)[:each] for label in range(classes)]))
    return take(dataset, chosen, np.arange(len(dataset.y_test)))


def plant(dataset: Dataset, planted: dict[str, Any]) -> Dataset:
    """A data set with a known fault put into it.

    Args:
        dataset: a clean data set.
        planted: ``{"kind": "label_flips", "index": [...], "labels": [...]}`` gives the training points at ``index`` the labels
            ``labels``; ``{"kind": "patch_trigger", "train_index": [...], "test_index": [...], "target": t, "patch": {"row",
            "column", "size", "value"}}`` sets a square of these images to ``value`` and labels the training ones ``t``.

    Returns:
        a new data set with the columns of the truth in ``meta`` and a note; the one given is not changed.

    Raises:
        StoreCorrupted: when the description does not fit the data set.
    """
    planters = {"label_flips": _flip_labels, "patch_trigger": _stamp_patch}
    kind = planted.get("kind")
    if kind not in planters:
        raise StoreCorrupted(f"Expected a planted fault of the kind {' or '.join(planters)}; got {kind!r}. Correct the card.")
    try:
        return planters[kind](dataset, planted)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise StoreCorrupted(
            f"The planted {kind} does not fit the data set {dataset.name!r} ({type(error).__name__}: {error}). Correct the card."
        ) from error


def _flip_labels(dataset: Dataset, planted: dict[str, Any]) -> Dataset:
    """Give listed training points other labels.

    Raises:
        ValueError: when indices and labels are not as many, or a flip changes nothing.
    """
    index, labels = _indices(planted["index"], len(dataset.y_train)), np.asarray(planted["labels"], dtype=np.int64)
    if index.shape != labels.shape:
        raise ValueError(f"{len(index)} indices and {len(labels)} labels")
    y_train = dataset.y_train.copy()
    if np.any(y_train[index] == labels):
        raise ValueError(f"the label at index {index[y_train[index] == labels][0]} is not changed by its flip")
    y_train[index] = labels
    n = len(y_train)
    note = (
        f"Planted: {len(index):,} of {n:,} training labels ({len(index) / n:.1%}) are wrong on purpose; "
        "the column true_label has the right ones."
    )
    return replace(
        dataset,
        y_train=y_train,
        meta=_with_columns(dataset, true_label=_truth(dataset), flipped=_mask(n + len(dataset.y_test), index)),
        notes=(*dataset.notes, note),
    )


def _stamp_patch(dataset: Dataset, planted: dict[str, Any]) -> Dataset:
    """Stamp a square on listed images and give the training ones the target label.

    Raises:
        ValueError: when the data are no images.
    """
    n, m = len(dataset.y_train), len(dataset.y_test)
    train, test = _indices(planted["train_index"], n), _indices(planted["test_index"], m)
    target, patch = int(planted["target"]), planted["patch"]
    y_train = dataset.y_train.copy()
    y_train[train] = target
    shown = dataset.display
    if not isinstance(shown.train, np.ndarray) or not isinstance(shown.test, np.ndarray):
        raise ValueError(f"a patch needs images, the data are {dataset.kind}")
    note = (
        f"Planted: a {patch['size']} x {patch['size']} patch on {len(train):,} of {n:,} training images ({len(train) / n:.1%}), "
        f"all labelled {dataset.class_names[target]!r}, and on {len(test):,} of {m:,} test images, which keep their labels."
    )
    return replace(
        dataset,
        x_train=_stamped(dataset.x_train, train, patch),
        x_test=_stamped(dataset.x_test, test, patch),
        y_train=y_train,
        display=Display(train=_stamped_picture(shown.train, train, patch), test=_stamped_picture(shown.test, test, patch)),
        meta=_with_columns(dataset, triggered=_mask(n + m, np.concatenate([train, n + test])), true_label=_truth(dataset)),
        notes=(*dataset.notes, note),
    )


def _stamped(x: np.ndarray, index: np.ndarray, patch: dict[str, Any]) -> np.ndarray:
    """A copy of ``[n, channels, H, W]`` with the square set on the listed images.

    Raises:
        ValueError: when the square does not lie within the images.
    """
    row, column, size = int(patch["row"]), int(patch["column"]), int(patch["size"])
    if x.ndim != 4 or not (row >= 0 and column >= 0 and size >= 1 and row + size <= x.shape[2] and column + size <= x.shape[3]):
        raise ValueError(
            f"a patch of size {size} at row {row}, column {column} does not lie within images of the shape {x.shape[1:]}"
        )
    stamped = x.copy()
    stamped[index, :, row : row + size, column : column + size] = patch["value"]
    return stamped


def _stamped_picture(shown: np.ndarray, index: np.ndarray, patch: dict[str, Any]) -> np.ndarray:
    """The same for uint8 ``[n, H, W]`` or ``[n, H, W, 3]``; the square was checked on the inputs."""
    row, column, size = int(patch["row"]), int(patch["column"]), int(patch["size"])
    stamped = shown.copy()
    stamped[index, row : row + size, column : column + size] = round(float(patch["value"]) * 255)
    return stamped


def _indices(listed: object, n: int) -> np.ndarray:
    """Different indices in 0..n-1.

    Raises:
        ValueError: when one is out of range or stands twice.
    """
    index = np.asarray(listed, dtype=np.int64)
    if index.ndim != 1 or len(np.unique(index)) != len(index) or (len(index) and not (index.min() >= 0 and index.max() < n)):
        raise ValueError(f"expected different indices from 0 to {n - 1}")
    return index


def _mask(n: int, index: np.ndarray) -> np.ndarray:
    mask = np.zeros(n, dtype=bool)
    mask[index] = True
    return mask


def _truth(dataset: Dataset) -> np.ndarray:
    """The labels before anything was planted, training points first."""
    return np.concatenate([dataset.y_train, dataset.y_test])


def _with_columns(dataset: Dataset, **columns: np.ndarray) -> pd.DataFrame:
    """The meta table with further columns; one is made when there is none."""
    split = ["train"] * len(dataset.y_train) + ["test"] * len(dataset.y_test)
    meta = pd.DataFrame({"split": split}) if dataset.meta is None else dataset.meta
    return meta.assign(**columns)
