"""Differences of imitation between surrogates, on the same draws of test points.

Whether two measures differ is said by the interval of their difference and never by whether their own intervals overlap: a draw of
test points that is hard for one surrogate is hard for the other.
"""

from dataclasses import dataclass

import numpy as np

from ntkviz.fidelity.bootstrap import interval, ratio, resample_counts
from ntkviz.fidelity.kendall import kendall_taus
from ntkviz.scores import check_labels, check_logits, scores_of

#: Measures that are resampled here: key -> title.
MEASURES = {"kendall_tau": "Kendall's τ", "agreement": "Agreement"}


@dataclass(frozen=True, eq=False)
class Drawn:
    """A measure on all test points and on resamples of them. Equal seeds and numbers of points mean the same resamples.

    Attributes:
        value: on all M points; NaN when it is not defined.
        draws: ``[B]``.
    """

    value: float
    draws: np.ndarray

    @property
    def ends(self) -> tuple[float, float]:
        """Its 95 % interval over test points; NaN twice when there is none."""
        return interval(self.draws)


@dataclass(frozen=True)
class Gap:
    """One measure minus another, on the same resamples.

    Attributes:
        value: the difference.
        low: lower end of its 95 % interval.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the two are told apart: the interval does not hold 0."""
        return self.low > 0 or self.high < 0


def drawn(
    measure: str,
    network_logits: np.ndarray,
    surrogate_logits: np.ndarray,
    labels: np.ndarray,
    *,
    n_draws: int = 1000,
    seed: int = 0,
) -> Drawn:
    """A measure of imitation with its resamples.

    Args:
        measure: key of :data:`MEASURES`; defined as in :func:`ntkviz.fidelity.fidelity.fidelity`.
        network_logits: ``[M, C]``.
        surrogate_logits: ``[M, C]``.
        labels: ``[M]``, true classes.
        n_draws: B.
        seed: of the resamples; give the same for all that are to be compared.

    Raises:
        ValueError: when the measure is not known, shapes differ, or an input is not finite or out of range.
    """
    if measure not in MEASURES:
        raise ValueError(f"Expected one of {', '.join(MEASURES)}; got {measure!r}.")
    network, surrogate = check_logits(network_logits, "network"), check_logits(surrogate_logits, "surrogate")
    if network.shape != surrogate.shape:
        raise ValueError(f"The network's logits are {network.shape} and the surrogate's {surrogate.shape}; expected the same.")
    y = check_labels(labels, *network.shape)
    counts = resample_counts(len(y), n_draws, seed)
    first, second = scores_of(network), scores_of(surrogate)
    if measure == "agreement":
        same = (first.predicted == second.predicted).astype(np.float64)
        return Drawn(*ratio(counts, same, np.ones(len(y))))
    at = np.arange(len(y))
    return Drawn(*kendall_taus(first.log_odds[at, y], second.log_odds[at, y], counts))


def gap(first: Drawn, second: Drawn) -> Gap:
    """The first minus the second, resample by resample.

    Args:
        first: a measure.
        second: the same of another surrogate, from the same seed on as many points.

    Raises:
        ValueError: when their resamples are not as many.
    """
    if first.draws.shape != second.draws.shape:
        raise ValueError(
            f"Expected the same resamples for both, got {len(first.draws)} and {len(second.draws)}. Draw both alike."
        )
    return Gap(first.value - second.value, *interval(first.draws - second.draws))
