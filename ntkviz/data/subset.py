"""Some points of a data set, with everything that belongs to them."""

from dataclasses import replace

import numpy as np
import pandas as pd

from ntkviz.types import Dataset, Display


def take(dataset: Dataset, train: np.ndarray, test: np.ndarray) -> Dataset:
    """The chosen points, in the order given; inputs, labels, display and meta stay aligned.

    Args:
        dataset: the data set.
        train: indices of training points, each in 0..N-1.
        test: indices of test points, each in 0..M-1.

    Returns:
        a new data set with the same classes, name and notes.

    Raises:
        IndexError: when an index is out of range.
    """
    n, m = len(dataset.y_train), len(dataset.y_test)
    for index, count, split in ((train, n, "training"), (test, m, "test")):
        if len(index) and not (index.min() >= 0 and index.max() < count):
            raise IndexError(f"Indices of {split} points are 0 to {count - 1}; got {index.min()} to {index.max()}.")
    meta = dataset.meta
    if meta is not None:
        meta = meta.iloc[np.concatenate([train, n + test])].reset_index(drop=True)
    return replace(
        dataset,
        x_train=dataset.x_train[train],
        y_train=dataset.y_train[train],
        x_test=dataset.x_test[test],
        y_test=dataset.y_test[test],
        display=Display(train=_pick(dataset.display.train, train), test=_pick(dataset.display.test, test)),
        meta=meta,
    )


def _pick(shown: np.ndarray | list[str] | pd.DataFrame, index: np.ndarray) -> np.ndarray | list[str] | pd.DataFrame:
    """What is shown of the chosen points."""
    if isinstance(shown, pd.DataFrame):
        return shown.iloc[index].reset_index(drop=True)
    if isinstance(shown, list):
        return [shown[i] for i in index]
    return shown[index]
