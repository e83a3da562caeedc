"""What a surrogate is fitted to: the kernel at mean diagonal 1 and its targets, checked once at the door."""

from dataclasses import dataclass

import numpy as np

from ntkviz.surrogates.surrogate import EMPTY_CLASS_INTERCEPT, Convergence, Surrogate

#: Largest difference between an entry and its mirror image, as a fraction of the largest entry. float32 Gram matrices that
#: were summed in different orders stay two digits below it; a kernel between two different sets of points does not.
SYMMETRY_TOLERANCE = 1e-4
#: By how much an entry may exceed the largest squared norm. Wide, because a sketched kernel with exact norms does so by its noise.
_CAUCHY_SCHWARZ_TOLERANCE = 0.5
_BLOCK = 512


@dataclass(frozen=True, eq=False)
class Problem:
    """A checked kernel and its targets.

    Attributes:
        kernel: float64 ``[N, N]``, symmetric, mean diagonal 1.
        scale: mean diagonal of the kernel as passed.
        n_classes: C; 1 for one logit.
        labels: int64 ``[N]``, or None when the surrogate imitates logits.
        logits: float64 ``[N, C]``, or None when it re-learns labels.
        notes: what was repaired or left out.
        validation: rows ``[V, N]`` (at mean diagonal 1) and labels ``[V]`` of points that the network was not trained on, or None.
        network: the network's logits of the training points, ``[N, C]``, and of the validation points, ``[V, C]``, or None.
    """

    kernel: np.ndarray
    scale: float
    n_classes: int
    labels: np.ndarray | None
    logits: np.ndarray | None
    notes: tuple[str, ...]
    validation: tuple[np.ndarray, np.ndarray] | None = None
    network: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def known_labels(self) -> np.ndarray:
        """The labels, int64 ``[N]``.

        Raises:
            ValueError: when the problem has logits instead.
        """
        if self.labels is None:
            raise ValueError("This problem has logits, and a surrogate that re-learns labels was asked for; pass labels.")
        return self.labels

    @property
    def present(self) -> np.ndarray:
        """The classes that some training point has, ascending."""
        return np.unique(self.known_labels)

    @property
    def codes(self) -> np.ndarray:
        """For each point, the place of its class in ``present``, int64 ``[N]``."""
        return np.searchsorted(self.present, self.known_labels)

    def surrogate(
        self,
        kind: str,
        weights: np.ndarray,
        intercept: np.ndarray,
        *,
        options: dict[str, object],
        convergence: Convergence,
        notes: tuple[str, ...] = (),
    ) -> Surrogate:
        """The result, with weights for the kernel as it was passed and rows for the classes without a training point.

        Args:
            kind: key of the registry.
            weights: ``[R, N]`` for the kernel at mean diagonal 1; R is the number of classes present, or 1 for two of them.
            intercept: ``[R]``.
            options: all options with their values.
            convergence: how the fit ended.
            notes: sentences that the fit has to add.
        """
        if self.n_classes > 1 and len(weights) == 1 and len(self.present) == 2:
            # Half the margin to each side: the softmax of the two rows is then the sigmoid of the one.
            weights, intercept = np.vstack([-weights, weights]) / 2, np.concatenate([-intercept, intercept]) / 2
        rows = np.zeros((self.n_classes, len(self.kernel)))
        offsets = np.full(self.n_classes, EMPTY_CLASS_INTERCEPT)
        place = np.array([0]) if self.n_classes == 1 else self.present
        rows[place], offsets[place] = weights / self.scale, intercept
        return Surrogate(rows, offsets, kind, options, self.scale, convergence, (*self.notes, *notes))


def make_problem(kernel: np.ndarray, targets: np.ndarray, *, target: str, kind: str, n_classes: int | None) -> Problem:
    """Check a kernel and its targets, and bring the kernel to mean diagonal 1.

    Args:
        kernel: ``[N, N]``.
        targets: labels ``[N]`` or logits ``[N, C]``.
        target: ``"labels"`` or ``"logits"``, what the kind asks for.
        kind: key of the registry, for messages.
        n_classes: C, or None to read it from the targets.

    Raises:
        ValueError: when the kernel or the targets cannot be used; the message says why.
    """
    if n_classes is not None and (isinstance(n_classes, bool) or not isinstance(n_classes, int | np.integer) or n_classes < 1):
        raise ValueError(f"n_classes must be a whole number above 0, or None; got {n_classes!r}.")
    scaled, scale, notes = _check_kernel(kernel)
    if target == "logits":
        logits = _check_logits(targets, len(scaled), kind, n_classes)
        return Problem(scaled, scale, logits.shape[1], None, logits, notes)
    labels, size = _check_labels(targets, len(scaled), kind, n_classes)
    if size > 1:
        empty = np.setdiff1d(np.arange(size), labels)
        if len(empty):
            names = ", ".join(map(str, empty[:10])) + (", ..." if len(empty) > 10 else "")
            told = f"No training point has class {names}: weights zero, intercept {EMPTY_CLASS_INTERCEPT:g}, so it is never predicted."
            notes = (*notes, told)
    return Problem(scaled, scale, size, labels, None, notes)


