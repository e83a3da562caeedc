"""Which training points several lists name for a test point: what a removal experiment takes away, list by list.

No torch until the inputs are compared. Letters: P test points, N training points of the study, A lists, k points of a list.
"""

from pathlib import Path

import numpy as np

from ntkviz.explain.attribute import attribute
from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.log_odds import on_log_odds
from ntkviz.scores import scores_of
from ntkviz.studies.companion import companion_of
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.study import Study
from ntkviz.truth.truth import balanced

#: The study's own list, which the others are compared with.
OWN = "removal"
#: Key -> what a list holds. The order is that of the arrays.
LISTS = {
    OWN: "largest removal effects",
    "share": "largest weight times kernel",
    "inputs": "nearest inputs of its class",
    "same_class": "random, of its class",
    "random": "random, of any class",
}
#: Lists that know no network.
CONTROLS = ("inputs", "same_class", "random")
#: How many points may be taken away.
SIZES = (5, 10, 20, 50)


def tried_points(study: Study, most: int) -> np.ndarray:
    """Positions of the test points that are tried: classified correctly by the network, evenly by class, the first of each, int ``[P]``.

    Args:
        study: the study.
        most: how many at most.
    """
    right = np.flatnonzero(scores_of(study.logits_test).predicted == study.y_test)
    return right[balanced(study.y_test[right], most)]


def possible_sizes(study: Study) -> tuple[int, ...]:
    """How many points may be taken away so that every class keeps one."""
    least = np.bincount(study.y_train)[np.unique(study.y_test)].min() if len(study.y_train) else 0
    return tuple(k for k in SIZES if k < least)


def removal_lists(study: Study, at: np.ndarray, k: int, *, home: Path | None = None) -> np.ndarray:
    """The k training points that each list names for each test point, int64 ``[A, P, k]``, in the order of :data:`LISTS`.

    The first points of a list are those of a shorter list. Positions are those of the study's training points.

    Args:
        study: the study.
        at: int ``[P]``, positions of its test points.
        k: how many points.
        home: the folder with the uploads; None means the default one.

    Raises:
        InvalidStudy: when a class has too few training points, or no surrogate has removal effects.
        StoreCorrupted: when the subject's files are damaged.
    """
    same = study.y_train == study.y_test[at][:, None]
    fewest = int(same.sum(axis=1).min()) if len(at) else 0
    if fewest <= k:
        raise InvalidStudy(
            f"{k} points of one class cannot be taken away: the smallest class asked about has {fewest} in this study. Ask for fewer points."
        )
    found = companion_of(study)
    if found.surrogate is None:
        raise InvalidStudy(found.problem)
    rows, logits, labels = study.rows[at], study.logits_test[at], study.y_test[at]
    effects = RemovalEffects.of_surrogate(found.surrogate, study.kernel, study.y_train, leave_one_out=True, few=True)
    draw = np.random.default_rng(study.spec.seed).random((2, len(at), study.n_train))
    values = {
        OWN: effects.on_log_odds(rows, logits, labels),
        "share": on_log_odds(attribute(study.surrogate, rows), "share", logits, labels),
        "inputs": np.where(same, _likeness(study, at, home), -np.inf),
        "same_class": np.where(same, draw[0], -np.inf),
        "random": draw[1],
    }
    return np.stack([np.argsort(-values[key], axis=1, kind="stable")[:, :k] for key in LISTS])


def _likeness(study: Study, at: np.ndarray, home: Path | None) -> np.ndarray:
    """How near the inputs of training points are to those of test points, ``[P, N]``, by the Gaussian kernel without a network."""
    from ntkviz.kernels.matrix import kernel_matrix
    from ntkviz.studies.subjects import load_subject_model, subject_data

    data, model = subject_data(study.spec.subject_id, home=home), load_subject_model(study.spec.subject_id, home=home)
    x, z = data.x_train[study.train_index], data.x_test[study.test_index[at]]
    return kernel_matrix(model, z, x, kind="rbf", normalize=False)  # columns are scaled as those of its second argument
