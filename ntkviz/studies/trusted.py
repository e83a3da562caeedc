"""The trust badges of a study: does the surrogate speak for the network at a point, and may removal effects be believed there?

Two questions, two calibrations. The first is judged by the gap of network and surrogate near the point where the badge did not look, and
every study has it. The second is judged by retraining, one minus the point's LDS, and needs retrainings of the study's network; it is about the surrogate
that answers questions of removal, which is another one where the study's own has no answer (:mod:`ntkviz.studies.companion`).
"""

from dataclasses import dataclass, replace

import numpy as np

from ntkviz.explain.effects import RemovalEffects
from ntkviz.fidelity.evidence import Observed, observe
from ntkviz.fidelity.lds import lds
from ntkviz.fidelity.trust import Trust, trust
from ntkviz.scores import scores_of
from ntkviz.studies.aligned import aligned, mismatch
from ntkviz.studies.companion import ONE_CLASS, Companion, companion_of
from ntkviz.studies.study import Study
from ntkviz.surrogates.surrogate import Surrogate
from ntkviz.truth.truth import Truth

#: Beyond this many training points removal effects take longer than a page should wait.
EFFECTS_UP_TO = 2000
_ANOTHER = "The badge of removal effects is about the logistic regression that answers questions of removal: the study's own surrogate has no answer to them."
LDS_ERROR = "one minus the point's LDS: how badly removal effects order the retrainings, 0 to 2"


@dataclass(frozen=True, eq=False)
class Badges:
    """The badges of a study's test points.

    Attributes:
        imitation: whether the surrogate speaks for the network there.
        removal: whether removal effects can be believed there; None without retrainings.
        why_none: why there is no second badge, as a sentence; empty when there is one.
    """

    imitation: Trust
    removal: Trust | None
    why_none: str = ""


def foretells(study: Study) -> bool:
    """Whether removal effects are known and quick: those of the study's own surrogate, or of the one that answers for it."""
    return not _why_not(study)


def badges(
    study: Study,
    truth: Truth | None = None,
    perturbed: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    answering: Companion | None = None,
) -> Badges:
    """Judge all test points of a study.

    Args:
        study: the study.
        truth: retrainings of its network; without them there is no second badge.
        perturbed: logits of network and surrogate at small changes of each test point
            (:func:`ntkviz.studies.perturbed.perturbed_logits`), ``[M, P, C]`` each.
        answering: the surrogate of removal questions, where it is at hand; fitted when it is needed.
    """
    reason = _no_removal(study, truth)
    fit = study.surrogate if reason else (answering or companion_of(study)).surrogate
    own = fit is study.surrogate
    effects = None if reason or fit is None else RemovalEffects.of_surrogate(fit, study.kernel, study.y_train)
    seen = _observed(study, study.surrogate, perturbed, effects if own else None)
    imitation = trust(seen, seed=study.spec.seed)
    if truth is None or effects is None or fit is None:
        return Badges(imitation, None, reason)
    if own:
        return Badges(imitation, _by_retraining(study, truth, effects, seen))
    judged = _by_retraining(study, truth, effects, _observed(study, fit, None, effects))
    return Badges(imitation, replace(judged, notes=(*judged.notes, _ANOTHER)))


def _observed(
    study: Study, surrogate: Surrogate, perturbed: tuple[np.ndarray, np.ndarray] | None, effects: RemovalEffects | None
) -> Observed:
    """What is known of a surrogate at the test points."""
    said = scores_of(study.logits_test).predicted
    return observe(
        study.logits_test,
        study.surrogate_logits if surrogate is study.surrogate else surrogate.decision_function(study.rows),
        study.rows,
        kernel=study.kernel,
        lam=_noise_floor(surrogate),
        perturbed=perturbed,
        effects=None if effects is None else effects.on_log_odds(study.rows, study.logits_test, said),
        seed=study.spec.seed,
    )


def _by_retraining(study: Study, truth: Truth, effects: RemovalEffects, seen: Observed) -> Trust:
    """The badge that is calibrated on what retraining says. Labels enter through the error alone."""
    points = aligned(study, truth)
    on_label = effects.on_log_odds(study.rows[points.test], study.logits_test[points.test], study.y_test[points.test])
    found = lds(on_label, points.masks, points.margins, n_draws=0)
    error = np.full(study.n_test, np.nan)
    error[points.test] = 1.0 - found.per_point
    return trust(seen, np.maximum(error, 0.0), LDS_ERROR, seed=study.spec.seed)


def _no_removal(study: Study, truth: Truth | None) -> str:
    """Why the second badge cannot be had; empty when it can."""
    if truth is None:
        return "There are no retrainings of this network."
    reason = mismatch(study, truth)
    if reason:
        return reason
    return _why_not(study)


def _why_not(study: Study) -> str:
    """Why no removal effects can be had; empty when they can."""
    if len(np.unique(study.y_train)) < 2:
        return ONE_CLASS
    if study.n_train > EFFECTS_UP_TO:
        return f"Removal effects are computed here up to {EFFECTS_UP_TO:,} training points; this study has {study.n_train:,}."
    return ""


def _noise_floor(surrogate: Surrogate) -> float:
    """Lambda of the surrogate, 1 when it has none."""
    lam = surrogate.options.get("lam", 1.0)
    return float(lam) if isinstance(lam, int | float) and not isinstance(lam, bool) else 1.0
