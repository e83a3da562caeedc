"""Our attributions, and the controls, behind one call: a trained network, its training points, a method, test points -> ``[M, N]``."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import softmax
from torch import nn

from ntkviz import attribute, fit_surrogate, kernel_matrix
from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.log_odds import on_log_odds
from ntkviz.kernels.comparators import MarginBlocks, margin_blocks
from ntkviz.models.probes import logits_of
from ntkviz.scores import scores_of
from ntkviz.surrogates.surrogate import Surrogate

#: Method -> what it is. Controls know nothing of the network: a test that one of them passes better asks for something else.
METHODS = {
    "removal_klr": "removal effects, trace NTK",
    "share": "shares of the score, trace NTK",
    "kernel": "trace NTK, cosine",
    "trak": "TRAK, exact",
    "tracin": "TracIn, last checkpoint",
    "grad_cos": "gradient cosine",
    "pixels": "control: removal effects, kernel of the inputs",
    "same_class": "control: same class",
    "random": "control: random numbers",
}
CONTROLS = ("pixels", "same_class", "random")


@dataclass(frozen=True, eq=False)
class _Machine:
    """A kernel of the training points with its logistic regression, and the same factored for removals."""

    kernel: np.ndarray
    surrogate: Surrogate
    effects: RemovalEffects

    @classmethod
    def of(cls, kernel: np.ndarray, y: np.ndarray, n_classes: int) -> "_Machine":
        fit = fit_surrogate(kernel, y, kind="klr", lam="auto", n_classes=n_classes)
        return cls(kernel, fit, RemovalEffects.of_surrogate(fit, kernel, y))


#: The last machine of the inputs alone, by its training points.
_PIXELS: dict[str, _Machine] = {}


@dataclass(eq=False)
class Explained:
    """A network with its training points; what several methods need is computed once.

    Attributes:
        model: the network, in eval mode.
        x: training inputs ``[N, ...]``.
        y: int ``[N]``, their labels.
        n_classes: C.
    """

    model: nn.Module
    x: np.ndarray
    y: np.ndarray
    n_classes: int
    _kept: dict[tuple[str, str], Any] = field(default_factory=dict)

    def explain(self, z: np.ndarray, classes: np.ndarray, method: str, *, seed: int = 0) -> np.ndarray:
        """What each training point has to do with the log-odds of a class at each test point, float64 ``[M, N]``.

        Args:
            z: test inputs ``[M, ...]``.
            classes: int ``[M]``, the class that is asked about.
            method: key of :data:`METHODS`.
            seed: of ``random``.
        """
        logits = self._once("logits", z, lambda: logits_of(self.model, z))
        if method == "random":
            return np.random.default_rng(seed).random((len(z), len(self.x)))
        if method == "pixels":
            rows = self._once("inputs", z, lambda: kernel_matrix(self.model, self.x, z, kind="inputs").T)
            return self._pixels.effects.on_log_odds(rows, logits, classes)
        if method in ("trak", "tracin", "grad_cos"):
            blocks = self._once("margin", z, lambda: self._margins(z))
            return self._compared(method, blocks.rows, blocks.rows_diagonal, blocks.train, logits, classes)
        return self._by_kernel(method, self._rows(z, cosine=method == "kernel"), logits, classes)

    def self_influence(self, method: str, *, seed: int = 0) -> np.ndarray:
        """How much each training point has to do with its own label, float64 ``[N]``."""
        logits, classes = logits_of(self.model, self.x), self.y
        if method == "random":
            return np.random.default_rng(seed).random(len(self.x))
        if method == "pixels":
            found = self._pixels.effects.on_log_odds(self._pixels.kernel, logits, classes)
        elif method in ("trak", "tracin", "grad_cos"):
            train = self._margins(self.x[:1]).train
            # Only the slice of a point's own label is read, so the same block may stand for every class.
            rows = np.broadcast_to(train[:, None], (len(train), self.n_classes, len(train)))
            own = np.broadcast_to(np.diagonal(train)[:, None], rows.shape[:2])
            found = self._compared(method, rows, own, train, logits, classes)
        else:
            rows = kernel_matrix(self.model, self.x) if method == "kernel" else self._tangent.kernel
            found = self._by_kernel(method, rows, logits, classes)
        return np.diagonal(found).copy()

    def fall_without(self, gone: np.ndarray, z: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """By how much the surrogate's log-odds of a class fall when it is fitted again without some training points, float64 ``[M]``.

        Args:
            gone: bool ``[N]``.
            z: test inputs ``[M, ...]``.
            classes: int ``[M]``.
        """
        machine, rows, kept = self._tangent, self._rows(z, cosine=False), np.flatnonzero(~gone)
        again = fit_surrogate(
            machine.kernel[np.ix_(kept, kept)],
            self.y[kept],
            kind="klr",
            lam=machine.surrogate.options["lam"],
            n_classes=self.n_classes,
        )
        before, after = (
            scores_of(f).log_odds for f in (machine.surrogate.decision_function(rows), again.decision_function(rows[:, kept]))
        )
        return (before - after)[np.arange(len(z)), classes].astype(np.float64)

    @cached_property
    def _tangent(self) -> _Machine:
        return _Machine.of(kernel_matrix(self.model, self.x, normalize=False), self.y, self.n_classes)

    @cached_property
    def _pixels(self) -> _Machine:
        # Two networks of the same training points have it in common: it does not know them.
        key = digest(self.x, self.y)
        if key not in _PIXELS:
            _PIXELS.clear()
            _PIXELS[key] = _Machine.of(kernel_matrix(self.model, self.x, kind="inputs"), self.y, self.n_classes)
        return _PIXELS[key]

    @cached_property
    def _chances(self) -> np.ndarray:
        """The network's probability of each training label, ``[N]``."""
        shares = softmax(logits_of(self.model, self.x).astype(np.float64), axis=1)
        return np.clip(shares[np.arange(len(self.y)), self.y], 0, 1)

    def _by_kernel(self, method: str, rows: np.ndarray, logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
        machine = self._tangent
        if method == "removal_klr":
            return machine.effects.on_log_odds(rows, logits, classes)
        if method == "kernel":
            return np.asarray(rows, dtype=np.float64)
        if method == "same_class":  # at the class alone: how strong its rivals are, the network would have to say
            return attribute(machine.surrogate, rows, kind=method, labels=self.y)[np.arange(len(rows)), classes]
        return on_log_odds(attribute(machine.surrogate, rows, kind=method), method, logits, classes)

    def _compared(
        self, method: str, rows: np.ndarray, own: np.ndarray, train: np.ndarray, logits: np.ndarray, classes: np.ndarray
    ) -> np.ndarray:
        needs: dict[str, dict[str, object]] = {
            "trak": {"kernel": train, "chances": self._chances},
            "tracin": {"chances": self._chances},
            "grad_cos": {"kernel": train, "rows_diagonal": own},
        }
        return on_log_odds(attribute(self._tangent.surrogate, rows, kind=method, **needs[method]), method, logits, classes)

    def _rows(self, z: np.ndarray, *, cosine: bool) -> np.ndarray:
        return self._once(f"trntk {cosine}", z, lambda: kernel_matrix(self.model, self.x, z, normalize=cosine).T)

    def _margins(self, z: np.ndarray) -> MarginBlocks:
        return margin_blocks(self.model, self.x, self.y, z, n_classes=self.n_classes)

    def _once(self, what: str, z: np.ndarray, make: Callable[[], Any]) -> Any:
        """What was made for these test points before, or made now."""
        key = what, digest(z)
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


def digest(*arrays: np.ndarray) -> str:
    """A name for arrays by their bytes."""
    found = hashlib.sha256()
    for values in arrays:
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
