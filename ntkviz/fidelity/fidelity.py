"""``fidelity``: the network's logits and the surrogate's on the same test points, compared in every measure at once.

Letters: M test points, C logits, K classes (C, or 2 when C is 1), B bootstrap resamples.
"""

from dataclasses import dataclass, field

import numpy as np

from ntkviz.fidelity.bootstrap import correlation, interval, ratio, resample_counts
from ntkviz.fidelity.kendall import kendall_taus
from ntkviz.fidelity.misses import coincidence_p_value
from ntkviz.fidelity.result import ClassFidelity, Fidelity
from ntkviz.scores import Scores, check_labels, check_logits, scores_of

_NO_ERRORS = "the network makes no errors on these points"


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both classifiers on the same points, with the resamples that all measures share."""

    network: Scores
    surrogate: Scores
    labels: np.ndarray  # [M]
    counts: np.ndarray  # [B, M]

    @property
    def wrong_network(self) -> np.ndarray:
        return self.network.predicted != self.labels

    @property
    def wrong_surrogate(self) -> np.ndarray:
        return self.surrogate.predicted != self.labels

    def odds_of(self, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The log-odds of one class a point, by the network and by the surrogate, ``[M]`` each."""
        at = np.arange(len(classes)), classes
        return self.network.log_odds[at], self.surrogate.log_odds[at]


@dataclass
class _Table:
    """Collects measures: value, interval, number of points, and the reason when there is no value."""

    values: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, estimate: tuple[float, np.ndarray], n_points: int, *, reason: str = "") -> None:
        value, samples = estimate
        self.values[name], self.counts[name] = value, int(n_points)
        self.intervals[name] = interval(samples) if np.isfinite(value) else (float("nan"), float("nan"))
        if not np.isfinite(value):
            self.reasons[name] = reason

    def add_tau(self, name: str, x: np.ndarray, y: np.ndarray, counts: np.ndarray, *, reason: str = "") -> None:
        """tau-b of the network's ``x`` and the surrogate's ``y``."""
        n = len(x)
        if n < 2:
            self.add(name, (float("nan"), np.empty(0)), n, reason=reason or f"a rank correlation needs two points, there are {n}")
            return
        still = [whose for whose, scores in (("network's", x), ("surrogate's", y)) if (scores == scores[0]).all()]
        self.add(
            name, kendall_taus(x, y, counts), n, reason=f"the {' and the '.join(still)} log-odds are equal on all {n} points"
        )


