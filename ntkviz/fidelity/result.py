"""The measures of a surrogate against its network, as values that can be stored, shown and read out."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

#: From this tau on, the word for how the surrogate's order of the points follows the network's.
_WORDS = ((0.9, "almost exactly as"), (0.7, "much as"), (0.4, "only roughly as"), (0.1, "hardly as"), (-math.inf, "not as"))


@dataclass(frozen=True)
class ClassFidelity:
    """The measures for one class. NaN where ``reasons`` says why.

    Attributes:
        label: the class.
        n_points: test points with this label.
        accuracy_network: share of them that the network gets right.
        accuracy_surrogate: share of them that the surrogate gets right.
        tad: ``accuracy_surrogate - accuracy_network``.
        agreement: share of them with equal predictions.
        r_miss: share of the network's errors on them that the surrogate makes too.
        tau: tau-b of the log-odds of this class, over all M points: also how the two agree where the class is wrong.
        tau_within: tau-b of the same over the points of this class only.
        intervals: measure -> (low, high), 95 % by bootstrap over test points.
        reasons: measure -> why it is NaN.
    """

    label: int
    n_points: int
    accuracy_network: float
    accuracy_surrogate: float
    tad: float
    agreement: float
    r_miss: float
    tau: float
    tau_within: float
    intervals: dict[str, tuple[float, float]]
    reasons: dict[str, str]


@dataclass(frozen=True, eq=False)
class Fidelity:
    """How faithfully a surrogate stands for its network on M test points. NaN where ``reasons`` says why.

    It is one of two axes: whether removing training points changes the *network* as the surrogate says is not in here.
    ``ntkviz.fidelity.registry.metrics()`` has the formula, the range and the caveat of each measure.

    Attributes:
        tad: accuracy of the surrogate minus accuracy of the network, a fraction in [-1, 1].
        kendall_tau: tau-b of the log-odds of the correct class, in [-1, 1].
        agreement: share of points with equal predictions, in [0, 1].
        r_miss: share of the network's errors that the surrogate makes too (both wrong, not necessarily alike).
        r_miss_jaccard: errors of both over errors of either.
        r_miss_p_value: chance of as many shared errors if the two erred independently.
        r_squared: share of the variance of the network's log-odds of the correct class that an increasing affine function of
            the surrogate's explains, in [0, 1].
        link_slope: slope of that function (0 when no increasing one helps).
        link_intercept: its intercept.
        kl: mean Kullback-Leibler divergence from the network's probabilities to the surrogate's, nats, >= 0.
        tau_predicted: tau-b of the log-odds of the class that the network predicts.
        tau_errors: tau-b of the log-odds of the correct class, over the network's errors only.
        pearson: correlation of the log-odds of the correct class.
        pearson_probability: correlation of the probabilities of the correct class, to see how the extremes inflate it.
        accuracy_network: in [0, 1].
        accuracy_surrogate: in [0, 1].
        n_points: M.
        n_classes: number of classes; 2 for a network with one logit.
        n_bootstrap: resamples behind the intervals.
        intervals: measure -> (low, high), 95 % percentile bootstrap over test points. It leaves out the noise of the kernel, of the
            fit and of the network's training.
        counts: measure -> the number of points that it is computed on.
        reasons: measure -> why it is NaN.
        per_class: one entry a class.
        confusion: int64 ``[K, K]``, points by the network's prediction (row) and the surrogate's (column).
    """

    tad: float
    kendall_tau: float
    agreement: float
    r_miss: float
    r_miss_jaccard: float
    r_miss_p_value: float
    r_squared: float
    link_slope: float
    link_intercept: float
    kl: float
    tau_predicted: float
    tau_errors: float
    pearson: float
    pearson_probability: float
    accuracy_network: float
    accuracy_surrogate: float
    n_points: int
    n_classes: int
    n_bootstrap: int
    intervals: dict[str, tuple[float, float]]
    counts: dict[str, int]
    reasons: dict[str, str]
    per_class: tuple[ClassFidelity, ...]
    confusion: np.ndarray

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON takes it: NaN becomes None, tuples and the confusion become lists."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    def reading(self) -> str:
        """One sentence that says what the figures say, and what they do not."""
        parts = [f"the surrogate gives the network's answer on {self.agreement:.1%} of {self.n_points:,} test points"]
        if math.isfinite(self.kendall_tau):
            word = next(text for least, text in _WORDS if self.kendall_tau >= least)
            low, high = self.intervals.get("kendall_tau", (math.nan, math.nan))
            span = f", 95 % interval {low:.2f} to {high:.2f}" if math.isfinite(low) else ""
            parts.append(f"orders them by confidence {word} the network does (tau {self.kendall_tau:.2f}{span})")
        else:
            parts.append(f"tau is undefined because {self.reasons['kendall_tau']}")
        errors = self.counts["r_miss"]
        if math.isfinite(self.r_miss):
            parts.append(f"makes {self.r_miss:.0%} of the network's {errors:,} {'error' if errors == 1 else 'errors'}")
        else:
            parts.append("the network made no error here, so shared errors cannot be counted")
        told = f"{parts[0]}, {parts[1]}, and {parts[2]}"
        return f"{told[0].upper()}{told[1:]}: how well it imitates, not whether removing training points would change the network as it says."


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
