"""The stretch of a study: by what factor its network, retrained on halves, moves more than the surrogate that answers edits."""

from dataclasses import replace

import numpy as np

from ntkviz.explain.stretch import Stretch, stretch, subset_margins
from ntkviz.explain.what_if import WhatIfModel
from ntkviz.studies.aligned import aligned
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.study import Study
from ntkviz.truth.truth import Truth

#: Halves that the surrogate is fitted to. More make the interval narrower, and each takes a fit.
HALVES = 20
#: Fewer say nothing of a factor.
LEAST_HALVES = 3


def study_stretch(study: Study, truth: Truth, model: WhatIfModel, *, n_halves: int = HALVES, steps: int | None = None) -> Stretch:
    """Compare retrainings of a study's network with refits of a surrogate on the same subsets.

    Args:
        study: the study.
        truth: the retrainings.
        model: the surrogate that answers edits of this study.
        n_halves: subsets to compare, the first of the truth.
        steps: Newton steps of klr; None, the default, fits to the end, as the predictions of the page What if do.

    Raises:
        InvalidStudy: when the retrainings are of other points, or too few of them keep all classes.
    """
    points = aligned(study, truth)
    # A surrogate has no finite score for a class without a point, so halves that lost one cannot be compared.
    whole = np.array([len(np.unique(model.labels[mask])) == len(np.unique(model.labels)) for mask in points.masks])
    chosen = np.flatnonzero(whole)[:n_halves]
    if len(chosen) < LEAST_HALVES:
        raise InvalidStudy(
            f"Only {len(chosen)} of the retrained halves keep a training point of every class; {LEAST_HALVES} are needed to size the effects."
        )
    rows, labels = study.rows[points.test], study.y_test[points.test]
    predicted, notes = subset_margins(model, rows, labels, points.masks[chosen], steps=steps)
    found = stretch(predicted, points.margins[chosen])
    left_out = int((~whole[: int(chosen[-1]) + 1]).sum())
    if left_out:
        notes = (*notes, f"{left_out} halves without a point of some class were left out.")
    return replace(found, notes=(*found.notes, *notes))
