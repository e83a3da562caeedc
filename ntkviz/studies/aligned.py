"""Which retrainings speak of which points of a study."""

from dataclasses import dataclass

import numpy as np

from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.study import Study
from ntkviz.truth.truth import Truth

#: Fewer shared test points than this say nothing of an attribution.
LEAST_POINTS = 10


@dataclass(frozen=True, eq=False)
class Aligned:
    """Retrainings in the order of a study.

    Attributes:
        test: int ``[m]``, positions among the study's test points that were retrained for.
        masks: bool ``[S, N]``, in the order of the study's training points.
        margins: float64 ``[S, R, m]``.
        full: float64 ``[R, m]``, trained on all points.
    """

    test: np.ndarray
    masks: np.ndarray
    margins: np.ndarray
    full: np.ndarray


def mismatch(study: Study, truth: Truth) -> str:
    """Why retrainings do not speak of a study, as a sentence; empty when they do.

    Args:
        study: the study.
        truth: the retrainings.
    """
    if study.spec.subject_id != truth.sample:
        return f"The retrainings are of {truth.sample}, this study is of {study.spec.subject_id}."
    missing = len(np.setdiff1d(truth.train_index, study.train_index))
    if missing:
        return (
            f"The network was retrained on subsets of all its {len(truth.train_index):,} training points, and this study explains with "
            f"{study.n_train:,} of them: what a subset does cannot be summed up from a part. Run the study with all {len(truth.train_index):,} "
            "training points to see it here."
        )
    shared = len(np.intersect1d(study.test_index, truth.test_index))
    if shared < LEAST_POINTS:
        return (
            f"Only {shared} of this study's {study.n_test:,} test points are among the {len(truth.test_index):,} that the retrained networks were "
            f"asked about; {LEAST_POINTS} are needed. Run the study with more test points."
        )
    return ""


def aligned(study: Study, truth: Truth) -> Aligned:
    """The retrainings for the test points that study and truth share, in the study's order.

    Args:
        study: the study.
        truth: the retrainings.

    Raises:
        InvalidStudy: when they are of other points; the message says what to do.
    """
    reason = mismatch(study, truth)
    if reason:
        raise InvalidStudy(reason)
    _, test, in_truth = np.intersect1d(study.test_index, truth.test_index, return_indices=True)
    order = np.argsort(truth.train_index)[np.searchsorted(np.sort(truth.train_index), study.train_index)]
    if (truth.y_test[in_truth] != study.y_test[test]).any():
        raise InvalidStudy("The retrainings have other labels for these test points than the study. Make them anew.")
    return Aligned(
        test=test,
        masks=truth.masks[:, order],
        margins=truth.margins[:, :, in_truth].astype(np.float64),
        full=truth.full[:, in_truth].astype(np.float64),
    )
