"""A surrogate on the points of a study: which targets its kind asks for, and the test points where an option asks for points that are new to the network."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.registry import surrogates
from ntkviz.surrogates.surrogate import Surrogate
from ntkviz.types import ProgressFn, silent

#: Of the surrogate that answers questions of removal where a study's own cannot.
ANSWERING: Mapping[str, str | float] = {"lam": "auto"}


def judged_by_test_points(settings: Mapping[str, object]) -> bool:
    """Whether options of a surrogate ask for points that the network was not trained on, which a study takes from its test points."""
    return settings.get("lam") == "auto" or bool(settings.get("distillation"))


def fit_points(
    kind: str,
    kernel: np.ndarray,
    rows: np.ndarray,
    *,
    labels: tuple[np.ndarray, np.ndarray],
    logits: tuple[np.ndarray, np.ndarray],
    seed: int = 0,
    settings: Mapping[str, object] = {},
    on_progress: ProgressFn = silent,
) -> Surrogate:
    """Fit a surrogate to a study's points.

    Args:
        kind: key of the surrogate registry.
        kernel: ``[N, N]``.
        rows: ``[M, N]``.
        labels: of the training and of the test points, ``[N]`` and ``[M]``.
        logits: the network's, ``[N, C]`` and ``[M, C]``.
        seed: of whatever the kind draws.
        settings: options of the kind. A penalty "auto" and ``distillation`` are judged by the test points.
        on_progress: called as ``on_progress("surrogate", fraction)``; may raise JobCancelled.

    Raises:
        ValueError: when an option is not possible.
        SurrogateDiverged: when the fit ended in values that are not finite.
    """
    asks = judged_by_test_points(settings)
    options: dict[str, Any] = dict(settings)
    return fit_surrogate(
        kernel,
        logits[0] if surrogates()[kind].target == "logits" else labels[0],
        kind=kind,
        seed=seed,
        n_classes=logits[0].shape[1],
        validation=(rows, labels[1]) if asks else None,
        network=logits if asks else None,
        on_progress=on_progress,
        **options,
    )
