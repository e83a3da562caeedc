"""Small data and networks to retrain."""

import numpy as np

from ntkviz.truth.recipe import Training
from ntkviz.types import Dataset, Display

MLP = {
    "name": "mlp",
    "options": {"inputs": 36, "n_classes": 3, "hidden": [8]},
    "normalise": {"mean": [0.5], "std": [0.3]},
}
SGD = Training(epochs=6, optimiser="sgd", learning_rate=0.1, weight_decay=1e-3, batch_size=8, seed=3)
ADAMW = Training(epochs=6, optimiser="adamw", learning_rate=1e-2, weight_decay=0.1, batch_size=8, seed=3)


def images(n: int = 30, m: int = 9) -> Dataset:
    """Images ``[n, 1, 6, 6]`` of three classes that differ by the row that is bright."""
    rng = np.random.default_rng(0)
    y = [np.arange(count) % 3 for count in (n, m)]
    x = [rng.random((len(part), 1, 6, 6)).astype(np.float32) for part in y]
    for part, labels in zip(x, y, strict=True):
        part[np.arange(len(labels)), 0, 2 * labels] += 0.5
    shown = Display(train=np.zeros((n, 6, 6), dtype=np.uint8), test=np.zeros((m, 6, 6), dtype=np.uint8))
    return Dataset(x[0], y[0], x[1], y[1], ("a", "b", "c"), "image", shown)


def texts(n: int = 24, m: int = 6) -> Dataset:
    """Token ids ``[n, 5]``; class 1 has the words 6 to 9."""
    rng = np.random.default_rng(1)
    y = [np.arange(count) % 2 for count in (n, m)]
    x = [rng.integers(2, 6, (len(part), 5)) + 4 * part[:, None] for part in y]
    for part in x:
        part[::3, 3:] = 0
    return Dataset(x[0], y[0], x[1], y[1], ("bad", "good"), "text", Display(train=["t"] * n, test=["t"] * m))
