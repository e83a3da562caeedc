"""What a network became without parts of its training points: the record of its retrainings, its file, and its checks. No torch.

Letters: S subsets, R seeds, N training points, M test points.
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ntkviz.data import sample as bundled
from ntkviz.errors import StoreCorrupted
from ntkviz.scores import log_odds_of
from ntkviz.types import Dataset

#: The file's name in a sample's folder.
TRUTH = "truth.npz"
_FORMAT = "ntkviz-truth/1"
_ARRAYS = ("masks", "margins", "full", "y_test", "train_index", "test_index", "seeds")


@dataclass(frozen=True, eq=False)
class Truth:
    """A network retrained on subsets of its training points.

    Attributes:
        masks: bool ``[S, N]``, True for the training points kept; equally many in each.
        margins: float16 ``[S, R, M]``, log-odds of the true class at each test point after retraining on ``masks[s]`` with ``seeds[r]``.
        full: float16 ``[R, M]``, the same after training on all N points; ``full[0]`` is the explained network itself, up to
            the rounding of another processor.
        y_test: int64 ``[M]``, the true classes.
        train_index: int64 ``[N]``, places of the training points in the data.
        test_index: int64 ``[M]``, places of the test points in the data, ascending.
        seeds: int64 ``[R]``, of the initial parameters and the order of points. ``seeds[0]`` is the explained network's own, so that
            ``margins[:, 0]`` start from its very initial parameters and the others from independent ones.
        sample: name of the sample, or id of what a person brought.
        architecture: the specification of the network.
        recipe: the training, as ``Training.from_dict`` takes it.
        data_sha256: of the data, by :func:`data_sha256`.
        notes: what to know about it.
    """

    masks: np.ndarray
    margins: np.ndarray
    full: np.ndarray
    y_test: np.ndarray
    train_index: np.ndarray
    test_index: np.ndarray
    seeds: np.ndarray
    sample: str
    architecture: dict[str, Any]
    recipe: dict[str, Any]
    data_sha256: str
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            ValueError: when they do not.
        """
        s, n, m, r = len(self.masks), len(self.train_index), len(self.test_index), len(self.seeds)
        expected = {"masks": (s, n), "margins": (s, r, m), "full": (r, m), "y_test": (m,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"`{name}` has the shape {getattr(self, name).shape}; expected {shape}.")
        if self.masks.dtype != bool:
            raise ValueError(f"`masks` holds {self.masks.dtype}; expected bool.")


def half_subsets(n_points: int, n_subsets: int, seed: int) -> np.ndarray:
    """Random halves of the training points, drawn independently of each other.

    Args:
        n_points: N, at least 2.
        n_subsets: S.
        seed: of the draw.

    Returns:
        bool ``[S, N]`` with N // 2 True in each row.

    Raises:
        ValueError: when there are too few points or no subsets are asked for.
    """
    if n_points < 2 or n_subsets < 1:
        raise ValueError(f"Got {n_points} points and {n_subsets} subsets; expected at least 2 points and 1 subset.")
    rng = np.random.default_rng(seed)
    ranks = np.stack([rng.permutation(n_points) for _ in range(n_subsets)])
    return ranks < n_points // 2


def balanced(labels: np.ndarray, most: int) -> np.ndarray:
    """Places of at most so many points, the first of each class in turn, ascending.

    Args:
        labels: int ``[M]``.
        most: how many at most.
    """
    turn = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        turn[of_class] = np.arange(len(of_class))
    return np.sort(np.argsort(turn, kind="stable")[:most])


def margins_of(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log-odds of the true class against all others, float64 ``[..., M]``.

    Args:
        logits: ``[..., M, C]``; C = 1 is the logit of class 1 against class 0.
        labels: int ``[M]``.
    """
    values = np.asarray(logits, dtype=np.float64)
    flat = values.reshape(-1, values.shape[-1])
    return log_odds_of(flat, np.tile(labels, len(flat) // len(labels))).reshape(values.shape[:-1])


def data_sha256(dataset: Dataset) -> str:
    """The hex sha256 of a data set's inputs and labels, training and test."""
    digest = hashlib.sha256()
    for part in (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test):
        digest.update(f"{part.dtype.str}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def save_truth(folder: Path, truth: Truth) -> Path:
    """Write a truth into a folder, in one step.

    Args:
        folder: made when it does not exist.
        truth: what to write.

    Returns:
        The file.

    Raises:
        OSError: when it cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "format": _FORMAT,
        "n_train": truth.masks.shape[1],
        "sample": truth.sample,
        "architecture": truth.architecture,
        "recipe": truth.recipe,
        "data_sha256": truth.data_sha256,
        "recipe_sha256": _recipe_sha256(truth.architecture, truth.recipe),
        "notes": list(truth.notes),
    }
    arrays = {name: getattr(truth, name) for name in _ARRAYS} | {
        "masks": np.packbits(truth.masks, axis=1),
        "facts": np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8),
    }
    path, made = folder / TRUTH, folder / f".{TRUTH}.{os.getpid()}"
    with made.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    made.replace(path)
    return path


def read_truth(folder: Path) -> Truth:
    """The truth that :func:`save_truth` wrote into a folder; whether it fits a network is asked by :func:`check_truth`.

    Raises:
        StoreCorrupted: when the file is missing, damaged or from another version.
    """
    path = Path(folder) / TRUTH
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in _ARRAYS}
            facts = json.loads(archive["facts"].tobytes())
        arrays["masks"] = np.unpackbits(arrays["masks"], axis=1, count=facts["n_train"]).astype(bool)
        named = {name: facts[name] for name in ("sample", "architecture", "recipe", "data_sha256")}
        truth = Truth(**arrays, **named, notes=tuple(facts["notes"]))
        whole = facts["format"] == _FORMAT and facts["recipe_sha256"] == _recipe_sha256(truth.architecture, truth.recipe)
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise StoreCorrupted(
            f"The retraining truth {path.parent.name}/{TRUTH} cannot be read ({type(error).__name__}: {error}). {_AGAIN}"
        ) from error
    if not whole:
        raise StoreCorrupted(f"The retraining truth {path.parent.name}/{TRUTH} is of another version or was altered. {_AGAIN}")
    return truth


def check_truth(truth: Truth, dataset: Dataset, architecture: Mapping[str, Any], recipe: Mapping[str, Any] | None) -> None:
    """Refuse a truth of another network.

    Args:
        truth: the truth.
        dataset: the data of the network that is explained.
        architecture: its specification.
        recipe: its training.

    Raises:
        StoreCorrupted: when the truth was made with other data or by another recipe; the message says which.
    """
    other = []
    if truth.data_sha256 != data_sha256(dataset):
        other.append("on other data")
    if recipe is None or _recipe_sha256(truth.architecture, truth.recipe) != _recipe_sha256(architecture, recipe):
        other.append("by another recipe or architecture")
    if other:
        raise StoreCorrupted(
            f"The retraining truth of {truth.sample!r} is stale: it was made {' and '.join(other)} than the network that is explained. {_AGAIN}"
        )


def has_truth(sample: str) -> bool:
    """Whether a bundled sample comes with a truth; :func:`load_truth` says whether it fits."""
    return sample in bundled.samples() and (bundled.SAMPLES_DIR / sample / TRUTH).is_file()


def load_truth(sample: str, *, dataset: Dataset | None = None) -> Truth | None:
    """The truth that a bundled sample comes with.

    Args:
        sample: one of :func:`ntkviz.data.sample.samples`.
        dataset: its data, when they are at hand; otherwise they are loaded, to see that the truth is theirs.

    Returns:
        The truth, or None when the sample has none.

    Raises:
        ValueError: when there is no sample of that name.
        StoreCorrupted: when the file is damaged or stale.
    """
    card = bundled.sample_card(sample)
    if not (card.folder / TRUTH).is_file():
        return None
    truth = read_truth(card.folder)
    check_truth(truth, bundled.load_sample_data(sample) if dataset is None else dataset, card.architecture, card.recipe)
    return truth


def _recipe_sha256(architecture: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """The hex sha256 of how a network is made."""
    text = json.dumps([architecture, recipe], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


_AGAIN = "Make it anew: python sample_models/truth.py NAME for a sample, the retraining job for a network of your own."
