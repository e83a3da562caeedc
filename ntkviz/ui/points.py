"""The test points of a study as the pages list them: what network and surrogate say of each, filters and order.

Points are named by their id (position in the subject's whole test split); ``m`` is their position in the study.
"""

from dataclasses import dataclass

import numpy as np

from ntkviz.scores import scores_of
from ntkviz.studies.study import Study

#: What the list shows: name -> help.
SHOWN = {
    "all": "All test points",
    "network wrong": "The network's class is not the label",
    "surrogate differs": "Surrogate and network name different classes: an explanation here explains the wrong answer",
}

#: Order of the list: name -> help.
ORDERS = {
    "least sure first": "By the network's log-odds of its own class, smallest first",
    "most sure first": "By the network's log-odds of its own class, largest first",
    "furthest apart": "By the distance between network's and surrogate's log-odds of the label, largest first",
    "by id": "In the order of the data set",
}


@dataclass(frozen=True)
class Outcomes:
    """What is said of each of the M test points.

    Attributes:
        ids: int64 ``[M]``, in the subject's whole test split.
        labels: int64 ``[M]``.
        network: int64 ``[M]``, the class that the network names.
        surrogate: int64 ``[M]``, the class that the surrogate names.
        right: bool ``[M]``, whether the network names the label.
        agrees: bool ``[M]``, whether both name the same class.
        network_odds: float64 ``[M]``, the network's log-odds of the label.
        surrogate_odds: float64 ``[M]``, the surrogate's log-odds of the label.
        margin: float64 ``[M]``, the network's log-odds of the class that it names.
    """

    ids: np.ndarray
    labels: np.ndarray
    network: np.ndarray
    surrogate: np.ndarray
    right: np.ndarray
    agrees: np.ndarray
    network_odds: np.ndarray
    surrogate_odds: np.ndarray
    margin: np.ndarray

    def position(self, point: int) -> int | None:
        """Where a point stands in the study, None when it is not in it."""
        found = np.flatnonzero(self.ids == point)
        return int(found[0]) if len(found) else None


def outcomes(study: Study, surrogate_logits: np.ndarray | None = None) -> Outcomes:
    """What network and surrogate say of the test points of a study.

    Args:
        study: the study.
        surrogate_logits: ``[M, C]`` of another surrogate; by default those of the study's own.
    """
    network = scores_of(study.logits_test)
    surrogate = scores_of(study.surrogate_logits if surrogate_logits is None else surrogate_logits)
    labels, each = np.asarray(study.y_test), np.arange(len(study.y_test))
    return Outcomes(
        ids=np.asarray(study.test_index),
        labels=labels,
        network=network.predicted,
        surrogate=surrogate.predicted,
        right=network.predicted == labels,
        agrees=network.predicted == surrogate.predicted,
        network_odds=network.log_odds[each, labels],
        surrogate_odds=surrogate.log_odds[each, labels],
        margin=network.log_odds[each, network.predicted],
    )


def select_points(points: Outcomes, *, shown: str = "all", label: int | None = None, order: str = "by id") -> np.ndarray:
    """Positions of the points to list.

    Args:
        points: all of them.
        shown: a key of :data:`SHOWN`.
        label: only points of this true class; None for all.
        order: a key of :data:`ORDERS`; ties stay in the order of the ids.

    Returns:
        int64, a selection of 0..M-1.

    Raises:
        ValueError: when ``shown`` or ``order`` is no key.
    """
    if shown not in SHOWN or order not in ORDERS:
        raise ValueError(f"Expected one of {', '.join(SHOWN)} and one of {', '.join(ORDERS)}; got {shown!r} and {order!r}.")
    keep = {"all": np.ones(len(points.ids), bool), "network wrong": ~points.right, "surrogate differs": ~points.agrees}[shown]
    if label is not None:
        keep = keep & (points.labels == label)
    found = np.flatnonzero(keep)
    value = {
        "least sure first": points.margin,
        "most sure first": -points.margin,
        "furthest apart": -np.abs(points.network_odds - points.surrogate_odds),
        "by id": points.ids,
    }[order]
    return found[np.argsort(value[found], kind="stable")]
