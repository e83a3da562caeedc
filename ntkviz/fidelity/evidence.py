"""What can be measured of a test point without its label, that bears on whether the surrogate speaks for the network there.

Everything is "larger is more suspicious". The gap between network and surrogate is measured after an affine link (the surrogates' scores
have their own scales) and in units of the spread that the gap usually has; link and spread come from a calibration set, so the
evidence about a point depends on which points calibrate.

Half of a point's neighbours and of its perturbed copies is kept out of the evidence: the gap there is an independent measure of error.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import median_abs_deviation, theilslopes

from ntkviz.scores import check_logits, scores_of

#: Training points that the conditioning looks at, at most: with more, a random part stands for them (the factorisation grows as N^3).
CONDITIONING_POINTS = 1500
#: A gap beyond this many spreads is no more suspicious than this many: one wild neighbour must not decide.
MAX_SPREADS = 10.0
_LINK_POINTS = 500

#: Names of the evidence, with what each means.
PARTS = {
    "gap": "distance of network and surrogate in log-odds of the predicted class, in units of its usual spread",
    "neighbour_gap": "the same at the nearest other test points, mean weighted by similarity",
    "neighbour_disagreement": "share of the nearest other test points where the two name different classes",
    "perturbed_gap": "the gap at small changes of the input, mean over copies",
    "perturbed_disagreement": "share of small changes of the input at which the two name different classes",
    "below_noise": "share of the point's kernel row in directions whose eigenvalue is below the noise floor lambda",
    "few_points": "one over the effective number of training points that carry the surrogate's answer",
    "weak_effects": "one over the change, in nats, that removing a random half of the training points is foretold to make",
    "spread_effects": "effective number of training points whose removal is foretold to matter",
}


@dataclass(frozen=True, eq=False)
class Observed:
    """Network and surrogate at the test points, at their neighbours and at perturbed copies.

    Attributes:
        agrees: bool ``[M]``, whether both name the same class.
        network: ``[M]``, log-odds of the class that the network names, by the network.
        surrogate: ``[M]``, the same class's by the surrogate.
        neighbours: int ``[M, 2 k]``, other test points, nearest first.
        similarity: ``[M, 2 k]``, how near, >= 0.
        copies: ``(network [M, P], surrogate [M, P], agrees [M, P])`` at perturbed copies, or None. Log-odds are of the class that the network
            names at the point itself.
        below_noise: ``[M]`` or None.
        few_points: ``[M]`` or None.
        weak_effects: ``[M]`` or None.
        spread_effects: ``[M]`` or None.
        notes: what was approximated.
    """

    agrees: np.ndarray
    network: np.ndarray
    surrogate: np.ndarray
    neighbours: np.ndarray
    similarity: np.ndarray
    copies: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    below_noise: np.ndarray | None
    few_points: np.ndarray | None
    weak_effects: np.ndarray | None
    spread_effects: np.ndarray | None
    notes: tuple[str, ...]

    @property
    def n_points(self) -> int:
        """M."""
        return len(self.network)


@dataclass(frozen=True)
class Link:
    """What the network's log-odds usually are, given the surrogate's: ``slope * surrogate + intercept``, and by how much they miss.

    Attributes:
        slope: of Theil and Sen, not below 0.
        intercept: median of the rest.
        spread: 1.48 times the median absolute deviation of the rest, nats.
    """

    slope: float
    intercept: float
    spread: float

    def gap(self, network: np.ndarray, surrogate: np.ndarray) -> np.ndarray:
        """Distance from the link, nats, >= 0."""
        return np.abs(network - self.slope * surrogate - self.intercept)

    def spreads(self, network: np.ndarray, surrogate: np.ndarray) -> np.ndarray:
        """The same in units of the spread, at most :data:`MAX_SPREADS`."""
        return np.minimum(self.gap(network, surrogate) / self.spread, MAX_SPREADS)


def observe(
    network_logits: np.ndarray,
    surrogate_logits: np.ndarray,
    rows: np.ndarray,
    *,
    kernel: np.ndarray | None = None,
    lam: float = 1.0,
    k: int = 10,
    perturbed: tuple[np.ndarray, np.ndarray] | None = None,
    effects: np.ndarray | None = None,
    seed: int = 0,
) -> Observed:
    """Collect what is known of M test points.

    Args:
        network_logits: ``[M, C]``.
        surrogate_logits: ``[M, C]``.
        rows: ``[M, N]``, kernel between test and training points.
        kernel: ``[N, N]`` of the training points, for the conditioning; None leaves that out.
        lam: the noise floor, for a kernel of mean diagonal 1.
        k: neighbours among the other test points that enter the evidence; as many more are kept for measuring.
        perturbed: logits of network and surrogate at P small changes of each test point, ``[M, P, C]`` each; None leaves that out.
        effects: ``[M, N]``, what removing each training point is foretold to do to the log-odds of the class that the network names; None
            leaves that out.
        seed: draws the training points that stand for all when there are many.

    Raises:
        ValueError: when shapes differ, something is not finite, or there are fewer than three points.
    """
    own, other = check_logits(network_logits, "network"), check_logits(surrogate_logits, "surrogate")
    near = np.asarray(rows, dtype=np.float64)
    if own.shape != other.shape or near.ndim != 2 or len(near) != len(own) or len(own) < 3:
        raise ValueError(
            f"Expected logits [M, C] of network and surrogate and rows [M, N] of the same M >= 3 points; got {own.shape}, {other.shape} and {near.shape}."
        )
    if not np.isfinite(near).all():
        raise ValueError(f"{int((~np.isfinite(near)).sum())} kernel entries are not finite; compute the rows again.")
    network, surrogate = scores_of(own), scores_of(other)
    said, each = network.predicted, np.arange(len(own))
    neighbours, similarity = _neighbours(near, k)
    notes: tuple[str, ...] = ()
    below = few = None
    if kernel is not None:
        below, few, notes = conditioning(np.asarray(kernel), near, lam=lam, seed=seed)
    weak, spread = (None, None) if effects is None else strength(np.asarray(effects), near.shape)
    return Observed(
        agrees=said == surrogate.predicted,
        network=network.log_odds[each, said],
        surrogate=surrogate.log_odds[each, said],
        neighbours=neighbours,
        similarity=similarity,
        copies=None if perturbed is None else _copies(perturbed, said),
        below_noise=below,
        few_points=few,
        weak_effects=weak,
        spread_effects=spread,
        notes=notes,
    )


def fit_link(observed: Observed, points: np.ndarray) -> Link:
    """The link of the calibration points.

    Args:
        observed: all points.
        points: those that calibrate, positions in 0..M-1.
    """
    chosen = points[:: max(1, len(points) // _LINK_POINTS)]  # Theil and Sen look at all pairs
    network, surrogate = observed.network[points], observed.surrogate[points]
    slope = 0.0
    if np.ptp(observed.surrogate[chosen]) > 0:
        line: Any = theilslopes(observed.network[chosen], observed.surrogate[chosen])
        slope = max(0.0, float(line.slope))
    rest = network - slope * surrogate
    spread = float(1.4826 * median_abs_deviation(rest))  # the standard deviation, were it normal
    return Link(slope, float(np.median(rest)), max(spread, 1e-6 * max(1.0, float(np.abs(network).max()))))


def evidence(observed: Observed, link: Link) -> dict[str, np.ndarray]:
    """The parts of the evidence that are known, name -> ``[M]``; larger is more suspicious.

    Args:
        observed: the points.
        link: what counts as usual.
    """
    gaps = link.spreads(observed.network, observed.surrogate)
    found = {"gap": gaps}
    found["neighbour_gap"] = _at_neighbours(observed, gaps, 0)
    found["neighbour_disagreement"] = _at_neighbours(observed, ~observed.agrees, 0)
    if observed.copies is not None:
        network, surrogate, agrees = (part[:, ::2] for part in observed.copies)
        found["perturbed_gap"] = link.spreads(network, surrogate).mean(axis=1)
        found["perturbed_disagreement"] = (~agrees).mean(axis=1)
    for name in ("below_noise", "few_points", "weak_effects", "spread_effects"):
        values = getattr(observed, name)
        if values is not None:
            found[name] = values
    return found


def held_out_gap(observed: Observed) -> tuple[str, np.ndarray]:
    """An error that did not enter the evidence, with its name: the mean gap in nats where half of what is near was kept out.

    At perturbed copies when there are two or more, else at the neighbours kept out. The link is that of all points.

    Args:
        observed: the points.
    """
    link = fit_link(observed, np.arange(observed.n_points))
    if observed.copies is not None and observed.copies[0].shape[1] > 1:
        network, surrogate, _ = (part[:, 1::2] for part in observed.copies)
        name = "gap of network and surrogate at small changes of the input that the badge did not see, nats"
        return name, link.gap(network, surrogate).mean(axis=1)
    name = "gap of network and surrogate at near test points that the badge did not see, nats"
    return name, _at_neighbours(observed, link.gap(observed.network, observed.surrogate), 1)


def conditioning(
    kernel: np.ndarray, rows: np.ndarray, *, lam: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """How well the training points determine the surrogate at each test point.

    With the eigenvalues l_j of the kernel and the row's coordinates c_j, the first is ``sum_j c_j^2 lam / (l_j + lam) / sum_j c_j^2``: 0 when the
    row lies in directions far above lambda, 1 when far below. The second is ``sum v^2 / (sum |v|)^2`` of the smoothing weights
    ``v = (K + lam)^-1 k``, one over the effective number of points.

    Args:
        kernel: ``[N, N]``.
        rows: ``[M, N]``.
        lam: in units of the kernel's mean diagonal.
        seed: draws :data:`CONDITIONING_POINTS` of the training points when there are more; lambda shrinks in proportion, as eigenvalues do.

    Returns:
        Both, ``[M]`` each, and notes.
    """
    n, notes = len(kernel), ()
    if n > CONDITIONING_POINTS:
        chosen = np.sort(np.random.default_rng(seed).choice(n, CONDITIONING_POINTS, replace=False))
        kernel, rows = kernel[np.ix_(chosen, chosen)], rows[:, chosen]
        notes = (f"Conditioning is measured on {CONDITIONING_POINTS:,} of the {n:,} training points, drawn at random.",)
    scale = float(np.trace(kernel)) / len(kernel)
    system, floor = np.array(kernel, dtype=np.float64) / scale, lam * len(kernel) / n
    system[np.diag_indices_from(system)] += floor
    right = np.asarray(rows, dtype=np.float64).T / scale
    weights = cho_solve(cho_factor(system, lower=True), right)
    energy, size = (right**2).sum(axis=0), np.abs(weights).sum(axis=0)
    below = np.divide(floor * (right * weights).sum(axis=0), energy, out=np.ones(len(energy)), where=energy > 0)
    few = np.divide((weights**2).sum(axis=0), size**2, out=np.ones(len(size)), where=size > 0)
    return np.clip(below, 0.0, 1.0), few, notes


def strength(effects: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """How much removals are foretold to matter at each point, and how many training points that spreads over, ``[M]`` each.

    A random half leaves each point out with probability one half, so the sum of effects varies by ``sqrt(sum a^2) / 2``; the first is one over
    that. The second is ``(sum |a|)^2 / sum a^2``.

    Args:
        effects: ``[M, N]``.
        shape: M and N.

    Raises:
        ValueError: when the effects have another shape or are not finite.
    """
    if effects.shape != shape or not np.isfinite(effects).all():
        raise ValueError(
            f"effects must be finite numbers {list(shape)}, one a test and training point; got shape {effects.shape}."
        )
    squares = (effects.astype(np.float64) ** 2).sum(axis=1)
    size = np.abs(effects).sum(axis=1)
    spread = np.divide(size**2, squares, out=np.full(len(size), float(shape[1])), where=squares > 0)
    return 2 / np.sqrt(np.maximum(squares, 1e-24)), spread


def _neighbours(rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The 2 k nearest other test points: those to which the kernel shows the same training points, by the cosine of centred rows."""
    centred = rows - rows.mean(axis=0)
    size = np.linalg.norm(centred, axis=1)
    centred = centred / np.where(size > 0, size, 1.0)[:, None]
    alike = centred @ centred.T
    np.fill_diagonal(alike, -np.inf)
    count = min(2 * k, len(rows) - 1)
    order = np.argsort(-alike, axis=1, kind="stable")[:, :count]
    return order, np.maximum(np.take_along_axis(alike, order, axis=1), 1e-6)


