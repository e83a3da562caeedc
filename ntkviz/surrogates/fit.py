"""The door of the room: a kernel and targets in, a surrogate out."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ntkviz.errors import SurrogateDiverged
from ntkviz.surrogates.kglm import fit_kglm
from ntkviz.surrogates.kglm_sgd import fit_kglm_sgd
from ntkviz.surrogates.klr import fit_klr
from ntkviz.surrogates.problem import Problem, make_problem, one_class_only
from ntkviz.surrogates.registry import surrogates
from ntkviz.surrogates.ridge import fit_ridge, fit_ridge_logits
from ntkviz.surrogates.surrogate import Surrogate, check_rows
from ntkviz.surrogates.svm import fit_svm
from ntkviz.types import ProgressFn, SurrogateInfo, silent

_FITS: dict[str, Callable[..., Surrogate]] = {
    "kglm": fit_kglm,
    "kglm_sgd": fit_kglm_sgd,
    "klr": fit_klr,
    "ridge": fit_ridge,
    "ridge_logits": fit_ridge_logits,
    "svm": fit_svm,
}
#: Kinds that cannot be fitted to a single class; the ridges can, and stay able to leave points out.
_NEED_TWO_CLASSES = {"kglm", "kglm_sgd", "klr", "svm"}


def fit_surrogate(
    kernel: np.ndarray,
    targets: np.ndarray,
    *,
    kind: str = "kglm",
    seed: int = 0,
    n_classes: int | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    network: tuple[np.ndarray, np.ndarray] | None = None,
    on_progress: ProgressFn = silent,
    **options: object,
) -> Surrogate:
    """Fit a kernel machine that stands for the network.

    The scale of the kernel does not matter: inside it is divided by its mean diagonal, penalties are in those units, and the weights
    returned are for the kernel as passed. The same seed gives the same fit, bit by bit, on one machine.

    Args:
        kernel: ``[N, N]``, symmetric, of the training points against themselves.
        targets: labels ``[N]``, whole numbers from 0, for kinds that re-learn them; the network's logits ``[N, C]`` for kinds
            that imitate it (``surrogates()[kind].target`` says which).
        kind: key of :func:`ntkviz.surrogates.registry.surrogates`.
        seed: of whatever the kind draws, >= 0.
        n_classes: C, needed when the last classes have no training point, or 1 for a network with one logit and labels 0 and 1. A
            class without a training point gets weights 0 and intercept -100, and a note says so.
        validation: rows ``[V, N]`` of the kernel and labels ``[V]`` of points that the network was not trained on, for kinds that
            choose a penalty (``klr`` with ``lam="auto"``). The training labels are known to the kernel of a trained network: chosen
            on held-out training points the penalty comes out too small.
        network: the network's logits of the training points, ``[N, C]``, and of the validation points, ``[V, C]``, for kinds that ask for its
            answers beside the labels (``klr`` with ``distillation``).
        on_progress: called as ``on_progress("surrogate", fraction)``; may raise JobCancelled.
        options: options of the kind, see its row of the registry.

    Returns:
        The surrogate; ``convergence`` says how the fit ended, ``notes`` what was repaired, chosen or left out. For the two ridges
        it is a :class:`~ntkviz.surrogates.surrogate.RidgeSurrogate`, which can leave points out in closed form; for ``klr`` with
        ``distillation`` a :class:`~ntkviz.surrogates.surrogate.DistilledSurrogate`.

    Raises:
        ValueError: when the kind or an option is not known, or the kernel or the targets cannot be used.
        SurrogateDiverged: when the fit ended in values that are not finite.
    """
    info = _known(kind, options)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 2^32 - 1; got {seed!r}.")
    chosen = {name: options.get(name, default) for name, (default, _) in info.options.items()}
    problem = make_problem(kernel, targets, target=info.target, kind=kind, n_classes=n_classes)
    problem = _with_validation(problem, validation, network)
    if kind in _NEED_TWO_CLASSES and len(problem.present) == 1:
        return one_class_only(problem, kind, chosen)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        found = _FITS[kind](problem, seed=int(seed), on_progress=on_progress, options=chosen)
    if not (np.isfinite(found.weights).all() and np.isfinite(found.intercept).all()):
        raise SurrogateDiverged(
            f"The fit of {kind!r} ended in values that are not finite ({found.convergence.message}). "
            "Raise its penalty, or use kind='klr' or 'ridge', which do not diverge."
        )
    return found


def _known(kind: str, options: dict[str, object]) -> SurrogateInfo:
    """The registry's row of a kind.

    Raises:
        ValueError: when there is no such kind, or it has not all of these options.
    """
    rows = surrogates()
    if kind not in rows:
        raise ValueError(f"There is no surrogate {kind!r}; choose one of: {', '.join(rows)}.")
    unknown = sorted(set(options) - set(rows[kind].options))
    if unknown:
        raise ValueError(f"The surrogate {kind!r} has no option {unknown[0]!r}; it has: {', '.join(rows[kind].options)}.")
    return rows[kind]


def _with_validation(
    problem: Problem, validation: tuple[np.ndarray, np.ndarray] | None, network: tuple[np.ndarray, np.ndarray] | None
) -> Problem:
    """The problem with rows ``[V, N]`` at mean diagonal 1 and labels ``[V]``, without points whose class no training point has; and the network's logits.

    Raises:
        ValueError: when they do not fit, or nothing is left.
    """
    if validation is None:
        return problem
    rows, labels = validation
    values, classes = check_rows(rows, len(problem.kernel)), np.asarray(labels)
    if classes.shape != (len(values),) or classes.dtype.kind not in "iub":
        raise ValueError(
            f"validation needs {len(values)} whole numbers as labels, one a row; got {classes.dtype} {classes.shape}."
        )
    known = np.isin(classes, problem.present)
    if not known.any():
        raise ValueError("No validation point has a class of the training points; leave validation out.")
    chosen = np.asarray(values[known], dtype=np.float64) / problem.scale, classes[known].astype(np.int64)
    if network is None:
        return replace(problem, validation=chosen)
    own, others = (np.asarray(logits, dtype=np.float64) for logits in network)
    for logits, n, whose in ((own, len(problem.kernel), "training"), (others, len(values), "validation")):
        if logits.shape != (n, problem.n_classes) or not np.isfinite(logits).all():
            raise ValueError(
                f"network needs finite logits [{n}, {problem.n_classes}] of the {whose} points; got shape {logits.shape} with "
                f"{int((~np.isfinite(logits)).sum())} that are not finite."
            )
    return replace(problem, validation=chosen, network=(own, others[known]))