def fidelity(
    network_logits: np.ndarray,
    surrogate_logits: np.ndarray,
    labels: np.ndarray,
    *,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> Fidelity:
    """How faithfully the surrogate stands for the network on these test points.

    The surrogate's scores are read as logits whatever its kind. For ``ridge`` (regressed one-hot labels) and ``svm`` (margins) that is
    a convention: with two classes it keeps the order of the points, with more the log-odds mix the classes' scores through the softmax,
    and ``kl`` and ``r_squared`` then speak of its calibration as well as of its imitation.

    The link behind ``r_squared`` is affine and increasing, fitted by least squares on all M points at once:
    ``network = slope * surrogate + intercept`` on log-odds of the correct class. So r_squared is the squared correlation when
    that is positive, and 0 otherwise.

    Args:
        network_logits: ``[M, C]``.
        surrogate_logits: ``[M, C]``, what ``Surrogate.decision_function`` returns.
        labels: ``[M]``, true classes in 0..C-1; 0 and 1 when C is 1.
        n_bootstrap: resamples of the test points behind each interval; 0 for none.
        seed: of the resamples.

    Raises:
        ValueError: when shapes differ, or an input is not finite or out of range.
    """
    network = check_logits(network_logits, "network")
    surrogate = check_logits(surrogate_logits, "surrogate")
    if network.shape != surrogate.shape:
        raise ValueError(
            f"The network's logits are {network.shape} and the surrogate's {surrogate.shape}; expected the same [M, C]."
        )
    y = check_labels(labels, *network.shape)
    if isinstance(n_bootstrap, bool) or not isinstance(n_bootstrap, int) or n_bootstrap < 0:
        raise ValueError(f"n_bootstrap must be a whole number, 0 or more; got {n_bootstrap!r}.")
    pair = _Pair(scores_of(network), scores_of(surrogate), y, resample_counts(len(y), n_bootstrap, seed))
    table = _Table()
    _add_decisions(table, pair)
    _add_ranks(table, pair)
    slope, offset = _add_link(table, pair)
    n_classes = pair.network.log_odds.shape[1]
    confusion = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(confusion, (pair.network.predicted, pair.surrogate.predicted), 1)
    return Fidelity(
        **table.values,
        link_slope=slope,
        link_intercept=offset,
        n_points=len(y),
        n_classes=n_classes,
        n_bootstrap=n_bootstrap,
        intervals=table.intervals,
        counts=table.counts,
        reasons=table.reasons,
        per_class=tuple(_of_class(pair, label) for label in range(n_classes)),
        confusion=confusion,
    )


def _add_decisions(table: _Table, pair: _Pair) -> None:
    """Accuracies, agreement and shared errors."""
    n, everywhere = len(pair.labels), np.ones(len(pair.labels))
    wrong_n, wrong_s = pair.wrong_network, pair.wrong_surrogate
    both, either = wrong_n & wrong_s, wrong_n | wrong_s
    table.add("accuracy_network", ratio(pair.counts, ~wrong_n, everywhere), n)
    table.add("accuracy_surrogate", ratio(pair.counts, ~wrong_s, everywhere), n)
    table.add("tad", ratio(pair.counts, wrong_n.astype(float) - wrong_s, everywhere), n)
    table.add("agreement", ratio(pair.counts, pair.network.predicted == pair.surrogate.predicted, everywhere), n)
    table.add("r_miss", ratio(pair.counts, both, wrong_n), wrong_n.sum(), reason=_NO_ERRORS)
    table.add("r_miss_jaccard", ratio(pair.counts, both, either), either.sum(), reason="neither makes an error on these points")
    # A p-value is a statement about this sample, so it has no interval of its own.
    table.values["r_miss_p_value"], table.counts["r_miss_p_value"] = coincidence_p_value(wrong_n, wrong_s), n
    if not (wrong_n.any() and wrong_s.any()):
        table.reasons["r_miss_p_value"] = _NO_ERRORS if not wrong_n.any() else "the surrogate makes no errors on these points"


def _add_ranks(table: _Table, pair: _Pair) -> None:
    """tau-b of the correct class, of the predicted class, and over the network's errors."""
    correct_n, correct_s = pair.odds_of(pair.labels)
    table.add_tau("kendall_tau", correct_n, correct_s, pair.counts)
    table.add_tau("tau_predicted", *pair.odds_of(pair.network.predicted), pair.counts)
    wrong = pair.wrong_network
    reason = "" if wrong.any() else _NO_ERRORS
    table.add_tau("tau_errors", correct_n[wrong], correct_s[wrong], pair.counts[:, wrong], reason=reason)


def _add_link(table: _Table, pair: _Pair) -> tuple[float, float]:
    """R squared with its link, both correlations, and the divergence; returns the link's slope and intercept."""
    n, at = len(pair.labels), (np.arange(len(pair.labels)), pair.labels)
    x, y = pair.odds_of(pair.labels)
    reason = f"log-odds of the correct class do not vary over the {n} points, by the network or by the surrogate"
    value, samples = correlation(pair.counts, x, y)
    table.add("pearson", (value, samples), n, reason=reason)
    table.add("r_squared", (float(np.maximum(value, 0.0) ** 2), np.maximum(samples, 0.0) ** 2), n, reason=reason)
    by_probability = correlation(
        pair.counts, np.exp(pair.network.log_probability[at]), np.exp(pair.surrogate.log_probability[at])
    )
    table.add("pearson_probability", by_probability, n, reason=reason.replace("log-odds", "probabilities"))
    log_p, log_q = pair.network.log_probability, pair.surrogate.log_probability
    divergence = np.maximum((np.exp(log_p) * (log_p - log_q)).sum(axis=1), 0.0)  # rounding can leave -1e-17
    table.add("kl", ratio(pair.counts, divergence, np.ones(n)), n)
    if not np.isfinite(value):
        return float("nan"), float("nan")
    slope = float(max(value, 0.0) * x.std() / y.std())
    return slope, float(x.mean() - slope * y.mean())


def _of_class(pair: _Pair, label: int) -> ClassFidelity:
    """The measures for one class: on its points, and for its log-odds everywhere."""
    own = pair.labels == label
    n, wrong_n, wrong_s = int(own.sum()), pair.wrong_network & own, pair.wrong_surrogate & own
    none = f"no test point has class {label}"
    table = _Table()
    table.add("accuracy_network", ratio(pair.counts, own & ~wrong_n, own), n, reason=none)
    table.add("accuracy_surrogate", ratio(pair.counts, own & ~wrong_s, own), n, reason=none)
    table.add("tad", ratio(pair.counts, wrong_n.astype(float) - wrong_s, own), n, reason=none)
    same = pair.network.predicted == pair.surrogate.predicted
    table.add("agreement", ratio(pair.counts, own & same, own), n, reason=none)
    missing = "the network makes no errors on this class" if n else none
    table.add("r_miss", ratio(pair.counts, wrong_n & wrong_s, wrong_n), wrong_n.sum(), reason=missing)
    x, y = pair.network.log_odds[:, label], pair.surrogate.log_odds[:, label]
    table.add_tau("tau", x, y, pair.counts)
    table.add_tau("tau_within", x[own], y[own], pair.counts[:, own], reason="" if n else none)
    return ClassFidelity(label=label, n_points=n, **table.values, intervals=table.intervals, reasons=table.reasons)
