"""Which training labels may be wrong? A score a training point, high where the others speak against its label.

All methods have scores ``s[i, c]``, how far the rest (or the network) speaks for class c at the training point i. The best class other than
the label is what is suggested, and a point is *contradicted* when that class is ahead of the label: a threshold that needs no list of
the wrong ones. Where a method has no measure of its own, a point is as suspicious as that class is ahead:

    suspicion_i = max_{c != y_i} s[i, c] - s[i, y_i]
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_expit, log_softmax

from ntkviz.audit.checks import audited, counted, one_hot, penalty
from ntkviz.kernels.diagnostics import checked_labels
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.surrogate import RidgeSurrogate
from ntkviz.types import AuditInfo

LOO_MARGIN = AuditInfo(
    key="loo_margin",
    task="mislabels",
    title="Leave-one-out margin",
    question="What would the others say of this training point, if they had never seen its label?",
    formula=r"\max_{c \ne y_i} g^{-i}_c(x_i) - g^{-i}_{y_i}(x_i),\qquad g^{-i}\text{: ridge on one-hot labels without } i",
    cost="One Cholesky factorisation and its inverse, N^3 in float64; about 5 core-seconds at N = 5,000.",
    source="Exact leave-one-out of kernel ridge regression (Cawley and Talbot 2004), here as a score for labels.",
    caveat="The network has fitted the wrong labels too, so its kernel leans their way; leaving a point out of the ridge does not leave it "
    "out of the network's training. A rare but right point looks like a wrong one: look before relabelling.",
)
DUAL_WEIGHT = AuditInfo(
    key="dual_weight",
    task="mislabels",
    title="Dual weight of kernel logistic regression",
    question="How hard does the surrogate have to pull to keep this training point at its label?",
    formula=r"|W_{y_i i}|\,(1 - P_{y_i}(x_i)),\qquad \lambda W_{y_i i} = 1 - P_{y_i}(x_i)",
    cost="One fit of kernel logistic regression; some 5 core-seconds at N = 5,000.",
    source="Dual coefficients as difficulty of a point, as alpha in support vector machines; at the optimum both factors are 1 - P.",
    caveat="It ranks as 1 - P of the fit that has seen the label. Behind the leave-one-out margin in our measurements, and the flag "
    "'contradicted' is seldom raised, since a fit with a small penalty agrees with most labels.",
)
KNN = AuditInfo(
    key="knn_disagreement",
    task="mislabels",
    title="Neighbours of other classes",
    question="How many of the nearest training points, by the kernel, have another label?",
    formula=r"\frac1k \left(\max_{c \ne y_i} \#\{j \in N_k(i): y_j = c\} - \#\{j \in N_k(i): y_j = y_i\}\right)",
    cost="A partial sort of each kernel row, N^2.",
    source="Edited nearest neighbours (Wilson 1972).",
    caveat="It takes k + 1 to 2 k + 1 values only, so many points tie (ties are broken by the similarity of the neighbours, below "
    "one vote). With an unnormalised kernel points with large gradients are everybody's neighbours.",
)
NETWORK_LOSS = AuditInfo(
    key="network_loss",
    task="mislabels",
    title="The network's own loss",
    question="Which training labels does the network itself doubt? For comparison.",
    formula=r"-\log p_{y_i}(x_i)",
    cost="None beyond the network's logits.",
    source="The usual first look at suspicious labels; from logits in float64, so that it does not saturate.",
    caveat="A network that has learnt its wrong labels by heart doubts few of them.",
)
INFOS = (LOO_MARGIN, DUAL_WEIGHT, KNN, NETWORK_LOSS)


@dataclass(frozen=True, eq=False)
class Mislabels:
    """Training points by how suspicious their labels are.

    Attributes:
        method: key of the score.
        scores: float64 ``[N]``, high is suspicious; in units of the method.
        suggested: int64 ``[N]``, the best class other than the label; relabelling to it is a proposal, no finding.
        contradicted: bool ``[N]``, whether the suggested class is ahead of the label.
        notes: what a person should know.
    """

    method: str
    scores: np.ndarray
    suggested: np.ndarray
    contradicted: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def order(self) -> np.ndarray:
        """int64 ``[N]``, most suspicious first; of equals the lower position first."""
        return np.argsort(-self.scores, kind="stable")

    @property
    def cut(self) -> int | None:
        """How many stand before the threshold in :attr:`order`, None when the contradicted are not exactly the first."""
        first = self.contradicted[self.order]
        return self.n_contradicted if first[: self.n_contradicted].all() else None

    @property
    def n_contradicted(self) -> int:
        """How many labels the others contradict."""
        return int(self.contradicted.sum())


def mislabels(
    kernel: np.ndarray,
    labels: np.ndarray,
    *,
    method: str = "loo_margin",
    n_classes: int | None = None,
    logits: np.ndarray | None = None,
    lam: float | None = None,
    k: int = 10,
) -> Mislabels:
    """Score the labels of the training points.

    The scale of the kernel does not matter, and points in another order get the same scores in that order.

    Args:
        kernel: ``[N, N]`` of the training points.
        labels: ``[N]``, whole numbers from 0.
        method: key of :data:`INFOS`.
        n_classes: C; None for as many as the labels name.
        logits: ``[N, C]`` (or ``[N, 1]``), the network's; for ``network_loss`` only.
        lam: penalty of ``loo_margin`` (1 by default) and of ``dual_weight`` (0.1), in units of the mean diagonal.
        k: neighbours of ``knn_disagreement``; N - 1 when there are fewer.

    Raises:
        ValueError: when the kernel, the labels, the logits or an option cannot be used, or all points have one label.
    """
    known = {info.key for info in INFOS}
    if method not in known:
        raise ValueError(f"There is no score {method!r} for wrong labels; choose one of: {', '.join(sorted(known))}.")
    if method == "network_loss":
        return network_loss(logits, labels)
    values, classes, count = audited(kernel, labels, n_classes)
    if len(np.unique(classes)) < 2:
        raise ValueError("All training points have one label, so none can contradict another. Bring points of two classes.")
    if method == "knn_disagreement":
        return _neighbours(values, classes, count, counted("k", k))
    fits: dict[str, Callable[[], Mislabels]] = {
        "loo_margin": lambda: _left_out(values, classes, count, penalty(1.0 if lam is None else lam)),
        "dual_weight": lambda: _weights(values, classes, count, penalty(0.1 if lam is None else lam)),
    }
    return fits[method]()


def network_loss(logits: np.ndarray | None, labels: np.ndarray) -> Mislabels:
    """The comparator: the network's cross-entropy of each training point.

    Args:
        logits: ``[N, C]``, or ``[N, 1]`` of a network with one logit.
        labels: ``[N]``.

    Raises:
        ValueError: when the logits are missing, no such numbers, or do not fit the labels.
    """
    if logits is None:
        raise ValueError("The network's own loss needs its logits of the training points [N, C]; pass logits=.")
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"The logits must be finite numbers [N, C]; got shape {values.shape}.")
    one_logit = values.shape[1] == 1
    values = log_expit(np.hstack([-values, values])) if one_logit else log_softmax(values, axis=1)
    classes, _ = checked_labels(labels, len(values), values.shape[1])
    margin = _ranked("network_loss", values, classes)
    loss = -values[np.arange(len(classes)), classes]
    return Mislabels("network_loss", loss, margin.suggested, margin.contradicted)


def _left_out(kernel: np.ndarray, labels: np.ndarray, n_classes: int, lam: float) -> Mislabels:
    fitted = fit_surrogate(kernel, labels, kind="ridge", lam=lam, n_classes=n_classes)
    if not isinstance(fitted, RidgeSurrogate):  # what a fit to a single class is not either
        raise TypeError(f"A ridge was fitted and a {type(fitted).__name__} came back; it cannot leave points out.")
    found = _ranked("loo_margin", fitted.leave_one_out(), labels, fitted.notes)
    alone = np.bincount(labels, minlength=n_classes)[labels] == 1
    if not alone.any():
        return found
    # Without its only member a class is unknown, so the margin says nothing about the label.
    lowest = float(found.scores[~alone].min()) if not alone.all() else 0.0
    note = f"{int(alone.sum())} points are the only ones of their class: leaving them out says nothing about their label, so they stand last."
    scores = np.where(alone, lowest, found.scores)
    return Mislabels(found.method, scores, found.suggested, found.contradicted & ~alone, (*found.notes, note))


def _weights(kernel: np.ndarray, labels: np.ndarray, n_classes: int, lam: float) -> Mislabels:
    fitted = fit_surrogate(kernel, labels, kind="klr", lam=lam, n_classes=n_classes)
    chances = fitted.predict_proba(kernel)
    each = np.arange(len(labels))
    ranked = _ranked("dual_weight", chances, labels)
    notes = fitted.notes if fitted.convergence.converged else (*fitted.notes, fitted.convergence.message)
    pull = np.abs(fitted.weights[labels, each]) * fitted.scale * (1 - chances[each, labels])
    return Mislabels("dual_weight", pull, ranked.suggested, ranked.contradicted, notes)


def _neighbours(kernel: np.ndarray, labels: np.ndarray, n_classes: int, k: int) -> Mislabels:
    """Votes of the k nearest; the similarities of the neighbours break ties and never outweigh a vote."""
    n = len(labels)
    size = min(k, n - 1)
    notes = () if size == k else (f"There are {n} points, so the {size} others are the neighbours instead of {k}.",)
    near = kernel.copy()
    np.fill_diagonal(near, -np.inf)
    chosen = np.argsort(-near, axis=1, kind="stable")[:, :size]
    reach = max(float(np.abs(kernel).max()), np.finfo(np.float64).tiny)
    ballots = 1 + np.take_along_axis(kernel, chosen, axis=1) / reach / (4 * size)
    votes = np.zeros((n, n_classes))
    np.add.at(votes, (np.repeat(np.arange(n), size), labels[chosen].ravel()), ballots.ravel() / size)
    return _ranked("knn_disagreement", votes, labels, notes)


def _ranked(method: str, scores: np.ndarray, labels: np.ndarray, notes: tuple[str, ...] = ()) -> Mislabels:
    """Suspicion from scores ``[N, C]``: the lead of the best other class."""
    own = one_hot(labels, scores.shape[1]) > 0
    others = np.where(own, -np.inf, scores)
    suspicion = others.max(axis=1) - scores[own]
    return Mislabels(method, suspicion, others.argmax(axis=1).astype(np.int64), suspicion > 0, notes)
