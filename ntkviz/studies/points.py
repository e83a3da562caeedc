"""The points of a study: which ones, their inputs and their labels."""

from dataclasses import dataclass

import numpy as np

from ntkviz.studies.sampling import stratified_index
from ntkviz.studies.spec import StudySpec
from ntkviz.types import Dataset


@dataclass(frozen=True)
class Points:
    """What a study takes of a data set.

    Attributes:
        train_index: ``[N]`` int64, ids of the training points in the full data set.
        test_index: ``[M]`` int64.
        x_train: ``[N, ...]``.
        y_train: ``[N]`` int64.
        x_test: ``[M, ...]``.
        y_test: ``[M]`` int64.
    """

    train_index: np.ndarray
    test_index: np.ndarray
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @classmethod
    def draw(cls, data: Dataset, spec: StudySpec) -> "Points":
        """Draw them by class; the two splits are drawn independently of each other's size."""
        train = stratified_index(data.y_train, spec.n_train or len(data.y_train), seed=spec.seed)
        test = stratified_index(data.y_test, spec.n_test or len(data.y_test), seed=spec.seed)
        return cls(train, test, data.x_train[train], data.y_train[train], data.x_test[test], data.y_test[test])