def one_class_only(problem: Problem, kind: str, options: dict[str, object]) -> Surrogate:
    """The surrogate of training points that all have one class: constant, and sure of that class."""
    sure = -EMPTY_CLASS_INTERCEPT if problem.n_classes == 1 and problem.present[0] == 1 else 0.0
    if problem.n_classes == 1 and problem.present[0] == 0:
        sure = EMPTY_CLASS_INTERCEPT
    return problem.surrogate(
        kind,
        np.zeros((1, len(problem.kernel))),
        np.array([sure]),
        options=options,
        convergence=Convergence(converged=True, n_iterations=0, residual=0.0, message="nothing to fit: one class only"),
        notes=(
            f"All training points have class {problem.present[0]}: there is nothing to tell apart, and all weights are zero.",
        ),
    )


def _check_kernel(kernel: np.ndarray) -> tuple[np.ndarray, float, tuple[str, ...]]:
    given = np.asarray(kernel)
    if given.ndim != 2 or given.shape[0] != given.shape[1] or not len(given):
        raise ValueError(f"The kernel must be [N, N] between the training points; got shape {given.shape}.")
    if given.dtype.kind not in "fiub":
        raise ValueError(f"The kernel must hold numbers; got {given.dtype}.")
    if not np.isfinite(given).all():
        bad = int((~np.isfinite(given)).sum())
        raise ValueError(
            f"{bad} of {given.size} kernel entries are not finite; compute the kernel again, in float64 if it overflowed."
        )
    scaled = np.array(given, dtype=np.float64)
    diagonal = np.diagonal(scaled)
    scale = float(diagonal.mean())
    if diagonal.min() < 0 or scale <= 0:
        raise ValueError(
            f"The diagonal of the kernel runs from {diagonal.min():.3g} to {diagonal.max():.3g}; expected squared norms, "
            "none negative and not all zero."
        )
    largest = max(scaled.max(), -scaled.min())
    if largest > diagonal.max() * (1 + _CAUCHY_SCHWARZ_TOLERANCE):
        raise ValueError(
            f"A kernel entry of size {largest:.3g} exceeds the largest diagonal entry, {diagonal.max():.3g}, which no inner products do. "
            "Pass the kernel of the training points against themselves, with its own diagonal."
        )
    asymmetry = _asymmetry(scaled) / largest
    if asymmetry > SYMMETRY_TOLERANCE:
        raise ValueError(
            f"The kernel is not symmetric: an entry differs from its mirror image by {asymmetry:.2g} of the largest entry; "
            f"expected at most {SYMMETRY_TOLERANCE:g}. Pass the kernel of the training points against themselves."
        )
    notes: tuple[str, ...] = ()
    if asymmetry > 0:
        scaled = (scaled + scaled.T) / 2
        notes = (
            f"The kernel was made symmetric; entries differed from their mirror images by up to {asymmetry:.1e} of the largest.",
        )
    scaled /= scale
    return scaled, scale, notes


def _asymmetry(kernel: np.ndarray) -> float:
    """Largest ``|k_ij - k_ji|``, block by block."""
    worst = 0.0
    for start in range(0, len(kernel), _BLOCK):
        rows = kernel[start : start + _BLOCK, start:]
        worst = max(worst, float(np.abs(rows - kernel[start:, start : start + _BLOCK].T).max()))
    return worst


def _check_labels(targets: np.ndarray, n: int, kind: str, n_classes: int | None) -> tuple[np.ndarray, int]:
    given = np.asarray(targets)
    if given.ndim != 1:
        raise ValueError(
            f"{kind!r} re-learns the labels and needs [N] whole numbers; got shape {given.shape}. "
            "To imitate the network's logits use kind='ridge_logits'."
        )
    if given.dtype.kind not in "iub":
        raise ValueError(
            f"Labels must be whole numbers from 0; got {given.dtype}. Convert them with .astype(int) if they are whole."
        )
    if len(given) != n:
        raise ValueError(f"There are {len(given)} labels for a kernel of {n} training points; expected equal counts.")
    labels = given.astype(np.int64)
    if n_classes is None:
        size = int(labels.max()) + 1
        if size < 2:
            raise ValueError("All labels are 0, so the number of classes cannot be read from them; pass n_classes.")
    else:
        size = int(n_classes)
    top = max(size, 2)  # one logit tells two classes apart
    if labels.min() < 0 or labels.max() >= top:
        raise ValueError(f"Labels run from {labels.min()} to {labels.max()}; expected 0 to {top - 1} for n_classes={size}.")
    return labels, size


def _check_logits(targets: np.ndarray, n: int, kind: str, n_classes: int | None) -> np.ndarray:
    given = np.asarray(targets)
    if given.ndim != 2 or given.dtype.kind not in "fiub" or not given.shape[1]:
        raise ValueError(
            f"{kind!r} imitates the network and needs its logits [N, C]; got shape {given.shape} of {given.dtype}. "
            "To re-learn labels use kind='ridge', 'klr' or 'kglm'."
        )
    if len(given) != n:
        raise ValueError(f"There are logits of {len(given)} points for a kernel of {n} training points; expected equal counts.")
    if n_classes is not None and given.shape[1] != n_classes:
        raise ValueError(f"The logits have {given.shape[1]} columns; expected n_classes={n_classes}.")
    if not np.isfinite(given).all():
        raise ValueError(f"{int((~np.isfinite(given)).sum())} logits are not finite; the network's output cannot be imitated.")
    return given.astype(np.float64)
