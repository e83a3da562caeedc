"""What fidelity is worth: the figures of predictors that know labels and nothing else."""

from dataclasses import dataclass

import numpy as np

from ntkviz.fidelity.fidelity import fidelity
from ntkviz.scores import check_labels, check_logits


@dataclass(frozen=True)
class Baseline:
    """A predictor that has not seen the inputs, held against the network.

    Attributes:
        key: ``"class_prior"``, ``"true_label"`` or ``"class_mean"``.
        title: for headings and legends.
        knows: what it is told.
        kendall_tau: as in ``Fidelity``; NaN where ``reason`` says why.
        agreement: as in ``Fidelity``.
        r_squared: as in ``Fidelity``.
        reason: why tau is NaN, or "".
    """

    key: str
    title: str
    knows: str
    kendall_tau: float
    agreement: float
    r_squared: float
    reason: str


def null_baselines(
    network_logits: np.ndarray, labels: np.ndarray, *, train_labels: np.ndarray | None = None
) -> tuple[Baseline, ...]:
    """The fidelity that is trivial: what knowing labels alone earns against this network.

    * ``class_prior`` gives every point the log of the class frequencies. Its log-odds of the correct class differ between classes only.
    * ``true_label`` is sure of the correct class, equally everywhere: its agreement is the network's accuracy, its tau undefined.
    * ``class_mean`` gives every point the mean of the network's logits over the test points of its class: it knows the label, and how sure
      the network is of each class. What a surrogate has above its tau comes from telling points of one class apart.

    Args:
        network_logits: ``[M, C]``.
        labels: ``[M]``, true classes.
        train_labels: ``[N]``, where the class frequencies are counted; ``labels`` when None.

    Raises:
        ValueError: when an input is not finite or out of range.
    """
    logits = check_logits(network_logits, "network")
    y = check_labels(labels, *logits.shape)
    known = y if train_labels is None else np.asarray(train_labels)
    if not len(known):
        raise ValueError("train_labels is empty; expected the labels of the training points, or None.")
    known = check_labels(known, len(known), logits.shape[1])
    n_classes = max(logits.shape[1], 2)
    # Half a point a class, so that a class that is missing keeps a finite logarithm.
    frequencies = (np.bincount(known, minlength=n_classes) + 0.5) / (len(known) + 0.5 * n_classes)
    prior = np.tile(np.log(frequencies), (len(y), 1))
    true = np.eye(n_classes)[y]
    means = np.zeros((n_classes, logits.shape[1]))
    for label in np.unique(y):
        means[label] = logits[y == label].mean(axis=0)
    if logits.shape[1] == 1:
        prior, true = prior[:, 1:] - prior[:, :1], true[:, 1:] - true[:, :1]
    rows = (
        ("class_prior", "Class frequencies", "how frequent each class is", prior),
        ("true_label", "The label", "the label of each point", true),
        (
            "class_mean",
            "The label and the class's mean",
            "the label of each point, and the network's mean logits for that class",
            means[y],
        ),
    )
    return tuple(_baseline(logits, y, *row) for row in rows)


def _baseline(logits: np.ndarray, labels: np.ndarray, key: str, title: str, knows: str, scores: np.ndarray) -> Baseline:
    found = fidelity(logits, scores, labels, n_bootstrap=0)
    return Baseline(
        key=key,
        title=title,
        knows=knows,
        kendall_tau=found.kendall_tau,
        agreement=found.agreement,
        r_squared=found.r_squared,
        reason=found.reasons.get("kendall_tau", ""),
    )
