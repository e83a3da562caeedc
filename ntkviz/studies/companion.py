"""The surrogate that answers "what without this example?": the study's own where it can, else a logistic regression on the same kernel."""

from dataclasses import dataclass

import numpy as np

from ntkviz.explain.effects import RemovalEffects
from ntkviz.studies.fitting import ANSWERING, fit_points
from ntkviz.studies.study import Study
from ntkviz.surrogates.surrogate import DistilledSurrogate, Surrogate

#: Kinds whose removal effects are about labels. A ridge on the network's logits has them too, and retraining hardly confirms them (LDS .06 to .26). Of klr
#: only a fit to labels alone: without a point, whole steps of a distilled one go too far where lam is small.
ANSWERS = ("klr", "ridge")
#: Why nobody answers.
ONE_CLASS = "All training points of this study have one class, so leaving one out changes no answer."


@dataclass(frozen=True, eq=False)
class Companion:
    """A surrogate whose removal effects are known.

    Attributes:
        surrogate: the fit; None when there is none.
        own: whether it is the study's own.
        problem: why there is none, a sentence; empty when there is one.
    """

    surrogate: Surrogate | None
    own: bool
    problem: str = ""


def answers_itself(study: Study) -> bool:
    """Whether questions of removal are answered by the study's own surrogate."""
    return study.spec.surrogate in ANSWERS and not isinstance(study.surrogate, DistilledSurrogate)


def companion_of(study: Study) -> Companion:
    """The surrogate of removal questions; fits one where the study's own has no answer."""
    if answers_itself(study):
        return Companion(study.surrogate, True)
    if len(np.unique(study.y_train)) < 2:
        return Companion(None, False, ONE_CLASS)
    fitted = fit_points(
        "klr",
        study.kernel,
        study.rows,
        labels=(study.y_train, study.y_test),
        logits=(study.logits_train, study.logits_test),
        seed=study.spec.seed,
        settings=ANSWERING,
    )
    return Companion(fitted, False)


def heads_of(effects: RemovalEffects, study: Study, m: int, label: int, against: int | None = None) -> np.ndarray:
    """The mix of scores that a removal question is about, ``[C]``: a class against all its rivals, or against one.

    Args:
        effects: the factored surrogate.
        study: the study.
        m: position of the test point in it.
        label: the class that is explained.
        against: the class that it is compared with, or None.
    """
    if against is None or effects.surrogate.n_classes == 1:
        return effects.log_odds_heads(study.rows[m : m + 1], study.logits_test[m : m + 1], np.array([label]))[0]
    heads = np.zeros(effects.surrogate.n_classes)
    heads[label], heads[against] = 1.0, -1.0
    return heads
