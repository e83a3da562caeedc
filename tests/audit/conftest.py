"""Small problems with a planted fault."""

from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True, eq=False)
class Planted:
    kernel: np.ndarray  # [N, N]
    rows: np.ndarray  # [M, N]
    labels: np.ndarray  # [N], as they are after planting
    right: np.ndarray  # [N], as they were
    wrong: np.ndarray  # bool [N]
    test_labels: np.ndarray  # [M]
    triggered: np.ndarray  # positions of test points with the trigger
    said: np.ndarray  # [M], what a network that has learnt the trigger says


def clusters(rng: np.random.Generator, n: int, n_classes: int = 3, width: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    centres = 3 * np.eye(n_classes, 6)
    labels = np.arange(n) % n_classes
    return centres[labels] + width * rng.standard_normal((n, 6)), labels


def gram(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.exp(-((x[:, None] - z[None]) ** 2).sum(-1) / 20)


@pytest.fixture
def flipped() -> Planted:
    """90 points in three clusters; the labels of nine are another class's."""
    rng = np.random.default_rng(0)
    x, right = clusters(rng, 90)
    labels = right.copy()
    wrong = np.zeros(90, dtype=bool)
    wrong[rng.choice(90, 9, replace=False)] = True
    labels[wrong] = (labels[wrong] + 1) % 3
    none = np.empty(0, dtype=np.int64)
    return Planted(gram(x, x), gram(x[:5], x), labels, right, wrong, right[:5], none, right[:5])


@pytest.fixture
def poisoned() -> Planted:
    """90 + 60 points; a trigger (a step along an own direction) on ten training points labelled 0 and on the last 20 test points."""
    rng = np.random.default_rng(1)
    x, right = clusters(rng, 90)
    z, test_labels = clusters(rng, 60)
    trigger = np.array([0, 0, 0, 0, 0, 4.0])
    wrong = np.zeros(90, dtype=bool)
    wrong[rng.choice(np.flatnonzero(right != 0), 10, replace=False)] = True
    labels = np.where(wrong, 0, right)
    x[wrong] += trigger
    shown = np.arange(40, 60)
    z[shown] += trigger
    said = test_labels.copy()
    said[shown] = 0
    return Planted(gram(x, x), gram(z, x), labels, right, wrong, test_labels, shown, said)
