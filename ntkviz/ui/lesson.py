"""What the first lesson computes: the toy networks with their kernel machine, and a question about a study. NumPy only."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from ntkviz.explain.share import share_of
from ntkviz.studies.explained import explanation
from ntkviz.studies.study import Study
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.surrogate import Surrogate
from ntkviz.ui.points import Outcomes
from ntkviz.ui.toy import Plane, moons, removal_truth, train_plane

#: Where the lesson asks about the network on the plane: between the moons, inside each, and outside.
QUERIES = {
    "between the moons": (0.0, 0.0),
    "inside the lower tip of A": (-0.5, 0.2),
    "inside the upper tip of B": (0.5, -0.2),
    "right of both": (1.0, 0.5),
    "below A": (-1.0, -0.5),
}
LETTERS = "ABCDE"


@dataclass(frozen=True, eq=False)
class Machine:
    """The network on the plane and the kernel machine on its gradients.

    Attributes:
        points: ``[N, 2]``.
        labels: ``[N]``, 0 or 1.
        network: trained on all points.
        surrogate: fitted to the labels on the cosine kernel.
        gradients: ``[N, P]``, each divided by its length.
        grid: x ``[w]``, y ``[h]`` and the network's logits ``[h, w]``.
    """

    points: np.ndarray
    labels: np.ndarray
    network: Plane
    surrogate: Surrogate
    gradients: np.ndarray
    grid: tuple[np.ndarray, np.ndarray, np.ndarray]

    def row(self, query: np.ndarray) -> np.ndarray:
        """The cosine kernel between a point ``[2]`` and the training points, ``[N]``."""
        asked = self.network.gradient(query[None])[0]
        return self.gradients @ (asked / np.linalg.norm(asked))


@dataclass(frozen=True, eq=False)
class Question:
    """Which training point carries the prediction here?

    Attributes:
        query: ``[2]``.
        logit: of the network.
        score: of the surrogate.
        shares: ``[N]``.
        intercept: of the surrogate.
        similarity: ``[N]``.
        truth: ``[N]``, the network's logit minus that of the network trained without each point.
        letters: candidate -> letter.
        answer: the letter of the largest |share|.
        correlation: Spearman's, of shares and truth.
    """

    query: np.ndarray
    logit: float
    score: float
    shares: np.ndarray
    intercept: float
    similarity: np.ndarray
    truth: np.ndarray
    letters: dict[int, str]
    answer: str
    correlation: float


def machine() -> Machine:
    """Train the network, take its gradients, fit the kernel machine."""
    points, labels = moons()
    network = train_plane(points, labels, np.ones((1, len(points))))
    gradients = network.gradient(points)
    gradients = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    surrogate = fit_surrogate(gradients @ gradients.T, labels, kind="klr", n_classes=1, lam=0.01)
    x, y = np.linspace(-2.0, 2.0, 61), np.linspace(-1.5, 1.5, 46)
    flat = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return Machine(points, labels, network, surrogate, gradients, (x, y, network.logits(flat)[0].reshape(len(y), len(x))))


def question(found: Machine, name: str) -> Question:
    """Ask about one place of the plane.

    Args:
        found: of :func:`machine`.
        name: a key of :data:`QUERIES`.
    """
    query = np.array(QUERIES[name])
    row = found.row(query)
    shares = share_of(found.surrogate, row)[0]
    logit, truth = removal_truth(found.points, found.labels, query)
    letters = _candidates(shares, row, truth)
    return Question(
        query=query,
        logit=logit,
        score=float(found.surrogate.decision_function(row[None])[0, 0]),
        shares=shares,
        intercept=float(found.surrogate.intercept[0]),
        similarity=row,
        truth=truth,
        letters=letters,
        answer=letters[int(np.abs(shares).argmax())],
        correlation=rank_correlation(shares, truth),
    )


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation of two ``[N]``; NaN when one of them does not vary."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _candidates(shares: np.ndarray, row: np.ndarray, truth: np.ndarray) -> dict[int, str]:
    """Five points worth guessing: strongest by share, by kernel and by truth, and the next strongest; lettered from the left."""
    wanted = [int(np.abs(shares).argmax()), int(row.argmax()), int(np.abs(truth).argmax()), *np.argsort(-np.abs(shares))]
    chosen = list(dict.fromkeys(int(i) for i in wanted))[: len(LETTERS)]
    return dict(zip(sorted(chosen), LETTERS, strict=False))


@dataclass(frozen=True, eq=False)
class OwnQuestion:
    """Which of a few training examples carries the prediction of a test point of the study on show?

    Attributes:
        m: position of the test point.
        candidates: positions of training examples, in an order that gives nothing away.
        roles: what each of them is, for the reveal.
        shares: ``[candidates]``.
        similarity: ``[candidates]``.
        answer: position in ``candidates`` of the largest share in size.
        target: name of the class that is explained.
    """

    m: int
    candidates: tuple[int, ...]
    roles: tuple[str, ...]
    shares: np.ndarray
    similarity: np.ndarray
    answer: int
    target: str


def own_question(study: Study, points: Outcomes, turn: int) -> OwnQuestion | None:
    """A question about a test point at which surrogate and network agree; the same for the same study and turn.

    Args:
        study: the study.
        points: its test points.
        turn: another number, another question.

    Returns:
        The question; None when the two agree nowhere.
    """
    usable = np.flatnonzero(points.agrees)
    if not len(usable):
        return None
    rng = np.random.default_rng([turn, study.n_train, int(study.key[:8], 16)])
    m = int(rng.choice(usable))
    label = int(points.network[m])
    found = explanation(study, m, label)
    wanted = [
        (int(np.abs(found.shares).argmax()), "largest share in size"),
        (int(found.similarity.argmax()), "most similar by the kernel alone"),
        (int(found.shares.argmin()), "strongest against"),
        (int(rng.choice(np.flatnonzero(study.y_train == label))), "drawn at random from the predicted class"),
    ]
    roles: dict[int, list[str]] = {}
    for index, role in wanted:
        roles.setdefault(index, []).append(role)
    order = rng.permutation(list(roles)).tolist()
    return OwnQuestion(
        m=m,
        candidates=tuple(order),
        roles=tuple(", ".join(roles[i]) for i in order),
        shares=found.shares[order],
        similarity=found.similarity[order],
        answer=int(np.abs(found.shares[order]).argmax()),
        target=found.target,
    )
