"""The surrogate that answers "what without this example?": the study's own where it can, else a logistic regression on the same kernel."""

from dataclasses import dataclass

import numpy as np

from ntkviz.studies.study import Study
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.surrogate import Surrogate

#: Kinds whose removal effects are about labels. A ridge on the network's logits has them too, and retraining hardly confirms them (LDS .06 to .26).
ANSWERS = ("klr", "ridge")


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


def companion_of(study: Study) -> Companion:
    """The surrogate of removal questions; fits one where the study's own has no answer."""
    if study.spec.surrogate in ANSWERS:
        return Companion(study.surrogate, True)
    if len(np.unique(study.y_train)) < 2:
        return Companion(None, False, "All training points of this study have one class, so leaving one out changes no answer.")
    fitted = fit_surrogate(
        study.kernel,
        study.y_train,
        kind="klr",
        seed=study.spec.seed,
        n_classes=study.logits_train.shape[1],
        validation=(study.rows, study.y_test),
        lam="auto",
    )
    return Companion(fitted, False)