def _at_neighbours(observed: Observed, values: np.ndarray, start: int) -> np.ndarray:
    """Mean of ``[M]`` over every second neighbour from ``start``, weighted by similarity."""
    chosen, weight = observed.neighbours[:, start::2], observed.similarity[:, start::2]
    return (values[chosen] * weight).sum(axis=1) / weight.sum(axis=1)


def _copies(perturbed: tuple[np.ndarray, np.ndarray], said: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-odds of the class ``said [M]`` at perturbed copies ``[M, P, C]``, by both, and where they agree.

    Raises:
        ValueError: when the shapes do not fit.
    """
    network, surrogate = (np.asarray(part, dtype=np.float64) for part in perturbed)
    if network.ndim != 3 or network.shape != surrogate.shape or len(network) != len(said) or not network.shape[1]:
        raise ValueError(
            f"Logits at perturbed copies must be [M, P, C] for the same {len(said)} points; got {network.shape} and {surrogate.shape}."
        )
    m, p, c = network.shape
    first = scores_of(check_logits(network.reshape(m * p, c), "network"))
    second = scores_of(check_logits(surrogate.reshape(m * p, c), "surrogate"))
    at = np.arange(m * p), np.repeat(said, p)
    odds = first.log_odds[at].reshape(m, p), second.log_odds[at].reshape(m, p)
    return (*odds, (first.predicted == second.predicted).reshape(m, p))
